// The mirror: a bare repository that follows the remote's `main` and `observed`. It never has a work tree, and only moves forward (D6).
import { mkdir, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Failure, messageOf } from "../model/failure.ts";
import type { DesiredCommit, DesiredReader, Poll, RunProcess } from "../model/ports.ts";
import { errorAt, hasErrors, type Problem, sortProblems } from "../model/problem.ts";
import { type FileChange, isStatePath, type LoadedRepository, type RepositoryLoader } from "../model/repository.ts";
import { exists } from "./disk.ts";
import type { DocumentCache } from "./document-cache.ts";
import { type DocumentRef, readDocuments } from "./documents.ts";
import { type FollowOptions, follow } from "./follow.ts";
import { type BareRepository, Git, type GitOptions, trailersIn } from "./git.ts";
import { removePartialPacks } from "./pack.ts";
import { clashes, oddEntry } from "./paths.ts";
import { acceptedRef, observedRef, removeEmptyRefs } from "./refs.ts";
import { isCorrupt, type Listing, type Remote, unreachable } from "./remote.ts";
import type { CommitJudge } from "./signed-history.ts";
import type { HistoryFinding } from "./signing-policy.ts";
import { diffTrees, type TreeChange } from "./tree-diff.ts";

/** What stands at the top of a state repository and is read. */
export const statePaths: readonly string[] = ["stateward.yaml", "holidays.yaml", "machines", "hosts"];

/** Opens the bare repository in `dir`, and makes it if there is none. */
export async function openBare(dir: string, runProcess: RunProcess, options: GitOptions = {}): Promise<Git> {
  await mkdir(dir, { recursive: true });
  const git = new Git(dir, runProcess, options);
  if (!(await exists(join(dir, "HEAD")))) await git.run(["init", "--quiet", "--bare", "--initial-branch=main", dir]);
  return git;
}

/** A mirror in which something cannot be read is put here, for people to look at; the newest only. */
const asideName = "mirror-damaged.git";
/** Its presence says that the mirror was found damaged. */
const damagedMark = "stateward-damaged";

/** Says that the next start is not to use this mirror. */
export async function markDamaged(git: Pick<BareRepository, "dir">): Promise<void> {
  await mkdir(join(git.dir, damagedMark), { recursive: true });
}

/** True when Git can read the repository's settings, refs, and what they point to. */
async function isSound(dir: string, runProcess: RunProcess): Promise<boolean> {
  if (await exists(join(dir, damagedMark))) return false;
  const git = new Git(dir, runProcess);
  const result = await git.try(["for-each-ref", "--format=%(objecttype)"]);
  git.objects.close();
  return result.exit === 0 && !/\b(error|fatal|bad|broken)\b/i.test(result.stderr);
}

/** Opens the mirror of a data folder as it must be after a crash or a power cut. Says what it mended. Only the folder's one owner may. */
export async function openMirror(
  data: string,
  runProcess: RunProcess,
  options: { readonly git?: GitOptions; readonly notice: (message: string) => void },
): Promise<Git> {
  const dir = join(data, "mirror.git");
  // An empty ref is mended without losing the rest.
  for (const name of await removeEmptyRefs(dir).catch(() => []))
    options.notice(`removed the ref ${name}, which a power cut left empty`);
  if ((await exists(dir)) && !(await isSound(dir, runProcess))) {
    await rm(join(data, asideName), { recursive: true, force: true });
    await rename(dir, join(data, asideName));
    options.notice(`the mirror was damaged: it is kept in ${join(data, asideName)}, and fetched afresh`);
  }
  const git = await openBare(dir, runProcess, options.git);
  tellLocks(await removeStaleLocks(git), options.notice);
  await removePartialPacks(dir);
  return git;
}

/** A lock of Git that is older than this belongs to nobody: every call of ours that takes one ends within milliseconds of it. */
const lockAgeMs = 5000;

/**
 * Removes the locks that Git processes left in the mirror when they were killed. Only whoever has the data folder's own lock may call
 * this. Young ones are waited for: their process may still be at work.
 */
export async function removeStaleLocks(git: Git): Promise<string[]> {
  const names = (await readdir(git.dir, { recursive: true })).filter(
    (name) => name.endsWith(".lock") && !name.startsWith("objects"),
  );
  const removed: string[] = [];
  for (const name of names) {
    const file = join(git.dir, name);
    const madeAt = await madeAtMs(file);
    const age = Date.now() - madeAt;
    // One that was made in the future was made before the clock was set back.
    if (age < lockAgeMs) await sleep(Math.min(lockAgeMs, lockAgeMs - age));
    // Another may stand in its place by now, and somebody may have it.
    if ((await madeAtMs(file)) !== madeAt) continue;
    await rm(file, { force: true });
    removed.push(name);
  }
  return removed;
}

async function madeAtMs(file: string): Promise<number> {
  return (await stat(file).catch(() => ({ mtimeMs: 0 }))).mtimeMs;
}

