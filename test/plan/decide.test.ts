// Decisions as a table: given what is desired, recorded and reported, expect this move.
import * as fc from "fast-check";
import * as assert from "uvu/assert";
import type { MachineRecord, SubjectRecord } from "../../reconciler/model/record.ts";
import type { HostReport } from "../../reconciler/model/report.ts";
import { decide, decideSubject } from "../../reconciler/plan/decide.ts";
import { backoffMs, definitionOf, entered } from "../../reconciler/plan/transition.ts";
import { subjectOf, type World } from "../../reconciler/plan/world.ts";
import { suite } from "../support/suite.ts";
import { applied, chain, commit, type Files, lamp, localHost, noon, record, report, world } from "../support/world.ts";

const test = suite("decide");
const lampFiles = (target: string, more: object = {}): Files => ({
  "machines/lamp.yaml": lamp,
  "hosts/a.yaml": localHost("a", { lamp: target }, more),
});
const chainFiles = (target: string, more: object = {}, machine: object = chain): Files => ({
  "machines/chain.yaml": { ...machine },
  "hosts/a.yaml": localHost("a", { chain: target }, more),
});
const at = (ms: number): string => new Date(noon + ms).toISOString();

interface Case {
  readonly title: string;
  readonly files: Files;
  readonly entry?: Partial<MachineRecord>;
  readonly record?: Partial<SubjectRecord>;
  readonly report?: Partial<HostReport> | null;
  readonly now?: number;
  readonly inFlight?: readonly string[];
  /** `start a -> b`, `inquire STEP`, or `nothing`. */
  readonly act: string;
  readonly state?: string;
  readonly claim?: string | null;
  readonly reason?: string;
  readonly replay?: string[];
  readonly wakeIn?: number;
}

const machineOf = (files: Files): string => ("machines/lamp.yaml" in files ? "lamp" : "chain");

function build(item: Case): World {
  const records = item.entry === undefined ? [] : [record("a", machineOf(item.files), item.entry, item.record)];
  const reports = item.report === null ? [] : [report("a", item.report)];
  return world(item.files, {
    records,
    reports,
    ...(item.now ? { now: item.now } : {}),
    ...(item.inFlight ? { inFlight: item.inFlight } : {}),
  });
}

const never = {
  ...chain,
  states: {
    ...chain.states,
    c: {
      enter: [
        {
          from: "b",
          steps: [
            { name: "to-c", run: "step c", repeat: "never" },
            { name: "after", run: "after c" },
          ],
        },
      ],
    },
  },
};
const guarded = (when: string): object => ({
  ...lamp,
  states: { ...lamp.states, on: { enter: [{ from: ["off", "busy"], when, steps: [{ run: "x" }] }] } },
});
const attempt = (
  more: Partial<NonNullable<MachineRecord["attempt"]>>,
  files: Files,
  from: string,
  to: string,
): MachineRecord["attempt"] => {
  const machine = world(files).desired.loaded.repository.machines.get(machineOf(files));
  const transition = machine?.transitions.find((item) => item.from === from && item.to === to);
  const definition = transition ? definitionOf(transition) : "";
  return {
    from,
    to,
    reason: "target",
    number: 1,
    status: "failed",
    startedAt: at(0),
    definition,
    done: [],
    step: null,
    skipped: [],
    retryAt: at(0),
    error: "boom",
    ...more,
  };
};

