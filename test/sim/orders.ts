// What the command says to the processes that play, and what they answer.
import type { Violation } from "./history.ts";

/** Promises of the simulator itself, beside those of the checkers. */
export const crashed = "crash";
export const hung = "hang";

/** What a run tells of one seed. */
export interface Judged {
  readonly events: number;
  readonly steps: number;
  /** By kind. */
  readonly faults: Readonly<Record<string, number>>;
  readonly happenings: Readonly<Record<string, number>>;
  readonly violations: readonly Violation[];
  /** Of the history's bytes. */
  readonly digest: string;
}

export interface Seed {
  readonly name: string;
  readonly isLiveness: boolean;
}

export type Order =
  /** `isTwice`: two times, and the histories are compared. */
  | { readonly kind: "play"; readonly seed: Seed; readonly isTwice: boolean }
  | { readonly kind: "shrink"; readonly seed: Seed; readonly promise: string }
  /** Lines of the history that match are given. */
  | { readonly kind: "show"; readonly seed: Seed; readonly filter: string };

export type Answer =
  | { readonly kind: "alive" }
  | { readonly kind: "judged"; readonly judged: Judged }
  | { readonly kind: "lines"; readonly lines: readonly string[]; readonly judged: Judged | null }
  /** The process did not answer in time, or ended, or the simulator itself threw. */
  | { readonly kind: "lost"; readonly message: string };
