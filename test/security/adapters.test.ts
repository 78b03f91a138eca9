// Secrets in what Git, ssh and other programs say when they fail, and in output that is cut: they are in nothing that is handed on (A2).

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { Controller } from "../../reconciler/adapters/controller.ts";
import { Hosts } from "../../reconciler/adapters/hosts.ts";
import { runProcess } from "../../reconciler/adapters/process.ts";
import { LocalTransport, SshTransport } from "../../reconciler/adapters/transport.ts";
import { openWorkspace } from "../../reconciler/cli/workspace.ts";
import type { ProcessResult, RunProcess } from "../../reconciler/model/ports.ts";
import { Secrets } from "../../reconciler/model/secrets.ts";
import { parseHost } from "../../reconciler/model/subject.ts";
import type { Action, Step } from "../../reconciler/model/types.ts";
import { Git } from "../../reconciler/record/git.ts";
import { GitRemote, unreachable } from "../../reconciler/record/remote.ts";
import { type Canary, formedCanaries, foundIn, namedCanaries, random } from "../support/canaries.ts";
import { suite } from "../support/suite.ts";
import { tempFolder } from "../support/temp.ts";
import { load } from "../support/world.ts";

const test = suite("security-adapters");
const saying = (stderr: string, stdout = ""): RunProcess => {
  const result: ProcessResult = { exit: 255, timedOut: false, stdout, stderr };
  return () => Promise.resolve(result);
};
const messageOf = async (promise: Promise<unknown>): Promise<string> =>
  promise.then(JSON.stringify, (error: unknown) => unreachable(error));

test("A2: what Git and its servers say has no secret in it, also not the one that they were given", async () => {
  await using dir = await tempFolder();
  const file = join(dir.path, "credentials");
  const given = namedCanaries(30, 5000).filter(({ secret }) => /^[\x21-\x7e]+$/.test(secret));
  const urls = given.map(({ secret }) => `https://ana:${encodeURIComponent(secret)}@git.example.org/x.git`);
  await writeFile(file, `${urls.join("\n")}\n`, { mode: 0o600 });
  const { git: options } = openWorkspace({ folder: dir.path, credentials: file });
  const canaries: readonly Canary[] = [...formedCanaries(80, 5100), ...given];
  for (const canary of canaries) {
    for (const lead of ["fatal: ", "remote: ", "error: ", "ssh: ", ""]) {
      const text = canary.text
        .split("\n")
        .map((line) => lead + line)
        .join("\n");
      const rejected = `!\trefs/a:refs/heads/main\t[remote rejected] (${canary.text.replaceAll(/\s/g, " ")})\n`;
      const git = new Git(dir.path, saying(text), options);
      const remote = new GitRemote(git, dir.path);
      const said = [
        await messageOf(remote.list()),
        await messageOf(remote.fetch("refs/heads/main", "refs/stateward/main")),
        await messageOf(remote.push(["a:b"])),
        await messageOf(new GitRemote(new Git(dir.path, saying(text, rejected), options), dir.path).push(["a:b"])),
      ];
      assert.equal(foundIn([canary], said.join("\n")), [], canary.kind);
    }
  }
  assert.ok(given.length > 10);
});

test("A2: what ssh says of a host has no secret in it: looks, steps and markers", async () => {
  await using dir = await tempFolder();
  for (const canary of [...formedCanaries(40, 5300), ...namedCanaries(56, 5400)]) {
    const vars = canary.byName ? { api_token: canary.secret } : {};
    const host = parseHost("", { host: "h1", address: "127.0.0.1", vars });
    const ssh = new SshTransport({
      runProcess: saying(canary.text),
      dir: join(dir.path, "ssh"),
      user: null,
      identity: null,
    });
    const controller = new Controller(join(dir.path, "work"), runProcess);
    const hosts = new Hosts({ transportOf: () => ssh, controller, now: () => 1 });
    const action: Action = { kind: "run", argv: ["true"], env: {} };
    const step: Step = { key: "k", title: "k", repeat: "always", timeoutMs: 5000, on: "host", action };
    const said = [
      await hosts.look(host, () => null),
      await hosts.run({ host, machine: "m", step, action, claim: null, incarnation: null }),
      await hosts.mark({ host, incarnation: null, machine: "m", claim: { state: "on", revision: 1 } }),
    ];
    assert.ok(said.every((part) => /ssh: |\*\*\*/.test(JSON.stringify(part))));
    assert.equal(
      foundIn([canary], said.map((part) => ("message" in part ? part.message : "")).join("\n")),
      [],
      canary.kind,
    );
  }
});

