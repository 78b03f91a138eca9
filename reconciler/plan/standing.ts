// How one host stands, seen from the limits that it shares with others: whether it is up, acted upon, part of a rollout, holding a permit.
import { digest } from "../model/digest.ts";
import { emptyRecord, leftToReplay, type MachineRecord, type SubjectRecord, upkeepOf } from "../model/record.ts";
import type { Group, Host, Machine, Repository } from "../model/types.ts";
import { holdOn } from "./holds.ts";
import { currentReport, type World } from "./world.ts";

/**
 * Where a host is in a rollout. `active`: begun and on its way. `parked`: nothing can be started on it now, because it is held, not
 * heard or stalled for another reason. Hosts that the rollout does not move have no stage.
 */
export type Stage = "pending" | "active" | "done" | "failed" | "parked";

export interface Part {
  readonly scope: string;
  readonly stage: Stage;
  /** What is wanted, with the digest of the machine that leads there. */
  readonly want: string;
}

export interface Standing {
  /** Heard in the life that is recorded, at rest, and in available states. Unknown counts as unavailable (B4). */
  readonly available: boolean;
  readonly acted: boolean;
  /** Heard at least once since this reconciler began to listen. */
  readonly reported: boolean;
  readonly region: string;
  /** When the host was lost, milliseconds since the epoch; null when it is not. */
  readonly lostAt: number | null;
  /** When it was replaced last, likewise. */
  readonly replacedAt: number | null;
  readonly parts: readonly Part[];
  /** Permits of governors that it holds: until when, milliseconds since the epoch. */
  readonly permits: ReadonlyMap<string, number>;
  /** Gates at which its machines wait: the name of the gate, and the place in its line. */
  readonly waiting: readonly { readonly gate: string; readonly rank: string }[];
}

const noParts: readonly Part[] = [];
const noPermits: ReadonlyMap<string, number> = new Map();
const noWaiting: Standing["waiting"] = [];

export function standingOf(world: World, host: Host): Standing {
  const { repository } = world.desired.loaded;
  const record = world.records.get(host.name) ?? emptyRecord("host", host.name);
  const said = currentReport(world, host);
  const heard = "report" in said;
  const flying = world.inFlight.has(host.name);
  // A host that answers in another life is not where its record says, also before that is taken in.
  let available = heard && said.report.incarnation === record.incarnation && !flying;
  let acted = flying;
  let parts: Part[] | null = null;
  let permits: Map<string, number> | null = null;
  let waiting: { gate: string; rank: string }[] | null = null;
  for (const [name, target] of host.machines) {
    const machine = repository.machines.get(name);
    const entry = record.machines[name];
    if (machine === undefined) continue;
    if (entry?.attempt?.status === "running") {
      acted = true;
      permits = permitsOf(world, { machine, entry, permits });
    }
    if (hasAvailability(machine) && machine.states.get(entry?.state ?? "")?.available !== true) available = false;
    if (target !== null) {
      const found = partsOf(world, host, { machine, entry, target, record, heard, flying });
      if (found.length > 0) (parts ??= []).push(...found);
    }
    const wait = entry === undefined ? null : upkeepOf(entry).waiting;
    // Whoever is not heard could not use a place, and must not keep it from those behind. Its time of arrival stays recorded.
    if (wait !== null && wait.waived !== true && heard)
      (waiting ??= []).push({ gate: wait.for, rank: rankOf(world, host, wait.for, wait.since) });
  }
  return {
    available: available && !acted,
    acted,
    reported: heard || hasReported(world, host, record),
    region: host.region ?? "",
    lostAt: lostAtOf(record),
    replacedAt: replacedAtOf(record),
    parts: parts ?? noParts,
    permits: permits ?? noPermits,
    waiting: waiting ?? noWaiting,
  };
}

function replacedAtOf({ lost }: Pick<SubjectRecord, "lost">): number | null {
  return lost?.replacedAt == null ? null : Date.parse(lost.replacedAt);
}

/** Whether a host that is not heard now was since the start; another machine that answers to its name is not the host. */
function hasReported({ reports }: World, { name }: Host, { former }: SubjectRecord): boolean {
  const report = reports.get(name);
  if (report === undefined || (report.incarnation !== null && former.includes(report.incarnation))) return false;
  return report.reachable || report.heardAt !== undefined;
}

