// The YAML loader: any text is read or refused with a place, both parsers say the same, and what a file says is never more than data.
import * as fc from "fast-check";
import * as assert from "uvu/assert";
import { stringify } from "yaml";
import { Random } from "../support/random.ts";
import { suite } from "../support/suite.ts";
import { documents } from "./hostile-yaml.ts";
import { mutate } from "./mutations.ts";
import { oddText, runs } from "./runs.ts";
import { load, yamlTarget } from "./target-yaml.ts";

const test = suite("fuzz yaml");
const words = [
  "host: a\n",
  "machine: m\n",
  "states:\n",
  "  ",
  "- ",
  "? ",
  ": ",
  "{",
  "}",
  "[",
  "]",
  ",",
  "&a ",
  "*a",
  "!!str ",
  "|\n",
  ">-\n",
  "# c\n",
  "<<: ",
  "---\n",
  "...\n",
  "%YAML 1.2\n",
  "key",
  "1",
  "~",
  "true",
  "\t",
];

test("D4: no text makes the loader throw, every problem has a code and a place, and both parsers give the same", () => {
  fc.assert(
    fc.property(oddText(words, 30), (text) => yamlTarget(Buffer.from(text))),
    runs(500),
  );
});

test("D4: nor does a document of ours that something has happened to", () => {
  const others = documents.map((text) => Buffer.from(text));
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const random = new Random(seed);
      yamlTarget(mutate(random.pick(others), random, { words, others, bytesMax: 4096 }));
    }),
    runs(250),
  );
});

test("D4: any plain value in the place of any part of a document of ours is read or refused with its place", () => {
  const value = fc.oneof(
    fc.jsonValue({ maxDepth: 3 }),
    fc.constantFrom<unknown>("__proto__", { __proto__: null, constructor: 1 }, -0, 1e300, Number.NaN, "\0"),
  );
  const part = fc.constantFrom(
    "host",
    "ssh",
    "labels",
    "vars",
    "targets",
    "hold",
    "drift",
    "machine",
    "states",
    "recovery",
    "remedies",
    "windows",
    "poll",
    "regions",
    "rollout",
    "group",
    "select",
    "max_lost",
    "holidays",
    "brakes",
    "governors",
    "__proto__",
  );
  fc.assert(
    fc.property(fc.dictionary(part, value, { maxKeys: 4 }), (map) => {
      const text = stringify(map, { aliasDuplicateObjects: false });
      for (const path of ["stateward.yaml", "holidays.yaml", "machines/x.yaml", "hosts/x.yaml"]) load(path, text);
      assert.is(({} as { polluted?: unknown }).polluted, undefined);
    }),
    runs(300),
  );
});

test.run();
