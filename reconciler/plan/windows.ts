// Windows: whether changes may be started on a host now, and if not, when that could be. Pure, and cheap for a whole fleet: what does not
// depend on the host is worked out once for all hosts that the same windows concern. Reads no clock; what is kept never changes an answer.
import { isoTime } from "../model/duration.ts";
import { messageOf } from "../model/failure.ts";
import type { GuardCompiler } from "../model/guard.ts";
import { staticValues } from "../model/guard-values.ts";
import type { Host, Settings } from "../model/types.ts";
import {
  compileCron,
  type Hold,
  holdAt,
  newSteps,
  nextStart,
  occurrencesOf,
  type Stretch,
  stretchFrom,
  type Timed,
} from "./occurrences.ts";

/**
 * `until`: when it closes, where that is known. `at`: nothing opens it before, so nobody need ask before; null if nothing ever does.
 * `message` is for people, and stays the same as long as its cause does. Times are milliseconds since the epoch.
 */
export type WindowVerdict =
  | { readonly open: true; readonly until: number | null }
  | { readonly open: false; readonly message: string; readonly at: number | null };

type What = "changes" | "healing";
type WindowSettings = Pick<Settings, "windows" | "holidays">;

/** Whether changes ("changes") or healing and remedies ("healing") may be started on this host now. */
export function windowFor(
  settings: WindowSettings,
  guards: GuardCompiler,
  host: Host,
  { now, what }: { readonly now: number; readonly what: What },
): WindowVerdict {
  if (settings.windows.length === 0) return alwaysOpen;
  return calendarOf(settings, guards).rulesFor(host)[what].verdict(now);
}

const alwaysOpen: WindowVerdict = { open: true, until: null };

/** Why a cron expression and zone are none, or null. */
export function windowError(cron: string, zone: string): string | null {
  try {
    Intl.DateTimeFormat("en-US", { timeZone: zone });
  } catch {
    return `no time zone is called ${zone}`;
  }
  // croner takes names such as @daily, and dates, as well.
  if (!/^(\S+ ){4,5}\S+$/.test(cron)) return `not a cron expression of five or six fields: ${cron}`;
  try {
    // The calendar repeats itself: what does not come from here on never does.
    return compileCron(cron, zone).nextRun(new Date(0)) === null ? `the time never comes: ${cron}` : null;
  } catch (error) {
    return `not a cron expression: ${cron} (${messageOf(error).replace(/^CronPattern: /, "")})`;
  }
}

const calendars = new WeakMap<WindowSettings["windows"], Calendar>();

function calendarOf({ windows, holidays }: WindowSettings, guards: GuardCompiler): Calendar {
  const known = calendars.get(windows);
  if (known?.holidays === holidays && known.guards === guards) return known;
  const calendar = new Calendar({ windows, holidays }, guards);
  calendars.set(windows, calendar);
  return calendar;
}

type RuleSet = Readonly<Record<What, Rules>>;

/** The windows of one commit's settings, and which of them concern which host. */
class Calendar {
  readonly holidays: Settings["holidays"];
  readonly guards: GuardCompiler;
  private readonly timed: readonly Timed[];
  private readonly ofHost = new WeakMap<Host, RuleSet>();
  /** Hosts of a fleet are concerned by few different sets of windows. */
  private readonly ofSet = new Map<string, RuleSet>();

  constructor({ windows, holidays }: WindowSettings, guards: GuardCompiler) {
    this.holidays = holidays;
    this.guards = guards;
    this.timed = windows.map((window) => ({ window, times: occurrencesOf(window, holidays) }));
  }

  rulesFor(host: Host): RuleSet {
    const known = this.ofHost.get(host);
    if (known !== undefined) return known;
    const selected = this.select(host);
    const key = selected.map((isSelected) => (isSelected ? "1" : "0")).join("");
    const rules = this.ofSet.get(key) ?? ruleSet(this.timed.filter((_, index) => selected[index]));
    this.ofSet.set(key, rules);
    this.ofHost.set(host, rules);
    return rules;
  }

  private select(host: Host): boolean[] {
    const values = staticValues(host);
    return this.timed.map(({ window: { select } }) => {
      if (select === null) return true;
      const compiled = this.guards.compile(select);
      if ("error" in compiled) return false;
      const result = compiled.guard.evaluate(values);
      return result.ok && result.value === true;
    });
  }
}

