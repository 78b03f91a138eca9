// D2: what is pushed survives: every commit that the remote took is part of the history at the end, one behind the other.
import type { Checker, Violation } from "../history.ts";

export const d2: Checker = {
  promise: "D2",
  says: "every commit of the record stands on the one before it, unless a person moved the branch between them",
  check: (history) => {
    const violations: Violation[] = [];
    let tip: string | null = null;
    for (const event of history.events) {
      if (event.kind === "rewound" && event.branch === "observed") tip = event.to;
      if (event.kind === "restored" && event.branch === "observed") tip = event.to;
      if (event.kind !== "pushed") continue;
      if (event.parent !== tip)
        violations.push({
          promise: "D2",
          at: event.at,
          message: `${event.process} put ${event.commit.slice(0, 8)} on ${event.parent?.slice(0, 8)}, and ${tip?.slice(0, 8)} was there`,
        });
      tip = event.commit;
    }
    return violations;
  },
};
