// decide: from what is desired, recorded and reported, what to do next. Pure (R1): same world, same decisions, in the same order.
import { isoTime } from "../model/duration.ts";
import { withoutLoops } from "../model/graph.ts";
import type { GuardReads, GuardValues } from "../model/guard.ts";
import { type Attempt, emptyRecord, type MachineRecord, type SubjectRecord } from "../model/record.ts";
import { same } from "../model/same.ts";
import type { Hold, Machine, Transition } from "../model/types.ts";
import { conditionsFor, readyOf, unknownConditions, withConditions } from "./conditions.ts";
import { type Next, type NextResult, nextOf } from "./next.ts";
import { observe } from "./observe.ts";
import { beginAttempt, entered, sameWay } from "./transition.ts";
import {
  type AnySubject,
  agentSilentMs,
  currentReport,
  guardValues,
  leavesMarker,
  subjectNames,
  subjectOf,
  type World,
} from "./world.ts";

/** What the engine has to do after it has recorded a decision's record. */
export type Act =
  | {
      readonly kind: "start";
      readonly machine: string;
      readonly transition: Transition;
      readonly reason: Attempt["reason"];
    }
  | { readonly kind: "inquire"; readonly machine: string; readonly step: string };

/** One machine's plan, for views; it changes nothing. */
export interface MachinePlan {
  readonly machine: string;
  readonly state: string;
  readonly target: string | null;
  readonly path: readonly string[];
  readonly next: Next;
}

/** The decision for one subject. A subject at rest with nothing new has none (R2). */
export interface Decision {
  readonly subject: string;
  /** The record to write, or null when it stays as it is. Includes the attempt of an act to start. */
  readonly record: SubjectRecord | null;
  readonly summaries: readonly string[];
  readonly act: Act | null;
  /** True when there is something to start, and nothing may be started now. */
  readonly deferred: boolean;
  /** Look again at this time, milliseconds since the epoch. */
  readonly wakeAt: number | null;
  /** Look again when one of these changes. */
  readonly waitsOn: readonly GuardReads[];
}

/** Decisions for the named subjects, or for all, in name order. */
export function decide(world: World, names: readonly string[] = subjectNames(world)): Decision[] {
  return names.flatMap((name) => {
    const subject = subjectOf(world, name);
    if (!subject) return [];
    const { decision } = decideSubject(world, subject);
    const silent =
      decision.record === null &&
      decision.act === null &&
      !decision.deferred &&
      decision.wakeAt === null &&
      decision.waitsOn.length === 0;
    return silent ? [] : [decision];
  });
}

/** The decision for one subject together with the plan of each of its machines. */
export function decideSubject(
  world: World,
  subject: AnySubject,
): { readonly decision: Decision; readonly plans: readonly MachinePlan[] } {
  const before = world.records.get(subject.name) ?? emptyRecord(subject.kind, subject.name);
  const heard = subject.kind === "host" ? currentReport(world, subject) : { report: null };
  const report = "report" in heard ? heard.report : null;
  const observed = world.inFlight.has(subject.name)
    ? { record: before, summaries: [] }
    : observe(world, subject, before, report);
  const draft = new Draft(world, subject, observed.record, [...observed.summaries]);
  if ("reason" in heard) draft.unheard(heard.reason, heard.message);
  else for (const machine of openFirst(subject, observed.record)) draft.plan(machine);
  if (subject.kind === "host" && subject.transport === "agent") {
    const silentAt = (world.reports.get(subject.name)?.at ?? world.listeningSince) + agentSilentMs;
    if (silentAt > world.now) draft.wake(silentAt);
  }
  return { decision: draft.decision(before), plans: draft.plans };
}

/** Machines in the order of the file, those with an attempt left open before all others (S4). */
function openFirst(subject: AnySubject, record: SubjectRecord): string[] {
  const isOpen = (machine: string): boolean => record.machines[machine]?.attempt?.status === "running";
  const names = [...subject.machines.keys()];
  if (names.length < 2) return names;
  return [...names.filter(isOpen), ...names.filter((name) => !isOpen(name))];
}

