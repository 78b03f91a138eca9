// Edits of a machine's record: starting, progress and end of a transition. Pure; the engine records what they return.
import { digest } from "../model/digest.ts";
import { isoTime } from "../model/duration.ts";
import { withoutLoops } from "../model/graph.ts";
import { type Applied, type Attempt, type MachineRecord, type Once, withUpkeep } from "../model/record.ts";
import type { StateClaim } from "../model/report.ts";
import type { Settings, Step, Transition } from "../model/types.ts";

const definitions = new WeakMap<Transition, string>();

/** The steps of a repair as a transition from a state to itself: it enters nothing, and stands in no file. */
export function repairOf(state: string, steps: readonly Step[]): Transition {
  return { from: state, to: state, when: null, auto: false, cost: 0, governors: [], steps };
}

/** Identity of a transition's definition: a changed one starts the count of attempts anew. */
export function definitionOf(transition: Transition): string {
  const known = definitions.get(transition);
  if (known !== undefined) return known;
  const { from, to, steps } = transition;
  const made = digest({ from, to, steps });
  definitions.set(transition, made);
  return made;
}

/** The attempt that a transition starts or goes on with. Steps that ended well are not run again if the attempt was interrupted. */
export function beginAttempt(
  entry: MachineRecord,
  transition: Transition,
  reason: Attempt["reason"],
  now: number,
): MachineRecord {
  const definition = definitionOf(transition);
  const last = sameWay(entry.attempt, transition) ? entry.attempt : null;
  const interrupted = last?.status === "running" && last.definition === definition;
  const never = new Set(transition.steps.filter(({ repeat }) => repeat === "never").map(({ key }) => key));
  const done = interrupted ? last.done : (last?.done ?? []).filter((key) => never.has(key));
  const skipped = last?.skipped ?? [];
  const number = last?.definition === definition ? last.number + (interrupted ? 0 : 1) : 1;
  const attempt: Attempt = {
    from: transition.from,
    to: transition.to,
    reason,
    number,
    status: "running",
    startedAt: isoTime(now),
    definition,
    done: [...new Set([...done, ...skipped])],
    step: null,
    skipped,
    retryAt: null,
    error: null,
  };
  return { ...entry, attempt };
}

export function sameWay(attempt: Attempt | null, transition: Transition): boolean {
  return attempt !== null && attempt.from === transition.from && attempt.to === transition.to;
}

/** The start of a step, before it runs (S1). */
export function stepStarted(entry: MachineRecord, step: Step, now: number): MachineRecord {
  const attempt = entry.attempt && { ...entry.attempt, step: step.key };
  return { ...entry, attempt, once: step.repeat === "never" ? setOnce(entry, step.key, "started", now) : entry.once };
}

/** The good end of a step. */
export function stepDone(entry: MachineRecord, key: string, now: number): MachineRecord {
  const attempt = entry.attempt && { ...entry.attempt, step: null, done: [...new Set([...entry.attempt.done, key])] };
  return { ...entry, attempt, once: key in entry.once ? setOnce(entry, key, "done", now) : entry.once };
}

/** The bad end of a step; `step` stays, so that it is known which one failed. */
export function stepFailed(
  entry: MachineRecord,
  error: string,
  settings: Settings["attempts"],
  now: number,
): MachineRecord {
  const { attempt } = entry;
  if (attempt === null) return entry;
  const key = attempt.step ?? "";
  const retryAt = isoTime(now + backoffMs(attempt.number, settings, `${attempt.definition}${attempt.startedAt}`));
  const once = key in entry.once ? setOnce(entry, key, "failed", now) : entry.once;
  return { ...entry, once, attempt: { ...attempt, status: "failed", retryAt, error: error.slice(0, 2000) } };
}

/** A failure that says nothing about the step, such as a host that cannot be reached: tried again soon, and not counted. */
export function attemptSetBack(
  entry: MachineRecord,
  error: string,
  settings: Settings["attempts"],
  now: number,
): MachineRecord {
  const { attempt } = entry;
  if (attempt === null) return entry;
  const retryAt = isoTime(now + settings.backoffMs);
  return {
    ...entry,
    attempt: {
      ...attempt,
      status: "failed",
      number: attempt.number - 1,
      step: null,
      retryAt,
      error: error.slice(0, 2000),
    },
  };
}

/** Changes what is known of a step that must not repeat. */
export function setOnce(entry: MachineRecord, key: string, status: Once["status"], now: number): Record<string, Once> {
  const round = entry.once[key]?.round ?? 0;
  return { ...entry.once, [key]: { status, at: isoTime(now), round } };
}

export interface Entering {
  readonly now: number;
  readonly commit: string;
  /** What the host said, where it was the host that said so. */
  readonly claim?: StateClaim;
}

/** The record of a machine that has just entered a state. */
export function entered(
  entry: MachineRecord,
  state: string,
  initial: string,
  { now, commit, claim }: Entering,
): MachineRecord {
  const at = isoTime(now);
  const step: Applied = { state, at, desired: commit };
  const applied = state === initial ? [] : withoutLoops([...entry.applied, step], (item) => item.state);
  // What stood before the state in a replay is done with, also where a detour or a removed state led around it.
  const replay = entry.replay.slice(entry.replay.lastIndexOf(state) + 1);
  return {
    ...withUpkeep(entry, { waiting: null, barrier: null }),
    state,
    since: at,
    desired: commit,
    revision: claim ? Math.max(claim.revision ?? 0, entry.revision) : entry.revision + 1,
    // A marker with a revision stands in the place of what was claimed without one: when that is said again, it is new (R3).
    claim: claim === undefined ? entry.claim : claim.revision === null ? claim.state : null,
    applied,
    replay,
    attempt: null,
    // A state that is left by a transition of its own did hold.
    unsteady: entry.unsteady?.state === entry.state ? null : entry.unsteady,
    updates: 0,
    updateKeys: entry.updateKeys,
  };
}

/**
 * Wait before the next try: the first wait doubled for each failure, at most the longest one, less up to a quarter by chance,
 * so that hosts that failed together do not come back together. The chance is a digest, so that one world has one decision (R1).
 */
export function backoffMs(failures: number, settings: Settings["attempts"], seed: string): number {
  const full = Math.min(settings.backoffMs * 2 ** Math.min(failures - 1, 30), settings.backoffMaxMs);
  const chance = Number.parseInt(digest(seed).slice(0, 8), 16) / 0xffffffff;
  return Math.round(full * (1 - chance / 4));
}
