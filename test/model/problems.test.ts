// Bad input: each a coded problem at its line, all of them at once, and never an exception (D4).
import * as assert from "uvu/assert";
import { nearest } from "../../reconciler/model/problem.ts";
import { suite } from "../support/suite.ts";
import { chain, lamp, load, localHost } from "../support/world.ts";

const test = suite("problems");

/** `code line` of every error. */
function errors(files: Record<string, unknown>): string[] {
  return load(files)
    .problems.filter(({ severity }) => severity === "error")
    .map(({ code, line }) => `${code} ${line}`);
}

const host = "host: a\ntransport: local\n";
const good = { "machines/lamp.yaml": lamp, "hosts/a.yaml": localHost("a", { lamp: "on" }) };

type Case = [string, Record<string, unknown>, string[]];

/** A machine whose one entry, on line 6, has these keys from line 7 on. */
const machineWith = (keys: string): string =>
  `machine: m\ninitial: a\nstates:\n  b:\n    enter:\n      - from: a\n        ${keys}\n  a:\n    enter: [{ from: b }]\n`;
/** A machine with these keys from line 4 on. */
const machineAnd = (keys: string): string =>
  `machine: m\ninitial: a\nstates: { a: { enter: [{ from: b }] }, b: { enter: [{ from: a }] } }\n${keys}`;
const window = (time: string, more = ""): Record<string, unknown> => ({
  "stateward.yaml": `windows:\n  - deny:\n      ${time}\n${more}`,
});
const remedies = (names: readonly string[], step = "{ run: x }"): string =>
  `remedies:\n${names.map((name) => `  - name: ${name}\n    when: record.state == "b"\n    steps: [${step}]\n`).join("")}`;

