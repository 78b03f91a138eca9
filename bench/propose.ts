// npm run bench -- propose [HOSTS...]: what the plan of a change of 100 hosts costs, beside what Git itself takes to read the fleet.
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { encodeRecord } from "../dist/model/record.js";
import { recordPath } from "../dist/record/layout.js";
import { git, hostFile, hostName, hostPath, makeFleet, recordOf, stream } from "./fleet.ts";
import { inTurn, ms, printRows, type Row, timed } from "./measure.ts";

const run = promisify(execFile);
const program = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const asked = process.argv
  .slice(2)
  .filter((word) => /^\d+$/.test(word))
  .map(Number);
// The start of the program is most of it where there are fewer hosts.
const sizes = asked.length > 0 ? asked : [100_000];
const changed = 100;

/** All blobs of the fleet and its record through `ls-tree -r` and `cat-file --batch --buffer`, as fast as Git gives them. */
async function readAllBlobs(dir: string): Promise<void> {
  const list = "(git ls-tree -r main; git ls-tree -r observed)";
  const script = `${list} | cut -c 13-52 | git cat-file --batch --buffer >/dev/null`;
  const [code] = (await once(spawn("sh", ["-c", script], { cwd: dir, stdio: "inherit" }), "close")) as [number];
  if (code !== 0) throw new Error("the floor cannot be measured");
}

/** A fleet with its record, and a branch `change` that moves some of its hosts. */
async function prepare(dir: string, size: number): Promise<void> {
  await makeFleet(dir, size);
  const step = Math.floor(size / changed);
  const files = Array.from({ length: changed }, (_, index): [string, string] => {
    const host = index * step;
    return [hostPath(host), hostFile(host, "busy")];
  });
  const tip = (await git(dir, ["rev-parse", "refs/heads/main"])).trim();
  await git(dir, ["fast-import", "--quiet", "--done"], stream("refs/heads/change", "A change", files, tip));
  const records = Array.from({ length: size }, (_, index): [string, string] => [
    recordPath("host", hostName(index)),
    encodeRecord(recordOf(index)),
  ]);
  const head: [string, string] = ["stateward.json", '{ "format": 2, "epoch": 1 }\n'];
  await git(
    dir,
    ["fast-import", "--quiet", "--done"],
    stream("refs/heads/observed", "Record", [head, ...records], null),
  );
}

async function plan(dir: string, ...more: string[]): Promise<void> {
  const { stdout } = await run(
    process.execPath,
    [program, "--folder", dir, "plan", "main..change", "--json", ...more],
    {
      maxBuffer: 1_000_000_000,
    },
  );
  const { moves } = JSON.parse(stdout) as { moves: { names: string[] }[] };
  const count = moves.reduce((sum, { names }) => sum + names.length, 0);
  if (count !== changed) throw new Error(`${count} hosts move`);
}

async function measure(size: number): Promise<Row[]> {
  const dir = await mkdtemp(join(tmpdir(), "stateward-bench-"));
  try {
    await prepare(dir, size);
    const rounds = size > 50_000 ? 3 : 9;
    const cold = await inTurn(
      rounds,
      () => timed(() => readAllBlobs(dir)),
      async () => {
        await rm(join(dir, ".stateward"), { recursive: true, force: true });
        return timed(() => plan(dir));
      },
    );
    const warm = await inTurn(
      rounds,
      () => timed(() => readAllBlobs(dir)),
      () => timed(() => plan(dir)),
    );
    const row = (what: string, { floor, ours }: { floor: number; ours: number }, target: number): Row => ({
      what: `${what}, ${changed} of ${size} hosts changed`,
      floor: ms(floor),
      ours: ms(ours),
      ratio: ours / floor,
      target,
    });
    return [row("first plan", cold, 6), row("plan with a warm cache", warm, 4)];
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

const rows: Row[] = [];
for (const size of sizes) rows.push(...(await measure(size)));
printRows(rows);
