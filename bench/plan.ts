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

/** What is aimed at: so many times the bare loop, or so many milliseconds. */
interface Aim {
  readonly times?: number;
  readonly ms?: number;
}

interface Case {
  readonly what: string;
  readonly aim: Aim;
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
  // The first round is for the compiler.
  for (let round = 0; round <= rounds; round++)
    times.push({ floor: once(() => bareLoop(world, names)), ours: once(run) });
  const kept = times.slice(rounds > 0 ? 1 : 0);
  const floor = median(kept.map((time) => time.floor));
  const ours = median(kept.map((time) => time.ours));
  const ratio = ours / floor;
  const met = (aim.times === undefined || ratio <= aim.times) && (aim.ms === undefined || ours <= aim.ms);
  const text = (time: number): string =>
    unit === null
      ? ms(time)
      : `${rate(count / time)} ${unit}/s (${time < 1 ? `${Math.round(time * 1000)} us` : ms(time)})`;
  const aims = [
    ...(aim.times === undefined ? [] : [`at most ${aim.times} times`]),
    ...(aim.ms === undefined ? [] : [`at most ${aim.ms} ms`]),
  ].join(", ");
  return `| ${what} | ${text(floor)} | ${text(ours)} | ${ratio < 10 ? ratio.toFixed(1) : Math.round(ratio)} | ${aims} | ${met ? "met" : "missed"} |`;
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
    let let_through = 0;
    for (const _name of limits.admitted(world)) let_through++;
    return let_through;
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

function casesAt(size: number): readonly (readonly [string, () => Case[]])[] {
  const loaded = loadFleet({ hosts: size });
  const [rest, away] = [worldAt(loaded, "on"), worldAt(loaded, "off")];
  const moving = begun(away);
  const hosts = [...loaded.repository.hosts.values()];
  const names = hosts.map(({ name }) => name);
  const ten = Array.from({ length: 10 }, (_, index) => Math.floor((index * size) / 10) + 3);
  const tenNames = ten.map(hostName);
  const all = { world: rest, names, done: [size, "hosts"] } as const;
  const few = { world: rest, names: tenNames, done: [10, "hosts"] } as const;
  const answer = { world: away, names, done: [1, null], rounds: 3 } as const;
  const decideAll = (world: World) => (): number => {
    let records = 0;
    for (const host of hosts) if (decideSubject(world, host).decision.record !== null) records++;
    return records;
  };
  const last = hostName(size - 1);
  return [
    ["rest", () => [{ ...all, what: `all of ${size} at rest`, aim: { times: 30 }, run: decideAll(rest) }]],
    [
      "begin",
      () => [
        {
          ...all,
          what: `all of ${size} want to change: the first look, sums and lines included`,
          aim: { times: 150 },
          run: () => decide(away),
          rounds: 3,
        },
      ],
    ],
    [
      "line",
      () => [
        { ...all, what: `all of ${size} want to change and stand in line`, aim: { times: 75 }, run: decideAll(moving) },
      ],
    ],
    [
      "ten",
      () => [
        {
          ...few,
          what: `10 of ${size} dirty, all others at rest`,
          aim: { times: 300 },
          run: tenDirty(rest, tenNames, (_name, index) => recordOf(ten[index] ?? 0, "off", 3)),
        },
        {
          ...few,
          what: `10 of ${size} dirty, all others in line`,
          aim: { times: 300 },
          run: tenDirty(moving, tenNames, (_name, index) => recordOf(ten[index] ?? 0, "on", 3)),
        },
      ],
    ],
    [
      "tally",
      () => [
        { ...all, what: `sums of ${size} at rest, from the beginning`, aim: { times: 30 }, run: () => Tally.of(rest) },
        {
          ...all,
          what: `sums of ${size} in line, from the beginning`,
          aim: { times: 75 },
          run: () => Tally.of(moving),
        },
      ],
    ],
    [
      "why",
      () => [
        {
          ...answer,
          what: `why, of one behind a guard over ${size}`,
          aim: { ms: 1000 },
          run: () => whyView(away, waiter(), null),
        },
        {
          ...answer,
          what: `why, of the last in the line of ${size}`,
          aim: { ms: 1000 },
          run: () => whyView(moving, last, null),
        },
      ],
    ],
    [
      "what-if",
      () => [
        {
          ...answer,
          what: `what if the one behind a guard over ${size} were released`,
          aim: { ms: 1000 },
          run: () => whyView(away, waiter(), `release ${waiter()}`),
          rounds: 1,
        },
        {
          ...answer,
          what: `what if the last in the line of ${size} were held`,
          aim: { ms: 1000 },
          run: () => whyView(moving, last, `hold ${last}`),
          rounds: 1,
        },
      ],
    ],
    [
      "simulate",
      () => [
        {
          ...all,
          done: [simulated(away), "transitions"],
          what: `a change of all ${size}, played to its end`,
          aim: { ms: size / 20 },
          run: () => simulate(away),
          rounds: 1,
        },
      ],
    ],
  ];
}

function simulated(world: World): number {
  const { moves, stuck } = simulate(world);
  if (stuck.length > 0) throw new Error(`it ends with ${stuck.length} that do not arrive`);
  return moves.length;
}

const rows: string[] = [];
for (const size of sizes) {
  console.error(`${size} hosts ...`);
  for (const [name, cases] of casesAt(size)) {
    if (!name.startsWith(only)) continue;
    for (const one of cases()) {
      const row = measure(one);
      console.error(`  ${row}`);
      rows.push(row);
    }
  }
}
if ("wake".startsWith(only)) for (const size of sizes) rows.push(...(await wakeUps(size)));
console.log("| what | bare loop | Stateward | ratio | aimed at | |");
console.log("|---|---|---|---|---|---|");
for (const row of rows) console.log(row);
if (sink === noon) console.error("");
