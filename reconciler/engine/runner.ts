// Carries one transition out: a step's start is recorded, it runs, its outcome is recorded, then the next one (S1).
import { digest } from "../model/digest.ts";
import { messageOf } from "../model/failure.ts";
import type { GuardCompiler, GuardValues } from "../model/guard.ts";
import type { HostActor, Inquiry, Outcome, RecordWriter } from "../model/ports.ts";
import type { Attempt, MachineRecord } from "../model/record.ts";
import { renderAction, runsOnHost } from "../model/template.ts";
import type { Host, Machine, Repository, Step, Transition } from "../model/types.ts";
import { withAutomatic } from "../plan/drift.ts";
import { attemptSetBack, entered, setOnce, stepDone, stepFailed, stepStarted } from "../plan/transition.ts";
import { type AnySubject, leavesMarker } from "../plan/world.ts";

/** What a run needs of the engine. Every edit is on the disk when its promise resolves. */
export interface RunContext {
  readonly now: () => number;
  readonly actor: HostActor;
  readonly flush: RecordWriter["flush"];
  readonly guards: GuardCompiler;
  readonly settings: Repository["settings"];
  readonly commit: string;
  /** The life of the host that this run belongs to: a rebuilt host refuses its steps. */
  readonly incarnation: string | null;
  /** The machine's record as it is now. */
  readonly entry: () => MachineRecord;
  readonly edit: (change: (entry: MachineRecord) => MachineRecord, summary?: string) => Promise<void>;
  readonly values: () => GuardValues;
  /** False when the next step must not start: the engine stops, or the host is held (S4). */
  readonly mayGoOn: () => boolean;
  readonly stepFailed: (step: string, message: string) => void;
}

export interface RunOrder {
  readonly subject: AnySubject;
  readonly machine: Machine;
  readonly transition: Transition;
  readonly reason: Attempt["reason"];
  /** Name of the repair, where it is one. */
  readonly repair?: string;
}

/** How a run ended. `paused` and `failed` leave the attempt in the record; what follows is decided anew. */
export type RunEnd = "entered" | "repaired" | "paused" | "failed";

/** Runs the steps that are still to be run, leaves the marker, and records the new state. */
export async function runTransition(context: RunContext, order: RunOrder): Promise<RunEnd> {
  for (const step of order.transition.steps) {
    const entry = context.entry();
    if (entry.attempt?.done.includes(step.key)) continue;
    if (step.repeat === "never" && entry.once[step.key]?.status === "skipped") {
      await context.edit((now) => stepDone(now, step.key, context.now()));
      continue;
    }
    if (!context.mayGoOn()) return "paused";
    const went = await runStep(context, order, step);
    if (!went) return "failed";
  }
  if (!context.mayGoOn()) return "paused";
  return finish(context, order);
}

async function runStep(context: RunContext, order: RunOrder, step: Step): Promise<boolean> {
  const { guards, settings } = context;
  const rendered = renderAction(step.action, guards, context.values());
  // What cannot be started leaves no trace of a step marked never: it did not run.
  if (!rendered.ok) return fail(context, step, rendered.error);
  if (order.subject.kind !== "host") return fail(context, step, "a group has no host to run steps on");
  await context.edit((entry) => stepStarted(entry, step, context.now()));
  if (step.repeat === "never" && !(await pushed(context, step))) return false;
  // The push may have taken a while, and a person may have held the host meanwhile (S4): then the step has not begun.
  if (step.repeat === "never" && !context.mayGoOn()) {
    await context.edit((entry) => notStarted(entry, [step.key, "nothing may be started on the host now"], context));
    return false;
  }
  const outcome = await context.actor.run({
    host: order.subject,
    machine: order.machine.name,
    step,
    action: rendered.value,
    incarnation: step.on === "controller" ? null : context.incarnation,
    // Elsewhere there is no host that could keep it: the record alone says that the step has begun.
    claim: isClaimed(step) ? claimOf(order.machine.name, step.key, context.entry()) : null,
  });
  if (outcome.kind === "ok") {
    await context.edit((entry) => stepDone(entry, step.key, context.now()));
    return true;
  }
  const said = outcome.output.trim().split("\n").at(-1)?.slice(0, 200) ?? "";
  const what = said === "" ? outcome.message : `${outcome.message}: ${said}`;
  context.stepFailed(step.title, what);
  const change = (entry: MachineRecord): MachineRecord =>
    afterBadEnd(entry, step, outcome, { settings, now: context.now() });
  await context.edit(change, failedLine(context, order, `${step.title}: ${what}`));
  return false;
}

/** The line of the commit message about a try that failed: who reads the history wants to know of those as well. */
function failedLine(context: RunContext, { subject, machine, transition }: RunOrder, what: string): string {
  const number = context.entry().attempt?.number ?? 1;
  const text = `${subject.name}: ${transition.from} -> ${transition.to} failed (${machine.name}, try ${number}): ${what}`;
  return text.replaceAll(/\s+/g, " ").slice(0, 300);
}

type BadOutcome = Exclude<Outcome, { kind: "ok" }>;

