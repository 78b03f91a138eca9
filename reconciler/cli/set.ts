// stateward set: changes target states where the files say them.
import { Failure } from "../model/failure.ts";
import type { Change, Ground } from "./change.ts";
import { makeOrOffer, type OfferOptions } from "./offer.ts";
import { print, printJson } from "./output.ts";
import { editTargets, parseAssignment, type TargetChange, targetChanges } from "./target-edits.ts";
import { openWorkspace } from "./workspace.ts";

export interface SetOptions extends OfferOptions {
  /** Set a machine that hosts share in the group that carries it. */
  readonly group?: boolean;
}

/** stateward set HOST MACHINE=STATE...: edits the files, keeping comments and layout. */
export async function set(options: SetOptions, select: string, assignments: readonly string[]): Promise<number> {
  if (assignments.length === 0)
    throw new Failure("invalid", "no target is given", { reason: "Usage", hint: "stateward set HOST MACHINE=STATE" });
  const wanted = assignments.map(parseAssignment);
  const make = async (ground: Ground): Promise<Change | null> => {
    const changes = targetChanges(ground.loaded, select, wanted, options.group ?? false);
    if (changes.length > 0) return { ...wordsOf("set", select, changes), files: await editTargets(ground, changes) };
    sayNothing(options, `nothing to change: ${select} has ${assignments.join(", ")} already`);
    return null;
  };
  return makeOrOffer(options, openWorkspace(options), { make });
}

/** Says that nothing is changed, and why. */
export function sayNothing({ json }: Pick<OfferOptions, "json">, why: string): void {
  if (json) printJson({ lines: [why], files: [], diff: "", written: false });
  else print(why);
}

/** How changed targets are told. */
export function wordsOf(
  verb: string,
  select: string,
  changes: readonly TargetChange[],
): Pick<Change, "title" | "slug" | "lines"> {
  const lines = changes.map(({ subject, machine, before, state }) =>
    before === null
      ? `${subject}  ${machine}: none -> ${state} (it had no such target before)`
      : `${subject}  ${machine}: ${before} -> ${state}`,
  );
  const wishes = [...new Set(changes.map(({ machine, state }) => `${machine} to ${state}`))];
  const names = [...new Set(changes.map(({ subject }) => subject))];
  const [name = select] = names;
  const whom = names.length === 1 ? name : `${select}, ${names.length} hosts`;
  const title = `${whom}: ${wishes.slice(0, 3).join(", ")}${wishes.length > 3 ? ` (+${wishes.length - 3})` : ""}`;
  return { title, lines, slug: slugOf(`${verb}-${select}-${changes.length === 1 ? changes[0]?.state : ""}`) };
}

const slugMax = 60;

/** Part of a branch's name: letters, digits and single hyphens. */
function slugOf(text: string): string {
  return text
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-")
    .slice(0, slugMax)
    .replace(/-$/, "");
}
