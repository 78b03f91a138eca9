// The reconciler's own machine fails it: its disk is full, its clock jumps, its children do not end, do not stop talking, or leave others.
import { execFile } from "node:child_process";
import { mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import * as assert from "uvu/assert";
import { suite } from "../support/suite.ts";
import { tempFolder, until } from "../support/temp.ts";
import { preload, probe, type Running, Site } from "./site.ts";

const run = promisify(execFile);
const test = suite("faults of the machine", { limitMs: 240_000 });
const long = process.env.STATEWARD_LONG === "1";

const spares = ["x1", "x2"];

/** A machine on agents' hosts that would be replaced, were they lost. */
function spareMachine(effectsFile: string): object {
  const replace = [
    {
      shell: 'echo "$NAME replaced" >> "$EFFECTS"',
      env: { NAME: "${host.name}", EFFECTS: effectsFile },
      on: "controller",
    },
  ];
  return {
    initial: "ready",
    states: { ready: { available: true } },
    // oxlint-disable-next-line unicorn/no-thenable -- the format's own word
    recovery: { lost_after: "5m", then: "replace", replace },
  };
}

/** Its one step starts a child that ignores TERM, ignores it itself, and leaves a daemon in a session of its own with its pipes. */
function stubbornMachine(): object {
  const shell = `trap '' TERM
sh -c "trap '' TERM; while :; do sleep 1; done" & echo $! >> "$DIR/group"
echo $$ >> "$DIR/group"
[ -e "$DIR/daemon" ] || setsid sh -c 'echo $$ >> "$DIR/daemon"; trap "" TERM HUP; while :; do sleep 1; done' &
while :; do sleep 1; done`;
  const env = { DIR: "${host.vars.dir}" };
  return {
    initial: "off",
    states: { off: null, on: { enter: [{ from: "off", steps: [{ shell, env, timeout: "1s", repeat: "never" }] }] } },
  };
}

function floodMachine(): object {
  const shell = "yes 'a line of a flood that has no end' & exec yes 'and another on the other output' >&2";
  const seconds = long ? 60 : 4;
  return {
    initial: "off",
    states: {
      off: null,
      on: { enter: [{ from: "off", steps: [{ shell, timeout: `${seconds}s`, repeat: "never" }] }] },
    },
  };
}

/** Whether a process runs; one that has ended, and that nobody has asked for, does not. */
async function isAlive(pid: number): Promise<boolean> {
  const text = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => null);
  return text !== null && text.slice(text.lastIndexOf(")") + 2)[0] !== "Z";
}

