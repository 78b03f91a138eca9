// The record of one subject (a host, or a group with machines of its own) as it stands on the branch `observed`.
// Encoding is canonical: one value has one text, so an unchanged record is an unchanged blob.
import { Failure } from "./failure.ts";
import { fleetShape, isTooDeep, subjectShape } from "./record-shape.ts";
import { same } from "./same.ts";

/** Version of the record's format; a program refuses a newer one. */
export const recordFormat = 2;

/** How long things go on while the record cannot be pushed, in milliseconds. */
export const recordLimits = {
  /** Beyond this, no step marked never is started. */
  onceBehindMs: 60_000,
  /** Beyond this, no step is started. */
  allBehindMs: 300_000,
} as const;

export type ConditionType = "Ready" | "Reconciling" | "Stalled";

/** kstatus condition: https://github.com/kubernetes-sigs/cli-utils/tree/master/pkg/kstatus */
export interface Condition {
  readonly type: ConditionType;
  readonly status: "True" | "False" | "Unknown";
  readonly reason: string;
  readonly message: string;
  /** When status or reason last changed, ISO 8601 in UTC. */
  readonly at: string;
}

export interface Applied {
  readonly state: string;
  readonly at: string;
  /** Commit of `main` in force. */
  readonly desired: string;
}

/** A transition under way, or one that failed and may be tried again. */
export interface Attempt {
  readonly from: string;
  readonly to: string;
  readonly reason: "target" | "replay" | "auto" | "remedy" | "replace";
  /** 1 for the first try. */
  readonly number: number;
  readonly status: "running" | "failed";
  readonly startedAt: string;
  /** Digest of the transition's definition; a changed definition starts the count of attempts anew. */
  readonly definition: string;
  /** Keys of the steps that ended well in this attempt (and, for `repeat: never`, in earlier ones). */
  readonly done: readonly string[];
  /** Key of the step whose start is recorded and whose outcome is not. */
  readonly step: string | null;
  /** Keys of the steps that a person said to skip; they stay skipped in later tries of this attempt. */
  readonly skipped: readonly string[];
  readonly retryAt: string | null;
  readonly error: string | null;
}

/** What is known of a step marked `repeat: never` in this incarnation (S2). */
export interface Once {
  /** `free`: a person said `retry`; `skipped`: a person said `skip`. */
  readonly status: "started" | "done" | "failed" | "unknown" | "skipped" | "free";
  readonly at: string;
  /** Raised by each `retry`, so that the host's own claim of the step is a new one. */
  readonly round: number;
}

export interface Unsteady {
  readonly state: string;
  readonly count: number;
  readonly at: string;
  readonly error: string;
}

/** A repair of a machine: since when it has been wanted, and when it ran. */
export interface RemedyRecord {
  /** Since when its condition has held; null while it does not. */
  readonly since: string | null;
  /** Since when the condition has not held any more, while that is not yet long enough. */
  readonly over: string | null;
  /** When it ran, within its limit's time, oldest first. */
  readonly runs: readonly string[];
  /** Rungs of the ladder that were climbed since it began: 0 for the remedy itself. */
  readonly rung: number;
}

/** What a machine waits for when nothing of its own keeps it back. */
export interface Waiting {
  /** Such as `governor license-server`. */
  readonly for: string;
  readonly since: string;
  /** A person said to go on without. */
  readonly waived?: boolean;
}

/** What is known of a machine that is not simply at rest or on its way. Absent where there is nothing to know. */
export interface Upkeep {
  /** The target state that it was seen to have left: what brings it back is healing, not a change. */
  readonly fellFrom: string | null;
  /** A person said to bring it back there. */
  readonly agreed: boolean;
  readonly waiting: Waiting | null;
  /** Since when it waits at the barrier of a state, whatever else keeps it meanwhile. */
  readonly barrier: Waiting | null;
  /** The change that it has begun and not ended, as rollouts name it. */
  readonly begun: string | null;
  /** Automatic transitions in a stretch of time that flapping looks at. */
  readonly autos: { readonly since: string; readonly count: number } | null;
  /** When it was seen to have left its target, within the time that flapping looks at, oldest first. */
  readonly falls: readonly string[];
  readonly remedies: Readonly<Record<string, RemedyRecord>>;
}

export interface MachineRecord {
  readonly state: string;
  readonly since: string;
  /** Commit of `main` in force when the state was entered. */
  readonly desired: string;
  /** Raised by each transition; the host's marker carries it, so that a late report is told from a contradiction. */
  readonly revision: number;
  /** Loop-free list of what was applied in this incarnation, oldest first. */
  readonly applied: readonly Applied[];
  /** States still to be replayed after a rebuild, next first; empty when nothing is left. */
  readonly replay: readonly string[];
  readonly attempt: Attempt | null;
  readonly once: Readonly<Record<string, Once>>;
  /** A state that its check has ended, and how often in a row soon after it was entered. */
  readonly unsteady: Unsteady | null;
  /** The last state that the host claimed without a revision, so that a repeated claim is not taken for news. */
  readonly claim: string | null;
  /** Updates received since the state was entered. */
  readonly updates: number;
  /** Digests of the latest idempotency keys, oldest first. */
  readonly updateKeys: readonly string[];
  readonly conditions: readonly Condition[];
  readonly upkeep?: Upkeep;
}

