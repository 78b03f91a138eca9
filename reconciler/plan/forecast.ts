// What would happen, without making it happen: for people and pull requests. Pure.
import { isoTime } from "../model/duration.ts";
import { findTransition } from "../model/graph.ts";
import { emptyFleet, emptyRecord, fleetName, freshMachine, type MachineRecord } from "../model/record.ts";
import type { HostReport } from "../model/report.ts";
import type { Transition } from "../model/types.ts";
import { decideSubject, type MachinePlan } from "./decide.ts";
import { worldOf } from "./tally.ts";
import { guardValues, neverOld, subjectNames, subjectOf, type World } from "./world.ts";

export interface ForecastStep {
  readonly from: string;
  readonly to: string;
  readonly steps: readonly string[];
  /** Titles of the steps that never repeat. */
  readonly once: readonly string[];
  readonly guard: string | null;
  /** Whether the guard holds now; null where it has none. */
  readonly holds: boolean | null;
}

export interface Forecast {
  readonly subject: string;
  readonly machine: string;
  readonly state: string;
  readonly target: string | null;
  /** `in-target`, `move`, `wait`, `stalled`, or `free` for a machine without a target. */
  readonly verdict: "in-target" | "move" | "wait" | "stalled" | "free";
  readonly reason: string;
  readonly message: string;
  readonly path: readonly ForecastStep[];
}

/** The plan of every machine of every subject, in name order. */
export function forecast(world: World, names: readonly string[] = subjectNames(world)): Forecast[] {
  return names.flatMap((name) => {
    const subject = subjectOf(world, name);
    if (!subject) return [];
    return decideSubject(world, subject).plans.map((plan) => forecastOf(world, name, plan));
  });
}

function forecastOf(world: World, name: string, plan: MachinePlan): Forecast {
  const { machine, state, target, next } = plan;
  const reason = "reason" in next ? next.reason : next.kind;
  const message = "message" in next ? next.message : "";
  return {
    subject: name,
    machine,
    state,
    target,
    verdict: verdictOf(plan),
    reason,
    message,
    path: pathOf(world, name, plan),
  };
}

function verdictOf({ next, target }: MachinePlan): Forecast["verdict"] {
  switch (next.kind) {
    case "rest":
      return target === null ? "free" : "in-target";
    case "go":
    case "inquire":
      return "move";
    case "wait":
      return "wait";
    case "stalled":
      return "stalled";
  }
}

function pathOf(world: World, name: string, { machine, state, path }: MachinePlan): ForecastStep[] {
  const definition = world.desired.loaded.repository.machines.get(machine);
  if (!definition) return [];
  return path.flatMap((to, index) => {
    const transition = findTransition(definition, path[index - 1] ?? state, to);
    return transition ? [stepOf(world, name, [machine, transition])] : [];
  });
}

function stepOf(world: World, name: string, [machine, transition]: [string, Transition]): ForecastStep {
  const { from, to, when, steps } = transition;
  const never = steps.filter(({ repeat }) => repeat === "never");
  return {
    from,
    to,
    steps: steps.map(({ title }) => title),
    once: never.map(({ title }) => title),
    guard: when,
    holds: holds(world, name, [machine, when]),
  };
}

function holds(world: World, name: string, [machine, when]: [string, string | null]): boolean | null {
  const subject = subjectOf(world, name);
  const entry = world.records.get(name)?.machines[machine];
  if (when === null || !subject) return null;
  const compiled = world.desired.loaded.guards.compile(when);
  if ("error" in compiled) return false;
  const values = guardValues(world, subject, [machine, entry ?? initialEntry(world, machine)]);
  const result = compiled.guard.evaluate(values);
  return result.ok && result.value === true;
}

function initialEntry(world: World, machine: string): MachineRecord {
  const state = world.desired.loaded.repository.machines.get(machine)?.initial ?? "";
  return freshMachine(state, isoTime(world.now), world.desired.commit);
}

/** A world in which every host is as its record says: for plans that are made without looking at hosts. */
export function recordedWorld(world: Pick<World, "now" | "desired" | "records">): World {
  return worldOf(recordedParts(world));
}

/** Of a fleet, there are many. */
const nothing = {};

/** The same without the sums over the fleet, which cost the most of it. */
export function recordedParts(
  world: Pick<World, "now" | "desired" | "records">,
): Pick<World, "now" | "desired" | "records" | "reports" | "fleet"> {
  const reports = new Map<string, HostReport>();
  for (const host of world.desired.loaded.repository.hosts.values()) {
    const record = world.records.get(host.name) ?? emptyRecord("host", host.name);
    const incarnation = record.incarnation ?? "not-seen-yet";
    reports.set(host.name, {
      host: host.name,
      at: neverOld,
      reachable: true,
      message: "",
      incarnation,
      sequence: null,
      states: nothing,
      checks: nothing,
      facts: nothing,
    });
  }
  return { ...world, reports, fleet: world.records.get(fleetName)?.fleet ?? emptyFleet };
}
