// The one place that names implementations: ports on one side, Git, disks, hosts and HTTP on the other.
import { randomUUID } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join, resolve } from "node:path";
import type { FastifyInstance } from "fastify";
import cron from "node-cron";
import { Controller } from "../adapters/controller.ts";
import { Hosts } from "../adapters/hosts.ts";
import { runProcess } from "../adapters/process.ts";
import { LocalTransport, SshTransport, type Transport } from "../adapters/transport.ts";
import { Coordination } from "../engine/coordination.ts";
import { Fleet } from "../engine/fleet.ts";
import { Engine } from "../engine/loop.ts";
import { assert, Failure } from "../model/failure.ts";
import type { Clock, EventSink, RepositoryControl } from "../model/ports.ts";
import { secretsIn } from "../model/secrets.ts";
import type { Settings, TransportName } from "../model/types.ts";
import { type CommitSigner, openSigner } from "../record/commit-signer.ts";
import { replaceFile } from "../record/disk.ts";
import { DocumentCache } from "../record/document-cache.ts";
import type { Git } from "../record/git.ts";
import { Maintenance } from "../record/maintenance.ts";
import { DesiredMirror, markDamaged, openMirror, removeStaleLocks, tellLocks } from "../record/mirror.ts";
import { quickList } from "../record/quick-list.ts";
import { GitRemote, isCorrupt } from "../record/remote.ts";
import { GitRecord } from "../record/store.ts";
import { TipsFile } from "../record/tips.ts";
import { createApp } from "../server/app.ts";
import { loadTokenKey } from "../server/tokens.ts";
import { documentVersion } from "./document-version.ts";
import { createForge, type Forge, type ForgeOptions } from "./forge.ts";
import { createLoader } from "./loader.ts";
import { judgeOf } from "./signature-judge.ts";
import { SteadyClock } from "./steady-clock.ts";
import { version } from "./version.ts";
import { hookSecretFile, tokenKeyFile, type Workspace } from "./workspace.ts";

export interface WireOptions {
  readonly workspace: Workspace;
  readonly events: EventSink;
  readonly notice: (message: string) => void;
  /** What whoever is on call must know. */
  readonly alert: (message: string) => void;
  /** Address and port; default what the settings say. */
  readonly listen?: string;
  /** Lead at once, whoever led before. */
  readonly takeOver?: boolean;
  /** File with the key that signs the commits of the record. */
  readonly signingKey?: string;
  /** GitHub, where pull requests are looked after. */
  readonly forge?: ForgeOptions;
  /** This process has run a reconciler before: a remote that fails now and then does not end it. */
  readonly isRestart?: boolean;
}

export interface Reconciler {
  readonly engine: Engine;
  readonly fleet: Fleet;
  readonly settings: () => Settings;
  /** Address of the HTTP interface. */
  readonly url: string;
  /** Resolves when this reconciler leads, which may be long after it has started. Rejects when it never can. */
  readonly leading: Promise<void>;
  /** True once another leads, or the history is in doubt: a new one may be started in its place, to stand by. */
  readonly isDeposed: () => boolean;
  /** True once the mirror was found damaged: the next start fetches it afresh. */
  readonly isDamaged: () => boolean;
  stop(): Promise<void>;
}

/** Starts everything, and resolves when it leads, or stands by. Rejects with a Failure when it can do neither. */
export async function startReconciler(options: WireOptions): Promise<Reconciler> {
  const { workspace } = options;
  await mkdir(workspace.data, { recursive: true });
  const instance = await instanceOf(workspace.data);
  const clock = new SteadyClock();
  let isDamaged = false;
  const { git, desired, record, signer } = await openRepository(options, instance, {
    windowMs: () => engine.settings()?.record.windowMs ?? 1000,
    fenced: (message) => engine.halt(message),
    damaged: (message) => {
      isDamaged = true;
      engine.halt(message);
    },
  });
  const hosts = createHosts(workspace, clock, () => currentSettings(engine));
  const engine: Engine = new Engine({
    clock,
    desired,
    record,
    looker: hosts.hosts,
    actor: hosts.hosts,
    events: options.events,
  });
  // The record is read while main is: each waits for Git most of the time.
  let serves: () => void = () => {};
  const served = new Promise<void>((resolve) => {
    serves = resolve;
  });
  const leading = engine.start(served).catch(async (error: unknown) => {
    if (isCorrupt(error)) await markDamaged(git);
    throw error;
  });
  // Whoever waits for it hears of it; until then it is nobody's.
  leading.catch(() => {});
  await engine.poll();
  const fleet = new Fleet(engine, clock, (text) => hideAll(workspace, engine, text));
  const { coordination, forge } = peopleOf(options, { git, engine, fleet, clock, signer });
  const maintenance = maintain(git, record, options.notice);
  const schedule = new PollSchedule(engine);
  clock.watch((message) => {
    options.notice(`${message}: what hosts said before does not count any more`);
    engine.listenAnew();
    schedule.again();
  });
  const shutDown = ending(engine, record, hosts, [clock, schedule, maintenance, forge]);
  const repository = { wake: () => void engine.poll(), archive: () => record.archive(new Date()) };
  const about = { fleet, engine, coordination, forge, instance, repository };
  const app = await listen(options, about).catch(async (error: unknown) => {
    await shutDown(null).catch(() => {});
    throw error;
  });
  serves();
  maintenance.start();
  forge.start();
  const stop = (): Promise<void> => shutDown(app);
  // Whoever is told that it serves finds it leading, or knows that it stands by.
  await Promise.race([leading, record.waiting]).catch(async (error: unknown) => {
    await stop().catch(() => {});
    throw error;
  });
  return {
    engine,
    fleet,
    settings: () => currentSettings(engine),
    url: app.listeningOrigin,
    leading,
    isDeposed: () => record.status().role === "ended",
    isDamaged: () => isDamaged,
    stop,
  };
}

