// The words of the product as types. Values here are parsed and checked; raw YAML and JSON never travel further than the parsers.
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
  readonly steps: readonly Step[];
}

export interface State {
  readonly name: string;
  readonly description: string;
  readonly available: boolean;
  /** Only passed through: never a target. */
  readonly transient: boolean;
  readonly check: Check | null;
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
}

export interface Group extends Subject {
  readonly kind: "group";
  readonly description: string;
  readonly select: string | null;
  /** Names of the hosts selected, in name order. Empty means none (B4). */
  readonly members: readonly string[];
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
