// L1: when faults stop, every host converges or is parked with a reason that says who or what can free it.
import {
  all,
  type Checker,
  type DesiredFacts,
  type History,
  type HostAtRest,
  type HostFacts,
  type MachineInRecord,
  type SubjectInRecord,
  type Violation,
} from "../history.ts";
import { covers, fleetName } from "./chain.ts";

const largeFleet = 50;
/** Between two arrivals in a fleet that gets on. */
const arrivalMs = 120_000;

export const l1: Checker = {
  promise: "L1",
  says: "after a long calm one leads, and every host is in its target or parked with a reason; a word that a reason asks for frees it; one that waits for others waits for one of its machine that is parked, or for room that is really taken",
  check: (history) => {
    const [rest] = all(history, "rest");
    if (rest === undefined || !history.isLiveness) return [];
    const fail = (message: string): Violation => ({ promise: "L1", at: rest.at, message });
    if (rest.leader === null || rest.memory === null) return [fail(`nobody leads: ${rest.trouble}`)];
    const desired = all(history, "commit").find(({ commit }) => commit === rest.inForce)?.desired;
    // Nobody has ever had a good commit in force: a person has to mend the branch, and the trouble says so.
    if (desired === undefined)
      return /has problems/.test(rest.trouble ?? "") ? [] : [fail(`no commit is in force: ${rest.trouble}`)];
    // A large fleet that is moved host by host takes longer than the calm lasts: it goes on as long as hosts arrive.
    const arrivedAt = all(history, "marked").at(-1)?.at ?? 0;
    if (desired.hosts.length > largeFleet && rest.restingSince === null && rest.at - arrivedAt < arrivalMs) return [];
    const memory = new Map(rest.memory.map((subject) => [subject.name, subject]));
    const stuck = desired.hosts.flatMap((host): Stuck[] =>
      Object.entries(host.targets).flatMap(([machine, target]) => {
        const entry = memory.get(host.name)?.machines[machine];
        const ready = entry?.conditions.find(({ type }) => type === "Ready");
        const isThere = entry?.state === target && ready?.status === "True";
        return isThere
          ? []
          : [{ host, machine, target, entry, reason: ready?.reason ?? "", message: ready?.message ?? "" }];
      }),
    );
    const fleet = memory.get(fleetName);
    const held = (name: string): boolean => (fleet?.holds ?? []).some(({ select }) => covers(select, name, desired));
    const said = wordsSaid(history);
    const parked = stuck.filter(
      (item) =>
        isParked(item, { isHeld: held(item.host.name), isBraked: fleet?.braked != null, said }) ||
        isOutOfRoom(item, desired, { hosts: rest.hosts, memory }),
    );
    // Who waits for one that is parked may be waited for in turn.
    const excused = new Set(parked);
    for (const other of excused) for (const item of stuck) if (mayWaitFor(item, other)) excused.add(item);
    return stuck.flatMap((item) => {
      if (excused.has(item)) return [];
      const { host, machine, target, entry, reason, message } = item;
      return [
        fail(`${host.name} is in ${entry?.state ?? "no state"}, target ${target} (${machine}): ${reason}: ${message}`),
      ];
    });
  },
};

interface Stuck {
  readonly host: HostFacts;
  readonly machine: string;
  readonly target: string;
  readonly entry: MachineInRecord | undefined;
  readonly reason: string;
  readonly message: string;
}

/** Reasons that name others: one of them must be parked. */
const othersReasons = new Set(["GuardWaiting", "RolloutWaiting", "BarrierWaiting"]);
/** Reasons that name a person's word, beyond those that stand as Stalled. */
const personsReasons = new Set(["RolloutHalted", "Quarantined", "DriftAdopted", "DriftTolerated"]);

/**
 * Whoever waits for another waits for one with the same machine: rollouts, barriers and guards are about that. A place among those
 * that are acted upon is kept by one of which nobody knows whether its step has ended.
 */
