// R4: a new incarnation is a rebuilt host: what the record says was applied is replayed, without the loops in it, before anything new.
import { all, type Checker, type Happening, type History, type Violation } from "../history.ts";
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
  /** By machine: who brought the host to its last state. */
  readonly marker: Map<string, string>;
  isFree: boolean;
}

function judge(history: History): Violation[] {
  const violations: Violation[] = [];
  const record = new RecordNow();
  const lives = new Map<string, Life>();
  const walked = new Map<string, string[][]>();
  for (const event of history.events) {
    record.take(event);
    const free = freed(event);
    const life = free === null ? undefined : lives.get(free);
    if (life) life.isFree = true;
    if (event.kind === "built") lives.set(event.host, born(event, record, walked));
    if (event.kind !== "marked") continue;
    const key = `${event.host} ${event.incarnation} ${event.machine}`;
    const versions = walked.get(key) ?? [];
    walked.set(key, [...versions, withoutLoops([...(versions.at(-1) ?? []), event.state])]);
    const own = lives.get(event.host);
    if (!own || own.isFree || own.incarnation !== event.incarnation) continue;
    const before = own.marked.get(event.machine) ?? [];
    // One that was deposed while its step ran brings the host to the same state again.
    if (before.at(-1) === event.state && own.marker.get(event.machine) !== event.process) continue;
    const marked = [...before, event.state];
    own.marker.set(event.machine, event.process);
    own.marked.set(event.machine, marked);
    const ways = own.ways.get(event.machine) ?? [];
    const fits =
      ways.length === 0 ||
      ways.some((way) => marked.every((state, index) => index >= way.length || way[index] === state));
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
    const from = versions.findIndex((version) => version.join(" ") === recorded.join(" "));
    ways.set(machine, [recorded, ...versions.slice(Math.max(0, from))]);
  }
  return { incarnation, ways, marked: new Map(), marker: new Map(), isFree: known?.incarnation == null };
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
