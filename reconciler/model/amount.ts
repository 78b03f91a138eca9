// Amounts that limits are written in: a count of hosts, or a share of them.

/** `4`, `10%`, `2/3`. A count is a share of nothing: `of` is null. */
export interface Amount {
  readonly value: number;
  /** What the value is a share of: 100 for percent, the denominator for a fraction, null for a count. */
  readonly of: number | null;
}

/** Pattern of an amount written as text, for JSON Schemas. */
export const amountPattern = "^([0-9]{1,7}|[0-9]{1,3}%|[0-9]{1,4}/[1-9][0-9]{0,3})$";

export function count(value: number): Amount {
  return { value, of: null };
}

export function percent(value: number): Amount {
  return { value, of: 100 };
}

/** An amount that matches `amountPattern`, or a plain number. */
export function parseAmount(raw: string | number): Amount {
  if (typeof raw === "number") return count(raw);
  if (raw.endsWith("%")) return percent(Number(raw.slice(0, -1)));
  const [value = "0", of] = raw.split("/");
  return { value: Number(value), of: of === undefined ? null : Number(of) };
}

/** At most so many of `total`: shares round down, because a limit never rounds up. */
export function atMost({ value, of }: Amount, total: number): number {
  return of === null ? value : Math.floor((total * value) / of);
}

/** The smallest of several limits over `total`, but at least 1: a limit that lets nothing through would stop all work for ever. */
export function limitOf(amounts: readonly Amount[], total: number): number {
  return Math.max(1, Math.min(...amounts.map((amount) => atMost(amount, total))));
}

/** At least so many of `total`: shares round up, because a quorum never rounds down. */
export function atLeast({ value, of }: Amount, total: number): number {
  return of === null ? value : Math.ceil((total * value) / of);
}

export function amountText({ value, of }: Amount): string {
  return of === null ? String(value) : of === 100 ? `${value} %` : `${value}/${of}`;
}
