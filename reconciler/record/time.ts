// Time as the record sees it: clocks and timers behind one interface, so that a test may drive them.
import { setImmediate } from "node:timers/promises";

export interface Time {
  /** Milliseconds since the epoch, on a clock that people may set. */
  wall(): number;
  /** Milliseconds on a clock that only goes forward, and may stand still while the machine sleeps. */
  monotonic(): number;
  /** Calls `wake` once, `ms` milliseconds from now; the function returned takes that back. One that is `idle` keeps no process alive. */
  after(ms: number, wake: () => void, idle?: "idle"): () => void;
  /** Resolves when others have had their turn. */
  turn(): Promise<void>;
}

export const systemTime: Time = {
  wall: () => Date.now(),
  monotonic: () => performance.now(),
  after: (ms, wake, idle) => {
    const timer = setTimeout(wake, ms);
    if (idle) timer.unref();
    return () => clearTimeout(timer);
  },
  turn: () => setImmediate(),
};

/** Time gone by, for leases: on the clock that counts the longer, because one stands still while a machine sleeps, and the other is set. */
export class Since {
  private readonly time: Time;
  private readonly monotonic: number;
  private readonly wall: number;

  constructor(time: Time) {
    this.time = time;
    this.monotonic = time.monotonic();
    this.wall = time.wall();
  }

  /** Milliseconds since this was made. */
  ms(): number {
    return Math.max(this.time.monotonic() - this.monotonic, this.time.wall() - this.wall);
  }
}
