// A small fleet to be hurt: local hosts whose steps leave their traces outside of them, an agent that reports over HTTP, a real remote
// behind `git http-backend` and a wire; and what everybody can see of it from outside.
import { execFile } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import * as assert from "uvu/assert";
import type { Health, SubjectView } from "../../reconciler/model/ports.ts";
import { recordPath } from "../../reconciler/record/layout.ts";
import type { Pace } from "../../reconciler/record/leader.ts";
import { issueToken, loadTokenKey } from "../../reconciler/server/tokens.ts";
import { type CliResult, cli, Reconciler, root } from "../support/example.ts";
import { git } from "../support/git-remote.ts";
import { initBare, serveGit } from "../support/http-backend.ts";
import { freePort } from "../support/sshd.ts";
import { tempFolder, until } from "../support/temp.ts";
import { Wire } from "./wire.ts";

const run = promisify(execFile);

export const hosts: readonly string[] = ["a", "b"];
/** An agent's host: it carries a dial that only its reports move. */
export const probe = "probe";
const stateCount = 16;

export interface Status {
  readonly live: boolean;
  readonly health: Health;
  readonly subjects: readonly SubjectView[];
}

/** A reconciler under a name of its own: `NAME` below the site's folder is its data folder. */
export interface Running {
  readonly name: string;
  readonly url: string;
  readonly reconciler: Reconciler;
  /** Kills it with KILL, and waits for its end. */
  kill(): Promise<void>;
}

export interface StartOptions {
  /** Past the wire: straight to the remote. */
  readonly direct?: boolean;
  /** Options of Node itself. */
  readonly node?: readonly string[];
  readonly more?: readonly string[];
  /** Not waited for. */
  readonly waits?: boolean;
}

export interface SiteOptions {
  /** Further machines by name, as JSON; their steps may add lines to the file of effects. */
  readonly machines?: (effectsFile: string) => Readonly<Record<string, object>>;
}

export class Site implements AsyncDisposable {
  readonly dir: string;
  readonly folder: string;
  /** The bare repository. */
  readonly remote: string;
  readonly wire: Wire;
  /** Lines `HOST STATE plain` and `HOST STATE once pushed|unpushed`, in the order in which steps ran. */
  readonly effectsFile: string;
  private sequence = 0;
  /** What is undone at the end, last first. */
  private readonly undo: (() => unknown)[];
  private readonly targets = new Map<string, string>();

  private constructor(dir: string, wire: Wire, undo: (() => unknown)[]) {
    this.dir = dir;
    this.wire = wire;
    this.undo = undo;
    this.folder = join(dir, "fleet");
    this.remote = join(dir, "git", "fleet.git");
    this.effectsFile = join(dir, "effects");
  }

