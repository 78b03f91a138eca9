// npm run bench -- audit [COMMITS]: one host's history in a clone of a long record, and what checking all of it takes.
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { openAudit } from "../dist/cli/audit-source.js";
import { encodeRecord } from "../dist/model/record.js";
import { readSubjectHistory } from "../dist/record/history.js";
import { recordPath } from "../dist/record/layout.js";
import { git, hostName, recordOf } from "./fleet.ts";
import { median, ms, timed } from "./measure.ts";

const run = promisify(execFile);
const program = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const commits = Number(process.argv.slice(2).find((word) => /^\d+$/.test(word)) ?? 100_000);
const hosts = 5000;
const began = 1_700_000_000;

/** One host a commit, in a stream for fast-import. */
function* history(main: string): Generator<string> {
  for (let index = 0; index < commits; index++) {
    const host = (index * 7919) % hosts;
    const content = encodeRecord(recordOf(host, index % 2 === 0 ? "busy" : "on", index));
    const message = `${hostName(host)}: on -> busy (lamp)\n\n${hostName(host)}: on -> busy (lamp)\n\nDesired: ${main}\nActor: reconciler\nRun: bench\nEpoch: 1\n`;
    yield `commit refs/heads/observed\ncommitter Stateward <stateward@localhost> ${began + index * 15} +0000\ndata ${Buffer.byteLength(message)}\n${message}M 100644 inline ${recordPath("host", hostName(host))}\ndata ${Buffer.byteLength(content)}\n${content}\n`;
  }
  yield "done\n";
}

async function make(dir: string): Promise<string> {
  const remote = join(dir, "remote.git");
  await git(dir, ["init", "--quiet", "--bare", "--initial-branch=main", remote]);
  const text =
    "commit refs/heads/main\ncommitter B <b@example.org> 1700000000 +0000\ndata 6\nBegin\nM 100644 inline stateward.yaml\ndata 3\n{}\n\ndone\n";
  await git(remote, ["fast-import", "--quiet", "--done"], text);
  const main = (await git(remote, ["rev-parse", "main"])).trim();
  await git(remote, ["fast-import", "--quiet", "--done"], [...history(main)].join(""));
  const clone = join(dir, "clone");
  await git(dir, ["clone", "--quiet", "--no-local", remote, clone]);
  return clone;
}

/** Time of a command with the start of Node, and of its reading alone. */
async function measure(what: string, folder: string): Promise<void> {
  const name = hostName(1234);
  const [whole, inside, floor]: [number[], number[], number[]] = [[], [], []];
  const plain = ["log", "--format=%H", "refs/remotes/origin/observed", "--", recordPath("host", name)];
  let found = 0;
  for (let round = 0; round < 7; round++) {
    whole.push(await timed(() => run(process.execPath, [program, "--folder", folder, "log", name])));
    floor.push(await timed(() => git(folder, plain)));
    const source = await openAudit({ folder });
    inside.push(
      await timed(async () => {
        found = (await readSubjectHistory(source, name, { commitsMax: Number.POSITIVE_INFINITY })).length;
      }),
    );
    source.git.objects.close();
  }
  console.log(
    `${what}: ${found} commits of one host in ${ms(median(inside))} (git log of its file ${ms(median(floor))}); stateward log HOST ${ms(median(whole))}`,
  );
}

const dir = await mkdtemp(join(tmpdir(), "stateward-bench-"));
try {
  console.error(`preparing ${commits} commits of ${hosts} hosts in ${dir} ...`);
  const folder = await make(dir);
  await measure("a clone as it is", folder);
  const indexed = await timed(() => git(folder, ["commit-graph", "write", "--reachable", "--changed-paths"]));
  console.log(`git commit-graph write --reachable --changed-paths: ${ms(indexed)}`);
  await measure("with the index", folder);
  for (const args of [
    ["bisect", hostName(1234), "--bad", "busy"],
    ["at", "2024-01-01"],
    ["diff", "2023-11-20", "now"],
    ["verify"],
  ]) {
    const took = await timed(() =>
      run(process.execPath, [program, "--folder", folder, ...args, "--json"], { maxBuffer: 1e9 }),
    );
    console.log(`stateward ${args.join(" ")}: ${ms(took)}`);
  }
} finally {
  await rm(dir, { recursive: true, force: true });
}
