// One place to crash in: a bare remote, a folder with the fleet, data folders by name, a log of steps, and real processes of the crash
// build. What people and agents ask for goes through here, and is noted with its answer.
import { type ChildProcess, spawn } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { killProcessesOf } from "../../reconciler/adapters/transport.ts";
import type { SubjectView } from "../../reconciler/model/ports.ts";
import { issueToken } from "../../reconciler/server/tokens.ts";
import type { Answer, What, Word } from "../sim/history.ts";
import { git } from "../support/git-remote.ts";
import { until } from "../support/temp.ts";
import { sources } from "../support/world.ts";
import { type FleetOptions, fleetFacts, fleetFiles, type Targets } from "./fleet.ts";
import { crashBuild } from "./instrument.ts";

const key = Buffer.alloc(32, 7);
const operator = issueToken(key, { kind: "operator" });
const agent = issueToken(key, { kind: "subject", name: "agent-1" });
/** Life of the host that reports by itself. */
export const agentLife = "agent-life-0001";

/** A process was killed at its crash point: what a scenario wanted to do next is not done. */
export class Died extends Error {}

export interface Run {
  readonly name: string;
  readonly data: string;
  readonly child: ChildProcess;
  output: string;
  /** Signal or status, once it has ended. */
  end: string | null;
  readonly ended: Promise<string>;
}

export interface StartOptions {
  readonly data: string;
  readonly args?: readonly string[];
  /** False for a process that is not to die by itself. */
  readonly isArmed?: boolean;
}

export class Site implements AsyncDisposable {
  readonly path: string;
  readonly events: (What & { readonly at: number })[] = [];
  readonly runs: Run[] = [];
  /** Tips of `observed` as the remote had them, in order, with when each was seen first. */
  readonly tips: { readonly at: number; readonly commit: string }[] = [];
  /** Environment of the processes that may be killed at a point. */
  readonly armed: Readonly<Record<string, string>>;
  readonly beganAt: number = Date.now();
  /** Address of the remote, as the processes are given it; empty for the embedded one. */
  remote: string;
  /** The bare repository that has the record. */
  record: string;
  /** Options that every command of this site needs. */
  options: readonly string[] = [];
  /** Data folders whose mirror was damaged by hand: who starts there has to mend it, and nobody else. */
  readonly wrecked: Set<string> = new Set();
  private readonly deferred: (() => Promise<void>)[] = [];
  private readonly watching: NodeJS.Timeout;
  private targets: Targets = bothServe;
  private sequence = 0;
  private updates = 0;

  private constructor(path: string, armed: Readonly<Record<string, string>>) {
    this.path = path;
    this.armed = armed;
    this.record = join(path, "remote.git");
    this.remote = this.record;
    this.watching = setInterval(() => void this.watch(), 15);
  }

  /** A copy of a template, which `makeTemplate` has made. */
  static async open(template: string, armed: Readonly<Record<string, string>>): Promise<Site> {
    const path = await mkdtemp(join(tmpdir(), "stateward-crash-"));
    await cp(template, path, { recursive: true });
    const site = new Site(path, armed);
    site.note({ kind: "commit", commit: await site.head(), desired: fleetFacts(bothServe) });
    return site;
  }

  get folder(): string {
    return join(this.path, "fleet");
  }

  now(): number {
    return Date.now() - this.beganAt;
  }

  note(what: What): void {
    this.events.push({ ...what, at: this.now() });
  }

  host(name: string): string {
    return join(this.folder, ".stateward-hosts", name);
  }

  head(): Promise<string> {
    return git(this.record, "rev-parse", "refs/heads/main");
  }

  /** Starts a reconciler; resolves when it serves. */
  async start({ data, args = [], isArmed = true }: StartOptions): Promise<Run> {
    const run = this.spawn({ data, args: ["run", "--listen", "127.0.0.1:0", ...args], isArmed });
    await this.until(`${run.name} serves`, () => {
      if (run.end !== null) throw new Error(`${run.name} ended with ${run.end}\n${run.output}`);
      return urlOf(run) !== "";
    });
    return run;
  }

