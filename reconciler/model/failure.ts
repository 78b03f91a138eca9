// The one error class for failures of operation. A bug is an assertion; everything that the world can do to us is a Failure.

/**
 * What follows from a failure: `invalid` input is refused and never retried, `transient` is tried again with backoff,
 * `waiting` resolves by itself, `stalled` needs a person.
 */
export type FailureKind = "invalid" | "transient" | "waiting" | "stalled";

export interface FailureOptions {
  /** Stable word for programs, such as `UnknownHost`. */
  readonly reason: string;
  /** What a person can do next, in one sentence. */
  readonly hint?: string;
  readonly cause?: unknown;
}

/** A failure of operation with its kind, a stable reason and a hint. */
export class Failure extends Error {
  override readonly name = "Failure";
  readonly kind: FailureKind;
  readonly reason: string;
  readonly hint: string | null;

  constructor(kind: FailureKind, message: string, options: FailureOptions) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.kind = kind;
    this.reason = options.reason;
    this.hint = options.hint ?? null;
  }
}

/** The message of anything thrown, without a stack. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Whether the system refused to write because a disk or a quota is full. */
export function isDiskFull(error: unknown): boolean {
  const { code } = (error ?? {}) as { code?: unknown };
  return code === "ENOSPC" || code === "EDQUOT";
}

/** Throws when a promise that the code makes to itself does not hold: a bug, not a failure of operation. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${message}`);
}