/** When a host was lost; null for one that was not. */
export function lostAtOf({ lost }: Pick<SubjectRecord, "lost">): number | null {
  return lost === undefined ? null : Date.parse(lost.at);
}

/** Whether a host is up: nothing runs on it, and each machine that has available states is in one. */
export function isUp(host: Host, record: SubjectRecord, machines: Repository["machines"]): boolean {
  return [...host.machines.keys()].every((name) => {
    const machine = machines.get(name);
    const state = record.machines[name]?.state ?? "";
    return machine === undefined || !hasAvailability(machine) || machine.states.get(state)?.available === true;
  });
}

const availability = new WeakMap<Machine, boolean>();

/** Whether any state of a machine counts as up: of the others, none is down either. */
function hasAvailability(machine: Machine): boolean {
  const known = availability.get(machine);
  if (known !== undefined) return known;
  const has = [...machine.states.values()].some((state) => state.available);
  availability.set(machine, has);
  return has;
}

function permitsOf(
  world: World,
  of: { machine: Machine; entry: MachineRecord; permits: Map<string, number> | null },
): Map<string, number> | null {
  const { attempt } = of.entry;
  let { permits } = of;
  const transition = of.machine.transitions.find(({ from, to }) => from === attempt?.from && to === attempt.to);
  for (const name of transition?.governors ?? []) {
    const expiresMs = world.desired.loaded.repository.settings.governors.get(name)?.expiresMs ?? 0;
    permits ??= new Map();
    permits.set(name, Date.parse(attempt?.startedAt ?? "") + expiresMs);
  }
  return permits;
}

/** Place in a gate's line: rollouts go region by region in their order, then by name; all others are first come, first served. */
function rankOf(world: World, host: Host, gate: string, since: string): string {
  if (!gate.startsWith(rolloutGatePrefix)) return `${since} ${host.name}`;
  const scope = gate.slice(rolloutGatePrefix.length);
  return `${regionRank(regionIndex(world.desired.loaded.repository, scope, host.region))} ${host.name}`;
}

const rolloutGatePrefix = "rollout ";

/** What the places of a region begin with in a rollout's line. */
export function regionRank(index: number): string {
  return String(index).padStart(4, "0");
}

/** Index of a region in a rollout's order; those that it does not name are last, together. */
export function regionIndex(repository: Repository, scope: string, region: string | null): number {
  const { order } = specOf(repository, scope);
  const index = region === null ? -1 : order.indexOf(region);
  return index < 0 ? order.length : index;
}

/** How changes of a scope spread: as its group says, else as the fleet does. */
export function specOf(repository: Repository, scope: string): Repository["settings"]["rollout"] {
  const group = scope.slice(0, scope.indexOf("/"));
  return (group === "fleet" ? null : repository.groups.get(group)?.rollout) ?? repository.settings.rollout;
}

const scopesByGroups = new WeakMap<ReadonlyMap<string, Group>, ReadonlyMap<string, readonly Group[]>>();

/** The groups that a host is in, made once for each value of the groups. */
export function groupsOf({ groups }: Pick<Repository, "groups">, host: string): readonly Group[] {
  let index = scopesByGroups.get(groups);
  if (index === undefined) {
    const made = new Map<string, Group[]>();
    for (const group of groups.values()) {
      for (const member of group.members) {
        const list = made.get(member);
        if (list === undefined) made.set(member, [group]);
        else list.push(group);
      }
    }
    index = made;
    scopesByGroups.set(groups, index);
  }
  return index.get(host) ?? noGroups;
}

const noGroups: readonly Group[] = [];

/**
 * The rollouts that a host's change of one machine belongs to: of each group with a rollout of its own, else of the fleet. One scope
 * for each machine, so that a change of one does not wait for another's.
 */
export function scopesOf(repository: Repository, host: string, machine: string): readonly string[] {
  const groups = groupsOf(repository, host);
  const byMachine = scopes.get(groups) ?? new Map<string, readonly string[]>();
  scopes.set(groups, byMachine);
  const known = byMachine.get(machine);
  if (known !== undefined) return known;
  const own = groups.filter(({ rollout }) => rollout !== null);
  const made = own.length === 0 ? [`fleet/${machine}`] : own.map(({ name }) => `${name}/${machine}`);
  byMachine.set(machine, made);
  return made;
}