  /** Starts a command with this site's options. */
  spawn({ data, args = [], isArmed = true }: StartOptions): Run {
    const name = `p${this.runs.length + 1}`;
    const dataFolder = join(this.path, data);
    const remote = this.remote === "" ? [] : ["--repository", this.remote];
    const child = spawn(
      process.execPath,
      [
        join(crashBuild, "cli/main.js"),
        "--folder",
        this.folder,
        "--data",
        dataFolder,
        ...remote,
        ...this.options,
        ...args,
      ],
      {
        stdio: ["ignore", "pipe", "pipe"],
        env: {
          ...cleanEnvironment(),
          STATEWARD_TOKEN_KEY_FILE: join(this.path, "token.key"),
          ...(isArmed ? this.armed : {}),
        },
      },
    );
    const ended = new Promise<string>((resolve) =>
      child.once("exit", (status, signal) => {
        run.end = signal ?? String(status);
        this.note({ kind: signal === "SIGKILL" ? "killed" : "stopped", process: data });
        resolve(run.end);
      }),
    );
    const run: Run = { name, data, child, output: "", end: null, ended };
    for (const stream of [child.stdout, child.stderr])
      stream?.on("data", (chunk: Buffer) => (run.output += chunk.toString()));
    const isFresh = !this.runs.some((other) => other.data === data);
    this.runs.push(run);
    this.note({ kind: "started", process: data, folder: data, fresh: isFresh });
    return run;
  }

  /** Done when the site goes away. */
  defer(work: () => Promise<void>): void {
    this.deferred.push(work);
  }

  /** True once the crash point was come by. */
  hasCrashed(): boolean {
    return this.isWatched && this.runs.some(({ end, child }) => end === "SIGKILL" && !this.ours.has(child));
  }

  /** Data folder of the process that was killed at its point. */
  crashedData(): string | undefined {
    return this.runs.find(({ end, child }) => end === "SIGKILL" && !this.ours.has(child))?.data;
  }

  /** Ends a process as a power cut would. */
  async kill(run: Run): Promise<void> {
    this.ours.add(run.child);
    run.child.kill("SIGKILL");
    await run.ended;
  }

  /** Ends a process in order. */
  async stop(run: Run): Promise<string> {
    run.child.kill("SIGTERM");
    await this.until(`${run.name} ends`, () => run.end !== null);
    return run.end ?? "";
  }

  /** Everything that the processes have printed. */
  said(): string {
    return this.runs.map(({ name, data, end, output }) => `${name} (${data}) ${end}\n${output}`).join("\n");
  }

  async killAll(): Promise<void> {
    this.isWatched = false;
    await Promise.all(this.runs.filter(({ end }) => end === null).map((run) => this.kill(run)));
  }

  /** Waits; throws `Died` once a process came to its crash point. */
  async until<T>(
    what: string,
    look: () => T | null | undefined | false | Promise<T | null | undefined | false>,
    limitMs = 40_000,
  ): Promise<T> {
    const found = await until(
      what,
      async () => {
        if (this.hasCrashed()) throw new Died();
        return look();
      },
      limitMs,
    ).catch((error: unknown) => {
      if (error instanceof Died || this.hasCrashed()) throw new Died();
      throw error;
    });
    return found;
  }

  /** New targets on `main`. */
  async commit(targets: Targets, port: number, options: FleetOptions & { to?: string } = {}): Promise<string> {
    await this.aim(targets, port, options);
    return this.push(targets, options.to);
  }

  /** A commit that does not pass the checks. */
  async commitNonsense(): Promise<string> {
    await writeFile(join(this.folder, "hosts/nonsense.yaml"), "host: nonsense\ntargets: { nothing: nowhere }\n");
    const commit = await this.push(null);
    await rm(join(this.folder, "hosts/nonsense.yaml"));
    return commit;
  }

  /** The commit of `main`, where it was made of the folder's files. */
  noteMain(commit: string): void {
    const isKnown = this.events.some((event) => event.kind === "commit" && event.commit === commit);
    if (!isKnown) this.note({ kind: "commit", commit, desired: fleetFacts(this.targets) });
  }

  /** New targets in the folder's files alone. */
  async aim(targets: Targets, port: number, options: FleetOptions = {}): Promise<void> {
    this.targets = targets;
    await writeFleet(this.folder, port, targets, options);
  }

  private async push(targets: Targets | null, to = this.record): Promise<string> {
    await git(this.folder, "add", "--all", "--", "hosts", "machines", "stateward.yaml");
    await git(this.folder, "commit", "--quiet", "--allow-empty", "-m", JSON.stringify(targets));
    const commit = await git(this.folder, "rev-parse", "HEAD");
    const desired = targets === null ? { ...fleetFacts(bothServe), valid: false } : fleetFacts(targets);
    this.note({ kind: "commit", commit, desired });
    await git(this.folder, "push", "--quiet", to, "HEAD:main");
    return commit;
  }

  /** Somebody takes the last commit of `main` away. */
  async rewind(): Promise<void> {
    const from = await this.head();
    await git(this.folder, "reset", "--quiet", "--hard", "HEAD~1");
    const to = await git(this.folder, "rev-parse", "HEAD");
    await git(this.record, "update-ref", "refs/heads/main", to);
    this.note({ kind: "rewound", branch: "main", from, to });
  }

