// Windows: tables of instants on the clocks of several zones, and the planner's answer against the slow one.
import * as fc from "fast-check";
import * as assert from "uvu/assert";
import { createLoader } from "../../reconciler/cli/loader.ts";
import { GuardCompiler } from "../../reconciler/model/guard.ts";
import { parseHost, parseSettings } from "../../reconciler/model/subject.ts";
import type { Host, Settings } from "../../reconciler/model/types.ts";
import { type WindowVerdict, windowError, windowFor } from "../../reconciler/plan/windows.ts";
import { suite } from "../support/suite.ts";
import { holdsAt } from "../support/wall-clock.ts";
import { sources } from "../support/world.ts";

const test = suite("windows");
const guards = new GuardCompiler(["web"]);
const host = (more: object = {}): Host => parseHost("", { host: "a", transport: "local", ...more });
const settingsOf = (windows: readonly object[], holidays: Record<string, string> = {}): Settings =>
  parseSettings({ windows, holidays });

/** The verdict in one line: `open until TIME`, or `TIME message`. */
function shown(verdict: WindowVerdict): string {
  const time = (at: number | null): string => (at === null ? "never" : new Date(at).toISOString().slice(0, 16));
  return verdict.open ? `open until ${time(verdict.until)}` : `${time(verdict.at)} ${verdict.message}`;
}

interface Asked {
  readonly what?: "changes" | "healing";
  readonly of?: Host;
}

function ask(settings: Settings, now: string, { what = "changes", of = host() }: Asked = {}): string {
  return shown(windowFor(settings, guards, of, { now: Date.parse(now), what }));
}

const nights = { allow: { cron: "0 22 * * *", for: "6h" }, reason: "nights" };
const berlinNights = { allow: { cron: "0 22 * * *", for: "6h", zone: "Europe/Berlin" } };
const freeze = { deny: { holidays: true, zone: "Europe/Berlin" }, reason: "Christmas freeze" };
const christmas = { "2026-12-25": "Christmas", "2026-12-26": "Christmas" };
const denyHour = (cron: string, more: object = {}): object => ({ deny: { cron, for: "1h" }, ...more });

