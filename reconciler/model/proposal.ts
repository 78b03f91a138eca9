// A proposal: what a change between two commits of `main` would do, as plain data. Made by plan/proposal.ts, shown by forge/ and cli/.
// Every list has an order of its own, so that the same change gives the same bytes.
import type { Problem } from "./problem.ts";

/**
 * How well the effect of a step is known beforehand. `exact`: all of it stands in the files. `estimated`: the tool that does it can say
 * beforehand what it would do. `opaque`: a program of which nothing is known but that it is run.
 */
export type Effect = "exact" | "estimated" | "opaque";

export interface ProposedStep {
  readonly title: string;
  readonly effect: Effect;
  /** `never`: it is run at most once, whatever happens (S2). */
  readonly repeat: "always" | "never";
  readonly on: "host" | "controller";
}

/** A guard of a transition, as it is at the time of the plan. */
export interface ProposedGuard {
  readonly when: string;
  /** Hosts for which it does not hold, of those that were asked: of many, the first. */
  readonly closed: number;
  readonly asked: number;
}

export interface ProposedTransition {
  readonly from: string;
  readonly to: string;
  /** The least certain one of its steps; `exact` where it has none. */
  readonly effect: Effect;
  readonly steps: readonly ProposedStep[];
  readonly guard: ProposedGuard | null;
  readonly governors: readonly string[];
  /** The group of which enough hosts have to arrive before; null for none. */
  readonly barrier: string | null;
}

/** Hosts, or groups with machines of their own, that would go the same way. */
export interface ProposedMove {
  readonly kind: "host" | "group";
  readonly machine: string;
  readonly from: string;
  readonly to: string;
  /** Why: another target, a new host or machine, or the same target by another way. */
  readonly reason: "target" | "added" | "way";
  /** In name order. */
  readonly names: readonly string[];
  readonly path: readonly ProposedTransition[];
}

/** A target that cannot be reached from where hosts are. */
export interface ProposedNoPath {
  readonly machine: string;
  readonly from: string;
  readonly to: string;
  readonly names: readonly string[];
  readonly message: string;
  /** One entry that would make it reachable; null where a state does not exist at all. */
  readonly missing: { readonly from: string; readonly to: string } | null;
}

/** How a change of targets would spread. */
export interface ProposedRollout {
  /** As the record names it, such as `web/site=v2`; `fleet/...` where no group has a rollout of its own. */
  readonly scope: string;
  readonly group: string | null;
  readonly machine: string;
  readonly to: string;
  readonly hosts: number;
  /** How many hosts may have begun by the end of each wave, the canary first. */
  readonly waves: readonly number[];
  readonly canary: number;
  readonly soakMs: number;
  /** Hosts that may be unavailable at once, as written: `10 %`. */
  readonly maxUnavailable: string;
  readonly maxFailures: number;
  readonly order: readonly string[];
}

/** What would keep the change, or some hosts, from going on. `approval`: nothing of it happens before a person's word. */
export interface Hindrance {
  readonly kind: "approval" | "hold" | "window" | "brake" | "rollout";
  readonly message: string;
  /** What a person can do. */
  readonly remedy: string;
  /** Hosts that it keeps, in name order; empty where it keeps all of them. */
  readonly names: readonly string[];
}

/** The change played forward with the durations that were recorded. */
export interface ProposedPlay {
  /** Transitions that were played, and of how many hosts. */
  readonly transitions: number;
  readonly hosts: number;
  /** Of these, transitions that other changes had asked for before. */
  readonly others: number;
  /** Most hosts acted upon at once. */
  readonly peak: number;
  readonly durationMs: number;
  /** Transitions of which no duration was recorded. */
  readonly assumed: number;
  /** Groups of the hosts that move: how many of them are available at the least, and were before. */
  readonly groups: readonly {
    readonly group: string;
    readonly size: number;
    readonly before: number;
    readonly lowest: number;
  }[];
  /** Hosts that move and do not arrive, by what keeps them at the end. */
  readonly stuck: readonly {
    readonly machine: string;
    readonly reason: string;
    readonly message: string;
    readonly names: readonly string[];
  }[];
  /** True where it was not played to its end, because too many hosts move. */
  readonly isCut: boolean;
}

/** Values that change in the same way, as canonical YAML with secrets hidden. */
export interface ValueChange {
  readonly kind: "host" | "group" | "machine" | "settings" | "holidays" | "signers";
  /** Whose they are, in name order; the path of the file for settings, holidays and signers. */
  readonly names: readonly string[];
  /** Empty for what is added. */
  readonly before: string;
  /** Empty for what is removed. */
  readonly after: string;
}

/** A machine that is concerned, as a graph. */
export interface ProposedMachine {
  readonly name: string;
  readonly change: "added" | "removed" | "changed" | null;
  /** Hosts and groups that carry it. */
  readonly carriers: number;
  readonly initial: string;
  /** In the order of the file. */
  readonly states: readonly { readonly name: string; readonly available: boolean }[];
  readonly transitions: readonly {
    readonly from: string;
    readonly to: string;
    readonly auto: boolean;
    readonly guarded: boolean;
    readonly steps: number;
    /** Hosts that would take it. */
    readonly taken: number;
  }[];
}

export interface Named {
  readonly hosts: readonly string[];
  readonly groups: readonly string[];
  readonly machines: readonly string[];
}

export interface Proposal {
  /** 40 hex digits; null where there is nothing to compare with. */
  readonly base: string | null;
  readonly head: string;
  /** Commit of `observed` that says in which states hosts are; null where that is not known, and base targets are taken for it. */
  readonly record: string | null;
  /** The time that guards, holds and windows were judged at, ISO 8601: that of the newest commit that was read. */
  readonly at: string;
  /** What is not known, and what was left out, in sentences. */
  readonly notes: readonly string[];
  /** Errors of HEAD: with one, it would be refused, and nothing else is said of it (D4). */
  readonly errors: readonly Problem[];
  /** Warnings that BASE does not have. */
  readonly warnings: readonly Problem[];
  readonly counts: {
    readonly hosts: number;
    readonly moved: number;
    readonly unchanged: number;
    /** On their way already, to the same target by the same path. */
    readonly underWay: number;
  };
  readonly moves: readonly ProposedMove[];
  readonly noPaths: readonly ProposedNoPath[];
  readonly rollouts: readonly ProposedRollout[];
  readonly play: ProposedPlay | null;
  readonly hindrances: readonly Hindrance[];
  /** Owners of the hosts concerned, in name order. */
  readonly owners: readonly string[];
  /** Hosts concerned that nobody owns. */
  readonly unowned: number;
  readonly added: Named;
  readonly removed: Named;
  readonly changes: readonly ValueChange[];
  readonly machines: readonly ProposedMachine[];
}
