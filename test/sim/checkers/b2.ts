// B2: when more hosts are lost at once than `max_lost`, nothing is healed until a person says so.
import { all, type Checker, type Happening, type History, type Violation } from "../history.ts";
import { desiredOf, RecordNow, wasRewound } from "./chain.ts";

/** Losses within this time are losses at once. */
const atOnceMs = 60_000;

export const b2: Checker = {
  promise: "B2",
  says: "of hosts that were rebuilt at once, no more than the limit are replayed before a person releases the brake; while more than that are silent, none is replaced; and nobody else releases it",
  // A record that a person has moved back may not know of the brake.
  check: (history) =>
    wasRewound(history, "observed") ? [] : [...released(history), ...replayed(history), ...replaced(history)],
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

/** Who has been silent for so long was missed at a look, or at three reports of its agent. */
const missedMs = { ssh: 60_000, agent: 240_000 } as const;

/** A host that is silent may only be cut off: with many of them none is replaced. */
function replaced(history: History): Violation[] {
  const most = mostOf(history);
  const words = history.events.filter(isRelease);
  const violations: Violation[] = [];
  const record = new RecordNow();
  const silent = new Map<string, number>();
  const transports = new Map(
    all(history, "commit").flatMap(({ desired }) =>
      desired.hosts.map(({ name, transport }) => [name, transport] as const),
    ),
  );
  const commits = desiredOf(history);
  // A host that was taken off the branch is not missed; what is in force may be behind the branch, or wait for a word.
  let [inForce, newest] = [[...commits.values()][0], [...commits.values()][0]];
  const isThere = (name: string): boolean =>
    [inForce, newest].every((facts) => facts?.hosts.some((host) => host.name === name));
  for (const event of history.events) {
    record.take(event);
    if (event.kind === "pushed") inForce = commits.get(event.desired ?? "") ?? inForce;
    if (event.kind === "commit" && event.desired.valid) newest = event.desired;
    if (event.kind === "down") silent.set(event.host, event.at);
    if (event.kind === "up") silent.delete(event.host);
    if (event.kind !== "began" || !event.step.name.includes(".replace.")) continue;
    const { at, host } = event;
    if (words.some((word) => word.kind === "word" && word.askedAt <= at)) continue;
    const known = [...silent].filter(
      ([name, since]) =>
        at - since > missedMs[transports.get(name) ?? "agent"] &&
        isThere(name) &&
        record.subjects.get(name)?.incarnation != null,
    );
    if (known.length > most)
      violations.push({
        promise: "B2",
        at,
        message: `${host} is replaced while ${known.map(([name]) => name).join(", ")} are silent: more than ${most}`,
      });
  }
  return violations;
}

/** So many may be lost at once: a tenth of the fleet may be in any case. */
function mostOf(history: History): number {
  const facts = [...desiredOf(history).values()];
  const limit = Math.max(...facts.map(({ maxLost }) => maxLost));
  return Math.max(limit, Math.ceil(Math.max(...facts.map(({ hosts }) => hosts.length)) / 10));
}

/** A host with something to replay: it was in a state beyond the initial one in a life that the record knows. */
function replayed(history: History): Violation[] {
  const most = mostOf(history);
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
