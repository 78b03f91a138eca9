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

const cases: readonly [string, Record<string, unknown>, string[]][] = [
  ["a good repository has none", good, []],
  ["an unknown key", { "hosts/a.yaml": `${host}tragets: {}\n` }, ["SW101 3"]],
  ["a key of the format that is not carried out", { "hosts/a.yaml": `${host}drift: correct\n` }, ["SW102 3"]],
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

for (const [name, files, wanted] of cases)
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
