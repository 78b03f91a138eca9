// The limits that hosts share, kept in step with what changes: sums over the fleet, and the lines of those who wait for a place.
import type { FleetRecord, RolloutRecord } from "../model/record.ts";
import type { FleetDecision } from "./fleet.ts";
import { decideFleet } from "./fleet.ts";
import { gateRoom } from "./gates.ts";
import { regionOnTurn } from "./rollout.ts";
import { regionRank, rolloutGate, runningSince, scopeOfGate } from "./standing.ts";
import { Tally } from "./tally.ts";
import type { World } from "./world.ts";

export class Limits {
  readonly tally: Tally = new Tally();
  private readonly touched = new Set<string>();
  private readonly opened = new Set<string>();
  /** Rollouts as those who wait at them know them, and gates whose line has to be told something else. */
  private readonly told = new Map<string, string>();
  private readonly retold = new Set<string>();
  /** When each rollout began, as the sums have it: how a host stands in one depends on nothing else that is recorded of it. */
  private readonly sinces = new Map<string, string | null>();
  /**
   * The place in each gate's line up to which there is room for everybody, who was told so. Whoever is looked at and finds room leaves
   * the line; so whoever stands there still will be looked at, and need not be told again.
   */
  private readonly asked = new Map<string, string>();
  private isStale = false;
  private isChanged = true;
  /** Gates of healing that were closed when they were looked at last. */
  private readonly shut = new Set<string>();

  /** Something about this host changed. */
  touch(name: string): void {
    this.touched.add(name);
    this.tally.seen.touch(name);
  }

  /** Everything may be another: groups, settings, or the whole repository. */
  touchAll(): void {
    this.isStale = true;
  }

  /** What is recorded of the whole fleet changed: gates may be open that were not. */
  fleetChanged(world: World, before: FleetRecord): void {
    this.isChanged = true;
    this.opened.add("quiet").add("brake");
    const { rollouts } = world.fleet;
    for (const scope of Object.keys(rollouts)) {
      if (rollouts[scope] === before.rollouts[scope]) continue;
      this.opened.add(rolloutGate(scope));
      this.noteRollout(scope, rollouts[scope]);
      const since = runningSince(world.fleet, scope);
      if (this.sinces.get(scope) === since) continue;
      this.sinces.set(scope, since);
      for (const name of membersOf(world, scope)) this.touch(name);
    }
  }

  /**
   * Who waits at a rollout that halts, or goes on, waits for another reason than before: L1 asks for the one that is true. Who waits
   * when one begins may have moved at that very instant: it counts as begun, and needs no room to go on.
   */
  private noteRollout(scope: string, rollout: RolloutRecord | undefined): void {
    const word = rollout === undefined ? "" : `${rollout.since} ${rollout.phase === "halted"}`;
    if (this.told.get(scope) === word) return;
    this.told.set(scope, word);
    this.retold.add(rolloutGate(scope));
  }

  /** True while something changed that was not yet taken in, or led to nobody yet. */
  isPending(): boolean {
    return this.isChanged || this.touched.size > 0 || this.opened.size > 0;
  }

  /** Brings the sums up to date. */
  settle(world: World): void {
    if (this.isStale) {
      this.isStale = false;
      this.tally.clear();
      this.asked.clear();
      this.sinces.clear();
      const { hosts } = world.desired.loaded.repository;
      if (this.touched.size === 0) this.tally.takeAll(world, this.opened);
      else for (const name of hosts.keys()) this.touch(name);
      if (hosts.size > 0) this.isChanged = true;
    }
    for (const name of this.touched) if (this.tally.update(world, name, this.opened)) this.isChanged = true;
    this.touched.clear();
  }

  /** What is to be decided about the fleet as a whole, where something changed since it was last; null where nothing did. */
  decide(world: World, isDue = false): FleetDecision | null {
    if (!this.isChanged && !isDue) return null;
    this.isChanged = false;
    return decideFleet(world);
  }

  /** Those who may be let through a gate that has opened, in the order of its line, and those who have to be told why it is not. */
  *admitted(world: World): Generator<string> {
    for (const gate of this.retold) {
      this.retold.delete(gate);
      yield* this.tally.firstIn(gate, { most: Number.POSITIVE_INFINITY, end: null, after: null }).names;
    }
    for (const gate of this.opened) {
      this.opened.delete(gate);
      const room = gateRoom(world, gate);
      if (gate === "quiet" || gate === "brake") {
        const isOver = this.shut.has(gate) && room > 0;
        if (room > 0) this.shut.delete(gate);
        else this.shut.add(gate);
        if (!isOver) continue;
        // Lost hosts that are to be replaced stand in no line, because they are not heard.
        yield* this.tally.lost().keys();
        this.asked.delete(gate);
      }
      yield* this.letThrough(world, gate, room);
    }
  }

  /** Those at the head of a line for whom there is room, but for those who were let through before and have not been looked at yet. */
  private letThrough(world: World, gate: string, room: number): readonly string[] {
    const { names, last } = this.tally.firstIn(gate, {
      most: Math.max(0, room),
      end: endOf(world, gate),
      after: this.asked.get(gate) ?? null,
    });
    if (last === null) this.asked.delete(gate);
    else this.asked.set(gate, last);
    return names;
  }
}

/** The place in a rollout's line from which on hosts are of later regions: to wake them would lead to nothing. */
function endOf(world: World, gate: string): string | null {
  const scope = scopeOfGate(gate);
  return scope === null ? null : regionRank(regionOnTurn(world, scope) + 1);
}

/** Hosts that a scope of a rollout can be about: those of its group, or of the fleet, with its target of its machine. */
function* membersOf({ desired }: World, scope: string): Generator<string> {
  const { groups, hosts } = desired.loaded.repository;
  const slash = scope.indexOf("/");
  const group = scope.slice(0, slash);
  const [machine = "", target] = scope.slice(slash + 1).split("=");
  if (group === "fleet") {
    for (const [name, { machines }] of hosts) if (machines.get(machine) === target) yield name;
    return;
  }
  for (const name of groups.get(group)?.members ?? [])
    if (hosts.get(name)?.machines.get(machine) === target) yield name;
}
