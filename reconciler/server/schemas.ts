// Shapes of bodies that several routes share.
import type { JsonSchema } from "../model/schemas.ts";

/** One line of text, without control characters. */
export function line(maxLength: number): JsonSchema {
  return { type: "string", minLength: 1, maxLength, pattern: "^[^\\u0000-\\u001f\\u007f]*$" };
}

/** Who says something, as it is recorded. */
export const person: JsonSchema = line(100);
