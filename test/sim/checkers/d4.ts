// D4: a desired commit that does not validate changes nothing: the last good one stays in force.
import { all, type Checker, type Violation } from "../history.ts";
import { desiredOf, isKept, wasRewound } from "./chain.ts";

/** A word is followed by then. */
const slowMs = 60_000;

export const d4: Checker = {
  promise: "D4",
  says: "nothing is recorded under a commit with problems; in the end the tip of main is in force or waits for a word that nobody has said, if it is good; if it is not, that is shown",
  check: (history) => {
    const facts = desiredOf(history);
    const violations: Violation[] = all(history, "pushed").flatMap(({ at, desired, commit }) =>
      desired !== null && facts.get(desired)?.valid === false
        ? [
            {
              promise: "D4",
              at,
              message: `${commit.slice(0, 8)} was recorded under ${desired.slice(0, 8)}, which has problems`,
            },
          ]
        : [],
    );
    const [rest] = all(history, "rest");
    if (rest === undefined || rest.leader === null || !history.isLiveness || wasRewound(history, "main"))
      return violations;
    const tip = rest.main;
    const isGood = tip === null ? null : facts.get(tip)?.valid;
    const fail = (message: string): void => void violations.push({ promise: "D4", at: rest.at, message });
    if (tip === null || isGood === undefined || rest.inForce === tip) return violations;
    const said = all(history, "word").find(
      ({ word, answer, process, at }) =>
        word.kind === "approve" &&
        word.commit === tip &&
        answer === "taken" &&
        rest.at - at > slowMs &&
        isKept(history, process, at),
    );
    if (isGood === false && !/has problems/.test(rest.trouble ?? ""))
      fail(`${tip.slice(0, 8)} has problems, and all that is said is ${rest.trouble}`);
    if (isGood === true && rest.waiting !== tip)
      fail(`${tip.slice(0, 8)} is good, ${rest.inForce?.slice(0, 8)} is in force, ${rest.waiting?.slice(0, 8)} waits`);
    if (isGood === true && rest.waiting === tip && said !== undefined)
      fail(`${tip.slice(0, 8)} waits for a word, which was said at ${said.at}`);
    return violations;
  },
};
