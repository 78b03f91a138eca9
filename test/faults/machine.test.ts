// The reconciler's own machine fails it: its disk is full, its clock jumps, its children do not end, do not stop talking, or leave others.
import { execFile, execFileSync } from "node:child_process";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import * as assert from "uvu/assert";
import { suite } from "../support/suite.ts";
import { tempFolder, until } from "../support/temp.ts";
import { hosts, preload, probe, type Running, Site, stateOf } from "./site.ts";

const run = promisify(execFile);
const test = suite("faults of the machine");
const long = process.env.STATEWARD_LONG === "1";

/** Whether file systems may be mounted here. */
function mayMount(): boolean {
  try {
    execFileSync("unshare", ["--mount", "mount", "-t", "tmpfs", "none", "/mnt"], { stdio: "ignore" });
    return process.getuid?.() === 0;
  } catch {
    return false;
  }
}

/** A small file system over a reconciler's data folder. */
async function smallDisk(site: Site, name: string, megabytes: number): Promise<void> {
  await mkdir(site.data(name));
  await run("mount", ["-t", "tmpfs", "-o", `size=${megabytes}m`, "none", site.data(name)]);
  site.defer(() => run("umount", ["--lazy", site.data(name)]));
}

/** Takes all the space that is left, but for so many bytes. */
async function fill(folder: string, leftBytes: number): Promise<void> {
  const { stdout } = await run("df", ["--output=avail", "--block-size=1", folder]);
  const bytes = Math.max(0, Number(stdout.split("\n")[1]) - leftBytes);
  await run("fallocate", ["--length", String(bytes), join(folder, "ballast")]);
}

test.needs(
  "the right to mount",
  mayMount(),
  "D1, D2: the disk of the reconciler is full: nothing is acknowledged that is not kept, and with space it goes on where it was",
  async () => {
    await using site = await Site.open();
    await smallDisk(site, "r1", 24);
    let running = await site.start("r1");
    await site.arrived(running);
    let acknowledged = 0;
    for (const [round, leftBytes] of [0, 5000, 60_000].entries()) {
      await fill(site.data("r1"), leftBytes);
      await site.aim(`s${round + 2}`);
      // What is acknowledged while space runs out is as good as any: the last one counts.
      for (let index = 1; index <= 4; index++) {
        const dial = round * 4 + index;
        if (await site.report(running, `d${dial}`)) acknowledged = dial;
      }
      const ended = await Promise.race([
        sleep(4000),
        new Promise((resolve) => running.reconciler.child.once("exit", resolve)),
      ]);
      await rm(join(site.data("r1"), "ballast"));
      if (ended !== undefined || running.reconciler.child.exitCode !== null) {
        assert.match(running.reconciler.output, /stopped: the record cannot be written: ENOSPC/, "it says why it ended");
        assert.not.match(running.reconciler.output, /Unhandled|\n {4}at /, "it ended of its own accord");
        running = await site.start("r1");
      }
      await site.arrived(running);
      await until("D1: what was acknowledged is in the record, or what came after it", async () => {
        const record = await site.recorded(probe).catch(() => null);
        return Number(record?.machines.dial?.state.slice(1) ?? 0) >= acknowledged;
      });
    }
    await site.judge();
    await running.kill();
    await site.judgeAfresh();
  },
);

test.run();
