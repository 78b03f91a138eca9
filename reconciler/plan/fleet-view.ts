// What concerns more than one host, for people and programs. Pure.
import { isoTime } from "../model/duration.ts";
import type { FleetView, GovernorView, RolloutView, WhyView } from "../model/ports.ts";
import { rolloutState, wavesOf } from "./rollout.ts";
import { specOf } from "./standing.ts";
import { whatIf } from "./what-if.ts";
import { why } from "./why.ts";
import type { World } from "./world.ts";

export function fleetView(world: World, unapproved: FleetView["unapproved"]): FleetView {
  const { holds, braked, released } = world.fleet;
  return { holds, braked, released, rollouts: rolloutsOf(world), governors: governorsOf(world), unapproved };
}

function rolloutsOf(world: World): RolloutView[] {
  const { repository } = world.desired.loaded;
  const scopes = new Set([...world.tally.scopeNames(), ...Object.keys(world.fleet.rollouts)]);
  return [...scopes].toSorted().map((scope): RolloutView => {
    const recorded = world.fleet.rollouts[scope];
    const { pending, active, done, failed, parked, size } = world.tally.scope(scope);
    const { wave, phase, message } = size === 0 && recorded !== undefined ? recorded : rolloutState(world, scope);
    return {
      scope,
      commit: recorded?.commit ?? world.desired.commit,
      since: recorded?.since ?? isoTime(world.now),
      phase,
      message,
      wave,
      waves: wavesOf(specOf(repository, scope), size),
      hosts: { pending, active, done, failed, parked },
    };
  });
}

function governorsOf({ desired, tally, now }: World): GovernorView[] {
  return [...desired.loaded.repository.settings.governors.values()].map(({ name, limit }) => ({
    name,
    limit,
    holders: tally
      .permitsAt(name, now)
      .map(([host, until]) => ({ host, until: isoTime(until) }))
      .toSorted((a, b) => (a.host < b.host ? -1 : 1)),
    waiting: tally.waitingAt(`governor ${name}`),
  }));
}

/** Why a subject is where it is, and what would be if a word were said; null for a subject that does not exist. */
export function whyView(world: World, subject: string, word: string | null): WhyView | null {
  const causes = why(world, subject);
  return causes && { subject, causes, whatIf: word === null ? null : whatIf(world, subject, word) };
}
