// Brakes: limits beyond which nothing goes on by itself, because a mass of hosts is rarely lost or changed on purpose (B1 to B4).
import { amountText, atLeast, atMost, limitOf } from "../model/amount.ts";
import { isoTime } from "../model/duration.ts";
import type { DesiredCommit } from "../model/ports.ts";
import { type FleetHold, fleetName, type SubjectRecord } from "../model/record.ts";
import type { Host, Settings } from "../model/types.ts";
import { readyOf } from "./conditions.ts";
import { groupsOf } from "./groups.ts";
import { covers } from "./holds.ts";
import { lostAtOf } from "./standing.ts";
import { reportIntervalMs, skewMs, type World } from "./world.ts";

/** Why nothing may be healed now, and when that may end by time alone. */
export interface Braked {
  readonly reason: "QuietStart" | "TooManyLost";
  readonly message: string;
  readonly at: number | null;
}

/**
 * After a start the reconciler does not know yet what it sees: nothing is healed for some report intervals, and until most of the
 * fleet has reported. A fleet that was never seen before has nothing to heal.
 */
export function quietStart(world: World, host: Host): Braked | null {
  const { settings } = world.desired.loaded.repository;
  const { quietReports, minReported } = settings.brakes;
  if (!world.isRestart || quietReports === 0) return null;
  const until = world.listeningSince + quietReports * reportIntervalMs(settings, host);
  if (world.now < until) {
    const message = `nothing is healed until ${quietReports} report intervals after the start`;
    return { reason: "QuietStart", message, at: until };
  }
  if (isMostlyHeard(world)) return null;
  const message = `nothing is healed after the start until ${amountText(minReported)} of the fleet has reported: look for what keeps the others, or release it with stateward brake release`;
  return { reason: "QuietStart", message, at: null };
}

/** Whether enough of the fleet has reported since the start, or a person said since that it is well. */
export function isMostlyHeard(world: World): boolean {
  const { desired, tally, listeningSince } = world;
  if (releasedAt(world) >= listeningSince) return true;
  return tally.reported >= atLeast(desired.loaded.repository.settings.brakes.minReported, tally.total);
}

/**
 * When a person released the brake last, milliseconds since the epoch; 0 where nobody has. A time that is still to come was written by
 * another clock: until then no loss would count.
 */
function releasedAt({ fleet, now }: World): number {
  const at = fleet.released === null ? 0 : Date.parse(fleet.released.at);
  return at > now + skewMs ? 0 : at;
}

/** How many hosts are lost now in a part of the fleet, and how many may be. */
export interface Losses {
  readonly of: string;
  readonly lost: number;
  readonly limit: number;
}

const nobody: ReadonlyMap<string, number> = new Map();

/** B2: where more hosts were lost at once than may be, or null. `more` says when others were lost that are not counted yet. */
export function tooManyLost(world: World, more: ReadonlyMap<string, number> = nobody): Losses | null {
  const { repository } = world.desired.loaded;
  const { brakes } = repository.settings;
  const from = Math.max(world.now - brakes.lostWithinMs, releasedAt(world));
  const groups = new Map<string, number>();
  let lost = 0;
  const add = (name: string): void => {
    lost++;
    for (const group of groupsOf(repository, name)) groups.set(group.name, (groups.get(group.name) ?? 0) + 1);
  };
  const isNow = (at: number): boolean => at > from && at <= world.now;
  for (const name of world.tally.lostSince(from)) if (isNow(world.tally.lost().get(name) ?? 0)) add(name);
  for (const [name, at] of more) if (isNow(at) && !isNow(world.tally.lost().get(name) ?? 0)) add(name);
  const limit = Math.max(brakes.lostFloor, atMost(brakes.maxLost, world.tally.total));
  if (lost > limit) return { of: "the fleet", lost, limit };
  for (const [name, count] of [...groups].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    const group = repository.groups.get(name);
    if (!group) continue;
    const most =
      group.maxLost === null
        ? Math.max(3, atMost(brakes.maxLostGroup, group.members.length))
        : atMost(group.maxLost, group.members.length);
    if (count > most) return { of: name, lost: count, limit: most };
  }
  return null;
}

export function lossesText({ of, lost, limit }: Losses): string {
  return `${lost} hosts of ${of} were lost at once, more than ${limit}: nothing is healed until a person has looked, and says stateward brake release`;
}

/** B2 as a reason: recorded, or true now with the host itself, whose loss may not be counted yet. */
export function lostBrake(world: World, record: SubjectRecord): Braked | null {
  if (world.fleet.braked !== null) return { reason: "TooManyLost", message: world.fleet.braked.message, at: null };
  const at = lostAtOf(record);
  const losses = tooManyLost(world, at === null ? nobody : new Map([[record.name, at]]));
  return losses && { reason: "TooManyLost", message: lossesText(losses), at: null };
}

/** What a commit would do to a fleet as a whole. */
export interface Moves {
  readonly moved: number;
  readonly removed: number;
}

/**
 * Hosts that a commit would move or remove: moved are those whose target becomes another than the state that they are in. `before` is
 * the commit in force; without it, after a start, the record says which hosts were at rest.
 */
