// The agent on the host: a POSIX shell program against the real HTTP interface.
import { execFile, spawn } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import * as assert from "uvu/assert";
import { root } from "../support/example.ts";
import { bearer, type HttpRig, serve } from "../support/http.ts";
import { suite } from "../support/suite.ts";
import { tempFolder, until } from "../support/temp.ts";

const run = promisify(execFile);
const test = suite("agent");
const agent = join(root, "reconciler/agent/stateward-agent");
const hasCurl = await run("curl", ["--version"]).then(
  () => true,
  () => false,
);
const check = (title: string, body: () => Promise<void>): void => test.needs("curl", hasCurl, title, body);
const os = {
  machine: "os",
  initial: "old",
  states: { old: { enter: [{ from: "new" }] }, new: { enter: [{ from: "old" }] } },
};
const files = { "machines/os.yaml": os, "hosts/a.yaml": { host: "a", transport: "agent", machines: ["os"] } };

interface AgentRig extends AsyncDisposable {
  readonly http: HttpRig;
  readonly dir: string;
  readonly env: Record<string, string>;
  call(...args: string[]): Promise<{ exit: number; stderr: string }>;
}

async function open(): Promise<AgentRig> {
  const folder = await tempFolder();
  const http = await serve(files);
  const url = await http.app.listen({ host: "127.0.0.1", port: 0 });
  const dir = join(folder.path, "state");
  await writeFile(join(folder.path, "token"), `${bearer("a").authorization.slice(7)}\n`, { mode: 0o600 });
  const env = {
    PATH: process.env.PATH ?? "",
    STATEWARD_URL: url,
    STATEWARD_HOST: "a",
    STATEWARD_TOKEN_FILE: join(folder.path, "token"),
    STATEWARD_DIR: dir,
    STATEWARD_INTERVAL: "1",
    STATEWARD_CONF: "/nonexistent",
  };
  return {
    http,
    dir,
    env,
    call: async (...args) => {
      try {
        return { exit: 0, stderr: (await run("sh", [agent, ...args], { env })).stderr };
      } catch (error) {
        const { code, stderr } = error as { code: number; stderr: string };
        return { exit: code, stderr };
      }
    },
    async [Symbol.asyncDispose]() {
      await http[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

check("report: incarnation, states and facts arrive, also with odd characters in them", async () => {
  await using rig = await open();
  await mkdir(join(rig.dir, "facts"), { recursive: true });
  await writeFile(join(rig.dir, "facts/note"), 'a "quoted" \\ back\tslash\nsecond line\n');
  assert.equal(await rig.call("report"), { exit: 0, stderr: "" });
  const record = rig.http.engine.recordOf("a");
  assert.is(record?.incarnation, (await readFile(join(rig.dir, "incarnation"), "utf8")).trim());
  assert.is(rig.http.engine.world()?.reports.get("a")?.facts.note, 'a "quoted" \\ backslash');
  assert.is((await rig.call("set", "os", "new")).exit, 0);
  assert.is((await rig.call("report")).exit, 0);
  assert.is(rig.http.engine.recordOf("a")?.machines.os?.state, "new");
});

check("reports in a row have rising sequences", async () => {
  await using rig = await open();
  for (let round = 0; round < 4; round++) assert.equal(await rig.call("report"), { exit: 0, stderr: "" });
});

check("ask and wait: exit 0 in the state, 1 when not, and 1 after the time", async () => {
  await using rig = await open();
  await rig.call("report");
  assert.is((await rig.call("ask", "os", "old")).exit, 0);
  assert.is((await rig.call("ask", "os", "new")).exit, 1);
  assert.is((await rig.call("wait", "os", "new", "1")).exit, 1);
  const waiting = rig.call("wait", "os", "new", "60");
  await rig.call("set", "os", "new");
  await rig.call("report");
  assert.is((await waiting).exit, 0);
});

check("run reports on an interval, and ends on TERM", async () => {
  await using rig = await open();
  const child = spawn("sh", [agent, "run"], { env: rig.env, stdio: "ignore" });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const heard = () => rig.http.engine.world()?.reports.get("a")?.sequence ?? 0;
  const first = await until("a report", heard);
  await until("another one", () => heard() > first);
  child.kill("SIGTERM");
  await ended;
});

check("what is wrong is said: no address, no token, nobody there, a refused report", async () => {
  await using rig = await open();
  const without = async (change: Record<string, string>, ...args: string[]): Promise<string> =>
    run("sh", [agent, ...args], { env: { ...rig.env, ...change } }).then(
      () => "fine",
      (error: unknown) => (error as { stderr: string }).stderr,
    );
  assert.is(
    await without({ STATEWARD_URL: "" }, "report"),
    "stateward-agent: STATEWARD_URL is not set; see stateward-agent help\n",
  );
  assert.match(await without({ STATEWARD_TOKEN_FILE: "/nonexistent" }, "report"), /cannot read the token/);
  assert.match(await without({ STATEWARD_URL: "http://127.0.0.1:1" }, "report"), /does not answer/);
  assert.match(await without({ STATEWARD_HOST: "b" }, "report"), /refused \(403\)/);
  assert.match(await without({ STATEWARD_HOST: "../x" }, "report"), /not a host's name/);
  assert.match(await without({}, "wait", "os"), /usage: stateward-agent wait/);
});

check("A2: the token stands in no argument list", async () => {
  await using rig = await open();
  const bin = join(rig.dir, "bin");
  await mkdir(bin, { recursive: true });
  await writeFile(
    join(bin, "curl"),
    `#!/bin/sh\nprintf '%s\\n' "$*" >> ${JSON.stringify(join(rig.dir, "args"))}\nexit 7\n`,
    { mode: 0o755 },
  );
  await run("sh", [agent, "report"], { env: { ...rig.env, PATH: `${bin}:${rig.env.PATH}` } }).catch(() => {});
  const seen = await readFile(join(rig.dir, "args"), "utf8");
  assert.ok(seen.length > 0 && !seen.includes("sw1."), seen);
});

test.run();
