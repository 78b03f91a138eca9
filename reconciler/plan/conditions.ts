// Conditions of a machine in the manner of kstatus: Ready always, Reconciling and Stalled only while they are true.
import { isoTime } from "../model/duration.ts";
import type { Condition, MachineRecord } from "../model/record.ts";
import type { Next } from "./next.ts";

type Plain = Omit<Condition, "at">;

/** What a move says about the machine's conditions. */
export function conditionsFor(next: Next): Plain[] {
  switch (next.kind) {
    case "rest":
      return [{ type: "Ready", status: "True", reason: next.reason, message: next.message ?? "" }];
    case "go": {
      const message = `${next.transition.from} -> ${next.transition.to}`;
      return [
        notReady("Progressing", message),
        { type: "Reconciling", status: "True", reason: "Progressing", message },
      ];
    }
    case "inquire":
      return [
        notReady("Progressing", "asking the host how a step ended"),
        { type: "Reconciling", status: "True", reason: "Progressing", message: "" },
      ];
    case "wait":
      return [
        notReady(next.reason, next.message),
        { type: "Reconciling", status: "True", reason: next.reason, message: next.message },
      ];
    case "stalled":
      return [
        notReady(next.reason, next.message),
        { type: "Stalled", status: "True", reason: next.reason, message: next.message },
      ];
  }
}

/** A host that cannot be heard is neither ready nor not ready. */
export function unknownConditions(reason: string, message: string): Plain[] {
  return [{ type: "Ready", status: "Unknown", reason, message }];
}

function notReady(reason: string, message: string): Plain {
  return { type: "Ready", status: "False", reason, message };
}

/** The entry with these conditions; the same value when they say nothing new, so that nothing is recorded (R2). */
export function withConditions(entry: MachineRecord, wanted: readonly Plain[], now: number): MachineRecord {
  const unchanged =
    wanted.length === entry.conditions.length &&
    wanted.every((condition, index) => {
      const before = entry.conditions[index];
      return before?.type === condition.type && saysTheSame(before, condition) && before.message === condition.message;
    });
  if (unchanged) return entry;
  const conditions = wanted.map((condition): Condition => {
    const before = entry.conditions.find(({ type }) => type === condition.type);
    return { ...condition, at: before && saysTheSame(before, condition) ? before.at : isoTime(now) };
  });
  return { ...entry, conditions };
}

/** Its time is that of the last change of status or reason. */
function saysTheSame(before: Condition, condition: Plain): boolean {
  return before.status === condition.status && before.reason === condition.reason;
}

export function readyOf(entry: Pick<MachineRecord, "conditions"> | undefined): Condition | null {
  return entry?.conditions.find(({ type }) => type === "Ready") ?? null;
}
