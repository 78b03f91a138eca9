// Plays a scenario: the same seed gives the same history, to the byte. Everything outside of the reconcilers is in here and in the files
// beside it; nothing waits for the machine that it runs on.
import cron from "node-cron";
import { Failure } from "../../reconciler/model/failure.ts";
import { fleetName } from "../../reconciler/model/record.ts";
import type { RepositoryLoader } from "../../reconciler/model/repository.ts";
import { windowError } from "../../reconciler/plan/windows.ts";
import { observedRef } from "../../reconciler/record/refs.ts";
import { AllObjects, SimServer } from "./git.ts";
import type { Answer, Happening, History, SubjectInRecord, What, Word } from "./history.ts";
import { type SimHost, SimHosts } from "./hosts.ts";
import { SharedLoader } from "./loader.ts";
import { People } from "./people.ts";
import { SimProcess, type SimWorld } from "./process.ts";
import { Random } from "./random.ts";
import type { Act, Scenario } from "./scenario.ts";
import { SimTime, settled } from "./time.ts";

/** Between two reports of an agent. */
const reportMs = 60_000;
/** A report or a word that got no answer by then is given up. */
const answerMs = 120_000;
/** In a liveness run everything must be at rest so long after the faults have ended. */
const calmMs = 45 * 60_000;
/** It is looked at this often whether everything is at rest; then so many times more, to see that it stays. */
const sliceMs = 60_000;
const restSlices = 4;
/** Nothing is done for so long: what is not in its target by then is parked, and waits for nothing that time would bring. */
const stuckMs = 11 * 60_000;
/** More events than this are taken for something that runs in a circle; a large fleet that is looked at every 5 s has its share of them. */
const stepsMax = 400_000;
const stepsMaxPerHost = 10_000;

export interface Played extends History {
  readonly scenario: Scenario;
  readonly steps: number;
  readonly trace: readonly string[];
  /** Faults that were injected, by kind. */
  readonly faults: Readonly<Record<string, number>>;
  /** Errors that no code of operation throws: bugs. */
  readonly crashes: readonly unknown[];
}

export async function play(scenario: Scenario, options: { readonly traces?: boolean } = {}): Promise<Played> {
  const stage = new Stage(scenario, options.traces === true);
  await stage.run();
  const { events, time, lines, faults, crashes } = stage;
  return { events, isLiveness: scenario.isLiveness, scenario, steps: time.steps, trace: lines, faults, crashes };
}

export class Stage implements SimWorld {
  readonly time: SimTime = new SimTime();
  readonly all: AllObjects = new AllObjects();
  readonly server: SimServer = new SimServer();
  readonly loader: RepositoryLoader = new SharedLoader({ isCron: (text) => cron.validate(text), windowError });
  readonly events: Happening[] = [];
  readonly lines: string[] = [];
  readonly hosts: SimHosts;
  readonly processes: SimProcess[];
  readonly scenario: Scenario;
  readonly faults: Record<string, number> = {};
  readonly crashes: unknown[] = [];
  private readonly random: Random;
  private readonly traces: boolean;
  private readonly people: People;
  /** No fault begins any more, and those that are to end have ended. */
  isCalm = false;
  /** Questions that nobody has answered yet. */
  private readonly unanswered = new Set<(given: Answer, reason: string) => void>();

  constructor(scenario: Scenario, traces: boolean) {
    this.scenario = scenario;
    this.traces = traces;
    this.random = new Random(`${scenario.seed}/play`);
    this.hosts = new SimHosts({
      time: this.time,
      random: this.random.of("hosts"),
      note: (what) => this.note(what),
      chances: scenario.steps,
      recorded: (process, host, machine, step) => this.recorded(process, host, machine, step),
    });
    this.processes = scenario.processes.map((sketch, index) => {
      const name = `r${index}`;
      const link = { state: "up" as const, meanMs: sketch.linkMs, lost: scenario.lost, twice: scenario.twice };
      const skew = { wallMs: sketch.skewMs, rate: sketch.rate };
      return new SimProcess(this, { name, random: this.random.of(name), link, skew });
    });
    this.people = new People(this);
    this.server.onPush = ({ ref, from, to }, process) => {
      if (ref === "refs/heads/observed") this.pushed(process, from, to);
    };
  }

