// What a case expects, compared with what is: hosts, the fleet, people's answers. Each comparison says what it found instead.
import * as assert from "uvu/assert";
import { isoTime } from "../../reconciler/model/duration.ts";
import { readyOf } from "../../reconciler/plan/conditions.ts";
import { heldText, holdOn } from "../../reconciler/plan/holds.ts";
import { whyLines } from "../../reconciler/plan/why.ts";
import { byName, duration, type Fields, fields, list, names, slip } from "./case-format.ts";
import type { Play } from "./case-steps.ts";

type Compare = (play: Play, value: unknown) => void;

const comparisons: Readonly<Record<string, Compare>> = {
  starts: (play, value) => compareStarts(play, list(value).map(String)),
  runs: ({ rig, seen }, value) => assert.equal(rig.hosts.log.slice(seen.steps), list(value), "steps that ran"),
  running: ({ rig }, value) => assert.equal([...rig.world().inFlight].toSorted(), names(value).toSorted(), "running"),
  states: ({ rig }, value) => {
    for (const [host, states] of byName(value, "states"))
      for (const [machine, state] of statesOf(firstMachine(rig), states))
        assert.is(rig.engine.recordOf(host)?.machines[machine]?.state, state, `state of ${host}`);
  },
  waits: (play, value) => compareConditions(play, "waits", ["False", "Unknown"], value),
  stalls: (play, value) => compareConditions(play, "stalls", ["False"], value),
  unknown: (play, value) => compareConditions(play, "unknown", ["Unknown"], value),
  ready: (play, value) => {
    for (const host of names(value)) assert.is(conditionOf(play, host)?.status, "True", `${host} is ready`);
  },
  rests: (play, value) => {
    for (const [host, reason] of byName(value, "rests")) {
      const ready = conditionOf(play, host);
      assert.is(
        `${ready?.status} ${textOf(ready)}`.includes(`True ${String(reason)}`),
        true,
        `${host}: ${textOf(ready)}`,
      );
    }
  },
  says: (play, value) => compareSaid(play, list(value).map(String)),
  silent: (play, value) => {
    for (const text of list(value).map(String))
      assert.is(
        said(play).find((line) => line.includes(text)),
        undefined,
        `nobody says ${text}`,
      );
  },
  rollouts: compareRollouts,
  governors: compareGovernors,
  braked: ({ rig }, value) => compareText(rig.coordination.fleet().braked?.message ?? null, value, "braked"),
  unapproved: ({ rig }, value) =>
    compareText(rig.coordination.fleet().unapproved?.message ?? null, value, "unapproved"),
  commit: ({ rig }, value) =>
    assert.is(rig.world().desired.commit.replace(/0+$/, ""), String(value), "commit in force"),
  held: (play, value) => compareHeld(play, value),
  holds: ({ rig }, value) =>
    assert.equal(
      rig.coordination.fleet().holds.map(({ select }) => select),
      list(value),
      "holds",
    ),
  lost: compareLost,
  former: ({ rig }, value) => {
    for (const [host, lives] of byName(value, "former"))
      assert.equal(
        rig.engine.recordOf(host)?.former,
        list(lives).map((life) => `${host}-life-${String(life).padStart(4, "0")}`),
      );
  },
  replay: ({ rig }, value) => {
    for (const [host, left] of byName(value, "replay"))
      for (const [machine, states] of Object.entries(fields(left, "replay")))
        assert.equal(rig.engine.recordOf(host)?.machines[machine]?.replay, states, `left to replay of ${host}`);
  },
  removed: ({ rig }, value) => {
    const gone = [...rig.world().records.values()].filter(({ removed }) => removed !== undefined);
    assert.equal(gone.map(({ name }) => name).toSorted(), names(value).toSorted(), "removed");
  },
  why: compareWhy,
  what_if: compareWhatIf,
  simulation: compareSimulation,
};

/** Compares everything that is expected here, and takes what was said and started until now as seen. */
export function expectAll(play: Play, value: unknown): void {
  for (const [key, expected] of Object.entries(fields(value, "expect"))) {
    const compare = comparisons[key] ?? slip("expect", `nothing is called ${key}`);
    compare(play, expected);
  }
  play.seen = { events: play.rig.events.length, steps: play.rig.hosts.log.length };
}

function firstMachine(rig: Play["rig"]): string {
  const [first = ""] = rig.machines.keys();
  return first;
}

function statesOf(machine: string, value: unknown): [string, unknown][] {
  return typeof value === "string" ? [[machine, value]] : Object.entries(fields(value, "states"));
}

/** Transitions that began since the last expectation, each as its host, or `host: from -> to`. */
function compareStarts({ rig, seen }: Play, expected: readonly string[]): void {
  const started = rig.events
    .slice(seen.events)
    .flatMap((event) =>
      event.kind === "started" ? [{ host: event.subject, text: `${event.subject}: ${event.from} -> ${event.to}` }] : [],
    );
  const wanted = expected.flatMap((text) => (text.includes(": ") ? [text] : names(text)));
  const shown = started.map(({ host, text }, index) => (wanted[index]?.includes(": ") === true ? text : host));
  assert.equal(shown, wanted, "started");
}