const cases: readonly [string, readonly object[], Record<string, string>, string, string][] = [
  ["no window at all", [], christmas, "2026-12-25T12:00Z", "open until never"],
  ["inside one that allows", [nights], {}, "2026-01-01T22:00Z", "open until 2026-01-02T04:00"],
  [
    "at the end of one that allows",
    [nights],
    {},
    "2026-01-02T04:00Z",
    "2026-01-02T22:00 outside every window that allows changes; the next one opens at 2026-01-02T22:00:00.000Z: nights",
  ],
  ["a millisecond before the end", [nights], {}, "2026-01-02T03:59:59.999Z", "open until 2026-01-02T04:00"],
  ["the clock of its zone, in winter", [berlinNights], {}, "2026-01-01T21:30Z", "open until 2026-01-02T03:00"],
  ["the clock of its zone, in summer", [berlinNights], {}, "2026-07-01T20:30Z", "open until 2026-07-02T02:00"],
  [
    "a length is one of time, not of the clock: over the change in spring",
    [berlinNights],
    {},
    "2026-03-29T00:30Z",
    "open until 2026-03-29T03:00",
  ],
  [
    "a start that the clocks leave out comes when they have been set",
    [{ allow: { cron: "30 2 * * *", for: "1h", zone: "Europe/Berlin" } }],
    {},
    "2026-03-29T01:00Z",
    "open until 2026-03-29T02:00",
  ],
  [
    "a start that the clocks show twice counts once",
    [{ allow: { cron: "30 2 * * *", for: "30m", zone: "Europe/Berlin" } }],
    {},
    "2026-10-25T01:40Z",
    "2026-10-26T01:30 outside every window that allows changes; the next one opens at 2026-10-26T01:30:00.000Z",
  ],
  [
    "six fields begin with seconds",
    [{ deny: { cron: "30 0 12 * * *", for: "30s" } }],
    {},
    "2026-01-01T12:00:30Z",
    "2026-01-01T12:01 changes are denied until 2026-01-01T12:01:00.000Z",
  ],
  ["before its second", [denyHour("30 0 12 * * *")], {}, "2026-01-01T12:00:29.999Z", "open until 2026-01-01T12:00"],
  [
    "longer than its period: what began earlier still holds",
    [{ deny: { cron: "0 * * * 1", for: "3h" }, reason: "Mondays" }],
    {},
    "2026-01-06T01:59Z",
    "2026-01-06T02:00 changes are denied until 2026-01-06T02:00:00.000Z: Mondays",
  ],
  [
    "an end is looked for through what overlaps and adjoins",
    [denyHour("0 12-14 * * *", { reason: "lunch" }), denyHour("30 14 * * *", { reason: "coffee" })],
    {},
    "2026-01-01T12:10Z",
    "2026-01-01T15:30 changes are denied until 2026-01-01T15:30:00.000Z: coffee",
  ],
  [
    "of two with one end, the first gives the reason",
    [denyHour("0 12 * * *", { reason: "one" }), { deny: { cron: "30 12 * * *", for: "30m" }, reason: "two" }],
    {},
    "2026-01-01T12:40Z",
    "2026-01-01T13:00 changes are denied until 2026-01-01T13:00:00.000Z: one",
  ],
  [
    "no end that could be found",
    [{ deny: { cron: "0 0 * * *", for: "24h" }, reason: "for good" }],
    {},
    "2026-01-01T12:00Z",
    "2027-02-06T00:00 changes are denied: for good",
  ],
  [
    "windows that allow without a gap",
    [{ allow: { cron: "0 0 * * *", for: "1d" } }],
    {},
    "2026-01-01T12:00Z",
    "open until never",
  ],
  [
    "deny wins over allow",
    [nights, { ...denyHour("0 23 * * *"), reason: "backup" }],
    {},
    "2026-01-01T23:30Z",
    "2026-01-02T00:00 changes are denied until 2026-01-02T00:00:00.000Z: backup",
  ],
  [
    "an open one closes where deny begins",
    [nights, denyHour("0 23 * * *")],
    {},
    "2026-01-01T22:30Z",
    "open until 2026-01-01T23:00",
  ],
  [
    "after deny comes the wait for allow",
    [nights, { deny: { cron: "0 3 * * *", for: "2h" }, reason: "backup" }],
    {},
    "2026-01-01T03:30Z",
    "2026-01-01T22:00 changes are denied until 2026-01-01T05:00:00.000Z: backup",
  ],
  [
    "what opens while it is denied is not named",
    [nights, { deny: { cron: "0 20 * * *", for: "3h" } }],
    {},
    "2026-01-01T19:00Z",
    "2026-01-01T23:00 outside every window that allows changes; the next one opens at 2026-01-01T23:00:00.000Z: nights",
  ],
  [
    "one that allows on holidays, of which there are none",
    [{ allow: { holidays: true } }],
    {},
    "2026-01-01T19:00Z",
    "never outside every window that allows changes, and none is to come",
  ],
  [
    "one of no length never holds",
    [{ deny: { cron: "* * * * *", for: "0s" } }],
    {},
    "2026-01-01T19:00Z",
    "open until never",
  ],
  [
    "one that allows, of no length",
    [{ allow: { cron: "* * * * *", for: "0s" } }],
    {},
    "2026-01-01T19:00Z",
    "never outside every window that allows changes, and none is to come",
  ],
  ["the evening before a holiday", [freeze], christmas, "2026-12-24T22:59Z", "open until 2026-12-24T23:00"],
  [
    "a holiday, to the end of the one after it",
    [freeze],
    christmas,
    "2026-12-24T23:00Z",
    "2026-12-26T23:00 changes are denied until 2026-12-26T23:00:00.000Z: Christmas freeze (holiday: Christmas)",
  ],
  ["the end of a holiday", [freeze], christmas, "2026-12-26T23:00Z", "open until never"],
  [
    "a holiday of 23 hours, without a name",
    [{ ...freeze, reason: "" }],
    { "2026-03-29": "" },
    "2026-03-29T21:59Z",
    "2026-03-29T22:00 changes are denied until 2026-03-29T22:00:00.000Z (holiday: 2026-03-29)",
  ],
  ["a holiday of 23 hours has ended", [freeze], { "2026-03-29": "x" }, "2026-03-29T22:00Z", "open until never"],
  [
    "a holiday of 25 hours",
    [{ deny: { holidays: true, zone: "Europe/Berlin" } }],
    { "2026-10-25": "x" },
    "2026-10-24T22:00Z",
    "2026-10-25T23:00 changes are denied until 2026-10-25T23:00:00.000Z (holiday: x)",
  ],
  [
    "a holiday whose midnight the clocks leave out",
    [{ deny: { holidays: true, zone: "America/Santiago" } }],
    { "2026-09-06": "x" },
    "2026-09-06T04:00Z",
    "2026-09-07T03:00 changes are denied until 2026-09-07T03:00:00.000Z (holiday: x)",
  ],
];