/** By whom people are heard, here and on GitHub. */
function peopleOf(
  { workspace, forge, notice }: WireOptions,
  {
    git,
    engine,
    fleet,
    clock,
    signer,
  }: {
    readonly git: Git;
    readonly engine: Engine;
    readonly fleet: Fleet;
    readonly clock: Clock;
    readonly signer: CommitSigner | null;
  },
): { readonly coordination: Coordination; readonly forge: Forge } {
  const coordination = new Coordination(engine, clock, (text) => hideAll(workspace, engine, text));
  const settings = (): Settings["github"] | null => engine.settings()?.github ?? null;
  const refused = (): ReturnType<Engine["state"]>["refused"] => engine.state().refused;
  const parts = { git, fleet, coordination, settings, refused, now: () => clock.now(), notice, signer };
  return { coordination, forge: createForge(forge ?? {}, workspace, parts) };
}

/** What ends a reconciler in order, with its HTTP interface if it has one yet. */
function ending(
  engine: Engine,
  record: GitRecord,
  hosts: { close(): Promise<void> },
  timers: readonly { stop(): void }[],
): (app: FastifyInstance | null) => Promise<void> {
  return async (app) => {
    for (const timer of timers) timer.stop();
    await app?.close();
    try {
      await engine.stop();
      await record.release();
    } finally {
      await record.close();
      await hosts.close();
    }
  };
}

/** Upkeep of the mirror; whoever leads archives a record that has grown too large. */
function maintain(git: Git, record: GitRecord, notice: (message: string) => void): Maintenance {
  const archive = async (): Promise<void> => {
    if (record.status().role !== "leading") return;
    notice(`the record has grown: what it was is on ${await record.archive(new Date())}`);
  };
  return new Maintenance({ git, onNotice: notice, archive });
}

/** Everything that is Git: the mirror, the remotes, `main` and the record. */
async function openRepository(
  { workspace, notice, alert, takeOver = false, isRestart = false, signingKey }: WireOptions,
  instance: string,
  engine: {
    readonly windowMs: () => number;
    readonly fenced: (message: string) => void;
    readonly damaged: (message: string) => void;
  },
): Promise<{ git: Git; desired: DesiredMirror; record: GitRecord; signer: CommitSigner | null }> {
  const { data } = workspace;
  const signer = signingKey === undefined ? null : await openSigner(signingKey, runProcess);
  // A2: it is in no message that is known of; should there be one, it is taken out.
  if (signingKey !== undefined) workspace.secrets.add(await readFile(signingKey, "utf8"));
  const git = await openMirror(data, runProcess, { git: workspace.git, notice });
  const tips = await TipsFile.open(data);
  // Out of memory, say, a fetch of ours is killed while this process goes on.
  const onLocked = async (): Promise<void> => tellLocks(await removeStaleLocks(git), notice);
  const remotes = [workspace.remote, ...workspace.fallbacks].map(
    (url) => new GitRemote(git, url, quickList(git, url, runProcess), onLocked),
  );
  const [remote] = remotes;
  assert(remote, "there is always a remote");
  const record: GitRecord = new GitRecord({
    git,
    remote,
    tips,
    journalDir: join(data, "journal"),
    ...(signer === null ? {} : { signer }),
    // An embedded origin is this folder's own: nobody else can lead. Who was deposed may have been so by a copy of its own folder, whose
    // signs bear the same name: from then on it waits like anybody else, or the two would take the lead from each other for ever.
    leadership: {
      instance: isRestart ? randomUUID() : instance,
      term: randomUUID(),
      host: hostname(),
      takeOver: takeOver || workspace.embedded,
    },
    isRestart,
    windowMs: engine.windowMs,
    onFenced: engine.fenced,
    onNotice: notice,
    onAlert: alert,
  });
  const desired = new DesiredMirror({
    git,
    remotes,
    tips,
    loader: createLoader(),
    cache: new DocumentCache(join(data, "cache", "documents"), documentVersion),
    judge: judgeOf(git, remote),
    heard: (listing) => record.heard(listing),
    damaged: engine.damaged,
  });
  return { git, desired, record, signer };
}

