// What a change would do, as a table of small fleets: who moves, by which way, what would keep it back, and what is not known.
import * as assert from "uvu/assert";
import type { DesiredCommit } from "../../reconciler/model/ports.ts";
import type { Proposal } from "../../reconciler/model/proposal.ts";
import {
  emptyFleet,
  type FleetRecord,
  fleetName,
  fleetSubject,
  type SubjectRecord,
} from "../../reconciler/model/record.ts";
import { RepositoryLoader } from "../../reconciler/model/repository.ts";
import { recordedWorld } from "../../reconciler/plan/forecast.ts";
import { propose } from "../../reconciler/plan/proposal.ts";
import { simulate } from "../../reconciler/plan/simulate.ts";
import { suite } from "../support/suite.ts";
import { atOnce, chain, type Files, lamp, localHost, noon, record, sources } from "../support/world.ts";

const test = suite("proposal");

/** Two commits read by one loader, as a mirror reads them: what did not change is the same value. */
function commits(base: Files, change: Files): { base: DesiredCommit; head: DesiredCommit } {
  const loader = new RepositoryLoader();
  const files = [base, { ...base, ...change }].map((item) => loader.load(sources(item)));
  const [before, after] = files;
  if (before === undefined || after === undefined) throw new Error("two are loaded");
  return { base: { commit: "b".repeat(40), loaded: before }, head: { commit: "c".repeat(40), loaded: after } };
}

interface Given {
  readonly records?: readonly SubjectRecord[];
  readonly fleet?: Partial<FleetRecord>;
  readonly movesMax?: number;
  readonly acknowledged?: number;
}

function plan(base: Files, change: Files, { records, fleet, movesMax, acknowledged }: Given = {}): Proposal {
  const { base: before, head } = commits(base, change);
  const all = [...(records ?? []), ...(fleet ? [fleetSubject({ ...emptyFleet, ...fleet })] : [])];
  const subjects = new Map(all.map((item) => [item.kind === "fleet" ? fleetName : item.name, item]));
  return propose({
    base: before,
    head: acknowledged === undefined ? head : { ...head, acknowledged },
    record: records === undefined && fleet === undefined ? null : { commit: "d".repeat(40), subjects },
    now: noon,
    ...(movesMax === undefined ? {} : { movesMax }),
  });
}

/** `a,b off>on target: off>on` for each move. */
const moves = (proposal: Proposal): string[] =>
  proposal.moves.map(
    ({ names, from, to, reason, path }) =>
      `${names.join(",")} ${from}>${to} ${reason}: ${path.map((step) => `${step.from}>${step.to}`).join(" ")}`,
  );

const two: Files = {
  "stateward.yaml": { ...atOnce, brakes: { max_moved: 100 } },
  "machines/lamp.yaml": lamp,
  "hosts/a.yaml": localHost("a", { lamp: "on" }, { owner: "ana" }),
  "hosts/b.yaml": localHost("b", { lamp: "on" }, { owner: "ben" }),
};
const atRest = (name: string, state: string): SubjectRecord =>
  record(name, "lamp", {
    state,
    conditions: [{ type: "Ready", status: "True", reason: "InSync", message: "", at: new Date(noon).toISOString() }],
  });
const busy = (name: string): object => localHost(name, { lamp: "busy" });

interface Case {
  readonly title: string;
  readonly base?: Files;
  readonly change: Files;
  readonly given?: Given;
  readonly moves: readonly string[];
  readonly see?: (proposal: Proposal) => void;
}