/** Says which locks were removed. */
export function tellLocks(names: readonly string[], notice: (message: string) => void): void {
  for (const name of names) notice(`removed the lock ${name}, which a killed process left`);
}

export interface DesiredOptions extends Omit<FollowOptions, "remote"> {
  /** In the order of preference: the first that answers is asked. */
  readonly remotes: readonly Remote[];
  readonly loader: RepositoryLoader;
  readonly cache: DocumentCache;
  /** Judges by whom commits are signed; none, and nobody asks. */
  readonly judge?: CommitJudge;
  /** Hears each listing of the first remote. */
  readonly heard?: (listing: Listing) => void;
  /** Hears why the mirror cannot be read; the next start fetches it afresh. */
  readonly damaged?: (message: string) => void;
}

/** A commit of `main` as it was read. */
interface Read {
  readonly commit: string;
  readonly loaded: LoadedRepository;
  /** Problems of entries that are not files as they should be, by path. */
  readonly odd: ReadonlyMap<string, Problem>;
}

/** Follows `main`: reads what changed in each new commit, keeping what did not. */
export class DesiredMirror implements DesiredReader {
  private readonly options: DesiredOptions;
  /** Commit that was read last. */
  private last: string | null = null;
  /** The branch was rewound when it was looked at last. */
  private isDoubted = false;
  /** What the next commit is compared with: the last one without problems, if there is one. */
  private base: Read | null = null;

  constructor(options: DesiredOptions) {
    this.options = options;
  }

  async poll(): Promise<Poll> {
    try {
      return await this.look();
    } catch (error) {
      if (isCorrupt(error)) {
        await markDamaged(this.options.git);
        this.options.damaged?.(`the mirror is damaged: ${messageOf(error)}`);
      }
      return { kind: "unreachable", message: unreachable(error) };
    }
  }

  private async look(): Promise<Poll> {
    const { git, tips } = this.options;
    const { remote, main, isFirst } = await this.list();
    if (main === null && tips.now.main === null) {
      throw new Failure("waiting", "the remote has no branch main", {
        reason: "NoMain",
        hint: "push the state repository to it",
      });
    }
    if (main !== null && main === this.last && !(await this.options.judge?.canTryAgain())) {
      if (this.isDoubted) await tips.dropWord("main");
      this.isDoubted = false;
      return { kind: "unchanged" };
    }
    if (!isFirst && tips.now.main !== null && (main === null || !(await this.goesOn(remote, main, tips.now.main)))) {
      return this.last === null ? this.read(tips.now.main) : { kind: "unchanged" };
    }
    const message = await follow({ git, remote, tips }, "main", main);
    this.isDoubted = message !== null;
    if (message !== null) {
      const kept = this.last === null ? tips.now.main : null;
      const poll = kept === null || (await git.resolve(kept)) === null ? null : await this.read(kept);
      return poll?.kind === "changed" ? { ...poll, rewound: message } : { kind: "rewound", message };
    }
    return tips.now.main === null ? { kind: "unchanged" } : this.read(tips.now.main);
  }

  /** A remote that stands in for another may be behind it, or be another altogether: only one that goes on from the tip is followed. */
  private async goesOn(remote: Remote, main: string, accepted: string): Promise<boolean> {
    const { git } = this.options;
    if ((await git.resolve(main)) === null) await remote.fetch("refs/heads/main", "refs/stateward/stand-in-main");
    return main !== accepted && (await git.descends(main, accepted));
  }

  /** Asks one remote after the other. */
  private async list(): Promise<{ remote: Remote; main: string | null; isFirst: boolean }> {
    const { remotes, heard } = this.options;
    const failures: unknown[] = [];
    for (const [index, remote] of remotes.entries()) {
      try {
        const listing = await remote.list();
        if (index === 0) heard?.(listing);
        return { remote, main: listing.main, isFirst: index === 0 };
      } catch (error) {
        failures.push(error);
      }
    }
    throw failures[0];
  }

  private async read(commit: string): Promise<Poll> {
    const { git } = this.options;
    const first = this.last === null;
    const findings = (await this.options.judge?.judge(commit)) ?? [];
    const desired = withFindings(await this.at(commit), findings);
    this.last = commit;
    if (!hasErrors(desired.loaded.problems)) {
      // What is remembered for the next start need not be waited for.
      void git.point(acceptedRef, commit).catch(() => {});
      return { kind: "changed", desired };
    }
    const good = first ? await this.lastGood() : null;
    return good === null ? { kind: "changed", desired } : { kind: "changed", desired: good, refused: desired };
  }

  async recorded(): Promise<DesiredCommit | null> {
    return this.goodAt(await this.recordedName());
  }

  descends(commit: string, ancestor: string): Promise<boolean> {
    return this.options.git.descends(commit, ancestor);
  }

  /** The commit that was in force before: as this mirror remembers it, or as the record names it. The later one, where both are known. */
  private async lastGood(): Promise<DesiredCommit | null> {
    const { git } = this.options;
    const [own, recorded] = [await git.resolve(acceptedRef), await this.recordedName()];
    const isBehind = own === null || (recorded !== null && (await git.descends(recorded, own)));
    const [first, second] = isBehind ? [recorded, own] : [own, recorded];
    return (await this.goodAt(first)) ?? this.goodAt(second);
  }