/** Identity of a data folder: made once. */
async function instanceOf(data: string): Promise<string> {
  const path = join(data, "instance");
  const known = await readFile(path, "utf8").catch(() => "");
  if (/^[0-9a-f-]{36}\n$/.test(known)) return known.trim();
  const instance = randomUUID();
  await replaceFile(path, `${instance}\n`);
  return instance;
}

function currentSettings(engine: Engine): Settings {
  const settings = engine.settings();
  if (!settings) throw new Failure("waiting", "no good commit yet", { reason: "NotReady" });
  return settings;
}

/** Folders of local hosts and ssh settings come from the settings in force when a host is first spoken to. */
function createHosts(
  workspace: Workspace,
  clock: Clock,
  settings: () => Settings,
): { hosts: Hosts; close: () => Promise<void> } {
  let local: LocalTransport | null = null;
  let ssh: SshTransport | null = null;
  const sshOptions = (): ConstructorParameters<typeof SshTransport>[0] => {
    const { user, identity } = settings().ssh;
    return {
      runProcess,
      dir: join(workspace.data, "ssh"),
      user,
      identity: identity === null ? null : resolve(workspace.folder, identity),
    };
  };
  const transportOf = (name: TransportName): Transport | null => {
    if (name === "local")
      return (local ??= new LocalTransport(localRoot(workspace, settings().local.root), runProcess));
    return name === "ssh" ? (ssh ??= new SshTransport(sshOptions())) : null;
  };
  const controller = new Controller(join(workspace.data, "work"), runProcess);
  return {
    hosts: new Hosts({ transportOf, controller, now: () => clock.now(), secrets: workspace.secrets }),
    close: async () => ssh?.close(),
  };
}

export function localRoot(workspace: Workspace, root: string): string {
  return resolve(workspace.folder, root);
}

/** Polls on the schedule of the settings; a new commit may bring a new schedule. */
class PollSchedule {
  private readonly engine: Engine;
  private expression = "";
  private task: { stop(): unknown; destroy(): unknown } | null = null;

  constructor(engine: Engine) {
    this.engine = engine;
    this.follow();
  }

  stop(): void {
    void this.task?.stop();
    void this.task?.destroy();
    this.task = null;
  }

  /** Cron expressions are looked at by the time of day: what waits for the next one waits for ever when that was set back. */
  again(): void {
    this.expression = "";
    this.follow();
  }

  private follow(): void {
    const wanted = this.engine.settings()?.poll ?? "*/5 * * * * *";
    if (wanted === this.expression) return;
    this.stop();
    this.expression = wanted;
    const quiet = { info: () => {}, warn: () => {}, error: () => {}, debug: () => {} };
    this.task = cron.schedule(wanted, () => this.tick(), {
      noOverlap: true,
      suppressMissedWarning: true,
      logger: quiet,
    });
  }

  private async tick(): Promise<void> {
    await this.engine.poll();
    if (this.task !== null) this.follow();
  }
}

/** For what people say, which may be about any host: words are few, so that all hosts can be asked. */
function hideAll({ secrets }: Workspace, engine: Engine, text: string): string {
  for (const { vars } of engine.world()?.desired.loaded.repository.hosts.values() ?? [])
    for (const value of secretsIn(vars)) secrets.add(value);
  return secrets.hide(text);
}

/** What the HTTP interface is about. */
interface Served {
  readonly fleet: Fleet;
  readonly engine: Engine;
  readonly coordination: Coordination;
  readonly forge: Forge;
  readonly instance: string;
  readonly repository: RepositoryControl;
}

async function listen(
  { workspace, listen: wanted }: WireOptions,
  { fleet, engine, coordination, forge, instance, repository }: Served,
): Promise<FastifyInstance> {
  const key = await loadTokenKey(tokenKeyFile(workspace));
  const secret = (await readFile(hookSecretFile(workspace)).catch(() => null))?.toString().trim() ?? "";
  const hookSecret = secret === "" ? null : Buffer.from(secret);
  const address = wanted ?? engine.settings()?.http.listen ?? "127.0.0.1:8640";
  const stateAccess = (): "token" | "open" => engine.settings()?.http.stateAccess ?? "token";
  for (const value of [key.toString("hex"), secret]) workspace.secrets.add(value);
  const hide = (text: string): string => workspace.secrets.hide(text);
  const said = { fleet, coordination, key, stateAccess, version, instance, repository, hookSecret, hide };
  const app = await createApp({ ...said, forge: forge.service });
  const [host, port] = [
    address.slice(0, address.lastIndexOf(":")),
    Number(address.slice(address.lastIndexOf(":") + 1)),
  ];
  try {
    await app.listen({ host: host.replaceAll(/[[\]]/g, ""), port });
  } catch (cause) {
    await app.close();
    throw new Failure("invalid", `cannot listen on ${address}`, {
      reason: "AddressInUse",
      hint: "end what uses it, or choose another with --listen ADDRESS:PORT or http.listen in stateward.yaml",
      cause,
    });
  }
  return app;
}
