// Gates: why a transition that a machine wants may not begin yet, for reasons beyond its own host: holds, brakes, windows, barriers,
// rollouts, the limits of groups, governors. The first that is closed is the reason.
import { limitOf } from "../model/amount.ts";
import { isoTime } from "../model/duration.ts";
import { type MachineRecord, type SubjectRecord, upkeepOf } from "../model/record.ts";
import type { Host, Machine, Transition } from "../model/types.ts";
import { barrierGate, barrierVerdict } from "./barrier.ts";
import { isMostlyHeard, lostBrake, quietStart } from "./brakes.ts";
import { groupsOf } from "./groups.ts";
import { heldText, holdOn } from "./holds.ts";
import type { Next } from "./next.ts";
import { Overlay } from "./overlay.ts";
import { recoveryOf } from "./recovery.ts";
import { rolloutRefusal, rolloutRoom, scopeText } from "./rollout.ts";
import { wantOf } from "./stage.ts";
import { changeOf, isUp, rankOf, rolloutGate, scopesOf } from "./standing.ts";
import { sameWay } from "./transition.ts";
import { windowFor } from "./windows.ts";
import { currentReport, type World } from "./world.ts";

/** A closed gate. Who stops at one with a name stands in its line, and is let through in turn. */
export interface Closed {
  readonly next: Next;
  readonly gate: string | null;
}

export interface Wanted {
  readonly host: Host;
  readonly record: SubjectRecord;
  readonly machine: Machine;
  readonly entry: MachineRecord;
  readonly next: Next;
}

/**
 * What a move is about. `change`: a target that the machine was never in. `healing`: back to where it was, by path or by replay.
 * `auto`: by the machine's own rules.
 */
export type Purpose = "change" | "healing" | "auto";

export function purposeOf({ entry, next }: Pick<Wanted, "entry" | "next">, target: string | null): Purpose {
  if (next.kind !== "go") return "healing";
  if (next.reason === "auto") return "auto";
  return next.reason !== "target" || upkeepOf(entry).fellFrom === target ? "healing" : "change";
}

/** The first closed gate before what a machine of a host wants to do next, or null. */
export function closedGate(world: World, wanted: Wanted): Closed | null {
  const { host, machine, entry, next } = wanted;
  if (next.kind === "rest" || next.kind === "stalled" || next.kind === "wait") return null;
  const held = holdOn(world, host);
  if (held !== null) return waits("Held", heldText(held), held.untilMs);
  if (next.kind === "inquire") return null;
  const { transition } = next;
  // What has begun, goes on: its place was taken when it began.
  if (entry.attempt?.status === "running" && sameWay(entry.attempt, transition)) return null;
  if (wanted.record.lost?.quarantined === true) return quarantined(wanted);
  const purpose = purposeOf(wanted, host.machines.get(machine.name) ?? null);
  return (
    (purpose === "healing" ? healingGate(world, wanted) : null) ??
    windowGate(world, host, purpose) ??
    barrierGateOf(world, wanted, transition) ??
    (purpose === "change" ? rolloutGateOf(world, wanted) : null) ??
    groupGate(world, wanted, { transition, purpose }) ??
    governorGate(world, host, transition, entry)
  );
}

function waits(reason: string, message: string, at: number | null = null, gate: string | null = null): Closed {
  return { next: { kind: "wait", reason, message, at }, gate };
}

function stalled(reason: string, message: string): Closed {
  return { next: { kind: "stalled", reason, message }, gate: null };
}

function quarantined({ host, record }: Wanted): Closed {
  const failed = record.lost?.failed ?? [];
  const times = `${failed.length} recoveries failed within a day, the last at ${failed.at(-1) ?? ""}`;
  return stalled("Quarantined", `${times}: look at the host, then stateward retry ${host.name}`);
}

/** Brakes on healing (B2), and what the host's own recovery says. */
function healingGate(world: World, { host, record, next }: Wanted): Closed | null {
  const { repository } = world.desired.loaded;
  const isReplay = next.kind === "go" && next.reason === "replay";
  if (
    isReplay &&
    record.lost !== undefined &&
    record.lost.recovering !== null &&
    recoveryOf(repository, host).whenLost === "alert"
  )
    return stalled(
      "RecoveryAsks",
      `${host.name} was lost at ${record.lost.at}, and its recovery says alert: stateward replay ${host.name} replays it`,
    );
  const quiet = quietStart(world, host);
  if (quiet !== null) return waits(quiet.reason, quiet.message, quiet.at, "quiet");
  const braked = lostBrake(world, record);
  return braked && waits(braked.reason, braked.message, braked.at, "brake");
}

function windowGate(world: World, host: Host, purpose: Purpose): Closed | null {
  const { guards, repository } = world.desired.loaded;
  if (purpose === "auto" || repository.settings.windows.length === 0) return null;
  const what = purpose === "change" ? "changes" : "healing";
  const verdict = windowFor(repository.settings, guards, host, { now: world.now, what });
  return verdict.open ? null : waits("WindowClosed", verdict.message, verdict.at);
}

function barrierGateOf(world: World, { host, record, machine, entry }: Wanted, { to }: Transition): Closed | null {
  const barrier = machine.states.get(to)?.barrier ?? null;
  if (barrier === null) return null;
  // What this very decision has made of its record counts too: nobody wakes a host because of itself.
  const records = new Overlay(world.records, host.name, record);
  const verdict = barrierVerdict({ ...world, records }, barrier, to, entry);
  switch (verdict.kind) {
    case "open":
      return null;
    case "wait":
      return waits("BarrierWaiting", verdict.message, verdict.at, barrierGate(to));
    case "stalled":
      return { ...stalled(verdict.reason, verdict.message), gate: barrierGate(to) };
  }
}

