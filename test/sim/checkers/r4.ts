// R4: a new incarnation is a rebuilt host: what the record says was applied is replayed, without the loops in it, before anything new.
import { all, type Checker, type Happening, type History, type MachineFacts, type Violation } from "../history.ts";
import { RecordNow } from "./chain.ts";

export const r4: Checker = {
  promise: "R4",
  says: "the first states that a rebuilt host is brought to are those that were applied in its life before, in their order",
  check: (history) => (all(history, "rewound").length > 0 ? [] : judge(history)),
};

interface Life {
  readonly incarnation: string;
  /** By machine: the ways that may be followed, and how far the host has come. */
  readonly ways: ReadonlyMap<string, readonly (readonly string[])[]>;
  readonly marked: Map<string, string[]>;
  isFree: boolean;
}

function judge(history: History): Violation[] {
  const violations: Violation[] = [];
  const record = new RecordNow();
  const lives = new Map<string, Life>();
  const walked = new Map<string, string[][]>();
  const versions = all(history, "commit").flatMap(({ desired }) => desired.machines);
  /** Hosts that were set back by hand, and of which nothing was recorded since. */
  const fallen = new Set<string>();
  for (const event of history.events) {
    record.take(event);
    if (event.kind === "fell") fallen.add(event.host);
    if (event.kind === "pushed") for (const { name } of event.subjects) fallen.delete(name);
    const free = freed(event);
    const life = free === null ? undefined : lives.get(free);
    if (life) life.isFree = true;
    if (event.kind === "built") {
      const life = born(event, record, walked);
      lives.set(event.host, { ...life, isFree: life.isFree || fallen.has(event.host) });
    }
    if (event.kind !== "marked") continue;
    const key = `${event.host} ${event.incarnation} ${event.machine}`;
    const before = walked.get(key) ?? [];
    walked.set(key, [...before, withoutLoops([...(before.at(-1) ?? []), event.state])]);
    const own = lives.get(event.host);
    if (!own || own.isFree || own.incarnation !== event.incarnation) continue;
    // One that was deposed, and cannot know it yet, replays what it knows; and both go on from where the other has brought the host.
    if (record.tip?.process !== event.process) {
      own.isFree = true;
      continue;
    }
    const marked = [...(own.marked.get(event.machine) ?? []), event.state];
    own.marked.set(event.machine, marked);
    const ways = own.ways.get(event.machine) ?? [];
    const machines = versions.filter(({ name }) => name === event.machine);
    const fits = ways.length === 0 || ways.some((way) => isAlong(way, marked, machines));
    if (!fits) {
      own.isFree = true;
      violations.push({
        promise: "R4",
        at: event.at,
        message: `${event.host} was rebuilt and brought to ${marked.join(", ")}; applied was ${ways.map((way) => way.join(", ")).join(" or ")} (${event.machine})`,
      });
    }
  }
  return violations;
}

/** Whether a host was brought along a way; where a version of the machine has no step from one of its states to the next, by others between. */
function isAlong(way: readonly string[], marked: readonly string[], machines: readonly MachineFacts[]): boolean {
  let from = machines[0]?.initial ?? "";
  let index = 0;
  for (const state of marked) {
    const next = way[index];
    if (next === undefined) return true;
    if (state === next) index++;
    else if (!machines.some((machine) => isBetween(machine, [from, state, next]))) return false;
    from = state;
  }
  return true;
}

function isBetween({ transitions }: MachineFacts, [from, state, to]: readonly [string, string, string]): boolean {
  const has = (a: string, b: string): boolean =>
    transitions.some((transition) => transition.from === a && transition.to === b);
  if (has(from, to) || !has(from, state)) return false;
  const reached = new Set([state]);
  for (const at of reached) for (const { from: a, to: b } of transitions) if (a === at && b !== from) reached.add(b);
  return reached.has(to);
}

/** What was recorded, and what was walked after that: whoever replays may not have recorded the last of it on the remote. */
function born(
  { host, incarnation }: Extract<Happening, { kind: "built" }>,
  record: RecordNow,
  walked: ReadonlyMap<string, readonly (readonly string[])[]>,
): Life {
  const known = record.subjects.get(host);
  const ways = new Map<string, (readonly string[])[]>();
  for (const [machine, { applied }] of Object.entries(known?.machines ?? {})) {
    const recorded = withoutLoops(applied.map(({ state }) => state));
    const versions = walked.get(`${host} ${known?.incarnation} ${machine}`) ?? [];
    const from = versions.findLastIndex((version) => version.join(" ") === recorded.join(" "));
    ways.set(machine, [recorded, ...versions.slice(Math.max(0, from))]);
  }
  return { incarnation, ways, marked: new Map(), isFree: known?.incarnation == null };
}

/** The host for which something else than a replay may come first: a person's word, or a state that was lost otherwise. */
function freed(event: Happening): string | null {
  if (event.kind === "fell") return event.host;
  if (
    event.kind === "word" &&
    (event.word.kind === "retry" || event.word.kind === "skip" || event.word.kind === "replay")
  )
    return event.word.host;
  return null;
}

function withoutLoops(states: readonly string[]): string[] {
  const kept: string[] = [];
  for (const state of states) {
    const at = kept.indexOf(state);
    if (at >= 0) kept.length = at;
    kept.push(state);
  }
  return kept;
}