/** What is known of a host that was lost. */
export interface LostRecord {
  /** When it was lost last: found silent for too long, or rebuilt. */
  readonly at: string;
  /** No word from it since. */
  readonly silent: boolean;
  /** When a recovery began; null while none is under way. */
  readonly recovering: string | null;
  /** When it was replaced last; null when it never was. */
  readonly replacedAt: string | null;
  /** When recoveries failed within the last day, oldest first. */
  readonly failed: readonly string[];
  /** Nothing is tried any more until a person says so. */
  readonly quarantined: boolean;
}

/** A hold that a person has put on some hosts. */
export interface FleetHold {
  readonly select: string;
  readonly reason: string;
  readonly by: string;
  readonly at: string;
  readonly until: string | null;
}

export interface Approval {
  readonly commit: string;
  readonly by: string;
  readonly at: string;
}

/** How far a change of targets has spread. */
export interface RolloutRecord {
  /** What is wanted, with a digest of the machine: another one pre-empts it. */
  readonly id: string;
  readonly commit: string;
  readonly since: string;
  /** 0 is the canary. */
  readonly wave: number;
  readonly phase: "running" | "soaking" | "halted" | "done";
  readonly phaseSince: string;
  /** Why it is halted; empty otherwise. */
  readonly message: string;
}

/** What concerns more than one host. */
export interface FleetRecord {
  readonly holds: readonly FleetHold[];
  /** Latest last. */
  readonly approvals: readonly Approval[];
  /** By scope: `GROUP/MACHINE=TARGET`, with `fleet` for hosts in no group with a rollout of its own. */
  readonly rollouts: Readonly<Record<string, RolloutRecord>>;
  /** How long transitions take, in milliseconds, smoothed, by `MACHINE/STATE` entered. */
  readonly durations: Readonly<Record<string, number>>;
  /** Set while too many hosts were lost; nothing is healed until a person releases it. */
  readonly braked: { readonly at: string; readonly message: string } | null;
  /** The last time that a person released the brake: losses before it are not counted. */
  readonly released: { readonly at: string; readonly by: string; readonly reason: string } | null;
}

export interface SubjectRecord {
  readonly kind: "host" | "group" | "fleet";
  readonly name: string;
  /** Null for groups, and for hosts that were never seen. */
  readonly incarnation: string | null;
  /** Earlier incarnations, latest last; their reports are refused. */
  readonly former: readonly string[];
  readonly sequence: number;
  readonly address: string | null;
  readonly machines: Readonly<Record<string, MachineRecord>>;
  /** Absent for a host that was never lost. */
  readonly lost?: LostRecord;
  /** When the host's file was removed; absent while it is there. */
  readonly removed?: string;
  /** Of the one record of the whole fleet. */
  readonly fleet?: FleetRecord;
}

/** Name of the record of the whole fleet: no host or group can have it. */
export const fleetName = "@fleet";

export const emptyFleet: FleetRecord = {
  holds: [],
  approvals: [],
  rollouts: {},
  durations: {},
  braked: null,
  released: null,
};

const emptyUpkeep: Upkeep = {
  fellFrom: null,
  agreed: false,
  waiting: null,
  barrier: null,
  begun: null,
  autos: null,
  falls: [],
  remedies: {},
};

export function upkeepOf({ upkeep }: Pick<MachineRecord, "upkeep">): Upkeep {
  return upkeep === undefined ? emptyUpkeep : { ...emptyUpkeep, ...upkeep };
}

/** States that are left to be replayed, the next one first. */
export function leftToReplay({ replay, state }: Pick<MachineRecord, "replay" | "state">): readonly string[] {
  return replay.length === 0 ? replay : replay.slice(replay.lastIndexOf(state) + 1);
}

/** The entry with a part of its upkeep replaced; the same value when that says nothing new. */
export function withUpkeep(entry: MachineRecord, change: Partial<Upkeep>): MachineRecord {
  const before = upkeepOf(entry);
  // Nearly always nothing is new, and every decision asks.
  if (!changes(before, change)) return entry;
  const after = { ...before, ...change };
  if (same(before, after)) return entry;
  const { upkeep: _before, ...rest } = entry;
  return same(after, emptyUpkeep) ? rest : { ...rest, upkeep: after };
}

