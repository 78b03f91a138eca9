// One reconciler: the real engine and the real record over the simulated world, started, killed, stopped and started again. What cli/
// does around them is repeated here in short: it polls, and begins anew when another leads.
import { SteadyClock } from "../../reconciler/cli/steady-clock.ts";
import { Coordination } from "../../reconciler/engine/coordination.ts";
import { Fleet } from "../../reconciler/engine/fleet.ts";
import { Engine } from "../../reconciler/engine/loop.ts";
import type { EngineEvent } from "../../reconciler/model/ports.ts";
import { formatProblem } from "../../reconciler/model/problem.ts";
import type { RepositoryLoader } from "../../reconciler/model/repository.ts";
import { DesiredMirror } from "../../reconciler/record/mirror.ts";
import { GitRecord } from "../../reconciler/record/store.ts";
import { TipsFile } from "../../reconciler/record/tips.ts";
import { SimDisk } from "./disk.ts";
import { type AllObjects, type Link, SimMirror, SimRemote, SimRepository, type SimServer } from "./git.ts";
import type { What } from "./history.ts";
import { HostsOfProcess, type SimHosts } from "./hosts.ts";
import { SharedDocuments } from "./loader.ts";
import type { Random } from "./random.ts";
import { Life, type SimTime } from "./time.ts";

/** What all processes share. */
export interface SimWorld {
  readonly time: SimTime;
  readonly all: AllObjects;
  readonly server: SimServer;
  readonly hosts: SimHosts;
  readonly loader: RepositoryLoader;
  readonly note: (what: What) => void;
  readonly trace: (process: string, text: string) => void;
  /** Told of what ended a process. */
  readonly failed: (error: unknown) => void;
}

/** A data folder: what a process leaves on its machine. */
export class Folder {
  readonly name: string;
  mirror = new SimMirror();
  disk: SimDisk;
  private readonly random: Random;

  constructor(name: string, random: Random) {
    this.name = name;
    this.random = random;
    this.disk = new SimDisk(random);
  }

  /** The machine is lost, and another takes its place. */
  wipe(): void {
    this.mirror = new SimMirror();
    this.disk = new SimDisk(this.random);
  }
}

interface Running {
  readonly life: Life;
  readonly engine: Engine;
  readonly fleet: Fleet;
  readonly coordination: Coordination;
  readonly record: GitRecord;
  readonly tips: TipsFile;
}

const pollMs = 5000;
const watchMs = 1000;
/** A supervisor starts what has ended after this time. */
const restartMs = 5000;

export class SimProcess {
  readonly name: string;
  readonly folder: Folder;
  readonly link: Link;
  /** Hosts that it cannot reach. */
  readonly unreachable = new Set<string>();
  readonly skew: { wallMs: number; readonly rate: number };
  running: Running | null = null;
  private readonly world: SimWorld;
  private readonly random: Random;
  private life: Life | null = null;
  private lives = 0;
  private isFresh = true;
  /** While it stops: a supervisor wants it started once it has. */
  private isWanted = false;

  constructor(
    world: SimWorld,
    options: {
      readonly name: string;
      readonly random: Random;
      readonly link: Link;
      readonly skew: { wallMs: number; readonly rate: number };
    },
  ) {
    this.world = world;
    this.name = options.name;
    this.random = options.random;
    this.link = options.link;
    this.skew = options.skew;
    this.folder = new Folder(`/data/${options.name}`, options.random.of("disk"));
  }

  get isAlive(): boolean {
    return this.life !== null;
  }

  start(): void {
    this.isWanted = true;
    if (this.life !== null) return;
    const life = new Life(this.world.time, this.skew);
    this.life = life;
    this.world.note({ kind: "started", process: this.name, folder: this.folder.name, fresh: this.isFresh });
    this.isFresh = false;
    this.lives++;
    this.term(life, false);
  }

  /** From one start to its end, within one life of the process. */
  private term(life: Life, isRestart: boolean): void {
    this.open(life, isRestart).catch((error: unknown) => {
      this.world.trace(this.name, `ended: ${String(error)}`);
      this.world.failed(error);
      if (life === this.life) this.endsItself();
    });
  }

  private endsItself(): void {
    this.life?.kill();
    this.life = null;
    this.running = null;
    this.world.note({ kind: "stopped", process: this.name });
    this.world.time.after(restartMs, () => this.start());
  }

