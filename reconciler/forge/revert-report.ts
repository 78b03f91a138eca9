// What is said for the pull request that takes back a commit whose rollout was halted: which hosts failed, why, and how far it went.
import type { FleetView, RolloutView, SubjectView } from "../model/ports.ts";
import type { Block } from "./block.ts";
import { code, fenced } from "./escape.ts";

/** A host that failed in a rollout. */
export interface FailedHost {
  readonly name: string;
  readonly machine: string;
  readonly state: string;
  readonly target: string | null;
  readonly reason: string;
  /** What was said last, with its output. */
  readonly message: string;
}

export interface HaltEvidence {
  /** Full id of the commit. */
  readonly commit: string;
  /** Rollouts of it that are halted. */
  readonly rollouts: readonly RolloutView[];
  readonly failed: readonly FailedHost[];
}

/** Halted commits with their evidence, in the order of their rollouts. */
export function haltedIn({ rollouts }: Pick<FleetView, "rollouts">, subjects: readonly SubjectView[]): HaltEvidence[] {
  const halted = rollouts.filter(({ phase }) => phase === "halted");
  return [...new Set(halted.map(({ commit }) => commit))].map((commit) => {
    const of = halted.filter((rollout) => rollout.commit === commit);
    const machines = new Set(of.map(({ scope }) => machineOf(scope)));
    return { commit, rollouts: of, failed: subjects.flatMap((subject) => failuresOf(subject, machines)) };
  });
}

/** A scope is `GROUP/MACHINE=TARGET`. */
function machineOf(scope: string): string {
  return scope.slice(scope.indexOf("/") + 1).split("=", 1)[0] ?? "";
}

function failuresOf({ name, machines }: SubjectView, of: ReadonlySet<string>): FailedHost[] {
  return machines.flatMap(({ machine, state, target, attempt, conditions }) => {
    if (!of.has(machine) || state === target) return [];
    const stalled = conditions.find(({ type, status }) => type === "Stalled" && status === "True");
    if (stalled === undefined && attempt?.status !== "failed") return [];
    const reason = stalled?.reason ?? "StepFailed";
    return [{ name, machine, state, target, reason, message: attempt?.error ?? stalled?.message ?? "" }];
  });
}

const hostsShown = 20;
const rolloutsShown = 20;
const outputCharsMax = 1500;

/** Blocks of Markdown; what hosts said stands in code, cut at the front, because the end says how it ended. */
export function haltReport({ rollouts, failed }: HaltEvidence): Block[] {
  const hosts = failed.slice(0, hostsShown).map((host) => ({ about: "host that failed", text: hostText(host) }));
  const none = "No host is failed any more: look at the record of the branch `observed`.";
  return [
    { about: "heading", text: "### The rollout was halted" },
    { about: "list of rollouts", text: rolloutLines(rollouts).join("\n") },
    { about: "heading", text: "### Hosts that failed" },
    ...(failed.length === 0 ? [{ about: "note", text: none }] : hosts),
    ...(failed.length > hostsShown ? [{ about: "note", text: `and ${failed.length - hostsShown} more hosts` }] : []),
  ];
}

function rolloutLines(rollouts: readonly RolloutView[]): string[] {
  const lines = rollouts.slice(0, rolloutsShown).map(({ scope, wave, waves, hosts, message }) => {
    const { done, active, pending, failed: broken } = hosts;
    const after = Math.max(waves.length - 1, 0);
    const where =
      wave === 0 ? `in its canary, the first of ${after + 1} waves` : `in wave ${wave} of ${after} after its canary`;
    return `- ${code(scope)}: ${where}; ${done} hosts done, ${active} begun, ${broken} failed, ${pending} not begun. ${code(message)}`;
  });
  const more = rollouts.length - rolloutsShown;
  return more > 0 ? [...lines, `- and ${more} more`] : lines;
}

function hostText({ name, machine, state, target, reason, message }: FailedHost): string {
  const way = `${code(machine)} in ${code(state)}, target ${target === null ? "none" : code(target)}`;
  // Half of a surrogate pair is no character.
  const end = message.slice(-outputCharsMax).replace(/^[\udc00-\udfff]/, "");
  const said = message.length > outputCharsMax ? `...${end}` : message;
  return `**${code(name)}**: ${way}: ${code(reason)}\n\n${fenced("text", said)}`;
}