function rolloutGateOf(world: World, { host, machine, entry }: Wanted): Closed | null {
  const { repository } = world.desired.loaded;
  const target = host.machines.get(machine.name) ?? "";
  // What has begun and failed is tried again whatever the rollout does; what has begun and not failed ends its way.
  const hasBegun = upkeepOf(entry).begun === wantOf(machine, target);
  for (const scope of hasBegun ? [] : scopesOf(repository, host.name, changeOf(machine.name, target))) {
    const gate = rolloutGate(scope);
    const refusal = rolloutRefusal(world, scope, host.region ?? "");
    if (refusal !== null) return waits(refusal.reason, refusal.message, null, gate);
    if (!hasRoom(world, gate, { host, entry }))
      return waits("RolloutWaiting", `waits for its turn in the rollout of ${scopeText(scope)}`, null, gate);
  }
  if (hasRoom(world, "fleet", { host, entry }) || world.inFlight.has(host.name)) return null;
  const most = limitOf(repository.settings.atOnce, world.tally.total);
  return waits(
    "FleetBusy",
    `changes act upon ${most} ${most === 1 ? "host" : "hosts"} of the fleet at once`,
    null,
    "fleet",
  );
}

/** B1: what takes a host down needs room in each of its groups; what changes one that is down already only must not be one too many. */
function groupGate(
  world: World,
  { host, record, machine, entry }: Wanted,
  { transition, purpose }: { readonly transition: Transition; readonly purpose: Purpose },
): Closed | null {
  const { repository } = world.desired.loaded;
  const standing = world.tally.standing(host.name);
  // What this very decision has made of its record counts: it may have heard of a host that counts as down in the sums, or taken it down
  // by a transition without steps.
  const isLeaving = standing?.leaving === true;
  const said = currentReport(world, host);
  const isKnown = "report" in said && said.report.incarnation === record.incarnation;
  const up = isLeaving || (isKnown && isUp(host, record, repository.machines));
  // Healing brings a host up that is down: that takes nothing from its group.
  if (!up && purpose !== "change") return null;
  // What runs nothing acts upon nobody: it counts only where it takes the host down.
  if (up && transition.steps.length === 0 && purpose === "auto" && !takesDown(machine, transition)) return null;
  for (const { name } of groupsOf(repository, host.name)) {
    const gate = `${up ? "group" : "acting"} ${name}`;
    // What is tried again on a host that may be down already has its own place.
    if (isLeaving ? gateRoom(world, gate) >= 0 : hasRoom(world, gate, { host, entry })) continue;
    const most = groupLimit(world, name);
    const message = up
      ? `no more than ${most} of ${name} may be unavailable at once`
      : `no more than ${most} of ${name} are acted upon at once`;
    return isLeaving ? waits("GroupLimit", message, world.now + lookAgainMs) : waits("GroupLimit", message, null, gate);
  }
  return null;
}

/** Who has a place, and others are down beyond the limit, is in no line: there would be no room to call it up for. */
const lookAgainMs = 5000;

function takesDown({ states }: Machine, { from, to }: Transition): boolean {
  return states.get(from)?.available === true && states.get(to)?.available !== true;
}

function governorGate(world: World, host: Host, { governors }: Transition, entry: MachineRecord): Closed | null {
  for (const name of governors) {
    const gate = `governor ${name}`;
    if (hasRoom(world, gate, { host, entry })) continue;
    const limit = world.desired.loaded.repository.settings.governors.get(name)?.limit ?? 0;
    const expires = world.tally.permitsAt(name, world.now).map(([, until]) => until);
    return waits(
      "GovernorWaiting",
      `waits for one of the ${limit} permits of ${name}`,
      expires.length === 0 ? null : Math.min(...expires),
      gate,
    );
  }
  return null;
}

/** Whether there is room behind a gate for a machine at its place in the line: where it stands already, or as who comes now. */
function hasRoom(world: World, gate: string, { host, entry }: Pick<Wanted, "host" | "entry">): boolean {
  const { waiting } = upkeepOf(entry);
  const since = waiting?.for === gate ? waiting.since : isoTime(world.now);
  const rank = rankOf(world.desired.loaded.repository, host, gate, since);
  return gateRoom(world, gate) - world.tally.ahead(gate, rank) > 0;
}

/** Hosts of a group that may be unavailable or acted upon at once. */
export function groupLimit(world: World, name: string): number {
  const { groups, settings } = world.desired.loaded.repository;
  const group = groups.get(name);
  return limitOf([(group?.rollout ?? settings.rollout).maxUnavailable], group?.members.length ?? 0);
}

/** How many of those that wait at a gate could be let through now. Whoever waits at a gate without a count is woken otherwise. */
export function gateRoom(world: World, gate: string): number {
  const space = gate.indexOf(" ");
  const kind = space < 0 ? gate : gate.slice(0, space);
  const name = space < 0 ? "" : gate.slice(space + 1);
  const { repository } = world.desired.loaded;
  switch (kind) {
    case "rollout":
      return rolloutRoom(world, name);
    case "fleet":
      return limitOf(repository.settings.atOnce, world.tally.total) - world.tally.acted;
    case "group":
      return groupLimit(world, name) - world.tally.group(name).down;
    case "acting":
      return groupLimit(world, name) - world.tally.group(name).acted;
    case "governor":
      return (repository.settings.governors.get(name)?.limit ?? 0) - world.tally.permitsAt(name, world.now).length;
    case "quiet":
      return isMostlyHeard(world) ? Number.POSITIVE_INFINITY : 0;
    case "brake":
      return world.fleet.braked === null ? Number.POSITIVE_INFINITY : 0;
    default:
      return 0;
  }
}
