// What is going to happen, drawn from a seed before anything does: a list of acts that can be made shorter without changing the others.
// The weights of the faults change from seed to seed (swarm testing: Groce et al., "Swarm Testing", ISSTA 2012).
import type { StepChances } from "./hosts.ts";
import { Random } from "./random.ts";
import { rareOf, withPast } from "./staged.ts";
import {
  type HostSketch,
  type MachineSketch,
  type RepositorySketch,
  randomHost,
  randomRepository,
  targetsOf,
} from "./state-repository.ts";

export type Act =
  | {
      readonly kind: "kill" | "cut-power" | "lose" | "stop" | "pause" | "start";
      readonly process: number;
      readonly forMs: number;
    }
  | { readonly kind: "clock-jump"; readonly process: number; readonly byMs: number }
  | { readonly kind: "disk-full"; readonly process: number; readonly forMs: number }
  | { readonly kind: "cut-off" | "half-open" | "slow"; readonly process: number; readonly forMs: number }
  | { readonly kind: "remote-down"; readonly forMs: number }
  /** `back`: so many commits; the branch is put back after a while, or a person accepts it. */
  | {
      readonly kind: "rewind";
      readonly branch: "main" | "observed";
      readonly back: number;
      readonly forMs: number;
      readonly accepts: boolean;
    }
  | { readonly kind: "host-down" | "host-cut-off" | "host-reboot"; readonly host: string; readonly forMs: number }
  | { readonly kind: "region-down"; readonly region: string; readonly rebuilds: boolean; readonly forMs: number }
  | { readonly kind: "rebuild" | "fall" | "sick"; readonly host: string }
  /** A report that was sent before, or one of an earlier life. */
  | { readonly kind: "old-report"; readonly host: string; readonly ofFormer: boolean }
  | {
      readonly kind: "retarget";
      readonly hosts: readonly string[];
      readonly target: string;
      readonly acknowledges: boolean;
    }
  | { readonly kind: "bad-commit"; readonly host: string; readonly how: "state" | "guard" | "key" }
  | { readonly kind: "remove"; readonly hosts: readonly string[] }
  | { readonly kind: "add"; readonly host: HostSketch }
  /** `shorter`: with a way from the first state to `up` at once, too. */
  | { readonly kind: "redefine"; readonly machine: string; readonly shorter: boolean }
  | { readonly kind: "hold"; readonly select: string; readonly by: string; readonly forMs: number }
  | { readonly kind: "approve"; readonly guess: boolean }
  | { readonly kind: "release-brake" }
  | { readonly kind: "verdict"; readonly word: "retry" | "skip" | "replay"; readonly host: string }
  | { readonly kind: "update"; readonly key: string; readonly times: number };

export interface Timed {
  readonly at: number;
  readonly act: Act;
}

export interface ProcessSketch {
  readonly skewMs: number;
  readonly rate: number;
  readonly linkMs: number;
}

export interface Scenario {
  readonly seed: string;
  readonly isLiveness: boolean;
  readonly repository: RepositorySketch;
  readonly processes: readonly ProcessSketch[];
  readonly steps: StepChances;
  readonly lost: number;
  readonly twice: number;
  /** Faults and people act for so long. */
  readonly actsMs: number;
  readonly script: readonly Timed[];
}

const faultKinds = [
  "kill",
  "cut-power",
  "lose",
  "stop",
  "pause",
  "clock-jump",
  "disk-full",
  "cut-off",
  "half-open",
  "slow",
  "remote-down",
  "rewind",
  "host-down",
  "host-cut-off",
  "host-reboot",
  "region-down",
  "rebuild",
  "fall",
  "sick",
  "old-report",
] as const;
const peopleKinds = [
  "retarget",
  "bad-commit",
  "remove",
  "add",
  "redefine",
  "hold",
  "approve",
  "release-brake",
  "verdict",
  "update",
] as const;

type Kind = Act["kind"];

export function scenarioOf(seed: string, isLiveness: boolean): Scenario {
  const random = new Random(seed);
  const size = random.of("size");
  const hostCount = size.chance(0.01) ? size.whole(50, 200) : size.whole(5, 9);
  const processCount = size.chance(0.5) ? 2 : size.whole(2, 5);
  const drawn = randomRepository(random.of("repository"), hostCount);
  const usualMs = size.whole(60, 240) * 1000;
  const rare = rareOf(random.of("rare"), drawn, processCount);
  const repository = rare?.repository ?? drawn;
  const actsMs = Math.max(usualMs, rare?.actsMs ?? 0);
  const rates = random.of("rates");
  const sometimes = (most: number): number => (rates.chance(0.5) ? 0 : rates.next() * most);
  return withPast(random, {
    seed,
    isLiveness,
    repository,
    processes: Array.from({ length: processCount }, (_, index) => processSketch(random.of(`process-${index}`))),
    steps: {
      fails: sometimes(0.3),
      hangs: sometimes(0.1),
      unheard: sometimes(0.2),
      late: sometimes(0.2),
      meanMs: rates.pick([200, 1000, 4000]),
    },
    lost: sometimes(0.15),
    twice: sometimes(0.3),
    actsMs,
    script: [...scriptOf(random, { repository, processCount, actsMs: usualMs }), ...(rare?.script ?? [])].toSorted(
      (a, b) => a.at - b.at,
    ),
  });
}