  note(what: What): void {
    this.events.push({ at: this.time.now, ...what });
  }

  /** A full disk throws errors of its own; of operation is besides a `Failure` alone. */
  failed(error: unknown): void {
    const isOfOperation = error instanceof Failure || (error instanceof Error && "code" in error);
    if (!isOfOperation) this.crashes.push(error);
  }

  trace(process: string, text: string): void {
    if (this.traces) this.lines.push(`${String(this.time.now).padStart(8)} ${process} ${text}`);
  }

  private stepsMax(): number {
    return Math.max(stepsMax, stepsMaxPerHost * this.hosts.hosts.size);
  }

  async run(): Promise<void> {
    const { scenario, time } = this;
    this.people.begin(scenario.repository);
    for (const host of scenario.repository.hosts) this.hosts.of(host.name);
    for (const [index, process] of this.processes.entries()) time.after(index * 700, () => process.start());
    for (const { at, act } of scenario.script) time.after(at, () => this.act(act));
    this.reports();
    await time.pass(scenario.actsMs, this.stepsMax());
    if (scenario.isLiveness) await this.comeToRest();
    await settled();
    for (const end of this.unanswered) end("unknown", "the end");
    this.atRest();
  }

  // What people and faults do

  private act(act: Act): void {
    this.faults[act.kind] = (this.faults[act.kind] ?? 0) + 1;
    if (this.traces) this.trace("act", JSON.stringify(act));
    if (!this.people.act(act)) this.fault(act);
  }

  /** Ends by itself, or when the faults end. */
  private undo(forMs: number, work: () => void): void {
    this.time.after(forMs, () => {
      if (!this.isCalm) work();
    });
  }

  // oxlint-disable-next-line max-lines-per-function -- a table: a few lines a kind
  private fault(act: Act): void {
    // oxlint-disable-next-line switch-exhaustiveness-check -- what people do is done by then
    switch (act.kind) {
      case "kill":
      case "cut-power":
      case "lose":
      case "stop": {
        const process = this.process(act.process);
        if (act.kind === "kill") process.kill();
        else if (act.kind === "cut-power") process.cutPower();
        else if (act.kind === "lose") process.lose();
        else process.stop();
        return this.undo(act.forMs, () => process.start());
      }
      case "pause":
        this.process(act.process).pause();
        return this.undo(act.forMs, () => {
          this.process(act.process).resume();
          this.note({ kind: "resumed", process: this.process(act.process).name });
        });
      case "start":
        return this.process(act.process).start();
      case "clock-jump":
        this.process(act.process).skew.wallMs += act.byMs;
        this.note({ kind: "clock-set", process: this.process(act.process).name });
        return;
      case "disk-full": {
        const { disk } = this.process(act.process).folder;
        disk.isFull = true;
        return this.undo(act.forMs, () => {
          disk.isFull = false;
        });
      }
      case "cut-off":
      case "half-open":
      case "slow": {
        const { link } = this.process(act.process);
        const before = { ...link };
        if (act.kind === "slow") link.meanMs = 8000;
        else link.state = act.kind === "cut-off" ? "down" : "silent";
        return this.undo(act.forMs, () => Object.assign(link, { state: "up", meanMs: before.meanMs }));
      }
      case "remote-down":
        for (const { link } of this.processes) link.state = "down";
        return this.undo(act.forMs, () => {
          for (const { link } of this.processes) link.state = "up";
        });
      case "host-down":
        return this.down(act.host, act.forMs);
      case "host-cut-off": {
        const { unreachable } = this.random.of(act.host).pick(this.processes);
        unreachable.add(act.host);
        return this.undo(act.forMs, () => unreachable.delete(act.host));
      }
      case "host-reboot":
        this.hosts.reboot(this.hosts.of(act.host));
        return this.down(act.host, act.forMs);
      case "region-down":
        for (const { name } of this.people.sketch.hosts.filter(({ region }) => region === act.region)) {
          if (act.rebuilds) this.hosts.build(this.hosts.of(name));
          this.down(name, act.forMs);
        }
        return;
      case "rebuild":
        return this.hosts.build(this.hosts.of(act.host));
      case "fall":
        return this.fall(this.hosts.of(act.host));
      case "sick": {
        const host = this.hosts.of(act.host);
        for (const [machine, { state }] of host.markers) {
          host.sick.add(machine);
          this.note({ kind: "fell", host: host.name, machine, state, isSick: true });
        }
        return;
      }
      case "old-report":
        return this.oldReport(this.hosts.of(act.host), act.ofFormer);
      default:
        throw new Error(`nobody does ${act.kind}`);
    }
  }

