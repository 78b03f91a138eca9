// npm run bench -- plan [HOSTS...] [--only=PART]: how fast is decided, beside a bare loop over the same data in the same run.
import type { SubjectRecord } from "../dist/model/record.js";
import { decide, decideSubject } from "../dist/plan/decide.js";
import { decideFleet } from "../dist/plan/fleet.js";
import { whyView } from "../dist/plan/fleet-view.js";
import { Limits } from "../dist/plan/limits.js";
import { simulate } from "../dist/plan/simulate.js";
import { Tally } from "../dist/plan/tally.js";
import type { World } from "../dist/plan/world.js";
import { hostName, recordOf } from "./fleet.ts";
import { median, ms } from "./measure.ts";
import { loadFleet, noon, waiter, worldAt } from "./plan-fleet.ts";
import { wakeUps } from "./wake.ts";

const words = process.argv.slice(2);
const asked = words.filter((word) => /^\d+$/.test(word)).map(Number);
const sizes = asked.length > 0 ? asked : [1000, 10_000, 100_000];
const only = words.find((word) => word.startsWith("--only="))?.slice(7) ?? "";

interface Case {
  readonly what: string;
  /** Milliseconds that are aimed at. */
  readonly aim: { readonly ms: number };
  /** Things done in one run, and their name. */
  readonly done: readonly [number, "hosts" | "transitions" | null];
  /** Subjects that the bare loop goes over. */
  readonly names: readonly string[];
  readonly world: World;
  readonly run: () => unknown;
  readonly rounds?: number;
}

/**
 * The floor: for each host, its record, its report and its file are found, and the state of each machine is compared with its target.
 * No decision can do with less; it makes nothing and asks nobody else.
 */
function bareLoop({ desired, records, reports }: World, names: readonly string[]): number {
  const { hosts } = desired.loaded.repository;
  let away = 0;
  for (const name of names) {
    const host = hosts.get(name);
    const record = records.get(name);
    const report = reports.get(name);
    if (host === undefined || record === undefined || report === undefined) continue;
    for (const [machine, target] of host.machines)
      if (report.incarnation !== record.incarnation || record.machines[machine]?.state !== target) away++;
  }
  return away;
}

let sink: unknown = null;

/** Milliseconds of one run, of as many as fill 50 ms. */
function once(run: () => unknown): number {
  const began = performance.now();
  let [runs, took] = [0, 0];
  do {
    sink = run();
    runs++;
    took = performance.now() - began;
  } while (took < 50);
  return took / runs;
}

function measure({ what, aim, done: [count, unit], names, world, run, rounds = 5 }: Case): string {
  const times: { floor: number; ours: number }[] = [];
  // The first round is for the compiler, but where one takes seconds.
  for (let round = 0; round <= rounds; round++)
    times.push({ floor: once(() => bareLoop(world, names)), ours: once(run) });
  const kept = times.slice(rounds > 0 ? 1 : 0);
  const floor = median(kept.map((time) => time.floor));
  const ours = median(kept.map((time) => time.ours));
  const ratio = ours / floor;
  const text = (time: number): string =>
    unit === null
      ? ms(time)
      : `${rate(count / time)} ${unit}/s (${time < 1 ? `${Math.round(time * 1000)} us` : ms(time)})`;
  const multiple = ratio < 10 ? ratio.toFixed(1) : Math.round(ratio);
  return `| ${what} | ${text(floor)} | ${text(ours)} | ${multiple} | at most ${aim.ms} ms | ${ours <= aim.ms ? "met" : "missed"} |`;
}

const rate = (perMs: number): string => Math.round(perMs * 1000).toLocaleString("en-US");

/** A world in which the change of all lamps has begun: the first ones run, all others stand in the line of the rollout. */
function begun(before: World): World {
  const fleet = decideFleet(before).record ?? before.fleet;
  const started = { ...before, fleet };
  const records = new Map(started.records);
  const inFlight = new Set<string>();
  for (const { subject, record, act } of decide(started)) {
    if (record !== null) records.set(subject, record);
    if (act !== null) inFlight.add(subject);
  }
  const world = { ...started, records, inFlight };
  return { ...world, tally: Tally.of(world) };
}

/** Rounds of the engine in which ten hosts are found in another state, and found back in the next: touched, summed up, decided. */
function tenDirty(
  before: World,
  names: readonly string[],
  there: (name: string, index: number) => SubjectRecord,
): () => number {
  const records = new Map(before.records);
  const limits = new Limits();
  const world: World = { ...before, records, tally: limits.tally };
  const { hosts } = world.desired.loaded.repository;
  const round = (): number => {
    limits.settle(world);
    limits.decide(world);
    let woken = 0;
    for (const _name of limits.admitted(world)) woken++;
    return woken;
  };
  limits.touchAll();
  round();
  const dirty = names.map((name, index) => ({
    name,
    records: [there(name, index), before.records.get(name)] as const,
  }));
  let turn = 0;
  return () => {
    const side = turn++ % 2;
    for (const item of dirty) {
      const record = item.records[side];
      if (record) records.set(item.name, record);
      limits.touch(item.name);
    }
    let sum = round();
    for (const { name } of dirty) {
      const host = hosts.get(name);
      if (host) sum += decideSubject(world, host).plans.length;
    }
    return sum;
  };
}

