// The limits of a fleet, held against what records, reports and running transitions say, without the sums that decisions are made with.
import * as assert from "uvu/assert";
import { upkeepOf } from "../../reconciler/model/record.ts";
import type { World } from "../../reconciler/plan/world.ts";
import { type FleetSketch, hostName } from "./fleets.ts";

interface Seen {
  /** Heard in the life that is recorded, at rest, and each machine in a state that counts as up. */
  readonly up: boolean;
  readonly acted: boolean;
  /** A transition was begun and has not ended, also where nothing is done about it now, because the host is held or not heard. */
  readonly open: boolean;
  /** Acted upon because its target is another, not to bring it back to where it was. */
  readonly changed: boolean;
  readonly life: string | null;
  readonly governed: readonly string[];
}

/** A permit that is held for longer does not count any more. */
const permitMs = 3_600_000;

export class LimitsSeen {
  readonly sketch: FleetSketch;
  private before: ReadonlyMap<string, Seen>;
  /** Hosts with a transition that was left open before anything was seen. */
  private readonly left: ReadonlySet<string>;

  constructor(sketch: FleetSketch, world: World) {
    this.sketch = sketch;
    const isLeft = (name: string): boolean =>
      !world.inFlight.has(name) &&
      Object.values(world.records.get(name)?.machines ?? {}).some(({ attempt }) => attempt?.status === "running");
    this.left = new Set(sketch.hosts.map((_, index) => hostName(index)).filter(isLeft));
    this.before = this.look(world);
  }

  /** Takes in the world after one more change, and throws if that went beyond a limit. */
  next(world: World): void {
    const before = this.before;
    const after = this.look(world);
    this.before = after;
    for (const [name, now] of after) {
      const was = before.get(name);
      if (was === undefined) continue;
      // What was begun goes on when it can: its place was taken when it began.
      const starts = now.acted && !was.acted && !was.open;
      const falls = was.up && !now.up && now.life === was.life;
      if (falls) this.checkGroups(name, after, "up");
      else if (starts && now.changed) this.checkGroups(name, after, "down");
      if (starts && now.changed) this.checkFleet(name, after);
      if (now.governed.some((key) => !was.governed.includes(key))) this.checkGovernor(name, after);
    }
  }

  /** Whether anything is running, or was left open. */
  anyActed(world: World): boolean {
    return [...this.look(world).values()].some(({ acted, open }) => acted || open);
  }

  /** Whether so many hosts of a group are not up that no other may be taken down. */
  isFull(world: World, group: string): boolean {
    const index = Number(group.slice(1));
    const seen = this.look(world);
    const members = this.membersOf(index);
    return members.filter((name) => seen.get(name)?.up === false).length >= this.limitOf(index);
  }

  private membersOf(group: number): string[] {
    return this.sketch.hosts.flatMap(({ groups }, index) => (groups[group] ? [hostName(index)] : []));
  }

  private limitOf(group: number): number {
    const rollout = this.sketch.groups[group] ?? this.sketch.rollout;
    return mostOf(rollout.max_unavailable, this.membersOf(group).length);
  }

  private look(world: World): Map<string, Seen> {
    return new Map(this.sketch.hosts.map((_, index) => [hostName(index), this.seen(world, index)]));
  }

  private seen(world: World, index: number): Seen {
    const name = hostName(index);
    const entries = Object.entries(world.records.get(name)?.machines ?? {});
    const running = entries.filter(([, { attempt }]) => attempt?.status === "running");
    const open = running.length > 0;
    // One that was left open, by a hold or a crash, acts upon nobody before it goes on.
    const starts = running.some(([, { attempt }]) => Date.parse(attempt?.startedAt ?? "") === world.now);
    const isNew = starts && !this.left.has(name);
    const acted = world.inFlight.has(name) || isNew;
    const changed = running.some(
      ([machine, entry]) =>
        entry.attempt?.reason === "target" && upkeepOf(entry).fellFrom !== this.target(index, machine),
    );
    const governed = running.flatMap(([machine, { attempt }]) => {
      const to = Number(attempt?.to.slice(1));
      const isGoverned = this.sketch.machines[Number(machine.slice(1))]?.[to]?.governed === true;
      const holds = isGoverned && world.now < Date.parse(attempt?.startedAt ?? "") + permitMs;
      return holds && attempt?.from !== attempt?.to ? [`${machine} ${attempt?.from} ${attempt?.to}`] : [];
    });
    const life = world.records.get(name)?.incarnation ?? null;
    return { up: !acted && !open && this.isUp(world, index), acted, open, changed: acted && changed, life, governed };
  }

  private isSilent(world: World, index: number): boolean {
    const report = world.reports.get(hostName(index));
    return this.sketch.hosts[index]?.agent === true && world.now - (report?.at ?? 0) >= 180_000;
  }

  private target(index: number, machine: string): string | null {
    const at = Number(machine.slice(1));
    const target = this.sketch.hosts[index]?.carried[at]?.target ?? null;
    return target === null ? null : `s${target % (this.sketch.machines[at]?.length ?? 1)}`;
  }

  private isUp(world: World, index: number): boolean {
    const name = hostName(index);
    const [record, report] = [world.records.get(name), world.reports.get(name)];
    if (report?.reachable !== true) return false;
    if (record !== undefined && record.incarnation !== report.incarnation) return false;
    if (this.isSilent(world, index)) return false;
    return this.sketch.machines.every((states, machine) => {
      const { state, attempt } = record?.machines[`m${machine}`] ?? {};
      const isLeaving = attempt != null && attempt.from === state && attempt.to !== state;
      if (isLeaving && states.some(({ available }) => available)) return false;
      return !states.some(({ available }) => available) || states[Number(state?.slice(1) ?? -1)]?.available === true;
    });
  }

  /** B1, for each group of a host that was just taken down, or that was down and is changed. */
  private checkGroups(name: string, after: ReadonlyMap<string, Seen>, was: "up" | "down"): void {
    for (const group of this.sketch.groups.keys()) {
      const members = this.membersOf(group);
      if (!members.includes(name)) continue;
      const limit = this.limitOf(group);
      const counted = members.filter((member) => {
        const seen = after.get(member);
        return was === "up" ? seen?.up === false : seen?.acted === true;
      });
      const word = was === "up" ? "unavailable or acted upon" : "acted upon";
      assert.ok(counted.length <= limit, `${name} begins: ${counted.join(", ")} of g${group} are ${word}, of ${limit}`);
    }
  }

  private checkFleet(name: string, after: ReadonlyMap<string, Seen>): void {
    const changed = [...after].filter(([, { changed }]) => changed).map(([host]) => host);
    const limit = mostOf(this.sketch.atOnce, after.size);
    assert.ok(changed.length <= limit, `${name} begins: changes act upon ${changed.join(", ")}, of ${limit}`);
  }

  private checkGovernor(name: string, after: ReadonlyMap<string, Seen>): void {
    const holders = [...after].filter(([, { governed }]) => governed.length > 0).map(([host]) => host);
    assert.ok(holders.length <= this.sketch.permits, `${name} begins: ${holders.join(", ")} hold permits`);
  }
}

/** At most so many of `size`, and at least one: shares round down. */
export function mostOf(amount: number | string, size: number): number {
  const [, share, of] = /^(\d+)(%|\/\d+)$/.exec(String(amount)) ?? [];
  const most =
    share === undefined
      ? Number(amount)
      : Math.floor((size * Number(share)) / (of === "%" ? 100 : Number(of?.slice(1))));
  return Math.max(1, most);
}
