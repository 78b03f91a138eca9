// Ports: what the rooms share. Each is small, readers apart from writers, and every implementation passes the suite in `test/conformance/`.

import type { Problem } from "./problem.ts";
import type { Attempt, Condition, FleetRecord, RolloutRecord, SubjectRecord } from "./record.ts";
import type { HostReport, StateClaim } from "./report.ts";
import type { LoadedRepository } from "./repository.ts";
import type { Action, Check, Host, Step } from "./types.ts";

/** Time as the engine sees it. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Calls `wake` once, `ms` milliseconds from now; the function returned takes that back. */
  after(ms: number, wake: () => void): () => void;
}

/** A commit of `main` with what it says. */
export interface DesiredCommit {
  readonly commit: string;
  readonly loaded: LoadedRepository;
  /** How many hosts its author says that it moves, from the trailer `Acknowledge-Moves`; absent without one. */
  readonly acknowledged?: number;
}

/** Result of one poll of the desired branch. */
export type Poll =
  | { readonly kind: "unchanged" }
  /**
   * `refused` is a newer commit with problems, where the last good one had to be looked for (D4). `rewound` says that the branch
   * is not where it was when this commit was accepted (D6).
   */
  | {
      readonly kind: "changed";
      readonly desired: DesiredCommit;
      readonly refused?: DesiredCommit;
      readonly rewound?: string;
    }
  /** The remote did not answer: what is in force stays in force. */
  | { readonly kind: "unreachable"; readonly message: string }
  /** The branch was rewound or rewritten (D6). */
  | { readonly kind: "rewound"; readonly message: string };

export interface DesiredReader {
  poll(): Promise<Poll>;
  /** The commit that was in force when something was recorded last; null when there is none, or it cannot be read. */
  recorded(): Promise<DesiredCommit | null>;
  /** Whether a commit descends from another; false also where one of them is not known. */
  descends(commit: string, ancestor: string): Promise<boolean>;
}

/** What the record holds at start: from the repository, with the journal applied to it. */
export interface LoadedRecord {
  readonly subjects: readonly SubjectRecord[];
  readonly epoch: number;
}

/** A changed record with the line that says why, for the commit message. */
export interface RecordChange {
  readonly record: SubjectRecord;
  /** Such as `git-1: drained -> serving`; null for changes that need no line of their own. */
  readonly summary: string | null;
  /** Commit of `main` in force. */
  readonly desired: string;
}

export interface RecordReader {
  load(): Promise<LoadedRecord>;
}

/** Who leads, and how far the record is behind. */
export interface RecordStatus {
  /** `history`: the branch was rewound or rewritten, and a person has to say what holds (D6). */
  readonly role: "starting" | "standby" | "history" | "leading" | "ended";
  readonly epoch: number;
  /** Who leads, as far as is known. */
  readonly leader: {
    readonly instance: string;
    readonly host: string;
    readonly epoch: number;
    /** It has ended in order, and nobody has taken over yet. */
    readonly released: boolean;
  } | null;
  /** Why this one does not lead; empty while it does. */
  readonly message: string;
  /** Milliseconds since the remote was last known to have what was pushed; 0 while this one does not lead. */
  readonly behindMs: number;
  /** Subjects whose latest record is in the journal alone. */
  readonly unpushed: number;
}

export interface RecordWriter {
  status(): RecordStatus;
  /** Resolves when the change is on the disk, synced (D1). Rejects when it is not: then nothing may act on it. */
  append(change: RecordChange): Promise<void>;
  /** Resolves when everything appended so far is a commit that the remote has accepted (D2). */
  flush(): Promise<void>;
}

/** How a step ended. */
export type Outcome =
  | { readonly kind: "ok"; readonly output: string }
  | { readonly kind: "failed"; readonly message: string; readonly output: string }
  | { readonly kind: "timeout"; readonly message: string; readonly output: string }
  /** The host could not be reached; whether the step ran is not known. */
  | { readonly kind: "unreachable"; readonly message: string; readonly output: string }
  /** The host says that this step was claimed before: it was not run now (S2). */
  | { readonly kind: "claimed"; readonly message: string; readonly output: string };

/** What a host knows of a step marked `repeat: never` that was started by a reconciler that is gone. */
export type Inquiry =
  | { readonly kind: "ended"; readonly exit: number }
  | { readonly kind: "running" }
  /** The step never began on the host: it can be started without doubt, because starting claims it there first. */
  | { readonly kind: "absent" }
  | { readonly kind: "unknown"; readonly message: string };

/** A step with its templates filled in, for one host. */
export interface StepOrder {
  readonly host: Host;
  readonly machine: string;
  readonly step: Step;
  readonly action: Action;
  /** The host must still be this one; null lets any pass. */
  readonly incarnation: string | null;
  /** Name of the claim on the host for `repeat: never`; null for steps that may repeat. */
  readonly claim: string | null;
}

