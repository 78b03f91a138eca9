// The main job, end to end: real Git servers, a region that is lost, and kill -9 at bad moments.
import { execFile } from "node:child_process";
import { appendFile, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import * as assert from "uvu/assert";
import { cli, openExample, refs } from "../support/example.ts";
import { suite } from "../support/suite.ts";
import { until } from "../support/temp.ts";

const run = promisify(execFile);
const test = suite("outage");

test("a lost region is replayed: the service is back with the same data, and the record tells it", async () => {
  await using example = await openExample();
  const [first, second] = example.ports;
  const reconciler = example.start();
  await reconciler.says("all 2 are in their target states");
  const before = await refs(first);
  assert.match(before, /682bb1e9e98827183ca71c04f284e26cc67ef131\trefs\/heads\/main/);
  assert.is(await refs(second), before);
  await run("git", ["clone", "--quiet", `git://127.0.0.1:${first}/site.git`, join(example.folder, "clone-1")]);

  const mark = reconciler.output.length;
  const outage = await cli(example.folder, "outage", "--region", "east", "--yes");
  assert.match(outage.stdout, /git-1: [1-9]\d* processes killed/);
  assert.is(await refs(second), before, "west serves on");
  await reconciler.says("all 2 are in their target states", mark);
  assert.is(await refs(first), before);
  await run("git", ["clone", "--quiet", `git://127.0.0.1:${first}/site.git`, join(example.folder, "clone-2")]);

  const status = await cli(example.folder, "status", "--json");
  const { live, health } = JSON.parse(status.stdout) as { live: boolean; health: { inTarget: number } };
  assert.equal([live, health.inTarget, status.exit], [true, 2, 0]);
  assert.is(await reconciler.stop("SIGTERM"), 0, reconciler.output);
  const history = (await cli(example.folder, "history", "git-1")).stdout;
  for (const line of [
    "rebuilt",
    "blank -> installed (git-server, replay)",
    "installed -> restored (git-server, replay)",
    "restored -> serving (git-server, replay)",
  ])
    assert.match(history, line);
  await example.origin("fsck", "--strict", "--no-dangling");

  const tip = await example.origin("rev-parse", "observed");
  const again = await cli(example.folder, "run", "--listen", example.listen, "--once");
  assert.is(again.exit, 0, again.stderr);
  assert.is(await example.origin("rev-parse", "observed"), tip, "R2: a restart at rest records nothing");
});

/** The restore step appends a line where the outage does not reach, and takes a while. */
const counted = (path: string, text: string): string =>
  path === "machines/git-server.yaml"
    ? text
        .replace("for try in", 'echo "$NAME" >> ../../count; sleep 2\n              for try in')
        .replace("env: { SOURCE:", 'env: { NAME: "${host.name}", SOURCE:')
    : text;

test("S2, D1: kill -9 in the middle of a transition: it goes on, and the step marked never did not run twice", async () => {
  await using example = await openExample(counted);
  const count = async (): Promise<string> => readFile(join(example.folder, "count"), "utf8").catch(() => "");
  const first = example.start();
  await until("the step marked never has begun", async () => (await count()) !== "");
  await first.stop("SIGKILL");
  const second = example.start();
  await second.says("all 2 are in their target states");
  assert.is(await count(), "git-1\ngit-2\n");
  await second.stop("SIGKILL");
  await example.origin("fsck", "--strict", "--no-dangling");
});

test("D2: without anything but the repository, a reconciler carries on: hosts are known, and nothing runs again", async () => {
  await using example = await openExample(counted);
  const first = example.start();
  await first.says("all 2 are in their target states");
  await until("the record is pushed", async () =>
    (await example.origin("log", "-1", "--format=%B", "observed")).includes("posted"),
  );
  await first.stop("SIGKILL");
  for (const name of await readdir(join(example.folder, ".stateward"))) {
    if (name !== "origin.git") await rm(join(example.folder, ".stateward", name), { recursive: true });
  }
  const second = example.start();
  await second.says("all 2 are in their target states");
  assert.is(await readFile(join(example.folder, "count"), "utf8"), "git-1\ngit-2\n");
  assert.is(await example.origin("log", "-1", "--format=%s", "observed"), "lead: epoch 2");
});

test("D4: a bad commit changes nothing, is shown with its problems, and stays out over a restart; --once says 1", async () => {
  await using example = await openExample();
  const first = example.start();
  await first.says("all 2 are in their target states");
  const work = join(example.folder, "work");
  await run("git", ["clone", "--quiet", join(example.folder, ".stateward/origin.git"), work]);
  await appendFile(join(work, "hosts/git-2.yaml"), "tragets: {}\n");
  const git = (...args: string[]) =>
    run("git", ["-C", work, "-c", "user.name=Ana", "-c", "user.email=ana@example.org", ...args]);
  await git("commit", "--quiet", "--all", "-m", "Break it");
  await git("push", "--quiet");
  await first.says("has 1 problem:");
  const status = await cli(example.folder, "status");
  assert.is(status.exit, 1);
  assert.match(status.stdout, /hosts\/git-2\.yaml:\d+:1 SW101 unknown key tragets; did you mean targets\?/);
  await first.stop("SIGKILL");
  const second = example.start();
  await second.says("all 2 are in their target states");
  const ready = (await (await fetch(`http://${example.listen}/readyz`)).json()) as {
    status: string;
    problems: unknown[];
  };
  assert.equal([ready.status, ready.problems.length], ["degraded", 1]);
  await second.stop("SIGTERM");
  const offline = await cli(example.folder, "status");
  assert.is(offline.exit, 1, "without a reconciler the refused commit is shown as well");
  assert.match(offline.stdout, /SW101/);
  const once = await cli(example.folder, "run", "--listen", example.listen, "--once");
  assert.is(once.exit, 1);
  assert.match(once.stderr, /SW101/);
});

test("two starts on one folder: the second says who has it, and ends", async () => {
  await using example = await openExample();
  const first = example.start();
  await first.says("all 2 are in their target states");
  const second = await cli(example.folder, "run", "--listen", "127.0.0.1:0");
  assert.is(second.exit, 1);
  assert.match(second.stderr, new RegExp(`process ${first.child.pid}`));
  await first.stop("SIGKILL");
  const third = example.start();
  await third.says("all 2 are in their target states");
});

test("a daemon that dies is seen by its state's check, and started again", async () => {
  await using example = await openExample();
  const reconciler = example.start();
  await reconciler.says("all 2 are in their target states");
  const mark = reconciler.output.length;
  const pid = Number(await readFile(join(example.folder, ".stateward-hosts/git-2/run/git-daemon.pid"), "utf8"));
  process.kill(pid, "SIGKILL");
  await reconciler.says(/git-2 {2}git-server: restored -> serving/, mark);
  assert.match(await refs(example.ports[1]), /refs\/heads\/main/);
});

test("a port that another server has: the host is stalled with the reason, the history tells each try, --once says 1", async () => {
  await using first = await openExample();
  const running = first.start();
  await running.says("all 2 are in their target states");
  await using second = await openExample((path, text) =>
    path === "hosts/git-1.yaml" ? text.replace(/port: \d+/, `port: ${first.ports[0]}`) : text,
  );
  const settings = await readFile(join(second.folder, "stateward.yaml"), "utf8");
  await writeFile(
    join(second.folder, "stateward.yaml"),
    settings.replace("limit: 5, backoff: 1s", "limit: 2, backoff: 100ms"),
  );
  const once = await cli(second.folder, "run", "--listen", second.listen, "--once");
  assert.is(once.exit, 1);
  assert.match(
    once.stderr,
    /git-1 git-server: restored, target serving: AttemptsExhausted: .*another server answers on port/,
  );
  assert.match(
    (await cli(second.folder, "history", "git-1")).stdout,
    /restored -> serving failed \(git-server, try 2\): start: exit 1: another server/,
  );
});

test("a changed target is followed by a push: drained, and back", async () => {
  await using example = await openExample();
  const reconciler = example.start();
  await reconciler.says("all 2 are in their target states");
  await reconciler.stop("SIGTERM");
  const file = join(example.folder, "hosts/git-2.yaml");
  const text = await readFile(file, "utf8");
  await writeFile(file, text.replace("git-server: serving", "git-server: drained"));
  const plan = await cli(example.folder, "plan", "--exit-code");
  assert.is(plan.exit, 3);
  assert.match(plan.stdout, /git-2 {2}git-server: serving -> drained/);
  const once = await cli(example.folder, "run", "--listen", example.listen, "--once");
  assert.is(once.exit, 0, once.stderr);
  assert.is(await refs(example.ports[1]).catch(() => "refused"), "refused");
});

test.run();
