// Whether a transition that is under way is still wanted, after a newer commit came into force.
import type { MachineRecord } from "../model/record.ts";
import { nextOf } from "./next.ts";
import { definitionOf, sameWay } from "./transition.ts";
import { type AnySubject, guardValues, type World } from "./world.ts";

/** True when the machine would begin this very transition now. A repair is its own purpose: it goes on. */
export function isStillWanted(
  world: World,
  subject: AnySubject,
  [name, entry]: readonly [string, MachineRecord],
): boolean {
  const { attempt } = entry;
  const { guards, repository } = world.desired.loaded;
  const machine = repository.machines.get(name);
  if (attempt === null || attempt.reason === "remedy" || attempt.reason === "replace") return true;
  if (machine === undefined || !subject.machines.has(name)) return false;
  const target = subject.machines.get(name) ?? null;
  // As it would be decided anew: without the step that has just ended.
  const begun = { ...entry, attempt: { ...attempt, step: null } };
  const values = (): ReturnType<typeof guardValues> => guardValues(world, subject, [name, begun]);
  const { about } = nextOf({
    machine,
    entry: begun,
    target,
    guards,
    values,
    settings: repository.settings,
    now: world.now,
  });
  return about !== null && sameWay(attempt, about) && attempt.definition === definitionOf(about);
}
