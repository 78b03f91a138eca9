// Who has begun and who has failed in each rollout, as records say it, to hold against what a rollout may bear.
import * as assert from "uvu/assert";
import { upkeepOf } from "../../reconciler/model/record.ts";
import type { World } from "../../reconciler/plan/world.ts";
import { type FleetSketch, hostName } from "./fleets.ts";

/** Tries of a transition before a host is stalled, where settings say nothing else. */
const triesMax = 5;

export class RolloutsSeen {
  isHalted = false;
  private readonly sketch: FleetSketch;
  private readonly begun: Map<string, Set<string>>;
  private readonly failed: Map<string, Set<string>>;
  private readonly waves: Map<string, number>;

  /** `before`: what was seen of the same rollouts until now; it is copied. */
  constructor(sketch: FleetSketch, before: RolloutsSeen | null = null) {
    this.sketch = sketch;
    const copied = (sets: Iterable<[string, Set<string>]> = []): Map<string, Set<string>> =>
      new Map([...sets].map(([scope, names]) => [scope, new Set(names)]));
    this.begun = copied(before?.begun);
    this.failed = copied(before?.failed);
    this.waves = new Map(before?.waves);
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
    const begun = this.begun.get(scope) ?? new Set<string>();
    const failed = this.failed.get(scope) ?? new Set<string>();
    this.begun.set(scope, begun);
    this.failed.set(scope, failed);
    // A transition without steps is a beginning too, and runs no attempt.
    const change = scope.slice(scope.indexOf("/") + 1);
    if (attempt === null && upkeepOf(entry ?? {}).begun?.startsWith(`${change}@`)) begun.add(name);
    if (attempt?.status === "running" && attempt.reason === "target" && !begun.has(name)) {
      const wave = world.fleet.rollouts[scope]?.wave ?? 0;
      assert.ok(!this.isOver(scope, wave), `${name} begins in ${scope} in spite of ${this.failedIn(scope)}`);
      begun.add(name);
    }
    if (attempt?.status === "failed" && attempt.number >= triesMax) failed.add(name);
    this.isHalted ||= this.isOver(scope, world.fleet.rollouts[scope]?.wave ?? 0);
  }

  private isOver(scope: string, wave: number): boolean {
    const { rollout, groups } = this.sketch;
    const group = scope.startsWith("fleet/") ? null : (groups[Number(scope.slice(1, 2))] ?? null);
    const most = wave === 0 ? 0 : (group ?? rollout).max_failures;
    return (this.failed.get(scope)?.size ?? 0) > most;
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
