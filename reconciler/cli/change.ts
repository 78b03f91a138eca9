// A change of the state repository that a command makes, and how it is carried out in the folder: checked first, as `stateward check`
// does, then written, or only shown.
import { realpath, rm } from "node:fs/promises";
import { dirname, join, sep } from "node:path";
import { type ChangedFile, patchOf } from "../forge/patch.ts";
import { Failure } from "../model/failure.ts";
import { errorsOf, formatProblem, type Problem } from "../model/problem.ts";
import { secretsIn } from "../model/secrets.ts";
import { replaceFile } from "../record/disk.ts";
import { loadFolder } from "./inspect.ts";
import { paint, print, printJson } from "./output.ts";
import { type Edition, problemsAfter } from "./target-edits.ts";
import { createLoader, type GlobalOptions, type Workspace } from "./workspace.ts";

export interface ChangeOptions extends GlobalOptions {
  readonly dryRun?: boolean;
}

/** What a command wants changed. */
export interface Change {
  /** The first line of the commit, and the pull request's title, where the person gives no message. */
  readonly title: string;
  /** Goes into the branch's name: `set-git-1-drained`. */
  readonly slug: string;
  /** One line each, for people. */
  readonly lines: readonly string[];
  readonly files: readonly ChangedFile[];
}

/** Makes a change from files as they stand. Resolves to null, having said why, where nothing is to be changed. */
export type Make = (edition: Edition, workspace: Workspace) => Promise<Change | null>;

/** Edits the files of the folder, or with `--dry-run` says how. Throws a Failure, and writes nothing, where the result has errors. */
export async function editFolder(options: ChangeOptions, workspace: Workspace, make: Make): Promise<number> {
  const { files, loaded } = await loadFolder(workspace.folder);
  const texts = new Map(files.map(({ path, text }) => [path, text]));
  const edition = { loaded, textOf: (path: string) => Promise.resolve(texts.get(path) ?? "") };
  const change = await make(edition, workspace);
  if (change === null) return 0;
  refuseErrors(problemsAfter(createLoader(), edition, change.files));
  if (!options.dryRun) await writeFiles(workspace.folder, change.files);
  const diff = diffText(workspace, edition, change);
  const paths = change.files.map(({ path }) => path);
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

async function writeFiles(folder: string, files: readonly ChangedFile[]): Promise<void> {
  const top = await realpath(folder);
  for (const { path } of files) {
    // A3: a link in place of a folder leads elsewhere.
    const parent = await realpath(dirname(join(folder, path))).catch((cause: unknown) => {
      throw new Failure("invalid", `there is no folder for ${path}`, { reason: "NoFolder", cause });
    });
    if (parent !== top && !parent.startsWith(top + sep))
      throw new Failure("invalid", `${path} leads out of the folder`, { reason: "OutsideFolder" });
  }
  for (const { path, after } of files) {
    if (after === null) await rm(join(folder, path), { force: true });
    else await replaceFile(join(folder, path), after);
  }
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
