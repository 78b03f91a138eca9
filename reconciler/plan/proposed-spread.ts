// How a change would spread over the fleet: its rollouts, what would keep it back, and how it goes when it is played forward. Pure.
import { amountText } from "../model/amount.ts";
import type { DesiredCommit } from "../model/ports.ts";
import type { Hindrance, ProposedMove, ProposedPlay, ProposedRollout } from "../model/proposal.ts";
import type { Host } from "../model/types.ts";
import { freedHolds, freedText, movesOf, needsApproval } from "./brakes.ts";
import { groupsOf } from "./groups.ts";
import { heldText, holdOn } from "./holds.ts";
import type { Ways } from "./proposed-ways.ts";
import { rolloutState, scopeText, wavesOf } from "./rollout.ts";
import { type Stuck, simulate } from "./simulate.ts";
import { changeOf, scopesOf, specOf } from "./standing.ts";
import { Tally } from "./tally.ts";
import { windowFor } from "./windows.ts";
import type { World } from "./world.ts";

/** The rollouts that the hosts which move are part of, by scope. */
export function rolloutsOf(world: World, moves: readonly ProposedMove[]): ProposedRollout[] {
  const { repository } = world.desired.loaded;
  const sizes = new Map<string, { machine: string; to: string; hosts: number }>();
  for (const { kind, machine, to, names } of moves) {
    if (kind !== "host") continue;
    for (const name of names) {
      for (const scope of scopesOf(repository, name, changeOf(machine, to))) {
        const size = sizes.get(scope) ?? { machine, to, hosts: 0 };
        size.hosts++;
        sizes.set(scope, size);
      }
    }
  }
  return [...sizes.keys()].toSorted().map((scope) => {
    const { machine = "", to = "", hosts = 0 } = sizes.get(scope) ?? {};
    const { canary, soakMs, maxUnavailable, maxFailures, order, ...spec } = specOf(repository, scope);
    const owner = scope.slice(0, scope.indexOf("/"));
    return {
      scope,
      group: owner === "fleet" ? null : owner,
      machine,
      to,
      hosts,
      waves: wavesOf({ canary, waves: spec.waves }, hosts),
      canary: Math.min(canary, hosts),
      soakMs,
      maxUnavailable: amountText(maxUnavailable),
      maxFailures,
      order,
    };
  });
}

/** What would keep the change back, as far as it is known beforehand: the weightiest first. */
export function hindrancesOf(world: World, base: DesiredCommit | null, moves: readonly ProposedMove[]): Hindrance[] {
  return [...approvals(world, base), ...brakes(world), ...rollouts(world, moves), ...perHost(world, moves)];
}

/** B3, B5: judged as the reconciler does when the commit arrives, by the limits that hold before it. */
function approvals({ desired, records, fleet }: World, base: DesiredCommit | null): Hindrance[] {
  const { settings, hosts } = (base ?? desired).loaded.repository;
  const size = Math.max(hosts.size, desired.loaded.repository.hosts.size);
  const moves = movesOf(base, desired, records);
  const many = needsApproval(moves, { settings, size }, desired.acknowledged ?? null);
  const freed = base === null ? null : freedText(freedHolds(base, desired, fleet.holds));
  // The commit that arrives on the branch may be a merge of this one.
  const approve = "/stateward approve in the pull request, or stateward approve with the commit of the merge";
  const sum = moves.moved + moves.removed;
  return [
    ...(many === null
      ? []
      : [hindrance("approval", many, `${approve}, or the trailer Acknowledge-Moves: ${sum} in its message`)]),
    ...(freed === null ? [] : [hindrance("approval", freed, approve)]),
  ];
}

function brakes({ fleet }: World): Hindrance[] {
  if (fleet.braked === null) return [];
  return [hindrance("brake", fleet.braked.message, "stateward brake release, once somebody has looked")];
}

