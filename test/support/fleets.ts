// Random fleets for properties: a sketch is plain data that shrinks well, and becomes a repository, records, reports and a world.
import * as fc from "fast-check";
import { findPath } from "../../reconciler/model/graph.ts";
import type { DesiredCommit } from "../../reconciler/model/ports.ts";
import { formatProblem, hasErrors } from "../../reconciler/model/problem.ts";
import {
  type Attempt,
  emptyFleet,
  type FleetHold,
  freshMachine,
  type MachineRecord,
  type SubjectRecord,
  withUpkeep,
} from "../../reconciler/model/record.ts";
import type { HostReport } from "../../reconciler/model/report.ts";
import { RepositoryLoader } from "../../reconciler/model/repository.ts";
import type { Machine, Repository, SourceFile } from "../../reconciler/model/types.ts";
import { worldOf } from "../../reconciler/plan/tally.ts";
import { definitionOf } from "../../reconciler/plan/transition.ts";
import type { World } from "../../reconciler/plan/world.ts";
import { applied, commit, noon, record, report } from "./world.ts";

type AmountText = number | string;

export interface RolloutSketch {
  readonly max_unavailable: AmountText;
  readonly order: readonly string[];
  readonly canary: number;
  readonly waves: readonly AmountText[];
  readonly soak: string;
  readonly max_failures: number;
  readonly paused: boolean;
}

interface StateSketch {
  readonly available: boolean;
  readonly steps: number;
  readonly governed: boolean;
}

export type Heard = "yes" | "unreachable" | "never" | "silent" | "rebuilt" | "new";
export type Trouble = "none" | "failed" | "exhausted" | "running" | "flying" | "replay" | "fell";

interface CarriedSketch {
  readonly target: number | null;
  readonly state: number;
  readonly trouble: Trouble;
}

export interface HostSketch {
  readonly region: string | null;
  readonly groups: readonly boolean[];
  readonly agent: boolean;
  readonly carried: readonly CarriedSketch[];
  readonly heard: Heard;
  readonly held: "no" | "yes" | "for a while";
  /** How many minutes ago it was lost and replaced; null when it never was. */
  readonly lostAgo: number | null;
}

export interface FleetSketch {
  readonly machines: readonly (readonly StateSketch[])[];
  readonly hosts: readonly HostSketch[];
  /** A rollout of its own, or none, for each group `g0`, `g1`, ... */
  readonly groups: readonly (RolloutSketch | null)[];
  readonly rollout: RolloutSketch;
  readonly atOnce: AmountText;
  readonly permits: number;
  readonly parallel: number;
  /** Group whose hosts a machine's second state waits for; null for no barrier. */
  readonly barrier: { readonly group: number; readonly count: AmountText; readonly within: string | null } | null;
  readonly holds: readonly { readonly select: string; readonly minutes: number | null }[];
}

/** What happens in the middle of a play. */
export interface Turn {
  /** After so many changes. */
  readonly after: number;
  /** By how much each host's targets move on, in turn. */
  readonly shifts: readonly number[];
  readonly rollout: RolloutSketch | null;
  readonly isRedefined: boolean;
  /** Hosts that are not heard any more, and such that are held from then on. */
  readonly gone: readonly number[];
  readonly held: readonly number[];
}

export const amount: fc.Arbitrary<AmountText> = fc.constantFrom<AmountText[]>(
  1,
  0,
  2,
  3,
  "10%",
  "34%",
  "50%",
  "100%",
  "2/3",
);

export const rolloutSketch: fc.Arbitrary<RolloutSketch> = fc.record({
  max_unavailable: amount,
  // Parts of one order: rollouts that contradict each other about it can never both be kept.
  order: fc.constantFrom<string[][]>([], ["east"], ["east", "west"]),
  canary: fc.constantFrom(1, 0, 2),
  waves: fc.array(amount, { minLength: 1, maxLength: 2 }),
  soak: fc.constantFrom("0s", "30s"),
  max_failures: fc.constantFrom(0, 1, 2),
  paused: fc.constant(false),
});

