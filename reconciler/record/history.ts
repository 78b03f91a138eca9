// What the branch `observed` says happened, commit by commit: of the whole fleet, or of one host or group.
import { archivedBefore, fetchArchive } from "./follow.ts";
import type { Git } from "./git.ts";
import { recordPath } from "./layout.ts";
import type { Remote } from "./remote.ts";

/** One commit of the record, newest first in a list. */
export interface RecordCommit {
  readonly commit: string;
  /** ISO 8601, UTC. */
  readonly at: string;
  /** Lines of the message: `git-1: drained -> serving (git-server)`. */
  readonly lines: readonly string[];
  /** Commit of `main` in force. */
  readonly desired: string;
  readonly epoch: number;
  /** The run of the reconciler that wrote it; empty before that was noted. */
  readonly run: string;
  readonly pullRequest: number | null;
}

/** Where a history is read, and which part of it. */
export interface HistoryRange {
  /** Milliseconds since the epoch, both. */
  readonly since?: number;
  readonly until?: number;
  readonly commitsMax: number;
}

export interface HistorySource {
  readonly git: Git;
  /** Asked for archives of the record; null for a clone, which has what it has. */
  readonly remote: Remote | null;
  /** Tip of the record. */
  readonly observed: string;
}

/** Commits in which the record of a host or a group changed, newest first. */
export async function readSubjectHistory(
  source: HistorySource,
  name: string,
  range: HistoryRange,
): Promise<RecordCommit[]> {
  const isGroup = (await source.git.resolve(`${source.observed}:${recordPath("group", name)}`)) !== null;
  return readHistory(source, recordPath(isGroup ? "group" : "host", name), range);
}

/**
 * Commits of the record in which a file changed; all of them for null. Where the record was given a new root, it goes on in what was
 * there before, as long as that is there. One path alone: with two, Git does not use its index of changed paths, and looks into every
 * commit.
 */
export async function readHistory(
  source: HistorySource,
  path: string | null,
  range: HistoryRange,
): Promise<RecordCommit[]> {
  const { git, remote } = source;
  const found: RecordCommit[] = [];
  for (let tip: string | null = source.observed; tip !== null; ) {
    const left = range.commitsMax - found.length;
    // Each of the two goes through the whole history: side by side. One more than asked for: the new root of an archive is no change.
    const [archived, commits]: [Awaited<ReturnType<typeof archivedBefore>>, RecordCommit[]] = await Promise.all([
      archivedBefore(git, tip),
      readOne(git, [tip, path], { ...range, commitsMax: left + 1 }),
    ]);
    found.push(...commits.filter(({ commit }) => commit !== archived?.root));
    if (found.length >= range.commitsMax || archived === null) break;
    if (remote !== null) await fetchArchive({ git, remote }, archived).catch(() => {});
    // A branch that somebody has removed or moved elsewhere: the history ends where it can be read.
    tip = await git.resolve(archived.commit);
  }
  return found.slice(0, range.commitsMax);
}

const format = ["%H", "%ct", "%B", ...["Desired", "Epoch", "Run", "Pull-request"].map(trailer)].join("%x1f");

function trailer(key: string): string {
  return `%(trailers:key=${key},valueonly,separator=%x2C)`;
}

async function readOne(
  git: Git,
  [tip, path]: readonly [string, string | null],
  range: HistoryRange,
): Promise<RecordCommit[]> {
  const times = [
    ...(range.since === undefined ? [] : [`--since=${new Date(range.since).toISOString()}`]),
    ...(range.until === undefined ? [] : [`--until=${new Date(range.until).toISOString()}`]),
  ];
  const count = Number.isFinite(range.commitsMax) ? [`--max-count=${range.commitsMax}`] : [];
  const args = ["log", "--encoding=UTF-8", `--format=${format}%x1e`, ...count, ...times, "--end-of-options", tip, "--"];
  const text = await git.run(path === null ? args : [...args, path], { timeoutMs: 600_000 });
  return text.split("\x1e").flatMap((chunk) => {
    const [commit = "", seconds = "", body = "", desired = "", epoch = "", run = "", request = ""] = chunk
      .trim()
      .split("\x1f");
    if (commit === "") return [];
    return [
      {
        commit,
        at: new Date(Number(seconds) * 1000).toISOString(),
        lines: linesOf(body),
        desired: desired.trim(),
        epoch: Number(epoch),
        run: run.trim(),
        pullRequest: /^#\d{1,9}$/.test(request.trim()) ? Number(request.trim().slice(1)) : null,
      },
    ];
  });
}

/** What the message says happened: the first line is the first of them, with a count of the others. */
function linesOf(body: string): string[] {
  const paragraphs = body.trimEnd().split("\n\n");
  const lines = (paragraphs.length > 1 ? paragraphs.slice(0, -1) : paragraphs).join("\n").split("\n");
  const [subject = "", ...others] = lines.filter((line) => line !== "");
  const first = subject.replace(/ \(\+\d+\)$/, "");
  return others.some((line) => line.startsWith(first)) ? others : [first, ...others];
}

/** What the lines of a commit say of one subject, each once; none for notes such as a started attempt. */
export function linesAbout(name: string, { lines }: Pick<RecordCommit, "lines">): string[] {
  const about = lines.filter((line) => line.startsWith(`${name}: `) && !line.endsWith(": noted"));
  return [...new Set(about.map((line) => line.slice(name.length + 2)))];
}
