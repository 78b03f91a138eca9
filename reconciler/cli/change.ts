// A change of the state repository that a command makes, and how it is carried out in the folder: checked first, as `stateward check`
// does, then written, or only shown.
import { realpath, rm, stat } from "node:fs/promises";
import { dirname, join, sep } from "node:path";
import { type ChangedFile, patchOf } from "../forge/patch.ts";
import { Failure } from "../model/failure.ts";
import { errorsOf, formatProblem, type Problem } from "../model/problem.ts";
import { secretsIn } from "../model/secrets.ts";
import type { ProposedFile } from "../record/commit.ts";
import { replaceFile } from "../record/disk.ts";
import { readStateFolder } from "../record/origin.ts";
import { programMode } from "../record/tree.ts";
import { loadFolder } from "./inspect.ts";
import { createLoader } from "./loader.ts";
import { paint, print, printJson } from "./output.ts";
import { type Edition, problemsAfter } from "./target-edits.ts";
import { type GlobalOptions, type Workspace } from "./workspace.ts";

export interface ChangeOptions extends GlobalOptions {
  readonly dryRun?: boolean;
}

/** What a command wants changed. */
export interface Change {
  /** The first line of the commit, and the pull request's title, where the person gives no message. */
  readonly title: string;
  /** Goes into the branch's name: `set-git-1-drained`. The same change has the same name. */
  readonly slug: string;
  /** The branch is called by the slug alone, whatever the files: there is one such change at most. */
  readonly isOnly?: boolean;
  /** One line each, for people. */
  readonly lines: readonly string[];
  /** What changes in files that hold text. */
  readonly files: readonly ChangedFile[];
  /** All files that change, where that is not what `files` says already. */
  readonly contents?: readonly ProposedFile[];
  /** Markdown that comes before the plan in a pull request. */
  readonly introduction?: string;
}

/** The files of the new commit. */
export function contentsOf({ files, contents }: Change): readonly ProposedFile[] {
  return contents ?? files.map(({ path, after }) => ({ path, content: after }));
}

/** What a change is made from: a folder's files, or those of a commit of main. */
export interface Ground extends Edition {
  /** Null for the folder. */
  readonly commit: string | null;
}

export interface MakeChange {
  /** Resolves to null, having said why, where nothing is to be changed. */
  readonly make: (ground: Ground) => Promise<Change | null>;
  /** It may be made where the files have errors: it may be what mends them. */
  readonly mends?: boolean;
}

/** Edits the files of the folder, or with `--dry-run` says how. Throws a Failure, and writes nothing, where the result has errors. */
export async function editFolder(
  options: ChangeOptions,
  workspace: Workspace,
  { make, mends = false }: MakeChange,
): Promise<number> {
  const files = await readStateFolder(workspace.folder);
  const loaded = mends ? createLoader().load(files) : (await loadFolder(workspace.folder)).loaded;
  const texts = new Map(files.map(({ path, text }) => [path, text]));
  const edition = { loaded, commit: null, textOf: (path: string) => Promise.resolve(texts.get(path) ?? "") };
  const change = await make(edition);
  if (change === null) return 0;
  refuseErrors(problemsAfter(createLoader(), edition, change.files));
  if (!options.dryRun) await writeFiles(workspace.folder, contentsOf(change));
  const diff = diffText(workspace, edition, change);
  const paths = contentsOf(change).map(({ path }) => path);
  if (options.json)
    printJson({ title: change.title, lines: change.lines, files: paths, diff, written: !options.dryRun });
  else {
    printChange(change, diff);
    print(
      options.dryRun ? "nothing was changed: --dry-run" : `wrote ${countOf(paths)}: stateward plan shows what follows`,
    );
  }
  return 0;
}

const countOf = ({ length }: readonly unknown[]): string => (length === 1 ? "1 file" : `${length} files`);

async function writeFiles(folder: string, files: readonly ProposedFile[]): Promise<void> {
  const top = await realpath(folder);
  for (const { path } of files) {
    // A3: a link in place of a folder leads elsewhere.
    const parent = await realpath(dirname(join(folder, path))).catch((cause: unknown) => {
      throw new Failure("invalid", `there is no folder for ${path}`, { reason: "NoFolder", cause });
    });
    if (parent !== top && !parent.startsWith(top + sep))
      throw new Failure("invalid", `${path} leads out of the folder`, { reason: "OutsideFolder" });
  }
  for (const file of files) {
    const path = join(folder, file.path);
    if (!("content" in file)) throw new Error("a folder is given contents");
    if (file.content === null) await rm(path, { force: true });
    else await replaceFile(path, file.content, await modeFor(path, file.mode));
  }
}

const newFileMode = 0o666;

/** Who may read, write and run a file stays as it is, but for what the change itself says: whether it is a program. */
async function modeFor(path: string, mode: string | undefined): Promise<number | undefined> {
  const standing = await stat(path).catch(() => null);
  if (standing === null && mode !== programMode) return undefined;
  const now = standing === null ? newFileMode & ~process.umask() : standing.mode & 0o777;
  if (mode === undefined) return now;
  // Whoever may read a program may run it.
  return mode === programMode ? now | ((now & 0o444) >> 2) : now & ~0o111;
}

/** What changes, a line each, and the lines of the files. */
export function printChange({ lines }: Change, diff: string): void {
  for (const line of lines) print(line);
  for (const line of diff.trimEnd().split("\n")) print(colouredDiffLine(line));
}

function colouredDiffLine(line: string): string {
  if (/^(\+\+\+|---) /.test(line)) return paint("bold", line);
  return line.startsWith("+") ? paint("green", line) : line.startsWith("-") ? paint("red", line) : line;
}

/** A2: what stands under names of secrets in the files is not shown, also where only a line beside it changed. */
export function diffText({ secrets }: Workspace, { loaded }: Pick<Edition, "loaded">, { files }: Change): string {
  const paths = new Set(files.map(({ path }) => path));
  for (const { file, vars } of loaded.repository.hosts.values())
    if (paths.has(file)) for (const value of secretsIn(vars)) secrets.add(value);
  return secrets.hide(patchOf(files));
}

/** Throws a Failure, after the problems, where there are errors. */
export function refuseErrors(problems: readonly Problem[]): void {
  const errors = errorsOf(problems);
  if (errors.length === 0) return;
  for (const problem of errors) process.stderr.write(`${formatProblem(problem)}\n`);
  throw new Failure("invalid", "the result would be refused: nothing was changed", {
    reason: "Problems",
    hint: "the problems are above",
  });
}
