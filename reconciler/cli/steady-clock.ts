// The time of day as a running reconciler decides by it: what it was at the start, and what has passed since. A clock that somebody
// sets meanwhile must not make every host look silent for as long, nor stop what waits for a time that was near.
import type { Clock } from "../model/ports.ts";
import { systemTime, type Time } from "../record/time.ts";

const lookMs = 1000;
/** What the clock of the machine is off by before it is followed. */
const jumpMs = 30_000;
/** A look that comes this late means that this process was stopped, or the machine asleep: nobody could be heard meanwhile. */
const sleptMs = 60_000;
/** Timers of Node end at 2^31 ms; a longer wait is looked at again on the way. */
const timerMsMax = 2 ** 31 - 1;

export class SteadyClock implements Clock {
  private readonly time: Time;
  private offset: number;
  private end: () => void = () => {};

  constructor(time: Time = systemTime) {
    this.time = time;
    this.offset = time.wall() - time.monotonic();
  }

  now(): number {
    return Math.round(this.offset + this.time.monotonic());
  }

  after(ms: number, wake: () => void): () => void {
    return this.time.after(Math.min(ms, timerMsMax), wake);
  }

  /** Follows the machine's clock when that was set, and says so: what was heard before cannot be told from what is old then. */
  watch(onGap: (message: string) => void): void {
    const last = this.time.monotonic();
    this.end = this.time.after(
      lookMs,
      () => {
        const late = this.time.monotonic() - last - lookMs;
        const off = this.time.wall() - this.now();
        this.watch(onGap);
        if (Math.abs(off) > jumpMs) {
          this.offset += off;
          onGap(
            `the clock of this machine was set ${off > 0 ? "forward" : "back"} by ${Math.round(Math.abs(off) / 1000)} s`,
          );
        } else if (late > sleptMs) onGap(`this process was stopped for ${Math.round(late / 1000)} s`);
      },
      "idle",
    );
  }

  stop(): void {
    this.end();
  }
}
