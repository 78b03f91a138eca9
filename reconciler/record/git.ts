// Git as a child process: constant options, operands after `--`, no prompts, no hooks, everything synced, an end for every call.
import { Failure } from "../model/failure.ts";
import type { RunProcess } from "../model/ports.ts";

export interface GitCall {
  readonly input?: string;
  readonly timeoutMs?: number;
  readonly outputBytesMax?: number;
}

export interface GitResult {
  readonly exit: number;
  readonly stdout: string;
  readonly bytes: Uint8Array;
  readonly stderr: string;
}

const constantOptions = [
  "core.fsync=all",
  "core.hooksPath=/dev/null",
  "gc.auto=0",
  "protocol.version=2",
  "protocol.ext.allow=never",
  "http.lowSpeedLimit=1000",
  "http.lowSpeedTime=30",
].flatMap((setting) => ["-c", setting]);

/** Variables that would turn Git towards another repository, another program or a prompt. */
const clearedVariables = [
  "GIT_DIR",
  "GIT_WORK_TREE",
  "GIT_INDEX_FILE",
  "GIT_OBJECT_DIRECTORY",
  "GIT_EDITOR",
  "GIT_EXTERNAL_DIFF",
  "GIT_PAGER",
];

/** The environment of every Git call: this process's own, without prompts and in English, so that answers can be read. */
export function gitEnvironment(
  environment: Readonly<Record<string, string | undefined>> = process.env,
): Record<string, string> {
  const kept = Object.entries(environment).filter(
    (pair): pair is [string, string] => pair[1] !== undefined && !clearedVariables.includes(pair[0]),
  );
  return { ...Object.fromEntries(kept), GIT_TERMINAL_PROMPT: "0", LC_ALL: "C", GIT_OPTIONAL_LOCKS: "0" };
}

/** Git in one bare repository. */
export class Git {
  readonly dir: string;
  private readonly runProcess: RunProcess;
  private readonly env = gitEnvironment();

  constructor(dir: string, runProcess: RunProcess) {
    this.dir = dir;
    this.runProcess = runProcess;
  }

  /** The result whatever the exit status; a Failure only when Git could not run or did not end in time. */
  async try(args: readonly string[], call: GitCall = {}): Promise<GitResult> {
    const { timeoutMs = 60_000, outputBytesMax = 1_000_000_000 } = call;
    const order = {
      env: this.env,
      timeoutMs,
      outputBytesMax,
      ...(call.input === undefined ? {} : { input: call.input }),
    };
    const result = await this.runProcess({
      argv: ["git", ...constantOptions, "--git-dir", this.dir, ...args],
      ...order,
    }).catch((cause: unknown) => {
      throw new Failure("transient", "git cannot be started", {
        reason: "GitMissing",
        hint: "install git 2.34 or later",
        cause,
      });
    });
    if (result.timedOut) {
      throw new Failure("transient", `git ${args[0] ?? ""} did not end within ${timeoutMs / 1000} s`, {
        reason: "GitTimeout",
        hint: "check the connection to the Git remote",
      });
    }
    return { exit: result.exit ?? -1, stdout: result.stdout, bytes: result.bytes, stderr: result.stderr };
  }

  /** Standard output of a call that must succeed. */
  async run(args: readonly string[], call: GitCall = {}): Promise<string> {
    const result = await this.try(args, call);
    if (result.exit !== 0) throw gitFailure(args, result);
    return result.stdout;
  }

  /** The object that a ref points to, or null. */
  async resolve(ref: string): Promise<string | null> {
    const { exit, stdout } = await this.try(["rev-parse", "--verify", "--quiet", ref]);
    return exit === 0 ? stdout.trim() : null;
  }

  /** Texts of blobs by their ids, through one `cat-file --batch`. */
  async blobs(ids: readonly string[]): Promise<Map<string, string>> {
    const texts = new Map<string, string>();
    if (ids.length === 0) return texts;
    const result = await this.try(["cat-file", "--batch", "--buffer"], {
      input: `${ids.join("\n")}\n`,
      timeoutMs: 600_000,
    });
    if (result.exit !== 0) throw gitFailure(["cat-file"], result);
    const bytes = Buffer.from(result.bytes);
    for (let at = 0; at < bytes.length; ) {
      const end = bytes.indexOf(10, at);
      const [id = "", type, size] = bytes.toString("latin1", at, end).split(" ");
      if (type !== "blob")
        throw new Failure("transient", `object ${id} is ${type ?? "missing"}`, {
          reason: "GitCorrupt",
          hint: "remove the mirror folder: it is cloned afresh",
        });
      texts.set(id, bytes.toString("utf8", end + 1, end + 1 + Number(size)));
      at = end + 2 + Number(size);
    }
    return texts;
  }

  /** Every file below the given paths in a commit. */
  async tree(commit: string, paths: readonly string[]): Promise<TreeEntry[]> {
    const listing = await this.run(["ls-tree", "-r", "-z", "-l", "--full-tree", commit, "--", ...paths]);
    return listing.split("\0").flatMap((line) => {
      const [head = "", path] = line.split("\t");
      const [mode = "", , id = "", size = "0"] = head.split(/ +/);
      return path === undefined ? [] : [{ mode, id, path, size: Number(size) || 0 }];
    });
  }
}

export interface TreeEntry {
  readonly mode: string;
  readonly id: string;
  readonly path: string;
  /** Bytes; 0 for what is not a blob. */
  readonly size: number;
}

/** A Git call that failed, with its last line and no credentials. */
export function gitFailure(args: readonly string[], result: GitResult): Failure {
  const line =
    result.stderr
      .trim()
      .split("\n")
      .find((text) => /^(fatal|error|remote|ssh|Permission denied)/.test(text)) ??
    result.stderr.trim().split("\n").at(-1) ??
    "";
  return new Failure("transient", `git ${args[0] ?? ""} failed (exit ${result.exit}): ${withoutCredentials(line)}`, {
    reason: "GitFailed",
    hint: "check that the repository exists, and that this machine may read and write it",
  });
}

/** A2: `https://user:secret@host/` without what stands before the `@`. */
export function withoutCredentials(text: string): string {
  return text.replaceAll(/([a-z][a-z0-9+.-]*:\/\/)[^/@\s]+@/gi, "$1***@");
}

/** Refuses addresses that Git would take for an option or a program. */
export function checkRemote(url: string): string {
  if (url === "" || url.startsWith("-") || /^[a-z]+::/i.test(url) || /[\n\0]/.test(url)) {
    throw new Failure("invalid", `not a Git remote: ${withoutCredentials(url)}`, {
      reason: "BadRemote",
      hint: "use a path, or an https:// or ssh:// address",
    });
  }
  return url;
}
