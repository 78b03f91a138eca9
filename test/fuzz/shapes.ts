// Shapes that hostile inputs are made of.
import { yamlLimits } from "../../reconciler/model/yaml-limits.ts";

/** An input with the name of its file, without a number. */
export type Named = readonly [string, string | Buffer];

export const { charactersMax } = yamlLimits;

export function lines(many: number, line: (at: number) => string): string {
  return Array.from({ length: many }, (_, at) => line(at)).join("");
}

/** Lines up to a size, by default all that the YAML loader looks at. */
export function fill(line: (at: number) => string, characters: number = charactersMax): string {
  const parts: string[] = [];
  let left = characters;
  for (let at = 0; ; at++) {
    const next = line(at);
    if (next.length > left) return parts.join("");
    left -= next.length;
    parts.push(next);
  }
}

/** One input for each number. */
export function numbered(name: string, numbers: readonly number[], make: (number: number) => string): Named[] {
  return numbers.map((number) => [`${name}-${number}`, make(number)]);
}

/** A valid text cut off at evenly spread places. */
export function prefixes(name: string, text: string, many: number): Named[] {
  return Array.from({ length: many }, (_, at) => {
    const end = Math.floor(((at + 1) * text.length) / (many + 1));
    return [`${name}-${end}`, text.slice(0, end)];
  });
}

export const nestedJson = (open: string, depth: number, close: string): string =>
  open.repeat(depth) + close.repeat(depth);
