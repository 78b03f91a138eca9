// Commits without index and work tree: one `fast-import` stream a commit.
import type { Git } from "./git.ts";

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
}

/** Writes a commit and points the ref at it; returns its id. Objects and ref are on the disk when this resolves. */
export async function writeCommit(git: Git, commit: NewCommit): Promise<string> {
  const lines = [
    `commit ${commit.ref}`,
    `committer Stateward <stateward@localhost> ${commit.timeSeconds} +0000`,
    data(commit.message),
    // An all-zero parent makes a root commit even where the ref exists.
    commit.parent === null ? "" : `from ${commit.parent}`,
    ...(commit.removed ?? []).map((path) => `D ${path}`),
    ...commit.files.map(({ path, content }) => `M 100644 inline ${path}\n${data(content)}`),
    "done",
  ];
  if (commit.parent === null) lines.unshift(`reset ${commit.ref}`, "");
  const input = `${lines.filter((line, index) => line !== "" || index < 2).join("\n")}\n`;
  await git.run(["fast-import", "--quiet", "--done", "--force", "--date-format=raw"], { input, timeoutMs: 600_000 });
  return git.run(["rev-parse", "--verify", commit.ref]).then((id) => id.trim());
}

function data(text: string): string {
  return `data ${Buffer.byteLength(text)}\n${text}`;
}

export interface MessageParts {
  /** Lines such as `git-1: drained -> serving`, oldest first. */
  readonly summaries: readonly string[];
  /** Subjects whose record changed. */
  readonly subjects: readonly string[];
  readonly desired: string;
  readonly epoch: number;
}

/** Lines of the body; what is more is counted. */
const linesMax = 200;

/** Subject, one line a change, then trailers that `git interpret-trailers` reads. */
export function recordMessage({ summaries, subjects, desired, epoch }: MessageParts): string {
  const [first = `${subjects[0] ?? "record"}: noted`] = summaries;
  const more = Math.max(summaries.length, subjects.length) - 1;
  const subject = `${first.slice(0, 100)}${more > 0 ? ` (+${more})` : ""}`;
  const shown = summaries.slice(0, linesMax);
  const rest = summaries.length > linesMax ? [`and ${summaries.length - linesMax} more`] : [];
  const body = summaries.length === 0 ? [] : ["", ...shown, ...rest];
  return [subject, ...body, "", `Desired: ${desired}`, "Actor: reconciler", `Epoch: ${epoch}`, ""].join("\n");
}