export interface MarkOrder {
  readonly host: Host;
  readonly incarnation: string | null;
  readonly machine: string;
  readonly claim: StateClaim;
}

export interface InquireOrder {
  readonly host: Host;
  readonly incarnation: string | null;
  readonly claim: string;
}

/** Looks at hosts that do not report by themselves. */
export interface HostLooker {
  /**
   * `checkOf` gives the check, templates filled in, of the state that a marker claims; where a marker is missing, of the state that is
   * recorded. Never throws: unreachable is a report.
   */
  look(
    host: Host,
    checkOf: (machine: string, claim: StateClaim) => Check | null,
    recorded?: Readonly<Record<string, StateClaim>>,
  ): Promise<HostReport>;
}

/** Acts on hosts. Nothing here throws for what a host does: that is an outcome. */
export interface HostActor {
  run(order: StepOrder): Promise<Outcome>;
  /** Leaves the state marker on the host. */
  mark(order: MarkOrder): Promise<Outcome>;
  inquire(order: InquireOrder): Promise<Inquiry>;
}

/** A report as an agent sends it, after its schema check. */
export interface AgentReport {
  readonly incarnation: string;
  /** Rises with every report of one incarnation. */
  readonly sequence: number;
  readonly states: Readonly<Record<string, StateClaim>>;
  readonly facts: Readonly<Record<string, string>>;
}

/** One machine of a subject, for people and programs. */
export interface MachineView {
  readonly machine: string;
  readonly state: string;
  readonly target: string | null;
  readonly since: string;
  readonly available: boolean;
  /** States on the way to the target, the next one first. */
  readonly path: readonly string[];
  readonly attempt: Attempt | null;
  readonly conditions: readonly Condition[];
}

export interface SubjectView {
  readonly kind: "host" | "group";
  readonly name: string;
  readonly region: string | null;
  readonly owner: string | null;
  readonly address: string | null;
  readonly incarnation: string | null;
  /** Null where nothing was heard yet, and for groups. */
  readonly reachable: boolean | null;
  readonly held: string | null;
  readonly machines: readonly MachineView[];
}

export interface Health {
  /** False when nothing can be decided: no good commit yet, or the record cannot be written. */
  readonly ready: boolean;
  readonly commit: string | null;
  readonly message: string;
  readonly record: RecordStatus;
  /** Problems of the latest commit, when it was refused (D4). */
  readonly problems: readonly Problem[];
  readonly inTarget: number;
  readonly subjects: number;
}

/** Reads the fleet as it is now. */
export interface FleetReader {
  subjects(): readonly SubjectView[];
  subject(name: string): SubjectView | null;
  health(): Health;
  /** True when the subject is in the state. Throws a Failure for a subject that does not exist or must be named. */
  isIn(subject: string | null, state: string, machine: string | null): boolean;
}

/** Takes what hosts, programs and people say. Each resolves when that is on the disk (D1), and throws a Failure when it is refused. */
export interface FleetWriter {
  report(host: string, report: AgentReport): Promise<void>;
  update(subject: string | null, state: string, idempotencyKey: string | null): Promise<void>;
  /** A person's word on what is stalled; `by`: who says it, for the record. */
  verdict(subject: string, machine: string | null, word: "retry" | "skip", by?: string): Promise<void>;
  /** A person asks for a host to be replayed from its initial states. */
  replay(subject: string, by?: string): Promise<void>;
}

/** How far a change of targets has spread, for people and programs. */
export interface RolloutView {
  /** `web/git-server`, or `fleet/git-server` where no group has a rollout of its own. */
  readonly scope: string;
  readonly commit: string;
  readonly since: string;
  readonly phase: RolloutRecord["phase"];
  readonly message: string;
  /** The wave that it is in, 0 for the canary, and how many hosts may have begun by the end of each. */
  readonly wave: number;
  readonly waves: readonly number[];
  readonly hosts: Readonly<Record<"pending" | "active" | "done" | "failed" | "parked", number>>;
}

export interface GovernorView {
  readonly name: string;
  readonly limit: number;
  readonly holders: readonly { readonly host: string; readonly until: string }[];
  readonly waiting: number;
}

/** What concerns more than one host, as it is now. */
export interface FleetView extends Pick<FleetRecord, "holds" | "braked" | "released"> {
  readonly rollouts: readonly RolloutView[];
  readonly governors: readonly GovernorView[];
  /** The commit that waits for a person's word. */
  readonly unapproved: { readonly commit: string; readonly message: string } | null;
}

/** One reason why a host does not go on, and what stands behind it. */
export interface CauseView {
  readonly subject: string;
  readonly machine: string | null;
  readonly reason: string;
  readonly message: string;
  readonly since: string | null;
  readonly goesOnIf: string | null;
  readonly because: readonly CauseView[];
  readonly more: number;
}

