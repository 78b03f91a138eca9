// Remedies: what is wrong with a machine in spite of its state, for how long, and which rung of the ladder is next: the remedy itself,
// a reboot, a replay, a replacement, a person.
import { isoTime } from "../model/duration.ts";
import type { GuardCompiler, GuardReads, GuardValues } from "../model/guard.ts";
import { type MachineRecord, type RemedyRecord, upkeepOf, withUpkeep } from "../model/record.ts";
import type { Machine, Remedy, Transition } from "../model/types.ts";
import { repairOf } from "./transition.ts";

const rungs = ["remedy", "reboot", "replay", "replace", "person"] as const;
export type Rung = (typeof rungs)[number];

/** What is due. Its steps are a transition from the state to itself. */
export interface Due {
  readonly remedy: Remedy;
  readonly rung: Rung;
  readonly transition: Transition;
  /** The record of the machine once it has begun. */
  readonly begun: MachineRecord;
}

export interface RemediesLooked {
  /** The machine's record with what was seen of its remedies. */
  readonly entry: MachineRecord;
  readonly due: Due | null;
  /** When to look again, milliseconds since the epoch. */
  readonly wakeAt: number | null;
  readonly reads: readonly GuardReads[];
}

export interface RemedyWorld {
  readonly machine: Machine;
  readonly guards: GuardCompiler;
  readonly values: () => GuardValues;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

const untouched: RemedyRecord = { since: null, over: null, runs: [], rung: 0 };

/** Looks at every remedy of a machine that is at rest. The first that is due is done. */
export function lookAtRemedies(world: RemedyWorld, before: MachineRecord): RemediesLooked {
  let entry = before;
  let due: Due | null = null;
  let wakeAt: number | null = null;
  const reads: GuardReads[] = [];
  for (const remedy of world.machine.remedies) {
    const holds = asked(world, remedy, reads);
    const record = seen(remedy, upkeepOf(entry).remedies[remedy.name] ?? untouched, [holds, world.now]);
    entry = withRemedy(entry, remedy.name, record);
    const at = dueAt(remedy, record);
    if (at !== null && at > world.now) wakeAt = Math.min(at, wakeAt ?? at);
    // What is not known to be so now is not repaired, however long it was so before.
    if (at !== null && at <= world.now && holds === true) due ??= nextDue(world, remedy, record, entry);
  }
  return {
    entry,
    due: due && { ...due, begun: withRemedy(entry, due.remedy.name, begunOf(due, entry, world.now)) },
    wakeAt,
    reads,
  };
}

/** Whether a remedy's condition holds; null where that cannot be told. */
function asked({ guards, values }: RemedyWorld, { when }: Remedy, reads: GuardReads[]): boolean | null {
  const compiled = guards.compile(when);
  if ("error" in compiled) return null;
  reads.push(compiled.guard.reads);
  const result = compiled.guard.evaluate(values());
  return result.ok ? result.value === true : null;
}

/** What is known of a remedy after its condition was asked. One that cannot be told says neither yes nor no. */
function seen(
  { clearMs }: Remedy,
  before: RemedyRecord,
  [holds, now]: readonly [boolean | null, number],
): RemedyRecord {
  if (holds === null) return before;
  if (holds) return { ...before, since: before.since ?? isoTime(now), over: null };
  if (before.since === null) return before;
  const over = before.over ?? isoTime(now);
  return now >= Date.parse(over) + clearMs ? untouchedBut(before) : { ...before, over };
}

/** Over: the ladder begins at its foot the next time. Its runs still count against the limit. */
function untouchedBut({ runs }: RemedyRecord): RemedyRecord {
  return { ...untouched, runs };
}

function dueAt({ forMs, clearMs }: Remedy, { since, over }: RemedyRecord): number | null {
  if (since === null) return null;
  return over === null ? Date.parse(since) + forMs : Date.parse(over) + clearMs;
}

function runsWithin({ limitMs }: Remedy, { runs }: RemedyRecord, now: number): readonly string[] {
  return runs.filter((at) => Date.parse(at) > now - limitMs);
}

function nextDue({ machine, now }: RemedyWorld, remedy: Remedy, record: RemedyRecord, entry: MachineRecord): Due {
  const used = runsWithin(remedy, record, now).length >= remedy.limit;
  let rung = record.rung;
  if (rung === 0 && used) rung = 1;
  const { reboot, replace } = machine.recovery;
  if (rung === 1 && reboot.length === 0) rung = 2;
  if (rung === 2 && entry.applied.length === 0) rung = 3;
  if (rung === 3 && replace.length === 0) rung = 4;
  const name = rungs[Math.min(rung, rungs.length - 1)] ?? "person";
  const steps = name === "remedy" ? remedy.steps : name === "reboot" ? reboot : name === "replace" ? replace : [];
  const transition = repairOf(entry.state, steps);
  return { remedy, rung: name, transition, begun: entry };
}

/** What is recorded when a rung begins: the condition has to hold for its time anew before the next one. */
function begunOf({ remedy, rung }: Due, entry: MachineRecord, now: number): RemedyRecord {
  const record = upkeepOf(entry).remedies[remedy.name] ?? untouched;
  const runs = runsWithin(remedy, record, now);
  // The remedy itself is tried as often as its limit says; every other rung once.
  if (rung === "remedy") return { ...record, since: isoTime(now), runs: [...runs, isoTime(now)] };
  return { ...record, since: isoTime(now), runs, rung: Math.min(rungs.indexOf(rung) + 1, rungs.length - 1) };
}

function withRemedy(entry: MachineRecord, name: string, record: RemedyRecord): MachineRecord {
  const { [name]: _before, ...others } = upkeepOf(entry).remedies;
  const isUntouched = record.since === null && record.runs.length === 0;
  return withUpkeep(entry, { remedies: isUntouched ? others : { ...others, [name]: record } });
}

/** The machine's record after a person said that its remedies may be tried anew. */
export function withoutRemedies(entry: MachineRecord): MachineRecord {
  return withUpkeep(entry, { remedies: {} });
}
