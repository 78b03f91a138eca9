// One seed, played and judged: what happened in it, and which promises did not hold.
import { createHash } from "node:crypto";
import { checkers } from "./checkers/list.ts";
import type { Violation } from "./history.ts";
import { crashed, hung, type Judged } from "./orders.ts";
import { type Played, play } from "./play.ts";
import type { Scenario } from "./scenario.ts";

/** Errors that nobody caught while a seed was played: the process that plays puts them here. */
export const uncaught: unknown[] = [];

/** `isTwice`: played a second time, it has to give the same bytes (R1). */
export async function judge(scenario: Scenario, { isTwice = false } = {}): Promise<Judged> {
  const played = await tryToPlay(scenario);
  if ("error" in played) return { ...nothing, violations: [asViolation(played.error)] };
  const bytes = JSON.stringify(played.events);
  const violations = [...played.crashes, ...uncaught.splice(0)].map(asViolation);
  for (const checker of checkers) violations.push(...checker.check(played));
  if (isTwice) violations.push(...difference(bytes, await tryToPlay(scenario)));
  const happenings: Record<string, number> = {};
  for (const { kind } of played.events) happenings[kind] = (happenings[kind] ?? 0) + 1;
  const digest = createHash("sha256").update(bytes).digest("hex").slice(0, 16);
  const { events, steps, faults } = played;
  return { events: events.length, steps, faults, happenings, violations, digest };
}

const nothing: Omit<Judged, "violations"> = { events: 0, steps: 0, faults: {}, happenings: {}, digest: "" };

async function tryToPlay(scenario: Scenario): Promise<Played | { readonly error: unknown }> {
  uncaught.length = 0;
  try {
    return await play(scenario);
  } catch (error) {
    return { error };
  }
}

function asViolation(error: unknown): Violation {
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { promise: /something does not end/.test(message) ? hung : crashed, at: 0, message };
}

function difference(bytes: string, again: Played | { readonly error: unknown }): Violation[] {
  if ("error" in again) return [asViolation(again.error)];
  const other = JSON.stringify(again.events);
  if (other === bytes) return [];
  let at = 0;
  while (bytes[at] === other[at]) at++;
  const from = Math.max(0, at - 60);
  const message = `played again, the history differs: ${bytes.slice(from, at + 100)} became ${other.slice(from, at + 100)}`;
  return [{ promise: "R1", at: 0, message }];
}
