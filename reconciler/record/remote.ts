// The remote: one listing a poll, fetches of single branches, and pushes that say what became of each ref.
import { Failure, messageOf } from "../model/failure.ts";
import { checkRemote, type Git, withoutCredentials } from "./git.ts";

/** Ref on the remote that tells others that the leader lives. A hint about liveness, never about safety. */
export const leaderRef = "refs/stateward/leader";

export interface Listing {
  readonly main: string | null;
  readonly observed: string | null;
  /** Object that the leader's sign of life is; null where there is none. */
  readonly leader: string | null;
}

/** What a listing asks for. */
export const listedPrefixes: readonly string[] = ["refs/heads/main", "refs/heads/observed", leaderRef];

/** Lists a remote's refs without a process of its own; "unsupported" where only Git itself can. */
export interface QuickList {
  list(prefixes: readonly string[]): Promise<ReadonlyMap<string, string> | "unsupported">;
  close(): void;
}

export type PushResult =
  | { readonly kind: "accepted" }
  /** Somebody else moved the ref, or the server does not want it. */
  | { readonly kind: "refused"; readonly ref: string; readonly message: string };

const listTimeoutMs = 30_000;
const fetchTimeoutMs = 900_000;
const pushTimeoutMs = 120_000;

/** A remote as the record uses it. */
export interface Remote {
  /** Ids of the branches and of the sign of life. */
  list(): Promise<Listing>;
  /** Fetches a ref of the remote into one of ours, wherever it points: whether it may be followed is the caller's to judge. */
  fetch(ref: string, into: string): Promise<void>;
  /** Pushes all of the refspecs or none. Throws a Failure when it is not known what became of them. */
  push(refspecs: readonly string[], options?: readonly string[]): Promise<PushResult>;
  close(): void;
}

export class GitRemote implements Remote {
  readonly url: string;
  private readonly git: Git;
  private readonly quick: QuickList | null;
  private readonly onLocked: () => Promise<unknown>;
  private isAtomic = true;

  /** `onLocked` is called when a lock in `git` has kept a fetch from its end: one that was left is to be gone at the next. */
  constructor(
    git: Git,
    url: string,
    quick: QuickList | null = null,
    onLocked = (): Promise<unknown> => Promise.resolve(),
  ) {
    this.git = git;
    this.url = checkRemote(url);
    this.quick = quick;
    this.onLocked = onLocked;
  }

  async list(): Promise<Listing> {
    const refs = await this.refs(listedPrefixes);
    const of = (ref: string): string | null => refs.get(ref) ?? null;
    return { main: of("refs/heads/main"), observed: of("refs/heads/observed"), leader: of(leaderRef) };
  }

  private async refs(prefixes: readonly string[]): Promise<ReadonlyMap<string, string>> {
    const quick = await this.quick?.list(prefixes);
    if (quick !== undefined && quick !== "unsupported") return quick;
    const text = await this.git.run(["ls-remote", "--", this.url, ...prefixes], { timeoutMs: listTimeoutMs });
    return new Map(
      text.split("\n").flatMap((line): [string, string][] => {
        const [, id = "", ref = ""] = /^([0-9a-f]{40})\t(refs\/\S+)$/.exec(line) ?? [];
        return id === "" ? [] : [[ref, id]];
      }),
    );
  }

  async fetch(ref: string, into: string): Promise<void> {
    const args = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--", this.url, `+${ref}:${into}`];
    const result = await this.git.try(args, { timeoutMs: fetchTimeoutMs });
    if (result.exit === 0) return;
    if (result.stderr.includes(`Unable to create '${this.git.dir}/`)) await this.onLocked();
    throw unreadable(this.git.dir, result.stderr) ?? this.git.failure(args, result);
  }

