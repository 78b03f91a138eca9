// A3: data stays data in words, scripts, paths and addresses. Real shells and a real folder judge, beside a reader of shell words.
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as fc from "fast-check";
import * as assert from "uvu/assert";
import { Controller } from "../../reconciler/adapters/controller.ts";
import { Hosts } from "../../reconciler/adapters/hosts.ts";
import { runProcess } from "../../reconciler/adapters/process.ts";
import { quote, runBody } from "../../reconciler/adapters/script.ts";
import { LocalTransport, SshTransport } from "../../reconciler/adapters/transport.ts";
import { GuardCompiler } from "../../reconciler/model/guard.ts";
import { staticValues } from "../../reconciler/model/guard-values.ts";
import type { Outcome, ProcessOrder } from "../../reconciler/model/ports.ts";
import { parseHost } from "../../reconciler/model/subject.ts";
import { type RenderResult, renderAction } from "../../reconciler/model/template.ts";
import type { Action, Host } from "../../reconciler/model/types.ts";
import { gitArguments } from "../../reconciler/record/git.ts";
import { GitRemote } from "../../reconciler/record/remote.ts";
import { suite } from "../support/suite.ts";
import { tempFolder } from "../support/temp.ts";
import { load } from "../support/world.ts";
import { hostileInputs } from "./make-hostile.ts";
import { oddText, runs } from "./runs.ts";
import { shellCommands } from "./shell-words.ts";
import { argumentTarget } from "./target-argument.ts";

const test = suite("fuzz argument");
const words = [
  "-",
  "--",
  "-rf",
  "..",
  "/",
  ".",
  "$",
  "${",
  "}",
  "`",
  ";",
  "&",
  "|",
  "host.vars.v",
  " ",
  "=",
  "ext::",
  "@",
  "https://",
  ":",
];
const value = oddText(words);

/** Text that reaches a program as it is: no NUL, and nothing that UTF-8 cannot say. */
const sayable = value.map((text) => text.replaceAll("\0", "").replaceAll(/\p{Surrogate}/gu, ""));

test("A3: fields of any text keep every law of words, paths and addresses", () => {
  const fields = fc.array(value, { maxLength: 9 }).map((texts) => Buffer.from(texts.join("\u001e")));
  fc.assert(fc.property(fields, argumentTarget), runs(1500));
});

test("A3: a real shell gets the words that were meant, whatever they are", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(sayable, { minLength: 1, maxLength: 100 }), async (texts) => {
      const input = `printf '%s\\0' ${texts.map(quote).join(" ")}`;
      const { stdout } = await runProcess({ argv: ["sh", "-s"], input, timeoutMs: 20_000, outputBytesMax: 1_000_000 });
      assert.equal(stdout.split("\0").slice(0, -1), texts);
    }),
    runs(15),
  );
});

test("A3: the reader of shell words that judges here reads them as a real shell does", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(sayable, { minLength: 1, maxLength: 30 }), async (texts) => {
      const [command, ...more] = shellCommands(texts.map((text) => `x${text}`).join(" ")) ?? [];
      if (command === undefined || more.length > 0) return;
      const script = `printf '%s\\0' ${texts.map((text) => `x${text}`).join(" ")}`;
      const { stdout } = await runProcess({
        argv: ["sh", "-s"],
        input: script,
        timeoutMs: 20_000,
        outputBytesMax: 1_000_000,
      });
      assert.equal(stdout.split("\0").slice(0, -1), command);
    }),
    runs(15),
  );
});

const compiler = new GuardCompiler([]);

function render(argv: readonly string[], v: string): RenderResult<Action> {
  return renderAction(
    { kind: "run", argv, env: {} },
    compiler,
    staticValues(parseHost("", { host: "a", vars: { v } })),
  );
}

test("A3: a NUL, which shells leave out, is refused before it hides a dash or two dots", () => {
  for (const v of ["\0-rf", "-\0rf", "a\0b", "\0"]) {
    const rendered = render(["rm", "${host.vars.v}"], v);
    assert.match(rendered.ok ? "" : rendered.error, "NUL", JSON.stringify(v));
    assert.throws(() => quote(v), /NUL/);
    assert.throws(() => runBody(["rm", v], {}), /NUL/);
  }
});

test("A3: a word that data begins is no option, unless -- stands before it", () => {
  for (const argv of [
    ["rm", "${host.vars.v}"],
    ["rm", "${host.vars.v}/x"],
    ["${host.vars.v}"],
    ["rm", "${host.vars.v}${host.name}"],
  ])
    assert.match(JSON.stringify(render(argv, "-rf")), "would be read as an option", argv.join(" "));
  assert.ok(render(["rm", "--", "${host.vars.v}"], "-rf").ok);
  assert.ok(render(["rm", "./${host.vars.v}"], "-rf").ok);
});

interface Folder extends AsyncDisposable {
  readonly path: string;
  write(path: string, content?: string): Promise<Outcome>;
}