const on: Partial<MachineRecord> = { state: "on", applied: applied("on"), revision: 1 };
const d: Partial<MachineRecord> = { state: "d", applied: applied("b", "c", "d"), revision: 3 };
const cases: readonly Case[] = [
  { title: "a host never heard of is not acted upon", files: lampFiles("on"), report: null, act: "nothing" },
  { title: "a new host moves along the cheapest path", files: lampFiles("busy"), act: "start off -> on", state: "off" },
  {
    title: "R2: in its target state, nothing to do",
    files: lampFiles("on"),
    entry: { ...on, conditions: [{ type: "Ready", status: "True", reason: "InSync", message: "", at: at(0) }] },
    act: "nothing",
  },
  { title: "a new target moves it on", files: lampFiles("busy"), entry: on, act: "start on -> busy" },
  {
    title: "unknown is not healthy: an unreachable host is not acted upon",
    files: lampFiles("busy"),
    entry: on,
    report: { reachable: false, message: "no route" },
    act: "nothing",
    reason: "Unreachable",
  },
  {
    title: "R3: the host says it is elsewhere, and its marker is no older than the record",
    files: lampFiles("on"),
    entry: on,
    report: { states: { lamp: { state: "busy", revision: 1 } } },
    act: "start busy -> on",
    state: "busy",
  },
  {
    title: "R3: a marker without a revision counts as well",
    files: lampFiles("on"),
    entry: on,
    report: { states: { lamp: { state: "off", revision: null } } },
    act: "start off -> on",
    state: "off",
  },
  {
    title: "R3: a marker older than the record is late, not a contradiction",
    files: lampFiles("on"),
    entry: { ...on, revision: 2 },
    report: { states: { lamp: { state: "off", revision: 1 } } },
    act: "nothing",
    state: "on",
  },
  {
    title: "R3: a state that the machine does not have is not believed",
    files: lampFiles("on"),
    entry: on,
    report: { states: { lamp: { state: "melted", revision: 9 } } },
    act: "nothing",
    state: "on",
  },
  {
    title: "an empty marker folder in the same life says nothing",
    files: lampFiles("on"),
    entry: on,
    act: "nothing",
    state: "on",
  },
  {
    title: "R4: a rebuilt host is in its initial state, and its path is replayed",
    files: chainFiles("d"),
    entry: d,
    report: { incarnation: "life-two-0002" },
    act: "start a -> b",
    state: "a",
    replay: ["b", "c", "d"],
  },
  {
    title: "R4: loops in what was applied are not replayed",
    files: lampFiles("busy"),
    entry: { state: "busy", applied: applied("on", "busy", "on", "busy") },
    report: { incarnation: "life-two-0002" },
    act: "start off -> on",
    replay: ["on", "busy"],
  },
  {
    title: "R4: what is known is replayed before anything new is done",
    files: lampFiles("off"),
    entry: on,
    report: { incarnation: "life-two-0002" },
    act: "start off -> on",
    replay: ["on"],
  },
  { title: "R4: and then on to the target", files: lampFiles("off"), entry: on, act: "start on -> off" },
  {
    title: "R4: rebuilt again half way, all of it is replayed",
    files: chainFiles("d"),
    entry: { state: "b", applied: applied("b"), replay: ["c", "d"], revision: 9 },
    report: { incarnation: "life-two-0002" },
    act: "start a -> b",
    replay: ["b", "c", "d"],
  },
  {
    title: "R4: a rebuilt host runs its steps marked never again: it is a new life",
    files: chainFiles("d", {}, never),
    entry: { ...d, state: "b", applied: applied("b"), replay: ["c"], once: {} },
    act: "start b -> c",
  },
  {
    title: "replay: an edge that is gone is replaced by the cheapest path",
    files: chainFiles("d"),
    entry: { state: "a", replay: ["c", "d"] },
    act: "start a -> b",
    replay: ["c", "d"],
  },
  {
    title: "replay: a state in between that is gone is passed over",
    files: chainFiles("d"),
    entry: { state: "a", replay: ["b", "gone", "d"] },
    act: "start a -> b",
  },
  {
    title: "replay: the last known state is gone: stalled, with the reason",
    files: chainFiles("d"),
    entry: { state: "a", replay: ["b", "gone"] },
    act: "nothing",
    reason: "ReplayStateGone",
  },
  {
    title: "replay: no way leads there any more: stalled",
    files: chainFiles("d"),
    entry: { state: "d", replay: ["b"] },
    act: "nothing",
    reason: "ReplayNoPath",
  },
  {
    title: "a recorded state that is gone: stalled, not guessed",
    files: lampFiles("on"),
    entry: { state: "gone" },
    act: "nothing",
    reason: "UnknownState",
  },
  {
    title: "no path from here to the target: stalled, with the reason",
    files: chainFiles("b"),
    entry: d,
    act: "nothing",
    reason: "NoPath",
  },
  {
    title: "a guard that is false: waits, with the guard",
    files: { ...lampFiles("on"), "machines/lamp.yaml": guarded('host.region == "east"') },
    act: "nothing",
    reason: "GuardWaiting",
  },
  {
    title: "a guard that cannot be evaluated is false",
    files: { ...lampFiles("on"), "machines/lamp.yaml": guarded('host.labels.role == "x"') },
    act: "nothing",
    reason: "GuardWaiting",
  },
  {
    title: "a guard over time wakes the host by itself",
    files: { ...lampFiles("on"), "machines/lamp.yaml": guarded('now >= timestamp("2030-01-01T00:00:00Z")') },
    act: "nothing",
    reason: "GuardWaiting",
    wakeIn: 1000,
  },
  {
    title: "S4: nothing runs on a host that is held",
    files: lampFiles("on", { hold: { reason: "disk", by: "ana" } }),
    act: "nothing",
    reason: "Held",
  },
  {
    title: "S4: a hold that is over holds nothing",
    files: lampFiles("on", { hold: { reason: "disk", by: "ana", until: at(-1) } }),
    act: "start off -> on",
  },
  {
    title: "S4: the end of a hold wakes the host",
    files: lampFiles("on", { hold: { reason: "disk", by: "ana", until: at(5000) } }),
    act: "nothing",
    reason: "Held",
    wakeIn: 5000,
  },
  {
    title: "S4: while a transition of the host runs, no other starts",
    files: lampFiles("busy"),
    entry: on,
    inFlight: ["a"],
    act: "nothing",
  },
  {
    title: "a failed attempt is not tried again before its time",
    files: lampFiles("on"),
    entry: { attempt: attempt({ retryAt: at(3000) }, lampFiles("on"), "off", "on") },
    act: "nothing",
    reason: "Backoff",
    wakeIn: 3000,
  },
  {
    title: "and is tried again when it has come",
    files: lampFiles("on"),
    entry: { attempt: attempt({}, lampFiles("on"), "off", "on") },
    now: noon + 1,
    act: "start off -> on",
  },
  {
    title: "the last attempt failed: stalled",
    files: lampFiles("on"),
    entry: { attempt: attempt({ number: 5 }, lampFiles("on"), "off", "on") },
    act: "nothing",
    reason: "AttemptsExhausted",
  },
  {
    title: "a changed definition starts the attempts anew",
    files: lampFiles("on"),
    entry: { attempt: attempt({ number: 5, definition: "other" }, lampFiles("on"), "off", "on") },
    act: "start off -> on",
  },
  {
    title: "S1: an attempt left open by a reconciler that is gone goes on",
    files: lampFiles("on"),
    entry: { attempt: attempt({ status: "running" }, lampFiles("on"), "off", "on") },
    act: "start off -> on",
  },
  {
    title: "S2: a step marked never that was started is asked about, not started again",
    files: chainFiles("d", {}, never),
    entry: {
      state: "b",
      once: { "to-c": { status: "started", at: at(0), round: 0 } },
      attempt: attempt({ status: "running", step: "to-c" }, chainFiles("d", {}, never), "b", "c"),
    },
    act: "inquire to-c",
  },
  {
    title: "S2: its outcome unknown: stalled until a person says retry or skip",
    files: chainFiles("d", {}, never),
    entry: {
      state: "b",
      once: { "to-c": { status: "unknown", at: at(0), round: 0 } },
      attempt: attempt({ status: "running", step: "to-c" }, chainFiles("d", {}, never), "b", "c"),
    },
    act: "nothing",
    reason: "OutcomeUnknown",
  },
  {
    title: "S2: also when the target has changed meanwhile",
    files: chainFiles("b", {}, never),
    entry: {
      state: "b",
      once: { "to-c": { status: "unknown", at: at(0), round: 0 } },
      attempt: attempt({ status: "running", step: "to-c" }, chainFiles("d", {}, never), "b", "c"),
    },
    act: "nothing",
    reason: "OutcomeUnknown",
  },
  {
    title: "S2: it failed: stalled, not tried again",
    files: chainFiles("d", {}, never),
    entry: {
      state: "b",
      once: { "to-c": { status: "failed", at: at(0), round: 0 } },
      attempt: attempt({ step: "to-c" }, chainFiles("d", {}, never), "b", "c"),
    },
    act: "nothing",
    reason: "RepeatNever",
  },
  {
    title: "S2: it ran in an earlier transition of this life: stalled",
    files: chainFiles("d", {}, never),
    entry: { state: "b", once: { "to-c": { status: "done", at: at(0), round: 0 } } },
    act: "nothing",
    reason: "RepeatNever",
  },
  {
    title: "S2: it ran in this attempt, and a later step failed: tried again without it",
    files: chainFiles("d", {}, never),
    entry: {
      state: "b",
      once: { "to-c": { status: "done", at: at(0), round: 0 } },
      attempt: attempt({ step: "after", done: ["to-c"] }, chainFiles("d", {}, never), "b", "c"),
    },
    act: "start b -> c",
  },
  {
    title: "S2: a person said retry",
    files: chainFiles("d", {}, never),
    entry: { state: "b", once: { "to-c": { status: "free", at: at(0), round: 1 } } },
    act: "start b -> c",
  },
  {
    title: "S2: a person said skip",
    files: chainFiles("d", {}, never),
    entry: { state: "b", once: { "to-c": { status: "skipped", at: at(0), round: 0 } } },
    act: "start b -> c",
  },
  {
    title: "one failed check is chance",
    files: lampFiles("on"),
    entry: on,
    report: {
      states: { lamp: { state: "on", revision: 1 } },
      checks: { lamp: { state: "on", ok: false, message: "refused", failures: 1 } },
    },
    act: "nothing",
    state: "on",
  },
  {
    title: "two failed checks end the state: back to the one before, and in again",
    files: lampFiles("on"),
    entry: on,
    report: {
      states: { lamp: { state: "on", revision: 1 } },
      checks: { lamp: { state: "on", ok: false, message: "refused", failures: 2 } },
    },
    act: "start off -> on",
    state: "off",
  },
  {
    title: "failed checks of a state that was left since say nothing",
    files: lampFiles("on"),
    entry: { ...on, revision: 4 },
    report: {
      states: { lamp: { state: "on", revision: 1 } },
      checks: { lamp: { state: "on", ok: false, message: "refused", failures: 2 } },
    },
    act: "nothing",
    state: "on",
  },
];

