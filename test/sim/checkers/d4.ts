// D4: a desired commit that does not validate changes nothing: the last good one stays in force.
import { all, type Checker, type Violation } from "../history.ts";
import { desiredOf, wasRewound } from "./chain.ts";

export const d4: Checker = {
  promise: "D4",
  says: "nothing is recorded under a commit with problems; in the end the tip of main is in force or waits for a word, if it is good",
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
    if (tip === null || facts.get(tip)?.valid !== true || rest.inForce === tip || rest.waiting === tip)
      return violations;
    const message = `${tip.slice(0, 8)} is good, ${rest.inForce?.slice(0, 8)} is in force, ${rest.waiting?.slice(0, 8)} waits`;
    violations.push({ promise: "D4", at: rest.at, message });
    return violations;
  },
};
