// D3: two reconcilers at once do no harm: one writes in an epoch, and a step marked never begins only after its start was taken by the remote.
import { all, type Checker, type History, type Violation } from "../history.ts";
import { wasRewound } from "./chain.ts";

export const d3: Checker = {
  promise: "D3",
  says: "epochs rise along the record, each has one writer, and no step marked never begins before the remote took its start from that writer",
  check: (history) => [...epochs(history), ...unfenced(history)],
};

function epochs(history: History): Violation[] {
  if (wasRewound(history, "observed")) return [];
  const violations: Violation[] = [];
  const writers = new Map<number, string | null>();
  let last = 0;
  for (const { at, epoch, process, commit } of all(history, "pushed")) {
    const writer = writers.get(epoch);
    if (writer !== undefined && writer !== null && process !== null && writer !== process)
      violations.push({
        promise: "D3",
        at,
        message: `${process} wrote ${commit.slice(0, 8)} in epoch ${epoch}, which is ${writer}'s`,
      });
    if (epoch < last)
      violations.push({ promise: "D3", at, message: `${commit.slice(0, 8)} has epoch ${epoch}, after ${last}` });
    writers.set(epoch, process);
    last = Math.max(last, epoch);
  }
  return violations;
}

function unfenced(history: History): Violation[] {
  const started = new Set<string>();
  const violations: Violation[] = [];
  for (const event of history.events) {
    if (event.kind === "pushed") {
      for (const { name, incarnation, machines } of event.subjects)
        for (const { attempt } of Object.values(machines))
          if (attempt?.step) started.add(`${event.process} ${name} ${incarnation} ${attempt.step}`);
    }
    if (event.kind !== "began" || event.step.repeat !== "never" || event.isPushed === null) continue;
    if (!started.has(`${event.process} ${event.host} ${event.incarnation} ${event.step.name}`))
      violations.push({
        promise: "D3",
        at: event.at,
        message: `${event.process} began ${event.step.name} on ${event.host}, and the remote never took its start from it`,
      });
  }
  return violations;
}
