// The desired branch as it is followed: which commit is in force, and what is wrong with a newer one (D4, D6).
import type { DesiredCommit, DesiredReader, EventSink } from "../model/ports.ts";
import { errorsOf, hasErrors, type Problem } from "../model/problem.ts";

/** What was refused most recently, or why the branch is not followed. */
export interface Trouble {
  readonly commit: string | null;
  readonly message: string;
  readonly problems: readonly Problem[];
}

export class FollowedMain {
  /** The commit in force; null before the first good one. */
  current: DesiredCommit | null = null;
  private refused: Trouble | null = null;
  private notFollowed: Trouble | null = null;
  /** The branch was rewound or rewritten: nothing is started until it is followed again. */
  rewound = false;
  private readonly reader: DesiredReader;
  private readonly events: EventSink;

  constructor(reader: DesiredReader, events: EventSink) {
    this.reader = reader;
    this.events = events;
  }

  /** What people should know: that the branch cannot be followed, else that its latest commit was refused. */
  get trouble(): Trouble | null {
    return this.notFollowed ?? this.refused;
  }

  /** Looks once. Resolves to a newly accepted commit and the one before it, or to null. */
  async poll(): Promise<{ readonly before: DesiredCommit | null; readonly after: DesiredCommit } | null> {
    const poll = await this.reader.poll();
    switch (poll.kind) {
      case "unchanged":
        this.followsAgain();
        this.rewound = false;
        return null;
      case "unreachable":
        this.cannotFollow(poll.message);
        return null;
      case "rewound":
        this.cannotFollow(poll.message, !this.rewound);
        this.rewound = true;
        return null;
      case "changed": {
        const before = this.current;
        if (poll.rewound === undefined) this.followsAgain();
        const accepted = this.consider(poll.desired);
        if (poll.refused) this.refuse(poll.refused);
        this.rewound = poll.rewound !== undefined;
        if (poll.rewound !== undefined) this.cannotFollow(poll.rewound, true);
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
    this.current = next;
    return true;
  }

  private refuse({ commit, loaded }: DesiredCommit): void {
    const problems = errorsOf(loaded.problems);
    this.refused = { commit, message: `commit ${commit.slice(0, 8)} has problems and is not in force`, problems };
    this.events({ kind: "refused", commit, problems: problems.length });
  }

  private followsAgain(): void {
    if (this.notFollowed !== null) this.events({ kind: "reachable-remote" });
    this.notFollowed = null;
  }

  /** Told once: a remote that is down fails in many words. */
  private cannotFollow(message: string, isNew = false): void {
    const news = isNew || this.notFollowed === null;
    this.notFollowed = { commit: null, message, problems: this.refused?.problems ?? [] };
    if (news) this.events({ kind: "unreachable-remote", message });
  }
}
