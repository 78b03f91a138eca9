// What is going to happen, drawn from a seed before anything does: a list of acts that can be made shorter without changing the others.
// The weights of the faults change from seed to seed (swarm testing: Groce et al., "Swarm Testing", ISSTA 2012).
import type { StepChances } from "./hosts.ts";
import { Random } from "./random.ts";
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

interface Rare {
  readonly repository: RepositorySketch;
  readonly actsMs: number;
  readonly script: readonly Timed[];
}

/** What chance alone brings about too seldom to judge anything by it: it is staged in some seeds, beside everything else. */
function rareOf(random: Random, repository: RepositorySketch, processCount: number): Rare | null {
  if (random.chance(0.04)) return isolation(random, repository, processCount);
  return random.chance(0.08) ? silence(random, repository) : null;
}

/** Reconcilers are cut off for longer than one may go on by itself (D3). */
function isolation(random: Random, repository: RepositorySketch, processCount: number): Rare {
  const script = Array.from({ length: random.whole(1, processCount) }, (_, process): Timed => {
    const kind = random.pick(["cut-off", "half-open"] as const);
    return { at: random.whole(2000, 30_000), act: { kind, process, forMs: random.whole(400_000, 900_000) } };
  });
  // Something to do, all the time, that needs no person's word.
  const machines = repository.machines.map((machine) => ({
    ...machine,
    drift: "correct" as const,
    recovery: "replay" as const,
    transitions: machine.transitions.map((transition) => ({
      ...transition,
      steps: transition.steps.map((step) => ({ ...step, repeat: "always" as const })),
    })),
  }));
  const busy = Array.from({ length: 15 }, (_, index): Timed => {
    const host = random.pick(repository.hosts).name;
    return {
      at: 30_000 * (index + 2) + random.whole(0, 20_000),
      act: { kind: random.pick(["fall", "rebuild"]), host },
    };
  });
  return {
    repository: { ...repository, machines },
    actsMs: random.whole(600, 900) * 1000,
    script: [...script, ...busy],
  };
}

/** Many hosts that would be replaced are silent for long, and come back as they were (B2); the others are to be moved. */
function silence(random: Random, repository: RepositorySketch): Rare {
  const machines = repository.machines.map((machine) =>
    machine.name === "beacon" ? machine : { ...machine, recovery: "replace" as const },
  );
  const brakes = { ...(repository.settings.brakes as object), max_lost: 3 };
  const at = random.whole(20_000, 60_000);
  const script = ["east", "west"].map((region): Timed => {
    const forMs = random.whole(90_000, 200_000);
    return { at: at + random.whole(0, 20_000), act: { kind: "region-down", region, rebuilds: false, forMs } };
  });
  const settings = { ...repository.settings, brakes };
  // The others are to be taken down meanwhile (B1).
  const moves = ["rest", "alt"].map((target): Timed => {
    const hosts = repository.hosts.filter(() => random.chance(0.6)).map(({ name }) => name);
    return { at: at + random.whole(30_000, 70_000), act: { kind: "retarget", hosts, target, acknowledges: true } };
  });
  return {
    repository: { ...repository, machines, settings, maxLost: 3 },
    actsMs: at + 240_000,
    script: [...(random.chance(0.3) ? script : script.slice(0, 1)), ...moves],
  };
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

/** Most fleets are older than their troubles: time in which hosts come up, before anything happens. */
const comeUpMs = 180_000;
const legMs = 40_000;

/** Now and then the acts begin when the hosts have come up; of these, some are round trips besides. */
function withPast(random: Random, scenario: Scenario): Scenario {
  const trip = random.of("round-trip");
  const isTrip = trip.chance(0.12);
  if (!isTrip && !random.of("come-up").chance(0.15)) return scenario;
  const script = scenario.script.map((timed): Timed => ({ ...timed, at: comeUpMs + timed.at }));
  const later = { ...scenario, actsMs: comeUpMs + scenario.actsMs, script };
  return isTrip ? withRoundTrip(trip, later) : later;
}

/** A few hosts are led to and fro, and then rebuilt, so that what was applied has a loop to be left out (R4). The other acts come in between. */
function withRoundTrip(random: Random, { actsMs, script, ...scenario }: Scenario): Scenario {
  const hosts = random.some(scenario.repository.hosts, random.whole(1, 3)).map(({ name }) => name);
  const legs = random.whole(2, 5);
  const at = (leg: number): number => comeUpMs + leg * legMs;
  const trip = Array.from({ length: legs }, (_, leg): Timed => {
    const target = leg % 2 === 0 ? "alt" : "rest";
    return { at: at(leg), act: { kind: "retarget", hosts, target, acknowledges: true } };
  });
  const rebuilds = hosts.map((host): Timed => ({ at: at(legs), act: { kind: "rebuild", host } }));
  return {
    ...scenario,
    actsMs: Math.max(actsMs, at(legs + 1)),
    script: [...script, ...trip, ...rebuilds].toSorted((a, b) => a.at - b.at),
  };
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