const stateSketch: fc.Arbitrary<StateSketch> = fc.record({
  available: fc.boolean(),
  steps: fc.constantFrom(1, 0, 2),
  governed: fc.boolean(),
});

/** The first value mostly, any of the others one time in `times`. */
export function mostly<T>(usual: T, others: readonly T[], times = 6): fc.Arbitrary<T> {
  if (others.length === 0) return fc.constant(usual);
  return fc.oneof(
    { weight: times, arbitrary: fc.constant(usual) },
    { weight: 1, arbitrary: fc.constantFrom(...others) },
  );
}

export interface FleetOptions {
  readonly heard?: readonly Heard[];
  readonly troubles?: readonly Trouble[];
  readonly held?: readonly HostSketch["held"][];
  readonly hostsMax?: number;
}

const hostSketch = ({ heard, troubles, held }: FleetOptions): fc.Arbitrary<HostSketch> =>
  fc.record({
    region: fc.constantFrom(null, "east", "west"),
    groups: fc.array(fc.boolean(), { minLength: 3, maxLength: 3 }),
    agent: fc.boolean(),
    carried: fc.array(
      fc.record({
        target: mostly<number | null>(1, [null, 0, 2, 3, 4], 2),
        state: fc.nat({ max: 4 }),
        trouble: mostly<Trouble>("none", troubles ?? ["failed", "exhausted", "running", "flying", "replay", "fell"]),
      }),
      { minLength: 2, maxLength: 2 },
    ),
    heard: mostly<Heard>("yes", heard ?? ["unreachable", "never", "silent", "rebuilt", "new"]),
    held: mostly<HostSketch["held"]>("no", held ?? ["yes", "for a while"], 9),
    lostAgo: mostly<number | null>(null, [1, 5, 20]),
  });

export const fleetSketch = (options: FleetOptions = {}): fc.Arbitrary<FleetSketch> =>
  fc.record({
    machines: fc.array(fc.array(stateSketch, { minLength: 2, maxLength: 5 }), { minLength: 1, maxLength: 2 }),
    hosts: fc.array(hostSketch(options), { minLength: 1, maxLength: options.hostsMax ?? 30, size: "medium" }),
    groups: fc.array(fc.option(rolloutSketch), { maxLength: 3 }),
    rollout: rolloutSketch,
    atOnce: amount,
    permits: fc.constantFrom(1, 2),
    parallel: fc.constantFrom(50, 1, 3),
    barrier: fc.option(fc.record({ group: fc.nat({ max: 2 }), count: amount, within: fc.constantFrom(null, "3m") }), {
      freq: 4,
    }),
    holds:
      options.held?.length === 0
        ? fc.constant([])
        : fc.array(
            fc.record({
              select: fc.constantFrom("group/g0", "region/west", "host/h00", "group/nobody"),
              minutes: options.held?.includes("for a while") === false ? fc.constant(null) : fc.constantFrom(null, 2),
            }),
            { maxLength: 1 },
          ),
  });

export const turn: fc.Arbitrary<Turn> = fc.record({
  after: fc.nat({ max: 60 }),
  shifts: fc.array(fc.nat({ max: 3 }), { minLength: 1, maxLength: 5 }),
  rollout: fc.option(rolloutSketch),
  isRedefined: fc.boolean(),
  gone: fc.array(fc.nat({ max: 29 }), { maxLength: 3 }),
  held: fc.array(fc.nat({ max: 29 }), { maxLength: 2 }),
});

export const hostName = (index: number): string => `h${String(index).padStart(2, "0")}`;

/** The files of a sketch, as values by path. */
export function filesOf(sketch: FleetSketch, isRedefined = false): Record<string, unknown> {
  const files: Record<string, unknown> = {
    "stateward.yaml": {
      parallel: sketch.parallel,
      rollout: { ...sketch.rollout, at_once: sketch.atOnce },
      governors: { gov: sketch.permits },
    },
  };
  for (const index of sketch.machines.keys()) files[`machines/m${index}.yaml`] = machineOf(sketch, index, isRedefined);
  for (const [index, rollout] of sketch.groups.entries())
    files[`hosts/g${index}.yaml`] = {
      group: `g${index}`,
      select: `host.labels.g${index} == "y"`,
      ...(rollout === null ? {} : { rollout }),
    };
  for (const [index, host] of sketch.hosts.entries())
    files[`hosts/${hostName(index)}.yaml`] = hostOf(sketch, hostName(index), host);
  return files;
}

