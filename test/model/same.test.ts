// Equality of plain data, against the canonical text that says the same.
import * as fc from "fast-check";
import * as assert from "uvu/assert";
import { sortKeys } from "../../reconciler/model/record.ts";
import { same } from "../../reconciler/model/same.ts";
import { suite } from "../support/suite.ts";

const test = suite("same");
const text = (value: unknown): string => JSON.stringify(sortKeys(value));
const small = fc.jsonValue({ maxDepth: 3, depthSize: "small" }).map((value) => JSON.parse(JSON.stringify(value)));

test("R2: two values are the same when, and only when, their canonical texts are", () => {
  fc.assert(fc.property(small, small, (one, other) => same(one, other) === (text(one) === text(other))));
  fc.assert(fc.property(small, (value) => same(value, JSON.parse(text(value)))));
});

test("what looks alike and is not: lists and objects, nothing and none, a key that only one has", () => {
  for (const [one, other] of [
    [[], {}],
    [null, {}],
    [{ a: 1 }, { b: 1 }],
    [{ a: 1, b: 2 }, { a: 1 }],
    [[1], [1, 2]],
    ["1", 1],
    [{ toString: 1 }, { x: 1 }],
  ])
    assert.not(same(one, other), JSON.stringify([one, other]));
  assert.ok(same({ a: 1, b: [{ c: null }] }, { b: [{ c: null }], a: 1 }));
});

test.run();
