// B5: nothing but a person or its end lifts a hold; no restart does.
import { all, type Checker, type Violation } from "../history.ts";
import { RecordNow, sameSelector, wasRewound } from "./chain.ts";

export const b5: Checker = {
  promise: "B5",
  says: "a hold that stands in the record stays there until somebody asks for its release",
  check: (history) => {
    if (wasRewound(history, "observed")) return [];
    const violations: Violation[] = [];
    const words = all(history, "word").filter(({ answer }) => answer !== "refused");
    const record = new RecordNow();
    for (const event of history.events) {
      const before = record.subjects.get("@fleet")?.holds ?? [];
      record.take(event);
      const after = record.subjects.get("@fleet")?.holds ?? [];
      for (const hold of before) {
        if (after.some(({ select, by }) => select === hold.select && by === hold.by)) continue;
        const isOne = (other: string): boolean => sameSelector(other, hold.select);
        // A release that was answered before the hold was asked for is another one's.
        const heldAt = words.findLast(
          ({ word, askedAt, answer }) =>
            word.kind === "hold" &&
            answer === "taken" &&
            askedAt <= event.at &&
            word.by === hold.by &&
            isOne(word.select),
        );
        const isAsked = words.some(
          ({ word, askedAt, at }) =>
            word.kind === "release" && askedAt <= event.at && at >= (heldAt?.askedAt ?? 0) && isOne(word.select),
        );
        if (!isAsked)
          violations.push({
            promise: "B5",
            at: event.at,
            message: `the hold on ${hold.select} by ${hold.by} is gone, and nobody released it`,
          });
      }
    }
    return violations;
  },
};
