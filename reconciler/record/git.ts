// Git as a child process: constant options, operands after `--`, no prompts, no hooks, everything synced, an end for every call.
import { Failure } from "../model/failure.ts";
import type { RunProcess } from "../model/ports.ts";
import { printable } from "../model/printable.ts";
import { redact } from "../model/redact.ts";
import { ObjectReader, type Objects } from "./objects.ts";
import { type NewObject, writePack } from "./pack.ts";
import { writeRef } from "./refs.ts";

export interface GitCall {
  readonly input?: string;
  readonly timeoutMs?: number;
}

export interface GitResult {
  readonly exit: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A connection that cannot be made, or goes silent, ends; nobody is there to be asked. */
export const sshCommand: string =
  "ssh -o BatchMode=yes -o ConnectTimeout=10 -o ServerAliveInterval=10 -o ServerAliveCountMax=3";

/** Arguments of every Git call on a repository. */
export function gitArguments(dir: string, args: readonly string[]): string[] {
  return [...constantOptions, "--git-dir", dir, ...args];
}

const constantOptions = [
  "core.fsync=all",
  "core.hooksPath=/dev/null",
  // What is fetched is seen whole or not at all: a commit never before its files, also when the fetch is killed.
  "fetch.unpackLimit=1",
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
  "GIT_ALTERNATE_OBJECT_DIRECTORIES",
  "GIT_COMMON_DIR",
  "GIT_NAMESPACE",
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
  return {
    GIT_SSH_COMMAND: sshCommand,
    ...Object.fromEntries(kept),
    GIT_TERMINAL_PROMPT: "0",
    LC_ALL: "C",
    GIT_OPTIONAL_LOCKS: "0",
    // What a commit is must not depend on a ref that says to take another one for it.
    GIT_NO_REPLACE_OBJECTS: "1",
    // The mirror is written by this program too: its formats are said, not left to what a newer Git prefers.
    GIT_DEFAULT_HASH: "sha1",
    GIT_DEFAULT_REF_FORMAT: "files",
  };
}

/** A bare repository as the record uses it. */
export interface BareRepository {
  /** Folder of it. */
  readonly dir: string;
  readonly objects: Objects;
  /** The object that a name such as a ref stands for, or null. */
  resolve(name: string): Promise<string | null>;
  /** True when `commit` is `ancestor` or descends from it; false also when one of them is not there. */
  descends(commit: string, ancestor: string): Promise<boolean>;
  /** Commits without parents that a commit descends from. */
  roots(commit: string): Promise<string[]>;
  /** Values of a trailer in the latest commits of a ref, newest first; none where there is no such ref. */
  trailers(ref: string, key: string, commitsMax: number): Promise<string[]>;
  /** Adds objects. When this resolves, they are on the disk. */
  write(objects: readonly NewObject[]): Promise<void>;
  /** Points a ref at an object. When this resolves, that is on the disk. */
  point(ref: string, id: string): Promise<void>;
}

/** Git in one bare repository. */
export class Git implements BareRepository {
  readonly dir: string;
  readonly objects: ObjectReader;
  private readonly runProcess: RunProcess;
  readonly env: Readonly<Record<string, string>>;
  private readonly program: Program;
  /** A2: takes secrets out of what Git and servers say. */
  readonly hide: (text: string) => string;

  constructor(dir: string, runProcess: RunProcess, options: GitOptions = {}) {
    this.dir = dir;
    this.runProcess = runProcess;
    this.objects = options.objects ?? new ObjectReader(dir);
    this.env = { ...gitEnvironment(), ...options.env };
    this.program = options.program ?? ["git"];
    this.hide = options.hide ?? redact;
  }

  /** The same repository for work that has time: other programs go first. */
  inBackground(): Git {
    const { env, objects, hide } = this;
    return new Git(this.dir, this.runProcess, { env, objects, hide, program: ["nice", "-n", "19", ...this.program] });
  }

