// Commits without index and work tree: the new blobs, the folders above them and the commit become one pack, then a ref points there.
import { printable } from "../model/printable.ts";
import type { CommitSigner } from "./commit-signer.ts";
import type { BareRepository } from "./git.ts";
import { type NewObject, newObject } from "./pack.ts";
import { systemTime, type Time } from "./time.ts";
import { Folders, type FoldersPlan } from "./tree.ts";

export interface CommitFile {
  readonly path: string;
  readonly content: string;
}

export interface NewCommit {
  readonly ref: string;
  readonly parent: string | null;
  readonly message: string;
  readonly files: readonly CommitFile[];
  /** Paths that the commit removes. */
  readonly removed?: readonly string[];
  /** Seconds since the epoch. */
  readonly timeSeconds: number;
  /** Signs it; default nobody. */
  readonly signer?: CommitSigner | undefined;
}

/** Objects that are made before others have their turn. */
const madeAtOnce = 500;

/** Blobs and folders that the files make; nothing is written yet. */
export async function planCommit(
  folders: Folders,
  { files, removed = [] }: Pick<NewCommit, "files" | "removed">,
  time: Pick<Time, "turn"> = systemTime,
): Promise<{ readonly plan: FoldersPlan; readonly objects: readonly NewObject[] }> {
  const blobs: NewObject[] = [];
  for (const { content } of files) {
    blobs.push(newObject("blob", Buffer.from(content)));
    if (blobs.length % madeAtOnce === 0) await time.turn();
  }
  const plan = folders.plan([
    ...files.map(({ path }, index) => ({ path, id: blobs[index]?.id ?? null })),
    ...removed.map((path) => ({ path, id: null })),
  ]);
  return { plan, objects: [...blobs, ...plan.objects] };
}

/** A commit object of ours. */
export function commitObject(
  tree: string,
  { parent, message, timeSeconds }: Pick<NewCommit, "parent" | "message" | "timeSeconds">,
): NewObject {
  const who = `Stateward <stateward@localhost> ${timeSeconds} +0000`;
  const parents = parent === null ? "" : `parent ${parent}\n`;
  return newObject("commit", Buffer.from(`tree ${tree}\n${parents}author ${who}\ncommitter ${who}\n\n${message}`));
}

/** Writes a commit on `folders`, which are those of its parent, and points the ref at it. All of it is on the disk when this resolves. */
export async function writeCommit(git: BareRepository, folders: Folders, commit: NewCommit): Promise<string> {
  const { plan, objects } = await planCommit(folders, commit);
  const plain = commitObject(plan.id, commit);
  const object = commit.signer ? await commit.signer.sign(plain) : plain;
  await git.write([...objects, object]);
  await git.point(commit.ref, object.id);
  folders.adopt(plan);
  return object.id;
}

/**
 * A file of a new commit: its content, null for one that is removed, or the id of a blob that is there already. `mode` is as Git writes
 * it; without one a commit has a file that is no program, and a folder the one that stands there.
 */
export type ProposedFile = { readonly path: string; readonly mode?: string } & (
  | { readonly content: string | Buffer | null }
  | { readonly id: string }
);

/** Writes what these files make of a commit's tree; resolves to the id of the new one. */
export async function writeTree(git: BareRepository, parent: string, files: readonly ProposedFile[]): Promise<string> {
  const blobs: NewObject[] = [];
  const edits = files.map((file) => {
    if ("id" in file) return file;
    const { path, mode } = file;
    if (file.content === null) return { path, id: null };
    const blob = newObject("blob", typeof file.content === "string" ? Buffer.from(file.content) : file.content);
    blobs.push(blob);
    return { path, id: blob.id, ...(mode === undefined ? {} : { mode }) };
  });
  const plan = (await foldersOf(git, parent)).plan(edits);
  await git.write([...blobs, ...plan.objects]);
  return plan.id;
}

/** Folders of a commit; none for null. */
export async function foldersOf(git: BareRepository, commit: string | null): Promise<Folders> {
  return commit === null ? Folders.empty() : Folders.read(git.objects, `${commit}^{tree}`);
}

/** Lines of the body; what is more is counted. */
const linesMax = 200;

/** Lines such as `git-1: drained -> serving` for a message, oldest first: the first ones, and how many there were. */
export class Summaries {
  readonly lines: readonly string[] = [];
  count = 0;

  /** Lines of one change; null for a change that needs none. */
  add(text: string | null): void {
    if (text === null) return;
    const lines = printable(text).split("\n");
    this.count += lines.length;
    (this.lines as string[]).push(...lines.slice(0, linesMax - this.lines.length));
  }

  /** These, and then those. */
  and(later: Summaries): Summaries {
    const both = new Summaries();
    for (const { lines } of [this, later]) for (const line of lines) both.add(line);
    both.count = this.count + later.count;
    return both;
  }
}

export interface MessageParts {
  readonly summaries: Summaries;
  /** Subjects whose record changed. */
  readonly subjects: readonly string[];
  readonly desired: string;
  readonly epoch: number;
  /** The run of the reconciler that writes; default none. */
  readonly run?: string;
  /** Pull request that the desired commit came with; null and default none. */
  readonly pullRequest?: number | null;
}

/** Subject, one line a change, then trailers that `git interpret-trailers` reads. */
export function recordMessage({ summaries, subjects, desired, epoch, run, pullRequest = null }: MessageParts): string {
  const { lines, count } = summaries;
  const [first = `${subjects[0] ?? "record"}: noted`] = lines;
  const more = Math.max(count, subjects.length) - 1;
  const subject = `${first.slice(0, 100)}${more > 0 ? ` (+${more})` : ""}`;
  const rest = count > lines.length ? [`and ${count - lines.length} more`] : [];
  const body = lines.length === 0 ? [] : ["", ...lines, ...rest];
  const request = pullRequest === null ? [] : [`Pull-request: #${pullRequest}`];
  const by = run === undefined ? [] : [`Run: ${run}`];
  const trailers = [`Desired: ${desired}`, ...request, "Actor: reconciler", ...by, `Epoch: ${epoch}`];
  return [subject, ...body, "", ...trailers, ""].join("\n");
}
