// Hosts: lives, markers, claims and running steps, as the scripts of adapters/ leave them on real ones. What a step does to its host is
// noted in the history at the moment at which it happens there, whoever hears of it.
import type {
  HostActor,
  HostLooker,
  InquireOrder,
  Inquiry,
  MarkOrder,
  Outcome,
  StepOrder,
} from "../../reconciler/model/ports.ts";
import type { CheckResult, HostReport, StateClaim } from "../../reconciler/model/report.ts";
import type { Check, Host } from "../../reconciler/model/types.ts";
import type { StepFacts, What } from "./history.ts";
import type { Random } from "./random.ts";
import type { Life, SimTime } from "./time.ts";

interface Claim {
  /** Null while it runs, and for ever when its end left no word. */
  exit: number | null;
  isRunning: boolean;
}

type Seen = ReturnType<HostsOptions["recorded"]>;

interface Run {
  readonly number: number;
  isOver: boolean;
}

/** One host. */
export interface SimHost {
  readonly name: string;
  /** Answers. */
  isUp: boolean;
  incarnation: string;
  lives: number;
  readonly markers: Map<string, StateClaim>;
  readonly claims: Map<string, Claim>;
  /** The step that holds the leash. */
  running: Run | null;
  /** Machines whose checks fail. */
  readonly sick: Set<string>;
  /** Of the agent's reports. */
  sequence: number;
  /** An earlier life: its disk, which may come back. */
  former: string[];
}

/** How steps go, as chances. */
export interface StepChances {
  readonly fails: number;
  readonly hangs: number;
  /** It ran, and nobody hears how it ended. */
  readonly unheard: number;
  readonly late: number;
  readonly meanMs: number;
}

export interface HostsOptions {
  readonly time: SimTime;
  readonly random: Random;
  readonly note: (what: What) => void;
  readonly chances: StepChances;
  /** Whether the start of a step stands on the process's disk or the remote, whether on the remote, and the steps that stand there as done. */
  readonly recorded: (
    process: string,
    host: string,
    machine: string,
    step: string,
  ) => { isRecorded: boolean; isPushed: boolean; done: readonly string[]; incarnation: string | null };
}

export class SimHosts {
  readonly hosts = new Map<string, SimHost>();
  readonly options: HostsOptions;
  chances: StepChances;
  private runs = 0;

  constructor(options: HostsOptions) {
    this.options = options;
    this.chances = options.chances;
  }

  /** The host of that name, which comes to life when it is first spoken of. */
  of(name: string): SimHost {
    const known = this.hosts.get(name);
    if (known !== undefined) return known;
    const host: SimHost = {
      name,
      isUp: true,
      incarnation: "",
      lives: 0,
      markers: new Map(),
      claims: new Map(),
      running: null,
      sick: new Set(),
      sequence: 0,
      former: [],
    };
    this.hosts.set(name, host);
    this.build(host);
    return host;
  }

  /** A new life with nothing on it. */
  build(host: SimHost): void {
    this.end(host.running, null);
    host.running = null;
    if (host.incarnation !== "") host.former.push(host.incarnation);
    host.lives++;
    host.incarnation = `${host.name}-life-${String(host.lives).padStart(4, "0")}`;
    host.markers.clear();
    host.claims.clear();
    host.sick.clear();
    host.sequence = 0;
    this.options.note({ kind: "built", host: host.name, incarnation: host.incarnation });
  }

  /** A reboot, or the loss of power: what runs ends without a word. */
  reboot(host: SimHost): void {
    this.end(host.running, null);
    host.running = null;
    for (const claim of host.claims.values()) claim.isRunning = false;
  }

  /** What is recorded of a step as it is sent to its host. */
  seen({ host, machine, step }: StepOrder, process: string): Seen {
    return this.options.recorded(process, host.name, machine, step.key);
  }

