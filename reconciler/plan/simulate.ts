// Plays a plan forward: the same decisions as the reconciler's, on records in memory, with the durations that were recorded. Pure.
import { isoTime } from "../model/duration.ts";
import { findTransition } from "../model/graph.ts";
import {
  type FleetRecord,
  fleetName,
  fleetSubject,
  leftToReplay,
  type MachineRecord,
  type SubjectRecord,
} from "../model/record.ts";
import type { HostReport } from "../model/report.ts";
import type { Group, Host, Transition } from "../model/types.ts";
import { readyOf } from "./conditions.ts";
import { type Act, decideSubject } from "./decide.ts";
import { assumedDuration, durationOf } from "./durations.ts";
import { groupsOf } from "./groups.ts";
import { Limits } from "./limits.ts";
import { entered, repairOf, stepFailed } from "./transition.ts";
import { Waiters } from "./waiters.ts";
import { type AnySubject, currentReport, neverOld, subjectNames, subjectOf, type World } from "./world.ts";

export interface SimulationOptions {
  /** How a transition ends that is played; every one ends well where nothing is said. */
  readonly outcome?: (host: string, machine: string, transition: Transition) => "ok" | "failed";
  /** Called whenever something has changed, with the world as it is then. */
  readonly watch?: (world: World) => void;
  /** No further than this, in milliseconds from the beginning; default 7 days. */
  readonly horizonMs?: number;
  /** No more transitions than this; default as many as there are. */
  readonly movesMax?: number;
  /** No further than until this subject is in its targets. */
  readonly until?: string;
  /** Who of these is not in its targets at the end; default all. */
  readonly stuckOf?: Iterable<string>;
}

/** One transition as it was played; times in milliseconds from the beginning. */
export interface PlayedMove {
  readonly subject: string;
  readonly machine: string;
  readonly from: string;
  readonly to: string;
  readonly atMs: number;
  readonly ms: number;
  readonly ok: boolean;
}

/** A machine that is not in its target when nothing more happens. */
export interface Stuck {
  readonly subject: string;
  readonly machine: string;
  readonly reason: string;
  readonly message: string;
}

export interface PlayedGroup {
  readonly group: string;
  readonly size: number;
  /** Fewest hosts available at once, and how many were at the beginning. */
  readonly lowest: number;
  readonly before: number;
}

export interface PlayedFleet {
  readonly moves: readonly PlayedMove[];
  /** What was decided about the fleet: waves, halts; in order. */
  readonly fleet: readonly { readonly atMs: number; readonly message: string }[];
  /** Most hosts acted upon at once. */
  readonly peak: number;
  readonly groups: readonly PlayedGroup[];
  readonly durationMs: number;
  readonly stuck: readonly Stuck[];
  /** Transitions of which no duration was recorded. */
  readonly assumed: number;
  /** True when it was given up before nothing more happened. */
  readonly isCut: boolean;
  readonly world: World;
}

interface Event {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

const horizonDefaultMs = 7 * 86_400_000;
const eventsMax = 5_000_000;
/** Looks in a row that change nothing, while time goes by, after which it is taken that nothing more will. */
const idleMax = 10_000;

/** Plays on from a world until nothing more happens. The world itself stays as it is. */
export function simulate(world: World, options: SimulationOptions = {}): PlayedFleet {
  return new Play(world, options).run();
}

class Play {
  private readonly records: Map<string, SubjectRecord>;
  private readonly inFlight = new Set<string>();
  private readonly limits = new Limits();
  private readonly waiters = new Waiters();
  private readonly options: SimulationOptions;
  private readonly began: World;
  private readonly reports: Map<string, HostReport>;
  private readonly automatic: ReadonlySet<string>;
  private readonly events = new Heap();
  private readonly dirty = new Set<string>();
  private readonly wakes = new Map<string, number>();
  private readonly moves: PlayedMove[] = [];
  private readonly said: { atMs: number; message: string }[] = [];
  private readonly lowest = new Map<string, number>();
  private readonly before = new Map<string, number>();
  /** The world as it was last made: the same while time and what concerns all hosts stay. */
  private latest: World | null = null;
  private fleet: FleetRecord;
  private now: number;
  private lastChange: number;
  private peak = 0;
  private assumed = 0;
  private order = 0;

