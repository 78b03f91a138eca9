// How long transitions take, as it is recorded: a smoothed duration for each machine and state entered.
import type { FleetRecord } from "../model/record.ts";
import type { Transition } from "../model/types.ts";

type Recorded = FleetRecord["durations"];

/** Assumed of a step of which nothing is recorded, in milliseconds. */
const stepMs = 10_000;
/** What one more duration counts, as in an exponential moving average. */
const weight = 0.25;
/** A change smaller than this share is not worth a commit. */
const noticed = 0.1;

function keyOf(machine: string, { to }: Pick<Transition, "to">): string {
  return `${machine}/${to}`;
}

/** Milliseconds that a transition takes, or null where that was never recorded. One without steps takes none. */
export function durationOf(recorded: Recorded, machine: string, transition: Transition): number | null {
  return transition.steps.length === 0 ? 0 : (recorded[keyOf(machine, transition)] ?? null);
}

/** What is assumed of a transition that was never made, in milliseconds. */
export function assumedDuration({ steps }: Transition): number {
  return stepMs * steps.length;
}

/** The durations with one more; the same value when it changes too little to be recorded. */
export function withDuration(
  recorded: Recorded,
  [machine, transition]: readonly [string, Transition],
  ms: number,
): Recorded {
  if (transition.steps.length === 0) return recorded;
  const key = keyOf(machine, transition);
  const before = recorded[key];
  const after = before === undefined ? ms : before + (ms - before) * weight;
  if (before !== undefined && Math.abs(after - before) <= before * noticed) return recorded;
  return { ...recorded, [key]: Math.round(after) };
}
