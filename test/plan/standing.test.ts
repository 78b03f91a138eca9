// How one host stands, where that decides whether others go on: what was once wrong about it, each as the smallest fleet that shows it.
import * as assert from "uvu/assert";
import { emptyFleet, type MachineRecord, withUpkeep } from "../../reconciler/model/record.ts";
import { isMostlyHeard, tooManyLost, wipeRefusal } from "../../reconciler/plan/brakes.ts";
import { decide } from "../../reconciler/plan/decide.ts";
import { simulate } from "../../reconciler/plan/simulate.ts";
import { worldOf } from "../../reconciler/plan/tally.ts";
import { why } from "../../reconciler/plan/why.ts";
import type { World } from "../../reconciler/plan/world.ts";
import { suite } from "../support/suite.ts";
import { applied, type Files, lamp, localHost, noon, record, report, world } from "../support/world.ts";

const test = suite("standing");
const on: Partial<MachineRecord> = { state: "on", applied: applied("on"), revision: 1 };
const at = (ms: number): string => new Date(noon + ms).toISOString();

/** A lamp on each of these hosts, to be in a state, in one group of which one may be down. */
const lamps = (targets: Readonly<Record<string, string>>, rollout: object = {}, more: object = {}): Files => ({
  "stateward.yaml": { rollout: { at_once: 1, canary: 1, waves: [1], max_unavailable: 1, ...rollout } },
  "machines/lamp.yaml": lamp,
  "hosts/all.yaml": { group: "all", select: "true" },
  ...Object.fromEntries(
    Object.entries(targets).map(([name, target]) => [`hosts/${name}.yaml`, localHost(name, { lamp: target })]),
  ),
  ...more,
});
const starts = (given: World, names?: readonly string[]): string[] =>
  decide(given, names).flatMap(({ subject, act }) => (act?.kind === "start" ? [subject] : []));
const moved = (given: World): string[] => simulate(given).moves.map(({ subject, to }) => `${subject} ${to}`);

test("B1: a host that answers in another life is down, before that is recorded", () => {
  const given = world(lamps({ a: "busy", b: "on" }), {
    records: [record("a", "lamp", on), record("b", "lamp", on)],
    reports: [report("a"), report("b", { incarnation: "life-two-0002" })],
  });
  assert.equal(starts(given, ["a"]), []);
});

test("L1: a host that went silent in the line of a gate keeps nobody from it", () => {
  const waiting = { for: "fleet", since: at(-1000) };
  const { machines, ...a } = record("a", "lamp", {});
  const withWaiting = { ...a, machines: { lamp: withUpkeep(machines.lamp as MachineRecord, { waiting }) } };
  const given = world(lamps({ a: "on", b: "on" }, { max_unavailable: 2, canary: 2 }), {
    records: [withWaiting, record("b", "lamp", {})],
    reports: [report("a", { reachable: false, heardAt: noon, missed: 1 }), report("b")],
  });
  assert.equal(starts(given), ["b"]);
});

test("B2: a brake that was released by a clock that was ahead still counts the losses until that time has come", () => {
  const names = ["a", "b", "c", "d", "e"];
  const lost = { at: at(-60_000), silent: true, recovering: null, replacedAt: null, failed: [], quarantined: false };
  const given = (releasedAt: string): World => {
    const records = names.map((name) => record(name, "lamp", on, { lost }));
    const plain = world(lamps(Object.fromEntries(names.map((name) => [name, "on"]))), { records });
    return worldOf({ ...plain, fleet: { ...emptyFleet, released: { at: releasedAt, by: "ana", reason: "looked" } } });
  };
  assert.is(tooManyLost(given(at(-30_000)))?.lost, undefined, "losses before a release do not count");
  assert.is(tooManyLost(given(at(-90_000)))?.lost, 5);
  assert.is(tooManyLost(given(at(365 * 86_400_000)))?.lost, 5, "a year ahead");
  assert.ok(isMostlyHeard(given(at(0))));
  assert.not(
    isMostlyHeard(given(at(365 * 86_400_000))),
    "nor does it end the quiet start of every reconciler until then",
  );
});

test("R1: of two hosts that were replaced at one time, the same one is named, whichever was made first", () => {
  const lost = {
    at: at(-60_000),
    silent: false,
    recovering: null,
    replacedAt: at(-60_000),
    failed: [],
    quarantined: false,
  };
  const given = world(lamps({ a: "on", b: "on", c: "on" }), {
    records: ["a", "b", "c"].map((name) => record(name, "lamp", {}, name === "c" ? {} : { lost })),
  });
  const { loaded } = given.desired;
  const hosts = new Map([...loaded.repository.hosts].toReversed());
  const desired = { ...given.desired, loaded: { ...loaded, repository: { ...loaded.repository, hosts } } };
  const c = hosts.get("c");
  assert.ok(c);
  assert.equal(wipeRefusal(worldOf({ ...given, desired }), c), wipeRefusal(given, c));
});