  begin(process: string, order: StepOrder, host: SimHost, seen: Seen): Run {
    const { step, machine } = order;
    const facts: StepFacts = { name: step.title, repeat: step.repeat, on: step.on };
    const run: Run = { number: ++this.runs, isOver: false };
    const { isRecorded, isPushed, done, incarnation } = seen;
    this.options.note({
      kind: "began",
      run: run.number,
      process,
      host: host.name,
      // What runs elsewhere belongs to the life that its reconciler knows of.
      incarnation: step.on === "controller" ? (incarnation ?? host.incarnation) : host.incarnation,
      machine,
      step: facts,
      transition: transitionOf(step.title),
      isRecorded,
      isPushed,
      done,
    });
    return run;
  }

  end(run: Run | null, exit: number | null): void {
    if (run === null || run.isOver) return;
    run.isOver = true;
    this.options.note({ kind: "ended", run: run.number, exit });
  }
}

/** Steps are named `MACHINE.FROM.TO.N` by the scenario. */
function transitionOf(title: string): { from: string; to: string } | null {
  const [, from, to] = /^\w+\.(\w+)\.(\w+)\.\d+$/.exec(title) ?? [];
  return from === undefined || to === undefined ? null : { from, to };
}

/** The hosts as one life of a process reaches them. */
export class HostsOfProcess implements HostActor, HostLooker {
  private readonly hosts: SimHosts;
  private readonly process: string;
  private readonly life: Life;
  /** Hosts that this process cannot reach. */
  private readonly unreachable: ReadonlySet<string>;

  // oxlint-disable-next-line max-params -- what connects a process with hosts
  constructor(hosts: SimHosts, process: string, life: Life, unreachable: ReadonlySet<string>) {
    this.hosts = hosts;
    this.process = process;
    this.life = life;
    this.unreachable = unreachable;
  }

  look(
    { name }: Host,
    checkOf: (machine: string, claim: StateClaim) => Check | null,
    recorded: Readonly<Record<string, StateClaim>> = {},
  ): Promise<HostReport> {
    const base = { host: name, at: 0, sequence: null, checks: {}, facts: {} };
    const answer = async (): Promise<HostReport> => {
      await this.way();
      const host = this.reach(name);
      if (host === null) {
        await this.hosts.options.time.sleep(1000);
        return { ...base, reachable: false, message: "no route to host", incarnation: null, states: {} };
      }
      const { incarnation } = host;
      const states = Object.fromEntries(host.markers);
      const sick = new Set(host.sick);
      await this.way();
      return { ...base, reachable: true, message: "", incarnation, states, facts: { sick: [...sick].join(" ") } };
    };
    // What a marker claims is checked by whoever looks, with the check of the state.
    return this.life.hears(answer()).then((report) => {
      const checks: Record<string, CheckResult> = {};
      const sick = report.facts.sick?.split(" ") ?? [];
      for (const [machine, claim] of Object.entries(report.reachable ? { ...recorded, ...report.states } : {})) {
        if (checkOf(machine, claim) === null) continue;
        const ok = !sick.includes(machine);
        checks[machine] = { state: claim.state, ok, message: ok ? "" : "it does not answer", failures: ok ? 0 : 1 };
      }
      return { ...report, checks, facts: {} };
    });
  }

  run(order: StepOrder): Promise<Outcome> {
    return this.life.hears(order.step.on === "controller" ? this.runHere(order) : this.runThere(order));
  }

  private async runHere(order: StepOrder): Promise<Outcome> {
    const { time } = this.hosts.options;
    const seen = this.hosts.seen(order, this.process);
    const run = this.hosts.begin(this.process, order, this.hosts.of(order.host.name), seen);
    const end = this.draw(order.step.timeoutMs);
    await time.sleep(end.afterMs);
    // What runs on the reconciler's machine ends with it.
    if (!this.life.isAlive) return this.finish(run, null);
    if (order.step.title.includes(".replace.") && end.exit === 0) this.replace(order.host.name);
    return this.finish(run, end.exit);
  }

  /** A new machine takes the place of the host. */
  private replace(name: string): void {
    const host = this.hosts.of(name);
    this.hosts.build(host);
    if (!host.isUp) this.hosts.options.note({ kind: "up", host: name });
    host.isUp = true;
  }

  private finish(run: Run, exit: number | null): Outcome {
    this.hosts.end(run, exit);
    if (exit === null) return { kind: "timeout", message: "the step did not end in time", output: "" };
    return exit === 0 ? { kind: "ok", output: "" } : { kind: "failed", message: `exit ${exit}`, output: "" };
  }