const cases: readonly Case[] = [
  {
    title: "nothing changes, nothing moves",
    change: {},
    moves: [],
    see: ({ counts }) => assert.is(counts.unchanged, 2),
  },
  {
    title: "without a record, base targets are taken for where hosts are, which is said",
    change: { "hosts/a.yaml": busy("a") },
    moves: ["a on>busy target: on>busy"],
    see: ({ notes, record: commit, counts }) => {
      assert.match(notes.join(), /No record was read/);
      assert.equal([commit, counts.unchanged], [null, 1]);
    },
  },
  {
    title: "with a record, a host goes from where it is",
    change: { "hosts/a.yaml": busy("a") },
    given: { records: [atRest("a", "off"), atRest("b", "on")] },
    moves: ["a off>busy target: off>on on>busy"],
    see: ({ notes }) => assert.equal(notes, []),
  },
  {
    title: "who is on the way already is no move of this change",
    change: { "hosts/a.yaml": busy("a") },
    given: { records: [atRest("a", "on"), atRest("b", "off")] },
    moves: ["a on>busy target: on>busy"],
    see: ({ counts, play }) => {
      assert.equal(counts, { hosts: 2, moved: 1, underWay: 1, unchanged: 0 });
      assert.equal([play?.transitions, play?.others], [1, 1]);
    },
  },
  {
    title: "hosts that go the same way are one entry, and a new one is told from others",
    change: { "hosts/a.yaml": busy("a"), "hosts/b.yaml": busy("b"), "hosts/c.yaml": busy("c") },
    moves: ["c off>busy added: off>on on>busy", "a,b on>busy target: on>busy"],
    see: ({ added, owners, unowned }) => assert.equal([added.hosts, owners, unowned], [["c"], ["ana", "ben"], 3]),
  },
  {
    title: "a host that is removed does not move, and its owner is concerned",
    change: { "hosts/b.yaml": null },
    moves: [],
    see: ({ removed, owners, counts }) => assert.equal([removed.hosts, owners, counts.unchanged], [["b"], ["ben"], 1]),
  },
  {
    title: "another owner: both are concerned, and the value is shown alone",
    change: { "hosts/b.yaml": localHost("b", { lamp: "on" }, { owner: "cem" }) },
    moves: [],
    see: ({ owners, changes }) => {
      assert.equal(owners, ["ben", "cem"]);
      assert.equal(changes, [{ kind: "host", names: ["b"], before: "owner: ben\n", after: "owner: cem\n" }]);
    },
  },
  {
    title: "another way to the same target, because the machine changes under a host that is on its way",
    base: { ...two, "hosts/a.yaml": busy("a") },
    change: {
      "machines/lamp.yaml": {
        ...lamp,
        states: { ...lamp.states, busy: { enter: [{ from: ["on", "off"], steps: [{ run: "be busy" }] }] } },
      },
    },
    given: { records: [atRest("a", "off"), atRest("b", "on")] },
    moves: ["a off>busy way: off>busy"],
    see: ({ machines, owners }) => {
      assert.equal([machines[0]?.change, machines[0]?.carriers], ["changed", 2]);
      assert.equal(owners, ["ben"], "those who carry the machine are concerned");
    },
  },
  {
    title: "D4: of a commit with errors, only these are said",
    change: { "hosts/a.yaml": localHost("a", { lamp: "gone" }), "hosts/b.yaml": null },
    moves: [],
    see: ({ errors, removed, counts, notes, play }) => {
      assert.equal(
        errors.map(({ code, file }) => `${code} ${file}`),
        ["SW204 hosts/a.yaml"],
      );
      assert.equal([removed.hosts, counts.moved, play], [[], 0, null]);
      assert.match(notes.join(), /would be refused/);
    },
  },
  {
    title: "a warning that was there before is not new",
    base: { ...two, "machines/chain.yaml": chain },
    change: { "machines/other.yaml": { ...chain, machine: "other" } },
    moves: [],
    see: ({ warnings }) =>
      assert.ok(warnings.length > 0 && warnings.every(({ file }) => file === "machines/other.yaml")),
  },
];
for (const { title, base = two, change, given, moves: expected, see } of cases)
  test(title, () => {
    const proposal = plan(base, change, given);
    assert.equal(moves(proposal), expected);
    see?.(proposal);
  });

test("a target that cannot be reached names one entry that would make it reachable", () => {
  const broken = {
    machine: "chain",
    initial: "a",
    states: { ...chain.states, c: null },
  };
  const files = { ...two, "machines/chain.yaml": broken, "hosts/z.yaml": localHost("z", { chain: "b" }) };
  const { errors, noPaths } = plan(files, { "hosts/z.yaml": localHost("z", { chain: "d" }) });
  assert.is(errors[0]?.code, "SW205");
  assert.equal(
    noPaths.map(({ names, missing }) => [names, missing]),
    [[["z"], { from: "b", to: "c" }]],
  );
  const repaired = { ...broken, states: { ...broken.states, c: { enter: [{ from: "b" }] } } };
  assert.equal(
    plan({ ...files, "machines/chain.yaml": repaired }, { "hosts/z.yaml": localHost("z", { chain: "d" }) }).noPaths,
    [],
  );
});

test("a host that is where no way leads on from has no path, though the commit has no errors", () => {
  const files = { ...two, "machines/chain.yaml": chain, "hosts/z.yaml": localHost("z", { chain: "d" }) };
  const records = [record("z", "chain", { state: "d" }), atRest("a", "on"), atRest("b", "on")];
  const { errors, noPaths, counts } = plan(files, { "hosts/z.yaml": localHost("z", { chain: "b" }) }, { records });
  assert.equal([errors.length, counts.moved], [0, 0]);
  assert.equal(
    noPaths.map(({ from, to, missing }) => [from, to, missing]),
    [["d", "b", { from: "d", to: "a" }]],
  );
});

