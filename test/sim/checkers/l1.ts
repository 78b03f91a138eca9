// L1: when faults stop, every host converges or is parked with a reason that says who or what can free it.
import { all, type Checker, type HostFacts, type MachineInRecord, type Violation } from "../history.ts";

export const l1: Checker = {
  promise: "L1",
  says: "after a long calm one leads, and every host is in its target or parked with a reason; a host that waits for others waits for one that is parked",
  check: (history) => {
    const [rest] = all(history, "rest");
    if (rest === undefined || !history.isLiveness) return [];
    const fail = (message: string): Violation => ({ promise: "L1", at: rest.at, message });
    if (rest.leader === null || rest.memory === null) return [fail(`nobody leads: ${rest.trouble}`)];
    const desired = all(history, "commit").find(({ commit }) => commit === rest.inForce)?.desired;
    // Nobody has ever had a good commit in force: a person has to mend the branch, and the trouble says so.
    if (desired === undefined)
      return /has problems/.test(rest.trouble ?? "") ? [] : [fail(`no commit is in force: ${rest.trouble}`)];
    const memory = new Map(rest.memory.map((subject) => [subject.name, subject]));
    const stuck = desired.hosts.flatMap((host): Stuck[] =>
      Object.entries(host.targets).flatMap(([machine, target]) => {
        const entry = memory.get(host.name)?.machines[machine];
        return entry?.state === target && isReady(entry) ? [] : [{ host, machine, target, entry }];
      }),
    );
    const parked = stuck.filter(({ host, entry }) => host.isHeld || (entry !== undefined && isParked(entry)));
    // A host whose very target is a state that does not count as up takes its group's room for good.
    const areDrained = desired.hosts.some((host) =>
      Object.entries(host.targets).some(
        ([machine, target]) =>
          desired.machines.find(({ name }) => name === machine)?.available.includes(target) === false,
      ),
    );
    const held = memory.get("@fleet")?.holds ?? [];
    return stuck.flatMap((item) => {
      if (parked.includes(item)) return [];
      const { host, machine, target, entry } = item;
      const ready = entry?.conditions.find(({ type }) => type === "Ready");
      const waitsForOthers =
        ready !== undefined && othersReasons.has(ready.reason) && (parked.length > 0 || held.length > 0 || areDrained);
      const isShut = target === "shut" && ready?.reason === "GuardWaiting";
      if (waitsForOthers || isShut) return [];
      return [
        fail(
          `${host.name} is in ${entry?.state ?? "no state"}, target ${target} (${machine}): ${ready?.reason ?? "no condition"}: ${ready?.message ?? ""}`,
        ),
      ];
    });
  },
};

interface Stuck {
  readonly host: HostFacts;
  readonly machine: string;
  readonly target: string;
  readonly entry: MachineInRecord | undefined;
}

/** Reasons that name others: those must be parked. */
const othersReasons = new Set([
  "GuardWaiting",
  "RolloutWaiting",
  "RolloutHalted",
  "GroupLimit",
  "FleetBusy",
  "Queued",
  "BarrierWaiting",
]);
/** Reasons that name a person's word, beyond those that stand as Stalled. */
const personsReasons = new Set(["Held", "Quarantined", "TooManyLost", "DriftAdopted", "DriftTolerated"]);

function isReady({ conditions }: MachineInRecord): boolean {
  return conditions.some(({ type, status }) => type === "Ready" && status === "True");
}

function isParked({ conditions }: MachineInRecord): boolean {
  return conditions.some(
    ({ type, status, reason, message }) =>
      (type === "Stalled" && status === "True" && reason !== "" && message !== "") ||
      (type === "Ready" && personsReasons.has(reason) && (message !== "" || status === "True")),
  );
}
