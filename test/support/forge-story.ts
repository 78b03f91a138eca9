// A reconciler as people run it, with Git over HTTP, a stand-in for GitHub, and the clone of Ana, who changes the fleet in it.
import { createHmac } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import * as assert from "uvu/assert";
import { type Moment, StandIn, type StoredComment, type StoredPull } from "../forge/stand-in.ts";
import { type CliResult, cli, Reconciler } from "./example.ts";
import { git } from "./git-remote.ts";
import { type GitServer, initBare, serveGit } from "./http-backend.ts";
import { freePort } from "./sshd.ts";
import { type TempFolder, tempFolder, until } from "./temp.ts";

const hookSecret = "shared with GitHub";
const stageMs = 120_000;

/** `standIn` knows Ana and Bea, who both may write. */
export class ForgeStory implements AsyncDisposable {
  /** Ana's clone. */
  readonly folder: string;
  readonly standIn: StandIn;
  reconciler: Reconciler;
  private readonly dir: TempFolder;
  private readonly server: GitServer;
  private readonly listen: string;
  /** Where the data of the reconciler is. */
  private readonly options: readonly string[];
  private readonly github: readonly string[];

  private constructor(dir: TempFolder, server: GitServer, standIn: StandIn, listen: string) {
    [this.dir, this.server, this.standIn, this.listen] = [dir, server, standIn, listen];
    this.folder = join(dir.path, "fleet");
    this.options = ["--data", join(dir.path, "data"), "--repository", `${server.url}/fleet.git`];
    const app = ["--github-app-id", standIn.appId, "--github-app-key-file", join(dir.path, "app.pem")];
    this.github = ["--github", standIn.repository, "--github-api", standIn.url, ...app];
    this.reconciler = this.start();
  }

  private start(): Reconciler {
    return new Reconciler(this.folder, this.listen, [...this.options, ...this.github]);
  }

  /** Kills the reconciler at each of these moments of requests to GitHub, in the order in which they come, and starts another one. */
  async killAt(
    moments: readonly (readonly [route: RegExp, when: Moment])[],
    act: () => Promise<unknown> = () => Promise.resolve(),
  ): Promise<void> {
    let left = moments.map(([route, when]) => this.standIn.hold(route, when));
    await act();
    while (left.length > 0) {
      const names = left.map(({ route, when }) => `${when} ${String(route)}`).join(", ");
      const held = await this.wait(names, () => left.find(({ isReached }) => isReached));
      await this.reconciler.stop("SIGKILL");
      held.release();
      left = left.filter((each) => each !== held);
      this.reconciler = this.start();
    }
  }

  /** `files`: those of main, by path. */
  static async open(files: Readonly<Record<string, string>>): Promise<ForgeStory> {
    const dir = await tempFolder();
    const server = await serveGit(dir.path);
    const bare = await initBare(join(dir.path, "fleet.git"));
    const folder = join(dir.path, "fleet");
    await git(dir.path, "clone", "--quiet", `${server.url}/fleet.git`, folder);
    for (const [key, value] of [
      ["user.name", "Ana"],
      ["user.email", "ana@example.org"],
      ["commit.gpgsign", "false"],
    ] as const)
      await git(folder, "config", key, value);
    const standIn = await StandIn.start({ gitDir: bare });
    standIn.accounts.set("ana@example.org", "ana");
    for (const name of ["ana", "bea"]) standIn.permissions.set(name, "write");
    await mkdir(join(dir.path, "data/keys"), { recursive: true });
    await writeFile(join(dir.path, "app.pem"), standIn.privateKey, { mode: 0o600 });
    await writeFile(join(dir.path, "ana.token"), standIn.tokenOf("ana"), { mode: 0o600 });
    await writeFile(join(dir.path, "data/keys/webhook.secret"), hookSecret, { mode: 0o600 });
    await commitFiles(folder, files, "The fleet");
    await git(folder, "push", "--quiet", "origin", "HEAD:main");
    return new ForgeStory(dir, server, standIn, `127.0.0.1:${await freePort()}`);
  }

  async hook(event: string, payload: object): Promise<void> {
    const body = JSON.stringify(payload);
    const signature = `sha256=${createHmac("sha256", hookSecret).update(body).digest("hex")}`;
    const headers = { "content-type": "application/json", "x-github-event": event, "x-hub-signature-256": signature };
    const { status } = await fetch(`http://${this.listen}/v1/hooks/github`, { method: "POST", headers, body });
    assert.is(status, 202);
  }