function processSketch(random: Random): ProcessSketch {
  return {
    skewMs: random.chance(0.3) ? random.whole(-120_000, 120_000) : 0,
    rate: random.chance(0.3) ? 1 + (random.next() - 0.5) * 0.02 : 1,
    linkMs: random.pick([5, 20, 200]),
  };
}

interface Stage {
  readonly repository: RepositorySketch;
  readonly processCount: number;
  readonly actsMs: number;
}

function scriptOf(random: Random, stage: Stage): Timed[] {
  const swarm = random.of("swarm");
  const weights = new Map<Kind, number>();
  for (const kind of faultKinds) weights.set(kind, swarm.chance(0.4) ? swarm.next() : 0);
  for (const kind of peopleKinds) weights.set(kind, swarm.chance(0.6) ? swarm.next() : 0);
  const count = swarm.whole(3, 25);
  // Now and then a few kinds alone, so that one follows upon the other often.
  if (swarm.chance(0.15)) {
    const few = new Set<Kind>(swarm.some([...faultKinds, ...peopleKinds, "retarget", "rebuild"], 4));
    for (const kind of weights.keys()) weights.set(kind, few.has(kind) ? 1 : 0);
  }
  const total = [...weights.values()].reduce((sum, weight) => sum + weight, 0);
  if (total === 0) return [];
  const draw = (at: Random): Kind => {
    let left = at.next() * total;
    for (const [kind, weight] of weights) {
      left -= weight;
      if (left < 0) return kind;
    }
    return "update";
  };
  const script = Array.from({ length: count }, (_, index): Timed => {
    const own = random.of(`act-${index}`);
    return { at: own.whole(0, stage.actsMs), act: actOf(draw(own), own, { ...stage, index }) };
  });
  return script.toSorted((a, b) => a.at - b.at);
}

// oxlint-disable-next-line max-lines-per-function -- a table: one line a kind
function actOf(
  kind: Kind,
  random: Random,
  { repository, processCount, index }: Stage & { readonly index: number },
): Act {
  const host = random.pick(repository.hosts).name;
  const process = random.whole(0, processCount - 1);
  const forMs = random.pick([random.around(3000), random.around(30_000), random.around(120_000)]);
  const several = random
    .some(repository.hosts, random.pick([1, 1, 2, 3, 4, repository.hosts.length]))
    .map(({ name }) => name);
  switch (kind) {
    case "kill":
    case "cut-power":
    case "lose":
    case "stop":
    case "pause":
    case "start":
      return { kind, process, forMs };
    case "clock-jump":
      return { kind, process, byMs: random.pick([-60_000, 60_000, 3_600_000]) };
    case "disk-full":
    case "cut-off":
    case "half-open":
    case "slow":
      return { kind, process, forMs };
    case "remote-down":
      return { kind, forMs };
    case "rewind":
      return {
        kind,
        branch: random.pick(["main", "observed"]),
        back: random.whole(1, 3),
        forMs,
        accepts: random.chance(0.5),
      };
    case "host-down":
    case "host-cut-off":
    case "host-reboot":
      return { kind, host, forMs };
    case "region-down":
      return { kind, region: random.pick(["east", "west"]), rebuilds: random.chance(0.5), forMs };
    case "rebuild":
    case "fall":
    case "sick":
      return { kind, host };
    case "old-report":
      return { kind, host, ofFormer: random.chance(0.5) };
    case "retarget":
      return {
        kind,
        hosts: several,
        target: random.pick(["up", "alt", "rest", "alt", "rest", "shut"]),
        acknowledges: random.chance(0.3),
      };
    case "bad-commit":
      return { kind, host, how: random.pick(["state", "guard", "key"]) };
    case "remove":
      return { kind, hosts: several };
    case "add":
      return { kind, host: randomHost(random, `n${index}`, repository) };
    case "redefine":
      return { kind, machine: random.pick(repository.machines).name, shorter: random.chance(0.5) };
    case "hold":
      return { kind, select: selectorOf(random, repository), by: random.pick(["ana", "ben"]), forMs };
    case "approve":
      return { kind, guess: random.chance(0.2) };
    case "release-brake":
      return { kind };
    case "verdict":
      return { kind, word: random.pick(["retry", "skip", "replay"]), host };
    case "update":
      return { kind, key: `key-${index}`, times: random.whole(1, 3) };
  }
}

/** What the command line takes: a host, `group/NAME`, `region/NAME`, `fleet`; and names of nobody (B4). */
function selectorOf(random: Random, { hosts, groups }: RepositorySketch): string {
  return random.pick([
    random.pick(hosts).name,
    random.pick(hosts).name,
    `group/${random.pick(groups).name}`,
    "region/east",
    "fleet",
    "group/nobody",
    "region/atlantis",
  ]);
}

/** Targets that a machine has; a target that it has not is left out of a commit. */
export function hasTarget(machine: MachineSketch, state: string): boolean {
  return targetsOf(machine).includes(state);
}