for (const [title, windows, holidays, now, wanted] of cases)
  test(`${title}: ${wanted.slice(0, 60)}`, () => assert.is(ask(settingsOf(windows, holidays), now), wanted));

test("covers: changes leaves healing alone, covers: all does not", () => {
  const now = "2026-01-01T12:30Z";
  const changes = settingsOf([denyHour("0 12 * * *"), nights]);
  assert.is(ask(changes, now, { what: "healing" }), "open until never");
  const all = settingsOf([
    denyHour("0 12 * * *", { covers: "all" }),
    { ...nights, covers: "all" },
    denyHour("30 12 * * *"),
  ]);
  assert.is(ask(all, now, { what: "healing" }), "2026-01-01T22:00 healing is denied until 2026-01-01T13:00:00.000Z");
  assert.match(
    ask(all, "2026-01-01T13:00Z", { what: "healing" }),
    "outside every window that allows healing; the next",
  );
  assert.match(ask(all, now), "changes are denied until 2026-01-01T13:30");
});

test("select says which hosts; one that cannot be evaluated, or does not compile, selects nobody", () => {
  const at = (select: string, of: Host): boolean =>
    ask(settingsOf([denyHour("0 12 * * *", { select })]), "2026-01-01T12:30Z", { of }).startsWith("open");
  const east = host({ region: "east", labels: { tier: "web" } });
  assert.is(at('host.region == "east"', east), false);
  assert.is(at('host.region == "west"', east), true);
  assert.is(at('host.labels.tier == "web"', host()), true);
  assert.is(at("host.nonsense", east), true);
  assert.is(at("group.web.all(h, true)", east), true);
  assert.is(at("host.name", east), true);
});

test("a window that allows others closes nothing for a host that it does not select", () => {
  const settings = settingsOf([{ ...nights, select: 'host.region == "east"' }]);
  assert.is(ask(settings, "2026-01-01T12:00Z"), "open until never");
  assert.match(ask(settings, "2026-01-01T12:00Z", { of: host({ region: "east" }) }), "outside every window");
});

test("the message stays the same from the beginning of a stretch to its end", () => {
  const settings = settingsOf([freeze, nights, denyHour("30 9-11 * * *")], christmas);
  for (const [from, to] of [
    ["2026-12-24T23:00Z", "2026-12-26T23:00Z"],
    ["2026-12-28T04:00Z", "2026-12-28T09:30Z"],
    ["2026-12-28T09:30Z", "2026-12-28T12:30Z"],
  ] as const) {
    const seen = new Set<string>();
    for (let at = Date.parse(from); at < Date.parse(to); at += 7 * 60_000)
      seen.add(ask(settings, new Date(at).toISOString()));
    assert.is(seen.size, 1, [...seen].join("\n"));
  }
});

