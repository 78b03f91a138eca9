// What coordination promises, held against random fleets: whatever the settings and wherever hosts are, limits are kept, nobody is
// forgotten, and the sums that limits are held against are right. What is expected is worked out from records and reports alone.
import * as fc from "fast-check";
import * as assert from "uvu/assert";
import type { CauseView } from "../../reconciler/model/ports.ts";
import { type FleetHold, type MachineRecord, upkeepOf } from "../../reconciler/model/record.ts";
import { readyOf } from "../../reconciler/plan/conditions.ts";
import { decide } from "../../reconciler/plan/decide.ts";
import { decideFleet } from "../../reconciler/plan/fleet.ts";
import { holdOn } from "../../reconciler/plan/holds.ts";
import { type SimulationOptions, simulate } from "../../reconciler/plan/simulate.ts";
import { Tally, worldOf } from "../../reconciler/plan/tally.ts";
import { why, whyLines } from "../../reconciler/plan/why.ts";
import { windowFor } from "../../reconciler/plan/windows.ts";
import type { World } from "../../reconciler/plan/world.ts";
import {
  amount,
  calmed,
  commitOf,
  type FleetOptions,
  type FleetSketch,
  filesOf,
  fleetSketch,
  guardedFiles,
  hostName,
  type Turn,
  turn,
  turned,
  turnedSketch,
  worldOfSketch,
} from "../support/fleets.ts";
import { LimitsSeen } from "../support/limits-seen.ts";
import { RolloutsSeen } from "../support/rollouts-seen.ts";
import { suite } from "../support/suite.ts";
import { noon } from "../support/world.ts";

const test = suite("fleet properties");
const runs = { numRuns: Number(process.env.FLEETS ?? 1000), includeErrorInReport: true };

/** Which transitions fail: the same ones each time that a fleet is played. */
const failing = fc.array(fc.nat({ max: 30 }), { maxLength: 3 });

function outcomeOf(failures: readonly number[]): NonNullable<SimulationOptions["outcome"]> {
  const hosts = new Set(failures.map(hostName));
  return (host) => (hosts.has(host) ? "failed" : "ok");
}

/**
 * Long enough for everything but permits that expire, and short where a fleet waits for somebody who never comes. It lies between the
 * full seconds at which most things happen, so that no instant is played in half.
 */
const horizonMs = 604_321;

interface Scene {
  readonly sketch: FleetSketch;
  readonly change: Turn;
  readonly failures: readonly number[];
}

const sceneOf = (options: FleetOptions = {}): fc.Arbitrary<Scene> =>
  fc.record({ sketch: fleetSketch(options), change: turn, failures: failing });

/** A world as it was when it was watched: the play goes on changing its own. */
function kept(world: World): World {
  return {
    ...world,
    records: new Map(world.records),
    reports: new Map(world.reports),
    inFlight: new Set(world.inFlight),
  };
}

/** Plays a fleet up to its turn, then from there to its end. */
function play({ sketch, change, failures }: Scene, watch: (world: World, sketch: FleetSketch) => void): World {
  const outcome = outcomeOf(failures);
  const first = worldOfSketch(sketch);
  let middle = first;
  let count = 0;
  watch(first, sketch);
  simulate(first, {
    outcome,
    horizonMs,
    watch: (world) => {
      if (count++ > change.after) return;
      middle = kept(world);
      watch(world, sketch);
    },
  });
  const second = turned(middle, sketch, change);
  const next = turnedSketch(sketch, change);
  watch(second, next);
  return simulate(second, { outcome, horizonMs, watch: (world) => watch(world, next) }).world;
}

test("B1: at no instant are more hosts of a group unavailable or acted upon, or governors' permits held, than their limits say", () => {
  fc.assert(
    // A hold that ends frees an attempt that was left open, which acts upon nobody until then, and asks nobody when it goes on.
    fc.property(sceneOf({ held: ["yes"] }), (item) => {
      let seen: LimitsSeen | null = null;
      play(item, (world, sketch) => {
        if (seen?.sketch !== sketch) seen = new LimitsSeen(sketch, world);
        else seen.next(world);
      });
    }),
    runs,
  );
});

