// The mirror: a bare repository that follows the remote's `main` and `observed`. It never has a work tree, and only moves forward (D6).
import { mkdir, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { Failure, messageOf } from "../model/failure.ts";
import type { DesiredCommit, DesiredReader, Poll, RunProcess } from "../model/ports.ts";
import { hasErrors, type Problem, sortProblems } from "../model/problem.ts";
import { isStatePath, RepositoryLoader } from "../model/repository.ts";
import type { SourceFile } from "../model/types.ts";
import { checkRemote, Git, type GitResult, gitFailure, type TreeEntry, withoutCredentials } from "./git.ts";

export const mainRef = "refs/stateward/main";
/** The last commit of `main` without problems: what stays in force over a restart (D4). */
const acceptedRef = "refs/stateward/accepted";
export const observedRef = "refs/stateward/observed";

/** Paths of a state repository that are read. */
export const statePaths: readonly string[] = ["stateward.yaml", "machines", "hosts"];

/** Opens the bare repository in `dir`, and makes it if there is none. */
export async function openBare(dir: string, runProcess: RunProcess): Promise<Git> {
  await mkdir(dir, { recursive: true });
  const git = new Git(dir, runProcess);
  if ((await git.try(["rev-parse", "--git-dir"])).exit !== 0)
    await git.run(["init", "--quiet", "--bare", "--initial-branch=main", dir]);
  return git;
}

/** A lock of Git that is older than this belongs to nobody: every call of ours that takes one ends within milliseconds of it. */
const lockAgeMs = 5000;

/**
 * Removes the locks that Git processes of an earlier run left in the mirror when they were killed. Only whoever has the data
 * folder's own lock may call this. Young ones are waited for: their process may still be at work.
 */
export async function removeStaleLocks(git: Git): Promise<string[]> {
  const names = (await readdir(git.dir, { recursive: true })).filter(
    (name) => name.endsWith(".lock") && !name.startsWith("objects"),
  );
  for (const name of names) {
    const file = join(git.dir, name);
    const age = Date.now() - (await stat(file).catch(() => ({ mtimeMs: 0 }))).mtimeMs;
    if (age < lockAgeMs) await new Promise((resolve) => setTimeout(resolve, lockAgeMs - age));
    await rm(file, { force: true });
  }
  return names;
}

/** Object ids of the remote's branches, null where a branch does not exist. */
export async function listRemote(git: Git, remote: string): Promise<{ main: string | null; observed: string | null }> {
  const listing = await git.run(["ls-remote", "--", checkRemote(remote), "refs/heads/main", "refs/heads/observed"]);
  const ids = new Map(listing.split("\n").map((line) => [line.split("\t")[1], line.split("\t")[0] ?? ""]));
  return { main: ids.get("refs/heads/main") ?? null, observed: ids.get("refs/heads/observed") ?? null };
}

/** Fetches one branch into the mirror. Says false when the branch was rewound or rewritten: then the mirror stays as it is. */
export async function fetchBranch(git: Git, remote: string, branch: "main" | "observed"): Promise<boolean> {
  const refspec = `refs/heads/${branch}:refs/stateward/${branch}`;
  const result = await git.try(["fetch", "--no-tags", "--no-write-fetch-head", "--", checkRemote(remote), refspec], {
    timeoutMs: 600_000,
  });
  if (result.exit === 0) return true;
  if (isRewound(result)) return false;
  throw gitFailure(["fetch"], result);
}

function isRewound(result: GitResult): boolean {
  return /^ ! \[rejected\]/m.test(result.stderr);
}

/** Follows `main`: parses each new commit, keeping what did not change. */
export class DesiredMirror implements DesiredReader {
  private readonly git: Git;
  private readonly remote: string;
  private readonly loader: RepositoryLoader;
  private texts = new Map<string, string>();
  private last: string | null = null;

  constructor(git: Git, remote: string, loader: RepositoryLoader) {
    this.git = git;
    this.remote = remote;
    this.loader = loader;
  }

  async poll(): Promise<Poll> {
    try {
      return await this.look();
    } catch (error) {
      return { kind: "unreachable", message: withoutCredentials(messageOf(error)) };
    }
  }

  private async look(): Promise<Poll> {
    const { main } = await listRemote(this.git, this.remote);
    if (main === null) {
      throw new Failure("waiting", "the remote has no branch main", {
        reason: "NoMain",
        hint: "push the state repository to it",
      });
    }
    if (main === this.last) return { kind: "unchanged" };
    if (!(await fetchBranch(this.git, this.remote, "main"))) {
      const accepted = await this.git.resolve(mainRef);
      const message = `main was rewound or rewritten to ${main.slice(0, 8)}: nothing is started until ${accepted?.slice(0, 8) ?? "it"} is part of it again (git push origin ${accepted ?? "COMMIT"}:main)`;
      const kept = this.last === null ? accepted : null;
      const poll = kept === null ? null : await this.read(kept);
      return poll?.kind === "changed" ? { ...poll, rewound: message } : { kind: "rewound", message };
    }
    return this.read((await this.git.resolve(mainRef)) ?? main);
  }

  private async read(commit: string): Promise<Poll> {
    const first = this.last === null;
    const desired = await this.at(commit);
    this.last = commit;
    if (!hasErrors(desired.loaded.problems)) {
      await this.git.run(["update-ref", acceptedRef, commit]);
      return { kind: "changed", desired };
    }
    const good = first ? await this.lastGood() : null;
    return good === null ? { kind: "changed", desired } : { kind: "changed", desired: good, refused: desired };
  }

  /** The commit that was in force before: as this mirror remembers it, or as the record names it. */
  private async lastGood(): Promise<DesiredCommit | null> {
    const named = await this.git.try(["log", "-50", "--format=%(trailers:key=Desired,valueonly)", observedRef]);
    const recorded = named.stdout.split("\n").find((line) => /^[0-9a-f]{40}$/.test(line)) ?? null;
    for (const candidate of [await this.git.resolve(acceptedRef), recorded]) {
      if (candidate === null || (await this.git.resolve(`${candidate}^{commit}`)) === null) continue;
      const desired = await this.at(candidate);
      if (!hasErrors(desired.loaded.problems)) return desired;
    }
    return null;
  }

  /** A commit's files, parsed and checked. */
  async at(commit: string): Promise<DesiredCommit> {
    const tree = await this.git.tree(commit, statePaths);
    const read = tree.filter((entry) => isStatePath(entry.path) && isRegular(entry));
    const regular = read.filter(({ size }) => size <= blobBytesMax);
    const wanted = [...new Set(regular.map(({ id }) => id))];
    const fetched = await this.git.blobs(wanted.filter((id) => !this.texts.has(id)));
    this.texts = new Map(wanted.map((id) => [id, this.texts.get(id) ?? fetched.get(id) ?? ""]));
    const files: SourceFile[] = regular.map(({ id, path }) => ({ path, id, text: this.texts.get(id) ?? "" }));
    const loaded = this.loader.load(files);
    const odd = [
      ...tree.filter((entry) => !isRegular(entry)).map(notRegular),
      ...read.filter(({ size }) => size > blobBytesMax).map(tooLarge),
    ];
    return { commit, loaded: { ...loaded, problems: sortProblems([...odd, ...loaded.problems]) } };
  }
}

/** A blob beyond this is not even read; the loader's own limit is lower. */
const blobBytesMax = 1_048_576;

function isRegular({ mode }: TreeEntry): boolean {
  return mode === "100644" || mode === "100755";
}

function tooLarge({ path, size }: TreeEntry): Problem {
  const message = `the file has ${size} bytes`;
  return {
    file: path,
    line: 1,
    column: 1,
    severity: "error",
    code: "SW001",
    message,
    remedy: "split it into several files",
  };
}

function notRegular({ path, mode }: TreeEntry): Problem {
  const what = mode === "120000" ? "a symbolic link" : "a submodule";
  return {
    file: path,
    line: 1,
    column: 1,
    severity: "error",
    code: "SW503",
    message: `${path} is ${what}`,
    remedy: "commit the file itself",
  };
}