/** A host in a folder, beside a file that is none of its own. */
async function openFolder(): Promise<Folder> {
  const dir = await tempFolder();
  const transport = new LocalTransport(join(dir.path, "hosts"), runProcess);
  await mkdir(join(dir.path, "hosts/h"), { recursive: true });
  await writeFile(join(dir.path, "secret"), "secret");
  const host = parseHost("", { host: "h", transport: "local" });
  const hosts = new Hosts({
    transportOf: () => transport,
    controller: new Controller(join(dir.path, "work"), runProcess),
    now: () => 1,
  });
  const step = { key: "k", title: "k", repeat: "always", timeoutMs: 20_000, on: "host" } as const;
  return {
    path: dir.path,
    write: (path, content = "x") => {
      const action: Action = { kind: "write", path, content, mode: "0644" };
      return hosts.run({ host, machine: "m", step: { ...step, action }, action, claim: null, incarnation: null });
    },
    [Symbol.asyncDispose]: () => dir[Symbol.asyncDispose](),
  };
}

test("A3: a path that begins with a dash is written like any other, and the second time it is the same", async () => {
  await using folder = await openFolder();
  for (const path of ["-x", "-delete", "-d/x", "--help/y"]) {
    assert.equal((await folder.write(path)).output, "changed\n", path);
    assert.equal((await folder.write(path)).output, "unchanged\n", path);
    assert.is(await readFile(join(folder.path, "hosts/h", path), "utf8"), "x");
  }
});

test("A3: no path that is written leads out of the host's folder", async () => {
  await using folder = await openFolder();
  const inputs = [...hostileInputs()].filter(([name]) => /argument\/path-/.test(name));
  assert.ok(inputs.length > 30);
  for (const [name, input] of inputs) {
    const path = input.toString().split("\u001e")[1] ?? "";
    await folder.write(path);
    assert.equal((await readdir(folder.path)).toSorted(), ["hosts", "secret"], name);
    assert.equal(await readdir(join(folder.path, "hosts")), ["h"], name);
    assert.is(await readFile(join(folder.path, "secret"), "utf8"), "secret", name);
  }
});

/** What ssh is started with for a host. */
async function sshOrder(host: Host, dir: string): Promise<ProcessOrder> {
  const orders: ProcessOrder[] = [];
  const transport = new SshTransport({
    dir,
    user: null,
    identity: null,
    runProcess: (order) => {
      orders.push(order);
      return Promise.resolve({ exit: 255, timedOut: false, stdout: "", stderr: "" });
    },
  });
  await transport.script(host, "true", 1000);
  const [order] = orders;
  assert.ok(order);
  return order;
}

test("A3: whatever a host's file says, ssh gets the options that we give it, one address, and one command that is always the same", async () => {
  await using dir = await tempFolder();
  const plain = await sshOrder(parseHost("", { host: "h" }), dir.path);
  const maybe = (text: fc.Arbitrary<string>, usual: string): fc.Arbitrary<string> => fc.oneof(fc.constant(usual), text);
  const file = fc.record({
    host: maybe(value, "h"),
    address: maybe(value, "10.0.0.1"),
    ssh: fc.record({
      user: maybe(value, "git"),
      host_key: maybe(value, "ssh-ed25519 AAAA"),
      port: fc.integer({ min: 1, max: 65_535 }),
    }),
  });
  await fc.assert(
    fc.asyncProperty(file, async (fields) => {
      const { repository, problems } = load({ "hosts/h.yaml": JSON.stringify(fields) });
      const [host] = repository.hosts.values();
      if (problems.length > 0 || host === undefined) return;
      const { argv } = await sshOrder(host, dir.path);
      const end = argv.indexOf("--");
      assert.equal(argv.slice(end), ["--", fields.address, plain.argv.at(-1)]);
      assert.match(fields.address, /^[A-Za-z0-9]/);
      for (const [index, word] of argv.slice(2, end).entries())
        assert.match(word, index % 2 === 0 ? /^-o$/ : /^[A-Za-z]+=[^\0\n]*$/);
      const known = await readFile(join(dir.path, `${host.name}.known_hosts`), "utf8");
      assert.is(known, `${host.name} ${fields.ssh.host_key}\n`);
    }),
    runs(150),
  );
});

test("A3: Git gets constant options, and whatever is data behind --", async () => {
  await fc.assert(
    fc.asyncProperty(value, fc.constantFrom("list", "fetch", "push"), async (url, verb) => {
      const calls: string[][] = [];
      const answer = { exit: 0, stdout: "", stderr: "" };
      const git = {
        run: (args: string[]) => Promise.resolve(calls.push(args)).then(() => ""),
        try: (args: string[]) => Promise.resolve(calls.push(args)).then(() => answer),
      };
      let remote: GitRemote;
      try {
        remote = new GitRemote(git as never, url);
      } catch {
        return;
      }
      if (verb === "list") await remote.list();
      else if (verb === "fetch") await remote.fetch("refs/heads/main", "refs/stateward/main");
      else await remote.push(["a:refs/heads/observed"]);
      const [args = []] = calls;
      const end = args.indexOf("--");
      assert.ok(end > 0 && args[end + 1] === url);
      for (const option of args.slice(1, end)) assert.match(option, /^--[a-z-]+$/);
      const whole = gitArguments("/srv/mirror.git", args);
      assert.is(whole.indexOf("--"), whole.length - args.length + end);
    }),
    runs(300),
  );
});

test.run();
