// S1: a step's start is recorded before it runs, its outcome before the next one starts; and a state is entered when all of its steps
// have ended well, and not before.
import {
  all,
  type Checker,
  type Happening,
  type History,
  type StepFacts,
  type TransitionFacts,
  type Violation,
} from "../history.ts";
import { type Began, wasRewound } from "./chain.ts";

export const s1: Checker = {
  promise: "S1",
  says: "when a step begins, its start stands in the synced journal of its reconciler or on the remote, and so does the good end of each step before it; a host is told of a state only after each step that leads there has ended well on it, or a person said to skip it",
  check: (history) => [...unrecorded(history), ...new Steps(history).judge()],
};

function unrecorded(history: History): Violation[] {
  return all(history, "began").flatMap(({ at, isRecorded, host, machine, step, process }) =>
    isRecorded === false
      ? [{ promise: "S1", at, message: `${process} began ${step.name} on ${host} (${machine}), and no record says so` }]
      : [],
  );
}

interface Run {
  readonly began: Began;
  readonly index: number;
  isGood: boolean;
}

interface Mark {
  readonly process: string;
  readonly state: string;
  readonly index: number;
}

type Marked = Extract<Happening, { kind: "marked" }>;

class Steps {
  private readonly history: History;
  /** By machine: every version of every transition that was ever on `main`. */
  private readonly ways = new Map<string, TransitionFacts[]>();
  /** By host, life and machine. */
  private readonly runs = new Map<string, Run[]>();
  private readonly marks = new Map<string, Mark[]>();
  /** How often a person has said by now to skip what keeps a host. */
  private readonly skips = new Map<string, number>();
  /** When a host was last set back by hand. */
  private readonly fallen = new Map<string, number>();

  constructor(history: History) {
    this.history = history;
    for (const { desired } of all(history, "commit"))
      for (const { name, transitions } of desired.machines)
        this.ways.set(name, [...(this.ways.get(name) ?? []), ...transitions]);
  }

  judge(): Violation[] {
    // Where nobody is told of states, nothing of this is seen: on real hosts, their own log says what has run.
    const isSeen = all(this.history, "marked").length > 0;
    const violations: Violation[] = [];
    const open = new Map<number, Run>();
    const words = all(this.history, "word").filter(({ word, answer }) => word.kind === "skip" && answer !== "refused");
    const said = words.toSorted((a, b) => a.askedAt - b.askedAt);
    for (const [index, event] of this.history.events.entries()) {
      for (let next = said[0]; next !== undefined && next.askedAt <= event.at; next = said[0]) {
        said.shift();
        if (next.word.kind === "skip") this.skips.set(next.word.host, (this.skips.get(next.word.host) ?? 0) + 1);
      }
      if (event.kind === "fell") this.fallen.set(event.host, index);
      if (event.kind === "ended") {
        const run = open.get(event.run);
        if (run !== undefined && event.exit === 0) run.isGood = true;
      }
      if (event.kind === "began" && event.transition !== null) {
        if (isSeen) violations.push(...this.tooSoon(event, index));
        const run = { began: event, index, isGood: false };
        open.set(event.run, run);
        this.runs.set(keyOf(event), [...(this.runs.get(keyOf(event)) ?? []), run]);
      }
      if (event.kind === "marked") {
        violations.push(...this.tooEarly(event));
        const { process, state } = event;
        this.marks.set(keyOf(event), [...(this.marks.get(keyOf(event)) ?? []), { process, state, index }]);
      }
    }
    return violations;
  }

  /** A step that begins before the one before it has ended well, or before that is recorded. */
  private tooSoon(event: Began, index: number): Violation[] {
    const { transition, step, host, at, process, done } = event;
    if (transition === null) return [];
    const versions = this.versions(event, transition.from, transition.to).flatMap(({ steps }) => {
      const place = steps.findIndex(({ name }) => name === step.name);
      return place < 0 ? [] : [steps.slice(0, place)];
    });
    const since = this.since(event, transition.to, index);
    const isRecorded = ({ name }: StepFacts): boolean => done === null || done.includes(name);
    const isBehind = (before: readonly StepFacts[]): boolean =>
      before.every(isRecorded) && this.isDone(host, this.missing(event, before, since));
    if (versions.length === 0 || versions.some(isBehind)) return [];
    const message = `${process} began ${step.name} on ${host}, and not every step before it has ended well and is recorded: recorded are ${done?.join(", ")}`;
    return [{ promise: "S1", at, message }];
  }

  /** A host that is told of a state, though a step that leads there has not ended well. */
  private tooEarly(event: Marked): Violation[] {
    const { host, state, at, process, machine } = event;
    const own = this.marks.get(keyOf(event)) ?? [];
    // It is told again what it was told before.
    if (own.at(-1)?.state === state) return [];
    const index = this.history.events.indexOf(event);
    // From where it was brought there: one that was set back meanwhile may have come by any way.
    const told = own.findLast((mark) => mark.process === process)?.index ?? -1;
    const last = Math.max(told, this.fallen.get(host) ?? -1);
    const led = this.runs
      .get(keyOf(event))
      ?.findLast(({ began, index: begunAt }) => began.process === process && begunAt > last);
    const from = led?.began.transition?.to === state ? led.began.transition.from : null;
    // A way without steps leaves nothing that could be seen to begin.
    const ways = this.versions(event, null, state).filter(
      (way) => from === null || way.from === from || way.steps.length === 0,
    );
    const since = this.since(event, state, index);
    const missing = ways.map(({ steps }) => this.missing(event, steps, since));
    if (missing.length === 0 || missing.some((steps) => this.isDone(host, steps))) return [];
    const names = missing.map((steps) => steps.map(({ name }) => name).join(", "));
    const message = `${process} told ${host} that it is in ${state} (${machine}), and did not end well: ${[...new Set(names)].join(" or ")}`;
    return [{ promise: "S1", at, message }];
  }

  private versions({ machine }: { readonly machine: string }, from: string | null, to: string): TransitionFacts[] {
    return (this.ways.get(machine) ?? []).filter((way) => way.to === to && (from === null || way.from === from));
  }

  /** What ran before the state was entered the last time belongs to that; a host that was set back may go on with an attempt of before. */
  private since(event: Began | Marked, state: string, index: number): number {
    const last = (this.marks.get(keyOf(event)) ?? []).findLast(
      (mark) => mark.process === event.process && mark.state === state,
    );
    if (last === undefined || (this.fallen.get(event.host) ?? -1) > last.index) return -1;
    // A record that a person has moved back has the attempt open that led there: the claim on the host tells that it ended well.
    if (wasRewound(this.history, "observed")) return -1;
    return last.index < index ? last.index : -1;
  }

  /** Those that have not ended well. */
  private missing(event: Began | Marked, steps: readonly StepFacts[], since: number): StepFacts[] {
    const runs = this.runs.get(keyOf(event)) ?? [];
    return steps.filter(
      ({ name }) => !runs.some(({ began, index, isGood }) => isGood && index > since && began.step.name === name),
    );
  }

  /** One word skips all steps marked never that keep a transition, or one of the others. */
  private isDone(host: string, missing: readonly StepFacts[]): boolean {
    const skips = this.skips.get(host) ?? 0;
    return missing.length === 0 || (skips > 0 && missing.filter(({ repeat }) => repeat === "always").length <= skips);
  }
}

function keyOf({ host, incarnation, machine }: Began | Marked): string {
  return `${host} ${incarnation} ${machine}`;
}