const cases: readonly Case[] = [
  ["a good repository has none", good, []],
  ["an unknown key", { "hosts/a.yaml": `${host}tragets: {}\n` }, ["SW101 3"]],
  ["a key of the format that is not carried out", { "hosts/a.yaml": `${host}pool: web\n` }, ["SW102 3"]],
  ["settings that are not carried out", { "stateward.yaml": "channels: {}\n" }, ["SW102 1"]],
  ["signed history needs a beginning", { "stateward.yaml": "verify: {}\n" }, ["SW106 1"]],
  [
    "signers are a file of the repository",
    { "stateward.yaml": `verify: { signers: ../x, since: ${"a".repeat(40)} }\n` },
    ["SW105 1"],
  ],
  ...["ansible", "puppet", "chef"].map(
    (tool): Case => [
      `a step by ${tool}, which is not carried out`,
      { "machines/m.yaml": machineWith(`steps:\n          - { run: x, ${tool}: y }`) },
      ["SW102 8"],
    ],
  ),
  ["a wrong type", { "hosts/a.yaml": `${host}targets: 3\n` }, ["SW103 3"]],
  ["a value that is not accepted", { "hosts/a.yaml": "host: a\ntransport: pigeon\n" }, ["SW104 2"]],
  ["a name of the wrong form", { "hosts/a.yaml": "host: ../a\ntransport: local\n" }, ["SW105 1"]],
  ["a label key that would be an object's own", { "hosts/a.yaml": `${host}labels:\n  __proto__: x\n` }, ["SW105 4"]],
  ["a missing key", { "hosts/a.yaml": "transport: local\n" }, ["SW106 1"]],
  [
    "a list that is too short",
    { "machines/m.yaml": "machine: m\ninitial: a\nstates:\n  a:\n    enter:\n      - from: []\n" },
    ["SW107 6"],
  ],
  [
    "two actions in one step",
    {
      "machines/m.yaml":
        "machine: m\ninitial: a\nstates:\n  a:\n    enter:\n      - from: b\n        steps:\n          - { run: x, shell: y }\n  b:\n    enter: [{ from: a }]\n",
    },
    ["SW108 8"],
  ],
  ["a name used twice", { ...good, "hosts/b.yaml": host }, ["SW201 1"]],
  ["a host and a group of one name", { ...good, "hosts/g.yaml": "group: a\n" }, ["SW201 1"]],
  [
    "two hosts on one address",
    { "hosts/a.yaml": "host: a\naddress: 10.0.0.1\n", "hosts/b.yaml": "host: b\naddress: 10.0.0.1\n" },
    ["SW202 2"],
  ],
  ["a missing machine", { ...good, "hosts/b.yaml": "host: b\ntransport: local\ntargets:\n  lmap: on\n" }, ["SW203 4"]],
  ["a missing state", { ...good, "hosts/b.yaml": "host: b\ntransport: local\ntargets:\n  lamp: onn\n" }, ["SW204 4"]],
  [
    "a target that no path reaches",
    {
      "machines/m.yaml":
        "machine: m\ninitial: a\nstates: { a: , b: { enter: [{ from: c }] }, c: { enter: [{ from: b }] } }\n",
    },
    ["SW302 3", "SW302 3"],
  ],
  [
    "a region that is not listed",
    { "stateward.yaml": "regions: [east]\n", "hosts/a.yaml": `${host}region: eats\n` },
    ["SW206 3"],
  ],
  [
    "a template without its value",
    {
      "machines/m.yaml":
        "machine: m\ninitial: a\nstates: { a: , b: { enter: [{ from: a, steps: [{ run: 'x ${host.vars.port}' }] }] } }\n",
      "hosts/a.yaml": `${host}targets:\n  m: b\n`,
    },
    ["SW207 4"],
  ],
  [
    "steps for a host that only reports",
    { "machines/lamp.yaml": lamp, "hosts/a.yaml": "host: a\ntransport: agent\ntargets: { lamp: on }\n" },
    ["SW208 3", "SW208 3", "SW208 3"],
  ],
  [
    "a target that is only passed through",
    {
      "machines/m.yaml":
        "machine: m\ninitial: a\nstates: { a: { enter: [{ from: b }] }, b: { transient: true, enter: [{ from: a }] } }\n",
      "hosts/a.yaml": `${host}targets: { m: b }\n`,
    },
    ["SW209 3"],
  ],
  [
    "an unknown state in from",
    { "machines/m.yaml": "machine: m\ninitial: a\nstates:\n  a:\n  b:\n    enter:\n      - from: aa\n" },
    ["SW301 7"],
  ],
  ["an initial state that is none", { "machines/m.yaml": "machine: m\ninitial: z\nstates: { a: }\n" }, ["SW301 2"]],
  [
    "two entries for one pair",
    {
      "machines/m.yaml": "machine: m\ninitial: a\nstates:\n  a:\n  b:\n    enter:\n      - from: a\n      - from: a\n",
    },
    ["SW304 8"],
  ],
  [
    "automatic transitions in a circle",
    {
      "machines/m.yaml":
        "machine: m\ninitial: a\nstates:\n  a:\n    enter:\n      - { from: b, auto: true }\n  b:\n    enter:\n      - { from: a, auto: true }\n",
    },
    ["SW305 6"],
  ],
  [
    "a passage without an exit",
    { "machines/m.yaml": "machine: m\ninitial: a\nstates: { a: , b: { transient: true, enter: [{ from: a }] } }\n" },
    ["SW306 3"],
  ],
  [
    "a guard with a typing mistake",
    {
      "machines/m.yaml":
        "machine: m\ninitial: a\nstates:\n  a:\n  b:\n    enter:\n      - from: a\n        when: host.lables.x == '1'\n",
    },
    ["SW401 8"],
  ],
  [
    "a guard over a group that does not exist",
    {
      "machines/m.yaml":
        "machine: m\ninitial: a\nstates:\n  a:\n  b:\n    enter:\n      - from: a\n        when: group.primry.all(h, true)\n",
    },
    ["SW401 8"],
  ],
  [
    "a guard that is no condition",
    {
      "machines/m.yaml":
        "machine: m\ninitial: a\nstates:\n  a:\n  b:\n    enter:\n      - from: a\n        when: host.name\n",
    },
    ["SW402 8"],
  ],
  [
    "a guard with three loops in one another",
    {
      "machines/m.yaml":
        "machine: m\ninitial: a\nstates:\n  a:\n  b:\n    enter:\n      - from: a\n        when: hosts.all(x, hosts.all(y, hosts.all(z, true)))\n",
    },
    ["SW403 8"],
  ],
  ["no settings", { "stateward.yaml": null }, ["SW501 1"]],
  [
    "templates in a script",
    {
      "machines/m.yaml":
        "machine: m\ninitial: a\nstates: { a: , b: { enter: [{ from: a, steps: [{ shell: 'echo ${host.name}' }] }] } }\n",
    },
    ["SW105 3"],
  ],
];