/** Scopes by the groups of a host and the machine: asked for at each change of a host. */
const scopes = new WeakMap<readonly Group[], Map<string, readonly string[]>>();

interface PartInput {
  readonly machine: Machine;
  readonly entry: MachineRecord | undefined;
  readonly target: string;
  readonly record: SubjectRecord;
  readonly heard: boolean;
  readonly flying: boolean;
}

/** The host's part in the rollouts of one machine. */
function partsOf(world: World, host: Host, input: PartInput): readonly Part[] {
  const { machine, target, entry } = input;
  // Most hosts are in their targets, and no rollout is under way: then there is nothing to find out.
  if (entry?.state === target && entry.attempt === null && !anyRollout(world)) return noParts;
  const want = wantOf(machine, target);
  return scopesOf(world.desired.loaded.repository, host.name, machine.name).flatMap((scope) => {
    const rollout = world.fleet.rollouts[scope];
    const since = rollout === undefined || rollout.phase === "done" ? null : rollout.since;
    const waits = entry !== undefined && upkeepOf(entry).waiting?.for === `rollout ${scope}`;
    const stage = stageOf(world, host, { ...input, since, waits });
    return stage === null ? [] : [{ scope, stage, want }];
  });
}

function anyRollout({ fleet }: World): boolean {
  for (const scope in fleet.rollouts) if (fleet.rollouts[scope]?.phase !== "done") return true;
  return false;
}

/** `since`: when the rollout began; null when none is recorded. `waits`: it waits for its turn in this rollout. */
function stageOf(
  world: World,
  host: Host,
  input: PartInput & { readonly since: string | null; readonly waits: boolean },
): Stage | null {
  const { entry, target, record, heard, flying, since, waits } = input;
  if (entry === undefined) return "parked";
  const { attempt, state } = entry;
  const isReplaying = leftToReplay(entry).length > 0;
  const upkeep = upkeepOf(entry);
  const begun = hasMovedSince(entry, since);
  if (state === target && attempt === null && !isReplaying) return begun ? "done" : null;
  const fellNow = since !== null && upkeep.falls.some((at) => at >= since);
  if (upkeep.fellFrom === target || isReplaying || isRepair(attempt)) return fellNow ? "failed" : null;
  if (attempt?.status === "running" || (flying && attempt !== null)) return "active";
  const stalled = entry.conditions.some(({ type }) => type === "Stalled");
  const tried = attempt !== null && since !== null && attempt.startedAt >= since;
  if (stalled) return tried ? "failed" : "parked";
  // A change that silences hosts must not spread because they are silent: whoever has begun keeps its place, and what failed has failed.
  if (!heard && (tried || begun)) return tried ? "failed" : "active";
  if (!heard || record.lost?.quarantined === true || holdOn(world, host) !== null) return "parked";
  if (waitsForOthers(entry)) return "parked";
  // A state that it came to for another reason, in the very instant in which the rollout began, is not the beginning of its change.
  return (begun && !waits) || tried ? "active" : "pending";
}

/** Whether a machine has entered a state since a time. One that was only seen for the first time since then has not. */
export function hasMovedSince(
  { since: at, revision }: Pick<MachineRecord, "since" | "revision">,
  since: string | null,
): boolean {
  return since !== null && revision > 0 && at >= since;
}

function isRepair(attempt: MachineRecord["attempt"]): boolean {
  return attempt?.status === "running" && ["remedy", "replace", "replay"].includes(attempt.reason);
}

/** A host that waits for others holds no place that those others may need. */
function waitsForOthers({ conditions }: MachineRecord): boolean {
  const reason = conditions.find(({ type }) => type === "Ready")?.reason;
  return reason === "GuardWaiting" || reason === "BarrierWaiting";
}

const wants = new WeakMap<Machine, Map<string, string>>();

/** What is wanted of a machine, with the digest of what it does: a change of a description changes nothing. */
function wantOf(machine: Machine, target: string): string {
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
