// decide: from what is desired, recorded and reported, what to do next. Pure (R1): same world, same decisions, in the same order.
import { isoTime } from "../model/duration.ts";
import { withoutLoops } from "../model/graph.ts";
import type { GuardReads, GuardValues } from "../model/guard.ts";
import {
  type Attempt,
  emptyRecord,
  leftToReplay,
  type MachineRecord,
  type SubjectRecord,
  upkeepOf,
  withUpkeep,
} from "../model/record.ts";
import { same } from "../model/same.ts";
import type { Host, Machine, Transition } from "../model/types.ts";
import { isBarrierGate } from "./barrier.ts";
import { conditionsFor, readyOf, unknownConditions, withConditions } from "./conditions.ts";
import { driftOf, flappingOf, withAutomatic } from "./drift.ts";
import { type Closed, closedGate, purposeOf } from "./gates.ts";
import { holdOn } from "./holds.ts";
import { type Next, type NextResult, nextOf } from "./next.ts";
import { fenced, observe, toReplayAlive } from "./observe.ts";
import { Overlay } from "./overlay.ts";
import {
  losesAt,
  noteLoss,
  noteRecovered,
  noteReplacementFailed,
  noteReplacing,
  recoveryOf,
  replacementFailsAt,
} from "./recovery.ts";
import { type Due, lookAtRemedies } from "./remedies.ts";
import { replacementOf } from "./replace.ts";
import { wantOf } from "./stage.ts";
import { Tally } from "./tally.ts";
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
      /** Name of the repair, where it is one. */
      readonly repair?: string;
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

/**
 * Decisions for the named subjects, or for all, in name order. Each sees what those before it have taken of the limits that they
 * share, so that all of them together keep to those.
 */
