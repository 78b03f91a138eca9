// D3: two reconcilers at once do no harm: one writes in an epoch, and a step marked never begins only after its start was taken by the remote.
import { all, type Checker, type History, type Violation } from "../history.ts";
import { wasRewound } from "./chain.ts";

export const d3: Checker = {
  promise: "D3",
  says: "epochs rise along the record, each has one writer, no step marked never begins before the remote took its start from that writer, and who cannot push begins nothing after five minutes",
  check: (history) => [...epochs(history), ...unfenced(history), ...alone(history)],
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

/** One that is cut off goes on for so long by itself, and a moment for what is on its way to a host, by clocks that are a little wrong. */
const aloneMs = 300_000 + 10_000;

function alone(history: History): Violation[] {
  const violations: Violation[] = [];
  /** When a reconciler first began a step of which nothing was pushed since. */
  const since = new Map<string, number>();
  const tips = new Map<string, string>();
  for (const event of history.events) {
    if (event.kind === "pushed" && event.process !== null) {
      since.delete(event.process);
      tips.set(event.process, event.commit);
    }
    // An answer says that what it pushed last, unheard, still is the tip: so it leads.
    if (event.kind === "listed" && event.observed !== null && event.observed === tips.get(event.process))
      since.delete(event.process);
    if (event.kind === "started" || event.kind === "killed" || event.kind === "stopped") since.delete(event.process);
    if (event.kind !== "began") continue;
    const { at, process, host, step } = event;
    const first = since.get(process) ?? at;
    since.set(process, first);
    if (at - first > aloneMs)
      violations.push({
        promise: "D3",
        at,
        message: `${process} begins ${step.name} on ${host}, and has pushed nothing for ${at - first} ms`,
      });
  }
  return violations;
}