const leftover = (status: "running" | "failed"): Partial<MachineRecord> => ({
  ...on,
  attempt: attempt({ status, from: "on", to: "off" }, lampFiles("off"), "on", "off"),
});
const failing = {
  states: { lamp: { state: "on", revision: 1 } },
  checks: { lamp: { state: "on", ok: false, message: "refused", failures: 2 } },
};
const more: readonly Case[] = [
  {
    title: "R3: an attempt that was left behind at a target since taken back is over, and the next report counts again",
    files: lampFiles("on"),
    entry: leftover("running"),
    act: "nothing",
    state: "on",
    reason: "InSync",
  },
  {
    title: "a failed attempt at a transition that nobody wants any more is over",
    files: lampFiles("on"),
    entry: leftover("failed"),
    act: "nothing",
    state: "on",
    reason: "InSync",
  },
  {
    title: "while a state is being left, its failing check does not put it back",
    files: lampFiles("off"),
    entry: leftover("failed"),
    report: failing,
    now: noon + 1,
    act: "start on -> off",
  },
  {
    title: "a state that does not hold a second time in a row waits before it is entered again",
    files: lampFiles("on"),
    entry: { ...on, unsteady: { state: "on", count: 1, at: at(-2000), error: "x" }, since: at(-1000) },
    report: failing,
    act: "nothing",
    state: "off",
    reason: "Backoff",
  },
  {
    title: "and is stalled when it has not held for as often as there are tries",
    files: lampFiles("on"),
    entry: { ...on, unsteady: { state: "on", count: 5, at: at(-2000), error: "x" }, since: at(-1000) },
    report: failing,
    act: "nothing",
    state: "off",
    reason: "DoesNotHold",
  },
  {
    title: "a state that held for long counts from one again",
    files: lampFiles("on"),
    entry: { ...on, unsteady: { state: "on", count: 5, at: at(-7_200_000), error: "x" }, since: at(-3_600_000) },
    report: failing,
    act: "start off -> on",
    state: "off",
  },
  {
    title: "a failed check goes back to the last state that the machine still has",
    files: chainFiles("d"),
    entry: { ...d, applied: applied("b", "gone", "d") },
    report: {
      states: { chain: { state: "d", revision: 3 } },
      checks: { chain: { state: "d", ok: false, message: "x", failures: 2 } },
    },
    act: "start b -> c",
    state: "b",
  },
  {
    title: "R3: an earlier life of the host that answers again changes nothing",
    files: lampFiles("busy"),
    entry: on,
    record: { incarnation: "life-two-0002", former: ["life-one-0001"] },
    act: "nothing",
    state: "on",
    reason: "OldIncarnation",
  },
  {
    title: "R3: a claim without a revision is news once",
    files: lampFiles("on"),
    entry: { ...on, claim: "off" },
    report: { states: { lamp: { state: "off", revision: null } } },
    act: "nothing",
    state: "on",
  },
  {
    title: "R3: a marker with a revision takes the place of what was claimed without one",
    files: lampFiles("on"),
    entry: { ...on, claim: "off" },
    report: { states: { lamp: { state: "on", revision: 1 } } },
    act: "nothing",
    state: "on",
    claim: null,
  },
  {
    title: "R3: so does one of another state, which somebody else has brought the host to",
    files: lampFiles("busy"),
    entry: { ...on, claim: "on" },
    report: { states: { lamp: { state: "busy", revision: 7 } } },
    act: "nothing",
    state: "busy",
    claim: null,
  },
  {
    title: "R3: a look that began before the state was entered claims nothing against it",
    files: lampFiles("on"),
    entry: { ...on, since: at(0) },
    report: { at: noon - 1, states: { lamp: { state: "off", revision: null } } },
    act: "nothing",
    state: "on",
    claim: null,
  },
  {
    title: "R3: an older marker that stands there after a newer one was left: a disk was put back",
    files: lampFiles("on"),
    entry: { ...on, revision: 5, since: at(-60_000), applied: [{ state: "on", at: at(-60_000), desired: commit }] },
    report: { states: { lamp: { state: "off", revision: 2 } } },
    act: "start off -> on",
    state: "off",
  },
  {
    title: "R3: no marker was left of a state that a failed check has led to, and an older one says nothing",
    files: lampFiles("on"),
    entry: { ...on, revision: 5, since: at(-60_000) },
    report: { states: { lamp: { state: "busy", revision: 4 } } },
    act: "nothing",
    state: "on",
  },
  {
    title: "R3: a state that was entered by a clock ahead of this one is contradicted all the same",
    files: lampFiles("on"),
    entry: { ...on, since: at(60_000) },
    report: { states: { lamp: { state: "off", revision: null } } },
    act: "start off -> on",
    state: "off",
  },
  {
    title: "a marker that is newer than the record, for the same state, is taken over",
    files: lampFiles("on"),
    entry: on,
    report: { ...failing, states: { lamp: { state: "on", revision: 9 } } },
    act: "start off -> on",
    state: "off",
  },
  {
    title: "R4: a host that reports the target in the middle of a replay is not taken back",
    files: chainFiles("d"),
    entry: { state: "a", replay: ["b", "c", "d"], revision: 4 },
    report: { states: { chain: { state: "d", revision: 4 } } },
    act: "nothing",
    state: "d",
    reason: "InSync",
    replay: [],
  },
  {
    title: "a step that was skipped stays skipped when a later one fails",
    files: chainFiles("b"),
    entry: { state: "a", attempt: attempt({ skipped: ["to-b"], done: ["to-b"] }, chainFiles("b"), "a", "b") },
    now: noon + 1,
    act: "start a -> b",
  },
];