export function decide(before: World, names: readonly string[] = subjectNames(before)): Decision[] {
  const records = new Map(before.records);
  const inFlight = new Set(before.inFlight);
  const world: World = { ...before, records, inFlight, tally: Tally.of(before) };
  return names.flatMap((name) => {
    const subject = subjectOf(world, name);
    if (!subject) return [];
    const { decision } = decideSubject(world, subject);
    if (decision.record !== null) records.set(name, decision.record);
    if (decision.act !== null) inFlight.add(name);
    if (decision.record !== null || decision.act !== null) world.tally.update(world, name, null);
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
  const isBusy = world.inFlight.has(subject.name);
  const known = subject.kind === "host" && !isBusy ? withLoss(world, subject, before) : before;
  const observed = isBusy ? { record: before, summaries: [] } : observe(world, subject, known, report);
  const draft = new Draft(world, subject, observed.record, [...observed.summaries]);
  if ("reason" in heard) draft.unheard(heard.reason, heard.message);
  else {
    draft.inquireLeft();
    for (const machine of openFirst(subject, observed.record)) draft.plan(machine);
  }
  if (subject.kind === "host" && subject.transport === "agent") {
    const silentAt = (world.reports.get(subject.name)?.at ?? world.listeningSince) + agentSilentMs;
    if (silentAt > world.now) draft.wake(silentAt);
  }
  return { decision: draft.decision(before), plans: draft.plans };
}

function withLoss(world: World, host: Host, record: SubjectRecord): SubjectRecord {
  return noteReplacementFailed(world, host, noteLoss(world, host, record));
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
    const { world, subject } = this;
    const { lost } = this.record;
    const at = subject.kind === "host" ? losesAt(world, subject) : null;
    if (at !== null && at > world.now) this.wake(at);
    const isOurs = subject.kind === "host" && lost?.silent === true && !world.inFlight.has(subject.name);
    const refusal = isOurs ? this.replace(subject) : null;
    if (this.act !== null) return;
    const failsAt = isOurs ? replacementFailsAt(world, subject, this.record) : null;
    const awaited = failsAt === null ? "" : `; its replacement is awaited until ${isoTime(failsAt)}`;
    const yet = refusal === null ? awaited : `; it is not replaced yet: ${refusal}`;
    const why =
      lost?.quarantined === true
        ? {
            reason: "Quarantined",
            message: `${lost.failed.length} recoveries failed within a day: look at the host, then stateward retry ${subject.name}`,
          }
        : lost?.silent === true
          ? { reason: "Lost", message: `lost since ${lost.at}: ${message}${yet}` }
          : { reason, message };
    for (const name of subject.machines.keys()) {
      const entry = this.record.machines[name];
      if (entry) this.put(name, withConditions(entry, unknownConditions(why.reason, why.message), world.now));
    }
  }

  /** A lost host whose recovery says replace: the life that was recorded is over before another one is made. Returns why not now. */
  private replace(host: Host): string | null {
    const { world } = this;
    const failsAt = replacementFailsAt(world, host, this.record);
    if (failsAt !== null) this.wake(failsAt);
    const isWanted = failsAt === null && recoveryOf(world.desired.loaded.repository, host).whenLost === "replace";
    return isWanted ? this.makeAnew(host) : null;
  }

  /** Begins to replace a host, if that may be now. Returns why not. */
  private makeAnew(host: Host): string | null {
    const { world } = this;
    const verdict = replacementOf(world, host, this.record);
    if (verdict === null) return "nothing replaces it";
    if ("at" in verdict) {
      if (verdict.at !== null) this.wake(verdict.at);
      return verdict.message;
    }
    if (!world.mayStart) {
      this.deferred = true;
      return "it starts when others have ended";
    }
    const { machine, transition } = verdict;
    this.record = noteReplacing(world, host, fenced(world, this.record));
    const entry = this.record.machines[machine];
    if (entry === undefined) return "nothing is recorded of it";
    this.put(machine, beginAttempt(entry, transition, "replace", world.now));
    const life = (this.record.former.at(-1) ?? "").slice(0, 8);
    this.summaries.push(`${host.name}: is being replaced; its life ${life} is over`);
    this.act = { kind: "start", machine, transition, reason: "replace", repair: "replace" };
    return null;
  }

  /**
   * S4: a step that must not repeat may still run on the host, of a machine that a commit has taken from it since its reconciler went away.
   * How it ended is found out before anything else begins.
   */
  inquireLeft(): void {
    const { world, subject } = this;
    if (!leavesMarker(subject) || world.inFlight.has(subject.name) || holdOn(world, subject) !== null) return;
    for (const [machine, { attempt, once }] of Object.entries(this.record.machines)) {
      const step = attempt?.status === "running" ? attempt.step : null;
      if (step === null || subject.machines.has(machine) || once[step]?.status !== "started") continue;
      if (world.mayStart) this.act = { kind: "inquire", machine, step };
      else this.deferred = true;
      return;
    }
  }

  plan(name: string): void {
    const machine = this.world.desired.loaded.repository.machines.get(name);
    let entry = this.record.machines[name];
    if (!machine || !entry) return;
    // Each round enters one state without steps; a machine of n states cannot need more than that before it rests.
    for (let round = 0; round <= machine.states.size; round++) {
      const result = this.next(machine, entry);
      const { next, due } = result;
      entry = this.endOtherAttempt(result.entry, result);
      if (due?.rung === "replay") {
        this.summaries.push(`${this.subject.name}: is replayed, because ${due.remedy.name} did not help (${name})`);
        entry = toReplayAlive(this.world, name, due.begun);
        this.put(name, entry);
        this.plans.pop();
        continue;
      }
      if (due?.rung === "replace" && this.subject.kind === "host") {
        // The rung counts as climbed with the life that it ends: after the replacement a person is next.
        this.put(name, due.begun);
        const refusal = this.act === null ? this.makeAnew(this.subject) : "another transition of the host runs";
        if (refusal !== null) this.queue(name, entry, `it is to be replaced: ${refusal}`);
        return;
      }
      if (next.kind !== "go" || due !== null || !this.isInstant(next.transition)) {
        this.settle(name, entry, result);
        return;
      }
      this.plans.pop();
      entry = this.enterAtOnce(machine, entry, next);
    }
    this.put(name, entry);
    this.wake(this.world.now + 1000);
  }

  /** An attempt at a transition that is not wanted any more is over; what it left on the host, the state's check tells. */
  private endOtherAttempt(entry: MachineRecord, { about, open }: Pick<NextResult, "about" | "open">): MachineRecord {
    if (entry.attempt === null || open || this.world.inFlight.has(this.subject.name)) return entry;
    if (about !== null && sameWay(entry.attempt, about)) return entry;
    // While it was open, nothing that the host said of itself was taken in (R3).
    if (entry.attempt.status === "running") this.wake(this.world.now + 1);
    return { ...entry, attempt: null };
  }

  private next(machine: Machine, entry: MachineRecord): Looked {
    const { world, subject } = this;
    const target = subject.machines.get(machine.name) ?? null;
    const { guards, repository } = world.desired.loaded;
    let kept: GuardValues | null = null;
    const values = (): GuardValues => (kept ??= guardValues(this.worldWithDraft(), subject, [machine.name, entry]));
    const result = nextOf({ machine, entry, target, guards, values, settings: repository.settings, now: world.now });
    const wanted = this.repaired(machine, entry, { result, values });
    const closed = this.closed(machine, wanted, target);
    const next = closed?.next ?? wanted.next;
    this.plans.push({
      machine: machine.name,
      state: entry.state,
      target,
      path: withoutLoops(result.path, (state) => state),
      next,
    });
    this.waitsOn.push(...result.reads, ...wanted.reads);
    if (next.kind === "wait" && next.at !== null) this.wake(next.at);
    const barrier = result.about === null ? null : machine.states.get(result.about.to)?.barrier;
    if (barrier && closed !== null) this.waitsOn.push(barrierReads(barrier.group));
    // An automatic transition and a remedy are no waits, yet time alone can make them due.
    if ([...result.reads, ...wanted.reads].some((reads) => reads.now)) this.wake(world.now + 1000);
    return {
      next,
      about: result.about,
      open: result.open,
      entry: wanted.entry,
      due: closed === null ? wanted.due : null,
      closed,
    };
  }

  /** What a machine at rest does about what is wrong with it in spite of that. */
  private repaired(
    machine: Machine,
    entry: MachineRecord,
    { result, values }: { readonly result: NextResult; readonly values: () => GuardValues },
  ): { next: Next; entry: MachineRecord; due: Due | null; reads: readonly GuardReads[] } {
    const { world, subject } = this;
    const isQuiet = result.next.kind !== "rest" || world.inFlight.has(subject.name) || subject.kind !== "host";
    if (isQuiet || machine.remedies.length === 0) return { next: result.next, entry, due: null, reads: [] };
    const { guards } = world.desired.loaded;
    const looked = lookAtRemedies({ machine, guards, values, now: world.now }, entry);
    if (looked.wakeAt !== null) this.wake(looked.wakeAt);
    const { due, reads } = looked;
    if (due === null) return { next: result.next, entry: looked.entry, due, reads };
    return { next: repairNext(due), entry: looked.entry, due: due.rung === "person" ? null : due, reads };
  }

  /** The gate that keeps a machine from what it wants, if there is one: of its own drift and falls, or of what it shares with others. */
  private closed(
    machine: Machine,
    { next, entry }: { readonly next: Next; readonly entry: MachineRecord },
    target: string | null,
  ): Closed | null {
    const { world, subject } = this;
    if (subject.kind !== "host" || world.inFlight.has(subject.name)) return null;
    const wanted = { host: subject, record: this.record, machine, entry, next };
    return flappingOf(world, wanted, target) ?? driftOf(world, wanted, target) ?? closedGate(world, wanted);
  }

  /** A transition that has nothing to run and no marker to leave is made in the record alone. */
  private isInstant(transition: Transition): boolean {
    return transition.steps.length === 0 && !leavesMarker(this.subject) && !this.world.inFlight.has(this.subject.name);
  }

  private enterAtOnce(machine: Machine, entry: MachineRecord, go: Extract<Next, { kind: "go" }>): MachineRecord {
    const { transition } = go;
    const { flapping } = this.world.desired.loaded.repository.settings;
    const isCounted = go.reason === "auto" && this.subject.kind === "host";
    const before = isCounted ? withAutomatic(entry, flapping, this.world.now) : this.changing(machine.name, entry, go);
    const next = entered(before, transition.to, machine.initial, {
      now: this.world.now,
      commit: this.world.desired.commit,
    });
    this.summaries.push(`${this.subject.name}: ${transition.from} -> ${transition.to} (${machine.name})`);
    this.put(machine.name, next);
    // A machine that was looked at before this one may wait for room that its host, which has gone down here, does not need any more.
    if (this.subject.machines.size > 1) this.wake(this.world.now + 1);
    return next;
  }

  private settle(name: string, entry: MachineRecord, { next, due, closed }: Looked): void {
    const busy = this.act !== null || this.world.inFlight.has(this.subject.name);
    const wants = next.kind === "go" || next.kind === "inquire";
    if (busy && wants) return this.queue(name, entry, "another transition of the host runs");
    const isOnce = next.kind === "go" && next.transition.steps.some(({ repeat }) => repeat === "never");
    if (wants && (!this.world.mayStart || (isOnce && !this.world.mayStartOnce))) {
      this.deferred = true;
      const until = this.world.mayStart ? "the record can be pushed again" : "others have ended";
      return this.queue(name, entry, `it starts when ${until}`);
    }
    let settled = withConditions(busy ? entry : this.inLine(name, entry, closed), conditionsFor(next), this.world.now);
    if (next.kind === "inquire") this.act = { kind: "inquire", machine: name, step: next.step };
    if (next.kind === "go") {
      const begun =
        due === null ? this.changing(name, settled, next) : { ...due.begun, conditions: settled.conditions };
      settled = beginAttempt(begun, next.transition, next.reason, this.world.now);
      const repair = due === null ? {} : { repair: due.rung === "remedy" ? due.remedy.name : due.rung };
      this.act = { kind: "start", machine: name, transition: next.transition, reason: next.reason, ...repair };
    }
    this.put(name, settled);
  }

  /** The machine's place in the line of the gate that it stops at, and what is over once it is in its target. */
  private inLine(name: string, entry: MachineRecord, closed: Closed | null): MachineRecord {
    const { waiting, barrier, fellFrom, agreed, begun } = upkeepOf(entry);
    const isThere =
      entry.state === (this.subject.machines.get(name) ?? null) &&
      leftToReplay(entry).length === 0 &&
      entry.attempt === null;
    const gate = closed?.gate ?? null;
    const isSame = waiting !== null && waiting.for === gate;
    const place = isSame ? waiting : gate === null ? null : { for: gate, since: isoTime(this.world.now) };
    const atBarrier = gate !== null && isBarrierGate(gate) && barrier?.for !== gate ? place : barrier;
    return withUpkeep(entry, {
      waiting: place,
      barrier: isThere ? null : atBarrier,
      fellFrom: isThere ? null : fellFrom,
      agreed: agreed && !isThere,
      begun: isThere ? null : begun,
    });
  }

  /** The machine's record as it begins a change: from here on it is part of its rollout. */
  private changing(name: string, entry: MachineRecord, next: Next): MachineRecord {
    const target = this.subject.machines.get(name) ?? null;
    const machine = this.world.desired.loaded.repository.machines.get(name);
    if (this.subject.kind !== "host" || target === null || machine === undefined) return entry;
    const isChange = purposeOf({ entry, next }, target) === "change";
    return isChange ? withUpkeep(entry, { begun: wantOf(machine, target) }) : entry;
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
    const isBack = this.plans.length > 0 && this.plans.every(({ next }) => next.kind === "rest");
    if (isBack) this.record = noteRecovered(this.record);
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

/** A machine looked at: what it does next, and what stands before that. */
interface Looked extends Pick<NextResult, "next" | "about" | "open"> {
  /** Its record with what was seen of its remedies. */
  readonly entry: MachineRecord;
  readonly due: Due | null;
  readonly closed: Closed | null;
}

function repairNext({ rung, remedy, transition }: Due): Next {
  if (rung !== "person") return { kind: "go", transition, reason: rung === "replace" ? "replace" : "remedy" };
  const message = `${remedy.name}: what is wrong is so in spite of ${remedy.limit} tries and what comes after them (${remedy.when}); mend the cause, then stateward retry`;
  return { kind: "stalled", reason: "RemediesExhausted", message };
}

/** A barrier reads the states of its group's hosts, as a guard would. */
function barrierReads(group: string): GuardReads {
  return { groups: new Set([group]), hosts: false, now: false, updates: false, live: true, secrets: new Set<string>() };
}