test("the sums that are kept in step with each change are those that are made from the beginning", () => {
  fc.assert(
    // Where holds of two hosts end at one time, one of the two is looked at first.
    fc.property(sceneOf({ held: ["yes"], hostsMax: 8 }), (item) => {
      play(item, (world) => {
        const [kept, made] = [sumsOf(world, world.tally), sumsOf(world, Tally.of(world))];
        const [at] = kept.flatMap((line, index) => (line === made[index] ? [] : [index]));
        assert.is(at, undefined, `${kept[at ?? 0]} is kept, and ${made[at ?? 0]} is right`);
      });
    }),
    runs,
  );
});

/** Pairs in the order of their names. */
function byName<T>(pairs: Iterable<readonly [string, T]>): (readonly [string, T])[] {
  return [...pairs].toSorted(([a], [b]) => (a < b ? -1 : 1));
}

/** Everything that a tally tells about a world, sum by sum. */
function sumsOf({ desired, records }: World, tally: Tally): string[] {
  const { hosts, groups, settings } = desired.loaded.repository;
  const waits = [...records.values()].flatMap(({ machines }) => Object.values(machines)).map(({ upkeep }) => upkeep);
  const gates = new Set(waits.flatMap((upkeep) => upkeep?.waiting?.for ?? []));
  const scopes = tally.scopeNames().map((name) => {
    const { id, pending, active, done, failed, parked, failedNames, open } = tally.scope(name);
    return [name, id, pending, active, done, failed, parked, [...failedNames].toSorted(), byName(open)];
  });
  const standings = [...hosts.keys()].map((name) => {
    const standing = tally.standing(name);
    return [name, { ...standing, permits: [...(standing?.permits ?? [])] }];
  });
  const sums = [
    ["sums", tally.total, tally.reported, tally.acted],
    ...standings,
    ...[...groups.keys()].map((name) => [name, tally.group(name)]),
    ["scopes", ...scopes],
    ...[...settings.governors.keys()].map((name) => [name, byName(tally.permits(name))]),
    ...[...gates]
      .toSorted()
      .map((gate) => [gate, tally.waitingAt(gate), tally.firstIn(gate, { most: 100, end: null, after: null })]),
    ["lost", byName(tally.lost())],
    ["replaced", byName(tally.replaced())],
  ];
  return sums.map((item) => JSON.stringify(item));
}

test("R1: the same world gives the same decisions and the same play, whatever the order in which it was put together", () => {
  fc.assert(
    fc.property(sceneOf({ hostsMax: 8 }), fc.infiniteStream(fc.nat()), (item, chance) => {
      const worlds: World[] = [];
      play(item, (world) => {
        if (worlds.length < 40) worlds.push(kept(world));
      });
      for (const world of worlds.filter((_, index) => index % 13 === 0)) {
        const other = shuffled(world, chance);
        assert.is(JSON.stringify(decide(other)), JSON.stringify(decide(world)));
        assert.is(JSON.stringify(decideFleet(other)), JSON.stringify(decideFleet(worldOf(world))));
      }
      const [first] = worlds;
      assert.ok(first);
      assert.is(playedText(shuffled(first, chance), item), playedText(first, item));
    }),
    runs,
  );
});

function playedText(world: World, { failures }: Scene): string {
  const { moves, fleet, stuck, durationMs, peak } = simulate(world, { outcome: outcomeOf(failures), horizonMs });
  return JSON.stringify({ moves, fleet, stuck, durationMs, peak });
}

function shuffled(world: World, chance: fc.Stream<number>): World {
  const mix = <T>(items: Iterable<T>): T[] =>
    [...items]
      .map((item) => ({ item, key: chance.next().value as number }))
      .toSorted((a, b) => a.key - b.key)
      .map(({ item }) => item);
  const { loaded } = world.desired;
  const repository = { ...loaded.repository, hosts: new Map(mix(loaded.repository.hosts)) };
  return worldOf({
    ...world,
    desired: { ...world.desired, loaded: { ...loaded, repository } },
    records: new Map(mix(world.records)),
    reports: new Map(mix(world.reports)),
    inFlight: new Set(mix(world.inFlight)),
  });
}

test("L1: where nothing is wrong and every guard comes true, every host arrives, whatever the limits", () => {
  fc.assert(
    fc.property(fleetSketch({ hostsMax: 8 }), (drawn) => {
      const sketch = calmed(drawn);
      const { stuck, isCut } = simulate(worldOfSketch(sketch, guardedFiles(sketch)));
      assert.is(JSON.stringify(stuck), "[]");
      assert.is(isCut, false);
    }),
    runs,
  );
});