for (const item of [...cases, ...more]) {
  test(item.title, () => {
    const subject = build(item);
    const [decision] = decide(subject, ["a"]);
    const act = decision?.act;
    const shown =
      act == null
        ? "nothing"
        : act.kind === "start"
          ? `start ${act.transition.from} -> ${act.transition.to}`
          : `inquire ${act.step}`;
    assert.is(shown, item.act);
    const entry = (decision?.record ?? subject.records.get("a"))?.machines[machineOf(item.files)];
    if (item.state) assert.is(entry?.state, item.state);
    if (item.claim !== undefined) assert.is(entry?.claim, item.claim);
    if (item.reason) assert.is(entry?.conditions[0]?.reason, item.reason);
    if (item.replay) assert.equal(entry?.replay, item.replay);
    if (item.wakeIn) assert.is(decision?.wakeAt, noon + item.wakeIn);
    if (act?.kind === "start")
      assert.is(entry?.attempt?.status, "running", "S1: the attempt is in the record that is written before the act");
  });
}

test("S2: a commit that takes a transition away does not free the step marked never that was started in it", () => {
  const without = { ...chain, states: { ...chain.states, c: { enter: [{ from: "a", steps: [{ run: "x" }] }] } } };
  const started = attempt({ status: "running", step: "to-c" }, chainFiles("d", {}, never), "b", "c");
  for (const [status, act, reason] of [
    ["started", "inquire", undefined],
    ["unknown", undefined, "OutcomeUnknown"],
  ] as const) {
    const entry: Partial<MachineRecord> = {
      state: "b",
      once: { "to-c": { status, at: at(0), round: 0 } },
      attempt: started,
    };
    let current = record("a", "chain", entry);
    for (let round = 0; round < 3; round++) {
      const [decision] = decide(world(chainFiles("b", {}, without), { records: [current], reports: [report("a")] }));
      current = decision?.record ?? current;
      assert.is(decision?.act?.kind, act);
      assert.equal(current.machines.chain?.attempt?.step, "to-c");
      if (reason) assert.is(current.machines.chain?.conditions[0]?.reason, reason);
    }
  }
});

