// How many reports that change state are acknowledged durable in a second, beside what the same framework does with the same bodies and
// nothing behind it. Three servers and the load each have a process of their own, so that none waits for another's event loop.
//
//   npm run bench -- http [--hosts 10000] [--rounds 5] [--guards] [--profile FOLDER]
//
// floor: a bare Fastify that parses and validates the same JSON, appends it to a file, and answers after a sync that it shares with the
// others that wait (group commit). bare: `node:http` that answers `ok`. Each round asks all three, one after the other.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { fdatasync, openSync, write } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";
import fastify from "fastify";
import { bodyBytesMax } from "../reconciler/server/app.ts";
import { hostParams, reportSchema } from "../reconciler/server/host-routes.ts";
import { issueToken } from "../reconciler/server/tokens.ts";

const self = fileURLToPath(import.meta.url);
const program = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const connections = 64;
const hostName = (index: number): string => `host-${String(index).padStart(5, "0")}`;
/** The state that every host reports in a round: another one than in the round before. */
const stateOf = (round: number): string => (round % 2 === 0 ? "old" : "new");

// --- The servers beside ours ---

/** Parses, validates, and appends; one write and one sync for all that wait. */
async function serveFloor(file: string): Promise<void> {
  const fd = openSync(file, "a");
  let waiting: { line: string; done: (error: Error | null) => void }[] = [];
  let busy = false;
  const drain = (): void => {
    const batch = waiting;
    waiting = [];
    busy = batch.length > 0;
    if (!busy) return;
    const end = (error: Error | null): void => {
      for (const { done } of batch) done(error);
      drain();
    };
    const text = batch.map(({ line }) => line).join("");
    write(fd, text, (error) => (error ? end(error) : fdatasync(fd, end)));
  };
  const append = (line: string): Promise<void> =>
    new Promise((resolve, reject) => {
      waiting.push({ line, done: (error) => (error ? reject(error) : resolve()) });
      if (!busy) drain();
    });
  const app = fastify({
    logger: false,
    bodyLimit: bodyBytesMax,
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false, strict: false } },
  });
  app.post<{ Body: { sequence: number } }>(
    "/v1/hosts/:host/reports",
    { schema: { params: hostParams, body: reportSchema } },
    async ({ body }, reply) => {
      await append(`${JSON.stringify(body)}\n`);
      return reply.code(202).send({ accepted: body.sequence });
    },
  );
  await app.listen({ host: "127.0.0.1", port: 0 });
  process.send?.(Number(new URL(app.listeningOrigin).port));
}

function serveBare(): void {
  const server = createServer((request, response) => {
    request.resume();
    request.on("end", () => response.end("ok"));
  });
  server.listen(0, "127.0.0.1", () => process.send?.((server.address() as { port: number }).port));
}

// --- The load ---

interface Order {
  readonly port: number;
  readonly hosts: number;
  readonly round: number;
  readonly key: string;
}

/** Sends one report of every host over the connections, each with one request under way; resolves to requests a second. */
async function load({ port, hosts, round, key }: Order): Promise<number> {
  const secret = Buffer.from(key, "hex");
  const requests = Array.from({ length: hosts }, (_, index) => requestOf(index, round, secret));
  let next = 0;
  const take = (): Buffer | undefined => requests[next++];
  const sockets = await Promise.all(Array.from({ length: connections }, () => open(port)));
  const start = performance.now();
  await Promise.all(sockets.map((socket) => converse(socket, take)));
  const seconds = (performance.now() - start) / 1000;
  for (const socket of sockets) socket.destroy();
  return hosts / seconds;
}

function requestOf(index: number, round: number, key: Buffer): Buffer {
  const name = hostName(index);
  const body = JSON.stringify({
    incarnation: `life-of-${name}`,
    sequence: round + 1,
    states: { service: stateOf(round) },
    facts: { kernel: "6.1.0-28", go: "no" },
  });
  const head = [
    `POST /v1/hosts/${name}/reports HTTP/1.1`,
    "host: 127.0.0.1",
    `authorization: Bearer ${issueToken(key, { kind: "subject", name })}`,
    "content-type: application/json",
    `content-length: ${Buffer.byteLength(body)}`,
  ];
  return Buffer.from(`${head.join("\r\n")}\r\n\r\n${body}`);
}

function open(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true }, () => resolve(socket));
    socket.once("error", reject);
  });
}