  constructor(world: World, options: SimulationOptions) {
    this.began = world;
    this.options = options;
    this.records = new Map(world.records);
    this.fleet = world.fleet;
    this.now = world.now;
    this.lastChange = world.now;
    this.automatic = automaticOf(world);
    this.reports = new Map(world.reports);
    const { hosts } = world.desired.loaded.repository;
    for (const [name, report] of world.reports) {
      if (report.at !== neverOld) this.reports.set(name, this.goesOn(report, hosts.get(report.host)));
    }
  }

  /** Hosts that are heard now go on being heard, and those that are silent stay so. */
  private goesOn(report: HostReport, host: Host | undefined): HostReport {
    const isHeard = host !== undefined && "report" in currentReport(this.began, host);
    return isHeard ? { ...report, at: neverOld } : report;
  }

  run(): PlayedFleet {
    this.limits.touchAll();
    this.waiters.setRepository(this.began.desired.loaded.repository);
    for (const name of [...this.began.inFlight].toSorted()) this.goOn(name);
    for (const name of this.concerned()) this.dirty.add(name);
    this.noteGroups(this.world(), [...this.began.desired.loaded.repository.groups.values()]);
    let idle = 0;
    let count = 0;
    const horizon = this.began.now + (this.options.horizonMs ?? horizonDefaultMs);
    let isCut = false;
    this.drain();
    for (let event = this.events.pop(); event !== null; event = this.events.pop()) {
      if (event.at > horizon || idle > idleMax || ++count > eventsMax || this.isEnough()) {
        isCut = this.inFlight.size > 0 && !this.hasArrived();
        break;
      }
      this.now = Math.max(this.now, event.at);
      const before = this.lastChange;
      event.run();
      this.drain();
      idle = this.lastChange === before && this.inFlight.size === 0 ? idle + 1 : 0;
    }
    return this.result(isCut);
  }

  private isEnough(): boolean {
    return this.moves.length >= (this.options.movesMax ?? Number.POSITIVE_INFINITY) || this.hasArrived();
  }

  private hasArrived(): boolean {
    const { until } = this.options;
    const subject = until === undefined ? null : subjectOf(this.began, until);
    if (subject === null || this.inFlight.has(subject.name)) return false;
    const machines = this.records.get(subject.name)?.machines ?? {};
    return [...subject.machines].every(([machine, target]) => target === null || machines[machine]?.state === target);
  }

  /** Those who may have anything to do, in name order: of a large fleet, few. */
  private concerned(): string[] {
    const { hosts, groups } = this.began.desired.loaded.repository;
    const names: string[] = [];
    for (const host of hosts.values()) if (this.concerns(host)) names.push(host.name);
    for (const group of groups.values()) if (group.machines.size > 0 && this.concerns(group)) names.push(group.name);
    return names.toSorted();
  }

  /** Whether a subject may have anything to do: at rest in its targets, it has not. */
  private concerns(subject: AnySubject): boolean {
    const record = this.began.records.get(subject.name);
    if (record === undefined) return true;
    if (subject.kind === "host" && !isKnown(this.began, subject, record)) return true;
    for (const [machine, target] of subject.machines) {
      const entry = record.machines[machine];
      if (entry === undefined || (target !== null && entry.state !== target)) return true;
      if (leftToReplay(entry).length > 0) return true;
      if (entry.attempt !== null || readyOf(entry)?.status !== "True" || this.automatic.has(machine)) return true;
    }
    return false;
  }

  private world(): World {
    const { now, fleet } = this;
    const mayStart = this.inFlight.size < this.began.desired.loaded.repository.settings.parallel;
    let world = this.latest;
    if (world === null || world.now !== now || world.fleet !== fleet || world.mayStart !== mayStart) {
      const { records, reports, inFlight } = this;
      const { tally } = this.limits;
      world = { ...this.began, now, records, reports, inFlight, fleet, tally, mayStart, mayStartOnce: true };
      this.latest = world;
    }
    this.limits.settle(world);
    return world;
  }

  private drain(): void {
    for (;;) {
      this.coordinate();
      const [name] = this.dirty;
      if (name === undefined) return;
      this.dirty.delete(name);
      if (name !== fleetName) this.visit(name);
    }
  }

