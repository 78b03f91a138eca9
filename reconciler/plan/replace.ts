// Whether a lost host may be replaced now, and by which steps.
import type { SubjectRecord } from "../model/record.ts";
import type { Host, Transition } from "../model/types.ts";
import { lostBrake, quietStart, tooManyLost, wipeRefusal } from "./brakes.ts";
import { holdOn } from "./holds.ts";
import { recoveryOf } from "./recovery.ts";
import { repairOf } from "./transition.ts";
import { windowFor } from "./windows.ts";
import { currentReport, type World } from "./world.ts";

export type Replacement =
  | { readonly machine: string; readonly transition: Transition }
  | { readonly message: string; readonly at: number | null };

/** When it is asked again whether hosts are silent no more, in milliseconds. */
const againMs = 60_000;

/** Hosts that were known and are not heard, as lost now. */
function silentHosts(world: World): ReadonlyMap<string, number> {
  const silent = new Map<string, number>();
  for (const host of world.desired.loaded.repository.hosts.values()) {
    const heard = currentReport(world, host);
    const isKnown = world.records.get(host.name)?.incarnation != null;
    if (isKnown && "reason" in heard && heard.reason !== "NoReport") silent.set(host.name, world.now);
  }
  return silent;
}

/** What replaces a host now, why that has to wait, or null where nothing can. */
export function replacementOf(world: World, host: Host, record: SubjectRecord): Replacement | null {
  const { repository, guards } = world.desired.loaded;
  const { replacedBy } = recoveryOf(repository, host);
  if (replacedBy === null || record.lost?.quarantined === true) return null;
  const entry = record.machines[replacedBy.name];
  if (entry === undefined) return null;
  const held = holdOn(world, host);
  if (held !== null) return { message: "held", at: held.untilMs };
  const braked = quietStart(world, host) ?? lostBrake(world, record);
  if (braked !== null) return braked;
  // Hosts that fall silent one after the other are a partition rather than so many losses: what is silent counts before it is lost.
  const losses = tooManyLost(world, silentHosts(world));
  if (losses !== null)
    return { message: `${losses.lost} hosts of ${losses.of} are lost or silent`, at: world.now + againMs };
  const window = windowFor(repository.settings, guards, host, { now: world.now, what: "healing" });
  if (!window.open) return window;
  const refusal = wipeRefusal(world, host);
  if (refusal !== null) return refusal;
  const transition = repairOf(replacedBy.initial, replacedBy.recovery.replace);
  return { machine: replacedBy.name, transition };
}