test("S4: while a step marked never may still run of a machine that a host does not carry any more, nothing else begins on it", () => {
  const kept = record("a", "lamp", on);
  const once = (status: "started" | "done"): Partial<MachineRecord> => ({
    state: "b",
    once: { "to-c": { status, at: at(0), round: 0 } },
    attempt: attempt(
      { status: "running", step: status === "started" ? "to-c" : null },
      chainFiles("d", {}, never),
      "b",
      "c",
    ),
  });
  const acts = (status: "started" | "done", more: Files = {}, parts: Partial<World> = {}): unknown => {
    const machines = { ...kept.machines, ...record("a", "chain", once(status)).machines };
    const given = world(
      { ...lampFiles("busy"), ...more },
      { records: [{ ...kept, machines }], reports: [report("a")] },
    );
    const [decision] = decide({ ...given, ...parts });
    return decision?.act ?? (decision?.deferred === true ? "later" : null);
  };
  const asked = { kind: "inquire", machine: "chain", step: "to-c" };
  assert.equal(acts("started"), asked, "whether the machine is gone");
  assert.equal(acts("started", { "machines/chain.yaml": chain }), asked, "or stays for others");
  assert.is((acts("done") as { machine?: string }).machine, "lamp");
  assert.is(acts("started", {}, { mayStart: false }), "later");
  const held = localHost("a", { lamp: "busy" }, { hold: { reason: "x", by: "ana" } });
  assert.is(acts("started", { "hosts/a.yaml": held }), null, "nothing is done to a host that is held");
});

test("a host that would move and has no room is not ready", () => {
  const ready = {
    ...on,
    conditions: [{ type: "Ready", status: "True", reason: "InSync", message: "", at: at(0) }],
  } as const;
  const given = world(lampFiles("busy"), { records: [record("a", "lamp", ready)], reports: [report("a")] });
  const [decision] = decide({ ...given, mayStart: false });
  assert.is(decision?.record?.machines.lamp?.conditions[0]?.reason, "Queued");
});

test("while the record cannot be pushed, what must not repeat is not started, and other steps are", () => {
  const once = {
    ...lamp,
    states: { ...lamp.states, busy: { enter: [{ from: "on", steps: [{ run: "be busy", repeat: "never" }] }] } },
  };
  for (const [machine, starts] of [
    [once, false],
    [lamp, true],
  ] as const) {
    const files = { ...lampFiles("busy"), "machines/lamp.yaml": machine };
    const given = world(files, { records: [record("a", "lamp", on)], reports: [report("a")] });
    const [decision] = decide({ ...given, mayStartOnce: false });
    assert.is(decision?.act?.kind, starts ? "start" : undefined);
    assert.is(decision?.deferred, !starts);
  }
});

test("a failing check of a state on the way up counts, though the next transition has failed too", () => {
  const files = chainFiles("d");
  const entry = { ...d, state: "c", applied: applied("b", "c"), attempt: attempt({}, files, "c", "d") };
  const heard = {
    states: { chain: { state: "c", revision: 3 } },
    checks: { chain: { state: "c", ok: false, message: "gone", failures: 2 } },
  };
  const [decision] = decide(
    world(files, { records: [record("a", "chain", entry)], reports: [report("a", heard)], now: noon + 1 }),
  );
  assert.is(decision?.record?.machines.chain?.state, "b");
});