/** The worlds that are measured at one size. */
interface Worlds {
  readonly size: number;
  readonly names: readonly string[];
  readonly rest: World;
  /** Every lamp is off and is to be on; nothing has begun. */
  readonly away: World;
  /** The change has begun: nearly all stand in line. */
  readonly moving: World;
}

function worldsOf(size: number): Worlds {
  const loaded = loadFleet({ hosts: size });
  const away = worldAt(loaded, "off");
  const names = [...loaded.repository.hosts.keys()];
  return { size, names, rest: worldAt(loaded, "on"), away, moving: begun(away) };
}

/** How many records would change, of all hosts. */
function decideAll(world: World): number {
  let records = 0;
  for (const host of world.desired.loaded.repository.hosts.values())
    if (decideSubject(world, host).decision.record !== null) records++;
  return records;
}

/** All hosts at once, as after a start or a commit that changes them all. */
function wholeFleet({ size, names, rest, away, moving }: Worlds): Record<"rest" | "begin" | "line" | "tally", Case[]> {
  const all = { world: rest, names, done: [size, "hosts"] } as const;
  const [quick, slow] = [{ ms: size / 100 }, { ms: size / 20 }];
  return {
    rest: [{ ...all, what: `all of ${size} at rest`, aim: quick, run: () => decideAll(rest) }],
    begin: [
      {
        ...all,
        what: `all of ${size} want to change: first look, sums and lines included`,
        aim: slow,
        run: () => decide(away),
        rounds: 3,
      },
    ],
    line: [{ ...all, what: `all of ${size} stand in line`, aim: slow, run: () => decideAll(moving) }],
    tally: [
      { ...all, what: `sums over ${size} at rest, anew`, aim: quick, run: () => Tally.of(rest) },
      { ...all, what: `sums over ${size} in line, anew`, aim: slow, run: () => Tally.of(moving) },
    ],
  };
}

/** Ten hosts of many: what they cost must not depend on how many there are. */
function tenOf({ size, rest, moving }: Worlds): Case[] {
  const ten = Array.from({ length: 10 }, (_, index) => Math.floor((index * size) / 10) + 3);
  const names = ten.map(hostName);
  const found = (state: string) => (_name: string, index: number) => recordOf(ten[index] ?? 0, state, 3);
  const few = { world: rest, names, done: [10, "hosts"], aim: { ms: 1 } } as const;
  return [
    { ...few, what: `10 of ${size} dirty, all others at rest`, run: tenDirty(rest, names, found("off")) },
    { ...few, what: `10 of ${size} dirty, all others in line`, run: tenDirty(moving, names, found("on")) },
  ];
}

/** Answers to one person's question. */
function answers({ size, names, away, moving }: Worlds): Record<"why" | "what-if", Case[]> {
  const last = hostName(size - 1);
  const one = { world: away, names, done: [1, null], aim: { ms: 1000 } } as const;
  const asks = (what: string, world: World, [host, word]: readonly [string, string | null]): Case => ({
    ...one,
    what,
    run: () => whyView(world, host, word),
    rounds: word === null ? 3 : 0,
  });
  return {
    why: [
      asks(`why, of one behind a guard over ${size}`, away, [waiter(), null]),
      asks(`why, of the last in a line of ${size}`, moving, [last, null]),
    ],
    "what-if": [
      asks(`what if, of one behind a guard over ${size}`, away, [waiter(), `release ${waiter()}`]),
      asks(`what if, of the last in a line of ${size}`, moving, [last, `retry ${last}`]),
    ],
  };
}

function played({ size, names, away }: Worlds): Case[] {
  // Every lamp is switched on, and then the one that waits for them goes on.
  const moves = size + 1;
  const run = (): void => {
    const played = simulate(away);
    if (played.moves.length !== moves || played.stuck.length > 0) throw new Error("it does not come to its end");
  };
  const what = `a change of all ${size}, played to its end`;
  return [{ what, world: away, names, done: [moves, "transitions"], aim: { ms: size / 10 }, run, rounds: 0 }];
}

const rows: string[] = [];
for (const size of sizes) {
  console.error(`${size} hosts ...`);
  const worlds = worldsOf(size);
  const cases = {
    ...wholeFleet(worlds),
    ten: tenOf(worlds),
    ...answers(worlds),
    simulate: played(worlds),
  };
  for (const [name, list] of Object.entries(cases)) {
    if (!name.startsWith(only)) continue;
    for (const one of list) {
      rows.push(measure(one));
      console.error(`  ${rows.at(-1)}`);
    }
  }
}
if ("wake".startsWith(only)) for (const size of sizes) rows.push(...(await wakeUps(size)));
console.log("| what | bare loop | Stateward | ratio | aimed at | |");
console.log("|---|---|---|---|---|---|");
for (const row of rows) console.log(row);
if (sink === noon) console.error("");
