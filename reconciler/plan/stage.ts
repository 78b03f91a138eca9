// Where a host is in the rollout of a change. Whoever has begun keeps its place until it has arrived and said so: a change that silences
// hosts, or has them rebuilt, must not spread because they are silent.
import { digest } from "../model/digest.ts";
import { findPath } from "../model/graph.ts";
import { leftToReplay, type MachineRecord, type SubjectRecord, upkeepOf } from "../model/record.ts";
import type { HostReport } from "../model/report.ts";
import type { Host, Machine } from "../model/types.ts";
import { holdOn } from "./holds.ts";
import { definitionOf, sameWay } from "./transition.ts";
import { skewMs, type World } from "./world.ts";

/**
 * `active`: begun and on its way. `done`: arrived, and heard since. `parked`: nothing can be started on it now, because it is held, not
 * heard, waits for others, or is stalled for a reason of its own. Hosts that the rollout does not move have no stage.
 */
export type Stage = "pending" | "active" | "done" | "failed" | "parked";

export interface StageInput {
  readonly machine: Machine;
  readonly entry: MachineRecord | undefined;
  readonly target: string;
  readonly record: SubjectRecord;
  /** The host's report, where it can be relied on now. */
  readonly report: HostReport | null;
  readonly flying: boolean;
  /** As `wantOf` gives it. */
  readonly want: string;
  /** When the rollout began, ISO 8601; null when none is recorded. */
  readonly since: string | null;
}

export function stageOf(world: World, host: Host, input: StageInput): Stage | null {
  const { entry, target, record, report, since } = input;
  if (entry === undefined) return "parked";
  const { attempt, state } = entry;
  const isReplaying = leftToReplay(entry).length > 0;
  if (state === target && attempt === null && !isReplaying) return arrived(world, entry, input);
  if (isReplaying) return replaying(world, entry, input);
  const upkeep = upkeepOf(entry);
  const fellNow = since !== null && upkeep.falls.some((at) => at >= since);
  if (upkeep.fellFrom === target || isRepair(attempt)) return fellNow ? "failed" : null;
  const hasBegun = beganIn(entry, input);
  if (attempt?.status === "running" || (input.flying && attempt !== null)) return hasBegun ? begun(record) : "active";
  if (isSpent(world, entry) && isOwnFailure(entry, input)) return "failed";
  if (entry.conditions.some(({ type }) => type === "Stalled"))
    return hasBegun || isOwnFailure(entry, input) ? "failed" : "parked";
  // What had failed when the host fell silent has not come through since.
  if (hasBegun && report === null && attempt !== null) return "failed";
  if (hasBegun) return waitsForOthers(world, entry, input) ? "parked" : begun(record);
  const isFree = report !== null && record.lost?.quarantined !== true && holdOn(world, host) === null;
  return isFree && !isWaiting(entry) ? "pending" : "parked";
}

/** A host in its target is done when it was heard there: silence, or another life of it, says that the change took it down. */
function arrived({ now }: World, entry: MachineRecord, { record, report, since }: StageInput): Stage | null {
  if (!hasMovedSince(entry, since)) return null;
  const at = Date.parse(entry.since);
  // What arrived in the future, by a clock that was wrong, would not be heard of before that time has come.
  const from = at > now + skewMs ? now - skewMs : at;
  return report !== null && report.at >= from ? "done" : begun(record);
}

/** Rebuilt while the rollout runs, and not back yet: that may be what the change does. */
function replaying(world: World, entry: MachineRecord, input: StageInput): Stage | null {
  const { record, since } = input;
  const isNew = since !== null && record.lost !== undefined && record.lost.at >= since;
  if (!isNew && !beganIn(entry, input)) return null;
  return waitsForOthers(world, entry, input) ? "parked" : begun(record);
}

/** A host that has begun holds its place; once it is lost, it has failed. */
function begun({ lost }: SubjectRecord): Stage {
  return lost?.silent === true || lost?.quarantined === true ? "failed" : "active";
}

/** Whether a machine has begun this very change. */
function beganIn(entry: MachineRecord, { want }: StageInput): boolean {
  return upkeepOf(entry).begun === want;
}

/** Whether a machine has entered a state since a time. One that was only seen for the first time since then has not. */
function hasMovedSince({ since: at, revision }: MachineRecord, since: string | null): boolean {
  return since !== null && revision > 0 && at >= since;
}

function isRepair(attempt: MachineRecord["attempt"]): boolean {
  return attempt?.status === "running" && ["remedy", "replace", "replay"].includes(attempt.reason);
}

/** All tries were used, also where that was not yet looked at. */
function isSpent({ desired }: World, { attempt }: MachineRecord): boolean {
  const { limit } = desired.loaded.repository.settings.attempts;
  return attempt?.status === "failed" && attempt.number >= limit;
}

/** A failure on this very way, which a commit that changed something else has not mended. */
function isOwnFailure({ attempt, state }: MachineRecord, { machine, target }: StageInput): boolean {
  if (attempt === null || attempt.reason !== "target") return false;
  const next = findPath(machine, state, target)?.[0];
  return next !== undefined && sameWay(attempt, next) && attempt.definition === definitionOf(next);
}

/** Waiting at a guard or a barrier, whatever that asks for. */
function isWaiting({ conditions }: MachineRecord): boolean {
  const reason = conditions.find(({ type }) => type === "Ready")?.reason;
  return reason === "GuardWaiting" || reason === "BarrierWaiting";
}

/** A host that waits for others holds no place that those others may need. One that waits for its own facts may have been broken. */
function waitsForOthers(world: World, entry: MachineRecord, { machine, target }: StageInput): boolean {
  if (!isWaiting(entry)) return false;
  const goal = leftToReplay(entry)[0] ?? target;
  const next = machine.states.has(goal) ? findPath(machine, entry.state, goal)?.[0] : undefined;
  if (next === undefined) return false;
  if (machine.states.get(next.to)?.barrier != null) return true;
  const compiled = next.when === null ? null : world.desired.loaded.guards.compile(next.when);
  return (
    compiled !== null && "guard" in compiled && (compiled.guard.reads.groups.size > 0 || compiled.guard.reads.hosts)
  );
}

const wants = new WeakMap<Machine, Map<string, string>>();

/** What is wanted of a machine, with the digest of what it does: a change of a description changes nothing. */
export function wantOf(machine: Machine, target: string): string {
  let byTarget = wants.get(machine);
  if (byTarget === undefined) wants.set(machine, (byTarget = new Map()));
  const known = byTarget.get(target);
  if (known !== undefined) return known;
  const print = digest({
    transitions: machine.transitions,
    states: [...machine.states.values()].map((state) => ({ ...state, description: "" })),
  });
  const made = `${machine.name}=${target}@${print}`;
  byTarget.set(target, made);
  return made;
}
