// S1: a step's start is recorded before it runs.
import { all, type Checker } from "../history.ts";

export const s1: Checker = {
  promise: "S1",
  says: "when a step begins, its start stands in the synced journal of its reconciler, or on the remote",
  check: (history) =>
    all(history, "began").flatMap(({ at, isRecorded, host, machine, step, process }) =>
      isRecorded === false
        ? [
            {
              promise: "S1",
              at,
              message: `${process} began ${step.name} on ${host} (${machine}), and no record says so`,
            },
          ]
        : [],
    ),
};
