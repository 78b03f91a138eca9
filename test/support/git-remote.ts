// A bare Git remote for tests, with real Git.
import { execFile } from "node:child_process";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { runProcess } from "../../reconciler/adapters/process.ts";
import type { RecordChange } from "../../reconciler/model/ports.ts";
import { RepositoryLoader } from "../../reconciler/model/repository.ts";
import type { CommitSigner } from "../../reconciler/record/commit-signer.ts";
import { DocumentCache } from "../../reconciler/record/document-cache.ts";
import type { Git, GitOptions } from "../../reconciler/record/git.ts";
import type { Leadership } from "../../reconciler/record/leader.ts";
import { DesiredMirror, openBare } from "../../reconciler/record/mirror.ts";
import { quickList } from "../../reconciler/record/quick-list.ts";
import { GitRemote as RemoteRefs } from "../../reconciler/record/remote.ts";
import { GitRecord } from "../../reconciler/record/store.ts";
import type { Time } from "../../reconciler/record/time.ts";
import { TipsFile } from "../../reconciler/record/tips.ts";
import { type Files, sources } from "./world.ts";

const run = promisify(execFile);

export async function git(dir: string, ...args: string[]): Promise<string> {
  const identity = [
    "-c",
    "user.name=Ana",
    "-c",
    "user.email=ana@example.org",
    "-c",
    "init.defaultBranch=main",
    "-c",
    "commit.gpgsign=false",
  ];
  const { stdout } = await run("git", [...identity, "-C", dir, ...args]);
  return stdout.trim();
}

/** A bare remote with a work tree beside it in which a person commits. */
export class Remote {
  readonly path: string;
  private readonly work: string;

  private constructor(base: string) {
    this.path = join(base, "remote.git");
    this.work = join(base, "work");
  }

  static async create(base: string): Promise<Remote> {
    const remote = new Remote(base);
    await mkdir(remote.work, { recursive: true });
    await run("git", ["init", "--quiet", "--bare", "--initial-branch=main", remote.path]);
    await git(remote.work, "init", "--quiet");
    await git(remote.work, "remote", "add", "origin", remote.path);
    return remote;
  }

  /** Commits and pushes these files; null removes one, `link:TARGET` makes a symbolic link. Returns the commit. */
  async commit(files: Files, message = "change"): Promise<string> {
    for (const { path, text } of sources(files)) {
      if (text === null) continue;
      await mkdir(dirname(join(this.work, path)), { recursive: true });
      if (text.startsWith("link:")) await symlink(text.slice(5), join(this.work, path));
      else await writeFile(join(this.work, path), text);
    }
    for (const [path, value] of Object.entries(files))
      if (value === null) await git(this.work, "rm", "--quiet", "--force", path);
    await git(this.work, "add", "--all");
    await git(this.work, "commit", "--quiet", "--allow-empty", "-m", message);
    await git(this.work, "push", "--quiet", "--force", "origin", "HEAD:main");
    return git(this.work, "rev-parse", "HEAD");
  }

  async rewind(): Promise<void> {
    await git(this.work, "reset", "--quiet", "--hard", "HEAD~1");
  }

  git(...args: string[]): Promise<string> {
    return git(this.path, ...args);
  }

  async fsck(): Promise<void> {
    await git(this.path, "fsck", "--strict", "--no-dangling");
  }
}

/** Closing it writes and pushes nothing: to the disk it is as if the process had been killed. */
export interface OpenStore extends AsyncDisposable {
  readonly store: GitRecord;
  readonly git: Git;
  readonly fenced: string[];
  readonly notices: string[];
  readonly alerts: string[];
  readonly tips: TipsFile;
  readonly origin: RemoteRefs;
}

/** A mirror with what a data folder has besides. */
export async function openMirror(
  remote: string,
  folder: string,
  options: GitOptions = {},
): Promise<{ git: Git; tips: TipsFile; origin: RemoteRefs }> {
  const mirror = await openBare(join(folder, "mirror.git"), runProcess, options);
  const origin = new RemoteRefs(mirror, remote, quickList(mirror, remote, runProcess));
  return { git: mirror, tips: await TipsFile.open(folder), origin };
}

/** Follows `main` of a remote, with nothing cached on the disk. */
export function desiredOf(
  { git: mirror, tips }: { readonly git: Git; readonly tips: TipsFile },
  ...remotes: readonly RemoteRefs[]
): DesiredMirror {
  const loader = new RepositoryLoader();
  return new DesiredMirror({ git: mirror, tips, remotes, loader, cache: new DocumentCache(null, "test") });
}

export interface StoreSetup {
  readonly windowMs?: number;
  readonly time?: Time;
  readonly signer?: CommitSigner;
  readonly leadership?: Partial<Leadership>;
  /** For every Git call. */
  readonly git?: GitOptions;
  /** Stands in for pushing; it is given the real thing. */
  readonly pushing?: (real: RemoteRefs["push"]) => RemoteRefs["push"];
}

/** A fresh remote in `dir`, and a record in the folder `r` beside it that leads, with these changes pushed. */
export async function lead(dir: string, ...changes: readonly RecordChange[]): Promise<OpenStore & { remote: Remote }> {
  const remote = await Remote.create(dir);
  const opened = await openStore(remote.path, join(dir, "r"));
  await opened.store.load();
  for (const change of changes) await opened.store.append(change);
  if (changes.length > 0) await opened.store.flush();
  return { ...opened, remote };
}

/** A record over the remote, with its own folder. Without `windowMs` it pushes only when it is told to. It takes the lead at once. */
export async function openStore(remote: string, folder: string, options: StoreSetup = {}): Promise<OpenStore> {
  const { git: mirror, tips, origin } = await openMirror(remote, folder, options.git);
  if (options.pushing) origin.push = options.pushing(origin.push.bind(origin));
  const fenced: string[] = [];
  const notices: string[] = [];
  const alerts: string[] = [];
  const store = new GitRecord({
    git: mirror,
    remote: origin,
    tips,
    journalDir: join(folder, "journal"),
    ...(options.time ? { time: options.time } : {}),
    ...(options.signer ? { signer: options.signer } : {}),
    leadership: { instance: folder, host: "test", takeOver: true, ...options.leadership },
    windowMs: () => options.windowMs ?? 3_600_000,
    onFenced: (message) => fenced.push(message),
    onNotice: (message) => notices.push(message),
    onAlert: (message) => alerts.push(message),
  });
  return { store, git: mirror, tips, origin, fenced, notices, alerts, [Symbol.asyncDispose]: () => store.close() };
}