  private process(index: number): SimProcess {
    const process = this.processes[index % this.processes.length];
    if (process === undefined) throw new Error("there is no process");
    return process;
  }

  private down(name: string, forMs: number): void {
    const host = this.hosts.of(name);
    if (host.isUp) this.note({ kind: "down", host: name });
    host.isUp = false;
    this.undo(forMs, () => {
      if (!host.isUp) this.note({ kind: "up", host: name });
      host.isUp = true;
    });
  }

  /** Somebody sets a host back by hand; where an agent speaks for it, that says another state from now on. */
  private fall(host: SimHost): void {
    const sketch = this.people.everyHost().find(({ name }) => name === host.name);
    const machine = this.people.sketch.machines.find(({ name }) => name === sketch?.machine);
    if (sketch?.transport === "agent" && machine !== undefined) {
      const state = this.random.of(`${host.name}-says-${this.time.now}`).pick(machine.states);
      host.markers.set(machine.name, { state, revision: null });
      this.note({ kind: "fell", host: host.name, machine: machine.name, state, isSick: false });
      return;
    }
    for (const [machine, claim] of host.markers) {
      if (claim.state === "s0") continue;
      host.markers.set(machine, { state: "s0", revision: null });
      this.note({ kind: "fell", host: host.name, machine, state: "s0", isSick: false });
    }
  }

  // What hosts report by themselves

  private reports(): void {
    const agents = this.random.of("agents");
    const again = (name: string): void => {
      const host = this.hosts.of(name);
      if (host.isUp) this.report(host, host.incarnation, ++host.sequence);
      this.time.after(reportMs + agents.whole(-1000, 1000), () => again(name));
    };
    // One that was taken off `main` goes on reporting, and is refused.
    for (const { name } of this.people.everyHost().filter(({ transport }) => transport === "agent"))
      this.time.after(agents.whole(0, reportMs), () => again(name));
  }

  private oldReport(host: SimHost, ofFormer: boolean): void {
    // Of two lives of which nobody has heard before, nobody can tell which is over.
    const former = host.former.at(-1);
    const known = this.remoteRecord().find(({ name }) => name === host.name);
    const isKnown = former !== undefined && (known?.incarnation === former || known?.former.includes(former) === true);
    if (ofFormer && isKnown) this.report(host, former, 1_000_000);
    else if (host.sequence > 1) this.report(host, host.incarnation, host.sequence - 1);
  }

  private report(host: SimHost, incarnation: string, sequence: number): void {
    const process = this.leading() ?? this.random.pick(this.processes);
    const { name } = host;
    // A life that is over says what it said last: here, nothing.
    const says = incarnation === host.incarnation ? host.markers : [];
    const isAgent = this.people.everyHost().some((sketch) => sketch.name === name && sketch.transport === "agent");
    const claims = isAgent ? Object.fromEntries(says) : {};
    const report = { incarnation, sequence, states: claims, facts: {} };
    const states = Object.fromEntries(Object.entries(claims).map(([machine, { state }]) => [machine, state]));
    const sentAt = this.time.now;
    this.ask(
      process,
      ({ fleet }) => fleet.report(name, report),
      (answer) =>
        this.note({
          kind: "reported",
          process: process.name,
          host: name,
          incarnation,
          sequence,
          states,
          sentAt,
          answer,
        }),
    );
  }

