// How one host stands, seen from the limits that it shares with others: whether it is up, acted upon, part of a rollout, holding a permit.
import { emptyRecord, type FleetRecord, type MachineRecord, type SubjectRecord, upkeepOf } from "../model/record.ts";
import type { Group, Host, Machine, Repository } from "../model/types.ts";
import { groupsOf } from "./groups.ts";
import { holdOn } from "./holds.ts";
import { type Stage, type StageInput, stageOf, wantOf } from "./stage.ts";
import { currentReport, type World } from "./world.ts";

export interface Part {
  readonly scope: string;
  readonly stage: Stage;
  /** What is wanted, with the digest of the machine that leads there. */
  readonly want: string;
}

export interface Standing {
  /** Heard in the life that is recorded, at rest, and in available states. Unknown counts as unavailable (B4). */
  readonly available: boolean;
  /** It would be available, had no step begun to take it down; and none runs now. */
  readonly leaving: boolean;
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
  let leaving = false;
  let held: boolean | null = null;
  const isHeld = (): boolean => (held ??= holdOn(world, host) !== null);
  let parts: Part[] | null = null;
  let permits: Map<string, number> | null = null;
  let waiting: { gate: string; rank: string }[] | null = null;
  for (const [name, target] of host.machines) {
    const machine = repository.machines.get(name);
    const entry = record.machines[name];
    if (machine === undefined) continue;
    if (entry?.attempt?.status === "running") {
      available = false;
      // An attempt that was left open on a host that is held, or not heard, acts upon nobody.
      if (heard && !isHeld()) acted = true;
      permits = permitsOf(world, { machine, entry, permits });
    }
    if (!isMachineUp(machine, entry)) available = false;
    else if (isLeaving(machine, entry)) leaving = true;
    if (target !== null) {
      const found = partsOf(world, host, {
        machine,
        entry,
        target,
        record,
        report: heard ? said.report : null,
        flying,
      });
      if (found.length > 0) (parts ??= []).push(...found);
    }
    const wait = entry === undefined ? null : upkeepOf(entry).waiting;
    // Whoever is not heard could not use a place, and must not keep it from those behind. Its time of arrival stays recorded.
    if (wait !== null && heard && !isHeld())
      (waiting ??= []).push({ gate: wait.for, rank: rankOf(repository, host, wait.for, wait.since) });
  }
  return {
    available: available && !acted && !leaving,
    leaving: available && !acted && leaving,
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
    return machine === undefined || isMachineUp(machine, record.machines[name]);
  });
}

function isMachineUp(machine: Machine, entry: MachineRecord | undefined): boolean {
  return !hasAvailability(machine) || machine.states.get(entry?.state ?? "")?.available === true;
}

/** A state that counts as up, and that a step has begun to leave: whether it still is up is not known, however the step ended. */
function isLeaving(machine: Machine, entry: MachineRecord | undefined): boolean {
  const { attempt, state = "" } = entry ?? {};
  const isUnderWay = attempt != null && attempt.from === state && attempt.to !== state;
  return isUnderWay && hasAvailability(machine);
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
export function rankOf(repository: Repository, host: Host, gate: string, since: string): string {
  const scope = scopeOfGate(gate);
  if (scope === null) return `${since} ${host.name}`;
  return `${regionRank(regionIndex(repository, scope, host.region))} ${host.name}`;
}

const rolloutGatePrefix = "rollout ";

/** Name of the gate at which those wait whose turn in a rollout has not come. */
export function rolloutGate(scope: string): string {
  return `${rolloutGatePrefix}${scope}`;
}

/** The scope of a rollout's gate; null for any other gate. */
export function scopeOfGate(gate: string): string | null {
  return gate.startsWith(rolloutGatePrefix) ? gate.slice(rolloutGatePrefix.length) : null;
}

/** What the places of a region begin with in a rollout's line. */
export function regionRank(index: number): string {
  return String(index).padStart(4, "0");
}

/** Index of a region in a rollout's order; those that it does not name are last, together. */
function regionIndex(repository: Repository, scope: string, region: string | null): number {
  const { order } = specOf(repository, scope);
  const index = region === null ? -1 : order.indexOf(region);
  return index < 0 ? order.length : index;
}

/** How changes of a scope spread: as its group says, else as the fleet does. */
export function specOf(repository: Repository, scope: string): Repository["settings"]["rollout"] {
  const group = scope.slice(0, scope.indexOf("/"));
  return (group === "fleet" ? null : repository.groups.get(group)?.rollout) ?? repository.settings.rollout;
}

/**
 * The rollouts that a host's change belongs to: of each group with a rollout of its own, else of the fleet. One scope for each machine
 * and target, so that a change neither waits for another one's hosts, nor lifts its halt.
 */
export function scopesOf(repository: Repository, host: string, change: string): readonly string[] {
  const groups = groupsOf(repository, host);
  const byChange = scopes.get(groups) ?? new Map<string, readonly string[]>();
  scopes.set(groups, byChange);
  const known = byChange.get(change);
  if (known !== undefined) return known;
  const own = groups.filter(({ rollout }) => rollout !== null);
  const made = own.length === 0 ? [`fleet/${change}`] : own.map(({ name }) => `${name}/${change}`);
  byChange.set(change, made);
  return made;
}

/** A machine and the state that it is to be in, as scopes name them. */
export function changeOf(machine: string, target: string): string {
  return `${machine}=${target}`;
}

/** Scopes by the groups of a host and the change: asked for at each change of a host. */
const scopes = new WeakMap<readonly Group[], Map<string, readonly string[]>>();

/** The host's part in the rollouts of one machine. */
function partsOf(world: World, host: Host, input: Omit<StageInput, "want" | "since">): readonly Part[] {
  const { machine, target, entry } = input;
  // Most hosts are in their targets, and no rollout is under way: then there is nothing to find out.
  if (entry?.state === target && entry.attempt === null && !anyRollout(world)) return noParts;
  const want = wantOf(machine, target);
  return scopesOf(world.desired.loaded.repository, host.name, changeOf(machine.name, target)).flatMap((scope) => {
    const stage = stageOf(world, host, { ...input, want, since: runningSince(world.fleet, scope) });
    return stage === null ? [] : [{ scope, stage, want }];
  });
}

function anyRollout({ fleet }: World): boolean {
  for (const scope in fleet.rollouts) if (runningSince(fleet, scope) !== null) return true;
  return false;
}

/** When the rollout of a scope began, ISO 8601; null when none is under way. */
export function runningSince({ rollouts }: FleetRecord, scope: string): string | null {
  const rollout = rollouts[scope];
  return rollout === undefined || rollout.phase === "done" ? null : rollout.since;
}
