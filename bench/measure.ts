// Measuring: each figure beside a floor that is measured in turn with it, so that a busy machine slows both.
export interface Row {
  readonly what: string;
  readonly floor: string;
  readonly ours: string;
  readonly ratio: number;
  /** The ratio that is aimed at; `atLeast` where more is better. */
  readonly target: number;
  readonly atLeast?: boolean;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** Milliseconds that the work takes. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}

/** Medians of both, measured in turn. */
export async function inTurn(
  rounds: number,
  floor: (round: number) => Promise<number>,
  ours: (round: number) => Promise<number>,
): Promise<{ floor: number; ours: number }> {
  const floors: number[] = [];
  const own: number[] = [];
  for (let round = 0; round < rounds; round++) {
    floors.push(await floor(round));
    own.push(await ours(round));
  }
  return { floor: median(floors), ours: median(own) };
}

export const ms = (value: number): string => `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;

export function printRows(rows: readonly Row[]): void {
  console.log("| what | floor | Stateward | ratio | target | |");
  console.log("|---|---|---|---|---|---|");
  for (const { what, floor, ours, ratio, target, atLeast } of rows) {
    const met = atLeast ? ratio >= target : ratio <= target;
    const bound = `${atLeast ? "at least" : "at most"} ${target}`;
    console.log(`| ${what} | ${floor} | ${ours} | ${ratio.toFixed(2)} | ${bound} | ${met ? "met" : "missed"} |`);
  }
}
