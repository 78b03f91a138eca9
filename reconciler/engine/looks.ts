// Looking at hosts that do not report by themselves: at most so many at once, each again after an interval.
import { messageOf } from "../model/failure.ts";
import type { Clock } from "../model/ports.ts";
import type { HostReport } from "../model/report.ts";

export interface LookOptions {
  readonly clock: Clock;
  /** Looks at one host; a rejection is a bug in the looker and is taken as unreachable. */
  readonly look: (name: string) => Promise<HostReport | null>;
  readonly heard: (report: HostReport) => void;
  readonly intervalMs: () => number;
  readonly parallelMax: number;
}

export class Looks {
  private readonly options: LookOptions;
  private wanted: ReadonlySet<string> = new Set();
  private readonly waiting = new Set<string>();
  private readonly looking = new Set<string>();
  private readonly timers = new Map<string, () => void>();
  private closed = false;

  constructor(options: LookOptions) {
    this.options = options;
  }

  /** The hosts to look at; new ones are looked at now, gone ones no more. */
  follow(names: readonly string[]): void {
    const wanted = new Set(names);
    this.wanted = wanted;
    for (const [name, cancel] of this.timers) {
      if (wanted.has(name)) continue;
      cancel();
      this.timers.delete(name);
    }
    for (const name of this.waiting) if (!wanted.has(name)) this.waiting.delete(name);
    for (const name of names) if (!this.timers.has(name) && !this.looking.has(name)) this.now(name);
  }

  /** Looks at one host as soon as there is room, if it is one that is looked at. */
  now(name: string): void {
    if (this.closed || !this.wanted.has(name)) return;
    this.timers.get(name)?.();
    this.timers.delete(name);
    this.waiting.add(name);
    this.fill();
  }

  close(): void {
    this.closed = true;
    this.waiting.clear();
    for (const cancel of this.timers.values()) cancel();
    this.timers.clear();
  }

  private fill(): void {
    for (const name of this.waiting) {
      if (this.looking.size >= this.options.parallelMax) return;
      if (this.looking.has(name)) continue;
      this.waiting.delete(name);
      this.looking.add(name);
      void this.lookAt(name);
    }
  }

  private async lookAt(name: string): Promise<void> {
    const { clock, look, heard, intervalMs } = this.options;
    const report = await look(name).catch((error: unknown) => unreachable(name, clock.now(), messageOf(error)));
    this.looking.delete(name);
    if (this.closed) return;
    // A host that reports by itself since the look began, or is gone, is not looked at again; nor does a late look overrule its word.
    if (report !== null && this.wanted.has(name)) {
      heard(report);
      this.timers.set(
        name,
        clock.after(intervalMs(), () => this.now(name)),
      );
    }
    this.fill();
  }
}

function unreachable(host: string, at: number, message: string): HostReport {
  return { host, at, reachable: false, message, incarnation: null, sequence: null, states: {}, checks: {}, facts: {} };
}