/** The condition that says most: of a host's machines, the first that is not ready. `host/machine` names one. */
function conditionOf({ rig }: Play, place: string): ReturnType<typeof readyOf> {
  const [host = "", machine] = place.split("/");
  const record = rig.engine.recordOf(host);
  const all = Object.entries(record?.machines ?? {}).filter(([name]) => machine === undefined || name === machine);
  const conditions = all.map(([, entry]) => readyOf(entry));
  return conditions.find((ready) => ready?.status !== "True") ?? conditions[0] ?? null;
}

function textOf(condition: ReturnType<typeof readyOf>): string {
  return condition === null ? "nothing is known" : `${condition.reason}: ${condition.message}`;
}

/** `Reason`, or `Reason: part of its message`. */
function compareConditions(play: Play, what: string, statuses: readonly string[], value: unknown): void {
  for (const [place, expected] of byName(value, what)) {
    const ready = conditionOf(play, place);
    const found = `${ready?.status} ${textOf(ready)}`;
    assert.ok(statuses.includes(ready?.status ?? ""), `${place} ${what} for ${String(expected)}, and is ${found}`);
    const [reason = "", ...message] = String(expected).split(": ");
    const fits = ready?.reason === reason && ready.message.includes(message.join(": "));
    assert.ok(fits, `${place} ${what} for "${String(expected)}", and is ${found}`);
    if (what !== "stalls") continue;
    const [host = "", only] = place.split("/");
    const entries = Object.entries(play.rig.engine.recordOf(host)?.machines ?? {});
    const stalled = entries.some(
      ([name, { conditions }]) => (only ?? name) === name && conditions.some(({ type }) => type === "Stalled"),
    );
    assert.ok(stalled, `${place} is stalled`);
  }
}

/** Lines about the fleet since the last expectation. */
function said({ rig, seen }: Play): string[] {
  return rig.events
    .slice(seen.events)
    .flatMap((event) => (event.kind === "fleet" || event.kind === "unapproved" ? [event.message] : []));
}

/** Each expected text stands in a line of its own, in this order; other lines may stand between them. */
function compareSaid(play: Play, expected: readonly string[]): void {
  const lines = said(play);
  let from = 0;
  for (const text of expected) {
    const at = lines.findIndex((line, index) => index >= from && line.includes(text));
    assert.ok(at >= 0, `"${text}" is said, and what was said is:\n${lines.join("\n")}`);
    from = at + 1;
  }
}

function compareText(found: string | null, expected: unknown, what: string): void {
  if (expected === false) assert.is(found, null, what);
  else assert.ok(found?.includes(String(expected)), `${what}: "${String(expected)}", and is ${String(found)}`);
}

const rolloutKeys = ["phase", "wave", "waves", "message", "pending", "active", "done", "failed", "parked", "commit"];

function compareRollouts({ rig }: Play, value: unknown): void {
  const views = rig.coordination.fleet().rollouts;
  for (const [scope, expected] of Object.entries(fields(value, "rollouts"))) {
    // GROUP/MACHINE stands for the change of that machine that began last.
    const ofScope = views.filter((item) => item.scope === scope || item.scope.startsWith(`${scope}=`));
    const [view] = ofScope.toSorted((a, b) => (a.since < b.since ? 1 : -1));
    if (expected === null) {
      assert.is(view, undefined, `no rollout ${scope}`);
      continue;
    }
    assert.ok(view, `a rollout ${scope}; there are ${views.map((item) => item.scope).join(", ")}`);
    const wanted = fields(expected, scope, rolloutKeys);
    const { hosts, commit, ...rest } = view;
    const found: Fields = { ...rest, ...hosts, commit: commit.replace(/0+$/, "") };
    const shown = Object.fromEntries(Object.keys(wanted).map((key) => [key, found[key]]));
    assert.equal(shown, wanted, `rollout ${scope}`);
  }
}

function compareGovernors({ rig }: Play, value: unknown): void {
  for (const [name, expected] of Object.entries(fields(value, "governors"))) {
    const wanted = fields(expected, name, ["holders", "waiting"]);
    const view = rig.coordination.fleet().governors.find((item) => item.name === name);
    if ("holders" in wanted)
      assert.equal(
        view?.holders.map(({ host }) => host),
        names(wanted.holders),
        `holders of ${name}`,
      );
    if ("waiting" in wanted) assert.is(view?.waiting, wanted.waiting, `waiting for ${name}`);
  }
}

/** Who is held, as people see it; null for hosts that are not. */
function compareHeld({ rig }: Play, value: unknown): void {
  for (const [host, expected] of byName(value, "held")) {
    const file = rig.world().desired.loaded.repository.hosts.get(host) ?? slip("held", `no host is called ${host}`);
    const hold = holdOn(rig.world(), file);
    compareText(hold && heldText(hold), expected ?? false, `hold on ${host}`);
  }
}

