// What a report changes in the record: a rebuilt host (R4), a contradicted record (R3), a state whose check fails.
import { isoTime } from "../model/duration.ts";
import { withoutLoops } from "../model/graph.ts";
import {
  formerMax,
  freshMachine,
  type MachineRecord,
  type SubjectRecord,
  upkeepOf,
  withUpkeep,
} from "../model/record.ts";
import type { HostReport, StateClaim } from "../model/report.ts";
import type { Machine } from "../model/types.ts";
import { noteRebuilt } from "./recovery.ts";
import { entered } from "./transition.ts";
import type { AnySubject, World } from "./world.ts";

/** One bad check may be chance; two in a row are taken as the end of the state. */
export const failuresToLeave = 2;

export interface Observed {
  readonly record: SubjectRecord;
  /** Lines for the commit message: what changed and why. */
  readonly summaries: readonly string[];
}

/** The record after the report. Without a report that can be relied on, only machines newly carried are added. */
export function observe(world: World, subject: AnySubject, record: SubjectRecord, report: HostReport | null): Observed {
  const summaries: string[] = [];
  let next = record;
  if (subject.kind === "host" && report?.incarnation && report.incarnation !== record.incarnation) {
    next =
      record.incarnation === null
        ? { ...next, incarnation: report.incarnation }
        : noteRebuilt(world, subject, rebuilt(world, next, report.incarnation));
    if (record.incarnation !== null)
      summaries.push(`${subject.name}: rebuilt (incarnation ${report.incarnation.slice(0, 8)})`);
  }
  if (subject.kind === "host" && subject.address !== next.address) next = { ...next, address: subject.address };
  let machines = next.machines;
  for (const name of subject.machines.keys()) {
    const machine = world.desired.loaded.repository.machines.get(name);
    if (!machine || (subject.kind === "host" && report === null && !machines[name])) continue;
    const before = machines[name] ?? freshMachine(machine.initial, isoTime(world.now), world.desired.commit);
    const looked = report ? observeMachine(world, machine, before, report) : { entry: before, why: "" };
    const seen = { ...looked, entry: noteFall(world, before, looked.entry, subject.machines.get(name) ?? null) };
    if (seen.entry.state !== before.state)
      summaries.push(`${subject.name}: ${before.state} -> ${seen.entry.state} (${name} ${seen.why})`);
    if (seen.entry !== machines[name]) machines = { ...machines, [name]: seen.entry };
  }
  return { record: machines === next.machines ? next : { ...next, machines }, summaries };
}

/** A machine that was seen to have left its target: what brings it back is healing, and many falls in a row are flapping. */
function noteFall(world: World, before: MachineRecord, after: MachineRecord, target: string | null): MachineRecord {
  if (after.state === before.state || before.state !== target) return after;
  const { withinMs } = world.desired.loaded.repository.settings.flapping;
  const recent = upkeepOf(before).falls.filter((at) => Date.parse(at) > world.now - withinMs);
  return withUpkeep(after, {
    fellFrom: target,
    agreed: false,
    falls: [...recent, isoTime(world.now)].slice(-fallsMax),
  });
}

/** Falls that are kept of a machine. */
const fallsMax = 100;

/** R4: every machine is in its initial state, and what was applied is to be replayed, without loops. */
export function rebuilt(world: World, record: SubjectRecord, incarnation: string): SubjectRecord {
  const machines = Object.entries(record.machines).map(([name, entry]): [string, MachineRecord] => [
    name,
    toReplay(world, name, entry),
  ]);
  const former =
    record.incarnation === null || record.incarnation === incarnation
      ? record.former
      : [...record.former, record.incarnation].slice(-formerMax);
  return { ...record, incarnation, former, sequence: 0, machines: Object.fromEntries(machines) };
}

/**
 * The record of a host that is being replaced: the life that was recorded is over, so what it reports is refused and nothing is run
 * on it, before there is another. Whoever answers next is the new one, and is replayed.
 */
export function fenced(world: World, record: SubjectRecord): SubjectRecord {
  return { ...rebuilt(world, record, ""), incarnation: null };
}

/** The same life of a machine from its initial state: what must not repeat has still run in it (S2). */
export function toReplayAlive(world: World, name: string, entry: MachineRecord): MachineRecord {
  return { ...toReplay(world, name, entry), once: entry.once };
}

/** A machine in its initial state, with what was applied to it to be replayed. */
function toReplay(world: World, name: string, entry: MachineRecord): MachineRecord {
  const initial = world.desired.loaded.repository.machines.get(name)?.initial ?? entry.state;
  const replay = withoutLoops([...entry.applied.map(({ state }) => state), ...entry.replay], (state) => state);
  const fresh = freshMachine(initial, isoTime(world.now), world.desired.commit);
  const again: MachineRecord = {
    ...fresh,
    revision: entry.revision + 1,
    replay: replay.filter((state) => state !== initial),
    updateKeys: entry.updateKeys,
    conditions: entry.conditions,
  };
  const { remedies, begun } = upkeepOf(entry);
  return withUpkeep(again, { remedies, begun });
}

/**
 * The same because a person asked for it, so that steps marked `repeat: never` may run again. Where an earlier life of the host
 * answers (a disk that was put back, say), the one that answers is the host from now on.
 */
