// Machines as directed graphs: cheapest paths, what can be reached, and what can be left.
import type { Machine, Transition } from "./types.ts";

/**
 * The cheapest path from one state to another, as the transitions to take; empty when they are the same, null when there is none.
 * Ties go to the order in the file. Dijkstra (1959) with a linear scan: a machine has at most 200 states.
 */
export function findPath(machine: Machine, from: string, to: string): Transition[] | null {
  const tree = pathsFrom(machine, from);
  if (from === to) return [];
  const path: Transition[] = [];
  for (let state = to; state !== from; ) {
    const last = tree.get(state);
    if (last === undefined) return null;
    path.unshift(last);
    state = last.from;
  }
  return path;
}

const trees = new WeakMap<Machine, Map<string, Map<string, Transition>>>();

/** The shortest-path tree from a state: for each state reached, the last transition on the way. Kept for each machine. */
function pathsFrom(machine: Machine, from: string): Map<string, Transition> {
  const kept = trees.get(machine) ?? new Map<string, Map<string, Transition>>();
  trees.set(machine, kept);
  const known = kept.get(from);
  if (known) return known;
  const cost = new Map([[from, 0]]);
  const last = new Map<string, Transition>();
  const open = new Set([from]);
  while (open.size > 0) {
    const state = cheapest(open, cost);
    open.delete(state);
    for (const transition of machine.transitions) {
      if (transition.from !== state) continue;
      const total = (cost.get(state) ?? 0) + transition.cost;
      if (total >= (cost.get(transition.to) ?? Number.POSITIVE_INFINITY)) continue;
      cost.set(transition.to, total);
      last.set(transition.to, transition);
      open.add(transition.to);
    }
  }
  kept.set(from, last);
  return last;
}

function cheapest(open: ReadonlySet<string>, cost: ReadonlyMap<string, number>): string {
  let best = "";
  let bestCost = Number.POSITIVE_INFINITY;
  for (const state of open) {
    const total = cost.get(state) ?? Number.POSITIVE_INFINITY;
    if (total < bestCost) [best, bestCost] = [state, total];
  }
  return best;
}

/** Every state that can be reached from a state, itself included. */
export function reachableFrom(machine: Machine, from: string): Set<string> {
  return new Set([from, ...pathsFrom(machine, from).keys()]);
}

/** States from which no way leads to `to`: the traps of a machine when `to` is its initial state. */
export function statesWithoutWayTo(machine: Machine, to: string): string[] {
  return [...machine.states.keys()].filter((state) => !reachableFrom(machine, state).has(to));
}

/** The transition between two states, or null. */
export function findTransition(machine: Machine, from: string, to: string): Transition | null {
  return machine.transitions.find((transition) => transition.from === from && transition.to === to) ?? null;
}

/** Transitions that leave a state, in the order of the file. */
export function transitionsFrom(machine: Machine, from: string): Transition[] {
  return machine.transitions.filter((transition) => transition.from === from);
}

/** A transition that is part of a loop of automatic transitions without guards, or null: such a loop would never rest. */
export function automaticLoop(machine: Machine): Transition | null {
  const free = machine.transitions.filter(({ auto, when }) => auto && when === null);
  for (const start of free) {
    let state = start.to;
    for (let hops = 0; hops <= machine.states.size; hops++) {
      if (state === start.from) return start;
      const next = free.find(({ from }) => from === state);
      if (!next) break;
      state = next.to;
    }
  }
  return null;
}

/** A list of states without its loops: what lies between two visits of one state is cut out. */
export function withoutLoops<T>(items: readonly T[], stateOf: (item: T) => string): T[] {
  const kept: T[] = [];
  for (const item of items) {
    const seen = kept.findIndex((other) => stateOf(other) === stateOf(item));
    if (seen >= 0) kept.length = seen;
    kept.push(item);
  }
  return kept;
}
