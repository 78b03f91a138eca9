// What happened, as hosts, the remote and people saw it, in order. Checkers judge this and nothing else: no word in it comes from the
// code under test, but what that has published or answered.

export interface StepFacts {
  readonly name: string;
  readonly repeat: "always" | "never";
  readonly on: "host" | "controller";
}

export interface TransitionFacts {
  readonly from: string;
  readonly to: string;
  readonly steps: readonly StepFacts[];
  /** Its guard reads a group without hosts, so it is never open (B4). */
  readonly isShut: boolean;
}

export interface MachineFacts {
  readonly name: string;
  readonly initial: string;
  /** States that count as up. */
  readonly available: readonly string[];
  readonly transitions: readonly TransitionFacts[];
}

export interface HostFacts {
  readonly name: string;
  readonly region: string;
  readonly transport: "agent" | "ssh";
  readonly groups: readonly string[];
  /** Machine: state. */
  readonly targets: Readonly<Record<string, string>>;
  /** Its file holds it. */
  readonly isHeld: boolean;
}

export interface GroupFacts {
  readonly name: string;
  /** Hosts that may be taken down at once; null where nothing is said. */
  readonly maxUnavailable: number | null;
}

/** What a commit of `main` says. */
export interface DesiredFacts {
  /** False for one that does not pass the checks (D4). */
  readonly valid: boolean;
  readonly machines: readonly MachineFacts[];
  readonly hosts: readonly HostFacts[];
  readonly groups: readonly GroupFacts[];
  /** Hosts that a commit may move without a word (B3): so many, or such a share, as in `30%`. */
  readonly maxMoved: number | string;
  /** Hosts that may be lost at once before nothing is healed any more (B2). */
  readonly maxLost: number;
  /** Number of its trailer `Acknowledge-Moves`, or null. */
  readonly acknowledged: number | null;
}

/** One machine in a record, of what is published: only what checkers read. */
export interface MachineInRecord {
  readonly state: string;
  readonly desired: string;
  readonly applied: readonly { readonly state: string }[];
  readonly attempt: {
    readonly from: string;
    readonly to: string;
    readonly step: string | null;
    /** Steps that ended well, or that a person said to skip. */
    readonly done: readonly string[];
  } | null;
  readonly conditions: readonly {
    readonly type: string;
    readonly status: string;
    readonly reason: string;
    readonly message: string;
  }[];
  readonly updates: number;
  /** What the host last said by itself, without having been told. */
  readonly claim: string | null;
  /** Rises with each transition. */
  readonly revision: number;
}

/** A file of the record, parsed; `@fleet` for `fleet.json`. */
export interface SubjectInRecord {
  readonly name: string;
  readonly incarnation: string | null;
  readonly former: readonly string[];
  readonly machines: Readonly<Record<string, MachineInRecord>>;
  readonly holds?: readonly { readonly select: string; readonly by: string }[];
  readonly braked?: { readonly at: string } | null;
  readonly approvals?: readonly { readonly commit: string }[];
  readonly released?: { readonly reason: string } | null;
}

/** What a person or a program asked for, through the interface of a reconciler. */
export type Word =
  | { readonly kind: "hold"; readonly select: string; readonly by: string }
  | { readonly kind: "release"; readonly select: string }
  | { readonly kind: "approve"; readonly commit: string }
  /** `reason`: another one each time. */
  | { readonly kind: "release-brake"; readonly reason: string }
  | { readonly kind: "retry" | "skip" | "replay"; readonly host: string; readonly machine: string | null }
  /** An update of a counted state, with its idempotency key. */
  | {
      readonly kind: "update";
      readonly subject: string;
      readonly machine: string;
      readonly state: string;
      readonly key: string;
    };

/** `taken`: acknowledged (D1). `refused`: said to have changed nothing. `unknown`: no answer came. */
export type Answer = "taken" | "refused" | "unknown";

