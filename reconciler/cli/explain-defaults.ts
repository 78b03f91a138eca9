// What holds where no file says anything, as people would write it. Taken from the parsers, so that it cannot differ from what is done.
import { type Amount, amountText } from "../model/amount.ts";
import { parseSettings } from "../model/subject.ts";
import type { Brakes } from "../model/types.ts";
import { written } from "./explain-sources.ts";

const units = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1000],
] as const;

const { atOnce, attempts, brakes, flapping, lookMs, parallel, rollout } = parseSettings({});

/** Of a rollout, by key. */
export const rolloutDefaults: Readonly<Record<string, string>> = {
  max_unavailable: amount(rollout.maxUnavailable),
  order: written(rollout.order),
  canary: String(rollout.canary),
  waves: rollout.waves.map(amount).join(", "),
  soak: duration(rollout.soakMs),
  max_failures: String(rollout.maxFailures),
  paused: String(rollout.paused),
};

/** Of stateward.yaml alone, by field. */
export const fleetDefaults: Readonly<Record<string, string>> = {
  "rollout.at_once": least(atOnce),
  look: duration(lookMs),
  "attempts.limit": String(attempts.limit),
  "attempts.backoff": duration(attempts.backoffMs),
  "attempts.backoff_max": duration(attempts.backoffMaxMs),
  parallel: String(parallel),
  "brakes.max_lost": withFloor(brakes.maxLost, brakes),
  "brakes.lost_within": duration(brakes.lostWithinMs),
  "brakes.quiet_start": String(brakes.quietReports),
  "brakes.min_reported": amount(brakes.minReported),
  "brakes.max_moved": least(brakes.maxMoved),
  "brakes.max_removed": String(brakes.maxRemoved),
  "brakes.max_wipes": String(brakes.maxWipes),
  "flapping.limit": String(flapping.limit),
  "flapping.within": duration(flapping.withinMs),
};

/** `20%, at least 3`. */
export function withFloor(value: Amount, { lostFloor }: Pick<Brakes, "lostFloor">): string {
  return lostFloor === 0 ? amount(value) : `${amount(value)}, at least ${lostFloor}`;
}

function amount(value: Amount): string {
  return amountText(value).replace(" ", "");
}

function least(amounts: readonly Amount[]): string {
  return `the least of ${amounts.map(amount).join(", ")}`;
}

/** As in the files: `5m`, `90s`. */
export function duration(ms: number): string {
  const unit = units.find(([, length]) => ms >= length && ms % length === 0);
  if (unit === undefined) return ms === 0 ? "0s" : `${ms}ms`;
  return `${ms / unit[1]}${unit[0]}`;
}