  async push(refspecs: readonly string[], options: readonly string[] = []): Promise<PushResult> {
    const atomic = this.isAtomic && refspecs.length > 1 ? ["--atomic"] : [];
    const args = ["push", "--porcelain", "--no-verify", ...atomic, ...options, "--", this.url, ...refspecs];
    const result = await this.git.try(args, { timeoutMs: pushTimeoutMs });
    if (result.exit === 0) return { kind: "accepted" };
    if (atomic.length > 0 && /does not support.*atomic/.test(result.stderr)) {
      this.isAtomic = false;
      return this.push(refspecs, options);
    }
    const refused = result.stdout.split("\n").flatMap((line) => {
      const [, ref = "", why = ""] = /^!\t[^\t]*:([^\t]+)\t(.*)$/.exec(line) ?? [];
      return /^\[(rejected|remote rejected)\]/.test(why) ? [{ ref, why }] : [];
    });
    // With --atomic the others are refused because of one: that one is meant.
    const meant = refused.find(({ why }) => !/atomic (push|transaction) fail/i.test(why)) ?? refused[0];
    const failed = (): Failure => unreadable(this.git.dir, result.stderr) ?? this.git.failure(["push"], result);
    if (!meant) throw failed();
    // The server got no pack because ours could not be made: it is not the one that is at fault.
    if (/unpacker error/i.test(meant.why) && isCorrupt(failed())) throw failed();
    return { kind: "refused", ref: meant.ref, message: withoutCredentials(this.git.hide(meant.why)) };
  }

  close(): void {
    this.quick?.close();
  }
}

/** Says that a remote did not answer, in one line without credentials. */
export function unreachable(error: unknown): string {
  return withoutCredentials(messageOf(error));
}

/** What Git says of objects and packs that it cannot read. What a server says (`remote:`) is about the server. */
const corruptWords =
  /(bad object|missing (blob|tree|commit)|could not read|failed to traverse parents of commit|unable to read( sha1 file of| tree)?|invalid sha1 pointer|corrupt loose object|loose object) \(?'?[0-9a-f]{40}|object file \S+ is empty|packfile \S+ (cannot|does not)|inflate: data stream error|not a git repository|bad config line|bad object refs\/stateward/i;

/** Objects and packs that cannot be read, whoever has them. */
const unreadableWords =
  /is corrupt\b|corrupt loose object|data stream error|not a GIT packfile|packfile \S+ |bad object/;
/** What has come from the remote, or what a remote on this machine says of its own files: those it names from its own folder. */
const remoteWords =
  /bad object at offset|unpack-objects failed|invalid index-pack output|remote error:|\s\.\/objects\//;

/**
 * Whose objects they are that Git cannot read: it names those of the mirror by their path. Null when it speaks of something else. A
 * mirror must not be given up because of a remote that is damaged: it may be the last sound copy.
 */
function unreadable(dir: string, stderr: string): Failure | null {
  const lines = stderr.split("\n").filter((line) => !line.startsWith("remote:"));
  const first = lines.find((line) => unreadableWords.test(line));
  if (first === undefined) return null;
  const ours = lines.find((line) => line.includes(`${dir}/objects/`));
  if (ours !== undefined)
    return new Failure("stalled", `git cannot read the mirror: ${ours}`, {
      reason: "GitCorrupt",
      hint: "start the reconciler again: it sets the mirror aside and fetches afresh",
    });
  const theirs = lines.find((line) => remoteWords.test(line));
  if (theirs === undefined) return null;
  return new Failure("transient", `the remote has objects that cannot be read: ${withoutCredentials(theirs.trim())}`, {
    reason: "RemoteDamaged",
    hint: "run git fsck there; what is missing may be in the mirror of this reconciler, or in a clone",
  });
}

/** True for failures in which the mirror itself is at fault, so that trying again does not help. */
export function isCorrupt(error: unknown): boolean {
  if (!(error instanceof Failure) || error.reason === "RemoteDamaged") return false;
  return error.reason === "GitCorrupt" || (!error.message.includes("remote:") && corruptWords.test(error.message));
}