  /** Asks a reconciler, and says once what became of it. */
  ask(
    process: SimProcess,
    work: Parameters<SimProcess["ask"]>[0],
    told: (answer: Answer, reason: string) => void,
  ): void {
    const once = (given: Answer, reason: string): void => {
      if (this.unanswered.delete(once)) told(given, reason);
    };
    this.unanswered.add(once);
    const answer = process.ask(work);
    if (answer === null) return once("unknown", "nobody listens");
    answer.then(
      () => once("taken", ""),
      (error: unknown) => once(error instanceof Failure && isRefusal(error) ? "refused" : "unknown", String(error)),
    );
    this.time.after(answerMs, () => once("unknown", "no answer"));
  }

  word(process: SimProcess, word: Word, work: Parameters<SimProcess["ask"]>[0]): void {
    const askedAt = this.time.now;
    this.ask(process, work, (answer, reason) => {
      this.trace(process.name, `word ${JSON.stringify(word)}: ${answer} ${reason}`);
      this.note({ kind: "word", process: process.name, word, askedAt, answer });
    });
  }

  /** The process that leads, as far as it knows itself; of two that do, the later one. */
  leading(): SimProcess | null {
    const leaders = this.processes.filter(({ running }) => running?.record.status().role === "leading");
    const epochOf = ({ running }: SimProcess): number => running?.record.status().epoch ?? 0;
    return leaders.toSorted((a, b) => epochOf(b) - epochOf(a))[0] ?? null;
  }

  // What is seen from outside

  private pushed(process: string | null, from: string | null, to: string): void {
    const subjects: SubjectInRecord[] = [];
    const changed = this.all.changed(from, to);
    for (const [path, id] of changed) if (path !== "stateward.json") subjects.push(this.subject(id));
    const gone = [...this.all.changed(to, from).keys()].filter((path) => !changed.has(path));
    const message = this.all.message(to);
    const epoch = Number(/^Epoch: (\d+)$/m.exec(message)?.[1] ?? -1);
    const desired = /^Desired: ([0-9a-f]{40})$/m.exec(message)?.[1] ?? null;
    const parent = this.all.parent(to);
    this.note({ kind: "pushed", process, commit: to, parent, epoch, desired, subjects, gone, message });
  }

  private recorded(
    process: string,
    host: string,
    machine: string,
    step: string,
  ): ReturnType<SimHosts["options"]["recorded"]> {
    const here = this.processes.find(({ name }) => name === process);
    const remote = this.remoteRecord().find(({ name }) => name === host);
    const says = (record: SubjectInRecord | undefined): boolean => record?.machines[machine]?.attempt?.step === step;
    // What was pushed is in the mirror, also when the remote was moved back since.
    const pushed = here?.folder.mirror.refs.get(observedRef) ?? null;
    const kept = pushed === null ? remote : (this.recordAt(pushed).find(({ name }) => name === host) ?? remote);
    const lines = here?.folder.disk.texts(`${here.folder.name}/journal`).flatMap((text) => text.split("\n")) ?? [];
    const latest = lastIn(lines, host) ?? kept;
    return {
      isRecorded: says(latest) || says(remote),
      isPushed: says(remote),
      done: (says(latest) ? latest : remote)?.machines[machine]?.attempt?.done ?? [],
      incarnation: latest?.incarnation ?? null,
    };
  }

  private remoteRecord(): SubjectInRecord[] {
    return this.recordAt(this.server.refs.get("refs/heads/observed") ?? null);
  }

  private recordAt(tip: string | null): SubjectInRecord[] {
    return [...this.all.files(tip)].flatMap(([path, id]) => (path === "stateward.json" ? [] : [this.subject(id)]));
  }

  private readonly subjects = new Map<string, SubjectInRecord>();

  /** A blob of the record. */
  private subject(id: string): SubjectInRecord {
    const known = this.subjects.get(id) ?? parseSubject(this.all.text(id));
    this.subjects.set(id, known);
    return known;
  }

  // The end

  private restingSince: number | null = null;