test("L1: a host that does not arrive is parked for a reason, with what would free it, and nobody waits for nothing", () => {
  fc.assert(
    fc.property(sceneOf({ hostsMax: 8 }), (item) => {
      const world = play(item, () => {});
      if (world.inFlight.size > 0) return;
      const starts = decide(world).flatMap(({ subject, act }) => (act?.kind === "start" ? [subject] : []));
      assert.is(starts.join(), "", "nobody was forgotten");
      const sketch = turnedSketch(item.sketch, item.change);
      const limits = new LimitsSeen(sketch, world);
      for (const [name, entry] of strayed(world)) {
        const isParked = entry === undefined || readyOf(entry) !== null || !world.reports.has(name);
        assert.ok(isParked, `${name} is nowhere, and nothing says why`);
        const causes = why(world, name) ?? [];
        assert.ok(causes.length > 0, `${name}: no cause`);
        assert.ok(causes.every(endsSomewhere), `${name}: ${whyLines(causes).join("\n")}`);
        assert.ok(!waitsForNothing(world, entry, limits), `${name}: ${whyLines(causes).join("\n")}`);
      }
    }),
    runs,
  );
});

/** Hosts that are not in a target of theirs, with what is recorded of it. */
function strayed({ desired, records }: World): [string, MachineRecord | undefined][] {
  return [...desired.loaded.repository.hosts.values()].flatMap(({ name, machines }) =>
    [...machines].flatMap(([machine, target]): [string, MachineRecord | undefined][] => {
      const entry = records.get(name)?.machines[machine];
      return target === null || entry?.state === target ? [] : [[name, entry]];
    }),
  );
}

/** Whether a chain of reasons says somewhere what would have to change, or that something is under way. */
function endsSomewhere({ reason, goesOnIf, because }: CauseView): boolean {
  return goesOnIf !== null || ["Running", "Progressing"].includes(reason) || because.some(endsSomewhere);
}

/** Whether a machine waits for a place that is free: nothing runs any more, so only hosts that are down can take one. */
function waitsForNothing(world: World, entry: MachineRecord | undefined, limits: LimitsSeen): boolean {
  const waiting = entry === undefined ? null : upkeepOf(entry).waiting;
  const reason = entry === undefined ? null : readyOf(entry)?.reason;
  const isOver = readyOf(entry)?.status === "Unknown" || waiting === null;
  if (isOver || limits.anyActed(world)) return false;
  const [kind = "", name = ""] = waiting.for.split(" ");
  if (reason === "GroupLimit" && kind === "group") return !limits.isFull(world, name);
  return ["FleetBusy", "GovernorWaiting", "GroupLimit"].includes(reason ?? "");
}

const troubles = ["none"] as const;
/** So long the silent ones are not lost yet, and not replaced. */
const beforeLossMs = 200_000;
/** Hosts that answer and have no past, for what a rollout makes of them. */
const freshScene = fc.record({
  sketch: fleetSketch({ heard: ["yes"], troubles, held: [], hostsMax: 8 }),
  failures: fc.array(fc.nat({ max: 14 }), { minLength: 1, maxLength: 6 }),
  silent: fc.boolean(),
});

test("after more failures than a rollout bears, or one in its canary, no other host begins and no other wave", () => {
  fc.assert(
    fc.property(freshScene, ({ sketch: drawn, failures, silent }) => {
      const sketch = { ...drawn, barrier: null };
      const outcome = outcomeOf(failures);
      const start = worldOfSketch(sketch);
      const seen = new RolloutsSeen(sketch, start);
      let halted: World | null = null;
      let again = seen;
      const watch = (world: World): void => {
        seen.next(world);
        if (!seen.isHalted || halted !== null) return;
        halted = kept(world);
        again = new RolloutsSeen(sketch, world, seen);
      };
      simulate(start, { outcome, horizonMs, watch });
      if (!silent || halted === null) return;
      const before: World = halted;
      const reports = new Map(before.reports);
      for (const name of failures.map(hostName)) {
        const report = reports.get(name);
        if (report) reports.set(name, { ...report, reachable: false, heardAt: before.now });
      }
      simulate(worldOf({ ...before, reports }), {
        outcome,
        horizonMs: beforeLossMs,
        watch: (world) => again.next(world),
      });
    }),
    runs,
  );
});

