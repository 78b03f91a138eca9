// The real program with secrets in everything that it reads and is told, and a search through everything that it leaves behind (A2).
import { execFile, spawn } from "node:child_process";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { join } from "node:path";
import { promisify } from "node:util";
import * as assert from "uvu/assert";
import { killProcessesOf } from "../../reconciler/adapters/transport.ts";
import { type Canary, formedCanaries, foundIn, namedCanaries } from "../support/canaries.ts";
import { program } from "../support/example.ts";
import { listen } from "../support/http-backend.ts";
import { type LeakyFleet, writeLeakyFleet } from "../support/leaky-fleet.ts";
import { recordCalls } from "../support/recorder.ts";
import { freePort } from "../support/sshd.ts";
import { suite } from "../support/suite.ts";
import { tempFolder, until } from "../support/temp.ts";

const run = promisify(execFile);
/** Hundreds of short processes: a machine with other work takes its time. */
const limitMs = 280_000;
const test = suite("security-leaks", { limitMs });

/** Everything in a folder as one text; what goes away meanwhile is passed over. */
async function textOf(folder: string): Promise<string> {
  const names = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const files = names.filter((entry) => entry.isFile());
  const texts = await Promise.all(
    files.map((entry) => readFile(join(entry.parentPath ?? entry.path, entry.name), "latin1").catch(() => "")),
  );
  return Buffer.from(texts.join("\n"), "latin1").toString();
}

/** Every message and every blob of the whole history of a branch. */
async function historyOf(origin: string, branch: string): Promise<string> {
  const git = async (...args: string[]): Promise<string> =>
    (await run("git", ["--git-dir", origin, ...args], { maxBuffer: 500_000_000 })).stdout;
  const objects = (await git("rev-list", "--objects", branch)).split("\n").map((line) => line.slice(0, 40));
  const child = spawn("git", ["--git-dir", origin, "cat-file", "--batch"], { stdio: ["pipe", "pipe", "ignore"] });
  child.stdin.end(`${objects.filter((id) => id !== "").join("\n")}\n`);
  const chunks: Buffer[] = [];
  for await (const chunk of child.stdout as AsyncIterable<Buffer>) chunks.push(chunk);
  return `${await git("log", "--format=%B", branch)}\n${Buffer.concat(chunks).toString()}`;
}

test("A2: 200 secrets in values, output, errors, looks, calls, words and requests get nowhere", async () => {
  await using dir = await tempFolder();
  const server = createServer((request, response) => {
    response.writeHead(500).end(`refused: ${request.url} ${JSON.stringify(request.headers)}`);
  });
  const folder = join(dir.path, "fleet");
  const fleet = await writeLeakyFleet(folder, await listen(server));
  const far = formedCanaries(8, 4000);
  for (const [index, { text }] of far.entries())
    await writeFile(join(dir.path, `far-${index}`), `${text.split("\n").at(-1)}\n`);
  const recorder = await recordCalls(dir.path, ["git", "ssh", "sh", "nice", "printenv"], {
    ssh: `cd '${dir.path}'; n=$(($(cat far-n 2>/dev/null || echo 0) + 1)); echo $n >far-n; cat far-$(((n - 1) % 8)) >&2; exit 255`,
  });
  const [inEnvironment] = namedCanaries(1, 4100);
  const address = `127.0.0.1:${await freePort()}`;
  const env = { ...process.env, PATH: recorder.path, FLEET_API_TOKEN: inEnvironment?.secret, HOME: dir.path };
  await using watched = watchRun(folder, address, env);
  await using _server = closing(server);
  await everythingSaid(fleet, watched);
  const farLooks = async (): Promise<number> =>
    Number(await readFile(join(dir.path, "far-n"), "utf8").catch(() => "0"));
  await until("the far host was looked at", async () => (await farLooks()) >= far.length);
  const words = [...formedCanaries(6, 4200), ...(fleet.planted["name-0"] ?? []).slice(0, 6)];
  const answers = await speak({ folder, address, env, words });
  const called = (): boolean => [0, 5].every((host) => watched.printed().includes(`call-${host}  call: step failed`));
  await until("calls were made", called);
  await watched.stop();
  const planted = Object.values(fleet.planted).flat();
  const canaries: Canary[] = [...planted, ...far, ...words.slice(0, 6), ...(inEnvironment ? [inEnvironment] : [])];
  const calls = (await recorder.calls()).map((call) => call.join(" ")).join("\n");
  const places = {
    journal: watched.journal(),
    observed: await historyOf(join(folder, ".stateward/origin.git"), "observed"),
    log: await readFile(join(folder, ".stateward/stateward.log"), "utf8"),
    terminal: watched.printed(),
    answers,
    arguments: calls,
  };
  // What is searched has what it is searched for in its place: the stars.
  for (const place of ["journal", "observed", "log", "terminal", "answers"] as const)
    assert.ok(places[place].split("***").length > (place === "answers" ? 5 : 50), `${place} tells of what was said`);
  assert.ok(calls.includes("sh -s") && calls.includes("ssh -T"), "calls were recorded");
  for (const [place, text] of Object.entries(places)) assert.equal(foundIn(canaries, text), [], place);
  assert.ok(canaries.length >= 200, String(canaries.length));
});

