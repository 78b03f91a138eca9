// What is known of a host from the host itself: by looking at it, or from its agent's report.

/** A state marker as it stands on the host. */
export interface StateClaim {
  readonly state: string;
  /** Revision of the record when the marker was written; null when whoever wrote it did not say. */
  readonly revision: number | null;
}

export interface CheckResult {
  readonly state: string;
  readonly ok: boolean;
  readonly message: string;
  /** Failures in a row, this one included. */
  readonly failures: number;
}

/** The latest report of a host. */
export interface HostReport {
  readonly host: string;
  /** When it was heard; of a look, when that began: what it saw may be as old. The reconciler's clock, never the host's. */
  readonly at: number;
  readonly reachable: boolean;
  /** When the host was last heard, while it is not; the reconciler's clock. */
  readonly heardAt?: number;
  /** Looks in a row that did not reach it. */
  readonly missed?: number;
  /** Why the host cannot be reached; empty when it can. */
  readonly message: string;
  readonly incarnation: string | null;
  /** Of an agent's report; null for a look. */
  readonly sequence: number | null;
  readonly states: Readonly<Record<string, StateClaim>>;
  readonly checks: Readonly<Record<string, CheckResult>>;
  readonly facts: Readonly<Record<string, string>>;
}
