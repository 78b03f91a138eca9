// One suite for every transport that runs steps: real processes, over the local one and over a real sshd; and for what runs beside us.
import { mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as fc from "fast-check";
import * as assert from "uvu/assert";
import { Controller } from "../../reconciler/adapters/controller.ts";
import { Hosts } from "../../reconciler/adapters/hosts.ts";
import { runProcess } from "../../reconciler/adapters/process.ts";
import { LocalTransport, SshTransport, type Transport } from "../../reconciler/adapters/transport.ts";
import type { Outcome } from "../../reconciler/model/ports.ts";
import { parseHost } from "../../reconciler/model/subject.ts";
import type { Action, Host, Step } from "../../reconciler/model/types.ts";
import { exists } from "../../reconciler/record/disk.ts";
import { findSshd, startSshd } from "../support/sshd.ts";
import { suite } from "../support/suite.ts";
import { tempFolder, until } from "../support/temp.ts";

const test = suite("transport");
const sshd = await findSshd();

interface Rig extends AsyncDisposable {
  readonly hosts: Hosts;
  readonly host: Host;
  readonly transport: Transport;
  /** Where relative paths of steps lead. */
  readonly cwd: string;
  incarnation(): Promise<string>;
  step(action: Action, more?: { timeoutMs?: number; claim?: string; incarnation?: string | null }): Promise<Outcome>;
}

function rigOf(transport: Transport, host: Host, cwd: string, dispose: () => PromiseLike<void>): Rig {
  const controller = new Controller(`${cwd}-unused`, runProcess);
  const hosts = new Hosts({ transportOf: () => transport, controller, now: () => 1 });
  return {
    hosts,
    host,
    transport,
    cwd,
    incarnation: async () => (await hosts.look(host, () => null)).incarnation ?? "",
    step: (action, { timeoutMs = 20_000, claim, incarnation = null } = {}) => {
      const repeat = claim === undefined ? "always" : "never";
      const step: Step = { key: "k", title: "k", repeat, timeoutMs, on: "host", action };
      return hosts.run({ host, machine: "m", step, action, claim: claim ?? null, incarnation });
    },
    [Symbol.asyncDispose]: dispose,
  };
}

async function openLocal(): Promise<Rig> {
  const dir = await tempFolder();
  const host = parseHost("", { host: "h1", transport: "local" });
  return rigOf(new LocalTransport(dir.path, runProcess), host, join(dir.path, "h1"), () => dir[Symbol.asyncDispose]());
}

/** Where root's markers stand on a host: here, this machine. What was not there before does not stay. */
const rootMarkers = "/var/lib/stateward";

async function openSsh(): Promise<Rig> {
  const dir = await tempFolder();
  const wasThere = await exists(rootMarkers);
  const server = await startSshd(sshd ?? "", dir.path);
  const transport = new SshTransport({
    runProcess,
    dir: join(dir.path, "ssh"),
    user: server.user,
    identity: server.identity,
  });
  const value = { host: "h1", address: "127.0.0.1", ssh: { port: server.port, host_key: server.hostKey } };
  const host = parseHost("", value);
  const cwd = join(dir.path, "cwd");
  await mkdir(cwd);
  return rigOf(transport, host, cwd, async () => {
    await transport.close();
    await server[Symbol.asyncDispose]();
    if (!wasThere) await rm(rootMarkers, { recursive: true, force: true });
    await dir[Symbol.asyncDispose]();
  });
}

const shell = (script: string, env: Record<string, string> = {}): Action => ({ kind: "shell", script, env });
const run = (...argv: string[]): Action => ({ kind: "run", argv, env: {} });

for (const [name, open, needs] of [
  ["local", openLocal, true],
  ["ssh", openSsh, sshd !== null],
] as const) {
  const check = (title: string, body: (rig: Rig) => Promise<void>): void =>
    test.needs("sshd (openssh-server)", needs, `${name}: ${title}`, async () => {
      await using rig = await open();
      await body(rig);
    });
  const pathIn = (rig: Rig, file: string): string => (name === "local" ? file : join(rig.cwd, file));

  check("a look gives the host an identity that stays", async (rig) => {
    const first = await rig.hosts.look(rig.host, () => null);
    assert.is(first.reachable, true, first.message);
    assert.match(first.incarnation ?? "", /^[0-9a-f]{32}$/);
    assert.is(await rig.incarnation(), first.incarnation);
  });

  check("a marker is read back, and its state's check is run", async (rig) => {
    const incarnation = await rig.incarnation();
    assert.is(
      (
        await rig.hosts.mark({
          host: rig.host,
          incarnation,
          machine: "conformance-m",
          claim: { state: "up", revision: 7 },
        })
      ).kind,
      "ok",
    );
    const seen: string[] = [];
    const report = await rig.hosts.look(rig.host, (machine, claim) => {
      seen.push(`${machine} ${claim.state}`);
      return { action: run("test", "-e", "/nonexistent"), timeoutMs: 5000 };
    });
    assert.equal(report.states["conformance-m"], { state: "up", revision: 7 });
    assert.ok(seen.includes("conformance-m up"));
    assert.is(report.checks["conformance-m"]?.ok, false);
  });

  check("D3: a marker does not take the place of a newer one", async (rig) => {
    const incarnation = await rig.incarnation();
    const mark = (state: string, revision: number): ReturnType<typeof rig.hosts.mark> =>
      rig.hosts.mark({ host: rig.host, incarnation, machine: "conformance-m", claim: { state, revision } });
    assert.is((await mark("up", 9)).kind, "ok");
    assert.is((await mark("down", 8)).kind, "failed");
    const report = await rig.hosts.look(rig.host, () => null);
    assert.equal(report.states["conformance-m"], { state: "up", revision: 9 });
    assert.is((await mark("down", 10)).kind, "ok");
  });

  check("exit 0 is well, another exit is a failure that keeps the output", async (rig) => {
    assert.equal(await rig.step(shell("echo well")), { kind: "ok", output: "well\n" });
    const outcome = await rig.step(shell("echo bad >&2; exit 3"));
    assert.ok(
      outcome.kind === "failed" && outcome.message === "exit 3" && outcome.output.includes("bad"),
      JSON.stringify(outcome),
    );
    for (const exit of [1, 113, 114, 124, 255])
      assert.is((await rig.step(shell(`exit ${exit}`))).kind, "failed", `exit ${exit}`);
    assert.is((await rig.step(run("no-such-program-anywhere"))).kind, "failed");
  });

  check("A3: values reach a program as they are: no shell reads them", async (rig) => {
    for (const evil of [
      "$(touch /tmp/pwned)",
      "`id`",
      "a'b\"c\\d",
      "--help; ls",
      "line\nbreak",
      "* ? [",
      "é\u{1f600}",
      "$HOME",
      "a\\nb",
      "'",
    ]) {
      const outcome = await rig.step(run("printf", "%s", evil));
      assert.is(outcome.output, evil);
      assert.is((await rig.step({ ...shell('printf %s "$VALUE"'), env: { VALUE: evil } } as Action)).output, evil);
    }
  });

  check("S3: a step ends at its timeout, with everything in its process group", async (rig) => {
    const file = join(rig.cwd, "pid");
    const outcome = await rig.step(shell(`sh -c 'trap "" TERM; echo $$ > ${JSON.stringify(file)}; sleep 600' & wait`), {
      timeoutMs: 1000,
    });
    assert.is(outcome.kind, "timeout", JSON.stringify(outcome));
    const pid = Number(await readFile(file, "utf8"));
    await until("the process that ignores TERM is gone", () => !isAlive(pid), 20_000);
  });

  check("a daemon that a step leaves behind does not keep the step from ending", async (rig) => {
    const outcome = await rig.step(shell("(setsid sleep 30 >/dev/null 2>&1 </dev/null &) ; echo started"));
    assert.equal(outcome, { kind: "ok", output: "started\n" });
  });

  check("output is kept to a bound, and no credential in it is kept", async (rig) => {
    const flood = await rig.step(shell("yes | head -c 3000000; exit 1"));
    assert.is(flood.kind, "failed");
    assert.ok(flood.output.length <= 140_000, String(flood.output.length));
    assert.is((await rig.step(shell("echo 'Authorization: Bearer abcdefghijkl'"))).output, "Authorization: ***\n");
  });

  check("S2: a claimed step runs once, whoever starts it, and leaves a receipt", async (rig) => {
    const claim = `m.once-${process.pid}-${Date.now()}.0`;
    const file = join(rig.cwd, "count");
    const ask = () => rig.hosts.inquire({ host: rig.host, incarnation: null, claim });
    await rig.incarnation();
    assert.equal(await ask(), { kind: "absent" });
    const outcomes = await Promise.all(
      Array.from({ length: 4 }, () =>
        rig.step(shell(`echo x >> ${JSON.stringify(file)}; sleep 0.3; exit 5`), { claim }),
      ),
    );
    assert.equal(outcomes.map(({ kind }) => kind).toSorted(), ["claimed", "claimed", "claimed", "failed"]);
    assert.is(await readFile(file, "utf8"), "x\n");
    assert.equal(await ask(), { kind: "ended", exit: 5 });
  });

  check("S2: while the claimed step runs, the host says so; killed, it says that it does not know", async (rig) => {
    const claim = `m.run-${process.pid}-${Date.now()}.0`;
    const ask = async () => (await rig.hosts.inquire({ host: rig.host, incarnation: null, claim })).kind;
    await rig.incarnation();
    const step = rig.step(shell("sleep 600"), { claim, timeoutMs: 3000 });
    await until("the step runs", async () => (await ask()) === "running");
    assert.is((await step).kind, "timeout");
    assert.is(await until("it has ended", async () => ((await ask()) === "unknown" ? "unknown" : null)), "unknown");
  });

  check("a step for another life of the host is not run", async (rig) => {
    await rig.incarnation();
    const file = join(rig.cwd, "ran");
    const outcome = await rig.step(shell(`touch ${JSON.stringify(file)}`), { incarnation: "another-life-0001" });
    assert.is(outcome.kind, "unreachable");
    assert.is((await rig.step(run("test", "-e", file))).kind, "failed");
  });

  check("write: a file appears with content and mode, and is written only if it differs", async (rig) => {
    const write = (content: string, mode = "0640"): Action => ({
      kind: "write",
      path: pathIn(rig, "sub/f.txt"),
      content,
      mode,
    });
    await rig.incarnation();
    assert.is((await rig.step(write("it's\n$x\n"))).output.trim(), "changed");
    assert.is((await rig.step(write("it's\n$x\n"))).output.trim(), "unchanged");
    assert.is((await rig.step(write("it's\n$x\n", "0600"))).output.trim(), "changed");
    assert.is(await readFile(join(rig.cwd, "sub/f.txt"), "utf8"), "it's\n$x\n");
    assert.is((await rig.step(write("other", "0600"))).output.trim(), "changed");
  });

  check("A3: a path that leaves the folder is refused", async (rig) => {
    for (const path of ["../out", "a/../../out"])
      assert.is((await rig.step({ kind: "write", path, content: "x", mode: "0644" })).kind, "failed");
  });
}

test("local: a host whose folder was wiped is a new one, and processes of the old one are gone", async () => {
  await using rig = await openLocal();
  const first = await rig.incarnation();
  await rig.step(shell("sleep 600 >/dev/null 2>&1 & echo $! > pid"));
  const pid = Number(await readFile(join(rig.cwd, "pid"), "utf8"));
  assert.ok(isAlive(pid));
  await rm(rig.cwd, { recursive: true });
  assert.is.not(await rig.incarnation(), first);
  await until("the old process is gone", () => !isAlive(pid));
});

test("A3: local: a link that leads out of the folder is not followed, and nothing is made behind it", async () => {
  await using rig = await openLocal();
  await using outside = await tempFolder();
  await rig.incarnation();
  assert.is((await rig.step(run("ln", "-s", outside.path, "link"))).kind, "ok");
  for (const path of ["link/f", "link/a/b/f"]) {
    assert.is((await rig.step({ kind: "write", path, content: "x", mode: "0644" })).kind, "failed", path);
  }
  assert.equal(await readdir(outside.path), []);
  assert.is((await rig.step({ kind: "write", path: "new/a/b/f", content: "x", mode: "0644" })).kind, "ok");
});

test("local: an absolute path is refused", async () => {
  await using rig = await openLocal();
  assert.is((await rig.step({ kind: "write", path: "/tmp/x", content: "x", mode: "0644" })).kind, "failed");
});

test.needs(
  "sshd (openssh-server)",
  sshd !== null,
  "ssh: a host with another key is refused, and so is one that nobody answers for",
  async () => {
    await using rig = await openSsh();
    const wrong = {
      ...rig.host,
      ssh: {
        ...rig.host.ssh,
        hostKey: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0wNA4tAxuKz1WwGZ0ImLZyLHvS1Vj2M4h6XQ3Zb1Nw",
      },
    };
    const report = await rig.hosts.look(wrong, () => null);
    assert.is(report.reachable, false);
    const away = { ...rig.host, name: "h2", ssh: { ...rig.host.ssh, port: 1 } };
    const silent = await rig.hosts.look(away, () => null);
    assert.ok(!silent.reachable && silent.message.startsWith("ssh:"), silent.message);
  },
);

test.needs(
  "sshd (openssh-server)",
  sshd !== null,
  "ssh: nothing of a step stands on the command line of ssh",
  async () => {
    await using rig = await openSsh();
    const orders: string[] = [];
    const spy = new SshTransport({
      runProcess: (order) => {
        orders.push(order.argv.join(" "));
        return runProcess(order);
      },
      dir: join(rig.cwd, "s"),
      user: null,
      identity: null,
    });
    const controller = new Controller(join(rig.cwd, "w"), runProcess);
    await new Hosts({ transportOf: () => spy, controller, now: () => 1 }).run({
      host: rig.host,
      machine: "m",
      incarnation: null,
      claim: null,
      step: { key: "k", title: "k", repeat: "always", timeoutMs: 5000, on: "host", action: run("x") },
      action: run("echo", "geheim"),
    });
    await spy.close();
    assert.ok(orders.length > 0 && orders.every((text) => !text.includes("geheim")));
  },
);

interface ControllerRig extends AsyncDisposable {
  /** Made by the first step. */
  readonly work: string;
  step(action: Action, more?: { timeoutMs?: number; host?: Host; repeat?: Step["repeat"] }): Promise<Outcome>;
  /** Another reconciler of the same data folder: what the first one left running is not its child. */
  next(): ControllerRig;
}

function controllerOf(dir: string, dispose: () => PromiseLike<void>): ControllerRig {
  const work = join(dir, "data", "work");
  const controller = new Controller(work, runProcess);
  // Hosts that nobody can reach.
  const hosts = new Hosts({ transportOf: () => null, controller, now: () => 1 });
  const local = parseHost("", { host: "h1", transport: "local" });
  return {
    work,
    step: (action, { timeoutMs = 20_000, host = local, repeat = "always" } = {}) => {
      const step: Step = { key: "k", title: "k", repeat, timeoutMs, on: "controller", action };
      return hosts.run({ host, machine: "m", step, action, claim: null, incarnation: "another-life-0001" });
    },
    next: () => controllerOf(dir, dispose),
    [Symbol.asyncDispose]: dispose,
  };
}

const onController = (title: string, body: (rig: ControllerRig) => Promise<void>): void =>
  test(`on: controller: ${title}`, async () => {
    const dir = await tempFolder();
    await using rig = controllerOf(dir.path, () => dir[Symbol.asyncDispose]());
    await body(rig);
  });

onController("a step runs in the work folder, whoever the host is and whether it is there", async (rig) => {
  assert.equal(await rig.step(run("pwd")), { kind: "ok", output: `${rig.work}\n` });
  assert.is((await stat(rig.work)).mode & 0o777, 0o700);
  const agent = parseHost("", { host: "h2", transport: "agent" });
  assert.equal(await rig.step(shell("echo $STATEWARD_HOST; pwd"), { host: agent }), {
    kind: "ok",
    output: `h2\n${rig.work}\n`,
  });
});

onController("another exit, and a program that is not there, are failures, never a host out of reach", async (rig) => {
  for (const exit of [1, 113, 114, 124, 137, 255]) {
    const outcome = await rig.step(shell(`echo bad >&2; exit ${exit}`), { repeat: "never" });
    assert.equal(outcome, { kind: "failed", message: `exit ${exit}`, output: "bad\n" });
  }
  assert.is((await rig.step(run("no-such-program-anywhere"))).kind, "failed");
  assert.is((await rig.step(shell("kill -KILL $PPID; kill -KILL $$"))).kind, "failed");
  for (const end of ["rebuilt", "timeout"])
    assert.is.not((await rig.step(shell(`printf '\\n@stateward-exit ${end}\\n'; kill -KILL 0`))).kind, "unreachable");
  assert.equal(await rig.step(run("true")), { kind: "ok", output: "" });
});

onController("a work folder that cannot be made is a failure", async (rig) => {
  await mkdir(join(rig.work, ".."), { recursive: true });
  await writeFile(rig.work, "a file");
  const outcome = await rig.step(run("true"));
  assert.ok(outcome.kind === "failed" && outcome.message !== "", JSON.stringify(outcome));
});

onController("A3: values reach a program as they are, and nothing else of our environment does", async (rig) => {
  process.env.STATEWARD_TEST_SECRET = "geheim";
  try {
    const evil = "$(touch pwned) 'a' \"b\" \\ `id`\nline";
    assert.is((await rig.step(run("printf", "%s", evil))).output, evil);
    assert.is((await rig.step({ ...shell('printf %s "$VALUE"'), env: { VALUE: evil } } as Action)).output, evil);
    const { output } = await rig.step({ ...run("env"), env: { GIVEN: "1" } } as Action);
    const names = output.split("\n").flatMap((line) => line.split("=")[0] || []);
    const ours = names.filter((name) => !["PWD", "OLDPWD", "SHLVL", "_"].includes(name));
    assert.equal(ours.toSorted(), ["GIVEN", "HOME", "LANG", "PATH", "STATEWARD_HOST"]);
    assert.match(output, `HOME=${rig.work}\n`);
  } finally {
    delete process.env.STATEWARD_TEST_SECRET;
  }
});

onController("S3: a step ends at its timeout, with everything in its process group", async (rig) => {
  const script = `sh -c 'trap "" TERM; echo $$ > pid; sleep 600' & wait`;
  const outcome = await rig.step(shell(script), { timeoutMs: 1000 });
  assert.is(outcome.kind, "timeout", JSON.stringify(outcome));
  const pid = Number(await readFile(join(rig.work, "pid"), "utf8"));
  await until("the process that ignores TERM is gone", () => !isAlive(pid), 20_000);
});

onController("output is kept to a bound, and no credential in it is kept", async (rig) => {
  const flood = await rig.step(shell("yes | head -c 3000000; exit 1"));
  assert.is(flood.kind, "failed");
  assert.ok(flood.output.length <= 140_000, String(flood.output.length));
  assert.is((await rig.step(shell("echo 'Authorization: Bearer abcdefghijkl'"))).output, "Authorization: ***\n");
});

onController("S4: what a reconciler left running for a host ends before the next step for that host", async (rig) => {
  const other = parseHost("", { host: "h2", transport: "local" });
  const started = [
    rig.step(shell("echo $$ > h1; sleep 600")),
    rig.step(shell("echo $$ > h2; until [ -e go ]; do sleep 0.1; done"), { host: other }),
  ];
  const pidOf = async (name: string): Promise<number> =>
    Number(await until(`${name} runs`, () => readFile(join(rig.work, name), "utf8").catch(() => "")));
  const [first, second] = [await pidOf("h1"), await pidOf("h2")];
  assert.is((await rig.next().step(run("true"))).kind, "ok");
  assert.ok(isAlive(second));
  await writeFile(join(rig.work, "go"), "");
  await until("what the first one left is gone", () => !isAlive(first));
  assert.equal(
    (await Promise.all(started)).map(({ kind }) => kind),
    ["failed", "ok"],
  );
});

test("any text survives quoting", async () => {
  await using rig = await openLocal();
  await fc.assert(
    fc.asyncProperty(
      fc.string({ maxLength: 40 }).map((text) => text.replaceAll("\0", "")),
      async (text) => {
        const outcome = await rig.step(run("printf", "%s.", text));
        assert.is(outcome.output, `${text}.`);
      },
    ),
    { numRuns: 40 },
  );
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

test.run();