  /** A command of Ana's in her clone, at the reconciler's data. */
  cli(...args: string[]): Promise<CliResult> {
    return cli(this.folder, ...this.options, ...args);
  }

  /** A command of Ana's that opens a pull request. */
  async offer(...args: string[]): Promise<StoredPull> {
    const { standIn, folder } = this;
    const token = ["--github-token-file", join(this.dir.path, "ana.token")];
    const where = ["--github", standIn.repository, "--github-api", standIn.url, ...token];
    const { exit, stderr } = await cli(folder, ...args, "--pr", ...where);
    assert.is(exit, 0, stderr);
    const pull = [...standIn.pulls.values()].at(-1);
    assert.ok(pull);
    await this.hook("pull_request", { pull_request: { number: pull.number } });
    return pull;
  }

  /** Ana commits, pushes a branch, and opens a pull request in the browser. */
  async push(branch: string, files: Readonly<Record<string, string>>): Promise<StoredPull> {
    const { folder, standIn } = this;
    await git(folder, "checkout", "--quiet", "-B", branch, "origin/main");
    await commitFiles(folder, files, branch);
    await git(folder, "push", "--quiet", "origin", `HEAD:${branch}`);
    const pull = standIn.addPull({ author: "ana", branch });
    await this.hook("pull_request", { pull_request: { number: pull.number } });
    return pull;
  }

  /** The newest commit of a pull request's branch. */
  async headOf({ branch }: StoredPull): Promise<string> {
    await git(this.folder, "fetch", "--quiet", "origin");
    return git(this.folder, "rev-parse", `origin/${branch}`);
  }

  /** What the reconciler wrote beneath a pull request. */
  plan({ number }: StoredPull): Promise<string> {
    const { comments, appLogin } = this.standIn;
    const ours = (): string | undefined =>
      comments.find(
        (comment) =>
          comment.number === number && comment.author === appLogin && comment.body.startsWith("<!-- stateward:plan "),
      )?.body;
    return this.wait(`the plan of pull request ${number}`, ours);
  }

  async comment({ number }: StoredPull, author: string, text: string): Promise<void> {
    const { id } = this.standIn.addComment(number, author, text);
    await this.hook("issue_comment", { issue: { number }, comment: { id } });
  }

  /** Waits for an answer of the reconciler beneath a pull request. */
  answers({ number }: StoredPull, pattern: RegExp): Promise<StoredComment> {
    const { comments, appLogin } = this.standIn;
    const isMeant = (comment: StoredComment): boolean =>
      comment.number === number && comment.author === appLogin && pattern.test(comment.body);
    return this.wait(`an answer like ${String(pattern)}`, () => comments.find(isMeant));
  }

  /** Merged as the button on GitHub does. Returns the commit of the merge. */
  async merge({ number, branch, title }: StoredPull): Promise<string> {
    const { folder, standIn } = this;
    await git(folder, "fetch", "--quiet", "origin");
    await git(folder, "checkout", "--quiet", "-B", "main", "origin/main");
    const message = `Merge pull request #${number} from ${branch}\n\n${title}`;
    await git(folder, "merge", "--quiet", "--no-ff", `origin/${branch}`, "-m", message);
    const commit = await git(folder, "rev-parse", "HEAD");
    standIn.merge(number, commit);
    await git(folder, "push", "--quiet", "origin", "HEAD:main");
    await this.hook("push", { after: commit });
    return commit;
  }

  /** What was said of a commit's rollout, in order: state and description. */
  words(commit: string): string[] {
    return this.standIn.statuses
      .filter((status) => status.commit === commit)
      .map(({ state, description }) => `${state} ${description}`);
  }

  /** Waits for a word about a commit's rollout. */
  says(commit: string, pattern: RegExp): Promise<string> {
    return this.wait(String(pattern), () => this.words(commit).find((word) => pattern.test(word))).catch(
      (error: unknown) => {
        throw new Error(`${String(error)}\n${this.words(commit).join("\n")}`);
      },
    );
  }

  /** As `until`, with what the reconciler said where it was in vain. */
  wait<T>(what: string, look: () => T | null | undefined | false): Promise<T> {
    return until(what, look, stageMs).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${this.reconciler.output}`);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.reconciler.stop("SIGTERM");
    await this.server.close();
    try {
      await this.standIn[Symbol.asyncDispose]();
    } finally {
      await this.dir[Symbol.asyncDispose]();
    }
  }
}

async function commitFiles(folder: string, files: Readonly<Record<string, string>>, message: string): Promise<void> {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  }
  await git(folder, "add", "--", ...Object.keys(files));
  await git(folder, "commit", "--quiet", "-m", message);
}
