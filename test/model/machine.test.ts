// Machines as graphs, guards and templates.
import * as fc from "fast-check";
import * as assert from "uvu/assert";
import { findPath, withoutLoops } from "../../reconciler/model/graph.ts";
import { staticValues } from "../../reconciler/model/guard-values.ts";
import { splitWords } from "../../reconciler/model/machine.ts";
import { parseTemplate, renderTemplate } from "../../reconciler/model/template.ts";
import type { Host, Machine, Transition } from "../../reconciler/model/types.ts";
import { suite } from "../support/suite.ts";
import { chain, desired, load } from "../support/world.ts";

const test = suite("machine");

function machine(edges: readonly (readonly [string, string, number])[]): Machine {
  const names = [...new Set(edges.flatMap(([from, to]) => [from, to]))];
  const states = new Map(
    names.map((name) => [
      name,
      { name, description: "", available: false, transient: false, check: null, barrier: null },
    ]),
  );
  const transitions = edges.map(
    ([from, to, cost]): Transition => ({ from, to, cost, when: null, auto: false, governors: [], steps: [] }),
  );
  // All that is not said here is as in any machine that says nothing of it.
  const whole = desired({ "machines/chain.yaml": chain }).loaded.repository.machines.get("chain");
  if (!whole) throw new Error("the chain is there");
  return { ...whole, name: "m", initial: names[0] ?? "", states, transitions };
}

const path = (found: readonly Transition[] | null): string =>
  found === null ? "none" : found.map(({ to }) => to).join(" ");

test("the cheapest path wins, by cost and not by length", () => {
  const m = machine([
    ["a", "d", 10],
    ["a", "b", 1],
    ["b", "c", 1],
    ["c", "d", 1],
  ]);
  assert.is(path(findPath(m, "a", "d")), "b c d");
});

test("a step without a name has the identity of its command and of where it runs", () => {
  const steps = [{ run: "x" }, { run: "x", on: "controller" }, { run: "y" }];
  const files = {
    "machines/m.yaml": { machine: "m", initial: "a", states: { a: null, b: { enter: [{ from: "a", steps }] } } },
  };
  const parsed = load(files).repository.machines.get("m")?.transitions[0]?.steps ?? [];
  assert.is(new Set(parsed.map(({ key }) => key)).size, 3);
});

test("ties go to the order in the file", () => {
  assert.is(
    path(
      findPath(
        machine([
          ["a", "c", 1],
          ["a", "b", 1],
          ["c", "d", 1],
          ["b", "d", 1],
        ]),
        "a",
        "d",
      ),
    ),
    "c d",
  );
});

test("from a state to itself there is nothing to do; without a way there is none", () => {
  const m = machine([["a", "b", 1]]);
  assert.is(path(findPath(m, "a", "a")), "");
  assert.is(path(findPath(m, "b", "a")), "none");
});

/** All costs by brute force: Bellman and Ford's relaxation until nothing changes. */
function costs(edges: readonly (readonly [string, string, number])[], from: string): Map<string, number> {
  const cost = new Map([[from, 0]]);
  for (let round = 0; round <= edges.length; round++) {
    for (const [a, b, price] of edges) {
      const total = (cost.get(a) ?? Number.POSITIVE_INFINITY) + price;
      if (total < (cost.get(b) ?? Number.POSITIVE_INFINITY)) cost.set(b, total);
    }
  }
  return cost;
}

test("the path costs what brute force says, in any graph", () => {
  const node = fc.constantFrom("a", "b", "c", "d", "e", "f");
  const edge = fc.tuple(node, node, fc.integer({ min: 0, max: 9 }));
  fc.assert(
    fc.property(
      fc.uniqueArray(edge, { minLength: 1, maxLength: 15, selector: ([a, b]) => a + b }),
      node,
      node,
      (edges, from, to) => {
        const found = findPath(machine(edges), from, to);
        const wanted = costs(edges, from).get(to);
        assert.is(found === null ? undefined : found.reduce((sum, { cost }) => sum + cost, 0), wanted);
        for (const [index, step] of (found ?? []).entries()) assert.is(step.from, found?.[index - 1]?.to ?? from);
      },
    ),
    { numRuns: 500 },
  );
});

