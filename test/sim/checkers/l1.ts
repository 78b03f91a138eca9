// L1: when faults stop, every host converges or is parked with a reason that says who or what can free it.
import {
  all,
  type Checker,
  type DesiredFacts,
  type HostAtRest,
  type HostFacts,
  type MachineInRecord,
  type SubjectInRecord,
  type Violation,
} from "../history.ts";

const largeFleet = 50;
/** Between two arrivals in a fleet that gets on. */
const arrivalMs = 120_000;

export const l1: Checker = {
  promise: "L1",
  says: "after a long calm one leads, and every host is in its target or parked with a reason; one that waits for others waits for one that is parked, or for room that is really taken",
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
    const explained = stuck.filter(
      (item) => isParked(item) || isOutOfRoom(item, desired, { hosts: rest.hosts, memory }),
    );
    // Who waits for others waits for one that is parked, or for one that waits for such a one.
    for (let known = -1; known < explained.length; ) {
      known = explained.length;
      explained.push(
        ...stuck.filter((item) => !explained.includes(item) && explained.some((other) => mayWaitFor(item, other))),
      );
    }
    return stuck
      .filter((item) => !explained.includes(item))
      .map(({ host, machine, target, entry, reason, message }) =>
        fail(`${host.name} is in ${entry?.state ?? "no state"}, target ${target} (${machine}): ${reason}: ${message}`),
      );
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

/** Reasons that name others: those of the same machine, or of the whole fleet. */
const machineReasons = new Set(["GuardWaiting", "RolloutWaiting", "BarrierWaiting"]);
const fleetReasons = new Set(["FleetBusy", "Queued"]);

function mayWaitFor({ reason, machine }: Stuck, other: Stuck): boolean {
  return fleetReasons.has(reason) || (machineReasons.has(reason) && other.machine === machine);
}

/** Reasons that name a person's word, beyond those that stand as Stalled. */
const personsReasons = new Set([
  "Held",
  "RolloutHalted",
  "Quarantined",
  "TooManyLost",
  "DriftAdopted",
  "DriftTolerated",
]);

function isParked({ host, target, entry, reason, message }: Stuck): boolean {
  if (host.isHeld) return true;
  // A guard that nobody can open says so: over an empty group, or before a state that is shut.
  if (reason === "GuardWaiting" && (target === "shut" || message.includes("cannot be evaluated"))) return true;
  if (personsReasons.has(reason)) return true;
  // A brake says who lets it go.
  if (message.includes("stateward brake release")) return true;
  const stalled = entry?.conditions.find(({ type }) => type === "Stalled");
  return stalled !== undefined && stalled.status === "True" && stalled.reason !== "" && stalled.message !== "";
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