const kinds: readonly (readonly [object, string])[] = [
  [{ run: "x" }, "opaque"],
  [{ shell: "x" }, "opaque"],
  [{ tcp: { port: 22 } }, "exact"],
  [{ http: { url: "http://127.0.0.1/" } }, "exact"],
  [{ http: { url: "http://127.0.0.1/", method: "POST" } }, "opaque"],
  [{ write: { path: "a", content: "b" } }, "exact"],
];
for (const [step, effect] of kinds)
  test(`the effect of ${JSON.stringify(step)} is ${effect}`, () => {
    const machine = { machine: "m", initial: "x", states: { x: null, y: { enter: [{ from: "x", steps: [step] }] } } };
    const files = { ...two, "machines/m.yaml": machine };
    const [move] = plan(files, { "hosts/z.yaml": localHost("z", { m: "y" }) }).moves;
    assert.equal([move?.path[0]?.steps[0]?.effect, move?.path[0]?.effect], [effect, effect]);
  });

test("a transition is as certain as its least certain step, and exact without one", () => {
  const steps = [{ tcp: { port: 22 } }, { run: "x", repeat: "never" }];
  const machine = {
    machine: "m",
    initial: "x",
    states: { x: null, y: { enter: [{ from: "x" }] }, z: { enter: [{ from: "y", steps }] } },
  };
  const [move] = plan({ ...two, "machines/m.yaml": machine }, { "hosts/q.yaml": localHost("q", { m: "z" }) }).moves;
  assert.equal(
    move?.path.map(({ effect }) => effect),
    ["exact", "opaque"],
  );
  assert.equal(
    move?.path[1]?.steps.map(({ repeat }) => repeat),
    ["always", "never"],
  );
});

test("a guard says for how many hosts it does not hold now", () => {
  const guarded = {
    ...lamp,
    states: { ...lamp.states, busy: { enter: [{ from: "on", when: 'host.labels.role == "x"' }] } },
  };
  const files = { ...two, "machines/lamp.yaml": guarded };
  const change = {
    "hosts/a.yaml": busy("a"),
    "hosts/b.yaml": localHost("b", { lamp: "busy" }, { labels: { role: "x" } }),
  };
  const [move] = plan(files, change).moves;
  assert.equal(move?.path[0]?.guard, { when: 'host.labels.role == "x"', closed: 1, asked: 2 });
});

const hindrances = ({ hindrances: all }: Proposal): string[] =>
  all.map(({ kind, message, names }) => `${kind} ${names.join(",")}: ${message}`);
const many: Files = {
  "stateward.yaml": { brakes: { max_moved: 1, max_removed: 0 } },
  "machines/lamp.yaml": lamp,
  ...Object.fromEntries(["a", "b", "c"].map((name) => [`hosts/${name}.yaml`, localHost(name, { lamp: "on" })])),
};

test("B3: more moves than one commit may make wait for a word, by the limits that hold before the change", () => {
  const change = {
    "hosts/a.yaml": busy("a"),
    "hosts/b.yaml": busy("b"),
    "stateward.yaml": { brakes: { max_moved: 99 } },
  };
  const expected = ["approval : it would move 2 hosts, more than 1"];
  assert.equal(hindrances(plan(many, change)), expected);
  const records = ["a", "b", "c"].map((name) => atRest(name, "on"));
  assert.equal(hindrances(plan(many, change, { records })), expected, "with a record it is the same");
  assert.equal(hindrances(plan(many, change, { records, acknowledged: 2 })), []);
  assert.match(plan(many, change).hindrances[0]?.remedy ?? "", /Acknowledge-Moves: 2/);
});

test("B3: removals wait for a word, too", () => {
  assert.equal(hindrances(plan(many, { "hosts/a.yaml": null })), ["approval : it would remove 1 hosts, more than 0"]);
});

test("holds, windows and halted rollouts name the hosts that they keep", () => {
  const at = new Date(noon - 1000).toISOString();
  const hold = { select: "host/a", reason: "disk", by: "ana", at, until: null };
  const windows = [{ deny: { cron: "0 0 * * *", for: "24h" }, select: 'host.name == "b"', reason: "freeze" }];
  const files = { ...two, "stateward.yaml": { ...(two["stateward.yaml"] as object), windows } };
  const records = [atRest("a", "on"), atRest("b", "on")];
  const change = { "hosts/a.yaml": busy("a"), "hosts/b.yaml": busy("b") };
  const [held, denied] = hindrances(plan(files, change, { records, fleet: { holds: [hold] } }));
  assert.match(held ?? "", /^hold a: held by ana since .*: disk$/);
  assert.match(denied ?? "", /^window b: changes are denied.*: freeze$/);
});

