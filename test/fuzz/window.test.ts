// Cron and windows: any text ends, the next change is ahead, and schedules are what looking at every minute says.
import * as fc from "fast-check";
import * as assert from "uvu/assert";
import type { Window } from "../../reconciler/model/types.ts";
import { occurrencesOf } from "../../reconciler/plan/occurrences.ts";
import { windowError } from "../../reconciler/plan/windows.ts";
import { suite } from "../support/suite.ts";
import { oddText, runs } from "./runs.ts";
import { windowTarget } from "./target-window.ts";

const test = suite("fuzz window");
const words = [
  "*",
  "*/5",
  "0",
  "1-5",
  "59",
  "L",
  "W",
  "#",
  "?",
  ",",
  "-",
  "/",
  " ",
  "\n",
  "MON",
  "JAN",
  "UTC",
  "Europe/Berlin",
  "6h",
  "1d",
  "30m",
  "0 22 * * *\nUTC\n6h\n",
];

test("any lines are refused with words, or make windows whose next change is ahead", () => {
  fc.assert(
    fc.property(oddText(words, 16), (text) => windowTarget(Buffer.from(text))),
    runs(300),
  );
});

interface Field {
  readonly text: string;
  readonly values: ReadonlySet<number>;
}

/** A field with the values that it stands for. Nothing here knows how croner reads it. */
const field = (low: number, high: number): fc.Arbitrary<Field> => {
  const between = (from: number, to: number, step = 1): number[] =>
    Array.from({ length: Math.floor((to - from) / step) + 1 }, (_, at) => from + at * step);
  const number = fc.integer({ min: low, max: high });
  const part = fc.oneof(
    { weight: 3, arbitrary: number.map((value) => ({ text: String(value), values: [value] })) },
    { weight: 1, arbitrary: fc.constant({ text: "*", values: between(low, high) }) },
    {
      weight: 1,
      arbitrary: fc
        .integer({ min: 2, max: high })
        .map((step) => ({ text: `*/${step}`, values: between(low, high, step) })),
    },
    {
      weight: 1,
      arbitrary: fc.tuple(number, number).map(([a, b]) => ({
        text: `${Math.min(a, b)}-${Math.max(a, b)}`,
        values: between(Math.min(a, b), Math.max(a, b)),
      })),
    },
  );
  return fc
    .array(part, { minLength: 1, maxLength: 2 })
    .map((parts) =>
      parts.some(({ text }) => text === "*") ? parts.filter(({ text }) => text === "*").slice(0, 1) : parts,
    )
    .map((parts) => ({
      text: parts.map(({ text }) => text).join(","),
      values: new Set(parts.flatMap(({ values }) => values)),
    }));
};

const minuteMs = 60_000;
const schedule = fc.tuple(field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 6));
const start = Date.UTC(2026, 0, 1);
const instant = fc.integer({ min: 0, max: 366 * 1440 }).map((minutes) => start + minutes * minuteMs);

/** Whether a window begins at a minute of UTC: day and weekday are one or the other, where both are given. */
function beginsAt([minute, hour, day, month, weekday]: readonly Field[], at: number): boolean {
  const date = new Date(at);
  const has = (of: Field | undefined, value: number): boolean => of?.values.has(value) === true;
  const isDay = has(day, date.getUTCDate());
  const isWeekday = has(weekday, date.getUTCDay());
  const both = day?.text !== "*" && weekday?.text !== "*";
  const isToday = both ? isDay || isWeekday : isDay && isWeekday;
  return (
    isToday && has(month, date.getUTCMonth() + 1) && has(hour, date.getUTCHours()) && has(minute, date.getUTCMinutes())
  );
}

test("a schedule begins at the minutes at which looking at every minute says so, and at no other", () => {
  const days = 4;
  fc.assert(
    fc.property(schedule, instant, (fields, from) => {
      const cron = fields.map(({ text }) => text).join(" ");
      const why = windowError(cron, "UTC");
      if (why !== null) {
        assert.match(why, "the time never comes", cron);
        return;
      }
      const window: Window = { kind: "allow", cron, lengthMs: 1, zone: "UTC", select: null, covers: "all", reason: "" };
      const times = occurrencesOf(window, new Map());
      const end = from + days * 1440 * minuteMs;
      const wanted: number[] = [];
      for (let at = from; at <= end; at += minuteMs) if (beginsAt(fields, at)) wanted.push(at);
      const found: number[] = [];
      for (let at = times.next(from - 1); at !== null && at <= end; at = times.next(at)) found.push(at);
      assert.equal(found, wanted, cron);
      const last = times.last(end)?.startMs ?? null;
      if (wanted.length > 0) assert.is(last, wanted.at(-1), cron);
      else assert.ok(last === null || last < from, cron);
    }),
    runs(120),
  );
});

test.run();