test("windowError tells what is no expression, no zone, and no time that ever comes", () => {
  for (const [cron, zone] of [
    ["0 22 * * 1-5", "Europe/Berlin"],
    ["30 0 22 * * *", "UTC"],
    ["0 0 L * *", "America/New_York"],
    ["0 0 29 2 *", "Asia/Kolkata"],
  ] as const)
    assert.is(windowError(cron, zone), null, cron);
  for (const [cron, zone, wanted] of [
    ["61 * * * *", "UTC", "not a cron expression: 61 * * * * (Invalid value for minute: 61)"],
    ["* * * * * * *", "UTC", "not a cron expression"],
    ["@daily", "UTC", "not a cron expression"],
    ["2026-01-01T00:00:00", "UTC", "not a cron expression"],
    ["", "UTC", "not a cron expression"],
    ["0 0 30 2 *", "UTC", "the time never comes: 0 0 30 2 *"],
    ["0 0 * * *", "Europe/Berlim", "no time zone is called Europe/Berlim"],
    ["0 0 * * *", "", "no time zone is called "],
  ] as const)
    assert.match(windowError(cron, zone) ?? "", wanted);
});

test("check knows expressions and zones, also of windows on holidays", () => {
  const found = (time: string): string[] =>
    createLoader()
      .load(sources({ "stateward.yaml": `windows:\n  - deny:\n${time}` }))
      .problems.map(({ code, line, message }) => `${code} ${line} ${message}`);
  assert.equal(found("      cron: 0 22 * * *\n      for: 1h\n      zone: Europe/Berlin\n"), []);
  assert.match(found("      cron: 0 25 * * *\n      for: 1h\n")[0] ?? "", "SW105 3 not a cron expression: 0 25 * * *");
  assert.equal(found("      for: 1h\n      cron: 0 2 * * *\n      zone: Mars\n"), [
    "SW105 5 no time zone is called Mars",
  ]);
  assert.equal(found("      holidays: true\n      zone: Mars\n"), ["SW105 4 no time zone is called Mars"]);
});

test("a hundred thousand hosts are asked in no time", () => {
  const windows = [nights, freeze, denyHour("0 12 * * *", { select: 'host.region == "east"' }), berlinNights];
  const settings = settingsOf(windows, christmas);
  const hosts = Array.from({ length: 100_000 }, (_, index) =>
    host({ host: `h${index}`, region: index % 2 ? "east" : "west" }),
  );
  const pass = (now: number): number => {
    const began = performance.now();
    for (const [index, of] of hosts.entries())
      windowFor(settings, guards, of, { now: now + (index % 60_000), what: "changes" });
    return performance.now() - began;
  };
  const [first, second] = [pass(Date.UTC(2026, 0, 1, 12)), pass(Date.UTC(2026, 0, 1, 12, 1))];
  assert.ok(first < 10_000 && second < 2000, `${Math.round(first)} ms, then ${Math.round(second)} ms`);
});

const zones = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Asia/Kolkata"];
/** Days on which clocks of these zones change, and some on which none do. */
const days = [
  "2026-03-08",
  "2026-03-29",
  "2026-04-05",
  "2026-09-06",
  "2026-10-04",
  "2026-10-25",
  "2026-11-01",
  "2026-06-15",
];
const selects = [null, 'host.region == "east"', 'host.region == "west"', "host.vars.missing == '1'"];
const number = (max: number): fc.Arbitrary<string> => fc.integer({ min: 0, max }).map(String);
const field = (max: number): fc.Arbitrary<string> =>
  fc.oneof(
    { weight: 5, arbitrary: number(max) },
    { weight: 1, arbitrary: fc.constantFrom("*", "*/7", "1-3", "2,0", "0-20/5") },
  );
