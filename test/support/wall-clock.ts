// Windows the slow way: every half minute is looked at, on clocks that Intl reads. Knows nothing of how the planner works them out.
import type { Settings, Window } from "../../reconciler/model/types.ts";

const gridMs = 30_000;
const offsets = new Map<string, number>();
const formats = new Map<string, Intl.DateTimeFormat>();

/** By how much the clocks of a zone are before UTC. They change on quarters of an hour. */
function offsetAt(zone: string, at: number): number {
  const quarter = Math.floor(at / 900_000);
  const key = `${zone} ${quarter}`;
  const known = offsets.get(key);
  if (known !== undefined) return known;
  const format =
    formats.get(zone) ??
    new Intl.DateTimeFormat("en-GB", { timeZone: zone, timeZoneName: "longOffset", hour: "2-digit" });
  formats.set(zone, format);
  const name = format.formatToParts(quarter * 900_000).find(({ type }) => type === "timeZoneName")?.value ?? "";
  const [, sign = "+", hours = "0", minutes = "0"] = /GMT([+-])(\d+):(\d+)/.exec(name) ?? [];
  const offset = (sign === "-" ? -1 : 1) * (Number(hours) * 60 + Number(minutes)) * 60_000;
  offsets.set(key, offset);
  return offset;
}

/** What the clocks of a zone show, as if they showed UTC. */
const wallAt = (zone: string, at: number): number => at + offsetAt(zone, at);

type Field = (value: number) => boolean;

/** `*`, `5`, `1-5`, `1,3`, and a `/N` behind the first or the third. */
function parseField(text: string): Field {
  const parts = text.split(",").map((part): Field => {
    const [range = "", step = "1"] = part.split("/");
    const [low = 0, high = range === "*" ? 99 : low] = range === "*" ? [0] : range.split("-").map(Number);
    return (value) => value >= low && value <= high && (value - (range === "*" ? 0 : low)) % Number(step) === 0;
  });
  return (value) => parts.some((part) => part(value));
}

/** Whether a window by cron begins at an instant. */
function startsOf(cron: string, zone: string): (at: number) => boolean {
  const fields = cron.split(" ");
  const [second = "", minute = "", hour = "", day = "", month = "", weekday = ""] =
    fields.length === 6 ? fields : ["0", ...fields];
  const isFixed = [second, minute, hour].every((field) => /^\d+$/.test(field));
  const [isSecond, isMinute, isHour, isDay, isMonth, isWeekday] = [second, minute, hour, day, month, weekday].map(
    parseField,
  ) as [Field, Field, Field, Field, Field, Field];
  const matches = (wall: number): boolean => {
    const date = new Date(wall);
    const [onDay, onWeekday] = [isDay(date.getUTCDate()), isWeekday(date.getUTCDay())];
    const isToday = day !== "*" && weekday !== "*" ? onDay || onWeekday : onDay && onWeekday;
    return (
      isSecond(date.getUTCSeconds()) &&
      isMinute(date.getUTCMinutes()) &&
      isHour(date.getUTCHours()) &&
      isMonth(date.getUTCMonth() + 1) &&
      isToday
    );
  };
  return (at) => {
    const wall = wallAt(zone, at);
    if (!isFixed) return matches(wall);
    // Clocks that were set back have shown this before; clocks that were set forward have left something out.
    if ([1_800_000, 3_600_000].some((ms) => wallAt(zone, at - ms) === wall)) return false;
    for (let left = wallAt(zone, at - gridMs) + gridMs; left < wall; left += gridMs) if (matches(left)) return true;
    return matches(wall);
  };
}

/** Whether a window holds at an instant. Starts are on whole half minutes. */
export function holdsAt({ cron, zone, lengthMs }: Window, holidays: Settings["holidays"], at: number): boolean {
  if (cron === null) return holidays.has(new Date(wallAt(zone, at)).toISOString().slice(0, 10));
  const isStart = startsOf(cron, zone);
  for (let start = Math.floor(at / gridMs) * gridMs; start > at - lengthMs; start -= gridMs)
    if (isStart(start)) return true;
  return false;
}
