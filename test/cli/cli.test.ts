// The command line as people use it: the built program, in folders of their own.
import { execFile } from "node:child_process";
import { access, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { promisify } from "node:util";
import * as assert from "uvu/assert";
import { importCommand } from "../../reconciler/cli/act.ts";
import { publishedSchemas } from "../../reconciler/model/schemas.ts";
import { exists } from "../../reconciler/record/disk.ts";
import { cli, openExample, Reconciler, root } from "../support/example.ts";
import { freePort } from "../support/sshd.ts";
import { suite } from "../support/suite.ts";
import { tempFolder, until } from "../support/temp.ts";

const run = promisify(execFile);
const test = suite("cli");
const shared = join(root, "../shared/conformance");
const hasShared = await exists(shared);

test("init, check, plan, run --once, status, history: a new repository works from the first minute", async () => {
  await using dir = await tempFolder();
  assert.is((await cli(dir.path, "init")).exit, 0);
  assert.match((await cli(dir.path, "check")).stdout, /3 files, 1 machines, 1 hosts, 0 groups: no errors/);
  assert.match((await cli(dir.path, "plan")).stdout, /web-1 {2}web: blank -> published {2}would move/);
  const once = await cli(dir.path, "run", "--once", "--listen", `127.0.0.1:${await freePort()}`);
  assert.is(once.exit, 0, once.stderr);
  assert.is(
    await readFile(join(dir.path, ".stateward-hosts/web-1/index.html"), "utf8"),
    "Hello from web-1, in east.\n",
  );
  assert.match((await cli(dir.path, "status")).stdout, /web-1 +east +web +published +published +yes/);
  assert.match((await cli(dir.path, "history", "web-1")).stdout, /blank -> published \(web\)/);
  assert.match((await cli(dir.path, "replay", "web-1", "--dry-run")).stdout, /web-1 {2}web: blank -> published/);
  assert.is((await cli(dir.path, "plan", "--exit-code")).exit, 0);
  const again = await cli(dir.path, "init");
  assert.is(again.exit, 1);
});

test("init writes the schema lines of files that the package has", async () => {
  await using dir = await tempFolder();
  await cli(dir.path, "init");
  for (const [file, schema] of [
    ["stateward.yaml", "stateward"],
    ["machines/web.yaml", "machine"],
    ["hosts/web-1.yaml", "host"],
  ] as const) {
    const [line = ""] = (await readFile(join(dir.path, file), "utf8")).split("\n");
    assert.match(line, new RegExp(`^# yaml-language-server: \\$schema=.*/dist/schemas/${schema}\\.schema\\.json$`));
    assert.ok(`${schema}.schema.json` in publishedSchemas);
    JSON.parse(await readFile(join(root, "dist/schemas", `${schema}.schema.json`), "utf8"));
  }
});

test("check prints every problem with its place, and exits with 1; --json is JSON", async () => {
  await using dir = await tempFolder();
  await mkdir(join(dir.path, "hosts"));
  await writeFile(join(dir.path, "stateward.yaml"), "{}\n");
  await writeFile(join(dir.path, "hosts/a.yaml"), "host: a\ntragets: {}\nlabels: 3\n");
  const text = await cli(dir.path, "check");
  assert.is(text.exit, 1);
  assert.match(text.stdout, /hosts\/a\.yaml:2:1 SW101/);
  assert.match(text.stdout, /hosts\/a\.yaml:3:9 SW103/);
  assert.is(
    (JSON.parse((await cli(dir.path, "check", "--json")).stdout) as { problems: unknown[] }).problems.length,
    2,
  );
});

test("exit status 2 for wrong usage, and help with examples for every command", async () => {
  await using dir = await tempFolder();
  assert.is((await cli(dir.path, "nonsense")).exit, 2);
  assert.is((await cli(dir.path, "history")).exit, 2);
  assert.is((await cli(dir.path, "token")).exit, 2);
  assert.is((await cli(dir.path, "approve", "e765")).exit, 2);
  assert.is((await cli(dir.path, "history", "a", "--limit", "x")).exit, 2);
  assert.is((await cli(dir.path, "import", "puppet", "x")).exit, 2);
  const help = (await cli(dir.path, "--help")).stdout;
  const commands = [...help.matchAll(/^ {2}([a-z]+) .*$/gm)]
    .map((match) => match[1] ?? "")
    .filter((name) => name !== "help" && name !== "stateward");
  assert.ok(commands.length >= 12, commands.join(" "));
  for (const name of commands)
    assert.match((await cli(dir.path, name, "--help")).stdout, /Examples:\n {2}\$ stateward /, name);
});

test("no colours where there is no terminal", async () => {
  await using dir = await tempFolder();
  await cli(dir.path, "init");
  for (const args of [["check"], ["plan"]]) assert.not.match((await cli(dir.path, ...args)).stdout, "\u001b");
});

test("run in a folder that is no state repository is refused, and leaves nothing there", async () => {
  await using dir = await tempFolder();
  for (const folder of [dir.path, join(dir.path, "mistyped")]) {
    const { exit, stderr } = await cli(folder, "run", "--once", "--listen", `127.0.0.1:${await freePort()}`);
    assert.is(exit, 1);
    assert.match(stderr, /is no state repository: it has no stateward\.yaml\n.*--folder.*stateward init/);
  }
  assert.equal(await readdir(dir.path), []);
});

test("B3: plan says what would wait for a word by the limits that hold now, not by those that the folder brings", async () => {
  await using dir = await tempFolder();
  await cli(dir.path, "init");
  const settings = join(dir.path, "stateward.yaml");
  const before = await readFile(settings, "utf8");
  const removed = async (now: number, then: number): Promise<string> => {
    await rm(join(dir.path, ".stateward"), { recursive: true, force: true });
    await writeFile(settings, `${before}\nbrakes: { max_removed: ${now} }\n`);
    await writeFile(join(dir.path, "hosts/web-2.yaml"), "host: web-2\ntransport: local\n");
    await cli(dir.path, "run", "--once", "--listen", `127.0.0.1:${await freePort()}`);
    await writeFile(settings, `${before}\nbrakes: { max_removed: ${then} }\n`);
    await rm(join(dir.path, "hosts/web-2.yaml"));
    return (await cli(dir.path, "plan")).stdout;
  };
  assert.match(await removed(0, 5), "it would remove 1 hosts, more than 0");
  assert.not.match(await removed(5, 0), "it would remove");
});

test("graph draws Mermaid and SVG; an unknown machine names the nearest", async () => {
  await using dir = await tempFolder();
  await cli(dir.path, "init");
  assert.match((await cli(dir.path, "graph", "web")).stdout, /^stateDiagram-v2\n[\s\S]*s0 --> s1 : 1 step/);
  assert.match((await cli(dir.path, "graph", "web", "--format", "svg")).stdout, /<svg[\s\S]*published[\s\S]*<\/svg>/);
  assert.match((await cli(dir.path, "graph", "wbe")).stderr, /did you mean web\?/);
});

test("commands that need a running reconciler, or a record, say how to get one", async () => {
  await using dir = await tempFolder();
  await cli(dir.path, "init");
  assert.match((await cli(dir.path, "retry", "web-1")).stderr, /start it with: stateward run/);
  assert.match((await cli(dir.path, "history", "web-1")).stderr, /stateward run/);
  assert.is((await cli(dir.path, "outage", "--region", "east")).exit, 0);
  assert.is((await cli(dir.path, "outage", "--region", "nowhere", "--yes")).exit, 1);
});

test("replay and token against a running reconciler; a token opens its own host alone", async () => {
  await using example = await openExample();
  const reconciler = example.start();
  await reconciler.says("all 2 are in their target states");
  const token = (await cli(example.folder, "token", "git-1")).stdout.trim();
  const ask = async (path: string) =>
    (await fetch(`http://${example.listen}${path}`, { headers: { authorization: `Bearer ${token}` } })).status;
  assert.equal([await ask("/v1/hosts/git-1"), await ask("/v1/hosts/git-2"), await ask("/v1/hosts")], [200, 403, 403]);
  const mark = reconciler.output.length;
  assert.is((await cli(example.folder, "replay", "git-2")).exit, 0);
  // The repository is there already, so the step that makes it fails, and must not be tried again by itself.
  await reconciler.says(/git-2 {2}git-server: RepeatNever/, mark);
  assert.match(
    (await cli(example.folder, "status", "git-2")).stdout,
    /stateward retry runs it, stateward skip goes on without it/,
  );
  assert.is((await cli(example.folder, "skip", "git-2")).exit, 0);
  await reconciler.says("all 2 are in their target states", mark);
});

test.needs(
  "the shared conformance script beside the repository",
  hasShared,
  "StateService's conformance script passes, and states survive kill -9",
  async () => {
    await using dir = await tempFolder();
    await cli(dir.path, "init");
    await writeFile(join(dir.path, "stateward.yaml"), "http: { state_access: open }\nrecord: { window: 1s }\n");
    assert.is((await cli(dir.path, "import", "stateservice", join(shared, "traffic-light.yaml"))).exit, 0);
    const listen = `127.0.0.1:${await freePort()}`;
    const first = new Reconciler(dir.path, listen);
    await first.says("serves");
    const { stdout } = await run(process.execPath, [join(shared, "stateservice.mjs"), `http://${listen}`]);
    assert.match(stdout, /16 passed, 0 failed/);
    await first.stop("SIGKILL");
    const second = new Reconciler(dir.path, listen);
    await second.says("serves");
    assert.is((await fetch(`http://${listen}/state?state=blue`)).status, 200);
    await second.stop("SIGTERM");
  },
);

test("import --dry-run prints and writes nothing", async () => {
  await using dir = await tempFolder();
  await cli(dir.path, "init");
  await writeFile(join(dir.path, "light.yaml"), "current_state: a\nstates: [{ name: a }]\n");
  const result = await cli(dir.path, "import", "stateservice", join(dir.path, "light.yaml"), "--dry-run");
  assert.match(result.stdout, /# machines\/light\.yaml\nmachine: light\n/);
  assert.not.ok((await readdir(join(dir.path, "machines"))).includes("light.yaml"));
  assert.type(importCommand, "function");
});

test("10,000 hosts: check and plan read them all", async () => {
  await using dir = await tempFolder();
  await cli(dir.path, "init");
  await Promise.all(
    Array.from({ length: 10_000 }, (_, index) =>
      writeFile(
        join(dir.path, `hosts/h${index}.yaml`),
        `host: h${index}\ntransport: local\nregion: east\ntargets: { web: published }\n`,
      ),
    ),
  );
  assert.match((await cli(dir.path, "check")).stdout, /10003 files, 1 machines, 10001 hosts/);
  assert.match((await cli(dir.path, "plan")).stdout, /10001 machines on hosts and groups: 0 in place, 10001 to move/);
});

test("the packed package, installed into an empty folder, inits and runs", async () => {
  await using dir = await tempFolder();
  const { version } = createRequire(import.meta.url)(join(root, "package.json")) as { version: string };
  await run("npm", ["pack", "--silent", "--ignore-scripts", "--pack-destination", dir.path], { cwd: root });
  await writeFile(join(dir.path, "package.json"), '{ "private": true }\n');
  await run("npm", ["install", "--prefer-offline", "--no-audit", "--no-fund", `./stateward-${version}.tgz`], {
    cwd: dir.path,
  });
  const npx = (...args: string[]) => run("npx", ["--no-install", "stateward", ...args], { cwd: dir.path });
  assert.is((await npx("--version")).stdout.trim(), version);
  await npx("init");
  const [line = ""] = (await readFile(join(dir.path, "hosts/web-1.yaml"), "utf8")).split("\n");
  await access(join(dir.path, "hosts", line.split("$schema=")[1] ?? "missing"));
  await npx("run", "--once", "--listen", `127.0.0.1:${await freePort()}`);
  await access(join(dir.path, "node_modules/stateward/dist/agent/stateward-agent"));
  await until("the page", () => access(join(dir.path, ".stateward-hosts/web-1/index.html")).then(() => true));
});

test.run();
