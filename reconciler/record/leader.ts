// Leadership: signs of life on a ref of their own, and when a standby may take silence for the end of the leader.
// Safety never depends on them: a commit on `observed` that raises the epoch is the fence.
import { Failure } from "../model/failure.ts";
import type { BareRepository } from "./git.ts";
import { type NewObject, newObject } from "./pack.ts";
import { leaderRef, type Remote } from "./remote.ts";

export interface Leadership {
  /** Identity of this data folder. */
  readonly instance: string;
  /** Name of this machine, for people. */
  readonly host: string;
  /**
   * Of this process alone; the instance unless said otherwise. Two that take over in the same second on machines of one name would make
   * the very same commit without it, and each would take the other's push for its own.
   */
  readonly term?: string;
  /** Lead at once, without waiting for the silence of whoever led before: where nobody else can, or a person says so. */
  readonly takeOver: boolean;
  readonly pace?: Pace;
}

/** All in milliseconds. */
export interface Pace {
  /** A leader that pushed nothing for this long pushes a sign of life. */
  readonly beatMs: number;
  /** A sign of life that did not change for this long is taken for the leader's end. */
  readonly patienceMs: number;
  /** A standby looks this often. */
  readonly lookMs: number;
  /** A leader that was not confirmed for this long asks the remote before it acknowledges anything. */
  readonly leaseMs: number;
}

/**
 * With these a standby leads at most 20 + 50 + 10 s, and its own push, after the leader's end: within 90 s. The lease ends before the
 * patience does, so a leader that was stopped, and goes on, asks first.
 */
export const defaultPace: Pace = { beatMs: 20_000, patienceMs: 50_000, lookMs: 10_000, leaseMs: 40_000 };

export interface SignOfLife {
  readonly instance: string;
  readonly host: string;
  readonly epoch: number;
  readonly beat: number;
  /** The leader has ended in order: the next one need not wait. */
  readonly released: boolean;
}

/** Signs differ from one to the next and come round again, so that a year of them is not a million objects. */
const signsInTurn = 16;

/** The signs of one leader in one epoch, the last one saying that it has ended. */
export function signsOf({ instance, host }: Leadership, epoch: number): NewObject[] {
  const sign = (beat: number, released: boolean): NewObject => {
    const value: SignOfLife = { instance, host, epoch, beat, released };
    return newObject("blob", Buffer.from(`${JSON.stringify(value)}\n`));
  };
  return [...Array.from({ length: signsInTurn }, (_, beat) => sign(beat, false)), sign(signsInTurn, true)];
}

/** Reads a sign of life that is in the mirror; null for anything else. */
async function readSign(git: BareRepository, id: string): Promise<SignOfLife | null> {
  const object = await git.objects.read(id);
  if (object?.type !== "blob") return null;
  try {
    const value = JSON.parse(object.data.toString()) as Partial<SignOfLife>;
    const { instance, host, epoch, beat, released } = value;
    if (typeof instance !== "string" || typeof host !== "string" || typeof epoch !== "number") return null;
    return { instance, host: host.slice(0, 100), epoch, beat: Number(beat), released: released === true };
  } catch {
    return null;
  }
}

/** The sign of life that the remote has, fetched where the mirror does not know it yet. */
export async function fetchSign(git: BareRepository, remote: Remote, id: string): Promise<SignOfLife | null> {
  const known = await readSign(git, id);
  if (known !== null) return known;
  await remote.fetch(leaderRef, leaderRef);
  // It may have moved on since it was listed.
  return readSign(git, leaderRef);
}

/** How often a value must have been seen unchanged: a standby that was itself asleep must not take its own sleep for silence. */
const looksMin = 3;

/** Measures for how long a value has not changed, on the clock of whoever looks. Time written by others is never trusted. */
export class Silence {
  private value: string | null = null;
  private since = 0;
  private looks = 0;

  /** For how many milliseconds the value has been seen unchanged; 0 until it was seen often enough. */
  note(value: string | null, nowMs: number): number {
    if (value !== this.value || this.looks === 0) {
      this.value = value;
      this.since = nowMs;
      this.looks = 1;
      return 0;
    }
    this.looks++;
    return this.looks < looksMin ? 0 : nowMs - this.since;
  }
}

export function standingBy(sign: SignOfLife | null): Failure {
  const who = sign === null ? "another reconciler" : `${sign.host} (epoch ${sign.epoch})`;
  return new Failure("waiting", `this reconciler stands by: ${who} leads`, {
    reason: "StandingBy",
    hint: "send it to the leader",
  });
}
