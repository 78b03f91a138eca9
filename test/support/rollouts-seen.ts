// Who has begun and who has failed in each rollout, as records say it, to hold against what a rollout may bear.
import * as assert from "uvu/assert";
import type { World } from "../../reconciler/plan/world.ts";
import { type FleetSketch, hostName, type RolloutSketch } from "./fleets.ts";
import { mostOf } from "./limits-seen.ts";
import { noon } from "./world.ts";

/** Tries of a transition before a host is stalled, where settings say nothing else. */
const triesMax = 5;

export class RolloutsSeen {
  isHalted = false;
  private readonly sketch: FleetSketch;
  private readonly begun: Map<string, Set<string>>;
  private readonly failed: Map<string, Set<string>>;
  private readonly waves: Map<string, number>;
  private readonly moves: ReadonlyMap<string, number>;

  /** `before`: what was seen of the same rollouts until now; it is copied. */
  constructor(sketch: FleetSketch, world: World, before: RolloutsSeen | null = null) {
    this.sketch = sketch;
    const copied = (sets: Iterable<[string, Set<string>]> = []): Map<string, Set<string>> =>
      new Map([...sets].map(([scope, names]) => [scope, new Set(names)]));
    this.begun = copied(before?.begun);
    this.failed = copied(before?.failed);
    this.waves = new Map(before?.waves);
    this.moves = before?.moves ?? this.movesIn(world);
  }

  /** How many hosts each rollout moves. */
  private movesIn(world: World): ReadonlyMap<string, number> {
    const moves = new Map<string, number>();
    for (const [index, { carried }] of this.sketch.hosts.entries()) {
      for (const [machine, states] of this.sketch.machines.entries()) {
        const state = `s${(carried[machine]?.state ?? 0) % states.length}`;
        for (const scope of this.scopesOf(world, index, machine))
          if (!scope.endsWith(`=${state}`)) moves.set(scope, (moves.get(scope) ?? 0) + 1);
      }
    }
    return moves;
  }

  /** Takes in the world after one more change, and throws if a rollout went on that must not. */
  next(world: World): void {
    for (const index of this.sketch.hosts.keys())
      for (const machine of this.sketch.machines.keys())
        for (const scope of this.scopesOf(world, index, machine)) this.look(world, index, { machine, scope });
    for (const [scope, { wave }] of Object.entries(world.fleet.rollouts)) {
      const before = this.waves.get(scope);
      if (before !== undefined && wave > before)
        assert.ok(!this.isOver(scope, before), `${scope}: wave ${wave} begins in spite of ${this.failedIn(scope)}`);
      this.waves.set(scope, wave);
    }
  }

  private look(world: World, index: number, { machine, scope }: { machine: number; scope: string }): void {
    const name = hostName(index);
    const entry = world.records.get(name)?.machines[`m${machine}`];
    const attempt = entry?.attempt ?? null;
    const hasMoved = entry !== undefined && Date.parse(entry.since) >= noon;
    const begun = this.begun.get(scope) ?? new Set<string>();
    const failed = this.failed.get(scope) ?? new Set<string>();
    this.begun.set(scope, begun);
    this.failed.set(scope, failed);
    // A transition without steps is a beginning too, and runs no attempt.
    if ((hasMoved || (attempt?.status === "running" && attempt.reason === "target")) && !begun.has(name)) {
      const wave = world.fleet.rollouts[scope]?.wave ?? 0;
      assert.ok(!this.isOver(scope, wave), `${name} begins in ${scope} in spite of ${this.failedIn(scope)}`);
      begun.add(name);
      const cap = this.capOf(scope, wave);
      assert.ok(begun.size <= cap, `${[...begun].join(", ")} have begun in ${scope}, of ${cap} in wave ${wave}`);
    }
    if (attempt?.status === "failed" && attempt.number >= triesMax) failed.add(name);
    this.isHalted ||= this.isOver(scope, world.fleet.rollouts[scope]?.wave ?? 0);
  }

  private isOver(scope: string, wave: number): boolean {
    const most = wave === 0 ? 0 : this.specOf(scope).max_failures;
    return (this.failed.get(scope)?.size ?? 0) > most;
  }

  private specOf(scope: string): RolloutSketch {
    const { rollout, groups } = this.sketch;
    return (scope.startsWith("fleet/") ? null : groups[Number(scope.slice(1, 2))]) ?? rollout;
  }

  /** Hosts that may have begun by the end of a wave; shares of those that the rollout moves round down, to no less than one. */
  private capOf(scope: string, wave: number): number {
    const { canary, waves } = this.specOf(scope);
    const total = this.moves.get(scope) ?? 0;
    let cap = canary;
    for (let index = 0; index < wave; index++) cap += mostOf(waves[Math.min(index, waves.length - 1)] ?? total, total);
    return Math.min(cap, total);
  }

  private failedIn(scope: string): string {
    return `the failure of ${[...(this.failed.get(scope) ?? [])].join(", ")}`;
  }

  private scopesOf(world: World, index: number, machine: number): string[] {
    const { hosts, groups } = this.sketch;
    const own = groups.flatMap((rollout, group) =>
      rollout !== null && hosts[index]?.groups[group] ? [`g${group}`] : [],
    );
    const target = world.desired.loaded.repository.hosts.get(hostName(index))?.machines.get(`m${machine}`) ?? null;
    if (target === null) return [];
    return (own.length === 0 ? ["fleet"] : own).map((scope) => `${scope}/m${machine}=${target}`);
  }
}