function compareLost({ rig }: Play, value: unknown): void {
  for (const [host, expected] of byName(value, "lost")) {
    const { lost } = rig.engine.recordOf(host) ?? {};
    if (expected === false) {
      assert.is(lost, undefined, `${host} is not lost`);
      continue;
    }
    const wanted = fields(expected, `lost ${host}`, ["silent", "quarantined", "failed", "recovering", "replaced"]);
    const found: Fields = {
      silent: lost?.silent,
      quarantined: lost?.quarantined,
      failed: lost?.failed.length,
      recovering: lost === undefined ? undefined : lost.recovering !== null,
      replaced: lost === undefined ? undefined : lost.replacedAt !== null,
    };
    assert.equal(Object.fromEntries(Object.keys(wanted).map((key) => [key, found[key]])), wanted, `lost ${host}`);
  }
}

/** The chain of reasons, line by line: each expected text stands in its line, with its indent. */
function compareWhy({ rig }: Play, value: unknown): void {
  for (const [subject, expected] of byName(value, "why")) {
    const lines = whyLines(rig.coordination.why(subject, null).causes).map(withoutTime);
    const wanted = list(expected).map(String);
    const fits =
      lines.length === wanted.length &&
      wanted.every(
        (text, index) => lines[index]?.startsWith(indentOf(text)) === true && lines[index].includes(text.trim()),
      );
    if (!fits) assert.equal(lines, wanted, `why ${subject}`);
  }
}

/** A line without since when its reason has been so. */
function withoutTime(line: string): string {
  return line.replace(/^( *\S+(?: \([^)]*\))?: \w+) since \S+Z:/, "$1:");
}

function indentOf(text: string): string {
  return /^ */.exec(text)?.[0] ?? "";
}

function compareWhatIf({ rig }: Play, value: unknown): void {
  for (const [subject, expected] of byName(value, "what_if"))
    for (const item of list(expected)) {
      const wanted = fields(item, `what_if ${subject}`, ["word", "arrives", "after", "moves", "because"]);
      const { whatIf } = rig.coordination.why(subject, String(wanted.word));
      if (whatIf === null) slip("what_if", "no answer");
      if ("arrives" in wanted) assert.is(whatIf.arrives, wanted.arrives, `${subject} arrives if ${whatIf.word}`);
      if ("after" in wanted) assert.is(whatIf.afterMs, duration(wanted.after, "after"), "after");
      if ("moves" in wanted)
        assert.equal(
          whatIf.moves.map(({ machine, from, to }) => `${machine}: ${from} -> ${to}`),
          list(wanted.moves),
          "moves",
        );
      const because = whyLines(whatIf.causes).join("\n");
      for (const text of list(wanted.because ?? []).map(String))
        assert.ok(because.includes(text), `because "${text}", and it is:\n${because}`);
    }
}

const simulationKeys = ["moves", "peak", "lowest", "duration", "says", "stuck", "assumed", "order", "starts"];

function compareSimulation({ played }: Play, value: unknown): void {
  if (played === null) slip("simulation", "nothing was simulated");
  const wanted = fields(value, "simulation", simulationKeys);
  const { moves, peak, durationMs, assumed, stuck, groups } = played;
  if ("moves" in wanted) assert.is(moves.length, wanted.moves, "moves");
  if ("peak" in wanted) assert.is(peak, wanted.peak, "most at once");
  if ("duration" in wanted) assert.is(durationMs, duration(wanted.duration, "duration"), "duration");
  if ("assumed" in wanted) assert.is(assumed, wanted.assumed, "assumed durations");
  if ("order" in wanted)
    assert.equal(
      moves.map(({ subject }) => subject),
      names(wanted.order),
      "order",
    );
  if ("starts" in wanted)
    for (const [host, at] of byName(wanted.starts, "starts"))
      assert.is(moves.find(({ subject }) => subject === host)?.atMs, duration(at, "starts"), `start of ${host}`);
  for (const [group, least] of Object.entries(fields(wanted.lowest ?? {}, "lowest")))
    assert.is(groups.find((item) => item.group === group)?.lowest, least, `lowest of ${group}`);
  const lines = played.fleet.map(({ atMs, message }) => `${isoTime(atMs)} ${message}`);
  for (const text of list(wanted.says ?? []).map(String))
    assert.ok(
      lines.some((line) => line.includes(text)),
      `"${text}" is said, and what was said is:\n${lines.join("\n")}`,
    );
  if ("stuck" in wanted) compareStuck(stuck, wanted.stuck);
}

function compareStuck(stuck: readonly { subject: string; reason: string; message: string }[], value: unknown): void {
  const expected = byName(value, "stuck");
  assert.equal(stuck.map(({ subject }) => subject).toSorted(), [...expected.keys()].toSorted(), "stuck");
  for (const [host, text] of expected) {
    const found = stuck.find(({ subject }) => subject === host);
    const [reason = "", ...message] = String(text).split(": ");
    const fits = found?.reason === reason && found.message.includes(message.join(": "));
    assert.ok(fits, `${host} is stuck for "${String(text)}", and is ${found?.reason}: ${found?.message}`);
  }
}