const fleetCases: readonly Case[] = [
  ["a window with all it needs", window("cron: 0 22 * * *\n      for: 6h", "    select: host.region == 'east'\n"), []],
  ["a window on holidays", window("holidays: true\n      zone: Europe/Berlin"), []],
  ["a window without a length", window("cron: 0 22 * * *"), ["SW106 3"]],
  ["a window without a start", window("for: 6h"), ["SW106 3"]],
  ["a window that is not on holidays, nor by cron", window("holidays: false"), ["SW106 3"]],
  ["a window on holidays and by cron", window("holidays: true\n      cron: 0 22 * * *\n      for: 6h"), ["SW105 4"]],
  ["a window with no expression of cron", window("cron: 0 22 * *\n      for: 6h"), ["SW105 3"]],
  ["a window without a kind", { "stateward.yaml": "windows:\n  - reason: x\n" }, ["SW106 2"]],
  ["a window for nobody", window("holidays: true", "    select: host.lables.x == '1'\n"), ["SW401 4"]],
  ["a window whose selector is no condition", window("holidays: true", "    select: host.name\n"), ["SW402 4"]],
  [
    "holidays, there and here",
    {
      "stateward.yaml": 'holidays: { "2026-12-25": Christmas }\n',
      "holidays.yaml": "holidays:\n  2028-02-29: Leap day\n",
    },
    [],
  ],
  ["a holiday that is no day", { "holidays.yaml": "holidays:\n  2026-02-29: Leap day\n" }, ["SW105 2"]],
  ["a holiday of another form", { "stateward.yaml": "holidays:\n  25.12.2026: Christmas\n" }, ["SW105 2"]],
  [
    "regions in order, of which one is not listed",
    { "stateward.yaml": "regions: [east, west]\nrollout:\n  order:\n    - west\n    - eats\n" },
    ["SW206 5"],
  ],
  [
    "a group's regions in order, of which one is not listed",
    { "stateward.yaml": "regions: [east]\n", "hosts/g.yaml": "group: g\nrollout:\n  order: [eats]\n" },
    ["SW206 3"],
  ],
  ["an amount of another form", { "stateward.yaml": "rollout:\n  max_unavailable: ten\n" }, ["SW105 2"]],
  ["a share of nothing", { "stateward.yaml": "brakes:\n  max_lost: 1/0\n" }, ["SW105 2"]],
  ["no wave", { "stateward.yaml": "rollout:\n  waves: []\n" }, ["SW107 2"]],
  ["a governor without permits", { "stateward.yaml": "governors:\n  db: 0\n" }, ["SW107 2"]],
  ["a governor without a limit", { "stateward.yaml": "governors:\n  db: { expires: 1h }\n" }, ["SW106 2"]],
  ["an unknown governor", { "machines/m.yaml": machineWith("governors: [db]") }, ["SW212 7"]],
  [
    "a known governor",
    { "machines/m.yaml": machineWith("governors: [db]"), "stateward.yaml": "governors: { db: 2 }\n" },
    [],
  ],
  [
    "a barrier of an unknown group",
    { "machines/m.yaml": machineAnd("").replace("b: { enter", "b: { barrier: { group: g }, enter") },
    ["SW211 3"],
  ],
  [
    "a barrier with an unknown machine",
    {
      "machines/m.yaml": machineAnd("").replace("b: { enter", "b: { barrier: { group: g, machine: n }, enter"),
      "hosts/g.yaml": "group: g\n",
    },
    ["SW203 3"],
  ],
  [
    "a barrier with an unknown state",
    {
      "machines/m.yaml": machineAnd("").replace("b: { enter", "b: { barrier: { group: g, state: [a, z] }, enter"),
      "hosts/g.yaml": "group: g\n",
    },
    ["SW204 3"],
  ],
  ["replace without steps", { "machines/m.yaml": machineAnd("recovery:\n  then: replace\n") }, ["SW106 5"]],
  [
    "a host that is to replace itself",
    { "machines/m.yaml": machineAnd("recovery:\n  then: replace\n  replace:\n    - run: reinstall\n") },
    ["SW208 7"],
  ],
  [
    "steps of recovery from elsewhere",
    {
      "machines/m.yaml": machineAnd(
        'recovery:\n  then: replace\n  replace:\n    - { run: "reinstall ${host.name}", on: controller }\n    - http: { url: "http://x/" }\n',
      ),
    },
    [],
  ],
  ["recovery of another sort", { "machines/m.yaml": machineAnd("recovery:\n  then: pray\n") }, ["SW104 5"]],
  [
    "on: controller, where a step is made from there anyway",
    { "machines/m.yaml": machineWith('steps: [{ http: { url: "http://x/" }, on: controller }]') },
    ["SW105 7"],
  ],
  [
    "on: controller, for a file of the host",
    { "machines/m.yaml": machineWith("steps: [{ write: { path: x, content: y }, on: controller }]") },
    ["SW105 7"],
  ],
  ["on: elsewhere", { "machines/m.yaml": machineWith("steps: [{ run: x, on: moon }]") }, ["SW104 7"]],
  ["two remedies of one name", { "machines/m.yaml": machineAnd(remedies(["r", "s", "r"])) }, ["SW201 11"]],
  [
    "a remedy without steps",
    { "machines/m.yaml": machineAnd("remedies:\n  - { name: r, when: 'true' }\n") },
    ["SW106 5"],
  ],
  [
    "a remedy with a typing mistake in its guard",
    { "machines/m.yaml": machineAnd(remedies(["r"]).replace("record.state", "recrod.state")) },
    ["SW401 6"],
  ],
  ["a remedy whose step has no action", { "machines/m.yaml": machineAnd(remedies(["r"], "{ name: x }")) }, ["SW108 7"]],
  ["a limit of another form", { "machines/m.yaml": machineAnd(`${remedies(["r"])}    limit: thrice\n`) }, ["SW105 8"]],
  ["drift of another sort", { "machines/m.yaml": machineAnd("drift: ignore\n") }, ["SW105 4"]],
  [
    "a hold until an offset without minutes",
    { "hosts/a.yaml": `${host}hold: { reason: x, by: ana, until: "2026-12-01T09:00:00+01" }\n` },
    ["SW105 3"],
  ],
  [
    "a hold until a second that no clock has",
    { "hosts/a.yaml": `${host}hold: { reason: x, by: ana, until: "2026-12-31T23:59:60Z" }\n` },
    ["SW105 3"],
  ],
  [
    "a hold until a time",
    { "hosts/a.yaml": `${host}hold: { reason: x, by: ana, until: "2026-12-01T09:00:00+01:00" }\n` },
    [],
  ],
  ["drift until no time", { "hosts/a.yaml": `${host}drift: { mode: tolerate, until: tomorrow }\n` }, ["SW105 3"]],
  [
    "opposite orders of regions in groups that share a host",
    {
      "hosts/a.yaml": 'group: a\nselect: "true"\nrollout: { order: [east, west] }\n',
      "hosts/b.yaml": 'group: b\nselect: "true"\nrollout: { order: [west, east] }\n',
      "hosts/h.yaml": "host: h\ntransport: local\n",
    },
    ["SW213 3"],
  ],
];

