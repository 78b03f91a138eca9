// A data folder beside a remote, with what a reconciler has over both.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { runProcess } from "../dist/adapters/process.js";
import { RepositoryLoader } from "../dist/model/repository.js";
import { DocumentCache } from "../dist/record/document-cache.js";
import type { Git } from "../dist/record/git.js";
import { DesiredMirror, openBare } from "../dist/record/mirror.js";
import { GitRemote } from "../dist/record/remote.js";
import { GitRecord } from "../dist/record/store.js";
import { TipsFile } from "../dist/record/tips.js";

export interface DataFolder {
  readonly dir: string;
  readonly remote: string;
  readonly data: string;
  readonly repository: Git;
  readonly tips: TipsFile;
}

/** The data folder `name` in `dir`, whose remote is `remote.git`. */
export async function openData(dir: string, name: string): Promise<DataFolder> {
  const data = join(dir, name);
  await mkdir(data, { recursive: true });
  const repository = await openBare(join(data, "mirror.git"), runProcess);
  return { dir, remote: join(dir, "remote.git"), data, repository, tips: await TipsFile.open(data) };
}

export const cacheOf = ({ data }: DataFolder): DocumentCache =>
  new DocumentCache(join(data, "cache", "documents"), "bench");

export function follower(
  site: DataFolder,
  heard: () => void = () => {},
  cache: DocumentCache = cacheOf(site),
): DesiredMirror {
  const { repository, remote, tips } = site;
  return new DesiredMirror({
    git: repository,
    remotes: [new GitRemote(repository, remote)],
    tips,
    loader: new RepositoryLoader(),
    cache,
    heard,
  });
}

export function storeOf({ repository, remote, data, tips }: DataFolder): GitRecord {
  return new GitRecord({
    git: repository,
    remote: new GitRemote(repository, remote),
    tips,
    journalDir: join(data, "journal"),
    leadership: { instance: data, host: "bench", takeOver: true },
    windowMs: () => 3_600_000,
    onFenced: console.error,
    onNotice: () => {},
    onAlert: console.error,
  });
}
