// A run over many seeds: those of the file first, then fresh ones, until there are enough, time is over, or somebody stops it.
import { hung, type Judged, type Seed } from "./orders.ts";
import { freshSeed, savedSeeds, saveSeed } from "./seeds.ts";
import { Summary } from "./summary.ts";
import type { Workers } from "./workers.ts";

/** Every so many seeds one is played twice (R1). */
const twiceEvery = 20;
/** So many failures are shrunk, each of another promise. */
const shrinksMax = 3;
const progressMs = 5000;

export interface RunOptions {
  readonly base: string;
  /** Fresh seeds that are played at least; without an end in time also the most. */
  readonly fresh: number;
  readonly isLiveness: boolean;
  readonly endAfterMs: number | null;
  readonly saves: boolean;
  readonly jobs: number;
}

export class Run {
  readonly summary: Summary = new Summary();
  private readonly workers: Workers;
  private readonly options: RunOptions;
  private isStopped = false;
  private isTimeOver = false;
  private asked = 0;
  private readonly shrunk = new Set<string>();

  constructor(workers: Workers, options: RunOptions) {
    this.workers = workers;
    this.options = options;
  }

  /** What has begun ends, and the figures are told. */
  stop(): void {
    this.isStopped = true;
  }

  /** True when no promise was broken, and as many seeds were played as were asked for. */
  async play(): Promise<boolean> {
    const saved = await savedSeeds();
    const { fresh, endAfterMs, jobs } = this.options;
    const tell = setInterval(() => process.stderr.write(`${this.summary.line()}\n`), progressMs);
    this.isTimeOver = endAfterMs === null;
    const timeOver = (): void => {
      this.isTimeOver = true;
    };
    const end = endAfterMs === null ? null : setTimeout(timeOver, endAfterMs);
    const least = saved.length + fresh;
    const lane = async (): Promise<void> => {
      while (!this.isStopped && (this.asked < least || !this.isTimeOver)) {
        const index = this.asked++;
        const seed = saved[index] ?? freshSeed(this.options.base, index - saved.length, this.options.isLiveness);
        await this.one(seed, index % twiceEvery === 0);
      }
    };
    // One more than plays, so that nobody waits for its next seed.
    await Promise.all(Array.from({ length: jobs + 1 }, lane));
    clearInterval(tell);
    if (end !== null) clearTimeout(end);
    if (this.summary.played < least)
      process.stderr.write(`${this.summary.played} seeds were played, and ${least} were asked for\n`);
    return this.summary.failures.length === 0 && this.summary.played >= least;
  }

  private async one(seed: Seed, isTwice: boolean): Promise<void> {
    const answer = await this.workers.ask({ kind: "play", seed, isTwice });
    const judged = answer.kind === "judged" ? answer.judged : lost(answer.kind === "lost" ? answer.message : "");
    for (const failure of this.summary.take(seed, judged)) {
      const { promise, at, message } = failure;
      const line = `npm run sim -- --seed ${seed.name}${seed.isLiveness ? " --liveness" : ""}`;
      process.stderr.write(`\nFAILED ${promise} at ${at}: ${message}\n  to repeat: ${line}\n`);
      if (this.options.saves) await saveSeed(seed, `${promise}: ${message}`);
      await this.shrink(seed, promise);
    }
  }

  private async shrink(seed: Seed, promise: string): Promise<void> {
    if (promise === hung || this.shrunk.has(promise) || this.shrunk.size >= shrinksMax) return;
    this.shrunk.add(promise);
    const answer = await this.workers.ask({ kind: "shrink", seed, promise });
    const lines = answer.kind === "lines" ? answer.lines : [`it could not be shrunk: ${JSON.stringify(answer)}`];
    process.stderr.write(`${lines.map((line) => `  ${line}`).join("\n")}\n`);
  }
}

function lost(message: string): Judged {
  const violations = [{ promise: hung, at: 0, message }];
  return { events: 0, steps: 0, faults: {}, happenings: {}, violations, digest: "" };
}
