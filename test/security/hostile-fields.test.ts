// Hostile texts in every field of a state repository: refused when the file is checked, or carried as data to where they belong (A3).

import { readdir } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { parseDocument as parseYamlDocument } from "yaml";
import { Controller } from "../../reconciler/adapters/controller.ts";
import { Hosts } from "../../reconciler/adapters/hosts.ts";
import { runProcess } from "../../reconciler/adapters/process.ts";
import { LocalTransport, SshTransport } from "../../reconciler/adapters/transport.ts";
import type { ProcessOrder, RunProcess } from "../../reconciler/model/ports.ts";
import { hasErrors } from "../../reconciler/model/problem.ts";
import { parseHost } from "../../reconciler/model/subject.ts";
import type { Action, Host, Step } from "../../reconciler/model/types.ts";
import { recordPath } from "../../reconciler/record/layout.ts";
import { hostile } from "../support/hostile.ts";
import { listen } from "../support/http-backend.ts";
import { suite } from "../support/suite.ts";
import { tempFolder } from "../support/temp.ts";
import { load } from "../support/world.ts";

const test = suite("security-hostile-fields");
const machine = (more: object = {}): object => ({
  machine: "m",
  initial: "off",
  states: { off: { enter: [{ from: "on" }] }, on: { enter: [{ from: "off", steps: [{ run: "true", ...more }] }] } },
});
const host = (more: object = {}): object => ({ host: "a", transport: "local", targets: { m: "on" }, ...more });

/** A repository with a text in one of its fields. */
const fields: Readonly<Record<string, (text: string) => Record<string, unknown>>> = {
  "host: name": (text) => ({ "hosts/a.yaml": host({ host: text }) }),
  "host: region": (text) => ({ "hosts/a.yaml": host({ region: text }) }),
  "host: address": (text) => ({ "hosts/a.yaml": host({ address: text, transport: "ssh" }) }),
  "host: ssh.user": (text) => ({
    "hosts/a.yaml": host({ transport: "ssh", address: "127.0.0.1", ssh: { user: text } }),
  }),
  "host: ssh.host_key": (text) => ({
    "hosts/a.yaml": host({ transport: "ssh", address: "127.0.0.1", ssh: { host_key: text } }),
  }),
  "host: label": (text) => ({ "hosts/a.yaml": host({ labels: { [text]: "x" } }) }),
  "host: var": (text) => ({ "hosts/a.yaml": host({ vars: { [text]: "x" } }) }),
  "host: machine": (text) => ({ "hosts/a.yaml": host({ targets: { [text]: "on" } }) }),
  "host: target": (text) => ({ "hosts/a.yaml": host({ targets: { m: text } }) }),
  "host: transport": (text) => ({ "hosts/a.yaml": host({ transport: text }) }),
  "group: name": (text) => ({ "hosts/g.yaml": { group: text, select: 'host.region == "x"' } }),
  "machine: name": (text) => ({ "machines/n.yaml": { ...machine(), machine: text } }),
  "machine: state": (text) => ({ "machines/n.yaml": { machine: "n", initial: text, states: { [text]: {} } } }),
  "step: name": (text) => ({ "machines/m.yaml": machine({ name: text }) }),
  "step: env": (text) => ({ "machines/m.yaml": machine({ env: { [text]: "x" } }) }),
  "step: mode": (text) => ({
    "machines/m.yaml": machine({ run: undefined, write: { path: "f", content: "", mode: text } }),
  }),
  "step: method": (text) => ({
    "machines/m.yaml": machine({ run: undefined, http: { url: "http://a/", method: text } }),
  }),
  "step: header": (text) => ({
    "machines/m.yaml": machine({ run: undefined, http: { url: "http://a/", headers: { [text]: "x" } } }),
  }),
  "settings: region": (text) => ({ "stateward.yaml": { regions: [text] } }),
  "settings: listen": (text) => ({ "stateward.yaml": { http: { listen: text } } }),
  "settings: ssh.user": (text) => ({ "stateward.yaml": { ssh: { user: text } } }),
  "settings: governor": (text) => ({ "stateward.yaml": { governors: { [text]: 1 } } }),
  "settings: poll": (text) => ({ "stateward.yaml": { poll: text } }),
};
/** Words that are names like any other: no shell, path or option is in them. */
const harmless = /^[A-Za-z0-9_][\w.:-]*$/;
/** Fields that no path, option or lookup comes from may hold a little more. */
const wider: Readonly<Record<string, RegExp>> = {
  "host: label": /^\w[\w./-]*$/,
  "step: name": /^\w[\w./-]*$/,
  "step: header": /^[\w-]+$/,
};