  private async runThere(order: StepOrder): Promise<Outcome> {
    const { time, random } = this.hosts.options;
    const seen = this.hosts.seen(order, this.process);
    await this.way();
    const host = this.reach(order.host.name);
    if (host === null) {
      await time.sleep(1000);
      return { kind: "unreachable", message: "no route to host", output: "" };
    }
    if (order.incarnation !== null && order.incarnation !== host.incarnation)
      return { kind: "unreachable", message: "the host was rebuilt", output: "" };
    const { claim } = order;
    if (claim !== null && host.claims.has(claim))
      return { kind: "claimed", message: "the step was started before", output: "" };
    if (claim === null) this.hosts.end(host.running, null);
    const kept: Claim = { exit: null, isRunning: true };
    if (claim !== null) host.claims.set(claim, kept);
    const run = this.hosts.begin(this.process, order, host, seen);
    if (claim === null) host.running = run;
    const { incarnation } = host;
    const end = this.draw(order.step.timeoutMs);
    await time.sleep(end.afterMs);
    const isSame = host.incarnation === incarnation && kept.isRunning && !run.isOver;
    kept.isRunning = false;
    if (!isSame) {
      this.hosts.end(run, null);
      return { kind: "unreachable", message: "the connection was lost", output: "" };
    }
    kept.exit = end.exit;
    if (host.running === run) host.running = null;
    const outcome = this.finish(run, end.exit);
    if (end.exit === 0) host.sick.delete(order.machine);
    await this.way();
    const isUnheard = random.chance(this.hosts.chances.unheard) || this.reach(host.name) === null;
    if (random.chance(this.hosts.chances.late)) await time.sleep(random.around(30_000));
    return isUnheard ? { kind: "unreachable", message: "the connection was lost", output: "" } : outcome;
  }

  /** How a step will go. */
  private draw(timeoutMs: number): { afterMs: number; exit: number | null } {
    const { random } = this.hosts.options;
    const { fails, hangs, meanMs } = this.hosts.chances;
    const afterMs = random.around(meanMs);
    if (random.chance(hangs) || afterMs > timeoutMs) return { afterMs: timeoutMs, exit: null };
    return { afterMs, exit: random.chance(fails) ? 1 : 0 };
  }

  mark({ host: { name }, incarnation, machine, claim }: MarkOrder): Promise<Outcome> {
    const answer = async (): Promise<Outcome> => {
      await this.way();
      const host = this.reach(name);
      const lost: Outcome = { kind: "unreachable", message: "no route to host", output: "" };
      if (host === null || (incarnation !== null && incarnation !== host.incarnation)) return lost;
      const before = host.markers.get(machine)?.revision ?? 0;
      if (before > (claim.revision ?? 0)) return { kind: "failed", message: "a newer marker is there", output: "" };
      host.markers.set(machine, claim);
      this.hosts.options.note({
        kind: "marked",
        process: this.process,
        host: name,
        incarnation: host.incarnation,
        machine,
        state: claim.state,
      });
      await this.way();
      return this.reach(name) === null ? lost : { kind: "ok", output: "" };
    };
    return this.life.hears(answer());
  }

  inquire({ host: { name }, incarnation, claim }: InquireOrder): Promise<Inquiry> {
    const answer = async (): Promise<Inquiry> => {
      await this.way();
      const host = this.reach(name);
      if (host === null || (incarnation !== null && incarnation !== host.incarnation)) return { kind: "running" };
      const known = host.claims.get(claim);
      await this.way();
      if (known === undefined) return { kind: "absent" };
      if (known.isRunning) return { kind: "running" };
      return known.exit === null
        ? { kind: "unknown", message: "the step began on the host, and left no word of its end" }
        : { kind: "ended", exit: known.exit };
    };
    return this.life.hears(answer());
  }

  private reach(name: string): SimHost | null {
    const host = this.hosts.of(name);
    return host.isUp && !this.unreachable.has(name) ? host : null;
  }

  private way(): Promise<void> {
    const { time, random } = this.hosts.options;
    return time.sleep(random.around(20));
  }
}