export interface WhyView {
  readonly subject: string;
  /** Empty when every machine is in its target. */
  readonly causes: readonly CauseView[];
  /** The answer to "what if", where it was asked. */
  readonly whatIf: {
    readonly word: string;
    readonly arrives: boolean;
    /** So many transitions of other hosts come before that the plan was not played to its end. */
    readonly isCut: boolean;
    readonly afterMs: number | null;
    readonly moves: readonly {
      readonly machine: string;
      readonly from: string;
      readonly to: string;
      readonly atMs: number;
    }[];
    readonly causes: readonly CauseView[];
  } | null;
}

/** Answers what keeps hosts, alone and together. */
export interface CoordinationReader {
  fleet(): FleetView;
  /** Throws a Failure for a subject that does not exist, and for a word that nobody knows. */
  why(subject: string, whatIf: string | null): WhyView;
}

/** Takes what people say about more than one host. Each resolves when that is on the disk (D1), and throws a Failure when it is refused. */
export interface CoordinationWriter {
  /** Resolves to the selector as it is recorded and the number of hosts that it covers now. */
  hold(order: {
    readonly select: string;
    readonly reason: string;
    readonly by: string;
    readonly until: string | null;
  }): Promise<{
    readonly select: string;
    readonly hosts: number;
  }>;
  release(select: string, by: string): Promise<{ readonly select: string }>;
  /** Resolves to the whole name of the commit, and whether it is in force now: a newer one may have come meanwhile. */
  approve(commit: string, by: string): Promise<{ readonly commit: string; readonly inForce: boolean }>;
  releaseBrake(by: string, reason: string): Promise<void>;
}

/** The state repository, for those who want it looked at or kept small. */
export interface RepositoryControl {
  /** Looks at the remote soon. */
  wake(): void;
  /** Gives the record a new root; resolves to the branch that keeps what was there. */
  archive(): Promise<string>;
}

/** Something that happened, for people and logs: a constant name with fields. */
export type EngineEvent =
  | { readonly kind: "desired"; readonly commit: string; readonly hosts: number; readonly machines: number }
  | { readonly kind: "refused"; readonly commit: string; readonly problems: number }
  /** A commit waits for a person's word before it comes into force (B3). */
  | { readonly kind: "unapproved"; readonly commit: string; readonly message: string }
  /** What was decided about more than one host: a rollout's wave, a brake, a hold. */
  | { readonly kind: "fleet"; readonly message: string }
  | { readonly kind: "rebuilt"; readonly subject: string; readonly incarnation: string }
  | {
      readonly kind: "observed";
      readonly subject: string;
      readonly machine: string;
      readonly from: string;
      readonly to: string;
      readonly why: string;
    }
  | {
      readonly kind: "started";
      readonly subject: string;
      readonly machine: string;
      readonly from: string;
      readonly to: string;
      readonly reason: string;
    }
  | {
      readonly kind: "entered";
      readonly subject: string;
      readonly machine: string;
      readonly from: string;
      readonly to: string;
      readonly reason: string;
      readonly ms: number;
    }
  /** A remedy, a reboot or a replacement has run to its end; whether it helped is seen later. */
  | {
      readonly kind: "repaired";
      readonly subject: string;
      readonly machine: string;
      readonly repair: string;
      readonly ms: number;
    }
  | {
      readonly kind: "step-failed";
      readonly subject: string;
      readonly machine: string;
      readonly step: string;
      readonly message: string;
    }
  | {
      readonly kind: "condition";
      readonly subject: string;
      readonly machine: string;
      readonly reason: string;
      readonly message: string;
    }
  | { readonly kind: "settled"; readonly ready: number; readonly total: number }
  | { readonly kind: "unreachable-remote"; readonly message: string }
  /** After the one above: the desired branch is followed again. */
  | { readonly kind: "reachable-remote" }
  | { readonly kind: "fatal"; readonly message: string };

export type EventSink = (event: EngineEvent) => void;

/** A child process and what became of it. `exit` is null when it was killed or could not be started. */
export interface ProcessResult {
  readonly exit: number | null;
  readonly timedOut: boolean;
  /** Standard output as text; bytes that are not UTF-8 become U+FFFD. */
  readonly stdout: string;
  readonly stderr: string;
}

export interface ProcessOrder {
  readonly argv: readonly [string, ...string[]];
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Written to standard input, which is then closed. */
  readonly input?: string;
  /** At this time the whole process group gets TERM, and KILL after a grace (S3). */
  readonly timeoutMs: number;
  /** Bytes kept of each stream: the first and the last half; what lies between is read and dropped. */
  readonly outputBytesMax: number;
  /** It ends when this process does, however that ends but by KILL: for programs that only work for this one. */
  readonly endsWithUs?: boolean;
  /** Standard output that ends like this means that the work is done, whatever still holds the pipe. */
  readonly endsWith?: RegExp;
}

/** Starts a process in a group of its own and waits for its end. Rejects only when the program cannot be started. */
export type RunProcess = (order: ProcessOrder) => Promise<ProcessResult>;
