// The repository in which a person works. What is proposed from it is made of objects and pushed: work tree, index and branches there
// stay as they are, and none of its hooks is run.
import { realpath } from "node:fs/promises";
import { Failure } from "../model/failure.ts";
import type { RunProcess } from "../model/ports.ts";
import { Git, type GitOptions, gitEnvironment } from "./git.ts";
import { GitRemote } from "./remote.ts";
import { diffTrees } from "./tree-diff.ts";

export interface PersonOptions extends GitOptions {
  readonly runProcess: RunProcess;
  /** Name of the remote to which branches are pushed. */
  readonly remote: string;
}

/** Branch of the remote that counts. */
const mainRef = "refs/heads/main";
/** What was fetched is kept here, apart from the person's own refs. */
const fetchedRefs = "refs/stateward/proposed";

/** Branches of one change that are looked at, one after the other. */
const namesMax = 20;

export interface PushedBranch {
  readonly branch: string;
  /** What the remote has there. */
  readonly commit: string;
  /** False where it was there before. */
  readonly isNew: boolean;
}

export class PersonRepository {
  readonly git: Git;
  readonly remoteName: string;
  private readonly remote: GitRemote;

  private constructor(git: Git, remoteName: string) {
    this.git = git;
    this.remoteName = remoteName;
    this.remote = new GitRemote(git, remoteName);
  }

  /** Throws a Failure for a folder that is not the top of a work tree, and for a remote that has no usable name. */
  static async open(folder: string, { runProcess, remote, ...options }: PersonOptions): Promise<PersonRepository> {
    if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(remote))
      throw new Failure("invalid", `not the name of a remote: ${remote}`, { reason: "Usage", hint: "such as origin" });
    const argv = ["git", "-C", folder, "rev-parse", "--path-format=absolute", "--git-common-dir", "--show-toplevel"];
    const env = { ...gitEnvironment(), ...options.env };
    const result = await runProcess({
      argv: argv as [string, ...string[]],
      env,
      timeoutMs: 30_000,
      outputBytesMax: 100_000,
    });
    const [dir = "", top = ""] = result.stdout.split("\n");
    if (result.exit !== 0 || dir === "" || (await realpath(top)) !== (await realpath(folder)))
      throw new Failure("invalid", `${folder} is not the top folder of a Git repository`, {
        reason: "NoRepository",
        hint: "clone the state repository, and name its folder with --folder",
      });
    return new PersonRepository(new Git(dir, runProcess, options), remote);
  }

  /** Address of the remote to which branches are pushed. */
  async url(): Promise<string> {
    const result = await this.git.try(["remote", "get-url", "--push", this.remoteName]);
    if (result.exit === 0) return result.stdout.trim();
    throw new Failure("invalid", `the repository has no remote ${this.remoteName}`, {
      reason: "NoRemote",
      hint: "git remote -v lists them: name one with --remote",
    });
  }

  /** The tip of a branch of the remote as it is now, fetched; null where the remote has no such branch. */
  async fetch(branch: string): Promise<string | null> {
    const ref = `refs/heads/${branch}`;
    const listed = await this.git.run(["ls-remote", "--", this.remoteName, ref]);
    if (!listed.split("\n").some((line) => line.endsWith(`\t${ref}`))) return null;
    await this.remote.fetch(ref, `${fetchedRefs}/${branch}`);
    return (await this.git.objects.need(`${fetchedRefs}/${branch}`, "commit")).id;
  }

  /** The tip of the branch that counts. */
  async fetchMain(): Promise<string> {
    const commit = await this.fetch("main");
    if (commit !== null) return commit;
    throw new Failure("invalid", `the remote ${this.remoteName} has no branch main`, {
      reason: "NoMain",
      hint: `push the state repository to it: git push ${this.remoteName} HEAD:${mainRef}`,
    });
  }

  /** A commit by the person whose repository it is, signed where their Git says that commits are. No branch points to it yet. */
  async commit(tree: string, parent: string, message: string): Promise<string> {
    const signs = (await this.git.try(["config", "--type=bool", "--get", "commit.gpgsign"])).stdout.trim() === "true";
    const args = ["commit-tree", ...(signs ? ["-S"] : []), "-p", parent, "-F", "-", tree];
    const result = await this.git.try(args, { input: message });
    if (result.exit === 0) return result.stdout.trim();
    const { message: why } = this.git.failure(args, result);
    throw new Failure("invalid", why, {
      reason: "NoCommit",
      hint: signs
        ? "commit.gpgsign is set: see that git commit -S works here"
        : "git config user.name and git config user.email say who you are",
    });
  }

  /**
   * Pushes a commit that lies on main as a new branch. Where the remote has the branch with the same change on it, from this main or an
   * earlier one, that stays. One that was merged is done with: the next free name is taken.
   */
  async push(commit: string, name: string): Promise<PushedBranch> {
    const main = (await this.git.objects.need(`${commit}^1`, "commit")).id;
    for (let number = 1; number <= namesMax; number++) {
      const branch = number === 1 ? name : `${name}-${number}`;
      const known = await this.fetch(branch);
      if (known === null) {
        await this.pushNew(commit, branch);
        return { branch, commit, isNew: true };
      }
      if (await this.git.descends(main, known)) continue;
      if (await this.isSameChange(known, commit, main)) return { branch, commit: known, isNew: false };
      throw this.branchExists(branch, "with something else on it");
    }
    throw this.branchExists(name, `and ${namesMax - 1} more of that name, all merged`);
  }

  private branchExists(branch: string, how: string): Failure {
    return new Failure("invalid", `the remote has a branch ${branch} ${how}`, {
      reason: "BranchExists",
      hint: `look at it; git push ${this.remoteName} --delete ${branch} removes it`,
    });
  }

  private async pushNew(commit: string, branch: string): Promise<void> {
    const result = await this.remote.push([`${commit}:refs/heads/${branch}`]);
    if (result.kind === "accepted") return;
    throw new Failure("transient", `the remote refused the branch ${branch}: ${result.message}`, {
      reason: "PushRefused",
      hint: "see that you may push branches there",
    });
  }

  /** True where a commit does to an earlier main, or this one, what another does: the same files from the same contents to the same. */
  private async isSameChange(known: string, commit: string, main: string): Promise<boolean> {
    const line = await this.git.run(["rev-list", "--max-count=1", "--parents", known]);
    const [, parent, ...others] = line.trim().split(" ");
    if (parent === undefined || others.length > 0 || !(await this.git.descends(main, parent))) return false;
    return (await this.changesOf(known)) === (await this.changesOf(commit));
  }

  private async changesOf(commit: string): Promise<string> {
    const [before, after] = [`${commit}^1^{tree}`, `${commit}^{tree}`];
    return JSON.stringify(await diffTrees(this.git.objects, { before, after }, () => true));
  }

  close(): void {
    this.git.objects.close();
    this.remote.close();
  }
}
