// Durations and times as people write them in YAML.

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Pattern of a duration for JSON Schemas: `90s`, `1h30m`, `500ms`. */
export const durationPattern = "^([0-9]{1,9}(ms|s|m|h|d))+$";

/** A hundred years: what is added to a time leaves a time. */
const durationMaxMs = 36_525 * 86_400_000;

/** Milliseconds of a duration that matches `durationPattern`; one beyond a hundred years is a hundred years. */
export function parseDuration(text: string): number {
  let total = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+)(ms|s|m|h|d)/g))
    total += Number(amount) * (unitMs[unit ?? ""] ?? 0);
  return Math.min(total, durationMaxMs);
}

/**
 * Whether a text of the form `date-time` is a time that there is. A leap second, or an offset without its minutes, keeps to the form; no
 * time can be made of it, and what cannot be compared with now would neither last nor end.
 */
export function isTime(text: string): boolean {
  return !Number.isNaN(Date.parse(text));
}

/** `850 ms`, `12.3 s`, `4 min`: for people, not for parsing. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < 3_600_000) return `${Math.round(ms / 60_000)} min`;
  return `${(ms / 3_600_000).toFixed(1)} h`;
}

let latest = { ms: 0, text: new Date(0).toISOString() };

/** ISO 8601 in UTC with milliseconds, as every record and answer has it. Keeps the latest: one decision asks for it again and again. */
export function isoTime(ms: number): string {
  if (ms !== latest.ms) latest = { ms, text: new Date(ms).toISOString() };
  return latest.text;
}
