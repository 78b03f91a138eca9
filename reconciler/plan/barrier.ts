// Barriers: a state is entered only when enough hosts of a group have come to it. Who has arrived follows from the records, so a
// repeated report never counts twice, and a rebuilt host has to arrive anew.
import { amountText, atLeast } from "../model/amount.ts";
import { isoTime } from "../model/duration.ts";
import { type MachineRecord, upkeepOf } from "../model/record.ts";
import type { Barrier, Group } from "../model/types.ts";
import { currentReport, type World } from "./world.ts";

export interface Arrivals {
  readonly arrived: readonly string[];
  readonly missing: readonly string[];
  readonly needed: number;
}

/**
 * Hosts of the group that have arrived: in one of the barrier's states now, or there in this life of theirs and gone on. A host counts
 * by its name and the life that answers, so at most once; one that is not heard now does not count (B4).
 */
export function arrivalsAt(world: World, barrier: Barrier): Arrivals {
  const { hosts, groups, machines } = world.desired.loaded.repository;
  const members = groups.get(barrier.group)?.members ?? [];
  // Every life of a host begins in the initial state: whoever is elsewhere has gone on from there.
  const initial = machines.get(barrier.machine)?.initial ?? "";
  const arrived: string[] = [];
  const missing: string[] = [];
  for (const name of members) {
    const host = hosts.get(name);
    const record = world.records.get(name);
    const entry = record?.machines[barrier.machine];
    const heard = host === undefined ? null : currentReport(world, host);
    const isSame = heard !== null && "report" in heard && heard.report.incarnation === record?.incarnation;
    (isSame && entry !== undefined && hasArrived(entry, barrier, initial) ? arrived : missing).push(name);
  }
  return { arrived, missing, needed: barrier.count === null ? members.length : atLeast(barrier.count, members.length) };
}

function hasArrived({ state, applied, attempt }: MachineRecord, { states, behind }: Barrier, initial: string): boolean {
  // Its way there may be unknown: a host whose word was taken for where it is.
  if (behind !== null && (state === behind || applied.some((item) => item.state === behind))) return true;
  if (states.includes(state)) return attempt === null || attempt.from === state;
  if (states.includes(initial)) return true;
  return applied.some((item) => states.includes(item.state));
}

export type BarrierVerdict =
  | { readonly kind: "open" }
  | { readonly kind: "wait"; readonly message: string; readonly at: number | null }
  | { readonly kind: "stalled"; readonly reason: "BarrierFailed" | "BarrierAsks"; readonly message: string };

/** Whether a machine that wants to enter a state behind a barrier may. `since`: from when it has waited there; null from now on. */
export function barrierVerdict(world: World, barrier: Barrier, to: string, entry: MachineRecord): BarrierVerdict {
  const { barrier: at } = upkeepOf(entry);
  const waited = at?.for === barrierGate(to) ? at : null;
  if (waited?.waived === true) return { kind: "open" };
  const { arrived, needed } = arrivalsAt(world, barrier);
  const group = world.desired.loaded.repository.groups.get(barrier.group);
  // Empty means none: nobody to wait for is not everybody there.
  if (group !== undefined && group.members.length > 0 && needed > 0 && arrived.length >= needed)
    return { kind: "open" };
  const what = `${to} waits for ${wantedText(barrier, group, needed)}`;
  if (barrier.withinMs === null) return { kind: "wait", message: what, at: null };
  const deadline = (waited === null ? world.now : Date.parse(waited.since)) + barrier.withinMs;
  if (world.now < deadline)
    return { kind: "wait", message: `${what}, at the latest until ${isoTime(deadline)}`, at: deadline };
  const enough = barrier.proceedIf === null ? null : atLeast(barrier.proceedIf, group?.members.length ?? 0);
  if (enough !== null && enough > 0 && arrived.length >= enough) return { kind: "open" };
  const late = `${to} waited until ${isoTime(deadline)} for ${wantedText(barrier, group, needed)}`;
  return barrier.late === "fail"
    ? {
        kind: "stalled",
        reason: "BarrierFailed",
        message: `${late}: stateward retry waits again, stateward skip goes on without the others`,
      }
    : {
        kind: "stalled",
        reason: "BarrierAsks",
        message: `${late}: go on without the others (stateward skip), or wait again (stateward retry)?`,
      };
}

function wantedText(
  { group: name, machine, states, count }: Barrier,
  group: Group | undefined,
  needed: number,
): string {
  const size = group?.members.length ?? 0;
  const who =
    size === 0
      ? `hosts of ${name}, which has none,`
      : count === null
        ? `all ${size} hosts of ${name}`
        : `${needed} of the ${size} hosts of ${name} (${amountText(count)})`;
  return `${who} to come to ${states.join(" or ")} (${machine})`;
}

/** Name under which it is recorded that a machine waits at the barrier of a state. */
export function barrierGate(state: string): string {
  return `barrier ${state}`;
}

export function isBarrierGate(gate: string): boolean {
  return gate.startsWith("barrier ");
}
