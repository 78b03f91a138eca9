// D1: what an API call acknowledged survives `kill -9` of the reconciler, and a power cut.
import { all, type Checker, type History, type Violation, type Word } from "../history.ts";
import { fleetName, isKept, sameSelector, wasRewound } from "./chain.ts";

export const d1: Checker = {
  promise: "D1",
  says: "holds, releases, approvals, releases of the brake and counted updates that were acknowledged are in the record of the same reconciler at the end, unless another has led since; and no key is counted twice",
  check: (history) =>
    wasRewound(history, "observed") ? [] : [...holds(history), ...otherWords(history), ...updates(history)],
};

function holds(history: History): Violation[] {
  const [rest] = all(history, "rest");
  const words = all(history, "word");
  return words.flatMap(({ at, word, process, askedAt, answer }) => {
    if (word.kind !== "hold" || answer !== "taken" || !isKept(history, process, at)) return [];
    const isReleased = words.some(
      (other) =>
        other.word.kind === "release" && other.askedAt >= askedAt && sameSelector(other.word.select, word.select),
    );
    const fleet = rest?.memory?.find(({ name }) => name === fleetName);
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

/** What was said about the fleet last of its sort is what its record says. */
function otherWords(history: History): Violation[] {
  const [rest] = all(history, "rest");
  const fleet = rest?.memory?.find(({ name }) => name === fleetName);
  if (rest === undefined || rest.memory === null) return [];
  const words = all(history, "word");
  const fail = (at: number, process: string, what: string): Violation => ({
    promise: "D1",
    at,
    message: `${what} was acknowledged by ${process}, and is gone`,
  });
  return words.flatMap(({ at, word, process, answer, askedAt }) => {
    if (answer !== "taken" || !isKept(history, process, at)) return [];
    // What was asked for before this one was answered may have come after it.
    const isLast = (isOther: (other: Word) => boolean): boolean =>
      !words.some((other) => other.askedAt >= askedAt && other.word !== word && isOther(other.word));
    if (word.kind === "approve" && !fleet?.approvals?.some(({ commit }) => commit === word.commit))
      return [fail(at, process, `the word for ${word.commit.slice(0, 8)}`)];
    if (
      word.kind === "release-brake" &&
      fleet?.released?.reason !== word.reason &&
      isLast(({ kind }) => kind === "release-brake")
    )
      return [fail(at, process, `the release of the brake (${word.reason})`)];
    if (
      word.kind === "release" &&
      fleet?.holds?.some(({ select }) => sameSelector(select, word.select)) === true &&
      isLast((other) => other.kind === "hold" && sameSelector(other.select, word.select))
    )
      return [fail(at, process, `the release of ${word.select}`)];
    return [];
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