function afterBadEnd(
  entry: MachineRecord,
  step: Step,
  outcome: BadOutcome,
  context: { settings: Repository["settings"]; now: number },
): MachineRecord {
  // Whether a step that must not repeat ran is asked of the host when it can be reached again: the attempt stays open.
  if (step.repeat === "never" && (outcome.kind === "unreachable" || outcome.kind === "claimed")) return entry;
  if (outcome.kind === "unreachable")
    return attemptSetBack(entry, outcome.message, context.settings.attempts, context.now);
  const output = outcome.output === "" ? "" : `: ${outcome.output.trim().slice(-500)}`;
  return stepFailed(entry, `${step.title}: ${outcome.message}${output}`, context.settings.attempts, context.now);
}

/** A step that could not even be started: that counts as a failed try, and says nothing of a step marked never. */
async function fail(context: RunContext, step: Step, message: string): Promise<boolean> {
  context.stepFailed(step.title, message);
  await context.edit((entry) => {
    const named = { ...entry, attempt: entry.attempt && { ...entry.attempt, step: step.key } };
    const failed = stepFailed(named, `${step.title}: ${message}`, context.settings.attempts, context.now());
    return { ...failed, once: entry.once };
  });
  return false;
}

/** S2 and the fence: the start of a step that must not repeat is on the remote before it runs; without that it does not run. */
async function pushed(context: RunContext, step: Step): Promise<boolean> {
  try {
    await context.flush();
    return true;
  } catch (error) {
    const message = `its start could not be pushed: ${messageOf(error)}`;
    context.stepFailed(step.title, message);
    await context.edit((entry) => notStarted(entry, [step.key, message], context));
    return false;
  }
}

function notStarted(entry: MachineRecord, [key, message]: [string, string], context: RunContext): MachineRecord {
  const back = attemptSetBack(entry, message, context.settings.attempts, context.now());
  return { ...back, once: setOnce(back, key, "free", context.now()) };
}

const isClaimed = (step: Step): boolean => step.repeat === "never" && runsOnHost(step);

/** Name of the claim that a step marked never leaves on its host. A `retry` raises the round, and with it the name. */
export function claimOf(machine: string, key: string, entry: MachineRecord): string {
  // The digest keeps apart keys that differ only in characters that a file's name cannot have.
  const name = `${key.replaceAll(/[^A-Za-z0-9._-]/g, "_")}-${digest(key)}`;
  return `${machine}.${name}.${entry.once[key]?.round ?? 0}`;
}

/** The record after the host has said how a step ended whose reconciler went away (S2). */
export function afterInquiry(
  entry: MachineRecord,
  [key, title]: readonly [string, string],
  inquiry: Exclude<Inquiry, { kind: "running" }>,
  context: { settings: Repository["settings"]["attempts"]; now: number },
): MachineRecord {
  switch (inquiry.kind) {
    case "ended":
      if (inquiry.exit === 0) return stepDone(entry, key, context.now);
      return stepFailed(entry, `${title}: exit ${inquiry.exit}`, context.settings, context.now);
    case "absent":
      return {
        ...entry,
        attempt: entry.attempt && { ...entry.attempt, step: null },
        once: setOnce(entry, key, "free", context.now),
      };
    case "unknown":
      return { ...entry, once: setOnce(entry, key, "unknown", context.now) };
  }
}

async function finish(context: RunContext, order: RunOrder): Promise<RunEnd> {
  const { subject, machine, transition, reason } = order;
  if (reason === "remedy" || reason === "replace") {
    const text = reason === "replace" ? "is replaced, and has still to answer" : `${order.repair ?? reason} ran`;
    await context.edit((entry) => ({ ...entry, attempt: null }), `${subject.name}: ${text} (${machine.name})`);
    return "repaired";
  }
  if (leavesMarker(subject)) {
    const marked = await markHost(context, subject, [machine.name, transition.to]);
    if (marked.kind !== "ok") {
      context.stepFailed("marker", marked.message);
      const settings = context.settings.attempts;
      const error = `the marker could not be left: ${marked.message}`;
      await context.edit((entry) =>
        marked.kind === "unreachable"
          ? attemptSetBack(entry, error, settings, context.now())
          : stepFailed(entry, error, settings, context.now()),
      );
      return "failed";
    }
  }
  const why = reason === "target" ? "" : `, ${reason}`;
  const summary = `${subject.name}: ${transition.from} -> ${transition.to} (${machine.name}${why})`;
  await context.edit((entry) => {
    const now = context.now();
    const isCounted = reason === "auto" && subject.kind === "host";
    // The marker has taken the place of whatever was claimed there.
    const left = leavesMarker(subject) ? { ...entry, claim: null } : entry;
    const before = isCounted ? withAutomatic(left, context.settings.flapping, now) : left;
    return entered(before, transition.to, machine.initial, { now, commit: context.commit });
  }, summary);
  return "entered";
}

function markHost(context: RunContext, host: Host, [machine, state]: [string, string]): Promise<Outcome> {
  const { actor, incarnation } = context;
  return actor.mark({ host, incarnation, machine, claim: { state, revision: context.entry().revision + 1 } });
}
