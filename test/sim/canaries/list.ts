// Planted bugs: what the simulator has to find, each by the promise that it breaks, so that a checker that cannot fail is noticed. An
// entry is a change of a source that is made while the simulator is bundled; nothing that is published carries it.
import type { Edit } from "../bundle.ts";
import { durability } from "./durability.ts";
import { fleet } from "./fleet.ts";
import { reconciling } from "./reconciling.ts";
import { steps } from "./steps.ts";

export interface Canary {
  readonly name: string;
  /** What is wrong, in a few words. */
  readonly what: string;
  /** It is found when one of these is broken. */
  readonly promises: readonly string[];
  readonly mode: "safety" | "liveness";
  readonly edits: readonly Edit[];
  /** It has to be found within so many seeds. */
  readonly seedsMax: number;
}

export const canaries: readonly Canary[] = [...reconciling, ...steps, ...durability, ...fleet];
