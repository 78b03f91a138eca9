// How much the properties of this folder are asked: FUZZ_RUNS multiplies by runs; FUZZ_SEED repeats a seed.
import * as fc from "fast-check";

const wanted = Number(process.env.FUZZ_RUNS ?? "0");
const seed = process.env.FUZZ_SEED;

/** Options of a property that runs `usual` times unless FUZZ_RUNS says another number. */
export function runs(usual: number): fc.Parameters<unknown> {
  return { numRuns: wanted > 0 ? wanted : usual, ...(seed === undefined ? {} : { seed: Number(seed) }) };
}

/** Texts as strangers write them: marks, controls, line ends, surrogates, and words among what is plain. */
export function oddText(words: readonly string[], maxLength = 20): fc.Arbitrary<string> {
  const part = fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(...words) },
    { weight: 2, arbitrary: fc.string({ unit: "binary", maxLength: 6 }) },
    { weight: 2, arbitrary: fc.string({ maxLength: 6 }) },
    {
      weight: 1,
      arbitrary: fc.constantFrom("\0", "\n", "\r\n", "\u2028", "\ufeff", "\ud800", "__proto__", "'", '"', "\\"),
    },
  );
  return fc.array(part, { maxLength }).map((parts) => parts.join(""));
}