/** Bytes of memory that a reconciler holds. */
async function memoryOf({ reconciler }: Running): Promise<number> {
  const text = await readFile(`/proc/${reconciler.child.pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(text)?.[1]) * 1024;
}

/** Whether file systems may be mounted here. */
async function mayMount(): Promise<boolean> {
  await using folder = await tempFolder();
  const mounted = await run("mount", ["-t", "tmpfs", "-o", "size=1m", "none", folder.path]).catch(() => null);
  if (mounted !== null) await run("umount", [folder.path]);
  return mounted !== null;
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
  await mayMount(),
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
        assert.match(
          running.reconciler.output,
          /stopped: the record cannot be written: ENOSPC/,
          "it says why it ended",
        );
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

/** Options of Node under which the time of day is off by as many milliseconds as a file says. Timers are not, as with a clock that is set. */
function shiftedBy(file: string): string[] {
  return preload(`import { readFileSync } from "node:fs";
    const Real = Date;
    let shift = 0;
    setInterval(() => { try { shift = Number(readFileSync(${JSON.stringify(file)}, "utf8")); } catch {} }, 20).unref();
    globalThis.Date = class extends Real {
      constructor(...args) { args.length === 0 ? super(Real.now() + shift) : super(...args); }
      static now() { return Real.now() + shift; }
    };`);
}

const dayMs = 86_400_000;

for (const direction of [1, -1] as const) {
  const where = direction > 0 ? "forward" : "back";
  test(`B2, B5, L1: the clock jumps ${where} by a day: nobody is taken for lost, holds are honoured, and work goes on`, async () => {
    await using site = await Site.open({ machines: (effectsFile) => ({ spare: spareMachine(effectsFile) }) });
    const file = join(site.dir, "shift");
    await writeFile(file, "0");
    for (const name of spares)
      await writeFile(
        join(site.folder, `hosts/${name}.yaml`),
        `host: ${name}\ntransport: agent\ntargets: { spare: ready }\n`,
      );
    await site.aim("s1");
    const running = await site.start("r1", { node: shiftedBy(file) });
    await site.arrived(running);
    const heard = await Promise.all(spares.map((name) => site.hear(running, name, { spare: "ready" })));
    assert.ok(heard.every(Boolean));
    // Two days and an hour: neither jump reaches its end.
    const until = new Date(Date.now() + 2 * dayMs + 3_600_000).toISOString();
    assert.is((await site.call(running, "/v1/holds", { select: "b", reason: "disk", by: "ana", until })).status, 201);
    const before = await site.effects();
    await writeFile(file, String(direction * dayMs));
    await sleep(long ? 30_000 : 3000);
    assert.equal(await site.effects(), before, "B2: nothing is done on the word of a clock");
    await site.aim("s2", "a");
    await site.arrived(running);
    await site.aim("s2", "b");
    await sleep(2000);
    assert.equal(
      (await site.effects()).filter((line) => line.startsWith("b s2")),
      [],
      "B5: it is still held",
    );
    assert.is((await site.call(running, "/v1/releases", { select: "b", by: "ana" })).status, 201);
    await site.arrived(running);
    assert.not.match(await readFile(site.effectsFile, "utf8"), /replaced/);
    await site.judge();
  });
}

test("S3: a step that ignores TERM is ended by KILL with its whole group, and one that it has left behind holds nobody up", async () => {
  await using site = await Site.open({ machines: () => ({ stubborn: stubbornMachine() }) });
  await writeFile(
    join(site.folder, "hosts/mule.yaml"),
    JSON.stringify({ host: "mule", transport: "local", vars: { dir: site.dir }, targets: { stubborn: "on" } }),
  );
  await site.aim("s1");
  const running = await site.start("r1");
  await site.arrived(running);
  const tried = async (): Promise<boolean> =>
    (await site.status("r1")).subjects.some(
      ({ name, machines }) =>
        name === "mule" &&
        machines.some(({ conditions }) =>
          conditions.some(({ type, message }) => type === "Stalled" && /no end within 1 s/.test(message)),
        ),
    );
  await until("it is stalled, with the reason", tried);
  const pids = async (what: string): Promise<number[]> =>
    (await readFile(join(site.dir, what), "utf8")).trim().split("\n").map(Number);
  const alive = async (what: string): Promise<number[]> => {
    const all = await Promise.all((await pids(what)).map(async (pid) => ((await isAlive(pid)) ? [pid] : [])));
    return all.flat();
  };
  assert.equal(await alive("group"), [], "S3: nothing of the group is left");
  const daemons = await alive("daemon");
  for (const pid of daemons) site.defer(() => process.kill(pid, "SIGKILL"));
  assert.is(daemons.length, 1, "what has left the group lives on");
  await site.aim("s2");
  await site.arrived(running);
  await site.judge();
});

test("S3: a step that floods both outputs until its timeout: memory, what is kept, and the record stay small", async () => {
  await using site = await Site.open({ machines: () => ({ flood: floodMachine() }) });
  await writeFile(join(site.folder, "hosts/spout.yaml"), "host: spout\ntransport: local\ntargets: { flood: on }\n");
  const running = await site.start("r1");
  await site.arrived(running);
  const rest = await memoryOf(running);
  await site.aim("s2");
  let most = 0;
  await until("it is stalled", async () => {
    most = Math.max(most, await memoryOf(running));
    const { text } = await site.call(running, "/v1/hosts/spout");
    return /no end within/.test(text) && /"Stalled","status":"True"/.test(text);
  });
  process.stdout.write(`flood: ${Math.round(rest / 1e6)} MB at rest, ${Math.round(most / 1e6)} MB at most\n`);
  assert.ok(most < rest + 200_000_000, `memory is bounded: ${rest} at rest, ${most} at most`);
  await site.arrived(running);
  await until("the outcome is recorded", async () =>
    /no end within/.test(JSON.stringify(await site.recorded("spout").catch(() => null))),
  );
  assert.ok(JSON.stringify(await site.recorded("spout")).length < 20_000, "the record is small");
  const { size } = await stat(join(site.data("r1"), "stateward.log"));
  assert.ok(size < 200_000, "so is the log");
  await site.judge();
});

test.needs(
  "prlimit",
  (await run("prlimit", ["--version"]).catch(() => null)) !== null,
  "L1: a reconciler that may open no more files, and whose output nobody takes any more, goes on when it may again",
  async () => {
    await using site = await Site.open();
    const running = await site.start("r1");
    await site.arrived(running);
    const { child } = running.reconciler;
    const limit = (files: number): Promise<unknown> =>
      run("prlimit", ["--pid", String(child.pid), `--nofile=${files}:`]);
    await limit(8);
    await site.aim("s2");
    await sleep(4000);
    assert.is(child.exitCode, null, running.reconciler.output);
    await limit(1024);
    await site.arrived(running);
    for (const stream of [child.stdout, child.stderr]) stream?.destroy();
    await site.aim("s3");
    await site.arrived(running);
    assert.is(child.exitCode, null, "it has not ended as if its work were done");
    await site.judge();
  },
);

test.run();
