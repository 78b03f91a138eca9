// How long transitions take: the median of what the records say, for each machine and state entered.
import type { SubjectRecord } from "../model/record.ts";
import type { Transition } from "../model/types.ts";

/** Assumed of a step of which nothing is recorded, in milliseconds. */
const stepMs = 10_000;
/** Samples of one transition that are looked at. */
const samplesMax = 1001;

export class Durations {
  private readonly samples = new Map<string, number[]>();
  private readonly medians = new Map<string, number>();

  constructor(records: Iterable<SubjectRecord>) {
    for (const { machines } of records) {
      for (const name in machines)
        for (const { state, ms } of machines[name]?.applied ?? [])
          if (ms !== undefined) this.add(`${name}/${state}`, ms);
    }
  }

  private add(key: string, ms: number): void {
    const list = this.samples.get(key);
    if (list === undefined) this.samples.set(key, [ms]);
    else if (list.length < samplesMax) list.push(ms);
  }

  /** Milliseconds that a transition has taken, or null where none was recorded. */
  of(machine: string, { to, steps }: Transition): number | null {
    if (steps.length === 0) return 0;
    const key = `${machine}/${to}`;
    const known = this.medians.get(key);
    if (known !== undefined) return known;
    const list = this.samples.get(key)?.toSorted((a, b) => a - b);
    const median = list?.[list.length >> 1];
    if (median === undefined) return null;
    this.medians.set(key, median);
    return median;
  }

  /** What is assumed of a transition that was never made, in milliseconds. */
  static assumed({ steps }: Transition): number {
    return stepMs * steps.length;
  }
}