interface Watched extends AsyncDisposable {
  readonly printed: () => string;
  /** All that was in the journal at some time. */
  readonly journal: () => string;
  stop(): Promise<void>;
}

/** Runs the reconciler, and keeps what it prints and what it writes to its journal. */
function watchRun(folder: string, address: string, env: NodeJS.ProcessEnv): Watched {
  const child = spawn(process.execPath, [program, "--folder", folder, "run", "--listen", address], { env });
  let printed = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk: Buffer) => (printed += chunk.toString()));
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  let journal = "";
  const sampling = setInterval(() => {
    void textOf(join(folder, ".stateward/journal")).then((text) => (journal += text.slice(0, 1_000_000)));
  }, 200);
  const stop = async (signal: NodeJS.Signals): Promise<void> => {
    child.kill(signal);
    await ended;
    clearInterval(sampling);
  };
  return {
    printed: () => printed,
    journal: () => journal,
    stop: () => stop("SIGTERM"),
    async [Symbol.asyncDispose]() {
      await stop("SIGKILL");
      for (const name of await readdir(join(folder, ".stateward-hosts")))
        await killProcessesOf(join(folder, ".stateward-hosts", name));
    },
  };
}

function closing(server: Server): AsyncDisposable {
  return {
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Every host that prints has printed all that it has, each at a try or a look of its own. */
async function everythingSaid({ planted, said }: LeakyFleet, watched: Watched): Promise<void> {
  const told = async (name: string): Promise<boolean> => {
    const lines = (await readFile(said[name] ?? "", "utf8").catch(() => "")).split("\n");
    return new Set(lines).size > (planted[name]?.length ?? 0);
  };
  for (const name of ["print", ...Object.keys(planted).filter((host) => /^(form|name|look)-/.test(host))])
    await until(`${name} said all`, () => told(name), limitMs).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${watched.printed().slice(-3000)}`);
    });
}

interface Speaking {
  readonly folder: string;
  readonly address: string;
  readonly env: NodeJS.ProcessEnv;
  readonly words: readonly Canary[];
}

/** Says secrets to the interface and through the command line, in every part of a request; returns all that was answered. */
async function speak({ folder, address, env, words }: Speaking): Promise<string> {
  const cli = async (...args: string[]): Promise<string> => {
    const done = await run(process.execPath, [program, "--folder", folder, ...args], { env }).catch(
      (error: { stdout: string; stderr: string }) => error,
    );
    return `${done.stdout}${done.stderr}`;
  };
  const operator = (await cli("token", "--operator")).trim();
  const agent = (await cli("token", "agent")).trim();
  const answers: string[] = [];
  const ask = async (
    path: string,
    token: string | null,
    body: unknown,
    headers: Record<string, string> = {},
  ): Promise<void> => {
    const authorization: Record<string, string> = token === null ? {} : { authorization: `Bearer ${token}` };
    const response = await fetch(`http://${address}${path}`, {
      method: body === undefined ? "GET" : "POST",
      headers: { "content-type": "application/json", ...authorization, ...headers },
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    answers.push(`${response.status} ${[...response.headers].join(" ")} ${await response.text()}`);
  };
  for (const [index, { secret, text }] of words.entries()) {
    const line = text.replaceAll("\n", " ");
    const headers = /^[\x20-\x7e]+$/.test(line + secret)
      ? { "x-note": line, cookie: `a=${secret}`, "idempotency-key": line.slice(0, 200) }
      : {};
    await ask("/v1/holds", operator, { select: "form-0", reason: line, by: line.slice(0, 100) });
    await ask("/v1/fleet", operator, undefined, headers);
    await ask("/v1/brake-releases", operator, { by: line.slice(0, 100), reason: line });
    await ask("/v1/approvals", operator, { commit: "abcdef0", by: line.slice(0, 100) });
    await ask("/v1/releases", operator, { select: "form-0", by: line.slice(0, 100) });
    await ask(`/v1/hosts?q=${encodeURIComponent(secret)}`, secret.replaceAll(/[^\x21-\x7e]/g, ""), undefined, headers);
    await ask(`/state?state=${encodeURIComponent(secret)}`, null, line, headers);
    const facts = Object.fromEntries([[`fact-${index}`, line.slice(0, 900)]]);
    await ask("/v1/hosts/agent/reports", agent, { incarnation: "agent-life-1", sequence: index + 1, facts });
    await ask("/v1/hosts/agent/reports", agent, { incarnation: "agent-life-1", sequence: line });
    await ask("/v1/hosts/agent/reports", agent, `{"sequence": ${line}`);
  }
  await ask("/v1/hosts", operator, undefined);
  await ask("/readyz", null, undefined);
  await ask("/openapi.json", null, undefined);
  const [first] = words;
  answers.push(await cli("hold", "name-0", "--reason", first?.text ?? "", "--by", "ana"));
  for (const command of [
    ["status"],
    ["status", "--json"],
    ["fleet"],
    ["why", "form-1"],
    ["history", "form-0"],
    ["history", "name-1", "--all"],
    ["explain", "name-0"],
    ["explain", "name-0", "vars", "--json"],
    ["plan", "--simulate"],
    ["check"],
  ])
    answers.push(await cli(...command));
  return answers.join("\n");
}

test.run();
