// Planted bugs: the simulator has to find each of them.
import type { Edit } from "../bundle.ts";

export interface Canary {
  readonly name: string;
  readonly edits: readonly Edit[];
}

export const canaries: readonly Canary[] = [];