test("R4: a list without loops visits no state twice, keeps its end, and is a way through the original", () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom("a", "b", "c", "d"), { maxLength: 20 }), (states) => {
      const kept = withoutLoops(states, (state) => state);
      assert.is(new Set(kept).size, kept.length);
      assert.is(kept.at(-1), states.at(-1));
      for (const [index, state] of kept.slice(1).entries()) {
        assert.ok(
          states.some((at, place) => at === kept[index] && states[place + 1] === state),
          `${kept[index]} -> ${state} was never taken`,
        );
      }
    }),
  );
});

test("a command line is split at spaces, quotes keep words together, templates are never split", () => {
  assert.equal(splitWords('git clone \'a b\' "c d" e="f g" ${host.vars.x} ${a ? \'b c\' : "d"}'), [
    "git",
    "clone",
    "a b",
    "c d",
    "e=f g",
    "${host.vars.x}",
    "${a ? 'b c' : \"d\"}",
  ]);
});

test("A3: a value in a template stays one value, whatever it holds", () => {
  const evil = "x'; rm -rf / #\n$(reboot) `reboot` --option ${host.name}";
  const { loaded } = desired({ "hosts/a.yaml": { host: "a", transport: "local", vars: { evil } } });
  const host = loaded.repository.hosts.get("a") as Host;
  const result = renderTemplate("<${host.vars.evil}>", loaded.guards, staticValues(host));
  assert.equal(result, { ok: true, value: `<${evil}>` });
});

test("A3: a word that begins with data does not become an option, unless it stands behind --", () => {
  const check = (run: string): string[] =>
    load({
      "machines/m.yaml": {
        machine: "m",
        initial: "a",
        states: { a: null, b: { enter: [{ from: "a", steps: [{ run }] }] } },
      },
      "hosts/h.yaml": { host: "h", transport: "local", vars: { x: "--help" }, targets: { m: "b" } },
    })
      .problems.filter(({ severity }) => severity === "error")
      .map(({ code }) => code);
  assert.equal(check("ls ${host.vars.x}"), ["SW207"]);
  assert.equal(check("ls -- ${host.vars.x}"), []);
  assert.equal(check("ls --color=${host.vars.x}"), []);
});

test("names that every object answers to are no names", () => {
  const names = ["constructor", "toString", "valueOf", "hasOwnProperty", "__proto__"];
  for (const name of names) {
    const files = {
      "machines/m.yaml": `machine: m\ninitial: a\nstates:\n  a:\n    enter:\n      - from: b\n        steps: [{ name: ${name}, run: x }]\n  b: { enter: [{ from: a }] }\n`,
    };
    assert.is(load(files).problems[0]?.code, "SW105", name);
  }
  assert.is(
    load({ "machines/c.yaml": "machine: constructor\ninitial: a\nstates: { a: }\n" }).problems[0]?.code,
    "SW105",
  );
});

test("templates: a doubled dollar is a literal, a brace in quotes is text", () => {
  assert.equal(parseTemplate("a $${b} ${'}'}c"), [{ text: "a ${b} " }, { expression: "'}'" }, { text: "c" }]);
});

test("B4: a guard over a group without members cannot be evaluated, so it is not true", () => {
  const { loaded } = desired({
    "hosts/g.yaml": { group: "none", select: 'host.name == "nobody"' },
    "hosts/a.yaml": { host: "a", transport: "local" },
  });
  const compiled = loaded.guards.compile("group.none.all(h, h.region == 'east')");
  const host = loaded.repository.hosts.get("a") as Host;
  assert.equal("guard" in compiled && compiled.guard.evaluate({ ...staticValues(host), group: () => [] }), {
    ok: false,
    error: "No such key: none",
  });
});

test("B4: a selector that is missing, or cannot be evaluated for a host, does not select it", () => {
  const { loaded } = desired({
    "hosts/a.yaml": { host: "a", transport: "local", labels: { role: "x" } },
    "hosts/b.yaml": { host: "b", transport: "local" },
    "hosts/g.yaml": { group: "some", select: 'host.labels.role == "x"' },
    "hosts/h.yaml": { group: "empty" },
  });
  assert.equal(
    [...loaded.repository.groups.values()].map(({ name, members }) => [name, members]),
    [
      ["some", ["a"]],
      ["empty", []],
    ],
  );
});

test("texts stay texts: a version that looks like a number is quoted by its author, or refused", () => {
  assert.is(
    load({ "hosts/a.yaml": "host: a\ntransport: local\nlabels: { version: 1.10 }\n" }).problems[0]?.code,
    "SW103",
  );
  assert.is(load({ "hosts/a.yaml": "host: a\ntransport: local\nlabels: { version: '1.10' }\n" }).problems.length, 0);
});

test.run();
