// What one machine of one subject should do next: rest, go, wait, or be stalled, each with its reason.
import { findPath, findTransition, transitionsFrom } from "../model/graph.ts";
import type { GuardCompiler, GuardReads, GuardValues } from "../model/guard.ts";
import { explainNoPath } from "../model/machine.ts";
import { type Attempt, leftToReplay, type MachineRecord } from "../model/record.ts";
import type { Machine, Settings, Step, Transition } from "../model/types.ts";
import { backoffMs, definitionOf, sameWay } from "./transition.ts";

export type Next =
  | { readonly kind: "rest"; readonly reason: "InSync" | "NoTarget" | "DriftAdopted"; readonly message?: string }
  | { readonly kind: "go"; readonly transition: Transition; readonly reason: Attempt["reason"] }
  | { readonly kind: "wait"; readonly reason: string; readonly message: string; readonly at: number | null }
  | { readonly kind: "stalled"; readonly reason: string; readonly message: string }
  /** The outcome of a step that must not repeat is asked of the host. */
  | { readonly kind: "inquire"; readonly step: string };

export interface MachineWorld {
  readonly machine: Machine;
  readonly entry: MachineRecord;
  readonly target: string | null;
  readonly guards: GuardCompiler;
  /** Asked for only where a guard is evaluated: most transitions have none. */
  readonly values: () => GuardValues;
  readonly settings: Settings;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

export interface NextResult {
  readonly next: Next;
  /** The transition that `next` is about, or null. An attempt at another one is over. */
  readonly about: Transition | null;
  /** True while how a step ended is being found out: its attempt stays, whatever else is wanted. */
  readonly open: boolean;
  /** States on the way, the next one first, the target last; empty at rest. */
  readonly path: readonly string[];
  /** Everything that was read to come to a wait. */
  readonly reads: readonly GuardReads[];
}

/** The next move of a machine. */
export function nextOf(world: MachineWorld): NextResult {
  const reads: GuardReads[] = [];
  const { machine, entry, target } = world;
  const open = openAttempt(world);
  if (open) return { ...open, open: true, path: [], reads };
  const still = (next: Next, path: readonly string[] = []): NextResult => ({
    next,
    about: null,
    open: false,
    path,
    reads,
  });
  if (!machine.states.has(entry.state)) {
    const message = `the recorded state ${entry.state} is not a state of ${machine.name} any more`;
    const remedy = "bring the state back, or start over with: stateward replay";
    return still({ kind: "stalled", reason: "UnknownState", message: `${message}; ${remedy}` });
  }
  const replay = replayNext(world);
  if (replay)
    return replay.next.kind === "go" ? admit(world, replay.next, replay.path, reads) : still(replay.next, replay.path);
  const automatic = automaticNext(world, reads);
  if (automatic) return admit(world, automatic, [automatic.transition.to], reads);
  if (target === null || target === entry.state) {
    return still({ kind: "rest", reason: target === null ? "NoTarget" : "InSync" });
  }
  const path = findPath(machine, entry.state, target);
  const [first] = path ?? [];
  if (!path || !first) {
    return still({ kind: "stalled", reason: "NoPath", message: explainNoPath(machine, entry.state, target) });
  }
  const states = path.map(({ to }) => to);
  return admit(world, { kind: "go", transition: first, reason: "target" }, states, reads);
}

type Go = Extract<Next, { kind: "go" }>;

/** An attempt left open by a reconciler that is gone, if it keeps everything else from happening (S2). */
function openAttempt({ entry, machine }: MachineWorld): { next: Next; about: Transition | null } | null {
  const { attempt } = entry;
  const step = attempt?.step ?? null;
  if (step === null || attempt === null) return null;
  const once = entry.once[step];
  const about = findTransition(machine, attempt.from, attempt.to);
  if (attempt.status === "running" && once?.status === "started") return { next: { kind: "inquire", step }, about };
  if (once?.status !== "unknown") return null;
  const title = about?.steps.find(({ key }) => key === step)?.title ?? step;
  const message = `whether "${title}" ran is not known, and it must not run twice: look at the host, then stateward retry or stateward skip`;
  return { next: { kind: "stalled", reason: "OutcomeUnknown", message }, about };
}

/** The next transition of a replay, or null when there is nothing to replay. */
function replayNext({ machine, entry }: MachineWorld): { next: Next; path: readonly string[] } | null {
  const wanted = leftToReplay(entry);
  const goal = wanted.find((state) => machine.states.has(state));
  const last = wanted.at(-1);
  if (last === undefined) return null;
  if (!machine.states.has(last)) {
    const message = `the last known state ${last} is not a state of ${machine.name} any more: bring it back, or go on to the target with stateward skip`;
    return { next: { kind: "stalled", reason: "ReplayStateGone", message }, path: wanted };
  }
  const direct = findTransition(machine, entry.state, goal ?? last);
  const detour = direct ? [direct] : findPath(machine, entry.state, goal ?? last);
  const [first] = detour ?? [];
  if (!first)
    return {
      next: { kind: "stalled", reason: "ReplayNoPath", message: explainNoPath(machine, entry.state, goal ?? last) },
      path: wanted,
    };
  return {
    next: { kind: "go", transition: first, reason: "replay" },
    path: [...(detour ?? []).map(({ to }) => to), ...wanted.slice(1)],
  };
}

/** The first automatic transition from the current state whose guard holds. */
function automaticNext(world: MachineWorld, reads: GuardReads[]): Go | null {
  for (const transition of transitionsFrom(world.machine, world.entry.state)) {
    if (transition.auto && guardHolds(world, transition, reads).ok) return { kind: "go", transition, reason: "auto" };
  }
  return null;
}

/** Lets a transition begin only if its guard holds, its attempts are not used up, and nothing in it would run a second time. */
function admit(world: MachineWorld, go: Go, path: readonly string[], reads: GuardReads[]): NextResult {
  const { transition } = go;
  const result = (next: Next): NextResult => ({ next, about: transition, open: false, path, reads });
  const refusal = ranBefore(world, transition) ?? waitForRetry(world, transition) ?? doesNotHold(world, path);
  if (refusal) return result(refusal);
  const { attempt } = world.entry;
  const goingOn = attempt?.status === "running" && sameWay(attempt, transition);
  const guard = goingOn ? { ok: true, error: "" } : guardHolds(world, transition, reads);
  if (guard.ok) return result(go);
  const why = guard.error === "" ? "" : ` (cannot be evaluated: ${guard.error})`;
  const at = reads.some((read) => read.now) ? world.now + 1000 : null;
  const message = `${transition.to} waits for: ${transition.when ?? ""}${why}`;
  return result({ kind: "wait", reason: "GuardWaiting", message, at });
}

function guardHolds(world: MachineWorld, transition: Transition, reads: GuardReads[]): { ok: boolean; error: string } {
  if (transition.when === null) return { ok: true, error: "" };
  const compiled = world.guards.compile(transition.when);
  if ("error" in compiled) return { ok: false, error: compiled.error };
  reads.push(compiled.guard.reads);
  const result = compiled.guard.evaluate(world.values());
  return result.ok ? { ok: result.value === true, error: "" } : { ok: false, error: plainly(result.error) };
}

/** A missing key is a fact that is not known, such as the state of a host that is on its way. */
function plainly(error: string): string {
  return error.replace(/^No such key: (.*)$/, "$1 is not known now");
}

function waitForRetry({ entry, settings, now }: MachineWorld, transition: Transition): Next | null {
  const { attempt } = entry;
  if (attempt?.status !== "failed" || !sameWay(attempt, transition) || attempt.definition !== definitionOf(transition))
    return null;
  const error = attempt.error ?? "it failed";
  if (attempt.number >= settings.attempts.limit) {
    const message = `${transition.to} failed ${attempt.number} times: ${error}; mend the cause, then stateward retry`;
    return { kind: "stalled", reason: "AttemptsExhausted", message };
  }
  const at = Date.parse(attempt.retryAt ?? "");
  // Nobody waits for longer than that: a later time was written before the clock was set back.
  if (at <= now || at - now > 2 * settings.attempts.backoffMaxMs) return null;
  return {
    kind: "wait",
    reason: "Backoff",
    message:
      attempt.number === 0
        ? `${transition.to} is tried again soon: ${error}`
        : `${transition.to} failed (try ${attempt.number} of ${settings.attempts.limit}): ${error}`,
    at,
  };
}

/** A state that its check ended soon after it was entered, more than once in a row, is entered again later, and not for ever. */
function doesNotHold({ entry, settings, now }: MachineWorld, path: readonly string[]): Next | null {
  const { unsteady } = entry;
  if (unsteady === null || unsteady.count < 2 || !path.includes(unsteady.state)) return null;
  const { state, count, error } = unsteady;
  if (count >= settings.attempts.limit) {
    const message = `${state} did not hold ${count} times in a row: ${error}; mend the cause, then stateward retry`;
    return { kind: "stalled", reason: "DoesNotHold", message };
  }
  const at = Date.parse(unsteady.at) + backoffMs(count - 1, settings.attempts, `${state}${unsteady.at}`);
  return at <= now ? null : { kind: "wait", reason: "Backoff", message: `${state} did not hold: ${error}`, at };
}

/** S2: a step that must not repeat and ran before, in an earlier transition or without success, needs a person's word. */
function ranBefore({ entry }: MachineWorld, transition: Transition): Next | null {
  for (const step of transition.steps) {
    const reason = blockedBy(entry, transition, step);
    if (reason !== null) {
      const message = `"${step.title}" ${reason}, and it must not run again by itself: stateward retry runs it, stateward skip goes on without it`;
      return { kind: "stalled", reason: "RepeatNever", message };
    }
  }
  return null;
}

/** What a try said of its step, without the title, which stands before it already. */
function failureText(error: string | null, { title }: Step): string {
  if (error === null) return "";
  return ` (${error.startsWith(`${title}: `) ? error.slice(title.length + 2) : error})`;
}

function blockedBy(entry: MachineRecord, transition: Transition, step: Step): string | null {
  const once = entry.once[step.key];
  if (step.repeat !== "never" || once === undefined) return null;
  const inThisAttempt = sameWay(entry.attempt, transition) && entry.attempt?.done.includes(step.key) === true;
  switch (once.status) {
    case "free":
    case "skipped":
      return null;
    case "done":
      return inThisAttempt ? null : `ran at ${once.at}`;
    case "failed":
      return `failed at ${once.at}${failureText(entry.attempt?.error ?? null, step)}`;
    case "started":
    case "unknown":
      return `was started at ${once.at}, and its outcome is not known`;
  }
}