  private async open(life: Life, isRestart: boolean): Promise<void> {
    const { world, folder, name } = this;
    const random = this.random.of(`life-${this.lives}`);
    const repository = new SimRepository(folder.mirror, world.all, life, random);
    const disk = folder.disk.for(life);
    const remote = new SimRemote({
      world,
      process: name,
      life,
      repository,
      link: this.link,
      random: random.of("link"),
      heard: ({ main, observed }) => world.note({ kind: "listed", process: name, main, observed }),
      waits: (until) => world.note({ kind: "waits", process: name, until }),
      unheard: () => world.note({ kind: "unheard", process: name }),
    });
    const tips = await TipsFile.open(folder.name, disk);
    const say = (text: string): void => world.trace(name, text);
    const record = new GitRecord({
      git: repository,
      remote,
      tips,
      disk,
      time: life,
      journalDir: `${folder.name}/journal`,
      // All on machines of one name: what tells them apart must not depend on it.
      leadership: { instance: folder.name, host: "machine", term: `${name}-${this.lives}`, takeOver: false },
      isRestart: isRestart || this.lives > 1,
      windowMs: () => engine.settings()?.record.windowMs ?? 1000,
      onFenced: (message) => engine.halt(message),
      onNotice: say,
      onAlert: say,
    });
    const desired = new DesiredMirror({
      git: repository,
      remotes: [remote],
      tips,
      loader: world.loader,
      cache: new SharedDocuments(),
      heard: (listing) => record.heard(listing),
    });
    const actor = new HostsOfProcess(world.hosts, name, life, this.unreachable);
    const events = (event: EngineEvent): void => {
      say(JSON.stringify(event));
      for (const problem of event.kind === "refused" ? (engine.state().trouble?.problems ?? []) : [])
        say(`  ${formatProblem(problem)}`);
    };
    const clock = new SteadyClock(life);
    const engine: Engine = new Engine({ clock, desired, record, looker: actor, actor, events });
    const leading = engine.start();
    leading.catch(() => {});
    await engine.poll();
    clock.watch((message) => {
      say(message);
      engine.listenAnew();
    });
    this.running = {
      life,
      engine,
      record,
      tips,
      fleet: new Fleet(engine, clock),
      coordination: new Coordination(engine, clock),
    };
    this.poll(life, engine);
    this.watch(life);
    await leading;
  }

  private poll(life: Life, engine: Engine): void {
    life.after(pollMs, () => {
      if (this.running?.engine !== engine) return;
      void engine.poll().then(() => this.poll(life, engine));
    });
  }

  /** One that was deposed stands by; one that cannot go on ends, and is started again. */
  private watch(life: Life): void {
    life.after(watchMs, () => {
      const { running } = this;
      if (running === null || running.life !== life) return;
      if (running.engine.state().fatal === null) return this.watch(life);
      const isDeposed = running.record.status().role === "ended";
      this.running = null;
      const ended = running.engine
        .stop()
        .then(() => running.record.release())
        .catch(() => {})
        .then(() => running.record.close());
      void ended.then(() => {
        if (life !== this.life) return;
        if (isDeposed) this.term(life, true);
        else this.endsItself();
      });
    });
  }

  kill(): void {
    if (this.life === null) return;
    this.life.kill();
    this.life = null;
    this.running = null;
    this.world.note({ kind: "killed", process: this.name });
  }

  cutPower(): void {
    this.kill();
    this.folder.disk.cutPower();
  }

  /** The machine is lost with everything on it. */
  lose(): void {
    this.kill();
    this.folder.wipe();
    this.isFresh = true;
  }

  pause(): void {
    this.life?.stop();
  }

  resume(): void {
    this.life?.go();
  }

  /** A clean stop: what is running ends, and is recorded. */
  stop(): void {
    const { running, life } = this;
    if (running === null || life === null) return this.kill();
    this.running = null;
    this.isWanted = false;
    void running.engine
      .stop()
      .then(() => running.record.release())
      .catch(() => {})
      .then(() => running.record.close())
      .then(() => {
        if (this.life !== life) return;
        life.kill();
        this.life = null;
        this.world.note({ kind: "stopped", process: this.name });
        if (this.isWanted) this.start();
      });
  }

  /** Asks the running one for something, from outside. Null when nobody listens. */
  ask<T>(work: (running: Running) => Promise<T>): Promise<T> | null {
    const { life } = this;
    if (life === null) return null;
    return life.hears(
      new Promise<T>((resolve, reject) => {
        life.deliver(() => {
          const { running } = this;
          if (running === null) reject(new Error("nobody listens"));
          else {
            // What is refused may be refused before there is a promise.
            const answer = async (): Promise<T> => work(running);
            answer().then(resolve, reject);
          }
        });
      }),
    );
  }
}