/** One request after the other, until there are no more. Any answer but 200 and 202 ends the run. */
function converse(socket: Socket, take: () => Buffer | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    let got = "";
    const send = (): void => {
      const request = take();
      if (request) socket.write(request);
      else resolve();
    };
    socket.on("data", (chunk: Buffer) => {
      got += chunk.toString("latin1");
      const head = got.indexOf("\r\n\r\n");
      if (head < 0) return;
      const length = Number(/\r\ncontent-length: (\d+)/i.exec(got)?.[1] ?? Number.NaN);
      if (Number.isNaN(length)) reject(new Error(`an answer without a length: ${got}`));
      if (got.length < head + 4 + length) return;
      if (!/^HTTP\/1\.1 20[02] /.test(got)) reject(new Error(got));
      got = "";
      send();
    });
    socket.once("close", () => reject(new Error("the server closed a connection")));
    send();
  });
}

// --- The run ---

interface Server {
  readonly port: number;
  readonly child: ChildProcess;
}

/** Processes of ours that are not to outlive the run. */
const children = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of children) child.kill("SIGKILL");
});

function fork(...args: string[]): ChildProcess {
  const child = spawn(process.execPath, ["--import", "tsx", self, ...args], {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  children.add(child);
  return child;
}

const firstMessage = <T>(child: ChildProcess): Promise<T> =>
  new Promise((resolve, reject) => {
    const ended = (code: number | null): void => reject(new Error(`a process ended with ${code}`));
    child.once("exit", ended);
    child.once("message", (message) => {
      child.off("exit", ended);
      resolve(message as T);
    });
  });

async function startBeside(...args: string[]): Promise<Server> {
  const child = fork(...args);
  return { child, port: await firstMessage<number>(child) };
}

interface Measure {
  /** Requests a second. */
  readonly rate: number;
  /** Processor time of the server for each request, microseconds, all its threads. */
  readonly cpuUs: number;
}

async function measure(loader: ChildProcess, { child, port }: Server, order: Omit<Order, "port">): Promise<Measure> {
  const before = await cpuMs(child);
  const answer = firstMessage<number>(loader);
  loader.send({ ...order, port });
  const rate = await answer;
  return { rate, cpuUs: (((await cpuMs(child)) - before) * 1000) / order.hosts };
}

/** Processor time of a process so far. Linux counts it in hundredths of a second. */
async function cpuMs({ pid }: ChildProcess): Promise<number> {
  const text = await readFile(`/proc/${pid}/stat`, "utf8");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** A state repository of hosts that report by themselves. */
async function writeRepository(folder: string, hosts: number, guarded: boolean): Promise<void> {
  const when = 'report.facts.go == "yes"';
  const edge = (from: string): object => (guarded ? { from, when } : { from });
  const machine = {
    machine: "service",
    initial: "blank",
    states: {
      blank: {},
      old: { enter: [edge("new"), { from: "blank", when }] },
      new: { available: true, enter: [edge("old")] },
      best: { enter: [{ from: ["old", "new"], when }] },
    },
  };
  await mkdir(join(folder, "machines"), { recursive: true });
  await mkdir(join(folder, "hosts"), { recursive: true });
  await writeFile(join(folder, "stateward.yaml"), "{}\n");
  await writeFile(join(folder, "machines/service.yaml"), `${JSON.stringify(machine, null, 2)}\n`);
  for (let index = 0; index < hosts; index++) {
    const host = hostName(index);
    const carried = guarded ? { targets: { service: "best" } } : { machines: ["service"] };
    const text = JSON.stringify({ host, transport: "agent", ...carried }, null, 2);
    await writeFile(join(folder, "hosts", `${host}.yaml`), `${text}\n`);
  }
}

async function startStateward(folder: string, profile: string | undefined): Promise<Server> {
  const flags = profile === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${profile}`];
  const output = openSync(join(folder, "output"), "a");
  const argv = [...flags, program, "--folder", folder, "run", "--listen", "127.0.0.1:0"];
  const child = spawn(process.execPath, argv, { stdio: ["ignore", output, output] });
  children.add(child);
  const about = join(folder, ".stateward/run.json");
  for (;;) {
    const text = await readFile(about, "utf8").catch(() => "{}");
    const { url = "", pid = 0 } = JSON.parse(text || "{}") as { url?: string; pid?: number };
    if (pid === child.pid) return { child, port: Number(new URL(url).port) };
    if (child.exitCode !== null) throw new Error(await readFile(join(folder, "output"), "utf8"));
    await pause(50);
  }
}

async function stop({ child }: Server, signal: NodeJS.Signals): Promise<void> {
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill(signal);
  await ended;
  children.delete(child);
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until everything is pushed, so that no commit of one round falls into the next. */
async function pushed(folder: string): Promise<void> {
  const journal = join(folder, ".stateward/journal");
  for (;;) {
    const sizes = (await readdir(journal)).map((name) => stat(join(journal, name)).then(({ size }) => size));
    const total = (await Promise.all(sizes).catch(() => [1])).reduce((sum, size) => sum + size, 0);
    if (total === 0) return;
    await pause(100);
  }
}

interface HostsAnswer {
  readonly hosts: readonly { readonly name: string; readonly machines: readonly { readonly state: string }[] }[];
}

/** Hosts whose state is not what they reported. */
async function wrongHosts({ port }: Server, { hosts, round, key }: Omit<Order, "port">): Promise<string[]> {
  const authorization = `Bearer ${issueToken(Buffer.from(key, "hex"), { kind: "operator" })}`;
  const answer = await fetch(`http://127.0.0.1:${port}/v1/hosts`, { headers: { authorization } });
  const states = new Map(((await answer.json()) as HostsAnswer).hosts.map((host) => [host.name, host]));
  const names = Array.from({ length: hosts }, (_, index) => hostName(index));
  return names.filter((name) => states.get(name)?.machines[0]?.state !== stateOf(round));
}

interface Options {
  readonly hosts: number;
  readonly rounds: number;
  readonly guarded: boolean;
  readonly profile: string | undefined;
}

async function compare(folder: string, { hosts, rounds, guarded, profile }: Options): Promise<boolean> {
  const key = randomBytes(32).toString("hex");
  process.env.STATEWARD_TOKEN_KEY_FILE = join(folder, "token.key");
  await writeFile(join(folder, "token.key"), `${key}\n`, { mode: 0o600 });
  const repository = join(folder, "repository");
  await writeRepository(repository, hosts, guarded);
  if (profile !== undefined) await mkdir(profile, { recursive: true });
  const stateward = await startStateward(repository, profile);
  const floor = await startBeside("floor", join(folder, "floor.log"));
  const bare = await startBeside("bare");
  const loader = fork("load");
  const ratios: number[] = [];
  const measured: [number, number][] = [];
  for (let round = 0; round <= rounds; round++) {
    const measures: Measure[] = [];
    for (const server of [floor, stateward, bare]) {
      const start = process.hrtime.bigint() / 1000n;
      measures.push(await measure(loader, server, { hosts, round, key }));
      if (server === stateward) measured.push([Number(start), Number(process.hrtime.bigint() / 1000n)]);
    }
    const [theirs, ours] = measures;
    const ratio = (ours?.rate ?? 0) / (theirs?.rate ?? 1);
    if (round > 0) ratios.push(ratio);
    const figures = measures.map(({ rate, cpuUs }) => `${rate.toFixed(0).padStart(6)}/s (${cpuUs.toFixed(0)} us)`);
    const label = round === 0 ? "first words" : `round ${round}`.padEnd(11);
    print(`${label}  floor ${figures[0]}  stateward ${figures[1]}  bare ${figures[2]}  ratio ${ratio.toFixed(2)}`);
    if (round < rounds) await pushed(repository);
  }
  // The profile has the same clock: so a reader of it finds the rounds.
  if (profile !== undefined) await writeFile(join(profile, "rounds.json"), JSON.stringify(measured));
  // The last round is in the journal alone: what a kill leaves of it is what was acknowledged (D1).
  await stop(stateward, profile === undefined ? "SIGKILL" : "SIGTERM");
  const again = await startStateward(repository, undefined);
  const wrong = await wrongHosts(again, { hosts, round: rounds, key });
  for (const server of [again, floor, bare]) await stop(server, "SIGKILL");
  loader.kill("SIGKILL");
  const middle = ratios.toSorted((a, b) => a - b)[Math.floor(ratios.length / 2)] ?? 0;
  print(`median ratio ${middle.toFixed(2)}; after kill -9 ${wrong.length} of ${hosts} hosts are not as they reported`);
  return wrong.length === 0;
}

const print = (line: string): void => void process.stdout.write(`${line}\n`);

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      hosts: { type: "string", default: "10000" },
      rounds: { type: "string", default: "5" },
      guards: { type: "boolean", default: false },
      profile: { type: "string" },
    },
  });
  const folder = await mkdtemp(join(tmpdir(), "stateward-bench-"));
  try {
    await promisify(execFile)("git", ["--version"]);
    const { hosts, rounds, guards: guarded, profile } = values;
    const good = await compare(folder, { hosts: Number(hosts), rounds: Number(rounds), guarded, profile });
    process.exitCode = good ? 0 : 1;
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

const [role, argument = ""] = process.argv.slice(2);
if (role === "floor") await serveFloor(argument);
else if (role === "bare") serveBare();
else if (role === "load") {
  process.on("message", (order) => void load(order as Order).then((rate) => process.send?.(rate)));
} else await main();
