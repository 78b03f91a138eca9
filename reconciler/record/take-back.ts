// Taking a commit back: what it changed in the files that are read becomes what it was before, and what came later stays. Where both
// changed the same lines it is a conflict, and nothing is guessed.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Failure } from "../model/failure.ts";
import type { ProposedFile } from "./commit.ts";
import type { Git } from "./git.ts";
import { statePaths } from "./mirror.ts";
import { objectId } from "./pack.ts";
import { fileMode, parseTree, programMode, type TreeItem } from "./tree.ts";
import { diffTrees } from "./tree-diff.ts";

/** A file as it stands where the commit is taken back. */
export interface StandingFile {
  readonly id: string;
  readonly data: Buffer;
  /** As Git writes it. */
  readonly mode: string;
}

export interface TakeBackOrder {
  /** Full id. */
  readonly commit: string;
  /** The commit before the change; its first parent where none is given, so that a merge is taken back as a whole. */
  readonly since?: string;
  /** The file as it is now; null where there is none. */
  readonly standing: (path: string) => Promise<StandingFile | null>;
}

export interface Conflict {
  readonly path: string;
  /** Line of the file as it is now, from 1; null where it is the whole file. */
  readonly line: number | null;
}

export interface TakenBack {
  /** The commit whose files come back. */
  readonly since: string;
  readonly files: readonly ProposedFile[];
  readonly conflicts: readonly Conflict[];
  /** True where the commit also changed files that are not read, such as a README: they stay. */
  readonly leavesOthers: boolean;
}

/** The files that take a commit back. Throws a Failure for one that has no parent, and for one with a link among its files. */
export async function takeBack(git: Git, { commit, since: wanted, standing }: TakeBackOrder): Promise<TakenBack> {
  const since = wanted ?? (await parentIn(git, commit));
  const trees = { before: `${commit}^{tree}`, after: `${since}^{tree}` };
  const changes = await diffTrees(git.objects, trees, (name) => statePaths.includes(name));
  const others = await diffTrees(git.objects, trees, (name) => !statePaths.includes(name));
  const files: ProposedFile[] = [];
  const conflicts: Conflict[] = [];
  for (const { path, item, before: left } of changes) {
    if (item !== null && item.mode !== "100644" && item.mode !== "100755")
      throw new Failure("invalid", `${path} was no regular file before`, {
        reason: "NotAFile",
        hint: "take it back by hand",
      });
    const now = await standing(path);
    if (isSame(now, item)) continue;
    if (isSame(now, left)) files.push(item === null ? { path, content: null } : { path, id: item.id, mode: item.mode });
    else if (now === null || left === null || item === null) conflicts.push({ path, line: null });
    else {
      const merged = await merge(git, { now, left, before: item });
      const mode = now.mode === left.mode ? item.mode : now.mode;
      if ("line" in merged) conflicts.push({ path, line: merged.line });
      // What was taken back before stands as it is.
      else if (mode !== now.mode || merged.id !== now.id)
        files.push({ path, mode, ...(merged.content === undefined ? { id: merged.id } : { content: merged.content }) });
    }
  }
  return { since, files, conflicts, leavesOthers: others.length > 0 };
}

interface Version {
  readonly id: string;
  readonly mode: string;
}

const isSame = (one: Version | null, other: Version | null): boolean =>
  one?.id === other?.id && one?.mode === other?.mode;

async function parentIn(git: Git, commit: string): Promise<string> {
  const parent = await git.resolve(`${commit}^1`);
  if (parent !== null) return parent;
  throw new Failure("invalid", `nothing is known of what was before ${commit.slice(0, 8)}`, {
    reason: "NoParent",
    hint: "it is the first commit, or the clone is shallow: git fetch --unshallow",
  });
}

/** The files of a commit, as what stands. */
export function standingIn(git: Git, commit: string): TakeBackOrder["standing"] {
  // A folder may have as many files as there are hosts, and all of them may be asked for.
  const folders = new Map<string, ReadonlyMap<string, TreeItem>>();
  const itemsIn = async (folder: string): Promise<ReadonlyMap<string, TreeItem>> => {
    const known = folders.get(folder);
    if (known !== undefined) return known;
    const tree = await git.objects.read(`${commit}:${folder}`);
    const items = new Map(tree?.type === "tree" ? parseTree(tree.data).map((item) => [item.name, item]) : []);
    folders.set(folder, items);
    return items;
  };
  return async (path) => {
    const slash = path.lastIndexOf("/");
    const item = (await itemsIn(path.slice(0, Math.max(slash, 0)))).get(path.slice(slash + 1));
    const object = item === undefined ? null : await git.objects.read(item.id);
    return item !== undefined && object?.type === "blob" ? { ...object, mode: item.mode } : null;
  };
}

/** What stands in a folder, by its bytes. */
export function standing(data: Buffer, isProgram: boolean): StandingFile {
  return { id: objectId("blob", data), data, mode: isProgram ? programMode : fileMode };
}

interface Sides {
  readonly now: StandingFile;
  /** As the commit left it. */
  readonly left: Version;
  /** As it was before the commit. */
  readonly before: Version;
}

/** Longer than any line of that sort that people write. */
const markerSize = 64;

/** Both changes together, or the first line at which they meet. */
async function merge(
  git: Git,
  { now, ...sides }: Sides,
): Promise<{ id: string; content?: Buffer } | { line: number | null }> {
  if (now.id === sides.left.id || now.id === sides.before.id) return { id: sides.before.id };
  if (!isText(now.data) || objectId("blob", now.data) !== now.id) return { line: null };
  if (sides.left.id === sides.before.id) return { id: now.id, content: now.data };
  const left = await git.objects.need(sides.left.id, "blob");
  const before = await git.objects.need(sides.before.id, "blob");
  const dir = await mkdtemp(join(tmpdir(), "stateward-revert-"));
  try {
    const names = ["now", "left", "before"].map((name) => join(dir, name));
    for (const [index, { data }] of [now, left, before].entries()) await writeFile(names[index] ?? "", data);
    const { exit, stdout } = await git.try(["merge-file", "-p", "-q", `--marker-size=${markerSize}`, ...names]);
    if (exit === 0) return withId(Buffer.from(stdout));
    // Beyond 127 it is an error, as for what is no text.
    return { line: exit > 0 && exit <= 127 ? firstConflict(stdout) : null };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

const withId = (content: Buffer): { id: string; content: Buffer } => ({ id: objectId("blob", content), content });

function isText(data: Buffer): boolean {
  return !data.includes(0) && Buffer.from(data.toString()).equals(data);
}

function firstConflict(text: string): number | null {
  const index = text.split("\n").findIndex((line) => line.startsWith("<".repeat(markerSize)));
  return index < 0 ? null : index + 1;
}
