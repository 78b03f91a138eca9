// Looks for one planted bug: seeds are played with it until a promise that it breaks is found broken, or its budget is used up.
import { Bundle } from "../bundle.ts";
import { Workers } from "../workers.ts";
import type { Canary } from "./list.ts";

export interface Hunted {
  readonly name: string;
  /** The promise that was found broken; null where none of those was that had to be. */
  readonly found: string | null;
  /** Seeds played, the one that found it included. */
  readonly seeds: number;
  readonly message: string;
  /** What else was broken on the way: seeds by promise. */
  readonly others: Readonly<Record<string, number>>;
  readonly seconds: number;
}

export async function hunt({ name, mode, promises, edits, seedsMax }: Canary): Promise<Hunted> {
  const began = performance.now();
  await using bundle = await Bundle.make(edits);
  await using workers = new Workers(bundle.program, 1);
  const others: Record<string, number> = {};
  const end = (found: string | null, seeds: number, message: string): Hunted => {
    const seconds = Math.round((performance.now() - began) / 100) / 10;
    return { name, found, seeds, message, others, seconds };
  };
  const isTwice = promises.includes("R1");
  for (let seeds = 1; seeds <= seedsMax; seeds++) {
    const seed = { name: `${name}-${seeds}`, isLiveness: mode === "liveness" };
    const answer = await workers.ask({ kind: "play", seed, isTwice });
    if (answer.kind !== "judged") return end(null, seeds, answer.kind === "lost" ? answer.message : "no answer");
    const { violations } = answer.judged;
    const hit = violations.find(({ promise }) => promises.includes(promise));
    if (hit !== undefined) return end(hit.promise, seeds, hit.message);
    for (const promise of new Set(violations.map((violation) => violation.promise)))
      others[promise] = (others[promise] ?? 0) + 1;
  }
  return end(null, seedsMax, "");
}

/** As a line of a table. */
export function huntedLine({ name, found, seeds, message, others, seconds }: Hunted): string {
  const besides = Object.entries(others).map(([promise, count]) => `${promise} ${count}`);
  const more = besides.length === 0 ? "" : ` (besides: ${besides.join(", ")})`;
  const what = found === null ? `NOT FOUND in ${seeds} seeds` : `${found} after ${seeds} seeds`;
  return `${name.padEnd(26)} ${what.padEnd(26)} ${String(seconds).padStart(6)} s  ${message.split("\n")[0]?.slice(0, 140)}${more}`;
}
