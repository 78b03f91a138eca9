// Drift: a host was seen to have left its target. What is done about it is the host's word, else the machine's; many falls are flapping.
import { formatDuration, isoTime } from "../model/duration.ts";
import { type MachineRecord, upkeepOf, withUpkeep } from "../model/record.ts";
import type { Drift, Settings } from "../model/types.ts";
import type { Closed, Wanted } from "./gates.ts";
import type { World } from "./world.ts";

const correct: Drift = { mode: "correct", untilMs: null };

/** Why a host that left its target is not brought back by itself, or null. */
export function driftOf(world: World, { host, machine, entry, next }: Wanted, target: string | null): Closed | null {
  const { fellFrom, agreed } = upkeepOf(entry);
  if (next.kind !== "go" || next.reason !== "target" || fellFrom === null || fellFrom !== target) return null;
  if (agreed) return null;
  const { mode, untilMs } = host.drift ?? machine.drift ?? correct;
  const seen = `${fellFrom} was the target, and ${entry.state} is what is seen since ${entry.since}`;
  switch (mode) {
    case "correct":
      return null;
    case "adopt":
      return { next: { kind: "rest", reason: "DriftAdopted", message: seen }, gate: null };
    case "tolerate":
      if (untilMs !== null && untilMs <= world.now) return null;
      return { next: { kind: "wait", reason: "DriftTolerated", message: seen, at: untilMs }, gate: null };
    case "alert":
      return {
        next: { kind: "stalled", reason: "DriftAlert", message: `${seen}: stateward retry brings it back` },
        gate: null,
      };
  }
}

/** A machine that has left its target again and again is left alone until a person has looked, or null. */
export function flappingOf(world: World, { entry, next }: Wanted, target: string | null): Closed | null {
  const { falls, fellFrom, autos } = upkeepOf(entry);
  const { limit, automatic, withinMs } = world.desired.loaded.repository.settings.flapping;
  if (next.kind === "go" && next.reason === "auto" && autos !== null && autos.count >= automatic) {
    const text = `made ${autos.count} automatic transitions within ${formatDuration(withinMs)}: mend the guards, then stateward retry`;
    return { next: { kind: "stalled", reason: "Flapping", message: text }, gate: null };
  }
  if (next.kind !== "go" || next.reason !== "target" || fellFrom !== target || falls.length < limit) return null;
  const first = falls[falls.length - limit];
  if (first === undefined || Date.parse(falls.at(-1) ?? "") - Date.parse(first) > withinMs) return null;
  const message = `left ${target} ${limit} times within ${formatDuration(withinMs)}: mend the cause, then stateward retry`;
  return { next: { kind: "stalled", reason: "Flapping", message }, gate: null };
}

/** The record with one more automatic transition, counted from the first one of a stretch of time. */
export function withAutomatic(entry: MachineRecord, { withinMs }: Settings["flapping"], now: number): MachineRecord {
  const { autos } = upkeepOf(entry);
  const isSame = autos !== null && now - Date.parse(autos.since) <= withinMs;
  return withUpkeep(entry, {
    autos: isSame ? { ...autos, count: autos.count + 1 } : { since: isoTime(now), count: 1 },
  });
}
