// B3: a commit that would move more hosts than `max_moved` waits for an explicit word.
import { all, type Checker, type DesiredFacts, type History, type Violation } from "../history.ts";
import { desiredOf, wasRewound } from "./chain.ts";

/** Machines of a host by name, as far as they are recorded: the states that they are in. */
type States = ReadonlyMap<string, Readonly<Record<string, { readonly state: string }>>>;

/** Hosts that both know, and that the later one wants elsewhere. One that is there already does not move. */
function moved(before: DesiredFacts, after: DesiredFacts, states: States): number {
  const targets = new Map(before.hosts.map(({ name, targets: wanted }) => [name, wanted]));
  return after.hosts.filter(({ name, targets: wanted }) => {
    const old = targets.get(name);
    return (
      old !== undefined &&
      Object.entries(wanted).some(
        ([machine, state]) =>
          old[machine] !== undefined && old[machine] !== state && states.get(name)?.[machine]?.state !== state,
      )
    );
  }).length;
}

/** A share is one of the larger fleet of both, never rounded up, and at least one host. */
function limitOf(from: DesiredFacts, to: DesiredFacts): number {
  if (typeof from.maxMoved === "number") return from.maxMoved;
  const size = Math.max(from.hosts.length, to.hosts.length);
  return Math.max(1, Math.floor((size * Number.parseInt(from.maxMoved, 10)) / 100));
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
  const states = new Map<string, Readonly<Record<string, { readonly state: string }>>>();
  const isFree = (from: DesiredFacts, to: DesiredFacts, known: States): boolean => {
    const count = moved(from, to, known);
    // An acknowledgement fits from the real number to a tenth above.
    // A host that nothing is recorded of yet is no move: what its author counted may be one less than what stands in the files.
    return count <= limitOf(from, to) || (to.acknowledged !== null && to.acknowledged >= count - 1);
  };
  const violations: Violation[] = [];
  let current: number | null = null;
  for (const { at, desired, subjects } of all(history, "pushed")) {
    const before = new Map(states);
    for (const { name, machines } of subjects) states.set(name, machines);
    const next = desired === null ? undefined : place.get(desired);
    if (next === undefined || next === current) continue;
    const from: number | null = current;
    current = next;
    if (from === null || next < from || desired === null) continue;
    // What the commit itself has begun to move is recorded with it, and what was recorded before is older than what was judged by.
    const isFreeThen = (one: DesiredFacts, other: DesiredFacts): boolean =>
      isFree(one, other, states) || isFree(one, other, before);
    if (!isReached(facts.slice(from, next + 1), { at, isAsked, isFree: isFreeThen })) {
      const [first, last] = [facts[from]?.[1], facts[next]?.[1]];
      const count = first && last ? moved(first, last, states) : 0;
      const limit = first && last ? limitOf(first, last) : 0;
      const message = `${desired.slice(0, 8)} moves ${count} hosts, more than ${limit}, and nobody said so`;
      violations.push({ promise: "B3", at, message });
    }
  }
  return violations;
}

/** Whether the last of some commits may be in force after the first: by steps of which each is small enough, or was asked about. */
function isReached(
  way: readonly (readonly [string, DesiredFacts])[],
  {
    at,
    isAsked,
    isFree,
  }: {
    readonly at: number;
    readonly isAsked: (commit: string, at: number) => boolean;
    readonly isFree: (from: DesiredFacts, to: DesiredFacts) => boolean;
  },
): boolean {
  const reached: DesiredFacts[] = [];
  for (const [index, [commit, facts]] of way.entries()) {
    const may = index === 0 || isAsked(commit, at) || reached.some((before) => isFree(before, facts));
    if (may) reached.push(facts);
    else if (index === way.length - 1) return false;
  }
  return true;
}
