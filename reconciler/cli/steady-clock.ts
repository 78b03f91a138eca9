// The time of day as a running reconciler decides by it: what it was at the start, and what has passed since. A clock that somebody
// sets meanwhile must not make every host look silent for as long, nor stop what waits for a time that was near.
import type { Clock } from "../model/ports.ts";

const lookMs = 1000;
/** What the clock of the machine is off by before it is followed. */
const jumpMs = 30_000;
/** A look that comes this late means that this process was stopped, or the machine asleep: nobody could be heard meanwhile. */
const sleptMs = 60_000;

export class SteadyClock implements Clock {
  private offset = Date.now() - performance.now();
  private timer: NodeJS.Timeout | null = null;

  now(): number {
    return Math.round(this.offset + performance.now());
  }

  after(ms: number, wake: () => void): () => void {
    // Timers of Node end at 2^31 ms; a longer wait is looked at again on the way.
    const timer = setTimeout(wake, Math.min(ms, 2 ** 31 - 1));
    return () => clearTimeout(timer);
  }

  /** Follows the machine's clock when that was set, and says so: what was heard before cannot be told from what is old then. */
  watch(onGap: (message: string) => void): void {
    let last = performance.now();
    this.timer = setInterval(() => {
      const late = performance.now() - last - lookMs;
      last += late + lookMs;
      const off = Date.now() - this.now();
      if (Math.abs(off) > jumpMs) {
        this.offset += off;
        onGap(
          `the clock of this machine was set ${off > 0 ? "forward" : "back"} by ${Math.round(Math.abs(off) / 1000)} s`,
        );
      } else if (late > sleptMs) onGap(`this process was stopped for ${Math.round(late / 1000)} s`);
    }, lookMs).unref();
  }

  stop(): void {
    if (this.timer) clearInterval(this.timer);
  }
}
