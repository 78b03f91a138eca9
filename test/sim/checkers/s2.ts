// S2: a step marked `repeat: never` runs at most once in a host's life, whatever crashes, until a person says so.
import { all, type Checker, type Violation } from "../history.ts";
import { wasRewound } from "./chain.ts";

export const s2: Checker = {
  promise: "S2",
  says: "a step marked never begins at most once in a life of its host, and once more for each retry or replay that a person asks for",
  check: (history) => {
    const violations: Violation[] = [];
    const isRewound = wasRewound(history, "observed");
    const counts = new Map<string, number>();
    const firstAt = new Map<string, number>();
    const words = all(history, "word").filter(
      ({ word, answer }) => (word.kind === "retry" || word.kind === "replay") && answer !== "refused",
    );
    for (const { at, host, incarnation, machine, step } of all(history, "began")) {
      // What runs on the reconciler's machine leaves no claim on the host: a record that a person has moved back may not know of it.
      if (step.repeat !== "never" || (step.on === "controller" && isRewound)) continue;
      const key = `${host} ${incarnation} ${machine} ${step.name}`;
      const count = (counts.get(key) ?? 0) + 1;
      counts.set(key, count);
      const first = firstAt.get(key) ?? at;
      firstAt.set(key, first);
      // What was said and answered before it ran at all was about something else.
      const retries = words.filter(
        (said) => "host" in said.word && said.word.host === host && said.askedAt <= at && said.at >= first,
      );
      if (count > 1 + retries.length) {
        violations.push({
          promise: "S2",
          at,
          message: `${key} began for the ${count}. time, with ${retries.length} retries and replays`,
        });
      }
    }
    return violations;
  },
};
