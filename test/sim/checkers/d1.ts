// D1: what an API call acknowledged survives `kill -9` of the reconciler, and a power cut.
import { all, type Checker, type History, type Violation } from "../history.ts";
import { sameSelector, wasRewound } from "./chain.ts";

export const d1: Checker = {
  promise: "D1",
  says: "holds and counted updates that were acknowledged are in the record of the same reconciler at the end, unless another has led since; and no key is counted twice",
  check: (history) => (wasRewound(history, "observed") ? [] : [...holds(history), ...updates(history)]),
};

/** True when a reconciler kept its disk, and nobody else wrote the record, from a moment to the end; or until its own next push. */
function isKept(history: History, process: string, from: number): boolean {
  // One that has been deposed, and cannot know it because the remote does not answer, keeps what it takes in a journal set aside.
  const before = all(history, "pushed").findLast(({ at }) => at <= from);
  if (before !== undefined && before.process !== process) return false;
  for (const event of history.events) {
    if (event.at < from) continue;
    if (event.kind === "started" && event.process === process && event.fresh) return false;
    if (event.kind === "pushed" && event.process !== process) return false;
    // One that started, and was not answered yet, has no commit in force, and has not read what it has kept.
    if (event.kind === "rest") return event.leader === process && event.inForce !== null;
  }
  return false;
}

function holds(history: History): Violation[] {
  const [rest] = all(history, "rest");
  const words = all(history, "word");
  return words.flatMap(({ at, word, process, askedAt, answer }) => {
    if (word.kind !== "hold" || answer !== "taken" || !isKept(history, process, at)) return [];
    const isReleased = words.some(
      (other) =>
        other.word.kind === "release" && other.askedAt >= askedAt && sameSelector(other.word.select, word.select),
    );
    const fleet = rest?.memory?.find(({ name }) => name === "@fleet");
    const isThere =
      fleet?.holds?.some(({ select, by }) => by === word.by && sameSelector(select, word.select)) === true;
    return isReleased || isThere
      ? []
      : [
          {
            promise: "D1",
            at,
            message: `the hold on ${word.select} by ${word.by} was acknowledged by ${process}, and is gone`,
          },
        ];
  });
}

function updates(history: History): Violation[] {
  const [rest] = all(history, "rest");
  const counted = rest?.memory?.find(({ name }) => name === "crossing")?.machines.light?.updates;
  if (rest === undefined || counted === undefined) return [];
  const words = all(history, "word").filter(({ word }) => word.kind === "update");
  const keys = (list: typeof words): number =>
    new Set(list.map(({ word }) => (word.kind === "update" ? word.key : ""))).size;
  const safe = keys(words.filter(({ answer, process, at }) => answer === "taken" && isKept(history, process, at)));
  const asked = keys(words);
  if (counted < safe)
    return [
      { promise: "D1", at: rest.at, message: `${safe} updates were acknowledged and kept, and ${counted} are counted` },
    ];
  return counted > asked
    ? [{ promise: "D1", at: rest.at, message: `${asked} keys were sent, and ${counted} are counted` }]
    : [];
}
