// S4: transitions of one host never overlap, and nothing runs on a host that is held.
import { all, type Checker, type Happening, type History, type Violation } from "../history.ts";
import { type Began, covers, desiredOf } from "./chain.ts";

export const s4: Checker = {
  promise: "S4",
  says: "a reconciler runs one step of a host at a time, and none on a host whose hold it has acknowledged, or that its file holds",
  check: (history) => [...overlaps(history), ...onHeldHosts(history)],
};

function overlaps(history: History): Violation[] {
  const violations: Violation[] = [];
  const open = new Map<string, Began>();
  for (const event of history.events) {
    if (event.kind === "killed" || event.kind === "started") {
      for (const [key, run] of open) if (run.process === event.process) open.delete(key);
    }
    if (event.kind === "ended") for (const [key, { run }] of open) if (run === event.run) open.delete(key);
    if (event.kind !== "began") continue;
    const key = `${event.process} ${event.host} ${event.incarnation}`;
    const other = open.get(key);
    if (other !== undefined) {
      violations.push({
        promise: "S4",
        at: event.at,
        message: `${event.step.name} begins on ${event.host} while ${other.step.name} runs`,
      });
    }
    open.set(key, event);
  }
  return violations;
}

/** A hold is honoured within this time (B5): what was on its way to the host by then may begin there. */
const honouredMs = 10_000;

interface Hold {
  readonly at: number;
  readonly select: string;
  readonly process: string;
}

function onHeldHosts(history: History): Violation[] {
  const facts = desiredOf(history);
  const violations: Violation[] = [];
  let holds: Hold[] = [];
  let isMoved = false;
  let leader: string | null = null;
  let desired = [...facts.values()][0];
  const isHeldInAll = (host: string): boolean =>
    [...facts.values()].every(({ hosts }) => hosts.find(({ name }) => name === host)?.isHeld === true);
  const asked = all(history, "word").filter(({ word }) => word.kind === "release");
  const take = (event: Happening): void => {
    if (event.kind === "commit" && event.desired.valid) desired = event.desired;
    // What another has not pushed is not known to whoever takes over, and it may have been lost with its machine.
    if (event.kind === "started" && event.fresh) holds = holds.filter(({ process }) => process !== event.process);
    if (event.kind === "pushed") {
      leader = event.process;
      holds = holds.filter(({ process }) => process === event.process);
    }
    // What a reconciler takes while it does not know yet that its record was moved back is set aside with its journal.
    if (event.kind === "rewound" && event.branch === "observed") isMoved = true;
    // One that was deposed and cannot reach the remote takes words that are set aside with its journal.
    const isLeading = leader === null || !("process" in event) || leader === event.process;
    if (isLeading && event.kind === "word" && event.word.kind === "hold" && event.answer === "taken")
      holds.push({ at: event.at, select: event.word.select, process: event.process });
    if (isMoved) holds = [];
  };
  for (const event of history.events) {
    take(event);
    // A release counts from when it was asked for.
    holds = holds.filter(
      ({ select }) =>
        !asked.some(({ word, askedAt }) => word.kind === "release" && word.select === select && askedAt <= event.at),
    );
    if (event.kind !== "began" || desired === undefined) continue;
    if (isHeldInAll(event.host))
      violations.push({
        promise: "S4",
        at: event.at,
        message: `${event.step.name} begins on ${event.host}, which its file holds`,
      });
    for (const { at, select, process } of holds) {
      if (
        process === event.process &&
        event.at - at > honouredMs &&
        covers(select, event.host, desired) &&
        isInAll(history, event.host)
      )
        violations.push({
          promise: "S4",
          at: event.at,
          message: `${event.step.name} begins on ${event.host}, which is held by ${select}`,
        });
    }
  }
  return violations;
}

/** Groups and regions of hosts that come and go are another matter. */
function isInAll(history: History, host: string): boolean {
  return all(history, "commit").every(({ desired }) => desired.hosts.some(({ name }) => name === host));
}