  private recordedName(): Promise<string | null> {
    return recordedCommit(this.options.git);
  }

  /** A commit without problems; null for any other. */
  private async goodAt(commit: string | null): Promise<DesiredCommit | null> {
    if (commit === null || (await this.options.git.resolve(`${commit}^{commit}`)) === null) return null;
    const desired = await this.at(commit);
    return hasErrors(desired.loaded.problems) ? null : desired;
  }

  /** A commit's files, parsed and checked. */
  async at(commit: string): Promise<DesiredCommit> {
    const { git } = this.options;
    const base = this.base;
    const trees = { before: base && `${base.commit}^{tree}`, after: `${commit}^{tree}` };
    const changes = await diffTrees(git.objects, trees, (name) => statePaths.includes(name));
    const odd = oddAfter(base?.odd ?? new Map(), changes);
    const refs: DocumentRef[] = [];
    const gone: FileChange[] = [];
    for (const { path, item } of changes) {
      if (!isStatePath(path)) continue;
      if (item === null || odd.has(path)) gone.push({ path, file: null });
      else refs.push({ path, id: item.id });
    }
    const loaded = await this.load(base?.loaded ?? null, refs, gone);
    const isLonger = changes.some(({ path, item }) => item !== null && !base?.loaded.entries.has(path));
    const isDoubtful = isLonger || base === null || hasErrors(base.loaded.problems);
    const clashing = isDoubtful ? clashes(loaded.entries.keys()) : [];
    const more = [...odd.values(), ...clashing];
    const problems = more.length === 0 ? loaded.problems : sortProblems([...more, ...loaded.problems]);
    const read = { commit, loaded: more.length === 0 ? loaded : { ...loaded, problems }, odd };
    if (this.base === null || !hasErrors(problems)) this.base = read;
    return { commit, loaded: read.loaded, ...(await this.acknowledged(commit)) };
  }

  /** The number of the trailer `Acknowledge-Moves` in the last paragraph of the commit's message. */
  private async acknowledged(commit: string): Promise<{ acknowledged?: number }> {
    const object = await this.options.git.objects.read(commit);
    const trailers = trailersIn(object?.data.toString() ?? "");
    const number = /^Acknowledge-Moves:\s*(\d{1,9})\s*$/im.exec(trailers)?.[1];
    return number === undefined ? {} : { acknowledged: Number(number) };
  }

  private async load(
    base: LoadedRepository | null,
    refs: DocumentRef[],
    gone: readonly FileChange[],
  ): Promise<LoadedRepository> {
    const { git, cache, loader } = this.options;
    if (base === null) await cache.open();
    for (let withText: ReadonlySet<string> = new Set(); ; ) {
      const files = await readDocuments(git, cache, refs, withText);
      const loaded =
        base === null
          ? loader.load(files)
          : loader.change(base, [...gone, ...files.map((file) => ({ path: file.path, file }))]);
      // Where a problem stands can be said only with the text: files that did not change are read again for that.
      if (loaded.unlocated.length === 0 || withText.size > 0) return loaded;
      withText = new Set(loaded.unlocated);
      const known = new Set(refs.map(({ path }) => path));
      for (const path of withText) {
        const id = loaded.entries.get(path)?.id;
        if (id !== undefined && !known.has(path)) refs.push({ path, id });
      }
    }
  }
}

/** The commit with what is wrong with its history: that stands where its settings ask for signatures. */
function withFindings(desired: DesiredCommit, findings: readonly HistoryFinding[]): DesiredCommit {
  if (findings.length === 0) return desired;
  const { loaded } = desired;
  const entry = loaded.entries.get("stateward.yaml");
  const isAsked = entry?.kind === "settings" && loaded.repository.settings.verify !== null;
  const place = isAsked ? entry.parsed.locate(["verify"], "key") : { file: "stateward.yaml", line: 1, column: 1 };
  const problems = findings.map(({ code, message, remedy }) => errorAt(place, code, message, remedy));
  return { ...desired, loaded: { ...loaded, problems: sortProblems([...problems, ...loaded.problems]) } };
}

/** The commit of `main` that a tip of the record, and the commits before it, name as in force, or null. */
export async function recordedCommit(git: BareRepository, tip: string = observedRef): Promise<string | null> {
  const named = await git.trailers(tip, "Desired", 50);
  return named.find((line) => /^[0-9a-f]{40}$/.test(line) && !/^0+$/.test(line)) ?? null;
}

function oddAfter(before: ReadonlyMap<string, Problem>, changes: readonly TreeChange[]): ReadonlyMap<string, Problem> {
  const odd = new Map(before);
  for (const { path, item } of changes) {
    const problem = item && oddEntry(path, item.mode);
    if (problem) odd.set(path, problem);
    else odd.delete(path);
  }
  return odd;
}