/** A decision under construction: the record as it will be, and what follows from it. */
class Draft {
  readonly plans: MachinePlan[] = [];
  private readonly world: World;
  private readonly subject: AnySubject;
  private readonly summaries: string[];
  private record: SubjectRecord;
  private act: Act | null = null;
  private deferred = false;
  private wakeAt: number | null = null;
  private readonly waitsOn: GuardReads[] = [];

  constructor(world: World, subject: AnySubject, ...[record, summaries]: [SubjectRecord, string[]]) {
    this.world = world;
    this.subject = subject;
    this.record = record;
    this.summaries = summaries;
  }

  /** Nothing is known of the host now: so nothing is done to it. Before the first word from it, what the record says stands. */
  unheard(reason: string, message: string): void {
    if (reason === "NoReport") return;
    for (const name of this.subject.machines.keys()) {
      const entry = this.record.machines[name];
      if (entry) this.put(name, withConditions(entry, unknownConditions(reason, message), this.world.now));
    }
  }

  plan(name: string): void {
    const machine = this.world.desired.loaded.repository.machines.get(name);
    let entry = this.record.machines[name];
    if (!machine || !entry) return;
    // Each round enters one state without steps; a machine of n states cannot need more than that before it rests.
    for (let round = 0; round <= machine.states.size; round++) {
      const result = this.next(machine, entry);
      const { next } = result;
      entry = this.endOtherAttempt(entry, result);
      if (next.kind !== "go" || !this.isInstant(next.transition)) {
        this.settle(name, entry, next);
        return;
      }
      this.plans.pop();
      entry = this.enterAtOnce(machine, entry, next.transition);
    }
    this.put(name, entry);
    this.wake(this.world.now + 1000);
  }

  /** An attempt at a transition that is not wanted any more is over; what it left on the host, the state's check tells. */
  private endOtherAttempt(entry: MachineRecord, { about, open }: Pick<NextResult, "about" | "open">): MachineRecord {
    if (entry.attempt === null || open || this.world.inFlight.has(this.subject.name)) return entry;
    return about !== null && sameWay(entry.attempt, about) ? entry : { ...entry, attempt: null };
  }

  private next(machine: Machine, entry: MachineRecord): Pick<NextResult, "next" | "about" | "open"> {
    const { world, subject } = this;
    const target = subject.machines.get(machine.name) ?? null;
    const { guards, repository } = world.desired.loaded;
    let kept: GuardValues | null = null;
    const values = (): GuardValues => (kept ??= guardValues(this.worldWithDraft(), subject, [machine.name, entry]));
    const result = nextOf({ machine, entry, target, guards, values, settings: repository.settings, now: world.now });
    const next = this.underHold(result.next);
    this.plans.push({
      machine: machine.name,
      state: entry.state,
      target,
      path: withoutLoops(result.path, (state) => state),
      next,
    });
    this.waitsOn.push(...result.reads);
    if (next.kind === "wait" && next.at !== null) this.wake(next.at);
    // An automatic transition is not a wait, yet time alone can make it due.
    if (result.reads.some((reads) => reads.now)) this.wake(world.now + 1000);
    return { next, about: result.about, open: result.open };
  }

  /** S4: nothing runs on a host that is held. */
  private underHold(next: Next): Next {
    const hold = this.subject.kind === "host" ? this.subject.hold : null;
    if (!hold || next.kind === "rest" || next.kind === "stalled") return next;
    if (hold.untilMs !== null && hold.untilMs <= this.world.now) return next;
    return { kind: "wait", reason: "Held", message: heldText(hold), at: hold.untilMs };
  }