/** Steps run on the reconciler's machine, so that hosts with agents take them too. A line of states, each entered from its neighbours, with a way from the last one back to the first. */
function machineOf({ machines, barrier, groups }: FleetSketch, index: number, isRedefined: boolean): object {
  const states = machines[index] ?? [];
  const count = states.length;
  const entries = states.map(({ available, steps, governed }, at): [string, object] => {
    const from = [...new Set([at - 1, at + 1, at === 0 ? count - 1 : -1])].filter(
      (n) => n >= 0 && n < count && n !== at,
    );
    const enter = {
      from: from.map((n) => `s${n}`),
      ...(governed ? { governors: ["gov"] } : {}),
      steps: Array.from({ length: steps }, (_, step) => ({
        name: `to-s${at}-${step}`,
        run: `go ${isRedefined}`,
        on: "controller",
      })),
    };
    const waits =
      barrier !== null && index === 0 && at === 1 && barrier.group < groups.length
        ? {
            barrier: {
              group: `g${barrier.group}`,
              count: barrier.count,
              ...(barrier.within === null ? {} : { within: barrier.within }),
            },
          }
        : {};
    return [`s${at}`, { available, enter: [enter], ...waits }];
  });
  return {
    machine: `m${index}`,
    initial: "s0",
    states: Object.fromEntries(entries),
    // oxlint-disable-next-line unicorn/no-thenable -- a key of the format
    recovery: { then: "replace", replace: [{ run: "make it anew", on: "controller" }] },
  };
}

function hostOf({ machines, groups }: FleetSketch, name: string, host: HostSketch): object {
  const targets: Record<string, string> = {};
  const free: string[] = [];
  for (const [index, states] of machines.entries()) {
    const target = host.carried[index]?.target ?? null;
    if (target === null) free.push(`m${index}`);
    else targets[`m${index}`] = `s${target % states.length}`;
  }
  const labels = Object.fromEntries(groups.flatMap((_, index) => (host.groups[index] ? [[`g${index}`, "y"]] : [])));
  const until = new Date(noon + 90_000).toISOString();
  return {
    host: name,
    transport: host.agent ? "agent" : "local",
    ...(host.region === null ? {} : { region: host.region }),
    labels,
    targets,
    machines: free,
    ...(host.held === "no" ? {} : { hold: { reason: "disk", by: "ana", ...(host.held === "yes" ? {} : { until }) } }),
  };
}

/** A fleet in which nothing is wrong: all hosts are heard, none is held, and all targets are states that count as up. */
export function calmed(sketch: FleetSketch): FleetSketch {
  const isOrdered = [sketch.rollout, ...sketch.groups].some((rollout) => rollout !== null && rollout.order.length > 0);
  const hosts = sketch.hosts.map((host, index): HostSketch => {
    const carried = host.carried.map(({ target, state }, machine): CarriedSketch => {
      const states = sketch.machines[machine] ?? [];
      const up = states.flatMap(({ available }, at) => (available ? [at] : []));
      const pick = (wanted: number): number => up[wanted % Math.max(1, up.length)] ?? wanted;
      const isGuarded = machine === 0 && levelOf(index) > 0;
      const all = machine === 0 && levelOf(index) === 0 ? 1 : target;
      // Whoever waits for others, has nowhere to go, or is up again half way begins up: it takes no room of those that it waits for.
      const keepsOthers = isGuarded || isOrdered || all === null || up.length > 1;
      return {
        target: all === null ? null : pick(all),
        state: keepsOthers ? pick(state) : state,
        trouble: "none",
      };
    });
    return { ...host, carried, heard: "yes", held: "no", lostAgo: null };
  });
  return { ...sketch, hosts, barrier: null, holds: [] };
}