test("S4: a machine whose attempt was left open goes before the others of its host", () => {
  const files = {
    "machines/lamp.yaml": lamp,
    "machines/chain.yaml": chain,
    "hosts/a.yaml": localHost("a", { lamp: "on", chain: "b" }),
  };
  const open = record("a", "chain", { state: "a", attempt: attempt({ status: "running" }, chainFiles("b"), "a", "b") });
  const [decision] = decide(world(files, { records: [open], reports: [report("a")] }));
  assert.is(decision?.act?.machine, "chain");
});

test("an agent that says nothing for three minutes after the start is not known to be well", () => {
  const files = {
    "machines/os.yaml": { machine: "os", initial: "old", states: { old: null } },
    "hosts/a.yaml": { host: "a", transport: "agent", machines: ["os"] },
  };
  const known = record("a", "os", { state: "old" });
  const [early] = decide(world(files, { records: [known] }));
  assert.equal([early?.record, early?.wakeAt], [null, noon + 180_000]);
  const [late] = decide(world(files, { records: [known], now: noon + 180_000 }));
  assert.is(late?.record?.machines.os?.conditions[0]?.reason, "AgentSilent");
});

test("when nothing may be started, what was observed is recorded all the same", () => {
  const given = world(lampFiles("on"), {
    records: [record("a", "lamp", on)],
    reports: [report("a", { states: { lamp: { state: "busy", revision: 1 } } })],
  });
  const [decision] = decide({ ...given, mayStart: false });
  assert.equal([decision?.act, decision?.deferred, decision?.record?.machines.lamp?.state], [null, true, "busy"]);
});

test("two machines of one host: one moves, the other waits its turn (S4)", () => {
  const files = {
    "machines/lamp.yaml": lamp,
    "machines/chain.yaml": chain,
    "hosts/a.yaml": localHost("a", { lamp: "on", chain: "b" }),
  };
  const [decision] = decide(world(files, { reports: [report("a")] }));
  assert.is(decision?.act?.machine, "lamp");
  assert.is(decision?.record?.machines.chain?.attempt, null);
});

test("a guard over a group sees hosts at rest, and none that are on their way or unknown (B4)", () => {
  const files = {
    "machines/lamp.yaml": guarded('host.name == "a" || group.others.all(h, h.states["lamp"] == "on")'),
    "hosts/a.yaml": localHost("a", { lamp: "on" }),
    "hosts/b.yaml": localHost("b", { lamp: "on" }),
    "hosts/g.yaml": { group: "others", select: 'host.name == "a"' },
  };
  const given = (entry: Partial<MachineRecord>, heard: Partial<HostReport>): string | null => {
    const [decision] = decide(
      world(files, { records: [record("a", "lamp", entry)], reports: [report("a", heard), report("b")] }),
      ["b"],
    );
    return decision?.act?.kind ?? null;
  };
  assert.is(given(on, {}), "start");
  assert.is(given(on, { reachable: false }), null);
  assert.is(given(on, { incarnation: "life-two-0002" }), null);
  assert.is(given({ ...on, attempt: attempt({ status: "running" }, lampFiles("on"), "on", "busy") }, {}), null);
  assert.is(given({ state: "off" }, {}), null);
});

test("a machine shared by a group moves in the record alone, as far as its guards hold", () => {
  const light = {
    machine: "light",
    initial: "green",
    states: {
      green: null,
      red: { enter: [{ from: "green", when: "updates >= 2", auto: true }] },
      blue: { enter: [{ from: "red", auto: true }] },
    },
  };
  const files = { "machines/light.yaml": light, "hosts/g.yaml": { group: "crossing", machines: ["light"] } };
  const [first] = decide(world(files));
  assert.is(first?.record?.machines.light?.state, "green");
  const moved = {
    ...first?.record,
    machines: { light: { ...first?.record?.machines.light, updates: 3 } },
  } as SubjectRecord;
  const [second] = decide(world(files, { records: [moved] }));
  assert.is(
    second?.record?.machines.light?.state,
    "blue",
    "an overshoot still fires, and what needs no guard follows at once",
  );
  assert.equal(second?.summaries, ["crossing: green -> red (light)", "crossing: red -> blue (light)"]);
});

