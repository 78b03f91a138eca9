// A list of members that is kept in place says the same as one that is made anew.

import fc from "fast-check";
import * as assert from "uvu/assert";
import { type CelHost, GuardCompiler } from "../../reconciler/model/guard.ts";
import { celHost, staticValues } from "../../reconciler/model/guard-values.ts";
import { Members } from "../../reconciler/model/members.ts";
import type { Host } from "../../reconciler/model/types.ts";
import { suite } from "../support/suite.ts";
import { desired } from "../support/world.ts";

const test = suite("members");
const machine = { machine: "lamp", initial: "off", states: { off: null, on: { enter: [{ from: "off" }] } } };
const file = { host: "a", transport: "local", targets: { lamp: "on" } };
const host = desired({ "machines/lamp.yaml": machine, "hosts/a.yaml": file }).loaded.repository.hosts.get("a") as Host;

/** A host in a state; without one, its machine is on its way; null: nothing is known of it. */
const seen = (name: string, state: string | null | undefined): CelHost =>
  celHost(
    { ...host, name },
    { states: state === null ? null : state === undefined ? {} : { lamp: state }, reported: null },
  );

const isOn = 'h.states["lamp"] == "on"';
const texts = [
  `group.web.all(h, ${isOn})`,
  `group.web.exists(h, ${isOn})`,
  `group.web.all(h, ${isOn} || h.name == "h0")`,
  `group.web.all(h, group.web.exists(g, g.states["lamp"] == h.states["lamp"] && g.name != h.name))`,
  `group.web.exists_one(h, ${isOn})`,
  `group.web.quorum(h, ${isOn}, "2/3")`,
  `!group.web.all(h, ${isOn})`,
];

test("R1: a guard over a list that is kept says what it says of the same hosts in a new list, errors included", () => {
  const state = fc.constantFrom("on", "on", "on", "off", undefined, null);
  const change = fc.record({ place: fc.nat({ max: 4 }), state, looks: fc.boolean() });
  fc.assert(
    fc.property(
      fc.constantFrom(...texts),
      fc.array(state, { minLength: 1, maxLength: 5 }),
      fc.array(change),
      (text, first, changes) => {
        const compiled = new GuardCompiler(["web"]).compile(text);
        assert.ok("guard" in compiled);
        const members = new Members(first.map((value, index) => seen(`h${index}`, value)));
        const over = (list: readonly CelHost[]) =>
          compiled.guard.evaluate({ ...staticValues(host), group: () => list });
        for (const { place, state: value, looks } of changes) {
          if (place < first.length) members.set(place, seen(`h${place}`, value));
          if (looks) assert.equal(over(members.list), over([...members.list]), text);
        }
        assert.equal(over(members.list), over([...members.list]), text);
      },
    ),
    { seed: 7, numRuns: 2000 },
  );
});

test.run();
