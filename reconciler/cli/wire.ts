// The one place that names implementations: ports on one side, Git, disks, hosts and HTTP on the other.
import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { FastifyInstance } from "fastify";
import cron from "node-cron";
import { Hosts } from "../adapters/hosts.ts";
import { runProcess } from "../adapters/process.ts";
import { LocalTransport, SshTransport, type Transport } from "../adapters/transport.ts";
import { Fleet } from "../engine/fleet.ts";
import { Engine } from "../engine/loop.ts";
import { Failure } from "../model/failure.ts";
import type { Clock, EventSink } from "../model/ports.ts";
import type { Settings, TransportName } from "../model/types.ts";
import { DesiredMirror, openBare, removeStaleLocks } from "../record/mirror.ts";
import { GitRecord } from "../record/store.ts";
import { createApp } from "../server/app.ts";
import { loadTokenKey } from "../server/tokens.ts";
import { createLoader, tokenKeyFile, type Workspace } from "./workspace.ts";

export const systemClock: Clock = {
  now: () => Date.now(),
  after: (ms, wake) => {
    // Timers of Node end at 2^31 ms; a longer wait is looked at again on the way.
    const timer = setTimeout(wake, Math.min(ms, 2 ** 31 - 1));
    return () => clearTimeout(timer);
  },
};

export interface WireOptions {
  readonly workspace: Workspace;
  readonly events: EventSink;
  readonly notice: (message: string) => void;
  /** Address and port; default what the settings say. */
  readonly listen?: string;
}

export interface Reconciler {
  readonly engine: Engine;
  readonly fleet: Fleet;
  readonly settings: () => Settings;
  /** Address of the HTTP interface. */
  readonly url: string;
  stop(): Promise<void>;
}

/** Starts everything. Rejects with a Failure when the first commit has problems or the record cannot be read. */
export async function startReconciler(options: WireOptions): Promise<Reconciler> {
  const { workspace } = options;
  await mkdir(workspace.data, { recursive: true });
  const git = await openBare(join(workspace.data, "mirror.git"), runProcess);
  for (const name of await removeStaleLocks(git))
    options.notice(`removed the lock ${name}, which a killed process left`);
  const desired = new DesiredMirror(git, workspace.remote, createLoader());
  const record: GitRecord = new GitRecord({
    git,
    remote: workspace.remote,
    journalDir: join(workspace.data, "journal"),
    windowMs: () => engine.world()?.desired.loaded.repository.settings.record.windowMs ?? 1000,
    onFenced: (message) => engine.halt(message),
    onNotice: options.notice,
  });
  const hosts = createHosts(workspace, () => currentSettings(engine));
  const engine: Engine = new Engine({
    clock: systemClock,
    desired,
    record,
    looker: hosts.hosts,
    actor: hosts.hosts,
    events: options.events,
  });
  await engine.start();
  const fleet = new Fleet(engine, systemClock);
  const schedule = new PollSchedule(engine);
  const app = await listen(options, fleet, engine).catch(async (error: unknown) => {
    schedule.stop();
    await engine.stop().catch(() => {});
    throw error;
  });
  const stop = async (): Promise<void> => {
    schedule.stop();
    await app.close();
    try {
      await engine.stop();
    } finally {
      await record.close();
      await hosts.close();
    }
  };
  return { engine, fleet, settings: () => currentSettings(engine), url: app.listeningOrigin, stop };
}

function currentSettings(engine: Engine): Settings {
  const world = engine.world();
  if (!world) throw new Failure("waiting", "no good commit yet", { reason: "NotReady" });
  return world.desired.loaded.repository.settings;
}

/** Folders of local hosts and ssh settings come from the settings in force when a host is first spoken to. */
function createHosts(workspace: Workspace, settings: () => Settings): { hosts: Hosts; close: () => Promise<void> } {
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
  return { hosts: new Hosts({ transportOf, now: () => systemClock.now() }), close: async () => ssh?.close() };
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

  private follow(): void {
    const wanted = this.engine.world()?.desired.loaded.repository.settings.poll ?? "*/5 * * * * *";
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

async function listen(
  { workspace, listen: wanted }: WireOptions,
  fleet: Fleet,
  engine: Engine,
): Promise<FastifyInstance> {
  const key = await loadTokenKey(tokenKeyFile(workspace));
  const settings = engine.world()?.desired.loaded.repository.settings;
  const address = wanted ?? settings?.http.listen ?? "127.0.0.1:8640";
  const stateAccess = (): "token" | "open" =>
    engine.world()?.desired.loaded.repository.settings.http.stateAccess ?? "token";
  const app = await createApp({ fleet, key, stateAccess, version });
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

/** Version of the package; a test compares it with package.json. */
export const version = "0.1.0";
