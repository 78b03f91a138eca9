// The words of the product as types. Values here are parsed and checked; raw YAML and JSON never travel further than the parsers.
import type { Amount } from "./amount.ts";
import type { Problem } from "./problem.ts";

/** Text with `${...}` expressions in it; see `template.ts`. */
export type Template = string;

export interface RunAction {
  readonly kind: "run";
  readonly argv: readonly Template[];
  readonly env: Readonly<Record<string, Template>>;
}

export interface ShellAction {
  readonly kind: "shell";
  /** Given to `sh` as it stands: data reaches it through `env` alone (A3). */
  readonly script: string;
  readonly env: Readonly<Record<string, Template>>;
}

export interface HttpAction {
  readonly kind: "http";
  readonly url: Template;
  readonly method: string;
  readonly headers: Readonly<Record<string, Template>>;
  readonly body: Template | null;
  readonly expect: readonly number[];
  readonly withinMs: number;
}

export interface TcpAction {
  readonly kind: "tcp";
  /** Null means the host's own address. */
  readonly host: Template | null;
  readonly port: Template;
  readonly withinMs: number;
}

export interface WriteAction {
  readonly kind: "write";
  readonly path: Template;
  readonly content: Template;
  /** Octal permission bits, such as `0644`. */
  readonly mode: string;
}

export type Action = RunAction | ShellAction | HttpAction | TcpAction | WriteAction;

export interface Step {
  /** Stable identity of the step within its machine: its `name`, or a digest of its definition. */
  readonly key: string;
  readonly title: string;
  readonly repeat: "always" | "never";
  readonly timeoutMs: number;
  /** `controller`: on the reconciler's machine, in the data folder's own work folder. */
  readonly on: "host" | "controller";
  readonly action: Action;
}

/** How to see that a state still holds. */
export interface Check {
  readonly action: Action;
  readonly timeoutMs: number;
}

export interface Transition {
  readonly from: string;
  readonly to: string;
  /** CEL guard, or null when the transition needs none. */
  readonly when: string | null;
  /** Taken whenever the guard holds, whatever the target is. */
  readonly auto: boolean;
  readonly cost: number;
  /** Governors of which one permit each is held while the transition runs. */
  readonly governors: readonly string[];
  readonly steps: readonly Step[];
}

/** A state is entered only when enough hosts of a group have come to it. */
export interface Barrier {
  readonly group: string;
  /** Machine in which they arrive. */
  readonly machine: string;
  /** A host has arrived when it is in one of these states, or has been in this life of it and went on. */
  readonly states: readonly string[];
  /** The state behind the barrier: whoever is there has come to it. Null where they arrive in another machine. */
  readonly behind: string | null;
  /** Null for every host of the group. */
  readonly count: Amount | null;
  /** From when a host waits there; null for no deadline. */
  readonly withinMs: number | null;
  /** At the deadline: enough to go on with, or null where that never is. */
  readonly proceedIf: Amount | null;
  /** At the deadline, where it does not go on: the transition fails, or a person is asked. */
  readonly late: "fail" | "ask";
}

export type DriftMode = "correct" | "adopt" | "tolerate" | "alert";

/** What is done when a host is seen to have left its target state. */
export interface Drift {
  readonly mode: DriftMode;
  /** Until when `tolerate` holds, milliseconds since the epoch; null for ever. */
  readonly untilMs: number | null;
}

/** What is done when a host is lost. */
export interface Recovery {
  /** No report and no answer for this long, and three missed: the host is lost. */
  readonly lostAfterMs: number;
  readonly whenLost: "replay" | "replace" | "alert";
  /** Failed recoveries within 24 h after which the host is quarantined. */
  readonly tries: number;
  /** Steps that restart the host; none: the rung is left out. */
  readonly reboot: readonly Step[];
  /** Steps that make a new machine in its place, run from the reconciler's machine. */
  readonly replace: readonly Step[];
}

/** A repair that is tried by itself. */
export interface Remedy {
  readonly name: string;
  readonly when: string;
  /** `when` must have held for so long. */
  readonly forMs: number;
  /** `when` must have been false for so long before it counts as over. */
  readonly clearMs: number;
  readonly steps: readonly Step[];
  readonly limit: number;
  readonly limitMs: number;
}

/** How a change of targets spreads over hosts. */
export interface RolloutSpec {
  readonly maxUnavailable: Amount;
  /** Regions one after the other; those not named come last, together. */
  readonly order: readonly string[];
  /** Hosts in the first wave. */
  readonly canary: number;
  /** Sizes of the waves after it; the last one is repeated. */
  readonly waves: readonly Amount[];
  /** A wave has to hold for so long before the next one starts. */
  readonly soakMs: number;
  /** Hosts that may fail before nothing more is started; in the canary, none may. */
  readonly maxFailures: number;
  readonly paused: boolean;
}

export interface Governor {
  readonly name: string;
  readonly limit: number;
  /** A permit that is held for longer does not count any more. */
  readonly expiresMs: number;
}

/** Limits beyond which nothing goes on by itself. */
export interface Brakes {
  /** Lost hosts of the fleet within `lostWithinMs`. */
  readonly maxLost: Amount;
  /** The same of a group that says nothing else. */
  readonly maxLostGroup: Amount;
  /** Fewer than this many lost hosts are never too many. */
  readonly lostFloor: number;
  readonly lostWithinMs: number;
  /** After a start nothing is healed for so many report intervals, and until `minReported` of the fleet has reported. */
  readonly quietReports: number;
  readonly minReported: Amount;
  /** Hosts that one commit may move without a word: each of these is a limit. */
  readonly maxMoved: readonly Amount[];
  readonly maxRemoved: number;
  /** Hosts that are replaced, in a group within 10 min and in the fleet within an hour. */
  readonly maxWipesGroup: number;
  readonly maxWipes: number;
}

