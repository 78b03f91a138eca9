// The desired branch as it is followed: which commit is in force, and what is wrong with a newer one (D4, D6).
import type { DesiredCommit, DesiredReader, EventSink } from "../model/ports.ts";
import { errorsOf, hasErrors, type Problem } from "../model/problem.ts";

/** What was refused most recently, or why the branch is not followed. */
export interface Trouble {
  readonly commit: string | null;
  readonly message: string;
  readonly problems: readonly Problem[];
}

/** A commit that has come into force, and the one before it. */
export interface Change {
  readonly before: DesiredCommit | null;
  readonly after: DesiredCommit;
}

/** Whether a commit without problems may come into force by itself (B3). */
export interface Judgement {
  /** Called once a commit was read, and before it is judged: what it is compared with can be read from then on. */
  readonly prepare: () => Promise<void>;
  /** Says why it must not without a person's word, or null. */
  readonly judge: (next: DesiredCommit) => string | null;
}

export class FollowedMain {
  /** The commit in force; null before the first good one. */
  current: DesiredCommit | null = null;
  private refused: Trouble | null = null;
  private notFollowed: Trouble | null = null;
  /** The branch was rewound or rewritten: nothing is started until it is followed again. */
  rewound = false;
  /** A commit without problems that waits for a person's word (B3), and why. */
  private asked: { readonly desired: DesiredCommit; readonly message: string } | null = null;
  private readonly reader: DesiredReader;
  private readonly events: EventSink;

  private readonly judgement: Judgement;

  constructor(reader: DesiredReader, events: EventSink, judgement: Judgement) {
    this.reader = reader;
    this.events = events;
    this.judgement = judgement;
  }

  /** The commit that waits for a person's word, and why, or null. */
  get waiting(): { readonly commit: string; readonly message: string } | null {
    return this.asked && { commit: this.asked.desired.commit, message: this.asked.message };
  }

  /** Takes the commit that is followed out of force: it waits for a person's word. */
  stepBack(next: DesiredCommit, message: string): void {
    this.current = null;
    this.ask(next, message);
  }

  /** Judges the waiting commit again. Resolves to it and the one before it when it has come into force. */
  reconsider(): Change | null {
    const { current: before, refused } = this;
    const next = this.asked?.desired;
    if (next === undefined || !this.consider(next)) return null;
    // A commit that was refused while this one waited is a later one: nothing about it has changed (D4).
    this.refused = refused;
    return { before, after: next };
  }

  /** The latest commit of the branch, where it was refused. */
  get refusal(): { readonly commit: string; readonly problems: readonly Problem[] } | null {
    const { commit = null, problems = [] } = this.refused ?? {};
    return commit === null ? null : { commit, problems };
  }

  /** What people should know: that the branch cannot be followed, else that its latest commit was refused. */
  get trouble(): Trouble | null {
    return this.notFollowed ?? this.refused ?? this.unapproved;
  }

  /** Looks once. Resolves to a newly accepted commit and the one before it, or to null. */
  async poll(): Promise<Change | null> {
    const poll = await this.reader.poll();
    if (poll.kind === "changed") await this.judgement.prepare();
    switch (poll.kind) {
      case "unchanged":
        this.followsAgain();
        this.rewound = false;
        return null;
      case "unreachable":
        this.cannotFollow(poll.message, {
          status: `main cannot be followed now, and what is in force stays: ${poll.message}`,
        });
        return null;
      case "rewound":
        // What waited is not on the branch any more.
        this.asked = null;
        this.cannotFollow(poll.message, { isNew: !this.rewound });
        this.rewound = true;
        return null;
      case "changed": {
        const before = this.current;
        if (poll.rewound === undefined) this.followsAgain();
        const accepted = this.consider(poll.desired);
        if (poll.refused) this.refuse(poll.refused);
        this.rewound = poll.rewound !== undefined;
        if (poll.rewound !== undefined) this.cannotFollow(poll.rewound, { isNew: true });
        return accepted ? { before, after: poll.desired } : null;
      }
    }
  }

  /** D4: a commit with a problem changes nothing. */
  private consider(next: DesiredCommit): boolean {
    if (hasErrors(next.loaded.problems)) {
      this.refuse(next);
      return false;
    }
    this.refused = null;
    const message = this.judgement.judge(next);
    if (message !== null) {
      this.ask(next, message);
      return false;
    }
    this.asked = null;
    this.current = next;
    return true;
  }

  private ask(desired: DesiredCommit, message: string): void {
    const isNew = this.asked?.desired.commit !== desired.commit;
    this.asked = { desired, message };
    if (isNew) this.events({ kind: "unapproved", commit: desired.commit, message });
  }

  private refuse({ commit, loaded }: DesiredCommit): void {
    const problems = errorsOf(loaded.problems);
    this.refused = { commit, message: `commit ${commit.slice(0, 8)} has problems and is not in force`, problems };
    this.events({ kind: "refused", commit, problems: problems.length });
  }

  private get unapproved(): Trouble | null {
    if (this.asked === null) return null;
    const { desired, message } = this.asked;
    const commit = desired.commit.slice(0, 8);
    return {
      commit: desired.commit,
      message: `commit ${commit} waits for a word: ${message}; stateward approve ${commit}`,
      problems: [],
    };
  }

  private followsAgain(): void {
    if (this.notFollowed !== null) this.events({ kind: "reachable-remote" });
    this.notFollowed = null;
  }

  /** Told once: a remote that is down fails in many words. */
  private cannotFollow(message: string, { isNew = false, status = message } = {}): void {
    const news = isNew || this.notFollowed === null;
    this.notFollowed = { commit: null, message: status, problems: this.refused?.problems ?? [] };
    if (news) this.events({ kind: "unreachable-remote", message });
  }
}
