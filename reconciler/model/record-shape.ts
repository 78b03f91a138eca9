// What a record has to look like, part by part, before anything is decided on it. Enough that no decision can fail on a part of another
// kind; whether states and machines exist is not asked here.

/** Null for a value that is as it should be; else the path in it to the part that is not, empty for the value itself. */
type Shape = (value: unknown) => string | null;

const only =
  (holds: (value: unknown) => boolean): Shape =>
  (value) =>
    holds(value) ? null : "";

const text = only((value) => typeof value === "string");
const time = only((value) => typeof value === "string" && !Number.isNaN(Date.parse(value)));
const flag = only((value) => typeof value === "boolean");
const amount = only((value) => Number.isFinite(value));
const count = only((value) => Number.isSafeInteger(value) && Number(value) >= 0);
/** Names of hosts and groups; `@fleet` is none. */
const name = only((value) => typeof value === "string" && /^[a-z0-9][a-z0-9._-]{0,62}$/.test(value));

const maybe =
  (shape: Shape): Shape =>
  (value) =>
    value === null ? null : shape(value);

const list =
  (shape: Shape): Shape =>
  (value) => {
    if (!Array.isArray(value)) return "";
    for (const [index, item] of value.entries()) {
      const wrong = shape(item);
      if (wrong !== null) return under(String(index), wrong);
    }
    return null;
  };

const mapOf =
  (shape: Shape): Shape =>
  (value) => {
    if (!isMap(value)) return "";
    for (const key of Object.keys(value)) {
      const wrong = shape(value[key]);
      if (wrong !== null) return under(key, wrong);
    }
    return null;
  };

/** A map with these parts; those of `optional` may be missing. Parts that are not known are let through. */
const parts = (required: Readonly<Record<string, Shape>>, optional: Readonly<Record<string, Shape>> = {}): Shape => {
  const all = Object.entries({ ...required, ...optional }).map(
    ([key, shape]) => [key, shape, key in required] as const,
  );
  return (value) => {
    if (!isMap(value)) return "";
    for (const [key, shape, isRequired] of all) {
      const part = value[key];
      if (part === undefined && !isRequired) continue;
      const wrong = shape(part);
      if (wrong !== null) return under(key, wrong);
    }
    return null;
  };
};

const under = (key: string, path: string): string => (path === "" ? key : `${key}.${path}`);

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const attempt = parts({
  from: text,
  to: text,
  reason: text,
  number: count,
  status: text,
  startedAt: time,
  definition: text,
  done: list(text),
  step: maybe(text),
  skipped: list(text),
  retryAt: maybe(time),
  error: maybe(text),
});
const waiting = maybe(parts({ for: text, since: time }, { waived: flag }));
const upkeep = parts(
  {},
  {
    fellFrom: maybe(text),
    agreed: flag,
    waiting,
    barrier: waiting,
    begun: maybe(text),
    autos: maybe(parts({ since: time, count })),
    falls: list(time),
    remedies: mapOf(parts({ since: maybe(time), over: maybe(time), runs: list(time), rung: count })),
  },
);

/** What an earlier version has written lacks some of them. */
const machine = parts(
  {
    state: text,
    since: time,
    desired: text,
    revision: count,
    applied: list(parts({ state: text, at: time, desired: text })),
    replay: list(text),
  },
  {
    attempt: maybe(attempt),
    once: mapOf(parts({ status: text, at: time, round: count })),
    unsteady: maybe(parts({ state: text, count, at: time, error: text })),
    claim: maybe(text),
    updates: count,
    updateKeys: list(text),
    conditions: list(parts({ type: text, status: text, reason: text, message: text, at: time })),
    upkeep,
  },
);

const lost = parts({
  at: time,
  silent: flag,
  recovering: maybe(time),
  replacedAt: maybe(time),
  failed: list(time),
  quarantined: flag,
});

/** A host's or a group's record, with its name as `name`. */
export const subjectShape: Shape = parts(
  { name, machines: mapOf(machine) },
  { incarnation: maybe(text), former: list(text), sequence: count, address: maybe(text), lost, removed: time },
);

/** The record of the whole fleet. */
export const fleetShape: Shape = parts(
  {},
  {
    holds: list(parts({ select: text }, { reason: text, by: text, at: time, until: maybe(time) })),
    approvals: list(parts({ commit: text, by: text, at: time })),
    rollouts: mapOf(
      parts({ id: text, commit: text, since: time, wave: count, phase: text, phaseSince: time, message: text }),
    ),
    durations: mapOf(amount),
    braked: maybe(parts({ at: time, message: text })),
    released: maybe(parts({ at: time, by: text, reason: text })),
  },
);

/** Far beyond what a record nests, and far below what recursion bears. */
const depthMax = 20;

/** True for a value that nests deeper than any record. */
export function isTooDeep(value: unknown, left: number = depthMax): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (left === 0) return true;
  for (const key in value) if (isTooDeep((value as Record<string, unknown>)[key], left - 1)) return true;
  return false;
}