for (const [field, files] of Object.entries(fields)) {
  test(`A3: ${field}: ${hostile.length} hostile texts are refused, each with its place, or are words like any other`, () => {
    let refused = 0;
    for (const text of hostile) {
      const { problems } = load({ "machines/m.yaml": machine(), "hosts/a.yaml": host(), ...files(text) });
      if (hasErrors(problems)) {
        refused++;
        assert.ok(
          problems.every((problem) => problem.line >= 1 && problem.remedy !== ""),
          text,
        );
      } else assert.match(text, wider[field] ?? harmless);
    }
    assert.ok(refused > hostile.length * 0.8, `${refused} were refused`);
  });
}

test("A3: names that pass stay in their folders", () => {
  for (const text of hostile) {
    if (hasErrors(load({ "machines/m.yaml": machine(), "hosts/a.yaml": host({ host: text }) }).problems)) continue;
    assert.match(recordPath("host", text), /^hosts\/[0-9a-f]\/[0-9a-f]{2}\/[a-z0-9][a-z0-9._-]*\.json$/);
    assert.is(join("/root", text), `/root/${text}`);
  }
});

test("A3: files with hostile names are passed over or refused, and none is read in another's place", () => {
  for (const text of hostile) {
    const { repository, problems } = load({
      "machines/m.yaml": machine(),
      [`hosts/${text}`]: host({ host: "b" }),
      [text]: host({ host: "c" }),
    });
    assert.ok(!repository.hosts.has("c") || text.startsWith("hosts/"), text);
    assert.ok(!repository.hosts.has("b") || /\.ya?ml$/.test(text) || hasErrors(problems), text);
  }
});

interface Rig extends AsyncDisposable {
  readonly dir: string;
  readonly hosts: Hosts;
  readonly orders: ProcessOrder[];
  step(action: Action, subject?: Host): ReturnType<Hosts["run"]>;
}

async function open(instead?: RunProcess): Promise<Rig> {
  const folder = await tempFolder();
  const dir = folder.path;
  const orders: ProcessOrder[] = [];
  const spy: RunProcess = (order) => {
    orders.push(order);
    return (instead ?? runProcess)(order);
  };
  const local = new LocalTransport(join(dir, "hosts"), spy);
  const ssh = new SshTransport({
    runProcess: spy,
    dir: join(dir, "ssh"),
    user: null,
    identity: join(dir, "id %h $(touch pwned) \"'"),
  });
  const hosts = new Hosts({
    transportOf: (name) => (name === "local" ? local : ssh),
    controller: new Controller(join(dir, "work"), spy),
    now: () => 1,
  });
  const known = parseHost("", { host: "h1", transport: "local" });
  const run: Rig["step"] = (action, subject = known) => {
    const step: Step = { key: "k", title: "k", repeat: "always", timeoutMs: 60_000, on: "host", action };
    return hosts.run({ host: subject, machine: "m", step, action, claim: null, incarnation: null });
  };
  return { dir, hosts, orders, step: run, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() };
}

/** Everything that stands in a folder now. */
async function standing(dir: string): Promise<string[]> {
  return (await readdir(dir, { recursive: true })).filter((name) => !name.includes(".stateward")).toSorted();
}

/** Half of a surrogate pair has no bytes of its own. */
const isWhole = (text: string): boolean => Buffer.from(text).toString() === text;

test("A3: values in arguments and in the environment reach programs as they are, and run nothing", async () => {
  await using rig = await open();
  const texts = hostile.filter((text) => !text.includes("\0") && isWhole(text));
  const env = Object.fromEntries(texts.map((text, index) => [`V${index}`, text]));
  const wanted = Buffer.from(texts.map((text) => `${text}\u0001`).join("")).toString("hex");
  // In hexadecimal digits: what has the form of a secret would be taken out, on purpose.
  const digits = "od -An -v -tx1 | tr -d ' \\n'";
  const each = texts.map((_, index) => `printf '%s\\001' "$V${index}"`).join("\n");
  assert.is((await rig.step({ kind: "shell", script: `{\n${each}\n} | ${digits}`, env })).output, wanted);
  const argv = ["sh", "-c", `printf '%s\\001' "$@" | ${digits}`, "sh", ...texts];
  assert.is((await rig.step({ kind: "run", argv, env: {} })).output, wanted);
  assert.equal(await standing(rig.dir), ["hosts", "hosts/h1"]);
  assert.ok(rig.orders.every(({ argv }) => argv.join(" ") === "sh -s"));
});

test("A3: a file is written where its path says within the host's folder, or not at all", async () => {
  await using rig = await open();
  let written = 0;
  for (const [index, text] of hostile.entries()) {
    if (text.includes("\0") || index % 3 !== 0) continue;
    const outcome = await rig.step({ kind: "write", path: text, content: `c${text}`, mode: "0644" });
    if (outcome.kind === "ok") written++;
    assert.equal(await standing(rig.dir).then((names) => names.filter((name) => !name.startsWith("hosts"))), [], text);
  }
  assert.ok(written > 20, `${written} were written`);
  assert.equal(await readdir(join(rig.dir, "hosts")), ["h1"]);
  assert.not.ok((await readdir(join(rig.dir, "hosts/h1"))).includes("pwned") && !hostile.includes("pwned"));
});