export type What =
  /** A person pushed `main`. */
  | { readonly kind: "commit"; readonly commit: string; readonly desired: DesiredFacts }
  /** `fresh`: without a data folder. `folder` names the data folder: those of one folder are one identity. */
  | { readonly kind: "started"; readonly process: string; readonly folder: string; readonly fresh: boolean }
  | { readonly kind: "killed" | "stopped"; readonly process: string }
  /** It was stopped as by SIGSTOP, and goes on with what it knew before. */
  | { readonly kind: "resumed"; readonly process: string }
  /** The remote took a commit of `observed`. `subjects` are the files that it changed. */
  | {
      readonly kind: "pushed";
      /** Null where it cannot be told. */
      readonly process: string | null;
      readonly commit: string;
      readonly parent: string | null;
      readonly epoch: number;
      /** Commit of `main` that it names; null for one that names none. */
      readonly desired: string | null;
      readonly subjects: readonly SubjectInRecord[];
      /** Files that stood in the commit before it, and do not any more. */
      readonly gone: readonly string[];
      readonly message: string;
    }
  /** A person moved a branch of the remote back, or away. */
  | {
      readonly kind: "rewound";
      readonly branch: "main" | "observed";
      readonly from: string;
      readonly to: string | null;
    }
  | { readonly kind: "restored"; readonly branch: "main" | "observed"; readonly to: string }
  | { readonly kind: "clock-set"; readonly process: string }
  /** A fetch whose answer never comes is given up then. */
  | { readonly kind: "waits"; readonly process: string; readonly until: number }
  /** The answer to a push was lost: what became of it the process does not know. */
  | { readonly kind: "unheard"; readonly process: string }
  | { readonly kind: "accepted-history"; readonly folder: string; readonly branch: "main" | "observed" }
  /** A reconciler was told what the remote's branches are. */
  | {
      readonly kind: "listed";
      readonly process: string;
      readonly main: string | null;
      readonly observed: string | null;
    }
  /** A host came to life, with nothing on it. */
  | { readonly kind: "built"; readonly host: string; readonly incarnation: string }
  /** A host does not answer, or does again. */
  | { readonly kind: "down" | "up"; readonly host: string }
  /** A step began to take effect. */
  | {
      readonly kind: "began";
      /** Number of the run, by which `ended` names it. */
      readonly run: number;
      readonly process: string;
      readonly host: string;
      /** Life of the host in which it ran. */
      readonly incarnation: string;
      readonly machine: string;
      readonly step: StepFacts;
      /** The step's transition; null for a remedy, a reboot or a replacement. */
      readonly transition: { readonly from: string; readonly to: string } | null;
      /** Whether its start stood on the disk or on the remote by then; null where it was not looked at (S1). */
      readonly isRecorded: boolean | null;
      /** Whether its start stood on the remote by then; null where it was not looked at. */
      readonly isPushed: boolean | null;
      /** Steps of its transition whose good end stood on the disk or on the remote by then; null where it was not looked at. */
      readonly done: readonly string[] | null;
    }
  /** Null: it did not come to its end. */
  | { readonly kind: "ended"; readonly run: number; readonly exit: number | null }
  /** A host was told that it is in a state. */
  | {
      readonly kind: "marked";
      readonly process: string;
      readonly host: string;
      readonly incarnation: string;
      readonly machine: string;
      readonly state: string;
    }
  /** A host lost its state by itself. */
  | {
      readonly kind: "fell";
      readonly host: string;
      readonly machine: string;
      readonly state: string;
      /** Its marker says what it said, and its service does not answer any more; else it was set back by hand. */
      readonly isSick: boolean;
    }
  /** A host's own report, and what became of it. */
  | {
      readonly kind: "reported";
      readonly process: string;
      readonly host: string;
      readonly incarnation: string;
      readonly sequence: number;
      readonly states: Readonly<Record<string, string>>;
      readonly sentAt: number;
      readonly answer: Answer;
    }
  | {
      readonly kind: "word";
      readonly process: string;
      readonly word: Word;
      readonly askedAt: number;
      readonly answer: Answer;
    }
  /** No fault happens from now on, and nobody changes anything. `helps`: people say each word that a reason asks for. */
  | { readonly kind: "calm"; readonly helps: boolean }
  /** The end: what the one that leads has in memory, if one does, and everything that the remote's record says. */
  | {
      readonly kind: "rest";
      readonly leader: string | null;
      readonly memory: readonly SubjectInRecord[] | null;
      readonly remote: readonly SubjectInRecord[];
      readonly hosts: readonly HostAtRest[];
      /** Commit of `main` in force, as the leader says, and the one that waits for a word. */
      readonly inForce: string | null;
      readonly waiting: string | null;
      readonly main: string | null;
      /** The leader says that everything is in its target, and has for a while; then, since when. */
      readonly restingSince: number | null;
      /** What the leader says is wrong with the branch, or with itself. */
      readonly trouble: string | null;
    };

export interface HostAtRest {
  readonly name: string;
  readonly up: boolean;
  readonly incarnation: string;
  /** Machine: state, as the host itself has it. */
  readonly states: Readonly<Record<string, string>>;
}

/** `at`: milliseconds of true time since the beginning. */
export type Happening = What & { readonly at: number };

export interface History {
  readonly events: readonly Happening[];
  /** Faults ended at some moment, so that everything has to come to rest (L1). */
  readonly isLiveness: boolean;
}

export interface Violation {
  readonly promise: string;
  readonly at: number;
  readonly message: string;
}

/** Judges one promise. Pure, and written from `concepts.md` alone. */
export interface Checker {
  readonly promise: string;
  /** What is judged, in one sentence. */
  readonly says: string;
  readonly check: (history: History) => readonly Violation[];
}

/** The happenings of one kind, in order. */
export function all<K extends What["kind"]>(
  history: History,
  kind: K,
): (Extract<What, { kind: K }> & { readonly at: number })[] {
  return history.events.filter(
    (event): event is Extract<What, { kind: K }> & { readonly at: number } => event.kind === kind,
  );
}