const cron = fc
  .tuple(
    fc.constantFrom("", "0 ", "30 "),
    field(59),
    fc.oneof(fc.constantFrom("0", "1", "2", "3"), field(23)),
    fc.constantFrom("* * *", "* * 0", "* * 1-5", "1-20 * *", "29 * 0", "* 3,10 *"),
  )
  .map(([second, minute, hour, rest]) => `${second}${minute} ${hour} ${rest}`);
const length = fc.constantFrom("30s", "7m", "59m30s", "1h", "3h", "23h", "1d", "30h");
const time = fc.record({ zone: fc.constantFrom(...zones), cron, for: length });
const holidayTime = fc.record({ zone: fc.constantFrom(...zones), holidays: fc.constant(true) });
const anyWindow = fc
  .record({
    kind: fc.constantFrom("allow", "deny"),
    time: fc.oneof({ weight: 4, arbitrary: time }, { weight: 1, arbitrary: holidayTime }),
    select: fc.constantFrom(...selects),
    covers: fc.constantFrom("changes", "all"),
  })
  .map(({ kind, time, select, covers }) => ({ [kind]: time, covers, ...(select === null ? {} : { select }) }));
const instant = fc
  .tuple(fc.constantFrom(...days), fc.integer({ min: -48 * 120, max: 48 * 120 }), fc.constantFrom(0, 1, 29_999))
  .map(([day, halfMinutes, ms]) => Date.parse(`${day}T00:00Z`) + halfMinutes * 30_000 + ms);

/** What the windows say, looked at one by one. */
function slowly(settings: Settings, at: number, what: string): boolean {
  const concern = settings.windows.filter(
    ({ covers, select }) => (covers === "all" || what === "changes") && (select === null || select === selects[1]),
  );
  const holding = concern.filter((window) => holdsAt(window, settings.holidays, at));
  if (holding.some(({ kind }) => kind === "deny")) return false;
  return concern.every(({ kind }) => kind === "deny") || holding.length > 0;
}

test("the verdict is that of looking at every half minute, at the instant, up to its end and at its end; and always the same (R1)", () => {
  const order = fc.record({
    windows: fc.array(anyWindow, { maxLength: 4 }),
    dates: fc.uniqueArray(fc.constantFrom(...days, "2026-03-28", "2026-10-26"), { maxLength: 4 }),
    instants: fc.array(instant, { minLength: 1, maxLength: 4 }),
    what: fc.constantFrom("changes", "healing"),
    share: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  });
  const east = host({ region: "east" });
  fc.assert(
    fc.property(order, ({ windows, dates, instants, what, share }) => {
      const holidays = Object.fromEntries(dates.map((date) => [date, `day ${date}`]));
      const settings = settingsOf(windows, holidays);
      for (const now of instants) {
        const verdict = windowFor(settings, guards, east, { now, what });
        const fresh = windowFor(settingsOf(windows, holidays), guards, east, { now, what });
        assert.equal(verdict, fresh, "what was asked before changes nothing");
        assert.is(verdict.open, slowly(settings, now, what), "now");
        const end = verdict.open ? verdict.until : verdict.at;
        const between = now + Math.floor(share * Math.min((end ?? Number.POSITIVE_INFINITY) - now, 3 * 86_400_000));
        // What is open for ever may close later than anybody looked.
        if (end !== null || !verdict.open) assert.is(slowly(settings, between, what), verdict.open, "between");
        if (end === null) continue;
        // Looking has an end as well: far away, it is only not before, and whoever asks then is told of a later time.
        const later = verdict.open ? null : windowFor(settings, guards, east, { now: end, what });
        const isFurther = end - now > 86_400_000 && later?.open === false && (later.at ?? end) > end;
        if (!isFurther) assert.is(slowly(settings, end, what), !verdict.open, "at the end");
      }
    }),
    { numRuns: 300 },
  );
});

test.run();