  /** With every host to be in `s1`; nothing runs yet. */
  static async open(options: SiteOptions = {}): Promise<Site> {
    const dir = await tempFolder();
    await mkdir(join(dir.path, "git"));
    const server = await serveGit(join(dir.path, "git"));
    const wire = await Wire.open(Number(new URL(server.url).port));
    const undo = [dir, server, wire].map((each) => () => each[Symbol.asyncDispose]());
    const site = new Site(dir.path, wire, undo);
    await initBare(site.remote);
    await run("git", ["--git-dir", site.remote, "config", "gc.auto", "0"]);
    await mkdir(join(site.folder, "machines"), { recursive: true });
    await mkdir(join(site.folder, "hosts"));
    await writeFile(site.effectsFile, "");
    const machines = { svc: serviceMachine(site), dial: dialMachine(), ...options.machines?.(site.effectsFile) };
    for (const [name, machine] of Object.entries(machines))
      await writeFile(join(site.folder, `machines/${name}.yaml`), JSON.stringify({ machine: name, ...machine }));
    await writeFile(join(site.folder, "stateward.yaml"), settings);
    await writeFile(join(site.folder, "hosts/probe.yaml"), "host: probe\ntransport: agent\nmachines: [dial]\n");
    await git(site.folder, "init", "--quiet");
    await site.aim("s1");
    return site;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const undo of this.undo.toReversed()) await undo();
  }

  /** At the end, before all that was there before. */
  defer(undo: () => unknown): void {
    this.undo.push(undo);
  }

  data(name: string): string {
    return join(this.dir, name);
  }

  private options(name: string, direct = false): string[] {
    const repository = direct ? this.remote : `http://127.0.0.1:${this.wire.port}/fleet.git`;
    return ["--data", this.data(name), "--repository", repository];
  }

  /** Starts the real command, and waits until it serves. */
  async start(name: string, options: StartOptions = {}): Promise<Running> {
    const port = await freePort();
    const args = [...this.options(name, options.direct), ...(options.more ?? [])];
    const reconciler = new Reconciler(this.folder, `127.0.0.1:${port}`, args, options.node ?? brisk);
    this.defer(() => this.end(reconciler));
    if (options.waits !== false) await reconciler.says("serves");
    return { name, url: `http://127.0.0.1:${port}`, reconciler, kill: () => this.end(reconciler) };
  }

  private async end({ child }: Reconciler): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await ended;
  }

  ask(name: string, ...args: string[]): Promise<CliResult> {
    return cli(this.folder, ...this.options(name), ...args);
  }

  /** Sets targets of `svc`, commits, and pushes past the wire. Returns the commit. */
  async aim(state: string, ...names: readonly string[]): Promise<string> {
    for (const name of names.length > 0 ? names : hosts) {
      this.targets.set(name, state);
      const vars = { record: recordPath("host", name) };
      const host = { host: name, transport: "local", vars, targets: { svc: state } };
      await writeFile(join(this.folder, `hosts/${name}.yaml`), JSON.stringify(host));
    }
    // What stands beside is the hosts' own, and changes meanwhile.
    await git(this.folder, "add", "--all", "--", ":!.stateward-hosts");
    await git(this.folder, "commit", "--quiet", "--allow-empty", "-m", `${names.join(", ")} ${state}`);
    return this.push();
  }

  async push(): Promise<string> {
    await git(this.folder, "push", "--quiet", "--force", this.remote, "HEAD:main");
    return git(this.folder, "rev-parse", "HEAD");
  }

  git(...args: string[]): Promise<string> {
    return git(this.remote, ...args);
  }

  async effects(): Promise<string[]> {
    return (await readFile(this.effectsFile, "utf8")).split("\n").filter((line) => line !== "");
  }

  /** `status --json`, as the reconciler of that name answers. */
  async status(name: string): Promise<Status> {
    const { stdout, stderr } = await this.ask(name, "status", "--json");
    assert.ok(stdout.startsWith("{"), `status answers: ${stdout}${stderr}`);
    return JSON.parse(stdout) as Status;
  }

  /** An operator's call to a reconciler; rejects when nobody answers within 20 s. */
  async call({ name, url }: Running, path: string, body?: object): Promise<{ status: number; text: string }> {
    const key = await loadTokenKey(join(this.data(name), "keys", "token.key"));
    const authorization = `Bearer ${issueToken(key, { kind: "operator" })}`;
    const signal = AbortSignal.timeout(20_000);
    const order = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
    const headers = { authorization, "content-type": "application/json" };
    const response = await fetch(new URL(path, url), { headers, signal, ...order });
    return { status: response.status, text: await response.text() };
  }

  /** The agent reports a state of its dial: resolves to whether that was acknowledged. */
  report(to: Running, state: string): Promise<boolean> {
    return this.hear(to, probe, { dial: state });
  }

  /** The agent of a host reports: resolves to whether that was acknowledged. */
  async hear(to: Running, host: string, states: Readonly<Record<string, string>>): Promise<boolean> {
    const body = { incarnation: `${host}-life-0001`, sequence: ++this.sequence, states };
    const { status } = await this.call(to, `/v1/hosts/${host}/reports`, body).catch(() => ({ status: 0 }));
    return status === 202;
  }

  /** Waits until every local host is seen to be in its target state, by whoever is asked. */
  async arrived(to: Running, limitMs = 60_000): Promise<void> {
    let seen = "";
    const look = async (): Promise<boolean> => {
      const { status, text } = await this.call(to, "/v1/hosts").catch((error: unknown) => ({
        status: 0,
        text: String(error),
      }));
      seen = text;
      if (status !== 200) return false;
      const views = (JSON.parse(text) as { hosts: SubjectView[] }).hosts;
      return [...this.targets].every(([name, target]) => stateOf(views, name, "svc") === target);
    };
    await until("all hosts in their targets", look, limitMs).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${to.reconciler.output}\n${seen}`);
    });
  }

  /** The record as the remote has it. */
  async recorded(host: string): Promise<{ machines: Record<string, { state: string }> }> {
    const text = await this.git("show", `observed:${recordPath("host", host)}`);
    return JSON.parse(text) as { machines: Record<string, { state: string }> };
  }

  /** Waits until the remote's record of the agent's dial, which may have none yet, says so (D1, D2). */
  async dialled(state: string): Promise<void> {
    const look = async (): Promise<boolean> =>
      (await this.recorded(probe).catch(() => null))?.machines.dial?.state === state;
    await until(`${state}, which was acknowledged, in the record`, look);
  }

  /**
   * What holds whatever was done to it: S2, no step marked never ran twice, and each one's start was on the remote before it ran;
   * D3, one history with epochs that never fall; D6, a repository in which everything can be read.
   */
  async judge(): Promise<void> {
    const once = (await this.effects()).filter((line) => line.includes(" once "));
    const counts = new Map<string, number>();
    for (const line of once) counts.set(line, (counts.get(line) ?? 0) + 1);
    assert.equal(
      [...counts].filter(([, count]) => count > 1),
      [],
      "S2: a step marked never ran twice",
    );
    assert.equal(
      once.filter((line) => line.endsWith("unpushed")),
      [],
      "S2: a start was not pushed before its step ran",
    );
    assert.is(await this.git("rev-list", "--count", "--merges", "observed"), "0", "D3: one history");
    const trailers = await this.git(
      "log",
      "--reverse",
      "--format=%(trailers:key=Epoch,valueonly,separator=)",
      "observed",
    );
    const epochs = trailers
      .split("\n")
      .filter((line) => line !== "")
      .map(Number);
    assert.equal(
      epochs,
      epochs.toSorted((a, b) => a - b),
      "D3: epochs only rise",
    );
    await this.git("fsck", "--strict", "--no-dangling");
  }

  /** D2: a reconciler with nothing but the repository finds everything in order, and does nothing. */
  async judgeAfresh(): Promise<void> {
    const before = await this.effects();
    const tip = await this.git("rev-parse", "main");
    const running = await this.start("fresh", { direct: true, more: ["--take-over"] });
    await this.arrived(running);
    const { health } = await this.status("fresh");
    assert.is(health.commit, tip);
    await running.kill();
    assert.equal(await this.effects(), before, "D2: nothing is done again");
  }
}

/**
 * Options of Node under which a reconciler keeps another pace than the built program's own: people cannot set it, and tests cannot wait for
 * it.
 */
export function paced(pace: Partial<Pace>): string[] {
  const module = pathToFileURL(join(root, "dist/record/leader.js")).href;
  return preload(
    `import { defaultPace } from ${JSON.stringify(module)}; Object.assign(defaultPace, ${JSON.stringify(pace)});`,
  );
}

/** Options of Node under which a module is loaded before the program. */
export function preload(module: string): string[] {
  return ["--import", `data:text/javascript,${encodeURIComponent(module)}`];
}

/** Looks at the remote often; leads, and gives up, as usual. */
const brisk = paced({ lookMs: 500 });

const settings = `poll: "* * * * * *"
record: { window: 1s }
look: 1s
attempts: { limit: 20, backoff: 500ms, backoff_max: 2s }
brakes: { max_moved: 100%, max_lost: 100%, quiet_start: 0, min_reported: 0% }
rollout: { at_once: 100%, max_unavailable: 100%, canary: 10, waves: [100%] }
`;

/** `s0` to `s15`, one after the other; each is entered by a step that may run again and by one that may not. */
function serviceMachine({ effectsFile, remote }: Site): object {
  const env = { EFFECTS: effectsFile, REMOTE: remote, RECORD: "${host.vars.record}" };
  const states: Record<string, object | null> = { s0: null };
  for (let index = 1; index < stateCount; index++) {
    const state = `s${index}`;
    const once = `word=unpushed
git --git-dir "$REMOTE" show "observed:$RECORD" | grep -q '"step": "once-${state}"' && word=pushed
echo "$STATEWARD_HOST ${state} once $word" >> "$EFFECTS"`;
    const steps = [
      { shell: `echo "$STATEWARD_HOST ${state} plain" >> "$EFFECTS"`, env },
      { name: `once-${state}`, shell: once, env, repeat: "never" },
    ];
    states[state] = { enter: [{ from: `s${index - 1}`, steps }] };
  }
  return { initial: "s0", states };
}

/** `d0` to `d15`, which nothing but a report enters. */
function dialMachine(): object {
  const states: Record<string, object | null> = { d0: null };
  for (let index = 1; index < stateCount; index++)
    states[`d${index}`] = { enter: [{ from: `d${index - 1}`, when: "false" }] };
  return { initial: "d0", states };
}

export function stateOf(views: readonly SubjectView[], name: string, machine: string): string | undefined {
  return views.find((view) => view.name === name)?.machines.find((entry) => entry.machine === machine)?.state;
}