const levelOf = (index: number): number => index % 3;

/** The same files with guards on the first machine: each third host waits for the one third, the next for the two. */
export function guardedFiles(sketch: FleetSketch): Record<string, unknown> {
  const files = filesOf(sketch);
  const target = (sketch.hosts[0]?.carried[0]?.target ?? 0) % (sketch.machines[0]?.length ?? 1);
  const first = `group.l0.all(h, h.states["m0"] == "s${target}")`;
  const when = `host.labels.level == "0" || ${first} && (host.labels.level == "1" || hosts.all(h, h.labels.level != "1" || h.vars.m0 == "none" || h.states["m0"] == h.vars.m0))`;
  const machine = files["machines/m0.yaml"] as { states: Record<string, { enter: object[] }> };
  for (const state of Object.values(machine.states)) state.enter = state.enter.map((entry) => ({ ...entry, when }));
  for (const index of sketch.hosts.keys()) {
    const path = `hosts/${hostName(index)}.yaml`;
    const host = files[path] as { labels: object; targets: { m0?: string } };
    const level = String(levelOf(index));
    files[path] = { ...host, labels: { ...host.labels, level }, vars: { m0: host.targets.m0 ?? "none" } };
  }
  files["hosts/l0.yaml"] = { group: "l0", select: 'host.labels.level == "0"', rollout: { max_unavailable: "100%" } };
  return files;
}

/** The files as a commit that must be without errors; their text is never parsed, because it never was one. */
export function commitOf(files: Readonly<Record<string, unknown>>, id: string = commit): DesiredCommit {
  const loaded = new RepositoryLoader().load(sourcesOf(files));
  if (hasErrors(loaded.problems)) throw new Error(loaded.problems.map(formatProblem).join("\n"));
  return { commit: id, loaded };
}

export function sourcesOf(files: Readonly<Record<string, unknown>>): SourceFile[] {
  return Object.entries(files).map(([path, value]) => ({
    path,
    text: null,
    id: JSON.stringify(value),
    parsed: { value },
  }));
}

/** The world of a sketch as a reconciler sees it that has been listening for an hour. */
export function worldOfSketch(sketch: FleetSketch, files: Readonly<Record<string, unknown>> = filesOf(sketch)): World {
  const desired = commitOf(files);
  const { repository } = desired.loaded;
  const records = new Map<string, SubjectRecord>();
  const reports = new Map<string, HostReport>();
  const inFlight = new Set<string>();
  for (const [index, host] of sketch.hosts.entries()) {
    const name = hostName(index);
    const heard = reportOf(name, host);
    if (heard !== null) reports.set(name, heard);
    if (host.heard === "new") continue;
    records.set(name, recordOf(repository, name, host));
    if (host.carried.some(({ trouble }) => trouble === "flying") && isRunning(records.get(name))) inFlight.add(name);
  }
  const fleet = { ...emptyFleet, holds: sketch.holds.map(holdOf) };
  return worldOf({ now: noon, desired, records, reports, inFlight, fleet, listeningSince: noon - 3_600_000 });
}

function holdOf({ select, minutes }: FleetSketch["holds"][number]): FleetHold {
  const until = minutes === null ? null : at(minutes * 60_000);
  return { select, reason: "maintenance", by: "ben", at: at(-60_000), until };
}

const at = (ms: number): string => new Date(noon + ms).toISOString();

function isRunning(subject: SubjectRecord | undefined): boolean {
  return Object.values(subject?.machines ?? {}).some(({ attempt }) => attempt?.status === "running");
}

function reportOf(name: string, { heard }: HostSketch): HostReport | null {
  switch (heard) {
    case "never":
      return null;
    case "unreachable":
      return report(name, { reachable: false, message: "no route", incarnation: null, heardAt: noon, missed: 1 });
    case "silent":
      return report(name, { at: noon - 600_000 });
    case "rebuilt":
      return report(name, { incarnation: "life-two-0002" });
    case "yes":
    case "new":
      return report(name);
  }
}