  /** The result whatever the exit status; a Failure only when Git could not run or did not end in time. */
  async try(args: readonly string[], call: GitCall = {}): Promise<GitResult> {
    const { timeoutMs = 60_000 } = call;
    const order = {
      env: this.env,
      timeoutMs,
      outputBytesMax: 1_000_000_000,
      endsWithUs: true,
      ...(call.input === undefined ? {} : { input: call.input }),
    };
    const result = await this.runProcess({
      argv: [...this.program, ...gitArguments(this.dir, args)],
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
    return { exit: result.exit ?? -1, stdout: result.stdout, stderr: result.stderr };
  }

  /** Standard output of a call that must succeed. */
  async run(args: readonly string[], call: GitCall = {}): Promise<string> {
    const result = await this.try(args, call);
    if (result.exit !== 0) throw this.failure(args, result);
    return result.stdout;
  }

  /** A call that failed, with its last line and no credentials. */
  failure(args: readonly string[], result: GitResult): Failure {
    return gitFailure(args, { ...result, stderr: this.hide(result.stderr) });
  }

  async resolve(name: string): Promise<string | null> {
    return (await this.objects.read(name))?.id ?? null;
  }

  async descends(commit: string, ancestor: string): Promise<boolean> {
    let at: string | null = commit;
    // Most tips are a few commits on: that is seen without a process.
    for (let step = 0; step < 16 && at !== null; step++) {
      if (at === ancestor) return true;
      at = parentOf((await this.objects.read(at))?.data.toString() ?? "");
    }
    return (await this.try(["merge-base", "--is-ancestor", ancestor, commit])).exit === 0;
  }

  async roots(commit: string): Promise<string[]> {
    return (await this.run(["rev-list", "--max-parents=0", commit])).trim().split("\n");
  }

  async trailers(ref: string, key: string, commitsMax: number): Promise<string[]> {
    const { stdout } = await this.try(["log", `-${commitsMax}`, `--format=%(trailers:key=${key},valueonly)`, ref]);
    return stdout.split("\n").filter((line) => line !== "");
  }

  async write(objects: readonly NewObject[]): Promise<void> {
    await writePack(this.dir, objects);
  }

  point(ref: string, id: string): Promise<void> {
    return writeRef(this.dir, ref, id);
  }
}

type Program = readonly [string, ...string[]];

/** Parents in the text of a commit object. */
export function parentsIn(commit: string): string[] {
  const head = commit.slice(0, commit.indexOf("\n\n"));
  return [...head.matchAll(/^parent ([0-9a-f]{40})$/gm)].map(([, id = ""]) => id);
}

/** The first of them; null for a root. */
export function parentOf(commit: string): string | null {
  return parentsIn(commit)[0] ?? null;
}

/** Message in the text of a commit object. */
export function messageIn(commit: string): string {
  return commit.slice(commit.indexOf("\n\n") + 2);
}

/** Its last paragraph, in which trailers stand. */
export function trailersIn(commit: string): string {
  return (
    messageIn(commit)
      .trimEnd()
      .split(/\n\s*\n/)
      .at(-1) ?? ""
  );
}

export interface GitOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** How Git is started. */
  readonly program?: Program;
  readonly objects?: ObjectReader;
  /** Default: what has the form of a secret is taken out. */
  readonly hide?: (text: string) => string;
}

function gitFailure(args: readonly string[], result: GitResult): Failure {
  const line =
    result.stderr
      .trim()
      .split("\n")
      .find((text) => /^(fatal|error|remote|ssh|Permission denied)/.test(text)) ??
    result.stderr.trim().split("\n").at(-1) ??
    "";
  const how = result.exit < 0 ? "was killed" : `failed (exit ${result.exit})`;
  return new Failure("transient", `git ${args[0] ?? ""} ${how}: ${withoutCredentials(line)}`, {
    reason: "GitFailed",
    hint: /No space left on device|Disk quota exceeded/.test(result.stderr)
      ? "make room on the disk that it speaks of"
      : "check that the repository exists, and that this machine may read and write it",
  });
}

/** A2: `https://user:secret@host/` without what stands before the `@`. */
export function withoutCredentials(text: string): string {
  return text.replaceAll(/(:\/\/)[^/\s]{1,1000}@/g, "$1***@");
}

// oxlint-disable-next-line no-control-regex -- control characters are what is looked for
const controls = /[\u0000-\u001f\u007f]/;

/** An address in a message: in one piece, and without what it should not have held. */
function addressText(url: string): string {
  return printable(withoutCredentials(JSON.stringify(redact(url).slice(0, 200))));
}

/** Refuses addresses that Git would take for an option or a program, and secrets where every process can read them (A2). */
export function checkRemote(url: string): string {
  // Besides `user:password@`: a token as the user's name, or in the query.
  if (/^[a-z][a-z0-9+.-]*:\/\/[^/@]*:[^/@]*@/i.test(url) || redact(url) !== url) {
    throw new Failure("invalid", `the address holds a secret: ${addressText(url)}`, {
      reason: "SecretInAddress",
      hint: "other programs can read arguments: leave it out, and give a file with --credentials, or set up a credential helper",
    });
  }
  // Letters, digits, +, - and . before :: name a program of Git's, such as git-remote-ext.
  if (url === "" || url.startsWith("-") || /^[a-z0-9+.-]*::/i.test(url) || controls.test(url)) {
    throw new Failure("invalid", `not a Git remote: ${addressText(url)}`, {
      reason: "BadRemote",
      hint: "use a path, or an https:// or ssh:// address",
    });
  }
  return url;
}
