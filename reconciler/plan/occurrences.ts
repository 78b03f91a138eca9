// When a window holds, whichever host asks: its starts by cron, or whole holidays. Pure: croner is always given its reference.
import { Cron } from "croner";
import type { Settings, Window } from "../model/types.ts";

/** One time in which a window holds: from its start, and at its end no longer. Milliseconds since the epoch. */
export interface Occurrence {
  readonly startMs: number;
  readonly endMs: number;
  /** Name of the holiday, or its date where it has none; null for a window by cron. */
  readonly holiday: string | null;
}

/** All times in which a window holds, of which only those around an instant are ever worked out. */
export interface Occurrences {
  /** The one that began last, at `at` or before, whether it has ended or not. All of a window are of one length, or do not overlap: it ends last. */
  last(at: number): Occurrence | null;
  /** Start of the first one that begins after `at`. */
  next(at: number): number | null;
}

/** A cron expression with at most one start a second. Throws croner's error where the text is none, or the zone. */
export function compileCron(cron: string, zone: string): Cron {
  return new Cron(cron, { timezone: zone, mode: "5-or-6-parts" });
}

/** The times of a window that `windowError` has found nothing wrong with. */
export function occurrencesOf(window: Window, holidays: Settings["holidays"]): Occurrences {
  if (window.cron === null) return new HolidayOccurrences(window.zone, holidays);
  return window.lengthMs > 0 ? new CronOccurrences({ ...window, cron: window.cron }) : never;
}

const never: Occurrences = { last: () => null, next: () => null };

/** Sums of such lengths stay dates. What a longer window would add, its next start does: hardly a cron expression has none in ten years. */
const lengthMaxMs = 10 * 366 * 86_400_000;

/**
 * Starts on local time. Where clocks change, croner does as Vixie cron does: a start at one fixed time of the day that is left out comes
 * when the clocks have been set, one that comes twice counts the first time; starts at intervals follow the clock on the wall.
 */
class CronOccurrences implements Occurrences {
  private readonly cron: Cron;
  private readonly lengthMs: number;

  constructor({ cron, zone, lengthMs }: Pick<Window, "zone" | "lengthMs"> & { readonly cron: string }) {
    this.cron = compileCron(cron, zone);
    this.lengthMs = Math.min(lengthMs, lengthMaxMs);
  }

  last(at: number): Occurrence | null {
    // croner looks before its reference; starts are whole seconds.
    const startMs = this.cron.previousRuns(1, new Date(at + 1))[0]?.getTime();
    return startMs === undefined ? null : { startMs, endMs: startMs + this.lengthMs, holiday: null };
  }

  next(at: number): number | null {
    return this.cron.nextRun(new Date(at))?.getTime() ?? null;
  }
}

/** Local days, which have 23 or 25 hours where clocks change. */
class HolidayOccurrences implements Occurrences {
  private readonly holidays: Settings["holidays"];
  /** In order. */
  private readonly dates: readonly string[];
  private readonly dateOf: (at: number) => string;
  private readonly starts = new Map<string, number>();

  constructor(zone: string, holidays: Settings["holidays"]) {
    this.holidays = holidays;
    this.dates = [...holidays.keys()].toSorted();
    this.dateOf = localDates(zone);
  }

  last(at: number): Occurrence | null {
    const date = this.dates[this.countUntil(at) - 1];
    if (date === undefined) return null;
    return {
      startMs: this.startOf(date),
      endMs: this.startOf(dayAfter(date)),
      holiday: this.holidays.get(date) || date,
    };
  }

  next(at: number): number | null {
    const date = this.dates[this.countUntil(at)];
    return date === undefined ? null : this.startOf(date);
  }

  /** How many of the days have begun. */
  private countUntil(at: number): number {
    return firstIn(0, this.dates.length, (index) => this.startOf(this.dates[index] ?? "") > at);
  }

  /** The first instant of a local day: midnight, or later where clocks leave midnight out. */
  private startOf(date: string): number {
    const known = this.starts.get(date);
    if (known !== undefined) return known;
    // Clocks differ from UTC by at most 14 hours, in whole seconds.
    const utc = Date.parse(`${date}T00:00:00Z`) / 1000;
    const start = 1000 * firstIn(utc - 15 * 3600, utc + 15 * 3600, (second) => this.dateOf(second * 1000) >= date);
    this.starts.set(date, start);
    return start;
  }
}

/** The first whole number from `low` on for which something holds that, once it holds, goes on to hold; `high` if none below it does. */
function firstIn(low: number, high: number, holds: (value: number) => boolean): number {
  let [from, to] = [low, high];
  while (from < to) {
    const middle = Math.floor((from + to) / 2);
    if (holds(middle)) to = middle;
    else from = middle + 1;
  }
  return from;
}

function dayAfter(date: string): string {
  return new Date(Date.parse(`${date}T00:00:00Z`) + 86_400_000).toISOString().slice(0, 10);
}

/** The date on the calendar of a zone, such as `2026-12-25`. */
function localDates(zone: string): (at: number) => string {
  const format = new Intl.DateTimeFormat("en-US", {
    timeZone: zone,
    calendar: "iso8601",
    numberingSystem: "latn",
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
  });
  return (at) => {
    const parts = Object.fromEntries(format.formatToParts(at).map(({ type, value }) => [type, value]));
    return `${(parts.year ?? "").padStart(4, "0")}-${parts.month}-${parts.day}`;
  };
}

/** A window with the times in which it holds. */
export interface Timed {
  readonly window: Window;
  readonly times: Occurrences;
}

/** A window in one of the times in which it holds. */
export interface Hold extends Occurrence {
  readonly window: Window;
}

/** A time without a gap in which windows hold. */
export interface Stretch {
  readonly endMs: number;
  /** False where it goes on for longer than was looked: `endMs` is then no end. */
  readonly isWhole: boolean;
  /** What ends last; where the end is not known, what holds at the beginning. */
  readonly by: Hold;
}

/** Occurrences that may still be looked at to find where a stretch ends, or the next one begins. */
export interface Steps {
  left: number;
}

/** With one a day that is more than a year. A step costs some 40 µs a window, so there are fewer where windows are many. */
export const newSteps = (timed: readonly Timed[]): Steps => ({ left: Math.min(400, Math.ceil(4000 / timed.length)) });

/** The time without a gap, from `at` on, in which at least one of the windows holds; null where none does at `at`. */
export function stretchFrom(timed: readonly Timed[], at: number, steps: Steps = newSteps(timed)): Stretch | null {
  const first = holdAt(timed, at);
  if (first === null) return null;
  let { endMs } = first;
  for (;;) {
    const following = holdAt(timed, endMs);
    // What ends last is asked for at the end: from wherever in the stretch one looks, it is the same.
    if (following === null) return { endMs, isWhole: true, by: holdAt(timed, endMs - 1) ?? first };
    if (steps.left-- <= 0) return { endMs, isWhole: false, by: first };
    endMs = following.endMs;
  }
}

/** Of what holds at an instant, what ends last; of several that do, that of the first window. */
export function holdAt(timed: readonly Timed[], at: number): Hold | null {
  let longest: Hold | null = null;
  for (const { window, times } of timed) {
    const occurrence = times.last(at);
    if (occurrence !== null && occurrence.endMs > Math.max(at, longest?.endMs ?? at))
      longest = { ...occurrence, window };
  }
  return longest;
}

/** When the next one begins of all of them; null if none does. */
export function nextStart(timed: readonly Timed[], at: number): number | null {
  const starts = timed.flatMap(({ times }) => times.next(at) ?? []);
  return starts.length === 0 ? null : Math.min(...starts);
}
