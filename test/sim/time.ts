// Virtual time: one true time for the world, and for each process clocks that are wrong in their own way.
import type { Clock } from "../../reconciler/model/ports.ts";
import type { Time } from "../../reconciler/record/time.ts";

interface Event {
  readonly at: number;
  readonly order: number;
  readonly work: () => void;
}

/** The epoch's milliseconds at which every history begins: 2026-01-01T00:00:00Z. */
export const beginning: number = Date.UTC(2026, 0, 1);

/** Promises that are ready run before this resolves: in a simulation nothing else is waited for. */
export function settled(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

export class SimTime {
  /** Milliseconds since the beginning. */
  now = 0;
  /** Events that have happened. */
  steps = 0;
  private order = 0;
  /** A binary heap, the next one first. */
  private readonly heap: Event[] = [];

  after(ms: number, work: () => void): void {
    this.push({ at: this.now + Math.max(0, ms), order: this.order++, work });
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.after(ms, resolve);
    });
  }

  /** Lets time pass until `end`, event after event. Rejects when more than `stepsMax` happen: something runs in a circle. */
  async pass(end: number, stepsMax: number): Promise<void> {
    for (;;) {
      const next = this.heap[0];
      if (next === undefined || next.at > end) break;
      this.pop();
      this.now = next.at;
      if (++this.steps > stepsMax)
        throw new Error(`more than ${stepsMax} events by ${this.now} ms: something does not end`);
      next.work();
      await settled();
    }
    this.now = end;
  }

  private push(event: Event): void {
    const { heap } = this;
    heap.push(event);
    for (let at = heap.length - 1; at > 0; ) {
      const above = (at - 1) >> 1;
      if (isBefore(heap[above] as Event, event)) break;
      heap[at] = heap[above] as Event;
      heap[above] = event;
      at = above;
    }
  }

  private pop(): void {
    const { heap } = this;
    const last = heap.pop() as Event;
    if (heap.length === 0) return;
    heap[0] = last;
    for (let at = 0; ; ) {
      const left = 2 * at + 1;
      if (left >= heap.length) break;
      const right = left + 1;
      const least = right < heap.length && isBefore(heap[right] as Event, heap[left] as Event) ? right : left;
      if (isBefore(last, heap[least] as Event)) break;
      heap[at] = heap[least] as Event;
      heap[least] = last;
      at = least;
    }
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

/** One life of a process: what is delivered to it once it is dead is lost, and waits while it is stopped. */
export class Life implements Clock, Time {
  private readonly time: SimTime;
  private readonly skew: { wallMs: number; readonly rate: number };
  private readonly waiting: (() => void)[] = [];
  private isStopped = false;
  isAlive = true;

  /** `skew`: by how much its clock is wrong, and how fast it runs. */
  constructor(time: SimTime, skew: { wallMs: number; readonly rate: number }) {
    this.time = time;
    this.skew = skew;
  }

  kill(): void {
    this.isAlive = false;
    this.waiting.length = 0;
  }

  /** As by SIGSTOP. */
  stop(): void {
    this.isStopped = true;
  }

  /** As by SIGCONT: what came in meanwhile is seen now, in order. */
  go(): void {
    this.isStopped = false;
    for (const work of this.waiting.splice(0)) this.deliver(work);
  }

  /** Runs the work within the process, if it is there. */
  deliver(work: () => void): void {
    if (!this.isAlive) return;
    if (this.isStopped) this.waiting.push(() => this.time.after(0, () => this.deliver(work)));
    else work();
  }

  /** The result of something outside, as the process gets it: never, once it is dead. */
  hears<T>(outside: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      outside.then(
        (value) => this.deliver(() => resolve(value)),
        (error: unknown) => this.deliver(() => reject(error)),
      );
    });
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.after(ms, resolve);
    });
  }

  now(): number {
    return this.wall();
  }

  wall(): number {
    return beginning + Math.floor(this.time.now * this.skew.rate) + this.skew.wallMs;
  }

  monotonic(): number {
    return this.time.now * this.skew.rate;
  }

  after(ms: number, wake: () => void): () => void {
    let isOff = false;
    const call = (): void => {
      if (!isOff) wake();
    };
    this.time.after(Math.ceil(ms / this.skew.rate), () => this.deliver(call));
    return () => {
      isOff = true;
    };
  }

  turn(): Promise<void> {
    return this.sleep(0);
  }
}
