// A queue of subjects to look at again. It holds each name once, so it is bounded by the number of subjects,
// and an event only names a key: what happened is read from the world.
import type { Clock } from "../model/ports.ts";

interface Appointment {
  /** When the subject is to be looked at, and when its timer rings: not after that. Milliseconds since the epoch. */
  at: number;
  readonly rings: number;
  readonly cancel: () => void;
}

export class WakeQueue {
  private readonly clock: Clock;
  private readonly visit: (name: string) => void;
  private readonly names = new Set<string>();
  private readonly timers = new Map<string, Appointment>();
  private draining = false;
  private closed = false;

  constructor(clock: Clock, visit: (name: string) => void) {
    this.clock = clock;
    this.visit = visit;
  }

  /** Look at this subject soon. */
  wake(name: string): void {
    if (this.closed) return;
    this.names.add(name);
    if (this.draining) return;
    this.draining = true;
    this.clock.after(0, () => this.drain());
  }

  /** This subject is looked at now: what it was to be looked at again for is seen with that. */
  seen(name: string): void {
    this.names.delete(name);
  }

  /** Look at this subject at a time (milliseconds since the epoch), or at none; an earlier appointment of its is replaced. */
  wakeAt(name: string, at: number | null): void {
    const timer = this.timers.get(name);
    if (timer && at !== null && at >= timer.rings) {
      // An appointment that is put off, as each report of an agent does, keeps its timer: that sets itself again when it rings.
      timer.at = at;
      return;
    }
    timer?.cancel();
    this.timers.delete(name);
    if (at !== null && !this.closed) this.set(name, at);
  }

  private set(name: string, at: number): void {
    const cancel = this.clock.after(Math.max(0, at - this.clock.now()), () => this.ring(name));
    this.timers.set(name, { at, rings: at, cancel });
  }

  private ring(name: string): void {
    const at = this.timers.get(name)?.at ?? 0;
    this.timers.delete(name);
    if (at > this.clock.now()) this.set(name, at);
    else this.wake(name);
  }

  /** True when nothing waits to be looked at, now or later within `ms`. */
  isQuiet(ms: number): boolean {
    const soon = this.clock.now() + ms;
    return this.names.size === 0 && [...this.timers.values()].every(({ at }) => at > soon);
  }

  close(): void {
    this.closed = true;
    this.names.clear();
    for (const { cancel } of this.timers.values()) cancel();
    this.timers.clear();
  }

  /** Visits a bounded number of subjects, then lets other work in. */
  private drain(): void {
    let visited = 0;
    for (const name of this.names) {
      this.names.delete(name);
      this.visit(name);
      if (++visited >= 100) break;
    }
    this.draining = this.names.size > 0;
    if (this.draining) this.clock.after(0, () => this.drain());
  }
}
