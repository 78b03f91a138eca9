// What is new: in a report against the one before it, and in a record for people.
import type { EngineEvent } from "../model/ports.ts";
import type { MachineRecord } from "../model/record.ts";
import type { CheckResult, HostReport } from "../model/report.ts";
import { same } from "../model/same.ts";
import { readyOf } from "../plan/conditions.ts";
import { failuresToLeave } from "../plan/observe.ts";
import { missedToLose } from "../plan/recovery.ts";

/**
 * A report with what the one before it of the same life knows better: a look runs checks and hears no facts, an agent's report has
 * facts and runs no checks. Failures of a check are counted in a row.
 */
export function merged(report: HostReport, before: HostReport | undefined): HostReport {
  if (!report.reachable) return unheard(report, before);
  const sameLife = before !== undefined && before.incarnation === report.incarnation ? before : null;
  if (report.sequence !== null) return { ...report, checks: sameLife?.checks ?? {} };
  const checks = Object.entries(report.checks).map(([machine, check]) => [
    machine,
    counted(check, before?.checks[machine]),
  ]);
  const facts = sameLife?.facts ?? report.facts;
  return { ...report, facts, sequence: sameLife?.sequence ?? null, checks: Object.fromEntries(checks) };
}

/** A look that did not reach the host, with what is known of the time before it. */
function unheard(report: HostReport, before: HostReport | undefined): HostReport {
  const heardAt = before?.reachable === true ? before.at : before?.heardAt;
  const missed = (before?.reachable === true ? 0 : (before?.missed ?? 0)) + 1;
  return { ...report, missed, ...(heardAt === undefined ? {} : { heardAt }) };
}

/** Failures in a row, this one included. */
function counted(check: CheckResult, before: CheckResult | undefined): CheckResult {
  if (check.ok) return check;
  const sameState = before !== undefined && !before.ok && before.state === check.state;
  return { ...check, failures: (sameState ? before.failures : 0) + 1 };
}

/** True when a report changes nothing that a decision reads; the number of failures counts only until it is enough. */
export function sameNews(before: HostReport, after: HostReport): boolean {
  return (
    before.reachable === after.reachable &&
    before.message === after.message &&
    Math.min(before.missed ?? 0, missedToLose) === Math.min(after.missed ?? 0, missedToLose) &&
    before.incarnation === after.incarnation &&
    same(before.states, after.states) &&
    same(before.facts, after.facts) &&
    (before.checks === after.checks || same(seen(before.checks), seen(after.checks)))
  );
}

/** What a decision reads of checks. */
function seen(checks: HostReport["checks"]): object {
  const entries = Object.entries(checks).map(([machine, { ok, failures, state }]): [string, object] => [
    machine,
    { ok, state, failures: Math.min(failures, failuresToLeave) },
  ]);
  return Object.fromEntries(entries);
}

/** What a changed record of a machine is to people: a state that was observed, a condition that keeps it from being ready. */
export function eventsOf(
  subject: string,
  machine: string,
  change: { old: MachineRecord | undefined; entry: MachineRecord; why: string },
): EngineEvent[] {
  const { old, entry, why } = change;
  const events: EngineEvent[] = [];
  if (old && old.state !== entry.state)
    events.push({ kind: "observed", subject, machine, from: old.state, to: entry.state, why });
  const ready = readyOf(entry);
  const before = old && readyOf(old);
  if (ready && before?.reason !== ready.reason && ready.reason !== "Progressing" && ready.status !== "True") {
    events.push({ kind: "condition", subject, machine, reason: ready.reason, message: ready.message });
  }
  return events;
}
