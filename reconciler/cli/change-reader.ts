// Reads the two commits of a change, and what is recorded, out of a repository's objects alone: no work tree, no index, no hook, no
// filter, no network. What a branch says is data here, and nothing of it is run (A3).
import { join } from "node:path";
import { runProcess } from "../adapters/process.ts";
import { Failure } from "../model/failure.ts";
import { printable } from "../model/printable.ts";
import { recordFormat } from "../model/record.ts";
import type { SourceFile } from "../model/types.ts";
import type { ProposalInput } from "../plan/proposal.ts";
import { DocumentCache } from "../record/document-cache.ts";
import { Git } from "../record/git.ts";
import { DesiredMirror } from "../record/mirror.ts";
import { readRecord } from "../record/read-record.ts";
import { TipsFile } from "../record/tips.ts";
import { documentVersion } from "./document-version.ts";
import { findGitDir } from "./git-dir.ts";
import { createLoader } from "./loader.ts";
import { version } from "./version.ts";

/** Where a change is to be read from. */
export interface ChangeSource {
  /** A folder of the repository, or the bare repository itself. */
  readonly folder: string;
  /** Folder in which parsed documents are kept; null keeps nothing. */
  readonly cache: string | null;
  /** Commit-ish of `observed`; null for the branch of that name, if there is one. */
  readonly record: string | null;
}

/** The two sides as somebody wrote them. */
export interface Revisions {
  readonly base: string;
  readonly head: string;
  /** `A...B`: what B has done since it left A. */
  readonly isSymmetric: boolean;
}

/**
 * For Git and everything that this process starts: objects that a partial clone lacks are not fetched, and no ref puts one object in
 * the place of another.
 */
export const offlineEnvironment: Readonly<Record<string, string>> = {
  GIT_ALLOW_PROTOCOL: "none",
  GIT_NO_LAZY_FETCH: "1",
  GIT_NO_REPLACE_OBJECTS: "1",
};

/** `BASE..HEAD` as in Git: a side that is left out is HEAD. Null for a text without dots. */
export function parseRange(text: string): Revisions | null {
  const [, base, dots = "", head] = /^(.*?)(\.{2,3})(.*)$/s.exec(text) ?? [];
  if (base === undefined || head === undefined) return null;
  return { base: base === "" ? "HEAD" : base, head: head === "" ? "HEAD" : head, isSymmetric: dots === "..." };
}

/** Reads a change. Throws a Failure for a name that is no commit, and for objects that are not there. */
export async function readChange(source: ChangeSource, revisions: Revisions): Promise<ProposalInput> {
  const git = await openRepository(source.folder);
  try {
    return await readFrom(git, source, revisions);
  } catch (error) {
    if (!(error instanceof Failure) || !isMissing(error)) throw error;
    throw new Failure("invalid", error.message, {
      reason: "MissingObjects",
      hint: "the clone may be partial or shallow: fetch all of the commits that are compared, with their files",
      cause: error,
    });
  } finally {
    git.objects.close();
  }
}

/** An object that is not there; of a partial clone, Git says that it could not fetch it. */
function isMissing({ reason, message }: Failure): boolean {
  return reason === "GitCorrupt" || (reason === "GitFailed" && /could not fetch|promisor/.test(message));
}

async function readFrom(
  git: Git,
  source: ChangeSource,
  { base, head, isSymmetric }: Revisions,
): Promise<ProposalInput> {
  const to = await commitOf(git, head);
  const named = await commitOf(git, base);
  const from = isSymmetric ? await mergeBase(git, named, to) : named;
  const record = await recordAt(git, source.record);
  const reader = new DesiredMirror({
    git,
    remotes: [],
    tips: TipsFile.forgetful(),
    loader: createLoader(),
    cache: new BaseCache(cacheFile(source, "plan-documents")),
  });
  const readBoth = async (): Promise<Pick<ProposalInput, "base" | "head">> => ({
    base: await reader.at(from),
    head: await reader.at(to),
  });
  const records = new DocumentCache(cacheFile(source, "plan-records"), recordVersion);
  // The record is read by a process of Git's own, beside the commits.
  const [commits, read] = await Promise.all([readBoth(), record === null ? null : readRecord(git, record, records)]);
  const times = await Promise.all([to, ...(record === null ? [] : [record])].map((commit) => timeOf(git, commit)));
  return {
    ...commits,
    signers: await signersChanged(git, commits),
    record: record === null || read === null ? null : { commit: record, subjects: read.subjects },
    now: Math.max(...times),
  };
}

