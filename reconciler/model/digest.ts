// A short digest for identities inside the model (steps, definitions, idempotency keys). Not for secrets or signatures.
import { sortKeys } from "./record.ts";

/**
 * 64-bit FNV-1a of the canonical JSON of a value, as 16 hexadecimal digits.
 * Source: Fowler, Noll, Vo, https://datatracker.ietf.org/doc/html/draft-eastlake-fnv
 */
export function digest(value: unknown): string {
  const text = JSON.stringify(sortKeys(value)) ?? "undefined";
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(text)) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return hash.toString(16).padStart(16, "0");
}
