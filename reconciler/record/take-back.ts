// Taking a commit back: what it changed in the files that are read becomes what it was before, and what came later stays. Where both
// changed the same lines it is a conflict, and nothing is guessed.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Failure } from "../model/failure.ts";
import type { ProposedFile } from "./commit.ts";
import type { Git } from "./git.ts";
import { statePaths } from "./mirror.ts";
import type { GitObject } from "./objects.ts";
import { objectId } from "./pack.ts";
import { diffTrees } from "./tree-diff.ts";

/** A file as it stands where the commit is taken back. */
export interface StandingFile {
  readonly id: string;
  readonly data: Buffer;
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
  for (const { path, item } of changes) {
    if (item !== null && item.mode !== "100644" && item.mode !== "100755")
      throw new Failure("invalid", `${path} was no regular file before`, {
        reason: "NotAFile",
        hint: "take it back by hand",
      });
    const now = await standing(path);
    const left = await git.objects.read(`${commit}:${path}`);
    if ((now?.id ?? null) === (item?.id ?? null)) continue;
    if ((now?.id ?? null) === (left?.id ?? null))
      files.push(item === null ? { path, content: null } : { path, id: item.id });
    else {
      const before = item === null ? null : await git.objects.need(item.id, "blob");
      const merged = await merge(git, { now, left, before });
      if ("line" in merged) conflicts.push({ path, line: merged.line });
      // What was taken back before stands as it is.
      else if (now === null || !merged.content.equals(now.data)) files.push({ path, content: merged.content });
    }
  }
  return { since, files, conflicts, leavesOthers: others.length > 0 };
}

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
  return async (path) => {
    const object = await git.objects.read(`${commit}:${path}`);
    return object?.type === "blob" ? object : null;
  };
}

/** What stands in a folder, by its bytes. */
export function standing(data: Buffer): StandingFile {
  return { id: objectId("blob", data), data };
}

interface Sides {
  readonly now: StandingFile | null;
  /** As the commit left it. */
  readonly left: GitObject | null;
  /** As it was before the commit. */
  readonly before: GitObject | null;
}

/** Longer than any line of that sort that people write. */
const markerSize = 64;

/** Both changes together, or the first line at which they meet. */
async function merge(git: Git, { now, left, before }: Sides): Promise<{ content: Buffer } | { line: number | null }> {
  if (now === null || left === null || before === null || !isText(now.data)) return { line: null };
  const dir = await mkdtemp(join(tmpdir(), "stateward-revert-"));
  try {
    const names = ["now", "left", "before"].map((name) => join(dir, name));
    for (const [index, { data }] of [now, left, before].entries()) await writeFile(names[index] ?? "", data);
    const { exit, stdout } = await git.try(["merge-file", "-p", "-q", `--marker-size=${markerSize}`, ...names]);
    if (exit === 0) return { content: Buffer.from(stdout) };
    // Beyond 127 it is an error, as for what is no text.
    return { line: exit > 0 && exit <= 127 ? firstConflict(stdout) : null };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

function isText(data: Buffer): boolean {
  return !data.includes(0) && Buffer.from(data.toString()).equals(data);
}

function firstConflict(text: string): number | null {
  const index = text.split("\n").findIndex((line) => line.startsWith("<".repeat(markerSize)));
  return index < 0 ? null : index + 1;
}