function recordOf(repository: Repository, name: string, host: HostSketch): SubjectRecord {
  const machines: Record<string, MachineRecord> = {};
  let isBusy = false;
  for (const [machineName, target] of repository.hosts.get(name)?.machines ?? []) {
    const machine = repository.machines.get(machineName);
    const carried = host.carried[Number(machineName.slice(1))];
    if (machine === undefined || carried === undefined) continue;
    const entry = entryOf(machine, carried, { target, isBusy });
    isBusy ||= entry.attempt?.status === "running";
    machines[machineName] = entry;
  }
  const lostAt = host.lostAgo === null ? null : at(-host.lostAgo * 60_000);
  const lost = { silent: false, recovering: null, failed: [], quarantined: false };
  return record(
    name,
    "m0",
    {},
    {
      machines,
      ...(lostAt === null ? {} : { lost: { ...lost, at: lostAt, replacedAt: lostAt } }),
    },
  );
}

function entryOf(
  machine: Machine,
  { state: index, trouble }: CarriedSketch,
  { target, isBusy }: { readonly target: string | null; readonly isBusy: boolean },
): MachineRecord {
  const names = [...machine.states.keys()];
  const place = index % names.length;
  const state = names[place] ?? machine.initial;
  const fresh = freshMachine(state, at(-3_600_000), commit);
  const ready = { type: "Ready", status: "True", reason: "InSync", message: "", at: at(-3_600_000) } as const;
  const rested: MachineRecord = {
    ...fresh,
    revision: 3,
    applied: applied(...names.slice(1, place + 1)).map((item, step) => ({ ...item, ms: 5000 * (step + place) })),
    conditions: state === target ? [ready] : [],
  };
  const first = target === null ? undefined : findPath(machine, state, target)?.[0];
  if (trouble === "replay") return { ...rested, replay: names.slice(1), applied: [] };
  if (first === undefined || trouble === "none") return rested;
  if (trouble === "fell") return withUpkeep(rested, { fellFrom: target, falls: [at(-60_000)] });
  const runs = (trouble === "running" || trouble === "flying") && !isBusy;
  const attempt: Attempt = {
    from: first.from,
    to: first.to,
    reason: "target",
    number: trouble === "exhausted" ? 5 : 1,
    status: runs ? "running" : "failed",
    startedAt: at(-5000),
    definition: definitionOf(first),
    done: [],
    step: null,
    skipped: [],
    retryAt: runs ? null : at(4000),
    error: runs ? null : "boom",
  };
  return { ...rested, attempt };
}

/** The world in which a turn has been taken: another commit, and hosts that went silent or are held. */
export function turned(world: World, sketch: FleetSketch, change: Turn): World {
  const next = turnedSketch(sketch, change);
  const desired = commitOf(filesOf(next, change.isRedefined), "d".repeat(40));
  const reports = new Map(world.reports);
  for (const index of change.gone) {
    const name = hostName(index % sketch.hosts.length);
    const silence = { reachable: false, message: "no route", incarnation: null, heardAt: world.now, missed: 1 };
    reports.set(name, report(name, { at: world.now, ...silence }));
  }
  const holds = change.held.map((index) => ({
    select: `host/${hostName(index % sketch.hosts.length)}`,
    minutes: null,
  }));
  const fleet = { ...world.fleet, holds: [...world.fleet.holds, ...holds.map(holdOf)] };
  return worldOf({
    ...world,
    desired,
    reports,
    fleet,
    inFlight: new Set(world.inFlight),
    records: new Map(world.records),
  });
}

export function turnedSketch(sketch: FleetSketch, { shifts, rollout }: Turn): FleetSketch {
  const hosts = sketch.hosts.map((host, index) => {
    const shift = shifts[index % shifts.length] ?? 0;
    const carried = host.carried.map((item) => ({
      ...item,
      target: item.target === null ? null : item.target + shift,
    }));
    return { ...host, carried };
  });
  return { ...sketch, hosts, rollout: rollout ?? sketch.rollout };
}
