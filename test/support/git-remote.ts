// A bare Git remote for tests, with real Git.
import { execFile } from "node:child_process";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { runProcess } from "../../reconciler/adapters/process.ts";
import { Git } from "../../reconciler/record/git.ts";
import { openBare } from "../../reconciler/record/mirror.ts";
import { GitRecord } from "../../reconciler/record/store.ts";
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
}

/** A record over the remote, with its own folder. Without `windowMs` it pushes only when it is told to. */
export async function openStore(remote: string, folder: string, windowMs = 3_600_000): Promise<OpenStore> {
  const mirror = await openBare(join(folder, "mirror.git"), runProcess);
  const fenced: string[] = [];
  const notices: string[] = [];
  const store = new GitRecord({
    git: mirror,
    remote,
    journalDir: join(folder, "journal"),
    windowMs: () => windowMs,
    onFenced: (message) => fenced.push(message),
    onNotice: (message) => notices.push(message),
  });
  return { store, git: mirror, fenced, notices, [Symbol.asyncDispose]: () => store.close() };
}
