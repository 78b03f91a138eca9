// Which hosts a change would move, along which paths, and which of its targets cannot be reached. Pure.
import { findPath, reachableFrom, statesWithoutWayTo } from "../model/graph.ts";
import { explainNoPath } from "../model/machine.ts";
import type { DesiredCommit } from "../model/ports.ts";
import type { ProposedGuard, ProposedMove, ProposedNoPath, ProposedTransition } from "../model/proposal.ts";
import { freshMachine } from "../model/record.ts";
import type { Machine, Repository, Transition } from "../model/types.ts";
import { effectOf, leastCertain } from "./effect.ts";
import { definitionOf } from "./transition.ts";
import { type AnySubject, guardValues, type World } from "./world.ts";

export interface Ways {
  readonly moves: readonly ProposedMove[];
  readonly noPaths: readonly ProposedNoPath[];
  /** Hosts on their way already, whatever this change does. */
  readonly underWay: number;
}

/** Subjects that go the same way. */
interface Flock extends Pick<ProposedMove, "kind" | "from" | "to" | "reason"> {
  readonly machine: Machine;
  /** Null where there is no path. */
  readonly path: readonly Transition[] | null;
  readonly names: string[];
}

/** Where hosts would go that a change concerns; `base` is what is in force before it. */
export function waysOf(world: World, base: DesiredCommit | null): Ways {
  const next = world.desired.loaded.repository;
  const old = base?.loaded.repository ?? null;
  const flocks = new Map<string, Flock>();
  const underWay = new Set<string>();
  const consider = (subject: AnySubject, before: AnySubject | undefined): void => {
    for (const [name, to] of subject.machines) {
      const machine = next.machines.get(name);
      if (machine === undefined || to === null) continue;
      const from = world.records.get(subject.name)?.machines[name]?.state ?? machine.initial;
      if (from === to) continue;
      const path = findPath(machine, from, to);
      const reason = reasonOf({ machine, path, from, to }, before, old);
      if (reason === null) {
        if (subject.kind === "host") underWay.add(subject.name);
        continue;
      }
      const key = JSON.stringify([subject.kind, name, from, to, reason]);
      const flock = flocks.get(key) ?? { kind: subject.kind, machine, from, to, reason, path, names: [] };
      flocks.set(key, flock);
      flock.names.push(subject.name);
    }
  };
  for (const host of next.hosts.values()) consider(host, old?.hosts.get(host.name));
  for (const group of next.groups.values()) consider(group, old?.groups.get(group.name));
  const sorted = [...flocks].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, flock]) => flock);
  for (const { names } of sorted) names.sort();
  const moves = sorted.flatMap((flock) => (flock.path === null ? [] : moveOf(world, flock, flock.path)));
  const noPaths = sorted.flatMap((flock) => (flock.path === null ? noPathOf(flock) : []));
  for (const { names } of sorted) for (const name of names) underWay.delete(name);
  return { moves, noPaths, underWay: underWay.size };
}

/** Targets that no host could ever come to: what is wrong with a commit that is refused for it. */
export function noPathsIn({ hosts, groups, machines }: Repository): Ways {
  const flocks = new Map<string, Flock>();
  for (const subject of [...hosts.values(), ...groups.values()]) {
    for (const [name, to] of subject.machines) {
      const machine = machines.get(name);
      if (machine === undefined || to === null || findPath(machine, machine.initial, to) !== null) continue;
      const { kind } = subject;
      const key = JSON.stringify([name, to]);
      const flock = flocks.get(key) ?? {
        kind,
        machine,
        from: machine.initial,
        to,
        reason: "target",
        path: null,
        names: [],
      };
      flocks.set(key, flock);
      flock.names.push(subject.name);
    }
  }
  const sorted = [...flocks].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, flock]) => flock);
  for (const { names } of sorted) names.sort();
  return { moves: [], noPaths: sorted.flatMap(noPathOf), underWay: 0 };
}

