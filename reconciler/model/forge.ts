// What the rooms share about a Git host with pull requests: what is said of a planned change, and what is asked of the host.

/** One remark at a place of the state repository; lines and columns are counted from 1. */
export interface Annotation {
  readonly path: string;
  readonly line: number;
  readonly column: number;
  readonly level: "failure" | "warning" | "notice";
  /** A code such as `SW204`, and what it means. */
  readonly title: string;
  readonly message: string;
}

/** What a planned change is said to do, ready to be shown. The same change gives the same bytes. */
export interface PlanReport {
  /** Commit that was planned, 40 hex digits. */
  readonly head: string;
  /** One line, such as `12 hosts would move, 1 is removed`. */
  readonly title: string;
  /** `failure`: it would be refused. `action_required`: it would wait for a person's word. `neutral`: nothing would change. */
  readonly conclusion: "success" | "failure" | "action_required" | "neutral";
  /** Markdown for a comment, at most 65,000 bytes. */
  readonly comment: string;
  /** Markdown that did not fit into the comment, for a check run, at most 65,000 bytes; empty when all of it did. */
  readonly details: string;
  readonly annotations: readonly Annotation[];
  /** Owners of the hosts concerned, as the files name them, in name order. */
  readonly owners: readonly string[];
  /** Hosts have no way to their targets: no word of a person's lets them go on. Absent where it is not known. */
  readonly lacksWay?: boolean;
  /** Hosts would be removed; absent where it is not known. */
  readonly removes?: boolean;
}

/** Makes the report on a change between two commits that the repository has. Pure data: nothing of either commit is run (A3). */
export interface ChangePlanner {
  plan(base: string, head: string): Promise<PlanReport>;
}

/** A change that is offered to people: files on a new branch. */
export interface ProposedChange {
  /** Name of the new branch, without `refs/heads/`. */
  readonly branch: string;
  /** Branch that it is to be merged into. */
  readonly base: string;
  readonly title: string;
  /** Markdown. */
  readonly body: string;
}

export interface OpenedPullRequest {
  readonly number: number;
  readonly url: string;
  /** False where it was there before anybody asked for it. */
  readonly isNew: boolean;
}

/** Opens pull requests on a Git host. The branch was pushed before. */
export interface PullRequestOpener {
  /** Resolves to the pull request, the open one where the branch has one already. Throws a Failure when the host refuses. */
  open(change: ProposedChange): Promise<OpenedPullRequest>;
}

/** Brings the commits of pull requests into the mirror, and looks at them there. */
export interface PullRequestSource {
  /** Newest commit of a pull request, and the one of the desired branch from which it goes out. Rejects with a Failure. */
  fetch(number: number): Promise<{ readonly base: string; readonly head: string }>;
  /** True when all that a commit adds to what is in force is the merge of a pull request: in a merge commit, in one commit, or in as many as it had. */
  merges(commit: string, of: Merged): Promise<boolean>;
}

/** A pull request that was merged, and what it was merged into. */
export interface Merged {
  readonly number: number;
  /** Newest commit of its branch. */
  readonly head: string;
  /** Its commits, as the Git host lists them. */
  readonly commits: readonly string[];
  /** The commit in force. What lies between it and the merge was part of no plan that people saw. */
  readonly inForce: string;
}

/** A commit of the desired branch that has problems and is not in force (D4). */
export interface RefusedCommit {
  readonly commit: string;
  /** How many problems it has. */
  readonly problems: number;
  /** The first of them in a line, with file and code, without secrets. */
  readonly first: string;
}

/** Told by a hook that something happened on a Git host. What it is, is looked at there: the hook's own words count for nothing. */
export interface ForgeWaker {
  /** Number of the pull request concerned; null for all. Never throws. */
  wake(pullRequest: number | null): void;
}
