// The commits of pull requests, in a bare repository of their own: whatever a branch holds, the mirror is not touched. Objects are read
// there, and nothing of them is checked out or run (A3).
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { runProcess } from "../adapters/process.ts";
import { Failure } from "../model/failure.ts";
import type { Merged, PullRequestSource } from "../model/forge.ts";
import type { Git } from "../record/git.ts";
import { openBare } from "../record/mirror.ts";
import { GitRemote } from "../record/remote.ts";
import { borrowObjects, type Workspace } from "./workspace.ts";

/** After so many fetches the repository is made anew: branches that are gone leave their objects behind. */
const fetchesMax = 500;
const mainRef = "refs/stateward/main";
const mergedRef = "refs/stateward/merged";

export class PullRequestMirror implements PullRequestSource {
  /** Folder of the bare repository. */
  readonly dir: string;
  private readonly workspace: Workspace;
  private opened: Promise<Git> | null = null;
  private fetches = 0;

  constructor(workspace: Workspace) {
    this.workspace = workspace;
    this.dir = join(workspace.data, "pull-requests.git");
  }

  async fetch(number: number): Promise<{ base: string; head: string }> {
    // Whoever makes plans makes them one after the other: only between two of them nobody reads what would be removed.
    if (this.fetches++ >= fetchesMax) this.close();
    const git = await this.open();
    const remote = new GitRemote(git, this.workspace.remote);
    const ref = `refs/stateward/pull/${number}`;
    await remote.fetch("refs/heads/main", mainRef);
    await remote.fetch(`refs/pull/${number}/head`, ref);
    const { id: head } = await git.objects.need(ref, "commit");
    const result = await git.try(["merge-base", mainRef, head]);
    const base = result.stdout.trim();
    if (result.exit === 0 && /^[0-9a-f]{40}$/.test(base)) return { base, head };
    throw new Failure("invalid", `pull request ${number} has no history in common with main`, {
      reason: "NoCommonHistory",
      hint: "make its branch from main",
    });
  }

  async merges(commit: string, { number, head, commits, inForce }: Merged): Promise<boolean> {
    const git = await this.open();
    if ((await git.resolve(head)) === null) {
      // Into refs of its own: a plan may be made meanwhile.
      const remote = new GitRemote(git, this.workspace.remote);
      await remote.fetch("refs/heads/main", `${mergedRef}/main`);
      await remote.fetch(`refs/pull/${number}/head`, `${mergedRef}/${number}`);
    }
    const [ours = "", theirs, ...others] = await parentsOf(git, commit);
    if (theirs === undefined) return isAllOf(git, commit, { head, commits, inForce });
    // What else came in since is no part of what people said their word about.
    if (others.length > 0 || ours !== inForce || theirs !== head) return false;
    const merged = await treeOf(git, commit);
    if (merged === (await treeOf(git, head))) return true;
    // Git before 2.38 cannot say: then the word of a person is asked for again.
    const result = await git.try(["merge-tree", "--write-tree", "--end-of-options", ours, theirs]);
    return result.exit === 0 && result.stdout.trim() === merged;
  }

  close(): void {
    this.opened?.then((git) => git.objects.close()).catch(() => {});
    this.opened = null;
    this.fetches = 0;
  }

  /** Opened once, whoever asks first. */
  private open(): Promise<Git> {
    this.opened ??= this.create().catch((error: unknown) => {
      this.opened = null;
      throw error;
    });
    return this.opened;
  }

  /** What an earlier run has left is not used: it may have been killed at any moment. */
  private async create(): Promise<Git> {
    await rm(this.dir, { recursive: true, force: true });
    const git = await openBare(this.dir, runProcess, this.workspace.git);
    await borrowObjects(this.dir, join(this.workspace.data, "mirror.git", "objects"));
    return git;
  }
}

/** True for one commit with all of a pull request on what is in force, and for a copy of each of its commits there, or those themselves. */
async function isAllOf(git: Git, commit: string, { head, commits, inForce }: Omit<Merged, "number">): Promise<boolean> {
  if ((await treeOf(git, commit)) !== (await treeOf(git, head))) return false;
  if ((await parentsOf(git, commit))[0] === inForce) return true;
  const listed = new Set(commits);
  let [at, of] = [commit, head];
  for (let step = 0; step < commits.length; step++) {
    // A commit that the pull request does not have was merged before it, by nobody's word.
    if (!listed.has(of) || (await treeOf(git, at)) !== (await treeOf(git, of))) return false;
    const [above, further] = [await parentsOf(git, at), await parentsOf(git, of)];
    if (above.length !== 1 || further.length !== 1) return false;
    [at = "", of = ""] = [above[0], further[0]];
    if (at === inForce) return true;
  }
  return false;
}

async function parentsOf(git: Git, commit: string): Promise<string[]> {
  const text = await git.run(["rev-list", "--parents", "-1", "--end-of-options", commit]);
  return text.trim().split(" ").slice(1);
}

async function treeOf(git: Git, commit: string): Promise<string> {
  return (await git.objects.need(`${commit}^{tree}`, "tree")).id;
}