/** Selectors that select none, each for another reason: missing, false, not evaluable, no boolean. */
const selectsNone = fc.constantFrom(
  null,
  "false",
  'host.labels.nothing == "y"',
  'host.vars.deep == "x"',
  'host.name == "nobody"',
  'host.states["m0"] == "s0"',
  'hosts.exists(h, h.name == "h00")',
  'group.peers.exists(h, h.name == "h00")',
);
const peers = { group: "peers", select: "true" };
const guardOver = fc.constantFrom(
  'group.none.all(h, h.states["m0"] == "s1")',
  '!group.none.exists(h, h.states["m0"] == "s0")',
  "group.none.all(h, true)",
  "!group.none.exists(h, true)",
  "group.none.count(h, true) == 0",
  'group.none.quorum(h, true, "1")',
  "size(group.none) == 0",
  "size(group.none) < 5",
);

test("B4: empty means none: selectors that select nobody, barriers and guards over nobody, holds on nobody", () => {
  fc.assert(
    fc.property(fleetSketch({ hostsMax: 6 }), selectsNone, guardOver, amount, (drawn, select, guard, count) => {
      const sketch = { ...drawn, barrier: null };
      const files: Record<string, unknown> = { ...filesOf(sketch), "hosts/peers.yaml": peers };
      files["hosts/none.yaml"] = { group: "none", ...(select === null ? {} : { select }) };
      const machine = files["machines/m0.yaml"] as { states: Record<string, { enter: object[] }> };
      const [, s1] = Object.values(machine.states);
      assert.ok(s1);
      const isBarrier = String(count).length > 1;
      if (isBarrier) Object.assign(s1, { barrier: { group: "none", count, within: "1m", proceed_if: count } });
      else s1.enter = s1.enter.map((entry) => ({ ...entry, when: guard }));
      const start = worldOfSketch(sketch, files);
      assert.is(start.desired.loaded.repository.groups.get("none")?.members.length, 0);
      const holds = ["group/none", "group/nobody", "region/nowhere", "host/nobody", "none", ""].map(holdOf);
      const world = worldOf({ ...start, fleet: { ...start.fleet, holds: [...start.fleet.holds, ...holds] } });
      for (const host of world.desired.loaded.repository.hosts.values())
        assert.is(holdOn(world, host)?.by === "nobody", false, "a hold on nobody holds nobody");
      const { moves } = simulate(world, { horizonMs });
      const wasOpen = new Set(strayedInto(start));
      const entered = moves.filter(
        ({ subject, machine: name, to }) => name === "m0" && to === "s1" && !wasOpen.has(subject),
      );
      assert.is(JSON.stringify(entered), "[]");
    }),
    runs,
  );
});

test("B4: a window whose selector cannot be evaluated concerns nobody", () => {
  const failing = selectsNone.filter((select) => select !== null);
  fc.assert(
    fc.property(fleetSketch({ hostsMax: 4 }), failing, fc.boolean(), (sketch, select, allows) => {
      const files: Record<string, unknown> = { ...filesOf({ ...sketch, barrier: null }), "hosts/peers.yaml": peers };
      const never = { cron: "0 0 1 1 *", for: "1s" };
      const always = { cron: "* * * * *", for: "1h" };
      const window = { ...(allows ? { allow: never } : { deny: always }), covers: "all", select };
      files["stateward.yaml"] = { ...(files["stateward.yaml"] as object), windows: [window] };
      const { hosts, settings } = commitOf(files).loaded.repository;
      const { guards } = commitOf(files).loaded;
      for (const host of hosts.values())
        for (const what of ["changes", "healing"] as const)
          assert.is(windowFor(settings, guards, host, { now: noon, what }).open, true);
    }),
    runs,
  );
});

function holdOf(select: string): FleetHold {
  return { select, reason: "nobody", by: "nobody", at: new Date(noon).toISOString(), until: null };
}

/** Hosts on which a transition was running already: what has begun goes on. */
function strayedInto({ records }: World): string[] {
  return [...records.values()].flatMap(({ name, machines }) =>
    Object.values(machines).some(({ attempt }) => attempt?.status === "running") ? [name] : [],
  );
}

test.run();