  /** A person's word that `main` is to be followed as it is. */
  async acceptHistory(data: string, isArmed: boolean): Promise<void> {
    const command = this.spawn({ data, args: ["accept-history", "--yes"], isArmed });
    await this.until("the word is taken", () => command.end !== null);
    if (command.end !== "0") throw new Error(`accept-history ended with ${command.end}: ${command.output}`);
    this.note({ kind: "accepted-history", folder: data, branch: "main" });
  }

  /** Whether a step fails on a host, or does not end there. */
  async disturb(how: "fail" | "slow", step: string, host: string): Promise<void> {
    await writeFile(join(this.path, `${how}-${step}-${host}`), "");
  }

  async undisturb(): Promise<void> {
    for (const name of await readdir(this.path))
      if (/^(fail|slow)-/.test(name)) await rm(join(this.path, name), { force: true });
  }

  /** The remote goes away, or comes back. */
  async cutRemote(isCut: boolean): Promise<void> {
    const away = `${this.record}.away`;
    await (isCut ? rename(this.record, away) : rename(away, this.record)).catch(() => {});
  }

  /** The remote takes no signs of life, or does again. */
  async refuseSigns(isRefusing: boolean): Promise<void> {
    const hook = join(this.record, "hooks/update");
    await mkdir(dirname(hook), { recursive: true });
    const script = '#!/bin/sh\ncase "$1" in refs/heads/*) exit 0 ;; esac\nexit 1\n';
    await (isRefusing ? writeFile(hook, script, { mode: 0o755 }) : rm(hook, { force: true }));
  }

  /** Ends every fault: nothing is in the way any more. */
  async mend(): Promise<void> {
    await this.cutRemote(false);
    await this.refuseSigns(false);
    await this.undisturb();
    // What was pushed elsewhere, or was not pushed yet.
    await git(this.folder, "push", "--quiet", this.record, "HEAD:main").catch(() => {});
    this.note({ kind: "calm", helps: false });
  }

  /** The host's folder goes away, with all that was on it. */
  async destroy(host: string): Promise<void> {
    await killProcessesOf(this.host(host));
    await rename(this.host(host), join(this.path, `gone-${host}-${this.now()}`));
    this.note({ kind: "down", host });
  }

  async get(run: Run, path: string): Promise<unknown> {
    return (await this.ask(run, "GET", path)).body;
  }

  /** What the steps have said of themselves. */
  log(): Promise<string> {
    return readFile(join(this.path, "steps.log"), "utf8").catch(() => "");
  }

  async logHas(text: string): Promise<boolean> {
    return (await this.log()).includes(text);
  }

  /** A report of the host that reports by itself. */
  async report(run: Run, state: "on" | "off", facts: Readonly<Record<string, string>> = {}): Promise<Answer> {
    const sequence = ++this.sequence;
    const body = { incarnation: agentLife, sequence, states: { lamp: state }, facts };
    const sentAt = this.now();
    const answer = await this.say(run, "/v1/hosts/agent-1/reports", body, agent);
    const { states, incarnation } = body;
    this.note({ kind: "reported", process: run.data, host: "agent-1", incarnation, sequence, states, sentAt, answer });
    return answer;
  }

  /** An update of the door. */
  async update(run: Run): Promise<Answer> {
    const word = {
      kind: "update",
      subject: "agent-1",
      machine: "door",
      state: "shut",
      key: `k${++this.updates}`,
    } as const;
    const path = `/state?subject=${word.subject}&machine=${word.machine}&state=${word.state}`;
    return this.noted(run, word, () =>
      this.ask(run, "PUT", path, { headers: { "idempotency-key": word.key } }).then(({ status }) => answerOf(status)),
    );
  }

  hold(run: Run, select: string): Promise<Answer> {
    const body = { select, by: "ana", reason: "crash test" };
    return this.noted(run, { kind: "hold", select, by: "ana" }, () => this.say(run, "/v1/holds", body));
  }

  release(run: Run, select: string): Promise<Answer> {
    return this.noted(run, { kind: "release", select }, () => this.say(run, "/v1/releases", { select, by: "ana" }));
  }

  approve(run: Run, commit: string): Promise<Answer> {
    return this.noted(run, { kind: "approve", commit }, () => this.say(run, "/v1/approvals", { commit, by: "ana" }));
  }

  releaseBrake(run: Run): Promise<Answer> {
    const reason = "looked";
    return this.noted(run, { kind: "release-brake", reason }, () =>
      this.say(run, "/v1/brake-releases", { by: "ana", reason }),
    );
  }

  verdict(run: Run, kind: "retry" | "skip", host: string): Promise<Answer> {
    const path = `/v1/hosts/${host}/verdicts`;
    return this.noted(run, { kind, host, machine: null }, () => this.say(run, path, { word: kind }));
  }