  /** A transition that has nothing to run and no marker to leave is made in the record alone. */
  private isInstant(transition: Transition): boolean {
    return transition.steps.length === 0 && !leavesMarker(this.subject) && !this.world.inFlight.has(this.subject.name);
  }

  private enterAtOnce(machine: Machine, entry: MachineRecord, transition: Transition): MachineRecord {
    const next = entered(entry, transition.to, machine.initial, {
      now: this.world.now,
      commit: this.world.desired.commit,
    });
    this.summaries.push(`${this.subject.name}: ${transition.from} -> ${transition.to} (${machine.name})`);
    this.put(machine.name, next);
    return next;
  }

  private settle(name: string, entry: MachineRecord, next: Next): void {
    const busy = this.act !== null || this.world.inFlight.has(this.subject.name);
    const wants = next.kind === "go" || next.kind === "inquire";
    if (busy && wants) return this.queue(name, entry, "another transition of the host runs");
    const isOnce = next.kind === "go" && next.transition.steps.some(({ repeat }) => repeat === "never");
    if (wants && (!this.world.mayStart || (isOnce && !this.world.mayStartOnce))) {
      this.deferred = true;
      const until = this.world.mayStart ? "the record can be pushed again" : "others have ended";
      return this.queue(name, entry, `it starts when ${until}`);
    }
    let settled = withConditions(entry, conditionsFor(next), this.world.now);
    if (next.kind === "inquire") this.act = { kind: "inquire", machine: name, step: next.step };
    if (next.kind === "go") {
      settled = beginAttempt(settled, next.transition, next.reason, this.world.now);
      this.act = { kind: "start", machine: name, transition: next.transition, reason: next.reason };
    }
    this.put(name, settled);
  }

  /** A machine that would move and may not yet is not ready. One that is not ready for another reason already keeps that. */
  private queue(name: string, entry: MachineRecord, message: string): void {
    const ready = readyOf(entry);
    const says = ready !== null && ready.status !== "True";
    const wanted = conditionsFor({ kind: "wait", reason: "Queued", message, at: null });
    this.put(name, says ? entry : withConditions(entry, wanted, this.world.now));
  }

  private put(name: string, entry: MachineRecord): void {
    if (this.record.machines[name] === entry) return;
    this.record = { ...this.record, machines: { ...this.record.machines, [name]: entry } };
  }

  wake(at: number): void {
    this.wakeAt = Math.min(at, this.wakeAt ?? at);
  }

  private worldWithDraft(): World {
    return { ...this.world, records: new Overlay(this.world.records, this.subject.name, this.record) };
  }

  decision(before: SubjectRecord): Decision {
    const changed = !same(before, this.record);
    const sequence = this.world.reports.get(this.subject.name)?.sequence ?? null;
    // Heartbeats are not recorded; but what changes the record is, with the sequence that must not come again (R3).
    if (changed && sequence !== null) this.record = { ...this.record, sequence };
    return {
      subject: this.subject.name,
      record: changed ? this.record : null,
      summaries: this.summaries,
      act: this.act,
      deferred: this.deferred,
      wakeAt: this.wakeAt,
      waitsOn: this.waitsOn,
    };
  }
}

/** Who holds a host, why, and until when. */
export function heldText({ by, reason, untilMs }: Hold): string {
  return `held by ${by}: ${reason}${untilMs === null ? "" : ` (until ${isoTime(untilMs)})`}`;
}

/** A map with one entry replaced, without copying it: a decision for one host must not cost the whole fleet. */
class Overlay extends Map<string, SubjectRecord> {
  private readonly base: ReadonlyMap<string, SubjectRecord>;
  private readonly name: string;
  private readonly record: SubjectRecord;

  constructor(base: ReadonlyMap<string, SubjectRecord>, name: string, record: SubjectRecord) {
    super();
    this.base = base;
    this.name = name;
    this.record = record;
  }

  override get(name: string): SubjectRecord | undefined {
    return name === this.name ? this.record : this.base.get(name);
  }
}
