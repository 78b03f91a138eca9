// Two reconcilers as people run them: one remote, two data folders, one fleet.
import { execFile } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import * as assert from "uvu/assert";
import { type CliResult, cli, Reconciler } from "../support/example.ts";
import { git } from "../support/git-remote.ts";
import { freePort } from "../support/sshd.ts";
import { suite } from "../support/suite.ts";
import { tempFolder, until } from "../support/temp.ts";

const run = promisify(execFile);
const test = suite("standby", { limitMs: 240_000 });

interface Site extends AsyncDisposable {
  readonly remote: string;
  readonly counter: string;
  /** Global options for the reconciler of that name. */
  start(name: string): Promise<Reconciler>;
  ask(name: string, ...args: string[]): Promise<CliResult>;
  /** Sets every target and pushes it, with a push option where one is needed. */
  aim(state: string, ...push: string[]): Promise<void>;
}

/** Two hosts whose transitions are marked never, and count themselves outside of the hosts. */
async function openSite(): Promise<Site> {
  const dir = await tempFolder();
  const folder = join(dir.path, "fleet");
  const [remote, counter] = [join(dir.path, "remote.git"), join(dir.path, "counter")];
  const step = { shell: 'echo ran >> "$COUNTER"', env: { COUNTER: counter }, repeat: "never" };
  const machine = {
    machine: "svc",
    initial: "blank",
    states: {
      blank: null,
      one: { enter: [{ from: "blank", steps: [step] }] },
      two: { enter: [{ from: "one", steps: [{ ...step, name: "again" }] }] },
    },
  };
  await mkdir(join(folder, "machines"), { recursive: true });
  await mkdir(join(folder, "hosts"));
  await writeFile(
    join(folder, "stateward.yaml"),
    'poll: "* * * * * *"\nrecord: { window: 1s }\nlook: 1s\nbrakes: { max_moved: 100% }\nrollout: { at_once: 100% }\n',
  );
  await writeFile(join(folder, "machines/svc.yaml"), JSON.stringify(machine));
  await run("git", ["init", "--quiet", "--bare", "--initial-branch=main", remote]);
  await git(folder, "init", "--quiet");
  const aim = async (state: string, ...push: string[]): Promise<void> => {
    for (const name of ["a", "b"])
      await writeFile(
        join(folder, `hosts/${name}.yaml`),
        `host: ${name}\ntransport: local\ntargets: { svc: ${state} }\n`,
      );
    await git(folder, "add", "--all");
    await git(folder, "commit", "--quiet", "--allow-empty", "-m", state);
    await git(folder, "push", "--quiet", ...push, remote, "HEAD:main");
  };
  await aim("one");
  const running: Reconciler[] = [];
  const options = (name: string): string[] => ["--data", join(dir.path, name), "--repository", remote];
  return {
    remote,
    counter,
    aim,
    start: async (name) => {
      const reconciler = new Reconciler(folder, `127.0.0.1:${await freePort()}`, options(name));
      running.push(reconciler);
      await reconciler.says("serves");
      return reconciler;
    },
    ask: (name, ...args) => cli(folder, ...options(name), ...args),
    [Symbol.asyncDispose]: async () => {
      for (const { child } of running) child.kill("SIGKILL");
      await dir[Symbol.asyncDispose]();
    },
  };
}

test("one leads, the other stands by and says so; when the leader ends in order, it takes over, and no step runs twice", async () => {
  await using site = await openSite();
  const first = await site.start("r1");
  await first.says("all 2 are in their target states");
  const second = await site.start("r2");
  await second.says("stands by");
  assert.match((await site.ask("r1", "status")).stdout, /record: epoch 1, leader .*, this reconciler/);
  const standby = await site.ask("r2", "status");
  assert.match(standby.stdout, /record: epoch 1, leader .*; this reconciler stands by/);
  assert.match((await site.ask("r2", "retry", "a")).stderr, /stands by/);
  assert.is(await first.stop("SIGTERM"), 0);
  await second.says("in force");
  await site.aim("two");
  for (const name of ["a", "b"]) await second.says(new RegExp(`${name} +svc: one -> two`));
  const lines = (await readFile(site.counter, "utf8")).trim().split("\n");
  assert.is(lines.length, 4, "two hosts, two steps");
  assert.match((await site.ask("r2", "status", "--json")).stdout, /"role": "leading"/);
  await git(site.remote, "fsck", "--strict", "--no-dangling");
  assert.is(await second.stop("SIGTERM"), 0);
});

test("a leader that was stopped and goes on finds another leading: it steps down, and stands by in the same process", async () => {
  await using site = await openSite();
  const first = await site.start("r1");
  await first.says("all 2 are in their target states");
  first.child.kill("SIGSTOP");
  // A person does not wait until the standby is sure.
  const { exit } = await site.ask("r2", "run", "--once", "--take-over", "--listen", `127.0.0.1:${await freePort()}`);
  assert.is(exit, 0);
  await site.aim("two");
  first.child.kill("SIGCONT");
  await first.says(/steps down|in force[^]*in force/);
  await until("both hosts in state two", async () => {
    const { stdout } = await site.ask("r1", "status");
    return /a +- +svc +two/.test(stdout) && /b +- +svc +two/.test(stdout);
  });
  const lines = (await readFile(site.counter, "utf8")).trim().split("\n");
  assert.is(lines.length, 4);
  assert.is(await git(site.remote, "rev-list", "--count", "--merges", "observed"), "0", "one history");
  await first.stop("SIGTERM");
});

test("archive and accept-history: a new root that history reads across; a rewound main that a person accepts", async () => {
  await using site = await openSite();
  const reconciler = await site.start("r1");
  await reconciler.says("all 2 are in their target states");
  assert.match((await site.ask("r1", "record", "archive", "--dry-run")).stdout, /nothing was changed/);
  const archived = await site.ask("r1", "record", "archive");
  assert.match(archived.stdout, /observed has a new root; what it was is on observed-archive\//, archived.stderr);
  assert.is(await git(site.remote, "rev-list", "--count", "observed"), "1");
  await site.aim("two");
  await reconciler.says(/b +svc: one -> two/);
  await until("the transition in the history", async () => {
    const { stdout } = await site.ask("r1", "history", "b");
    return /one -> two[^]*blank -> one/.test(stdout);
  });
  assert.match((await site.ask("r1", "accept-history")).stdout, /nothing to accept/);
  // Somebody takes the latest commit away.
  await git(site.remote, "update-ref", "refs/heads/main", "refs/heads/main~1");
  await reconciler.says("main was rewound or rewritten");
  const shown = await site.ask("r1", "accept-history");
  assert.match(shown.stdout, /1 commits that were followed are not part of it[^]*nothing was changed/);
  assert.match((await site.ask("r1", "status")).stdout, /accept-history/);
  assert.match((await site.ask("r1", "accept-history", "--yes")).stdout, /accepted/);
  await until("the branch is followed again", async () => {
    const { stdout } = await site.ask("r1", "status");
    return !stdout.includes("accept-history");
  });
  assert.is(await reconciler.stop("SIGTERM"), 0);
});

test.run();
