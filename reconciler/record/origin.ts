// The embedded origin: a bare repository made from the files of a folder, so that everything runs without a Git server.
import { lstat, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { Failure } from "../model/failure.ts";
import type { RunProcess } from "../model/ports.ts";
import type { Problem } from "../model/problem.ts";
import { isStatePath } from "../model/repository.ts";
import type { SourceFile } from "../model/types.ts";
import { foldersOf, writeCommit } from "./commit.ts";
import type { Git } from "./git.ts";
import { openBare, statePaths } from "./mirror.ts";
import { objectId } from "./pack.ts";
import { clashes, oddEntry } from "./paths.ts";
import { writeRef } from "./refs.ts";
import { fileMode, linkMode, programMode } from "./tree.ts";
import { diffTrees } from "./tree-diff.ts";

/** The commit that was last made from the folder. */
const seededRef = "refs/stateward/seeded";

/** What became of the folder's files. */
export type OriginState =
  | { readonly kind: "created" | "unchanged" | "committed"; readonly commit: string }
  /** Both the folder and the branch have moved on: a person has to say which is meant. */
  | { readonly kind: "diverged"; readonly commit: string };

/** Files of a state repository as they stand in a folder, with the ids that Git would give them. */
export async function readStateFolder(folder: string): Promise<SourceFile[]> {
  const files: SourceFile[] = [];
  for (const top of statePaths) {
    for (const path of await listFiles(folder, top)) {
      if (!isStatePath(path)) continue;
      const bytes = await readFile(join(folder, path));
      files.push({ path, id: objectId("blob", bytes), text: bytes.toString("utf8") });
    }
  }
  return files;
}

/**
 * What is wrong with the entries of a folder themselves, as it would be in a commit of them: links, programs, names. On a disk on which
 * everything is a program, as some that are shared are, that says nothing.
 */
export async function oddEntriesIn(folder: string): Promise<Problem[]> {
  const entries = (await Promise.all(statePaths.map((top) => listEntries(folder, top)))).flat();
  const modes = new Map(
    await Promise.all(
      entries.map(async ([path, isLink]): Promise<[string, string]> => [path, await modeOf(folder, path, isLink)]),
    ),
  );
  const read = [...modes].filter(([path]) => isStatePath(path));
  const isModeless = read.length > 1 && read.every(([, mode]) => mode === programMode);
  const odd = [...modes].flatMap(([path, mode]) => oddEntry(path, isModeless ? fileMode : mode) ?? []);
  return [...odd, ...clashes(modes.keys())];
}

async function modeOf(folder: string, path: string, isLink: boolean): Promise<string> {
  if (isLink) return linkMode;
  if (!isStatePath(path)) return fileMode;
  return ((await lstat(join(folder, path))).mode & 0o100) === 0 ? fileMode : programMode;
}

/** Files and links below a folder, or the one file; without the locks that an editor keeps there as links. */
async function listEntries(folder: string, top: string): Promise<[path: string, isLink: boolean][]> {
  if (top.endsWith(".yaml")) {
    const found = await lstat(join(folder, top)).catch(() => null);
    return found === null ? [] : [[top, found.isSymbolicLink()]];
  }
  const entries = await readdir(join(folder, top), { withFileTypes: true, recursive: true }).catch(() => []);
  return entries
    .filter((entry) => (entry.isFile() || entry.isSymbolicLink()) && !entry.name.startsWith(".#"))
    .map((entry): [string, boolean] => [
      join(entry.parentPath ?? entry.path, entry.name)
        .slice(join(folder, "/").length)
        .replaceAll("\\", "/"),
      entry.isSymbolicLink(),
    ]);
}

async function listFiles(folder: string, path: string): Promise<string[]> {
  if (path.endsWith(".yaml")) {
    const names = await readdir(folder).catch((cause: unknown) => {
      throw new Failure("invalid", `cannot read the folder ${folder}`, {
        reason: "NoFolder",
        hint: "name the state repository's folder with --folder",
        cause,
      });
    });
    const exists = names.includes(path);
    return exists ? [path] : [];
  }
  const entries = await readdir(join(folder, path), { withFileTypes: true, recursive: true }).catch(() => []);
  const files = entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name).slice(folder.length + 1));
  return files.map((file) => file.replaceAll("\\", "/")).toSorted();
}

/**
 * Makes the origin in `dir`, or brings changes of the folder into it: when the folder changed since it was last taken over,
 * and nobody has pushed to the origin meanwhile.
 */
export async function syncOrigin(dir: string, folder: string, runProcess: RunProcess): Promise<OriginState> {
  const git = await openBare(dir, runProcess);
  const files = await readStateFolder(folder);
  const main = await git.resolve("refs/heads/main");
  const seeded = await git.resolve(seededRef);
  if (main === null) return { kind: "created", commit: await seed(git, files, { parent: null, removed: [] }) };
  if (sameFiles(files, await stateFiles(git, main))) {
    await writeRef(git.dir, seededRef, main);
    return { kind: "unchanged", commit: main };
  }
  const known = seeded === null ? [] : await stateFiles(git, seeded);
  if (sameFiles(files, known)) return { kind: "unchanged", commit: main };
  if (seeded !== main) return { kind: "diverged", commit: main };
  const paths = new Set(files.map(({ path }) => path));
  const removed = known.map(({ path }) => path).filter((path) => !paths.has(path));
  return { kind: "committed", commit: await seed(git, files, { parent: main, removed }) };
}

/** Everything in a commit that is read, folders taken apart. */
async function stateFiles(git: Git, commit: string): Promise<{ path: string; id: string }[]> {
  const changes = await diffTrees(git.objects, { before: null, after: `${commit}^{tree}` }, (name) =>
    statePaths.includes(name),
  );
  return changes.flatMap(({ path, item }) => (item === null ? [] : [{ path, id: item.id }]));
}

function sameFiles(files: readonly SourceFile[], known: readonly { path: string; id: string }[]): boolean {
  const text = (list: readonly { path: string; id: string }[]): string =>
    JSON.stringify(list.map(({ path, id }) => `${path} ${id}`).toSorted());
  return text(files) === text(known);
}

async function seed(
  git: Git,
  files: readonly SourceFile[],
  base: { parent: string | null; removed: string[] },
): Promise<string> {
  const message =
    base.parent === null ? "Take over the files of the folder\n" : "Take over changed files of the folder\n";
  const contents = files.map(({ path, text }) => ({ path, content: text ?? "" }));
  const commit = await writeCommit(git, await foldersOf(git, base.parent), {
    ref: "refs/heads/main",
    ...base,
    message,
    files: contents,
    timeSeconds: Math.floor(Date.now() / 1000),
  });
  await writeRef(git.dir, seededRef, commit);
  return commit;
}