function mayWaitFor(item: Stuck, other: Stuck): boolean {
  if (item.reason === "FleetBusy") return other.reason === "OutcomeUnknown" && other.entry?.attempt != null;
  return othersReasons.has(item.reason) && other !== item && other.machine === item.machine;
}

interface Parking {
  /** By a person's word that is recorded. */
  readonly isHeld: boolean;
  readonly isBraked: boolean;
  readonly said: Said;
}

function isParked({ host, target, entry, reason, message }: Stuck, { isHeld, isBraked, said }: Parking): boolean {
  if (host.isHeld || (reason === "Held" && isHeld)) return true;
  // A guard that nobody can open says so: over an empty group, or before a state that is shut.
  if (reason === "GuardWaiting" && (target === "shut" || message.includes("cannot be evaluated"))) return true;
  if (personsReasons.has(reason)) return true;
  // A brake says who lets it go.
  if (message.includes("stateward brake release"))
    return (isBraked || reason === "QuietStart") && !said.isEnough("", message);
  const stalled = entry?.conditions.find(({ type }) => type === "Stalled");
  if (stalled?.status !== "True" || stalled.reason === "" || stalled.message === "") return false;
  return !said.isEnough(host.name, stalled.message);
}

interface Said {
  /** True when a word that a reason asks for was said and acknowledged, and has not helped. */
  readonly isEnough: (host: string, message: string) => boolean;
}

/** So often a word is said before it has to have helped: what it frees may come to the next thing that asks for one. */
const timesMin = 3;

/** What was acknowledged since the faults have ended: from then on steps end well, so what a person frees is free. */
function wordsSaid(history: History): Said {
  const calm = all(history, "calm")[0]?.at ?? 0;
  const said = new Map<string, number>();
  for (const { word, answer, at } of all(history, "word")) {
    if (at < calm || answer !== "taken") continue;
    const key = word.kind === "release-brake" ? "brake release " : "host" in word ? `${word.kind} ${word.host}` : "";
    said.set(key, (said.get(key) ?? 0) + 1);
  }
  return {
    isEnough: (host, message) => {
      const asked = ["retry", "skip", "replay", "brake release"].filter((word) =>
        message.includes(`stateward ${word}`),
      );
      return asked.some((word) => (said.get(`${word} ${host}`) ?? 0) >= timesMin);
    },
  };
}

/** Hosts of a group that may be down at once where nothing is said: a tenth, and at least one. */
const shareDefault = 0.1;

/** It waits for room in a group, and that is really taken by hosts that are not up. */
function isOutOfRoom(
  { host, machine, reason }: Stuck,
  desired: DesiredFacts,
  { hosts, memory }: { readonly hosts: readonly HostAtRest[]; readonly memory: ReadonlyMap<string, SubjectInRecord> },
): boolean {
  if (reason !== "GroupLimit") return false;
  const groups = [
    ...desired.groups.map(({ name, maxUnavailable }) => ({
      limit: maxUnavailable,
      members: desired.hosts.filter(({ groups: names }) => names.includes(name)),
    })),
    { limit: null, members: desired.hosts.filter(({ targets }) => machine in targets) },
    { limit: null, members: desired.hosts.filter(({ groups: names }) => names.includes(`first_${machine}`)) },
  ];
  const isUp = ({ name, targets, transport }: HostFacts): boolean => {
    const states = hosts.find((other) => other.name === name)?.states ?? {};
    // One whose service does not answer says that it is up, and its record says otherwise.
    return Object.keys(targets).every((own) => {
      const entry = memory.get(name)?.machines[own];
      const available = desired.machines.find((sketch) => sketch.name === own)?.available ?? [];
      const isKnown = transport === "agent" || available.includes(states[own] ?? "");
      return isKnown && available.includes(entry?.state ?? "") && entry?.attempt === null;
    });
  };
  return groups.some(({ limit, members }) => {
    const most = limit ?? Math.max(1, Math.floor(members.length * shareDefault));
    return members.includes(host) && members.filter((member) => !isUp(member)).length >= most;
  });
}
