// Inputs from inputs: bytes are changed, moved, repeated, and mixed with words that a target knows.
import type { Random } from "../support/random.ts";

export interface Material {
  /** Words that mean something to the target. */
  readonly words: readonly string[];
  /** Other inputs, to take pieces from. */
  readonly others: readonly Uint8Array[];
  readonly bytesMax: number;
}

type Mutation = (input: Buffer, random: Random, material: Material) => Buffer;

/** What parsers mind, whatever they parse. */
// biome-ignore format: a table reads best as one
const oddities: readonly Buffer[] = [
  "\0", "\r", "\r\n", "\t", "\u2028", "\ufeff", "\u0085", "\u00a0", "'", '"', "\\", "-", "--", "..", "/", "{", "}", "[", "]",
  "${", "$", "`", ":", ": ", "\n", "#", "%", "&a ", "*a", "!!", "0", "-1", "1e999", "9007199254740993", "NaN", "null",
  "__proto__", "constructor", "\\u0000", "\\ud800", "~", "?", "? ", "- ", "|", ">", "\u{1f4a5}", "e\u0301",
].map((text) => Buffer.from(text));
const rawBytes: readonly Buffer[] = [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0x80]].map(
  (bytes) => Buffer.from(bytes),
);

const splice = (input: Buffer, at: number, ...[cut, put]: [number, Uint8Array]): Buffer =>
  Buffer.concat([input.subarray(0, at), put, input.subarray(Math.min(input.length, at + cut))]);
const place = (input: Buffer, random: Random): number => random.below(input.length + 1);
const lengthOf = (random: Random): number => 1 + random.below(random.pick([1, 4, 16, 64]));

function piece(input: Uint8Array, random: Random): Uint8Array {
  const at = random.below(input.length + 1);
  return input.subarray(at, at + lengthOf(random));
}

const mutations: readonly Mutation[] = [
  (input, random) => splice(input, place(input, random), lengthOf(random), Buffer.alloc(0)),
  (input, random) => splice(input, place(input, random), random.below(2), Buffer.from([random.below(256)])),
  (input, random) => splice(input, place(input, random), random.below(2), random.pick(oddities)),
  (input, random) => splice(input, place(input, random), random.below(2), random.pick(rawBytes)),
  (input, random, { words }) =>
    words.length === 0 ? input : splice(input, place(input, random), random.below(4), Buffer.from(random.pick(words))),
  (input, random) => splice(input, place(input, random), 0, piece(input, random)),
  (input, random) => {
    const part = piece(input, random);
    const times = 1 + random.below(random.pick([3, 20, 200]));
    return splice(input, place(input, random), 0, Buffer.concat(Array.from({ length: times }, () => part)));
  },
  (input, random, { others }) =>
    others.length === 0
      ? input
      : splice(input, place(input, random), lengthOf(random), piece(random.pick(others), random)),
  (input, random, { others }) => {
    if (others.length === 0) return input;
    const other = random.pick(others);
    return Buffer.concat([input.subarray(0, place(input, random)), other.subarray(random.below(other.length + 1))]);
  },
  (input, random) => {
    if (input.length === 0) return input;
    const copy = Buffer.from(input);
    const at = random.below(copy.length);
    copy[at] = (copy[at] ?? 0) ^ (1 << random.below(8));
    return copy;
  },
  (input, random) => {
    const digits = [...input.toString("latin1").matchAll(/\d+/g)];
    if (digits.length === 0) return input;
    const { index, 0: digit } = random.pick(digits);
    return splice(
      input,
      index,
      digit.length,
      Buffer.from(random.pick(["0", "-1", "4294967296", "1e308", "99999999999999999999"])),
    );
  },
];

/** An input that is like another: one to four mutations away. */
export function mutate(input: Uint8Array, random: Random, material: Material): Buffer {
  let result: Buffer = Buffer.from(input);
  for (let left = 1 + random.below(4); left > 0; left--) result = random.pick(mutations)(result, random, material);
  return result.subarray(0, material.bytesMax);
}
