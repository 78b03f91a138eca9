// What chance brings about too seldom to judge anything by it is staged in some seeds: fleets that have come up before their troubles, hosts
// that are led to and fro, reconcilers that are cut off for long, many hosts that are silent at once.
import type { Random } from "./random.ts";
import type { Scenario, Timed } from "./scenario.ts";
import type { RepositorySketch } from "./state-repository.ts";

export interface Rare {
  readonly repository: RepositorySketch;
  readonly actsMs: number;
  readonly script: readonly Timed[];
}

/** Something rare for a seed, beside everything else; null for most. */
export function rareOf(random: Random, repository: RepositorySketch, processCount: number): Rare | null {
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

/** Most fleets are older than their troubles: time in which hosts come up, before anything happens. */
const comeUpMs = 180_000;
const legMs = 40_000;

/** Now and then the acts begin when the hosts have come up; of these, some are round trips besides. */
export function withPast(random: Random, scenario: Scenario): Scenario {
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