  private coordinate(): void {
    for (;;) {
      const world = this.world();
      const decision = this.limits.decide(world, this.dirty.delete(fleetName));
      if (decision === null) break;
      this.wakeAt(fleetName, decision.wakeAt);
      if (decision.record === null) break;
      const before = this.fleet;
      this.fleet = decision.record;
      this.records.set(fleetName, fleetSubject(this.fleet));
      for (const message of decision.summaries) this.said.push({ atMs: this.now - this.began.now, message });
      this.limits.fleetChanged(this.world(), before);
      if (this.fleet.holds !== before.holds) for (const name of subjectNames(this.began)) this.look(name);
      this.changed(null);
    }
    for (const name of this.limits.admitted(this.world())) this.dirty.add(name);
  }

  /** What stands for this subject may be another than when it was visited last. */
  private look(name: string): void {
    this.limits.touch(name);
    this.dirty.add(name);
  }

  private visit(name: string): void {
    // Time alone may have changed how it stands: the end of a hold, say.
    this.limits.touch(name);
    const world = this.world();
    const subject = subjectOf(world, name);
    if (subject === null || this.inFlight.has(name)) return;
    const { decision } = decideSubject(world, subject);
    this.waiters.set(name, decision.waitsOn);
    this.wakeAt(name, decision.deferred ? this.now + 1000 : decision.wakeAt);
    if (decision.record !== null) this.put(decision.record);
    if (decision.act?.kind === "start") this.start(name, decision.act);
  }

  private put(record: SubjectRecord): void {
    this.records.set(record.name, record);
    this.limits.touch(record.name);
    for (const waiter of this.waiters.of(record.name)) this.dirty.add(waiter);
    this.changed(record.name);
  }

  /** A host has changed, or what is recorded of the fleet. */
  private changed(host: string | null): void {
    this.lastChange = this.now;
    const world = this.world();
    this.peak = Math.max(this.peak, this.inFlight.size);
    if (host !== null) this.noteGroups(world, groupsOf(world.desired.loaded.repository, host));
    this.options.watch?.(world);
  }

  private noteGroups(world: World, groups: readonly Group[]): void {
    for (const { name, members } of groups) {
      const up = members.length - world.tally.group(name).down;
      if (!this.before.has(name)) this.before.set(name, up);
      this.lowest.set(name, Math.min(up, this.lowest.get(name) ?? up));
    }
  }

  private start(name: string, { machine, transition, reason }: Extract<Act, { kind: "start" }>): void {
    const known = durationOf(this.fleet.durations, machine, transition);
    if (known === null) this.assumed++;
    const ms = known ?? assumedDuration(transition);
    const ok = (this.options.outcome?.(name, machine, transition) ?? "ok") === "ok";
    const { from, to } = transition;
    this.moves.push({ subject: name, machine, from, to, atMs: this.now - this.began.now, ms, ok });
    this.inFlight.add(name);
    this.limits.touch(name);
    this.changed(name);
    const isRepair = reason === "remedy" || reason === "replace";
    this.at(this.now + ms, () => this.end(name, machine, { transition, ok, isRepair }));
  }

  /** A transition that was running when the play began. */
  private goOn(name: string): void {
    const record = this.records.get(name);
    const [machine, entry] =
      Object.entries(record?.machines ?? {}).find(([, { attempt }]) => attempt?.status === "running") ?? [];
    const definition = machine === undefined ? undefined : this.began.desired.loaded.repository.machines.get(machine);
    const attempt = entry?.attempt ?? null;
    if (machine === undefined || definition === undefined || attempt === null) return;
    const isRepair = attempt.reason === "remedy" || attempt.reason === "replace";
    const { from, to } = attempt;
    // The steps of a repair stand at no transition.
    const transition = isRepair ? repairOf(from, definition.recovery.replace) : findTransition(definition, from, to);
    if (transition === null) return;
    this.inFlight.add(name);
    const ms = durationOf(this.fleet.durations, machine, transition) ?? assumedDuration(transition);
    const at = Math.max(this.now, Date.parse(attempt.startedAt) + ms);
    this.at(at, () => this.end(name, machine, { transition, ok: true, isRepair }));
  }