test("R1: the same world gives the same decisions in the same order, whatever the order of its maps", () => {
  const entry = fc.record({
    state: fc.constantFrom("off", "on", "busy"),
    revision: fc.integer({ min: 0, max: 3 }),
    replay: fc.array(fc.constantFrom("on", "busy", "gone"), { maxLength: 3 }),
  });
  const heard = fc.record({
    reachable: fc.boolean(),
    incarnation: fc.constantFrom("life-one-0001", "life-two-0002"),
    failures: fc.integer({ min: 0, max: 3 }),
    claim: fc.constantFrom("off", "on", "busy"),
  });
  fc.assert(
    fc.property(fc.array(fc.tuple(entry, heard), { minLength: 1, maxLength: 5 }), (hosts) => {
      const files: Record<string, unknown> = { "machines/lamp.yaml": lamp };
      for (const index of hosts.keys()) files[`hosts/h${index}.yaml`] = localHost(`h${index}`, { lamp: "on" });
      const records = hosts.map(([item], index) => record(`h${index}`, "lamp", item));
      const reports = hosts.map(([item, { failures, claim, ...rest }], index) =>
        report(`h${index}`, {
          ...rest,
          states: { lamp: { state: claim, revision: item.revision } },
          checks: { lamp: { state: claim, ok: failures === 0, message: "", failures } },
        }),
      );
      const one = decide(world(files, { records, reports }));
      const two = decide(world(files, { records: records.toReversed(), reports: reports.toReversed() }));
      assert.is(JSON.stringify(one), JSON.stringify(two));
      assert.equal(
        one.map(({ subject }) => subject),
        one.map(({ subject }) => subject).toSorted(),
      );
    }),
    { numRuns: 200 },
  );
});

test("L1: from any record, a host whose steps succeed arrives at its target or is stalled with a reason", () => {
  const states = fc.constantFrom("off", "on", "busy");
  fc.assert(
    fc.property(
      states,
      fc.array(states, { maxLength: 6 }),
      fc.array(fc.constantFrom("on", "busy", "gone"), { maxLength: 3 }),
      states,
      (state, path, replay, target) => {
        const files = lampFiles(target);
        let current: SubjectRecord = record("a", "lamp", { state, applied: applied(...path), replay });
        for (let round = 0; round < 30; round++) {
          const now = world(files, { records: [current], reports: [report("a")] });
          const subject = subjectOf(now, "a");
          assert.ok(subject);
          const { decision } = decideSubject(now, subject);
          current = decision.record ?? current;
          const act = decision.act;
          if (act?.kind !== "start") break;
          const entry = entered(current.machines.lamp as MachineRecord, act.transition.to, "off", {
            now: noon,
            commit,
          });
          current = { ...current, machines: { lamp: entry } };
        }
        const end = current.machines.lamp;
        const stalled = end?.conditions.some(({ type, message }) => type === "Stalled" && message !== "") === true;
        assert.ok(stalled || end?.state === target, `${end?.state} is neither ${target} nor stalled`);
      },
    ),
    { numRuns: 300 },
  );
});

test("backoff doubles up to its limit, less at most a quarter", () => {
  const settings = { limit: 5, backoffMs: 2000, backoffMaxMs: 60_000 };
  for (const [failures, full] of [
    [1, 2000],
    [2, 4000],
    [5, 32_000],
    [6, 60_000],
    [60, 60_000],
  ] as const) {
    const wait = backoffMs(failures, settings, `seed ${failures}`);
    assert.ok(wait <= full && wait >= full * 0.75, `${failures}: ${wait}`);
  }
});

test("a decision for one of 10,000 hosts reads that one, not the fleet", () => {
  const files: Record<string, unknown> = { "machines/lamp.yaml": lamp, "hosts/a.yaml": localHost("a", { lamp: "on" }) };
  let reads = 0;
  const given = world(files, { reports: [report("a")] });
  const counting = new Map(given.records);
  counting.get = (name: string) => {
    reads++;
    return Map.prototype.get.call(counting, name) as SubjectRecord | undefined;
  };
  assert.is(decide({ ...given, records: counting }, ["a"]).length, 1);
  assert.ok(reads < 10, `${reads} reads`);
  assert.is(commit.length, 40);
});

test("L1: a rebuilt host has arrived at a barrier with the very decision that sees it rebuilt", () => {
  const files: Files = {
    "machines/lamp.yaml": { ...lamp, states: { ...lamp.states, on: { ...lamp.states.on, barrier: { group: "all" } } } },
    "hosts/all.yaml": { group: "all", select: 'host.name != ""' },
    "hosts/a.yaml": localHost("a", { lamp: "on" }),
    "hosts/b.yaml": localHost("b", { lamp: "on" }),
  };
  const [a, b] = ["a", "b"].map((name) =>
    record(name, "lamp", { state: "on", applied: applied("on") }, { incarnation: `${name}-1` }),
  );
  const reports = [report("a", { incarnation: "a-2" }), report("b", { incarnation: "b-1" })];
  const [decision] = decide(world(files, { records: [a as SubjectRecord, b as SubjectRecord], reports }), ["a"]);
  assert.is(decision?.act?.kind, "start");
});

test("L1: a host that is behind a barrier has come to it, whatever is known of its way", () => {
  const files: Files = {
    "machines/chain.yaml": {
      ...chain,
      states: { ...chain.states, c: { ...chain.states.c, barrier: { group: "all" } } },
    },
    "hosts/all.yaml": { group: "all", select: 'host.name != ""' },
    "hosts/a.yaml": localHost("a", { chain: "c" }),
    "hosts/b.yaml": localHost("b", { chain: "c" }),
  };
  const records = [
    record("a", "chain", { state: "b", applied: applied("b") }),
    record("b", "chain", { state: "c", applied: applied("c") }),
  ];
  const given = world(files, { records, reports: [report("a"), report("b")] });
  assert.is(decide(given, ["a"])[0]?.act?.kind, "start");
});