test("A3: a value that begins a word is no option, and none holds the character NUL", () => {
  for (const text of hostile) {
    const vars = { v: text };
    const { problems } = load({
      "machines/m.yaml": machine({ run: ["printf", "${host.vars.v}"] }),
      "hosts/a.yaml": host({ vars }),
    });
    const wanted = text.startsWith("-") || text.includes("\0");
    assert.is(
      problems.some(({ code }) => code === "SW207"),
      wanted,
      JSON.stringify(text),
    );
    const behind = load({
      "machines/m.yaml": machine({ run: ["printf", "--", "${host.vars.v}"] }),
      "hosts/a.yaml": host({ vars }),
    });
    assert.is(hasErrors(behind.problems), text.includes("\0"), JSON.stringify(text));
  }
});

test("A3: what ssh is called with is the same for every host but for its name, its address and its user, behind --", async () => {
  await using rig = await open(() => Promise.resolve({ exit: 255, timedOut: false, stdout: "", stderr: "ssh: no" }));
  const far = parseHost("", {
    host: "h1",
    address: "10.0.0.1",
    vars: {},
    ssh: { user: "u", host_key: "ssh-ed25519 AAAA" },
  });
  for (const text of hostile)
    await rig.step(
      { kind: "run", argv: [text], env: { V: text } },
      { ...far, vars: { v: text }, labels: { l: text }, owner: text },
    );
  const shapes = new Set(rig.orders.map(({ argv }) => argv.join("\0")));
  assert.is(shapes.size, 1);
  const argv = rig.orders[0]?.argv ?? ["ssh"];
  assert.equal(argv.slice(argv.indexOf("--")).slice(0, 2), ["--", "10.0.0.1"]);
  const { stdout, exit } = await runProcess({
    argv: ["ssh", "-G", ...argv.slice(1, argv.indexOf("--")), "--", "10.0.0.1"],
    timeoutMs: 20_000,
    outputBytesMax: 100_000,
  });
  assert.is(exit, 0);
  assert.not.match(stdout, /^(proxycommand|localcommand|remotecommand) (?!none)/m);
  assert.ok(
    stdout.includes(`identityfile ${rig.dir}/id %%h $(touch pwned) "'`),
    stdout.match(/^identityfile.*$/m)?.[0],
  );
  assert.not.ok((await standing(rig.dir)).includes("pwned"));
});

test("A3: values in an address, a header or a body of a call make one request, and no header of their own", async () => {
  await using rig = await open();
  let seen = 0;
  const server = createServer((request, response) => {
    seen++;
    for (const name of ["x-injected", "set-cookie"]) assert.is(request.headers[name], undefined);
    request.resume();
    response.end("ok");
  });
  const url = await listen(server);
  let calls = 0;
  for (const text of hostile) {
    for (const [path, header] of [
      [text, "x"],
      ["", text],
    ] as const) {
      const action: Action = {
        kind: "http",
        url: `${url}/${path}`,
        method: "POST",
        headers: { "x-value": header },
        body: text,
        expect: [200],
        withinMs: 0,
      };
      calls++;
      const before = seen;
      const outcome = await rig.step(action);
      assert.ok(seen - before <= 1 && (outcome.kind === "ok" || outcome.message !== ""), JSON.stringify(text));
    }
  }
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  assert.ok(seen > hostile.length && seen <= calls, `${seen} of ${calls}`);
});

test("A3: what a host says of itself is a name and a state, or nothing", async () => {
  for (let at = 0; at < hostile.length; at += 25) {
    const some = hostile.slice(at, at + 25);
    const said = some.map((text) => `state ${text} on 1\nstate m ${text} 1\nincarnation ${text}\n${text}`).join("\n");
    await using rig = await open(() =>
      Promise.resolve({ exit: 0, timedOut: false, stdout: `${said}\n@stateward-exit 0\n`, stderr: "" }),
    );
    const report = await rig.hosts.look(parseHost("", { host: "h1", transport: "local" }), () => null);
    for (const [name, { state }] of Object.entries(report.states))
      assert.ok(harmless.test(name) && harmless.test(state), `${name} ${state}`);
    assert.match(report.incarnation ?? "abcdefgh", /^[A-Za-z0-9-]{8,64}$/);
  }
});

test("A3: each text is what a YAML file says, so that what is tried above is what a person could write", () => {
  const texts = hostile.filter((text) => isWhole(text));
  for (const text of texts) assert.is(parseYamlDocument(JSON.stringify({ text })).get("text"), text);
  assert.ok(texts.length >= 300, String(texts.length));
});

test.run();
