// Whether a lost host may be replaced now, and by which steps.
import type { SubjectRecord } from "../model/record.ts";
import type { Host, Transition } from "../model/types.ts";
import { lostBrake, quietStart, wipeRefusal } from "./brakes.ts";
import { holdOn } from "./holds.ts";
import { recoveryOf } from "./recovery.ts";
import { windowFor } from "./windows.ts";
import type { World } from "./world.ts";

export type Replacement =
  | { readonly machine: string; readonly transition: Transition }
  | { readonly message: string; readonly at: number | null };

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
  const window = windowFor(repository.settings, guards, host, { now: world.now, what: "healing" });
  if (!window.open) return window;
  const refusal = wipeRefusal(world, host);
  if (refusal !== null) return refusal;
  const from = replacedBy.initial;
  const steps = replacedBy.recovery.replace;
  return {
    machine: replacedBy.name,
    transition: { from, to: from, when: null, auto: false, cost: 0, governors: [], steps },
  };
}