test("R3: an attempt that was left open is over when the host has gone on from there", () => {
  const attempt = attemptFrom(lampFiles("on"), "off", "on");
  const entry = { state: "off", revision: 0, attempt };
  const files = lampFiles("busy");
  const claims = (revision: number): HostReport => report("a", { states: { lamp: { state: "busy", revision } } });
  const decided = (revision: number): ReturnType<typeof decideSubject>["decision"] => {
    const given = world(files, { records: [record("a", "lamp", entry)], reports: [claims(revision)] });
    const subject = subjectOf(given, "a");
    assert.ok(subject);
    return decideSubject(given, subject).decision;
  };
  assert.is(decided(2).record?.machines.lamp?.state, "busy");
  assert.is(decided(2).record?.machines.lamp?.attempt, null);
  assert.is(decided(0).record?.machines.lamp?.state, "off", "a marker that is not newer says nothing");
});

test("an agent's host is not silent before three reports were missed, however soon its machine takes it for lost", () => {
  const states = { off: null, on: { enter: [{ from: "off" }] } };
  const files: Files = {
    "machines/lamp.yaml": { machine: "lamp", initial: "off", states, recovery: { lost_after: "30s" } },
    "hosts/a.yaml": { host: "a", transport: "agent", machines: ["lamp"] },
  };
  const seen = (ms: number): string | undefined => {
    const given = world(files, {
      records: [record("a", "lamp", { state: "on" })],
      reports: [report("a")],
      now: noon + ms,
    });
    const subject = subjectOf(given, "a");
    assert.ok(subject);
    return decideSubject(given, subject).decision.record?.machines.lamp?.conditions[0]?.reason;
  };
  assert.is(seen(179_000), "NoTarget");
  assert.is(seen(180_000), "Lost");
});

test("B1: a host that a step has begun to take down keeps its group's room when the try fails", () => {
  const attempt = {
    ...attemptFrom(lampFiles("off"), "on", "off"),
    status: "failed" as const,
    step: null,
    retryAt: at(60_000),
  };
  const files: Files = {
    "stateward.yaml": {
      rollout: { at_once: 10, canary: 0, waves: ["100%"], max_unavailable: 1 },
      brakes: { max_moved: "100%" },
    },
    "machines/lamp.yaml": lamp,
    "hosts/all.yaml": { group: "all", select: 'host.name != ""' },
    "hosts/a.yaml": localHost("a", { lamp: "off" }),
    "hosts/b.yaml": localHost("b", { lamp: "off" }),
  };
  const both = (first: Partial<MachineRecord>): string[] => {
    const up = { state: "on", applied: applied("on") };
    const records = [record("a", "lamp", { ...up, ...first }), record("b", "lamp", up)];
    const given = world(files, { records, reports: [report("a"), report("b")] });
    return decide(given, ["b"]).map(({ act }) => act?.kind ?? "waits");
  };
  assert.equal(both({ attempt }), ["waits"]);
  assert.equal(both({}), ["start"], "without the failed try before it, it may go");
});

test("B1: a rebuilt host that says it is up already is taken down by its replay only where its group has room", () => {
  const files = (max: number): Files => ({
    "stateward.yaml": { rollout: { at_once: 10, canary: 0, waves: ["100%"], max_unavailable: max } },
    "machines/lamp.yaml": lamp,
    "hosts/all.yaml": { group: "all", select: 'host.name != ""' },
    "hosts/a.yaml": localHost("a", { lamp: "off" }),
    "hosts/b.yaml": localHost("b", { lamp: "busy" }),
  });
  const [isUp, isBusy] = [
    { state: "on", applied: applied("on") },
    { state: "busy", applied: applied("on", "busy") },
  ];
  const records = [record("a", "lamp", { ...isUp, state: "off" }), record("b", "lamp", isBusy)];
  const rebuilt = report("b", { incarnation: "life-two-0002", states: { lamp: { state: "on", revision: 9 } } });
  const acts = (max: number): string[] =>
    decide(world(files(max), { records, reports: [report("a"), rebuilt] }), ["b"]).map(
      ({ act, record: next }) => `${next?.machines.lamp?.state} ${act?.kind ?? "waits"}`,
    );
  // It counts as down until this is taken in, and so does the other one.
  assert.equal(acts(2), ["on waits"]);
  assert.equal(acts(3), ["on start"]);
});

/** A try of a transition of the lamp that runs. */
function attemptFrom(files: Files, from: string, to: string): NonNullable<MachineRecord["attempt"]> {
  const transition = world(files)
    .desired.loaded.repository.machines.get("lamp")
    ?.transitions.find((way) => way.from === from && way.to === to);
  assert.ok(transition);
  const common = {
    number: 1,
    status: "running" as const,
    startedAt: at(0),
    done: [],
    skipped: [],
    retryAt: null,
    error: null,
  };
  return {
    from,
    to,
    reason: "target",
    definition: definitionOf(transition),
    step: transition.steps[0]?.key ?? null,
    ...common,
  };
}

test.run();