/** When changes are let through. */
export interface Window {
  readonly kind: "allow" | "deny";
  /** Cron expression of its starts, or null for whole holidays. */
  readonly cron: string | null;
  readonly lengthMs: number;
  readonly zone: string;
  /** Which hosts; null for all. */
  readonly select: string | null;
  /** `changes`: rollouts alone; `all`: healing and remedies too. */
  readonly covers: "changes" | "all";
  readonly reason: string;
}

export interface State {
  readonly name: string;
  readonly description: string;
  readonly available: boolean;
  /** Only passed through: never a target. */
  readonly transient: boolean;
  readonly check: Check | null;
  readonly barrier: Barrier | null;
}

export interface Machine {
  readonly name: string;
  readonly description: string;
  readonly initial: string;
  readonly file: string;
  /** In the order of the file. */
  readonly states: ReadonlyMap<string, State>;
  /** In the order of the file: by state entered, then by entry, then by `from`. */
  readonly transitions: readonly Transition[];
  readonly drift: Drift | null;
  readonly recovery: Recovery;
  readonly remedies: readonly Remedy[];
}

export interface Hold {
  readonly reason: string;
  readonly by: string;
  /** Milliseconds since the epoch, or null for a hold without end. */
  readonly untilMs: number | null;
}

export type TransportName = "local" | "ssh" | "agent";

export interface SshAccess {
  readonly user: string | null;
  readonly port: number;
  /** The host's public key as in a known_hosts file, such as `ssh-ed25519 AAAA...`. */
  readonly hostKey: string | null;
}

/** What hosts and groups share: each is a subject that carries machines. */
export interface Subject {
  readonly name: string;
  readonly file: string;
  /** Machines carried, in the order of the file; the value is the target state, or null where none is set. */
  readonly machines: ReadonlyMap<string, string | null>;
}

export interface Host extends Subject {
  readonly kind: "host";
  readonly region: string | null;
  readonly address: string | null;
  readonly transport: TransportName;
  readonly ssh: SshAccess;
  readonly owner: string | null;
  readonly labels: Readonly<Record<string, string>>;
  readonly vars: Readonly<Record<string, string>>;
  readonly hold: Hold | null;
  readonly drift: Drift | null;
}

export interface Group extends Subject {
  readonly kind: "group";
  readonly description: string;
  readonly select: string | null;
  /** Names of the hosts selected, in name order. Empty means none (B4). */
  readonly members: readonly string[];
  /** How changes spread over its members; null where the fleet's own way does. */
  readonly rollout: RolloutSpec | null;
  /** Lost members within the brakes' time that stop all remediation; null for the fleet's own share. */
  readonly maxLost: Amount | null;
}

export interface Settings {
  /** Cron expression of the Git poll, with seconds. */
  readonly poll: string;
  /** Between two looks at one host. */
  readonly lookMs: number;
  readonly regions: readonly string[] | null;
  readonly attempts: { readonly limit: number; readonly backoffMs: number; readonly backoffMaxMs: number };
  /** Transitions that run at once. */
  readonly parallel: number;
  readonly record: { readonly windowMs: number };
  readonly http: { readonly listen: string; readonly stateAccess: "token" | "open" };
  readonly local: { readonly root: string };
  readonly ssh: { readonly user: string | null; readonly identity: string | null };
  /** What groups take over that say nothing else, and what spreads a change where no group does. */
  readonly rollout: RolloutSpec;
  /** Hosts of the whole fleet that changes act upon at once: each of these is a limit. */
  readonly atOnce: readonly Amount[];
  readonly governors: ReadonlyMap<string, Governor>;
  readonly brakes: Brakes;
  readonly windows: readonly Window[];
  /** Days on which windows of kind holiday hold, `2026-12-25`, with their names. */
  readonly holidays: ReadonlyMap<string, string>;
  /** So many falls from the target, or automatic transitions, within this time are flapping. */
  readonly flapping: { readonly limit: number; readonly automatic: number; readonly withinMs: number };
  /** Null where commits need no signature. */
  readonly verify: Verify | null;
  readonly github: GitHubSettings;
}

/** Who has to have signed the commits of `main`. */
export interface Verify {
  /** Path of the file with the allowed signers. */
  readonly signers: string;
  /** Commit, 40 hexadecimal digits, up to which history is not judged. */
  readonly since: string;
}

/** What is said on pull requests, and to whom. Where GitHub is, and by whose credentials it is spoken to, stands in no commit. */
export interface GitHubSettings {
  /** Name of the environment by region; that of a region which is not named is its own. */
  readonly environments: Readonly<Record<string, string>>;
  /** Login, or `organisation/team`, by owner. */
  readonly owners: Readonly<Record<string, string>>;
  readonly labels: boolean;
  readonly reviews: boolean;
}

/** A whole state repository at one commit, parsed and checked. */
export interface Repository {
  readonly settings: Settings;
  readonly machines: ReadonlyMap<string, Machine>;
  readonly hosts: ReadonlyMap<string, Host>;
  readonly groups: ReadonlyMap<string, Group>;
}

/** A file of a state repository as it stands in a commit or a folder. */
export interface SourceFile {
  readonly path: string;
  /** Null where the parsed value is at hand, and the text is not. */
  readonly text: string | null;
  /** Identity of the content (a blob id), so that parsed values can be kept. */
  readonly id: string;
  /** What the text says, where that is known already. */
  readonly parsed?: ParsedDocument;
}

/** A document that was parsed and checked by itself: plain data that keeps to its schema, or problems. */
export type ParsedDocument = { readonly value: unknown } | { readonly problems: readonly Problem[] };
