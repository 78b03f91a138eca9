// S2: a step marked `repeat: never` runs at most once in a host's life, whatever crashes, until a person says so.
import { all, type Checker, type Violation } from "../history.ts";

export const s2: Checker = {
  promise: "S2",
  says: "a step marked never begins at most once in a life of its host, and once more for each retry",
  check: (history) => {
    const violations: Violation[] = [];
    const counts = new Map<string, number>();
    const words = all(history, "word").filter(({ word, answer }) => word.kind === "retry" && answer !== "refused");
    for (const { at, host, incarnation, machine, step } of all(history, "began")) {
      if (step.repeat !== "never") continue;
      const key = `${host} ${incarnation} ${machine} ${step.name}`;
      const count = (counts.get(key) ?? 0) + 1;
      counts.set(key, count);
      const retries = words.filter(({ word, askedAt }) => word.kind === "retry" && word.host === host && askedAt <= at);
      if (count > 1 + retries.length) {
        violations.push({
          promise: "S2",
          at,
          message: `${key} began for the ${count}. time, with ${retries.length} retries`,
        });
      }
    }
    return violations;
  },
};