  replay(run: Run, host: string): Promise<Answer> {
    const word = { kind: "replay", host, machine: null } as const;
    return this.noted(run, word, () => this.say(run, `/v1/hosts/${host}/replays`, {}));
  }

  /** The record gets a new root. */
  archive(run: Run): Promise<Answer> {
    return this.say(run, "/v1/record/archives", {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.watching);
    await this.killAll();
    for (const work of this.deferred) await work();
    for (const host of ["a", "b"]) await killProcessesOf(this.host(host));
    await rm(this.path, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }

  private readonly ours = new Set<ChildProcess>();
  private isWatched = true;

  private async noted(run: Run, word: Word, say: () => Promise<Answer>): Promise<Answer> {
    const askedAt = this.now();
    const answer = await say();
    this.note({ kind: "word", process: run.data, word, askedAt, answer });
    return answer;
  }

  private async say(run: Run, path: string, body: object, token = operator): Promise<Answer> {
    return answerOf((await this.ask(run, "POST", path, { body, token })).status);
  }

  /** Status 0: no answer came. */
  private async ask(
    run: Run,
    method: string,
    path: string,
    more: { readonly body?: object; readonly token?: string; readonly headers?: Record<string, string> } = {},
  ): Promise<{ status: number; body: unknown }> {
    const { body, token = operator, headers = {} } = more;
    try {
      const answer = await fetch(`${urlOf(run)}${path}`, {
        method,
        headers: {
          authorization: `Bearer ${token}`,
          ...(body ? { "content-type": "application/json" } : {}),
          ...headers,
        },
        ...(body ? { body: JSON.stringify(body) } : {}),
        signal: AbortSignal.timeout(20_000),
      });
      const text = await answer.text();
      return { status: answer.status, body: text.startsWith("{") ? (JSON.parse(text) as unknown) : text };
    } catch {
      return { status: 0, body: null };
    }
  }

  private async watch(): Promise<void> {
    const file = join(this.record, "refs/heads/observed");
    const commit = (await readFile(file, "utf8").catch(() => "")).trim();
    if (/^[0-9a-f]{40}$/.test(commit) && this.tips.at(-1)?.commit !== commit)
      this.tips.push({ at: this.now(), commit });
  }
}

/** `svc` of a host, as a reconciler says: its state, and the reason of its condition. Empty when it does not say. */
export async function svcOf(
  site: Site,
  run: Run,
  host: string,
): Promise<{ state: string; reason: string; isHeard: boolean }> {
  const view = (await site.get(run, `/v1/hosts/${host}`)) as Partial<SubjectView> | null;
  const machine = view?.machines?.find(({ machine }) => machine === "svc");
  const ready = machine?.conditions.find(({ type }) => type === "Ready");
  return { state: machine?.state ?? "", reason: ready?.reason ?? "", isHeard: view?.reachable === true };
}

/** Where a process serves last; empty before it does. */
const urlOf = (run: Run): string => [...run.output.matchAll(/serves (http:[^\s,]+)/g)].at(-1)?.[1] ?? "";

function answerOf(status: number): Answer {
  return status >= 200 && status < 300 ? "taken" : status >= 400 ? "refused" : "unknown";
}

/** Without what this machine says to Git: its proxies, certificates and settings. */
function cleanEnvironment(): Record<string, string | undefined> {
  const kept = Object.entries(process.env).filter(([name]) => !/^GIT_|_proxy$/i.test(name));
  return { ...Object.fromEntries(kept), GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_NOSYSTEM: "1" };
}

/** What every site begins with. */
const bothServe: Targets = { a: "serving", b: "serving" };

async function writeFleet(folder: string, port: number, targets: Targets, options: FleetOptions = {}): Promise<void> {
  for (const { path, text } of sources(fleetFiles(port, targets, options))) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text ?? "");
  }
}

/** What every site begins as: a remote with both hosts' targets on `main`. */
export async function makeTemplate(path: string, port: number): Promise<void> {
  const [folder, remote] = [join(path, "fleet"), join(path, "remote.git")];
  await mkdir(folder, { recursive: true });
  await writeFleet(folder, port, bothServe);
  await writeFile(join(path, "token.key"), `${key.toString("hex")}\n`);
  await git(path, "init", "--quiet", "--bare", "--template=", "--initial-branch=main", remote);
  await git(remote, "config", "gc.auto", "0");
  await git(folder, "init", "--quiet", "--template=");
  await git(folder, "add", "--all");
  await git(folder, "commit", "--quiet", "-m", "both serve");
  await git(folder, "push", "--quiet", remote, "HEAD:main");
}
