// stateward revert: takes a commit of main back, keeping what came after it.
import { lstat, readFile } from "node:fs/promises";
import { join } from "node:path";
import { code, cut } from "../forge/escape.ts";
import type { ChangedFile } from "../forge/patch.ts";
import { Failure } from "../model/failure.ts";
import { printable } from "../model/printable.ts";
import { isStatePath } from "../model/repository.ts";
import type { ProposedFile } from "../record/commit.ts";
import { type Git, messageIn } from "../record/git.ts";
import type { PersonRepository } from "../record/person-repository.ts";
import {
  type Conflict,
  type StandingFile,
  standing,
  standingIn,
  type TakeBackOrder,
  type TakenBack,
  takeBack,
} from "../record/take-back.ts";
import { type Change, editFolder, type Ground, type MakeChange } from "./change.ts";
import { type OfferOptions, offer, withRepository } from "./offer.ts";
import { sayNothing } from "./set.ts";
import { openWorkspace } from "./workspace.ts";

/** stateward revert COMMIT: the files as they were before it, three-way. Throws a Failure that names the conflicts where there are some. */
export async function revert(options: OfferOptions, name: string): Promise<number> {
  const workspace = openWorkspace(options);
  return withRepository(options, workspace, async (repository) => {
    const make = async ({ commit: base }: Ground): Promise<Change | null> => {
      const commit = await commitNamed(repository, name, base);
      const now = base === null ? standingInFolder(workspace.folder) : standingIn(repository.git, base);
      const change = await revertChange(repository.git, { commit, standing: now }, base, (text) =>
        workspace.secrets.hide(text),
      );
      if (change === null) sayNothing(options, `nothing to take back: no file is as ${commit.slice(0, 8)} left it`);
      return change;
    };
    const change: MakeChange = { make, mends: true };
    return options.pr ? offer(options, { workspace, repository }, change) : editFolder(options, workspace, change);
  });
}

const titleMax = 200;

/** The branch of the one change that takes a commit back. */
export function revertSlug(commit: string): string {
  return `revert-${commit.slice(0, 12)}`;
}

/**
 * The change that takes a commit back; null where nothing of it stands any more. `base` is the commit on which it comes to lie. `hide`
 * takes secrets (A2) out of what the commit says of itself.
 */
export async function revertChange(
  git: Git,
  order: TakeBackOrder,
  base: string | null,
  hide: (text: string) => string,
): Promise<Change | null> {
  const { commit } = order;
  const taken = await takeBack(git, order);
  if (taken.conflicts.length > 0) throw await conflicting(git, [commit, base], taken.conflicts);
  if (taken.files.length === 0) return null;
  const subject = hide(await subjectOf(git, commit));
  const contents = await Promise.all(taken.files.map((file) => withContent(git, file)));
  const files = await Promise.all(contents.map((file) => changed(order, file)));
  const left = taken.leavesOthers ? ["files that are not read by stateward stay as they are"] : [];
  return {
    title: cut(`Revert "${subject}"`, titleMax),
    slug: revertSlug(commit),
    isOnly: true,
    lines: [`This reverts commit ${commit}.`, ...left],
    files: files.filter((file) => file !== null),
    contents,
    introduction: introductionOf(commit, subject, taken),
  };
}

function introductionOf(commit: string, subject: string, { since, leavesOthers }: TakenBack): string {
  const what = `Takes back ${commit} (${code(subject)}): the files are as they were in ${since}, with what came later kept.`;
  return leavesOthers ? `${what} Files of it that stateward does not read stay as they are.` : what;
}

async function commitNamed(repository: PersonRepository, name: string, base: string | null): Promise<string> {
  const { git } = repository;
  const found = await git.try(["rev-parse", "--verify", "--quiet", "--end-of-options", `${name}^{commit}`]);
  const commit = found.stdout.trim();
  if (found.exit !== 0 || !/^[0-9a-f]{40}$/.test(commit))
    throw new Failure("invalid", `no commit is called ${name}`, {
      reason: "UnknownCommit",
      hint: "git log lists them; git fetch gets those that this clone has not",
    });
  if (base !== null && !(await git.descends(base, commit)))
    throw new Failure("invalid", `main of ${repository.remoteName} does not have ${commit.slice(0, 8)}`, {
      reason: "NotOnMain",
      hint: "name a commit that was merged",
    });
  return commit;
}

function standingInFolder(folder: string): TakeBackOrder["standing"] {
  return async (path): Promise<StandingFile | null> => {
    const file = join(folder, path);
    const found = await lstat(file).catch(() => null);
    if (found === null) return null;
    if (found.isFile()) return standing(await readFile(file), (found.mode & 0o100) !== 0);
    throw new Failure("invalid", `${path} is no regular file`, {
      reason: "NotAFile",
      hint: "put the file itself there",
    });
  };
}

async function withContent(git: Git, file: ProposedFile): Promise<ProposedFile & { content: string | Buffer | null }> {
  if ("content" in file) return file;
  const { path, mode, id } = file;
  const { data, size } = await git.objects.need(id, "blob");
  if (data.length === size) return { path, content: data, ...(mode === undefined ? {} : { mode }) };
  throw new Failure("invalid", `${file.path} is too large`, { reason: "TooLarge", hint: `git checkout it by hand` });
}

async function changed(
  { standing }: TakeBackOrder,
  { path, content }: { readonly path: string; readonly content: string | Buffer | null },
): Promise<ChangedFile | null> {
  if (!isStatePath(path)) return null;
  return { path, before: (await standing(path))?.data.toString() ?? null, after: content?.toString() ?? null };
}

/** First line of a commit's message. */
async function subjectOf(git: Git, commit: string): Promise<string> {
  const text = (await git.objects.need(commit, "commit")).data.toString();
  const [subject = ""] = messageIn(text).split("\n");
  return printable(subject).trim() || commit.slice(0, 12);
}

const conflictsShown = 10;

async function conflicting(
  git: Git,
  [commit, base]: readonly [string, string | null],
  conflicts: readonly Conflict[],
): Promise<Failure> {
  const shown = conflicts.slice(0, conflictsShown).map(async ({ path, line }) => {
    const place = line === null ? path : `${path}:${line}`;
    const args = ["log", "-1", "--format=%h %s", "--end-of-options", `${commit}..${base ?? "HEAD"}`, "--", path];
    const later = (await git.try(args)).stdout.trim();
    return later === "" ? `${place} (changed in the folder)` : `${place} (changed by ${later})`;
  });
  const more = conflicts.length > conflictsShown ? `, and ${conflicts.length - conflictsShown} more` : "";
  const message = `what ${commit.slice(0, 8)} changed was changed again: ${(await Promise.all(shown)).join(", ")}${more}`;
  return new Failure("invalid", printable(message), {
    reason: "Conflict",
    hint: "take the later commit back first, or edit these files by hand",
  });
}