test("what is recorded of the fleet counts: a hold that the change takes hosts out of waits for a word (B5)", () => {
  const group = { group: "web", select: 'host.labels.role == "web"' };
  const web = (name: string, more: object = {}): object =>
    localHost(name, { lamp: "on" }, { labels: { role: "web" }, ...more });
  const files = { ...two, "hosts/web.yaml": group, "hosts/a.yaml": web("a"), "hosts/b.yaml": web("b") };
  const hold = { select: "group/web", reason: "x", by: "ana", at: new Date(noon).toISOString(), until: null };
  const records = [atRest("a", "on"), atRest("b", "on")];
  const given = plan(files, { "hosts/a.yaml": localHost("a", { lamp: "on" }) }, { records, fleet: { holds: [hold] } });
  assert.equal(hindrances(given), ["approval : it would take hosts out of the hold on group/web"]);
});

test("waves and the play are those of the reconciler's own code, and a play that is cut is said to be", () => {
  const bright = { ...lamp, states: { ...lamp.states, busy: { ...lamp.states.busy, available: true } } };
  const names = Array.from({ length: 20 }, (_, index) => `h${String(index).padStart(2, "0")}`);
  const group = {
    group: "web",
    select: "true",
    rollout: { max_unavailable: 2, canary: 1, waves: ["25%"], soak: "1m" },
  };
  const hosts = (target: string): Files =>
    Object.fromEntries(names.map((name) => [`hosts/${name}.yaml`, localHost(name, { lamp: target })]));
  const files = {
    "stateward.yaml": { brakes: { max_moved: 100 } },
    "machines/lamp.yaml": bright,
    "hosts/web.yaml": group,
    ...hosts("on"),
  };
  const whole = plan(files, hosts("busy"));
  assert.equal(whole.rollouts, [
    {
      scope: "web/lamp=busy",
      group: "web",
      machine: "lamp",
      to: "busy",
      hosts: 20,
      waves: [1, 6, 11, 16, 20],
      canary: 1,
      soakMs: 60_000,
      maxUnavailable: "2",
      maxFailures: 0,
      order: [],
    },
  ]);
  const records = new Map(names.map((name) => [name, atRest(name, "on")]));
  const played = simulate(recordedWorld({ now: noon, desired: commits(files, hosts("busy")).head, records }));
  assert.equal(
    [whole.play?.transitions, whole.play?.peak, whole.play?.durationMs],
    [20, played.peak, played.durationMs],
  );
  const [web] = whole.play?.groups ?? [];
  assert.ok(web !== undefined && web.lowest < web.before, JSON.stringify(whole.play));
  const cut = plan(files, hosts("busy"), { movesMax: 3 });
  assert.is(cut.play?.isCut, true);
  assert.match(cut.notes.join(), /Only the first \d+ transitions were played/);
});

test("A2: a secret that changes is hidden, and said to be another", () => {
  const host = (password: string): object =>
    localHost("a", { lamp: "on" }, { vars: { db_password: password, port: "1" } });
  const [change] = plan(
    { ...two, "hosts/a.yaml": host("hunter2-old") },
    { "hosts/a.yaml": host("hunter2-new") },
  ).changes;
  assert.equal(change, {
    kind: "host",
    names: ["a"],
    before: 'vars:\n  db_password: "***"\n',
    after: 'vars:\n  db_password: "*** (another value)"\n',
  });
});

test("hosts whose values change alike are one diff, also where the rest of them differs", () => {
  const host = (name: string, port: string): object =>
    localHost(name, { lamp: "on" }, { owner: name, vars: { port, own: name } });
  const files = { ...two, "hosts/a.yaml": host("a", "80"), "hosts/b.yaml": host("b", "80") };
  const { changes } = plan(files, { "hosts/a.yaml": host("a", "81"), "hosts/b.yaml": host("b", "81") });
  assert.equal(changes, [
    { kind: "host", names: ["a", "b"], before: 'vars:\n  port: "80"\n', after: 'vars:\n  port: "81"\n' },
  ]);
});

test("settings and machines change as a whole, and what only looks otherwise does not", () => {
  const { changes } = plan(two, {
    "stateward.yaml": { ...(two["stateward.yaml"] as object), look: "5s" },
    "machines/lamp.yaml": `# a comment\n${JSON.stringify(lamp)}`,
  });
  assert.equal(
    changes.map(({ kind, names }) => `${kind} ${names.join()}`),
    ["settings stateward.yaml"],
  );
});

test("R1: the same input gives the same bytes, whatever was planned before", () => {
  const change = { "hosts/a.yaml": busy("a"), "hosts/c.yaml": busy("c") };
  const [first, again] = [plan(two, change), plan(two, change)];
  assert.is(JSON.stringify(first), JSON.stringify(again));
});

test.run();
