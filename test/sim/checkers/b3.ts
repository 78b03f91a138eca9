// B3: a commit that would move more hosts than `max_moved` waits for an explicit word.
import { all, type Checker, type DesiredFacts, type History, type Violation } from "../history.ts";
import { desiredOf, wasRewound } from "./chain.ts";

/** Hosts that both know, and that the later one wants elsewhere. */
function moved(before: DesiredFacts, after: DesiredFacts): number {
  const targets = new Map(before.hosts.map(({ name, targets: wanted }) => [name, wanted]));
  return after.hosts.filter(({ name, targets: wanted }) => {
    const old = targets.get(name);
    return (
      old !== undefined &&
      Object.entries(wanted).some(([machine, state]) => old[machine] !== undefined && old[machine] !== state)
    );
  }).length;
}

export const b3: Checker = {
  promise: "B3",
  says: "a commit that moves more hosts than its limit comes into force only after a person's word about that very commit",
  check: (history) => (wasRewound(history, "main") || wasRewound(history, "observed") ? [] : unasked(history)),
};

function unasked(history: History): Violation[] {
  const facts = [...desiredOf(history)].filter(([, { valid }]) => valid);
  const place = new Map(facts.map(([commit], index) => [commit, index]));
  const words = all(history, "word").filter(({ word, answer }) => word.kind === "approve" && answer !== "refused");
  const isAsked = (commit: string, at: number): boolean =>
    words.some(({ word, askedAt }) => word.kind === "approve" && word.commit === commit && askedAt <= at);
  const isFree = (from: DesiredFacts, to: DesiredFacts): boolean => {
    const count = moved(from, to);
    // An acknowledgement fits from the real number to a tenth above.
    return count <= from.maxMoved || (to.acknowledged !== null && to.acknowledged >= count);
  };
  const violations: Violation[] = [];
  let current: number | null = null;
  for (const { at, desired } of all(history, "pushed")) {
    const next = desired === null ? undefined : place.get(desired);
    if (next === undefined || next === current) continue;
    const from: number | null = current;
    current = next;
    if (from === null || next < from || desired === null || isAsked(desired, at)) continue;
    const way = facts.slice(from, next + 1).map(([, fact]) => fact);
    const [first, last] = [way[0], way.at(-1)];
    const isStepwise = way.every(
      (fact, index) =>
        index === 0 || isFree(way[index - 1] as DesiredFacts, fact) || isAsked(facts[from + index]?.[0] ?? "", at),
    );
    if (first && last && !isStepwise && !isFree(first, last))
      violations.push({
        promise: "B3",
        at,
        message: `${desired.slice(0, 8)} moves ${moved(first, last)} hosts, more than ${first.maxMoved}, and nobody said so`,
      });
  }
  return violations;
}