  private end(
    name: string,
    machine: string,
    { transition, ok, isRepair }: { transition: Transition; ok: boolean; isRepair: boolean },
  ): void {
    const record = this.records.get(name);
    const entry = record?.machines[machine];
    this.inFlight.delete(name);
    this.dirty.add(name);
    if (record === undefined || entry === undefined) return;
    this.put({
      ...record,
      machines: { ...record.machines, [machine]: this.ended(machine, entry, { transition, ok, isRepair }) },
    });
  }

  private ended(
    machine: string,
    entry: MachineRecord,
    { transition, ok, isRepair }: { transition: Transition; ok: boolean; isRepair: boolean },
  ): MachineRecord {
    const { repository } = this.began.desired.loaded;
    if (!ok) return stepFailed(entry, "played as failed", repository.settings.attempts, this.now);
    if (isRepair) return { ...entry, attempt: null };
    const initial = repository.machines.get(machine)?.initial ?? "";
    return entered(entry, transition.to, initial, { now: this.now, commit: this.began.desired.commit });
  }

  private wakeAt(name: string, at: number | null): void {
    if (at === null) {
      this.wakes.delete(name);
      return;
    }
    if (this.wakes.get(name) === at) return;
    this.wakes.set(name, at);
    this.at(Math.max(at, this.now + 1), () => {
      if (this.wakes.get(name) !== at) return;
      this.wakes.delete(name);
      this.dirty.add(name);
    });
  }

  private at(at: number, run: () => void): void {
    this.events.push({ at, order: this.order++, run });
  }

  private result(isCut: boolean): PlayedFleet {
    const world = this.world();
    const groups = [...this.lowest].map(([group, lowest]) => ({
      group,
      size: world.desired.loaded.repository.groups.get(group)?.members.length ?? 0,
      lowest,
      before: this.before.get(group) ?? 0,
    }));
    const { moves, said, peak, assumed } = this;
    const { stuckOf = subjectNames(world) } = this.options;
    const stuck = stuckIn(world, stuckOf);
    const durationMs = Math.max(
      0,
      ...moves.map(({ atMs, ms }) => atMs + ms).slice(-1000),
      this.lastChange - this.began.now,
    );
    return { moves, fleet: said, peak, groups, durationMs, stuck, assumed, isCut, world };
  }
}

/** Whether a host is heard in the life that is recorded of it. */
function isKnown(world: World, host: Host, { incarnation }: SubjectRecord): boolean {
  const heard = currentReport(world, host);
  return "report" in heard && heard.report.incarnation === incarnation;
}

/** Names of the machines that change states by themselves. */
function automaticOf({ desired }: World): ReadonlySet<string> {
  const names = new Set<string>();
  for (const { name, transitions } of desired.loaded.repository.machines.values())
    if (transitions.some(({ auto }) => auto)) names.add(name);
  return names;
}

function stuckIn(world: World, names: Iterable<string>): Stuck[] {
  const stuck: Stuck[] = [];
  for (const name of names) {
    const subject = subjectOf(world, name);
    const record = world.records.get(name);
    for (const [machine, target] of subject?.machines ?? []) {
      const entry = record?.machines[machine];
      if (target === null || entry?.state === target) continue;
      const ready = entry === undefined ? null : readyOf(entry);
      const reason = ready?.reason ?? "NotSeen";
      const message = ready?.message ?? `nothing is known of it at ${isoTime(world.now)}`;
      stuck.push({ subject: name, machine, reason, message });
    }
  }
  return stuck;
}

/** A binary heap of events, the earliest first; those of one time in the order in which they were put in. */
class Heap {
  private readonly items: Event[] = [];

  push(event: Event): void {
    const { items } = this;
    let at = items.push(event) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(event, items[parent])) break;
      items[at] = items[parent] as Event;
      at = parent;
    }
    items[at] = event;
  }

  pop(): Event | null {
    const { items } = this;
    const [first] = items;
    const last = items.pop();
    if (first === undefined || last === undefined) return null;
    if (items.length > 0) this.sink(last);
    return first;
  }

  private sink(event: Event): void {
    const { items } = this;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= items.length) break;
      if (isBefore(items[child + 1], items[child])) child++;
      if (!isBefore(items[child], event)) break;
      items[at] = items[child] as Event;
      at = child;
    }
    items[at] = event;
  }
}

function isBefore(a: Event | undefined, b: Event | undefined): boolean {
  if (a === undefined || b === undefined) return false;
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