  private async comeToRest(): Promise<void> {
    this.isCalm = true;
    const quiet = { fails: 0, hangs: 0, unheard: 0, late: 0, meanMs: this.scenario.steps.meanMs };
    this.hosts.chances = quiet;
    for (const [index, process] of this.processes.entries()) {
      Object.assign(process.link, {
        state: "up",
        meanMs: this.scenario.processes[index]?.linkMs ?? 5,
        lost: 0,
        twice: 0,
      });
      process.unreachable.clear();
      process.folder.disk.isFull = false;
      process.resume();
      process.start();
    }
    for (const host of this.hosts.hosts.values()) {
      if (!host.isUp) this.note({ kind: "up", host: host.name });
      host.isUp = true;
    }
    // Half of the times people free what is parked, so that it is seen that their words do.
    const helps = new Random(`${this.scenario.seed}/calm`).chance(0.5);
    this.note({ kind: "calm", helps });
    this.people.calm(helps);
    const end = this.time.now + calmMs;
    let rest = 0;
    let acts = this.events.length;
    let actedAt = this.time.now;
    while (this.time.now < end && rest < restSlices && this.time.now - actedAt < stuckMs) {
      await this.time.pass(this.time.now + sliceMs, this.stepsMax());
      if (this.events.slice(acts).some(({ kind }) => kind === "began" || kind === "marked" || kind === "pushed"))
        actedAt = this.time.now;
      acts = this.events.length;
      rest = this.isResting() ? rest + 1 : 0;
      this.restingSince = rest > 0 ? (this.restingSince ?? this.time.now) : null;
    }
  }

  private isResting(): boolean {
    const engine = this.leading()?.running?.engine;
    if (!engine) return false;
    const { ready, total } = engine.progress();
    return ready === total && total > 0 && engine.isQuiet();
  }

  private atRest(): void {
    const leader = this.leading();
    const engine = leader?.running?.engine ?? null;
    const remote = this.remoteRecord();
    const names = [...new Set([...this.people.everyHost().map(({ name }) => name), "crossing", fleetName])];
    const memory =
      engine === null
        ? null
        : names.flatMap((name) => {
            const record = engine.recordOf(name);
            return record === undefined ? [] : [parseSubject(JSON.stringify({ ...record, ...record.fleet }), name)];
          });
    this.note({
      kind: "rest",
      leader: leader?.name ?? null,
      memory,
      remote,
      hosts: [...this.hosts.hosts.values()].map(({ name, isUp, incarnation, markers }) => ({
        name,
        up: isUp,
        incarnation,
        states: Object.fromEntries([...markers].map(([machine, { state }]) => [machine, state])),
      })),
      restingSince: this.restingSince,
      inForce: engine?.world()?.desired.commit ?? null,
      waiting: engine?.waitingCommit()?.commit ?? null,
      main: this.server.refs.get("refs/heads/main") ?? null,
      trouble: engine === null ? "nobody leads" : (engine.state().trouble?.message ?? engine.state().fatal),
    });
  }
}

/** A host's record in the last line of a journal that has one. */
function lastIn(lines: readonly string[], host: string): SubjectInRecord | undefined {
  for (const line of lines.toReversed()) {
    if (!line.includes(`"${host}"`)) continue;
    try {
      const changes = JSON.parse(line.slice(17)) as { record: SubjectInRecord }[];
      const found = changes.findLast(({ record }) => record.name === host);
      if (found !== undefined) return found.record;
    } catch {
      // A torn line.
    }
  }
  return undefined;
}

function isRefusal({ kind, reason }: Failure): boolean {
  return kind === "invalid" || ["Busy", "NotCurrent", "StandingBy", "NotReady", "ReadOnly"].includes(reason);
}

/** A file of the record as checkers read it. */
function parseSubject(text: string, name?: string): SubjectInRecord {
  const value = JSON.parse(text) as Partial<SubjectInRecord> & { readonly host?: string; readonly group?: string };
  const own = name ?? value.host ?? value.group ?? fleetName;
  const { incarnation = null, former = [], machines = {}, holds, braked, approvals, released } = value;
  return {
    name: own,
    incarnation,
    former,
    machines,
    ...(holds === undefined ? {} : { holds }),
    ...(braked === undefined ? {} : { braked }),
    ...(approvals === undefined ? {} : { approvals }),
    ...(released === undefined ? {} : { released }),
  };
}