function changes(before: Upkeep, change: Partial<Upkeep>): boolean {
  for (const key in change) if (before[key as keyof Upkeep] !== change[key as keyof Upkeep]) return true;
  return false;
}

/** Idempotency keys kept for each machine; a key older than these may count again. */
export const updateKeysMax = 500;
/** Former incarnations kept for each host. */
export const formerMax = 16;

export function emptyRecord(kind: SubjectRecord["kind"], name: string): SubjectRecord {
  return { kind, name, incarnation: null, former: [], sequence: 0, address: null, machines: {} };
}

/** A machine's record in state `state`, with nothing applied. */
export function freshMachine(state: string, at: string, desired: string): MachineRecord {
  return {
    state,
    since: at,
    desired,
    revision: 0,
    applied: [],
    replay: [],
    attempt: null,
    once: {},
    unsteady: null,
    claim: null,
    updates: 0,
    updateKeys: [],
    conditions: [],
  };
}

/** Canonical JSON with a final newline: the name, then keys in order, two spaces of indent, so that `git diff` reads well. */
export function encodeRecord(record: SubjectRecord): string {
  const { kind, name, fleet, ...rest } = record;
  const whole = fleet === undefined ? rest : { machines: rest.machines, ...fleet };
  return `${JSON.stringify({ [kind]: name, ...(sortKeys(whole) as object) }, null, 2)}\n`;
}

/** True for a text with the bytes that `encodeRecord` gives; one of an earlier version may lack keys. */
export function isCanonical(text: string): boolean {
  const value = JSON.parse(text) as Record<string, unknown>;
  const [kind = ""] = Object.keys(value);
  const { [kind]: name, ...rest } = value;
  const isNamed = ["host", "group", "fleet"].includes(kind);
  return isNamed && text === `${JSON.stringify({ [kind]: name, ...(sortKeys(rest) as object) }, null, 2)}\n`;
}

/** Reads what `encodeRecord` wrote. Throws a Failure for anything else: a record is never guessed at. */
export function decodeRecord(text: string, where: string): SubjectRecord {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw corrupt(where, "it is not JSON", cause);
  }
  if (typeof value !== "object" || value === null) throw corrupt(where, "it is not an object");
  if (isTooDeep(value)) throw corrupt(where, "it is nested too deeply");
  if ("fleet" in value) return decodeFleet(value, where);
  const { host, group, ...rest } = value as Record<string, unknown>;
  const name = host ?? group;
  if (typeof name !== "string" || (host !== undefined && group !== undefined))
    throw corrupt(where, "it names neither a host nor a group");
  const wrong = subjectShape({ ...rest, name });
  if (wrong !== null) throw corrupt(where, `${wrong} is missing, or not what it should be`);
  const kind = host === undefined ? "group" : "host";
  const {
    incarnation = null,
    former = [],
    sequence = 0,
    address = null,
    lost,
    removed,
  } = rest as Partial<SubjectRecord>;
  return {
    kind,
    name,
    incarnation,
    former,
    sequence,
    address,
    machines: whole(rest.machines as SubjectRecord["machines"]),
    ...(lost === undefined ? {} : { lost }),
    ...(removed === undefined ? {} : { removed }),
  };
}

function decodeFleet(value: Partial<FleetRecord> & { fleet?: unknown }, where: string): SubjectRecord {
  if (value.fleet !== fleetName) throw corrupt(where, "it is not the fleet's record");
  const wrong = fleetShape(value);
  if (wrong !== null) throw corrupt(where, `${wrong} is not what it should be`);
  const { holds, approvals, rollouts, durations, braked, released } = { ...emptyFleet, ...value };
  return fleetSubject({ holds, approvals, rollouts, durations, braked, released });
}

/** The record of the whole fleet as any other record is kept. */
export function fleetSubject(fleet: FleetRecord): SubjectRecord {
  return { ...emptyRecord("fleet", fleetName), fleet };
}

const machineKeys = Object.keys(freshMachine("", "", ""));

/** Machines with every key; what an earlier version has written lacks some. */
function whole(machines: SubjectRecord["machines"]): SubjectRecord["machines"] {
  const entries = Object.entries(machines);
  if (entries.every(([, entry]) => machineKeys.every((key) => key in entry))) return machines;
  return Object.fromEntries(
    entries.map(([machine, entry]) => [
      machine,
      { ...freshMachine(entry.state, entry.since, entry.desired), ...entry },
    ]),
  );
}

function corrupt(where: string, why: string, cause?: unknown): Failure {
  return new Failure("stalled", `the record ${where} cannot be read: ${why}`, {
    reason: "CorruptRecord",
    hint: "restore the file from an earlier commit of the branch observed",
    cause,
  });
}

/** Plain data with the keys of every object in order. Lists keep their order. */
export function sortKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortKeys);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, entry]) => [key, sortKeys(entry)]));
}