test("a rollout that has ended leaves nothing in the sums", () => {
  const given = world(lamps({ a: "on" }), { records: [record("a", "lamp", {})], reports: [report("a")] });
  const { fleet, tally } = simulate(given).world;
  assert.equal([fleet.rollouts["fleet/lamp=on"]?.phase, tally.scopeNames()], ["done", []]);
});

test("the canary that failed and then answers no more goes on being the canary that failed", () => {
  const files = lamps({ a: "on", b: "on" }, { max_unavailable: 2 });
  const given = world(files, {
    records: [record("a", "lamp", {}), record("b", "lamp", {})],
    reports: [report("a"), report("b")],
  });
  const failed = simulate(given, { outcome: () => "failed" }).world;
  assert.is(failed.fleet.rollouts["fleet/lamp=on"]?.phase, "halted");
  const reports = new Map(failed.reports);
  reports.set("a", report("a", { reachable: false, heardAt: failed.now, missed: 1 }));
  assert.equal(moved(worldOf({ ...failed, reports })), []);
});

test("L1: a host that comes to its state in the instant in which the rollout begins still has its turn", () => {
  const loop = {
    machine: "lamp",
    initial: "off",
    states: {
      off: null,
      on: { enter: [{ from: ["off", "dim"], steps: [{ run: "x", on: "controller" }] }] },
      dim: { enter: [{ from: "on" }] },
    },
  };
  const agent = { host: "a", transport: "agent", targets: { lamp: "on" } };
  const given = world(lamps({}, {}, { "machines/lamp.yaml": loop, "hosts/a.yaml": agent }), {
    records: [record("a", "lamp", { state: "off", replay: ["on", "dim"] })],
    reports: [report("a")],
  });
  assert.equal(moved(given), ["a on", "a on"]);
});

test("L1: a host that a transition without steps has taken down goes on, though others wait to be taken down", () => {
  const quick = {
    machine: "lamp",
    initial: "off",
    states: {
      off: { enter: [{ from: "on" }] },
      on: { available: true, enter: [{ from: ["off", "bright"], steps: [{ run: "x", on: "controller" }] }] },
      bright: { available: true, enter: [{ from: "off", steps: [{ run: "x", on: "controller" }] }] },
    },
  };
  const agents = Object.fromEntries(
    ["a", "b"].map((host) => [`hosts/${host}.yaml`, { host, transport: "agent", targets: { lamp: "bright" } }]),
  );
  const given = world(lamps({}, { at_once: 2, canary: 2 }, { "machines/lamp.yaml": quick, ...agents }), {
    records: [record("a", "lamp", on), record("b", "lamp", on)],
    reports: [report("a"), report("b")],
  });
  assert.equal(moved(given), ["a bright", "b bright"]);
});

test("a play takes silent agents for silent, and plays what a rebuilt host has still to go through", () => {
  const remote = {
    machine: "lamp",
    initial: "off",
    states: { off: null, on: { enter: [{ from: "off", steps: [{ run: "x", on: "controller" }] }] } },
  };
  const agent = { host: "a", transport: "agent", targets: { lamp: "on" } };
  const silent = world(lamps({}, {}, { "machines/lamp.yaml": remote, "hosts/a.yaml": agent }), {
    records: [record("a", "lamp", {})],
    reports: [report("a", { at: noon - 600_000 })],
  });
  assert.equal(moved(silent), []);
  const ready = { type: "Ready", status: "True", reason: "InSync", message: "", at: at(0) } as const;
  const replayed = world(lamps({ a: "off" }), {
    records: [record("a", "lamp", { state: "off", replay: ["on"], conditions: [ready] })],
    reports: [report("a")],
  });
  assert.equal(moved(replayed), ["a on", "a off"]);
});

test("why says what a barrier waits for, also where its group has too few hosts", () => {
  for (const [select, count, text] of [
    ["false", 1, "the group few had a host"],
    ["true", 3, "2 more of few had come"],
  ] as const) {
    const behind = {
      ...lamp,
      states: { ...lamp.states, busy: { ...lamp.states.busy, barrier: { group: "few", count } } },
    };
    const files = lamps(
      { a: "busy" },
      {},
      { "machines/lamp.yaml": behind, "hosts/few.yaml": { group: "few", select } },
    );
    const given = world(files, { records: [record("a", "lamp", on)], reports: [report("a")] });
    assert.is(why(given, "a")?.[0]?.goesOnIf, text);
  }
});

test.run();
