// State repositories as people have them: a clone with a work tree and commits at fixed times, made by Git itself.
import { execFile } from "node:child_process";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { stringify } from "yaml";
import { encodeRecord, type SubjectRecord } from "../../reconciler/model/record.ts";
import { headFile, recordPath } from "../../reconciler/record/layout.ts";
import { tempFolder } from "./temp.ts";

const run = promisify(execFile);
/** When the first commit was made; each next one is a minute later. */
const firstAt = Date.UTC(2026, 5, 1, 12) / 1000;

export class StateRepository implements AsyncDisposable {
  readonly folder: string;
  private readonly dispose: () => Promise<void>;
  private commits = 0;

  private constructor(folder: string, dispose: () => Promise<void>) {
    this.folder = folder;
    this.dispose = dispose;
  }

  static async create(files: Readonly<Record<string, unknown>>): Promise<StateRepository> {
    const dir = await tempFolder();
    const repository = new StateRepository(join(dir.path, "fleet"), async () => dir[Symbol.asyncDispose]());
    await mkdir(repository.folder);
    await repository.git("init", "--quiet", "--initial-branch=main", ".");
    await repository.commit({ "stateward.yaml": {}, ...files });
    return repository;
  }

  async git(...args: string[]): Promise<string> {
    const date = `${firstAt + this.commits * 60} +0000`;
    const env = {
      ...process.env,
      GIT_AUTHOR_NAME: "Ana",
      GIT_AUTHOR_EMAIL: "ana@example.org",
      GIT_COMMITTER_NAME: "Ana",
      GIT_COMMITTER_EMAIL: "ana@example.org",
      GIT_AUTHOR_DATE: date,
      GIT_COMMITTER_DATE: date,
    };
    return (await run("git", ["-C", this.folder, ...args], { env, maxBuffer: 100_000_000 })).stdout;
  }

  /** Commits files on the branch that is checked out; null removes one. Values that are not text are written as YAML. */
  async commit(files: Readonly<Record<string, unknown>>, message = "Change"): Promise<string> {
    for (const [path, value] of Object.entries(files)) {
      const file = join(this.folder, path);
      if (value === null) await rm(file);
      else {
        await mkdir(dirname(file), { recursive: true });
        await writeFile(file, typeof value === "string" ? value : stringify(value));
      }
    }
    this.commits++;
    await this.git("add", "--all");
    await this.git("commit", "--quiet", "--allow-empty", "-m", message);
    return (await this.git("rev-parse", "HEAD")).trim();
  }

  /** Puts records on the branch `observed`, which has a root of its own. */
  async record(subjects: readonly SubjectRecord[]): Promise<string> {
    await this.git("checkout", "--quiet", "--orphan", "observed");
    await this.git("rm", "--quiet", "-r", "--force", ".");
    const files = subjects.map((subject) => [recordPath(subject.kind, subject.name), encodeRecord(subject)]);
    const head = [headFile, `${JSON.stringify({ format: 2, epoch: 1 })}\n`];
    const commit = await this.commit(Object.fromEntries([head, ...files]), "Record");
    await this.git("checkout", "--quiet", "main");
    return commit;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }
}