test("A2: where output is cut, no half of a secret stands before the cut or behind it", async () => {
  await using dir = await tempFolder();
  const token = `ghp_${random(5500, 36)}`;
  const host = parseHost("", { host: "h1", transport: "local" });
  const local = new LocalTransport(dir.path, runProcess);
  const hosts = new Hosts({
    transportOf: () => local,
    controller: new Controller(join(dir.path, "work"), runProcess),
    now: () => 1,
  });
  // Tokens and nothing else, in words and lines of which both ends of what is kept hit one in its middle.
  for (const [between, claim] of [
    ["\\n", null],
    [" ", null],
    ["\\n", "m.k.0"],
  ] as const) {
    const shell = `i=0; while [ $i -lt 4000 ]; do printf '%s${between}' "$VALUE"; i=$((i + 1)); done`;
    const action: Action = { kind: "shell", script: shell, env: { VALUE: token } };
    const step: Step = {
      key: "k",
      title: "k",
      repeat: claim === null ? "always" : "never",
      timeoutMs: 60_000,
      on: "host",
      action,
    };
    const { output } = await hosts.run({ host, machine: "m", step, action, claim, incarnation: null });
    assert.ok(output.length > 3000, String(output.length));
    assert.equal(
      output.split(/[\s*]+/).filter((word) => word !== "" && token.slice(4).includes(word)),
      [],
    );
  }
});

test("A2: a problem of a file does not show what stands in it under the name of a secret", () => {
  for (const { secret, kind } of namedCanaries(40, 5600)) {
    const machine = {
      machine: "m",
      initial: "off",
      states: {
        off: { enter: [{ from: "on" }] },
        on: { enter: [{ from: "off", steps: [{ run: ["login", "${host.vars.app_password}"] }] }] },
      },
    };
    const { problems } = load({
      "machines/m.yaml": machine,
      "hosts/a.yaml": {
        host: "a",
        transport: "local",
        targets: { m: "on" },
        vars: { app_password: `-${secret}` },
        hold: { reason: `${secret} leaked`, by: "ana" },
      },
      "hosts/b.yaml": { host: "b", transport: "local", vars: { app_password: [secret] } },
    });
    assert.equal(foundIn([{ kind, secret, text: secret, byName: true }], JSON.stringify(problems)), []);
    assert.ok(problems.some(({ code }) => code === "SW404"));
  }
});

test("A2: a secret that gets among the arguments on a way that no name tells is refused when it would be run", () => {
  const secret = random(5700, 30);
  const step = { run: ["login", "--", '${host.vars["app_" + "password"]}'] };
  const machine = {
    machine: "m",
    initial: "off",
    states: { off: { enter: [{ from: "on" }] }, on: { enter: [{ from: "off", steps: [step] }] } },
  };
  const host = { host: "a", transport: "local", targets: { m: "on" }, vars: { app_password: secret } };
  const { problems } = load({ "machines/m.yaml": machine, "hosts/a.yaml": host });
  assert.ok(problems.some(({ code, message }) => code === "SW207" && message.includes("holds a secret")));
  assert.not.ok(JSON.stringify(problems).includes(secret));
});

test("A2: secrets of the environment and of the file with credentials are known before anything is done", async () => {
  await using dir = await tempFolder();
  const [first, second] = [random(5800, 30), random(5801, 30)];
  process.env.STATEWARD_TEST_TOKEN = first;
  try {
    const file = join(dir.path, "credentials");
    await writeFile(file, `https://${second}@git.example.org\n`, { mode: 0o600 });
    const { secrets } = openWorkspace({ folder: dir.path, credentials: file });
    assert.is(secrets.hide(`a ${first} b ${second} c`), "a *** b *** c");
    assert.is(new Secrets().hide(first), first);
  } finally {
    delete process.env.STATEWARD_TEST_TOKEN;
  }
});

test.run();