/** Why a machine goes this way because of the change; null where it went so before. */
function reasonOf(
  { machine, path, from, to }: Pick<Flock, "from" | "to" | "path"> & { readonly machine: Machine },
  before: AnySubject | undefined,
  old: Repository | null,
): ProposedMove["reason"] | null {
  const target = before?.machines.get(machine.name);
  if (target === undefined) return "added";
  if (target !== to) return "target";
  const known = old?.machines.get(machine.name);
  if (known === machine) return null;
  const earlier = known === undefined ? null : findPath(known, from, to);
  return sameWay(earlier, path) ? null : "way";
}

function sameWay(a: readonly Transition[] | null, b: readonly Transition[] | null): boolean {
  if (a === null || b === null) return a === b;
  return a.length === b.length && a.every((transition, index) => isSame(transition, b[index]));
}

function isSame(a: Transition, b: Transition | undefined): boolean {
  return b !== undefined && a.when === b.when && definitionOf(a) === definitionOf(b);
}

function moveOf(world: World, flock: Flock, path: readonly Transition[]): ProposedMove {
  const { kind, machine, from, to, reason, names } = flock;
  return {
    kind,
    machine: machine.name,
    from,
    to,
    reason,
    names,
    path: path.map((item) => proposed(world, flock, item)),
  };
}

function proposed(world: World, flock: Flock, transition: Transition): ProposedTransition {
  const { from, to, when, governors } = transition;
  const steps = transition.steps.map((step) => {
    const { title, repeat, on } = step;
    return { title, effect: effectOf(step), repeat, on };
  });
  return {
    from,
    to,
    effect: leastCertain(steps.map(({ effect }) => effect)),
    steps,
    guard: when === null ? null : guardOf(world, flock, when),
    governors,
    barrier: flock.machine.states.get(to)?.barrier?.group ?? null,
  };
}

/** A guard may read whole groups: it is asked for so many hosts, not for all of a large fleet. */
const askedMax = 50;

function guardOf(world: World, { machine, from, names }: Flock, when: string): ProposedGuard {
  const { guards, repository } = world.desired.loaded;
  const compiled = guards.compile(when);
  const asked = names.slice(0, askedMax);
  const entry = freshMachine(from, new Date(world.now).toISOString(), world.desired.commit);
  const holds = (name: string): boolean => {
    const subject = repository.hosts.get(name) ?? repository.groups.get(name);
    if (subject === undefined || "error" in compiled) return false;
    const known = world.records.get(name)?.machines[machine.name] ?? entry;
    const result = compiled.guard.evaluate(guardValues(world, subject, [machine.name, known]));
    return result.ok && result.value === true;
  };
  return { when, closed: asked.filter((name) => !holds(name)).length, asked: asked.length };
}

function noPathOf({ machine, from, to, names }: Flock): ProposedNoPath {
  const isKnown = machine.states.has(from) && machine.states.has(to);
  const message = isKnown
    ? explainNoPath(machine, from, to)
    : `${machine.name} has no state ${machine.states.has(from) ? to : from}`;
  return { machine: machine.name, from, to, names, message, missing: isKnown ? missingEntry(machine, from, to) : null };
}

/**
 * One entry that would close the gap: from a state that can be reached to one that leads to the target, so that as much as possible of
 * what is there already is used.
 */
function missingEntry(machine: Machine, from: string, to: string): { from: string; to: string } | null {
  const closed = new Set(statesWithoutWayTo(machine, to));
  const before = [...machine.states.keys()].filter((state) => reachableFrom(machine, from).has(state));
  const behind = [...machine.states.keys()].filter((state) => !closed.has(state));
  const far = (a: string, b: string): number => findPath(machine, a, b)?.length ?? 0;
  const last = farthest(before, (state) => far(from, state));
  const first = farthest(behind, (state) => far(state, to));
  return last === null || first === null ? null : { from: last, to: first };
}

function farthest(states: readonly string[], distance: (state: string) => number): string | null {
  let best: string | null = null;
  for (const state of states) if (best === null || distance(state) > distance(best)) best = state;
  return best;
}
