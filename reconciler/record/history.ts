// History of one subject, read from the branch `observed` alone.
import { archivedBefore, fetchArchive } from "./follow.ts";
import type { Git } from "./git.ts";
import { recordPath } from "./layout.ts";
import type { Remote } from "./remote.ts";

/** One commit in which a subject's record changed, newest first in a list. */
export interface HistoryEntry {
  readonly commit: string;
  /** ISO 8601, UTC. */
  readonly at: string;
  /** The lines of the message that are about this subject; empty for notes such as a started attempt. */
  readonly lines: readonly string[];
  /** Commit of `main` in force. */
  readonly desired: string;
  readonly epoch: number;
}

export interface HistoryQuery {
  readonly name: string;
  readonly limit: number;
}

/**
 * The latest `limit` changes of a subject. Where the record was given a new root, it goes on in what was there before, as long as the
 * remote still has it. `tip` is a commit of `observed` in the repository.
 */
export async function readHistory(
  { git, remote }: { readonly git: Git; readonly remote: Remote | null },
  tip: string,
  { name, limit }: HistoryQuery,
): Promise<HistoryEntry[]> {
  // One path alone: with two, Git does not use its index of changed paths, and looks into every commit.
  const isGroup = (await git.resolve(`${tip}:${recordPath("group", name)}`)) !== null;
  const path = recordPath(isGroup ? "group" : "host", name);
  // One more than asked for: the new root of an archive has all files, and changed none.
  const [listed, archived] = await Promise.all([
    readOneHistory(git, [tip, path], { name, limit: limit + 1 }),
    archivedBefore(git, tip),
  ]);
  if (listed.length > limit) return listed.slice(0, limit);
  if (archived === null) return listed;
  const entries = listed.filter(({ commit }) => commit !== archived.root);
  if (remote !== null) await fetchArchive({ git, remote }, archived).catch(() => {});
  // A branch that somebody has removed or moved elsewhere: the history ends where it can be read.
  if ((await git.resolve(archived.commit)) === null) return entries;
  const before = await readHistory({ git, remote }, archived.commit, { name, limit: limit - entries.length });
  return [...entries, ...before];
}

async function readOneHistory(
  git: Git,
  [tip, path]: readonly [string, string],
  query: HistoryQuery,
): Promise<HistoryEntry[]> {
  const format = "%H%x1f%cI%x1f%B%x1f%(trailers:key=Desired,valueonly)%x1f%(trailers:key=Epoch,valueonly)%x1e";
  const text = await git.run(["log", `--format=${format}`, `--max-count=${query.limit}`, tip, "--", path]);
  return text.split("\x1e").flatMap((chunk) => {
    const [commit = "", at = "", body = "", desired = "", epoch = ""] = chunk.trim().split("\x1f");
    if (commit === "") return [];
    return [
      {
        commit,
        at: new Date(at).toISOString(),
        lines: linesAbout(query.name, body),
        desired: desired.trim(),
        epoch: Number(epoch),
      },
    ];
  });
}

function linesAbout(name: string, body: string): string[] {
  const lines = body.split("\n").filter((line) => line.startsWith(`${name}: `) && !line.endsWith(": noted"));
  return [...new Set(lines.map((line) => line.slice(name.length + 2).replace(/ \(\+\d+\)$/, "")))];
}