/** Where the reader keeps what it has parsed; null for nowhere. */
function cacheFile({ cache }: ChangeSource, name: string): string | null {
  return cache === null ? null : join(cache, name);
}

/** What another program has decoded is decoded anew. */
const recordVersion = `${version} ${recordFormat}`;

/** No more of such a file is shown than this, in bytes. */
const signersMax = 256 * 1024;

/** Files that one of the two commits names for its signers, and that they have otherwise. */
async function signersChanged(
  git: Git,
  { base, head }: Pick<ProposalInput, "base" | "head">,
): Promise<NonNullable<ProposalInput["signers"]>> {
  const named = [base, head].flatMap((side) => side?.loaded.repository.settings.verify?.signers ?? []);
  const textAt = async (side: typeof base, path: string): Promise<string> => {
    const blob = side === null ? null : await git.objects.read(`${side.commit}:${path}`);
    return blob?.type === "blob" ? blob.data.subarray(0, signersMax).toString() : "";
  };
  const read = async (path: string): Promise<NonNullable<ProposalInput["signers"]>[number]> => {
    const [before, after] = await Promise.all([textAt(base, path), textAt(head, path)]);
    return { path, before, after };
  };
  const files = await Promise.all([...new Set(named)].map(read));
  return files.filter(({ before, after }) => before !== after);
}

/** A cache that keeps what the base says: of the head, only a few documents are others, and they are the base of the next change. */
class BaseCache extends DocumentCache {
  private isKept = false;

  constructor(path: string | null) {
    super(path, documentVersion);
  }

  override keep(fresh: readonly SourceFile[], total: number): void {
    if (!this.isKept) super.keep(fresh, total);
    this.isKept = true;
  }
}

/** The repository that a folder belongs to. Only its objects and refs are read. */
async function openRepository(folder: string): Promise<Git> {
  const found = await findGitDir(folder, offlineEnvironment);
  if ("said" in found) {
    throw new Failure("invalid", `no Git repository in ${folder}: ${found.said}`, {
      reason: "NoRepository",
      hint: "name the folder of a clone of the state repository with --folder",
    });
  }
  return new Git(found.dir, runProcess, { env: offlineEnvironment });
}

async function resolve(git: Git, name: string): Promise<string | null> {
  // An option is refused by its first character, and once more by the word before it.
  if (name.startsWith("-") || !/^[^\p{Cc}]{1,500}$/u.test(name)) {
    throw new Failure("invalid", `not a revision: ${JSON.stringify(name.slice(0, 100))}`, {
      reason: "Usage",
      hint: "name commits, branches or tags, such as main..HEAD",
    });
  }
  const { exit, stdout } = await git.try(["rev-parse", "--verify", "--quiet", "--end-of-options", `${name}^{commit}`]);
  const id = stdout.trim();
  return exit === 0 && /^[0-9a-f]{40}$/.test(id) ? id : null;
}

async function commitOf(git: Git, name: string): Promise<string> {
  const id = await resolve(git, name);
  if (id !== null) return id;
  throw new Failure("invalid", `there is no commit ${printable(name)} here`, {
    reason: "UnknownRevision",
    hint: "fetch it first; a shallow clone has the latest commits alone (git fetch --unshallow, fetch-depth: 0)",
  });
}

async function mergeBase(git: Git, a: string, b: string): Promise<string> {
  const { stdout } = await git.try(["merge-base", a, b]);
  const id = stdout.trim();
  if (/^[0-9a-f]{40}$/.test(id)) return id;
  throw new Failure("invalid", "the two commits have no common ancestor here", {
    reason: "UnknownRevision",
    hint: "compare them with two dots, or fetch more of their history",
  });
}

/** Where the record is in a clone and in a reconciler's mirror. */
const recordRefs = ["refs/heads/observed", "refs/remotes/origin/observed"];

async function recordAt(git: Git, name: string | null): Promise<string | null> {
  if (name !== null) return commitOf(git, name);
  for (const ref of recordRefs) {
    const id = await resolve(git, ref);
    if (id !== null) return id;
  }
  return null;
}

/** The year 2100: a commit may say any time, and none is believed that dates cannot hold. */
const timeMaxMs = Date.UTC(2100, 0, 1);

/** When a commit was made, as it says, in milliseconds. */
async function timeOf(git: Git, commit: string): Promise<number> {
  const text = (await git.objects.need(commit, "commit")).data.toString();
  const [, seconds = "0"] = /^committer .* (\d{1,15}) [+-]\d{4}$/m.exec(text.slice(0, text.indexOf("\n\n"))) ?? [];
  return Math.min(Number(seconds) * 1000, timeMaxMs);
}