export function movesOf(
  before: DesiredCommit | null,
  after: DesiredCommit,
  records: ReadonlyMap<string, SubjectRecord>,
): Moves {
  const hosts = after.loaded.repository.hosts;
  let moved = 0;
  const { delta } = after.loaded;
  // A difference to another commit than the one in force says nothing: that other one may still wait for a word itself.
  const edited = before !== null && delta?.since === before.loaded.key ? delta.hosts : null;
  const changed = edited === null ? hosts.values() : edited.flatMap((name) => hosts.get(name) ?? []);
  for (const host of changed) if (isMoved(before, host, records.get(host.name))) moved++;
  let removed = 0;
  if (edited === null) {
    for (const record of records.values()) {
      if (record.kind !== "host" || record.name === fleetName || record.removed !== undefined) continue;
      if (!hosts.has(record.name)) removed++;
    }
  }
  return { moved, removed };
}

function isMoved(before: DesiredCommit | null, host: Host, record: SubjectRecord | undefined): boolean {
  const old = before?.loaded.repository.hosts.get(host.name);
  if (old === host || record === undefined) return false;
  for (const [machine, target] of host.machines) {
    const entry = record.machines[machine];
    if (target === null || entry?.state === target) continue;
    // A machine that a known host has not carried yet begins at its beginning: that is a move as well.
    const wasAtRest = entry === undefined ? record.incarnation !== null : readyOf(entry)?.status === "True";
    if (old === undefined ? wasAtRest : old.machines.get(machine) !== target) return true;
  }
  return false;
}

/** B5: recorded holds of which a commit would take hosts out, because their group is gone or they are in it no more. */
export function freedHolds(
  before: DesiredCommit,
  after: DesiredCommit,
  holds: readonly FleetHold[],
): readonly string[] {
  const [old, next] = [before.loaded.repository, after.loaded.repository];
  const wide = holds.filter(({ select }) => /^(group|region)\//.test(select));
  return wide.flatMap(({ select }) => {
    const freed = [...old.hosts.values()].some((host) => {
      const now = next.hosts.get(host.name);
      return now !== undefined && covers(select, host, old.groups) && !covers(select, now, next.groups);
    });
    return freed ? [select] : [];
  });
}

/** B5: why a commit that takes hosts out of a hold waits for a person's word; null where it takes none out. */
export function freedText(freed: readonly string[]): string | null {
  return freed.length === 0 ? null : `it would take hosts out of the hold on ${freed.join(", ")}`;
}

/** B3: why a commit waits for a person's word, or null. `acknowledged` is the number of its trailer. */
export function needsApproval(
  { moved, removed }: Moves,
  { settings, size }: { readonly settings: Settings; readonly size: number },
  acknowledged: number | null,
): string | null {
  const { maxMoved, maxRemoved } = settings.brakes;
  const limit = limitOf(maxMoved, size);
  const over = [
    ...(moved > limit ? [`move ${moved} hosts, more than ${limit}`] : []),
    ...(removed > maxRemoved ? [`remove ${removed} hosts, more than ${maxRemoved}`] : []),
  ];
  if (over.length === 0 || fits(acknowledged, moved + removed)) return null;
  const said = acknowledged === null ? "" : `; its trailer says ${acknowledged}, and ${moved + removed} are meant`;
  return `it would ${over.join(" and ")}${said}`;
}

/** An acknowledged number fits when it is not less than what happens, and not so much more that it would fit anything. */
function fits(acknowledged: number | null, real: number): boolean {
  return acknowledged !== null && acknowledged >= real && acknowledged <= real + Math.max(1, Math.floor(real / 10));
}

/** Why a host may not be replaced now, or null: at most so many of a group within ten minutes, and of the fleet within an hour. */
export function wipeRefusal(world: World, host: Host): { readonly message: string; readonly at: number } | null {
  const { repository } = world.desired.loaded;
  const { maxWipes, maxWipesGroup } = repository.settings.brakes;
  const since = (ms: number): { host: string; at: number }[] =>
    [...world.tally.replaced()]
      .map(([name, at]) => ({ host: name, at }))
      .filter(({ at }) => at > world.now - ms)
      .toSorted((a, b) => a.at - b.at || (a.host < b.host ? -1 : 1));
  const inHour = since(wipeWindows.fleetMs);
  if (inHour.length >= maxWipes) {
    const at = (inHour[inHour.length - maxWipes]?.at ?? world.now) + wipeWindows.fleetMs;
    return {
      message: `${inHour.length} hosts were replaced within an hour, and no more may be before ${isoTime(at)}`,
      at,
    };
  }
  const recent = since(wipeWindows.groupMs);
  for (const group of groupsOf(repository, host.name)) {
    const members = recent.filter(({ host: name }) => groupsOf(repository, name).includes(group));
    const oldest = members[members.length - maxWipesGroup];
    if (oldest === undefined) continue;
    const at = oldest.at + wipeWindows.groupMs;
    return {
      message: `${oldest.host} of ${group.name} was replaced just now, and no other may be before ${isoTime(at)}`,
      at,
    };
  }
  return null;
}

/** Within which times replacements are counted, in milliseconds. */
export const wipeWindows = { groupMs: 600_000, fleetMs: 3_600_000 } as const;
