// What people, agents and programs may ask of a record, as pure functions: the new record, or a Failure that says why not.
import { digest } from "../model/digest.ts";
import { Failure } from "../model/failure.ts";
import { transitionsFrom } from "../model/graph.ts";
import type { GuardCompiler } from "../model/guard.ts";
import type { AgentReport } from "../model/ports.ts";
import {
  type Attempt,
  type MachineRecord,
  type Once,
  type SubjectRecord,
  updateKeysMax,
  upkeepOf,
  withUpkeep,
} from "../model/record.ts";
import type { Machine } from "../model/types.ts";
import { withoutRemedies } from "../plan/remedies.ts";

/** R3: refuses a report of an earlier life of the host, and one that is not newer than the last. */
export function admitReport(record: SubjectRecord | undefined, sequence: number, report: AgentReport): void {
  if (record?.former.includes(report.incarnation)) {
    throw new Failure("invalid", `incarnation ${report.incarnation} of ${record.name} is over`, {
      reason: "OldIncarnation",
      hint: "two machines share this host's name or token, or an old disk came back: look at the host",
    });
  }
  if (record?.incarnation === report.incarnation && report.sequence <= sequence) {
    throw new Failure("invalid", `sequence ${report.sequence} is not above ${sequence}, the last one seen`, {
      reason: "StaleSequence",
      hint: "send reports in order, each with a higher sequence",
    });
  }
}

/** One update of a state through `PUT /state`: what the record becomes, or null when this key was counted before. */
export function countUpdate(
  subject: { readonly record: SubjectRecord; readonly machines: readonly Machine[]; readonly guards: GuardCompiler },
  state: string,
  key: string | null,
): SubjectRecord | null {
  const { record, machines, guards } = subject;
  const print = key === null ? null : digest([state, key]);
  const carried = machines.filter(({ name }) => record.machines[name] !== undefined);
  if (print !== null && carried.some(({ name }) => record.machines[name]?.updateKeys.includes(print))) return null;
  const current = carried.filter(({ name }) => record.machines[name]?.state === state);
  if (current.length === 0) throw notAcceptable(`${record.name} is not in the state ${state}`);
  const machine = current.find((candidate) => countsUpdates(candidate, state, guards));
  const entry = machine && record.machines[machine.name];
  if (!machine || !entry) throw notAcceptable(`${state} does not move on updates: it is final, or moves by itself`);
  const updateKeys = print === null ? entry.updateKeys : [...entry.updateKeys, print].slice(-updateKeysMax);
  const next: MachineRecord = { ...entry, updates: entry.updates + 1, updateKeys };
  return { ...record, machines: { ...record.machines, [machine.name]: next } };
}

function notAcceptable(message: string): Failure {
  return new Failure("waiting", message, {
    reason: "NotCurrent",
    hint: "ask again later, or ask GET /state for the state you are in",
  });
}

function countsUpdates(machine: Machine, state: string, guards: GuardCompiler): boolean {
  return transitionsFrom(machine, state).some(({ when }) => {
    const compiled = when === null ? null : guards.compile(when);
    return compiled !== null && "guard" in compiled && compiled.guard.reads.updates;
  });
}

/** A word on what is stalled for a reason that is no step's: null for those. */
function ownVerdict(
  entry: MachineRecord,
  reason: string,
  { word, at }: Pick<Verdict, "word" | "at">,
): MachineRecord | null {
  const { barrier } = upkeepOf(entry);
  switch (reason) {
    case "BarrierAsks":
    case "BarrierFailed":
      if (barrier === null) return null;
      // Going on without the others, or waiting for them anew.
      return withUpkeep(entry, {
        barrier: word === "skip" ? { ...barrier, waived: true } : { for: barrier.for, since: at },
      });
    case "DriftAlert":
      return word === "retry" ? withUpkeep(entry, { agreed: true }) : null;
    case "RemediesExhausted":
      return withoutRemedies(entry);
    default:
      return null;
  }
}

/** A try that ended before its next step began says of no step that it is to be left out: going on would run it. */
function nothingToSkip({ error }: Attempt): Failure {
  return new Failure("invalid", `no step has begun there that could be skipped: ${error ?? "it is tried again"}`, {
    reason: "NothingToSkip",
    hint: "it is tried again by itself, and at once after retry; hold keeps it from that",
  });
}

export interface Verdict {
  readonly word: "retry" | "skip";
  /** Keys of the steps that the word is about: those of the transition that is stalled. */
  readonly steps: ReadonlySet<string>;
  readonly at: string;
}

/**
 * A person's word on a stalled machine. `retry` runs again what failed or must not repeat; `skip` goes on without it.
 * Throws a Failure when there is nothing that the word could free.
 */
export function applyVerdict(entry: MachineRecord, { word, steps, at }: Verdict): MachineRecord {
  const stalled = entry.conditions.find(({ type }) => type === "Stalled");
  const backoff = entry.conditions.find(({ reason }) => reason === "Backoff");
  if (!stalled && !backoff) {
    throw new Failure("invalid", "nothing is stalled there", {
      reason: "NothingStalled",
      hint: "stateward status shows what each host waits for",
    });
  }
  const own = stalled === undefined ? null : ownVerdict(entry, stalled.reason, { word, at });
  if (own !== null) return own;
  if (word === "skip" && (stalled?.reason === "ReplayStateGone" || stalled?.reason === "ReplayNoPath"))
    return { ...entry, replay: [] };
  const blocks = (key: string, { status }: Once): boolean =>
    steps.has(key) &&
    status !== "skipped" &&
    status !== "free" &&
    !(status === "done" && entry.attempt?.done.includes(key));
  const { attempt } = entry;
  const isBefore = !stalled && attempt?.step === null && !Object.entries(entry.once).some((known) => blocks(...known));
  if (word === "skip" && isBefore) throw nothingToSkip(attempt);
  const once = Object.entries(entry.once).map(([key, known]) => {
    if (!blocks(key, known)) return [key, known];
    return [
      key,
      word === "retry" ? { status: "free", at, round: known.round + 1 } : { ...known, status: "skipped", at },
    ];
  });
  const freed = withUpkeep({ ...entry, once: Object.fromEntries(once), unsteady: null }, { falls: [], autos: null });
  if (attempt === null) return freed;
  // A skipped step counts as done, and the attempt goes on behind it; a retry begins again, with all its tries before it.
  if (word === "skip" && attempt.step !== null) {
    return {
      ...freed,
      attempt: {
        ...attempt,
        done: [...attempt.done, attempt.step],
        skipped: [...attempt.skipped, attempt.step],
        step: null,
        number: 1,
        status: "running",
      },
    };
  }
  return { ...freed, attempt: { ...attempt, step: null, number: 0, status: "failed", retryAt: at } };
}
