// D1, D2: killed at any moment of journal, commit, push and maintenance, it loses nothing that it acknowledged, and leaves a sound
// repository. STATEWARD_KILLS says how often it is killed.
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import * as assert from "uvu/assert";
import { git, Remote } from "../support/git-remote.ts";
import { suite } from "../support/suite.ts";
import { tempFolder, until } from "../support/temp.ts";

const kills = Number(process.env.STATEWARD_KILLS ?? 12);
/** Kills fall between the start of the process and this long after it began to record; the first ones fall into loading. */
const workMsMax = 700;

const test = suite("crash", { limitMs: kills * 20_000 });

const writer = fileURLToPath(new URL("../support/crash-writer.ts", import.meta.url));

async function processes(): Promise<string> {
  return (await promisify(execFile)("ps", ["-eo", "args"], { maxBuffer: 16_000_000 })).stdout;
}

/** Runs the writer until it is killed; what was acknowledged is added to `acked`. What it has found must be at least what was. */
async function runAndKill(remote: string, data: string, acked: Map<string, number>): Promise<string[]> {
  const child = spawn(process.execPath, [...process.execArgv, writer, remote, data], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const found = new Map<string, number>();
  const odd: string[] = [];
  const before = new Map(acked);
  const kill = (afterMs: number): NodeJS.Timeout => setTimeout(() => child.kill("SIGKILL"), afterMs);
  const killsEarly = Math.random() < 0.1;
  if (killsEarly) kill(300 + Math.random() * 600);
  createInterface({ input: child.stdout }).on("line", (line) => {
    const [word = "", name = "", revision] = line.split(" ");
    if (word === "found") found.set(name, Number(revision));
    else if (word === "acked") acked.set(name, Number(revision));
    else if (word === "fenced" || word === "alert") odd.push(line);
    else if (word === "loaded") {
      for (const [host, last] of before)
        if ((found.get(host) ?? 0) < last)
          odd.push(`${host}: ${last} was acknowledged, ${found.get(host)} is recorded`);
      if (!killsEarly) kill(Math.random() * workMsMax);
    }
  });
  await once(child, "close");
  return odd;
}

test(`nothing acknowledged is lost in ${kills} kills, and every repository is sound`, async () => {
  await using dir = await tempFolder();
  const remote = await Remote.create(dir.path);
  // Git's own collection of the remote would remove loose objects under a check's feet.
  await remote.git("config", "gc.auto", "0");
  const data = join(dir.path, "r");
  const acked = new Map<string, number>();
  for (let round = 0; round < kills; round++) {
    const odd = await runAndKill(remote.path, data, acked);
    assert.equal(odd, [], `round ${round}`);
    // A push that outlives its reconciler moves its objects into place one by one: a check in the middle would miss some.
    await until("no git works in there any more", async () => !(await processes()).includes(dir.path));
    await remote.fsck();
    await git(join(data, "mirror.git"), "fsck", "--strict", "--no-dangling");
    if (process.env.STATEWARD_KILLS !== undefined && round % 50 === 49)
      console.log(`${round + 1} kills, ${[...acked.values()].reduce((a, b) => a + b, 0)} acknowledged changes`);
  }
  assert.is(acked.size, 7, "it came to record");
});

test.run();