for (const [name, files, wanted] of [...cases, ...fleetCases])
  test(`D4: ${name}: ${wanted.join(", ") || "no error"}`, () => assert.equal(errors(files), wanted));

test("all problems of all files are reported at once, in the order of files and lines", () => {
  const found = errors({
    "hosts/b.yaml": "host: b\nx: 1\ny: 2\n",
    "hosts/a.yaml": "host: 1\n",
    "machines/m.yaml": ":\n  - ]",
  });
  assert.equal(found.slice(0, 3), ["SW103 1", "SW101 2", "SW101 3"]);
  assert.ok(found.some((text) => text.startsWith("SW006")));
});

test("a problem says where, what and what to do, with the nearest known key", () => {
  const [problem] = load({ "hosts/a.yaml": `${host}tragets: {}\n` }).problems;
  assert.equal(problem && [problem.file, problem.line, problem.column, problem.remedy], [
    "hosts/a.yaml",
    3,
    1,
    "did you mean targets?",
  ]);
});

test("a state without a way back is a warning, and keeps nothing from happening", () => {
  const { problems } = load({ "machines/chain.yaml": chain });
  assert.equal(
    problems.map(({ code, severity }) => `${code} ${severity}`),
    ["SW303 warning", "SW303 warning", "SW303 warning"],
  );
});

test("the nearest word is near, or there is none", () => {
  assert.is(nearest("tragets", ["host", "targets", "labels"]), "targets");
  assert.is(nearest("zzz", ["host", "targets", "labels"]), null);
});

test.run();
