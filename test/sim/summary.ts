// What a run of the simulator has done so far, in figures.
import type { Judged, Seed } from "./orders.ts";

interface Failed {
  readonly seed: Seed;
  readonly promise: string;
  readonly at: number;
  readonly message: string;
}

interface Figures extends Pick<Summary, "events" | "steps" | "faults" | "happenings" | "broken" | "failures"> {
  readonly seeds: { readonly safety: number; readonly liveness: number };
  readonly seconds: number;
}

export class Summary {
  safety = 0;
  liveness = 0;
  events = 0;
  steps = 0;
  readonly faults: Record<string, number> = {};
  readonly happenings: Record<string, number> = {};
  /** Seeds that broke a promise, by promise. */
  readonly broken: Record<string, number> = {};
  /** The first violation of each promise in each seed that failed. */
  readonly failures: Failed[] = [];
  private readonly startedAt: number = performance.now();

  /** The failures of this seed. */
  take(seed: Seed, judged: Judged): Failed[] {
    if (seed.isLiveness) this.liveness++;
    else this.safety++;
    this.events += judged.events;
    this.steps += judged.steps;
    add(this.faults, judged.faults);
    add(this.happenings, judged.happenings);
    const failed = new Map<string, Failed>();
    for (const { promise, at, message } of judged.violations)
      if (!failed.has(promise)) failed.set(promise, { seed, promise, at, message });
    for (const promise of failed.keys()) add(this.broken, { [promise]: 1 });
    this.failures.push(...failed.values());
    return [...failed.values()];
  }

  get played(): number {
    return this.safety + this.liveness;
  }

  get seconds(): number {
    return (performance.now() - this.startedAt) / 1000;
  }

  line(): string {
    return `${this.played} seeds, ${(this.played / this.seconds).toFixed(1)} a second, ${this.failures.length} violations`;
  }

  lines(): string[] {
    return [
      `seeds: ${this.played} (${this.safety} safety, ${this.liveness} liveness) in ${this.seconds.toFixed(1)} s: ${(this.played / this.seconds).toFixed(1)} a second`,
      `events: ${this.steps} of the simulated world, ${this.events} in histories`,
      `acts and faults: ${listed(this.faults)}`,
      `happenings: ${listed(this.happenings)}`,
      `seeds with violations: ${listed(this.broken)}`,
    ];
  }

  json(): Figures {
    const { safety, liveness, events, steps, faults, happenings, broken, failures } = this;
    const seeds = { safety, liveness };
    return { seeds, events, steps, faults, happenings, broken, failures, seconds: Math.round(this.seconds) };
  }
}

function add(to: Record<string, number>, more: Readonly<Record<string, number>>): void {
  for (const [key, count] of Object.entries(more)) to[key] = (to[key] ?? 0) + count;
}

function listed(counts: Readonly<Record<string, number>>): string {
  const sorted = Object.entries(counts).toSorted(([a, x], [b, y]) => y - x || (a < b ? -1 : 1));
  return sorted.length === 0 ? "none" : sorted.map(([key, count]) => `${key} ${count}`).join(", ");
}
