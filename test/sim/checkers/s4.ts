// S4: transitions of one host never overlap, and nothing runs on a host that is held.
import { all, type Checker, type Happening, type History, type Violation } from "../history.ts";
import { type Began, covers, desiredOf, fleetName, RecordNow, sameSelector } from "./chain.ts";

export const s4: Checker = {
  promise: "S4",
  says: "a reconciler runs one step of a host at a time, and none on a host whose hold it has acknowledged, or taken over with the record, or that its file holds",
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
  /** When it was asked for: what was said before that does not lift it. */
  readonly askedAt: number;
  readonly select: string;
  readonly process: string;
}

/** The holds that each reconciler has to honour: those that it acknowledged, and those that it took over with the record. */
class Holds {
  private readonly words: ReturnType<typeof all<"word">>;
  private readonly record = new RecordNow();
  private list: Hold[] = [];
  private isMoved = false;
  private leader: string | null = null;

  constructor(history: History) {
    this.words = all(history, "word").filter(({ answer }) => answer !== "refused");
  }

  take(event: Happening): void {
    // What a reconciler takes while it does not know yet that its record was moved back is set aside with its journal.
    if (event.kind === "rewound" && event.branch === "observed") this.isMoved = true;
    if (this.isMoved) {
      this.list = [];
      return;
    }
    // What is not pushed may have been lost with its machine.
    if (event.kind === "started" && event.fresh)
      this.list = this.list.filter(({ process }) => process !== event.process);
    this.record.take(event);
    if (event.kind === "pushed") this.lead(event);
    // One that was deposed and cannot reach the remote takes words that are set aside with its journal.
    if (event.kind !== "word" || (this.leader !== null && this.leader !== event.process)) return;
    const { word, answer, at, askedAt, process } = event;
    if (word.kind === "hold" && answer === "taken") this.list.push({ at, askedAt, select: word.select, process });
  }

  /** Who takes the lead goes by what is recorded, and by nothing else. */
  private lead({ at, process }: { readonly at: number; readonly process: string | null }): void {
    if (process === this.leader || process === null) return;
    this.leader = process;
    const recorded = this.record.subjects.get(fleetName)?.holds ?? [];
    const taken = recorded.map(({ select, by }): Hold => {
      const word = this.words.findLast(
        (other) =>
          other.word.kind === "hold" &&
          other.askedAt <= at &&
          other.word.by === by &&
          sameSelector(other.word.select, select),
      );
      return { at, askedAt: word?.askedAt ?? 0, select, process };
    });
    this.list = [...this.list.filter((hold) => hold.process !== process), ...taken];
  }

  /** Those in force at a process; a release counts from when it was asked for. */
  at(time: number, process: string): readonly Hold[] {
    this.list = this.list.filter(
      (hold) =>
        !this.words.some(
          ({ word, askedAt, at }) =>
            word.kind === "release" && askedAt <= time && at >= hold.askedAt && sameSelector(word.select, hold.select),
        ),
    );
    return this.list.filter((hold) => hold.process === process && time - hold.at > honouredMs);
  }
}

function onHeldHosts(history: History): Violation[] {
  const facts = desiredOf(history);
  const violations: Violation[] = [];
  const holds = new Holds(history);
  let desired = [...facts.values()][0];
  const isHeldInAll = (host: string): boolean =>
    [...facts.values()].every(({ hosts }) => hosts.find(({ name }) => name === host)?.isHeld === true);
  for (const event of history.events) {
    if (event.kind === "commit" && event.desired.valid) desired = event.desired;
    holds.take(event);
    if (event.kind !== "began" || desired === undefined) continue;
    const { at, host, step, process } = event;
    const fail = (why: string): number =>
      violations.push({ promise: "S4", at, message: `${step.name} begins on ${host}, which ${why}` });
    if (isHeldInAll(host)) fail("its file holds");
    for (const { select } of holds.at(at, process))
      if (covers(select, host, desired) && isInAll(history, host)) fail(`is held by ${select}`);
  }
  return violations;
}

/** Groups and regions of hosts that come and go are another matter. */
function isInAll(history: History, host: string): boolean {
  return all(history, "commit").every(({ desired }) => desired.hosts.some(({ name }) => name === host));
}