export function replayAgain(world: World, record: SubjectRecord, answering: string | null = null): SubjectRecord {
  const incarnation = answering ?? record.incarnation;
  const again = rebuilt(world, record, incarnation ?? "");
  const machines = Object.entries(again.machines).map(([name, entry]): [string, MachineRecord] => {
    const once = Object.entries(record.machines[name]?.once ?? {}).map(([key, known]) => [
      key,
      { ...known, status: "free", round: known.round + 1 },
    ]);
    return [name, { ...entry, once: Object.fromEntries(once) }];
  });
  const former = again.former.filter((life) => life !== incarnation);
  return { ...again, incarnation, former, sequence: record.sequence, machines: Object.fromEntries(machines) };
}

function observeMachine(
  world: World,
  machine: Machine,
  before: MachineRecord,
  report: HostReport,
): { entry: MachineRecord; why: string } {
  const claim = report.states[machine.name];
  if (before.attempt?.status === "running" && !isBehind(before, claim)) return { entry: before, why: "" };
  const isOld = claim?.revision === null && lookedBefore(world, before, report);
  if (claim && !isOld && contradicts(world, before, [claim, report]) && machine.states.has(claim.state)) {
    const context = { now: world.now, commit: world.desired.commit, claim };
    return { entry: entered(before, claim.state, machine.initial, context), why: "reported by the host" };
  }
  const entry = claim && !isOld ? noteClaim(before, claim) : before;
  const check = report.checks[machine.name];
  const late = claim?.revision != null && claim.revision < entry.revision;
  const over = check !== undefined && !check.ok && check.failures >= failuresToLeave && check.state === entry.state;
  if (!over || late || isBeingTakenDown(machine, entry)) return { entry, why: "" };
  return { entry: leaveState(world, machine, entry, check.message), why: `check failed: ${check.message}` };
}

/**
 * True when the host has gone on from where the record left it: whoever wrote that was lost with what it had not pushed. The attempt
 * that it left open is over, and going on with it would take the host back. How a step ended that must not repeat is found out first.
 */
function isBehind({ attempt, once, revision }: MachineRecord, claim: StateClaim | undefined): boolean {
  const isOpen = attempt?.step != null && once[attempt.step]?.status === "started";
  return claim !== undefined && claim.revision !== null && claim.revision > revision && !isOpen;
}

/** While a host is taken from up to not up, and that is tried again, a service that has stopped already is what is wanted. */
function isBeingTakenDown(machine: Machine, { attempt, state }: MachineRecord): boolean {
  if (attempt?.from !== state) return false;
  return machine.states.get(state)?.available === true && machine.states.get(attempt.to)?.available === false;
}

/**
 * Whether a look began before the machine entered its state: it may have read what stood on the host before the marker of that state.
 * A time that is still to come was written by another clock, and says nothing.
 */
function lookedBefore({ now }: World, { since }: MachineRecord, { at, sequence }: HostReport): boolean {
  const entered = Date.parse(since);
  return sequence === null && at < entered && entered <= now;
}

/**
 * Whether a marker of an older revision is what stands on the host now: the one that was left when the state was entered is gone, as
 * with a disk that was put back to what it was. A state that was left because its check failed has no marker of its own. What is only
 * taken to be said for ever was not seen at any time.
 */
function lostMarker({ now }: World, { since, applied }: MachineRecord, { at, sequence }: HostReport): boolean {
  const entered = Date.parse(since);
  return sequence === null && applied.at(-1)?.at === since && entered < at && at <= now;
}

/**
 * Keeps what tells a new claim from a repeated one; a marker newer than the record, for the same state, is taken over. A marker with a
 * revision stands in the place of what was claimed without one: when that is said again, it is new.
 */
function noteClaim(entry: MachineRecord, claim: StateClaim): MachineRecord {
  if (claim.revision === null) return claim.state === entry.claim ? entry : { ...entry, claim: claim.state };
  const isNewer = claim.state === entry.state && claim.revision > entry.revision;
  if (!isNewer && entry.claim === null) return entry;
  return { ...entry, claim: null, revision: isNewer ? claim.revision : entry.revision };
}

/** R3: a claim wins over the record unless its marker is older than the record's, or it says what was said and taken in before. */
function contradicts(
  world: World,
  entry: MachineRecord,
  [claim, report]: readonly [claim: StateClaim, report: HostReport],
): boolean {
  if (claim.state === entry.state) return false;
  if (claim.revision === null) return claim.state !== entry.claim;
  return claim.revision >= entry.revision || lostMarker(world, entry, report);
}

/** A state that held for this long before its check failed did hold: what follows is a new trouble, not the old one again. */
export const steadyMs = 600_000;

/**
 * A state that does not hold any more: the machine is back in the one before it that still exists, from where it can be entered
 * again: at once the first time, with backoff and a limit when it fails again soon (`next.ts`).
 */
function leaveState(world: World, machine: Machine, entry: MachineRecord, error: string): MachineRecord {
  const earlier = entry.applied.slice(0, -1).findLastIndex((item) => machine.states.has(item.state));
  const applied = entry.applied.slice(0, earlier + 1);
  const state = applied.at(-1)?.state ?? machine.initial;
  if (state === entry.state) return entry;
  const again = entry.unsteady?.state === entry.state && world.now - Date.parse(entry.since) < steadyMs;
  const count = again ? (entry.unsteady?.count ?? 0) + 1 : 1;
  const left = entered(entry, state, machine.initial, { now: world.now, commit: world.desired.commit });
  return {
    ...left,
    applied,
    unsteady: { state: entry.state, count, at: isoTime(world.now), error: error.slice(0, 500) },
  };
}