function ruleSet(timed: readonly Timed[]): RuleSet {
  const coverAll = timed.filter(({ window }) => window.covers === "all");
  return { changes: new Rules(timed, "changes"), healing: new Rules(coverAll, "healing") };
}

/** A verdict, and until when every other instant has the same one. */
interface Judgement {
  readonly verdict: WindowVerdict;
  readonly sameUntil: number;
}

/** From when nothing denies any more, and where windows allow, one of them does. */
interface Opening {
  /** Null if that never is. */
  readonly at: number | null;
  /** False where it is not before `at`, and nobody looked further. */
  readonly isKnown: boolean;
  readonly allowedBy: Hold | null;
}

const deniedText: Readonly<Record<What, string>> = { changes: "changes are denied", healing: "healing is denied" };

/** What the windows say that concern a host. */
class Rules {
  private readonly deny: readonly Timed[];
  private readonly allow: readonly Timed[];
  private readonly what: What;
  private known: (Judgement & { readonly from: number }) | null = null;

  constructor(timed: readonly Timed[], what: What) {
    this.deny = timed.filter(({ window }) => window.kind === "deny");
    this.allow = timed.filter(({ window }) => window.kind === "allow");
    this.what = what;
  }

  verdict(now: number): WindowVerdict {
    const { known } = this;
    if (known !== null && known.from <= now && now < known.sameUntil) return known.verdict;
    const judgement = this.judge(now);
    this.known = { ...judgement, from: now };
    return judgement.verdict;
  }

  private judge(now: number): Judgement {
    const denied = stretchFrom(this.deny, now);
    if (denied !== null) return this.denied(now, denied);
    if (this.allow.length === 0 || holdAt(this.allow, now) !== null) return this.open(now);
    return this.outside(now);
  }

  private denied(now: number, { endMs, isWhole, by }: Stretch): Judgement {
    const end = isWhole ? ` until ${isoTime(endMs)}` : "";
    const message = `${deniedText[this.what]}${end}${reasonOf(by)}`;
    const at = isWhole ? this.opening(endMs).at : endMs;
    const sameUntil = isWhole ? endMs : earliest(nextStart(this.deny, now));
    return { verdict: { open: false, message, at }, sameUntil };
  }

  private outside(now: number): Judgement {
    const { at, isKnown, allowedBy } = this.opening(now);
    let when = at === null ? ", and none is to come" : "";
    if (at !== null && isKnown && allowedBy) when = `; the next one opens at ${isoTime(at)}${reasonOf(allowedBy)}`;
    const message = `outside every window that allows ${this.what}${when}`;
    const sameUntil = earliest(nextStart(this.deny, now), nextStart(this.allow, now));
    return { verdict: { open: false, message, at }, sameUntil };
  }

  private open(now: number): Judgement {
    const denyMs = nextStart(this.deny, now);
    const allowed = stretchFrom(this.allow, now);
    if (allowed === null) return { verdict: { open: true, until: denyMs }, sameUntil: earliest(denyMs) };
    const closes = earliest(denyMs, allowed.endMs);
    const isKnown = allowed.isWhole || denyMs === closes;
    const sameUntil = allowed.isWhole ? closes : earliest(denyMs, nextStart(this.allow, now));
    return { verdict: { open: true, until: isKnown ? closes : null }, sameUntil };
  }

  private opening(from: number): Opening {
    const steps = newSteps(this.deny);
    let time = from;
    for (;;) {
      const denied = stretchFrom(this.deny, time, steps);
      time = denied?.endMs ?? time;
      if (denied?.isWhole === false) return { at: time, isKnown: false, allowedBy: null };
      const allowedBy = holdAt(this.allow, time);
      if (allowedBy !== null || this.allow.length === 0) return { at: time, isKnown: true, allowedBy };
      const next = nextStart(this.allow, time);
      if (next === null || steps.left-- <= 0) return { at: next, isKnown: false, allowedBy: null };
      time = next;
    }
  }
}

function earliest(...times: readonly (number | null)[]): number {
  return Math.min(...times.map((time) => time ?? Number.POSITIVE_INFINITY));
}

function reasonOf({ window: { reason }, holiday }: Pick<Hold, "window" | "holiday">): string {
  return `${reason === "" ? "" : `: ${reason}`}${holiday === null ? "" : ` (holiday: ${holiday})`}`;
}