function rollouts(world: World, moves: readonly ProposedMove[]): Hindrance[] {
  const { repository } = world.desired.loaded;
  return rolloutsOf(world, moves).flatMap(({ scope }): Hindrance[] => {
    const name = scopeText(scope);
    if (specOf(repository, scope).paused)
      return [hindrance("rollout", `the rollout of ${name} is paused`, "take paused out of its settings")];
    if (world.fleet.rollouts[scope]?.phase !== "halted") return [];
    // Another change that took its place is halted no more.
    const { phase, message } = rolloutState(world, scope);
    if (phase !== "halted") return [];
    return [hindrance("rollout", `the rollout of ${name} is halted: ${message}`, "see stateward fleet")];
  });
}

function hindrance(kind: Hindrance["kind"], message: string, remedy: string, names: readonly string[] = []): Hindrance {
  return { kind, message, remedy, names };
}

/** Holds and windows, each with the hosts that it keeps. */
function perHost(world: World, moves: readonly ProposedMove[]): Hindrance[] {
  const { guards, repository } = world.desired.loaded;
  const found = new Map<string, { kind: "hold" | "window"; message: string; names: string[] }>();
  const add = (kind: "hold" | "window", message: string, { name }: Host): void => {
    const key = JSON.stringify([kind, message]);
    const item = found.get(key) ?? { kind, message, names: [] };
    found.set(key, item);
    item.names.push(name);
  };
  for (const name of movingHosts(moves)) {
    const host = repository.hosts.get(name);
    if (host === undefined) continue;
    const held = holdOn(world, host);
    if (held !== null) add("hold", heldText(held), host);
    const window = windowFor(repository.settings, guards, host, { now: world.now, what: "changes" });
    if (!window.open) add("window", window.message, host);
  }
  const remedies = { hold: "stateward release, or its end", window: "it goes on when the window opens" };
  return [...found]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([, { kind, message, names }]) => hindrance(kind, message, remedies[kind], names));
}

/** Hosts that move, in name order, each once. */
function movingHosts(moves: readonly ProposedMove[]): string[] {
  return [...new Set(moves.flatMap(({ kind, names }) => (kind === "host" ? names : [])))].toSorted();
}

/** The change played forward, by the code that the reconciler decides with. */
export function playOf(world: World, { moves }: Pick<Ways, "moves">, movesMax: number): ProposedPlay {
  const { repository } = world.desired.loaded;
  // Its sums are made anew by whoever plays.
  const moving = new Set(moves.flatMap(({ names }) => names));
  const played = simulate({ ...partsOf(world), tally: new Tally() }, { movesMax, stuckOf: moving });
  const own = played.moves.filter(({ subject }) => moving.has(subject));
  const groups = new Set([...moving].flatMap((name) => groupsOf(repository, name).map((group) => group.name)));
  const isCut = played.isCut || played.moves.length >= movesMax;
  return {
    transitions: own.length,
    hosts: new Set(own.map(({ subject }) => subject)).size,
    others: played.moves.length - own.length,
    peak: played.peak,
    durationMs: played.durationMs,
    assumed: played.assumed,
    groups: played.groups
      .filter(({ group }) => groups.has(group))
      .toSorted((a, b) => (a.group < b.group ? -1 : 1))
      .map(({ group, size, before, lowest }) => ({ group, size, before, lowest })),
    // Of a play that was cut, nobody knows who would have arrived.
    stuck: isCut ? [] : stuckOf(played.stuck),
    isCut,
  };
}

/** Without asking for the sums, which may not have been made. */
function partsOf(world: World): Omit<World, "tally"> {
  const { now, desired, records, reports, inFlight, listeningSince, mayStart, mayStartOnce, isRestart, fleet } = world;
  return { now, desired, records, reports, inFlight, listeningSince, mayStart, mayStartOnce, isRestart, fleet };
}

function stuckOf(stuck: readonly Stuck[]): ProposedPlay["stuck"] {
  const found = new Map<string, { machine: string; reason: string; message: string; names: string[] }>();
  for (const { subject, machine, reason, message } of stuck) {
    const key = JSON.stringify([machine, reason, message]);
    const item = found.get(key) ?? { machine, reason, message, names: [] };
    found.set(key, item);
    item.names.push(subject);
  }
  const sorted = [...found].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, item]) => item);
  return sorted.map((item) => ({ ...item, names: item.names.toSorted() }));
}
