// A remote with a record whose commits are made one by one, at the times that a test wants, and a clone of it as anybody has one.
import { join } from "node:path";
import { runProcess } from "../../reconciler/adapters/process.ts";
import { encodeRecord, recordFormat, type SubjectRecord } from "../../reconciler/model/record.ts";
import { recordMessage, Summaries, writeCommit } from "../../reconciler/record/commit.ts";
import type { CommitSigner } from "../../reconciler/record/commit-signer.ts";
import { headFile, recordPath } from "../../reconciler/record/layout.ts";
import { openBare } from "../../reconciler/record/mirror.ts";
import { Folders } from "../../reconciler/record/tree.ts";
import { git } from "./git-remote.ts";

export interface Entry {
  /** ISO 8601. */
  readonly at: string;
  readonly desired: string;
  readonly epoch?: number;
  readonly records?: readonly SubjectRecord[];
  readonly lines?: readonly string[];
  readonly pullRequest?: number;
  readonly signer?: CommitSigner;
  /** Files as they stand. */
  readonly files?: Readonly<Record<string, string>>;
}

/** Adds commits to the branch observed of a bare repository; resolves to them. */
export async function recordAll(remote: string, entries: readonly Entry[]): Promise<string[]> {
  const bare = await openBare(remote, runProcess);
  const folders = Folders.empty();
  const commits: string[] = [];
  for (const { at, desired, epoch = 1, records = [], lines = [], pullRequest = null, signer, files = {} } of entries) {
    const summaries = new Summaries();
    for (const line of lines) summaries.add(line);
    const subjects = records.map(({ name }) => name);
    const message = recordMessage({ summaries, subjects, desired, epoch, run: `run-${epoch}`, pullRequest });
    const head = { path: headFile, content: `${JSON.stringify({ format: recordFormat, epoch }, null, 2)}\n` };
    const contents = [
      head,
      ...records.map((item) => ({ path: recordPath(item.kind, item.name), content: encodeRecord(item) })),
      ...Object.entries(files).map(([path, content]) => ({ path, content })),
    ];
    const parent = commits.at(-1) ?? null;
    const timeSeconds = Date.parse(at) / 1000;
    const ref = "refs/heads/observed";
    commits.push(await writeCommit(bare, folders, { ref, parent, message, files: contents, timeSeconds, signer }));
  }
  bare.objects.close();
  return commits;
}

/** Clones into a folder `clone`, without anything of a reconciler. */
export async function clone(remote: string, base: string, name = "clone"): Promise<string> {
  await git(base, "clone", "--quiet", remote, join(base, name));
  return join(base, name);
}
