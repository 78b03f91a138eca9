// What would happen to a host if a person said a word now: the word is applied to a copy of the world, and the plan is played forward.
import { Failure } from "../model/failure.ts";
import { patched } from "../model/patched-map.ts";
import type { WhyView } from "../model/ports.ts";
import type { FleetRecord } from "../model/record.ts";
import { covers, parseSelector, selectorText } from "./holds.ts";
import { outOfQuarantine } from "./recovery.ts";
import { simulate } from "./simulate.ts";
import { Tally } from "./tally.ts";
import { why } from "./why.ts";
import type { World } from "./world.ts";

/** Transitions of all hosts that are played for one answer: so many take about a second, and whoever asks keeps others waiting. */
const movesMax = 2000;

type WhatIf = NonNullable<WhyView["whatIf"]>;

/** The answer to `release git-1`, `hold group/web`, `retry git-1` or `brake release`. Throws a Failure for another word. */
export function whatIf(world: World, name: string, word: string): WhatIf {
  const changed = withWord(world, word);
  const played = simulate(changed, { until: name, movesMax });
  const stuck = played.stuck.some(({ subject }) => subject === name);
  const moves = played.moves.filter(({ subject }) => subject === name);
  const arrives = !stuck;
  const afterMs = arrives ? Math.max(0, ...moves.map(({ atMs, ms }) => atMs + ms)) : null;
  const causes = arrives ? [] : (why(played.world, name) ?? []);
  return {
    word,
    arrives,
    isCut: played.isCut,
    afterMs,
    moves: moves.map(({ machine, from, to, atMs }) => ({ machine, from, to, atMs })),
    causes,
  };
}

/** A world in which the word was said. */
export function withWord(world: World, word: string): World {
  const [verb = "", what = ""] = word.trim().split(/\s+(.*)/s);
  const { repository } = world.desired.loaded;
  if (verb === "brake" && what === "release") {
    const released = { at: new Date(world.now).toISOString(), by: "what-if", reason: "" };
    return anew({ ...world, isRestart: false }, { ...world.fleet, braked: null, released });
  }
  const selector = parseSelector(what, repository);
  if (selector === null || !["release", "hold", "retry"].includes(verb)) {
    throw new Failure("invalid", `cannot tell what would be if: ${word}`, {
      reason: "Usage",
      hint: "say release HOST, hold HOST, retry HOST or brake release; for HOST also group/NAME, region/NAME or fleet",
    });
  }
  const select = selectorText(selector);
  const hosts = [...repository.hosts.values()].filter((host) => covers(select, host, repository.groups));
  const names = new Set(hosts.map((host) => host.name));
  if (verb === "hold") {
    const at = new Date(world.now).toISOString();
    return anew(world, {
      ...world.fleet,
      holds: [...world.fleet.holds, { select, reason: "what-if", by: "what-if", at, until: null }],
    });
  }
  if (verb === "retry") {
    const records = new Map(
      [...world.records].map(([name, record]) => [name, names.has(name) ? retried(record) : record]),
    );
    return anew({ ...world, records }, world.fleet);
  }
  const free = new Map(hosts.filter(({ hold }) => hold !== null).map((host) => [host.name, { ...host, hold: null }]));
  const loaded = { ...world.desired.loaded, repository: { ...repository, hosts: patched(repository.hosts, free) } };
  const holds = world.fleet.holds.filter(
    (hold) => hold.select !== select && !(selector.kind === "host" && hold.select === what),
  );
  return anew({ ...world, desired: { ...world.desired, loaded } }, { ...world.fleet, holds });
}

function retried(record: Parameters<typeof outOfQuarantine>[0]): ReturnType<typeof outOfQuarantine> {
  const machines = Object.entries(record.machines).map(([name, entry]) => {
    const { upkeep: _upkeep, ...rest } = entry;
    return [name, { ...rest, attempt: null, unsteady: null, once: {} }];
  });
  return outOfQuarantine({ ...record, machines: Object.fromEntries(machines) });
}

function anew(world: World, fleet: FleetRecord): World {
  const whole = { ...world, fleet };
  return { ...whole, tally: Tally.of(whole) };
}
