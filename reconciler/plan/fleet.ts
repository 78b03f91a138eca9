// What concerns more than one host and has to be remembered: how far rollouts are, which holds have ended, whether too many were lost.
import { isoTime } from "../model/duration.ts";
import type { FleetRecord, RolloutRecord } from "../model/record.ts";
import { same } from "../model/same.ts";
import { lossesText, tooManyLost } from "./brakes.ts";
import { holdsAt } from "./holds.ts";
import { nextRollout } from "./rollout.ts";
import type { World } from "./world.ts";

export interface FleetDecision {
  /** What to record, or null when it stays as it is. */
  readonly record: FleetRecord | null;
  readonly summaries: readonly string[];
  /** Look again at this time, milliseconds since the epoch. */
  readonly wakeAt: number | null;
}

/** The decision for the fleet as a whole. */
export function decideFleet(world: World): FleetDecision {
  const { fleet, now } = world;
  const summaries: string[] = [];
  let wakeAt: number | null = null;
  const wake = (at: number | null): void => {
    if (at !== null && at > now) wakeAt = Math.min(at, wakeAt ?? at);
  };
  const holds = holdsAt(fleet.holds, now);
  for (const hold of fleet.holds) {
    if (hold.until !== null) wake(Date.parse(hold.until));
    if (!holds.includes(hold))
      summaries.push(`fleet: the hold on ${hold.select} by ${hold.by} has ended: ${hold.reason}`);
  }
  const losses = fleet.braked === null ? tooManyLost(world) : null;
  const braked = losses === null ? fleet.braked : { at: isoTime(now), message: lossesText(losses) };
  if (losses !== null) summaries.push(`fleet: brake: ${lossesText(losses)}`);
  const rollouts: Record<string, RolloutRecord> = { ...fleet.rollouts };
  for (const scope of scopesAt(world)) {
    const { step, wakeAt: at } = nextRollout(world, scope);
    wake(at);
    if (step === null) continue;
    rollouts[scope] = step.record;
    summaries.push(step.summary);
  }
  const record = { ...fleet, holds, braked, rollouts: summaries.length === 0 ? rollouts : kept(rollouts, now) };
  return { record: summaries.length === 0 && same(record, fleet) ? null : record, summaries, wakeAt };
}

/** How long it is kept that a rollout was done, in milliseconds; Git keeps it after that. */
const doneKeptMs = 86_400_000;

function kept(rollouts: Readonly<Record<string, RolloutRecord>>, now: number): Record<string, RolloutRecord> {
  const left = Object.entries(rollouts).filter(
    ([, { phase, phaseSince }]) => phase !== "done" || Date.parse(phaseSince) > now - doneKeptMs,
  );
  return Object.fromEntries(left);
}

/** Scopes in which something is under way, in order. */
function scopesAt({ fleet, tally }: World): string[] {
  const running = Object.entries(fleet.rollouts).flatMap(([scope, { phase }]) => (phase === "done" ? [] : [scope]));
  return [...new Set([...tally.scopeNames(), ...running])].toSorted();
}
