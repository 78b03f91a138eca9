// B2: when more hosts are lost at once than `max_lost`, nothing is healed until a person says so.
import { type Checker, type Happening, type History, type Violation } from "../history.ts";
import { desiredOf, RecordNow, wasRewound } from "./chain.ts";

/** Losses within this time are losses at once. */
const atOnceMs = 60_000;

export const b2: Checker = {
  promise: "B2",
  says: "of hosts that were rebuilt at once, no more than the limit are replayed before a person releases the brake; and nobody else releases it",
  // A record that a person has moved back may not know of the brake.
  check: (history) => (wasRewound(history, "observed") ? [] : [...released(history), ...replayed(history)]),
};

const isRelease = (event: Happening): boolean =>
  event.kind === "word" && event.word.kind === "release-brake" && event.answer !== "refused";

function released(history: History): Violation[] {
  const violations: Violation[] = [];
  const record = new RecordNow();
  const words = history.events.filter(isRelease);
  for (const event of history.events) {
    const before = record.subjects.get("@fleet")?.braked ?? null;
    record.take(event);
    const after = record.subjects.get("@fleet")?.braked ?? null;
    const isAsked = words.some((word) => word.kind === "word" && word.askedAt <= event.at);
    if (before !== null && after === null && !isAsked)
      violations.push({ promise: "B2", at: event.at, message: "the brake is off, and nobody released it" });
  }
  return violations;
}

/** A host with something to replay: it was in a state beyond the initial one in a life that the record knows. */
function replayed(history: History): Violation[] {
  const facts = [...desiredOf(history).values()];
  const limit = Math.max(...facts.map(({ maxLost }) => maxLost));
  // A tenth of the fleet may be lost in any case.
  const most = Math.max(limit, Math.ceil(Math.max(...facts.map(({ hosts }) => hosts.length)) / 10));
  const words = history.events.filter(isRelease);
  const violations: Violation[] = [];
  const record = new RecordNow();
  let epoch = 0;
  const waves: { readonly at: number; readonly hosts: Map<string, string>; readonly begun: Set<string> }[] = [];
  for (const event of history.events) {
    record.take(event);
    // Each leader has its own knowledge of what was lost: what the one before it had not pushed is not part of that.
    if (event.kind === "pushed" && event.epoch > epoch) {
      epoch = event.epoch;
      for (const wave of waves) wave.begun.clear();
    }
    // What is at once is so by a clock: one that was set has put minutes or hours between two losses.
    if (event.kind === "clock-set") waves.length = 0;
    if (event.kind === "built") {
      const known = record.subjects.get(event.host);
      const isKnown =
        known?.incarnation != null && Object.values(known.machines).some(({ applied }) => applied.length > 0);
      const last = waves.at(-1);
      const wave =
        last !== undefined && event.at - last.at <= atOnceMs
          ? last
          : { at: event.at, hosts: new Map<string, string>(), begun: new Set<string>() };
      if (wave !== last) waves.push(wave);
      if (isKnown) wave.hosts.set(event.host, event.incarnation);
    }
    if (event.kind !== "began") continue;
    for (const wave of waves) {
      // What runs for the life before heals nobody: it is not known yet that it is over.
      if (wave.hosts.get(event.host) !== event.incarnation || wave.hosts.size <= most) continue;
      if (words.some((word) => word.kind === "word" && word.askedAt >= wave.at - 600_000 && word.askedAt <= event.at))
        continue;
      wave.begun.add(event.host);
      if (wave.begun.size > most)
        violations.push({
          promise: "B2",
          at: event.at,
          message: `${wave.hosts.size} hosts were lost at once, and ${wave.begun.size} are healed: more than ${most}`,
        });
    }
  }
  return violations;
}
