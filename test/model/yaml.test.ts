// YAML from strangers: limits are checked on tokens, before anything recursive or quadratic sees the text.
import * as fc from "fast-check";
import * as assert from "uvu/assert";
import { stringify } from "yaml";
import { parseYaml } from "../../reconciler/model/yaml.ts";
import { findLimitBreach, yamlLimits } from "../../reconciler/model/yaml-limits.ts";
import { suite } from "../support/suite.ts";

const test = suite("yaml");

const hostile: readonly [string, string, string][] = [
  ["2 KB of nested lists in a row", "- ".repeat(1000), "SW002"],
  ["nested flow lists", "[".repeat(2000), "SW002"],
  ["nested flow maps", "{a: ".repeat(1000), "SW002"],
  ["nested blocks", Array.from({ length: 60 }, (_, depth) => `${" ".repeat(depth)}a:`).join("\n"), "SW002"],
  ["nested complex keys", "? ".repeat(500), "SW002"],
  ["20,000 keys", Array.from({ length: 20_000 }, (_, index) => `k${index}: 1`).join("\n"), "SW003"],
  [
    "20,000 keys in a flow map",
    `{${Array.from({ length: 20_000 }, (_, index) => `k${index}: 1`).join(", ")}}`,
    "SW003",
  ],
  ["30,000 keys without a colon", Array.from({ length: 30_000 }, (_, index) => `? k${index}\n`).join(""), "SW003"],
  ["100,000 items", "- \n".repeat(80_000), "SW001"],
  ["100,000 brackets", "}".repeat(100_000), "SW001"],
  ["60,000 escapes that are none", `"${"\\x".repeat(60_000)}`, "SW001"],
  ["100,000 lines of nothing", `a: |\n${"\n".repeat(100_000)}`, "SW001"],
  ["an alias", "a: &x 1\nb: *x\n", "SW004"],
  ["the billion laughs", "a: &a [l, l]\nb: &b [*a, *a]\nc: [*b, *b]\n", "SW004"],
  ["a merge key", "a: &x { b: 1 }\nc: { <<: *x }\n", "SW004"],
  ["a tag", "a: !!js/function 'x'\n", "SW005"],
  ["a local tag", "a: !include /etc/passwd\n", "SW005"],
  ["half a megabyte", `a: ${"x".repeat(500_000)}`, "SW001"],
  ["a zero byte", "a: \u0000", "SW009"],
  ["bytes that are not UTF-8", "a: \ufffd", "SW009"],
  ["two documents", "a: 1\n---\nb: 2\n", "SW008"],
  ["nothing", "", "SW008"],
  ["only a comment", "# nothing here\n", "SW008"],
  ["a key that stands twice", "a: 1\na: 2\n", "SW007"],
  ["no YAML at all", "a: [1\n", "SW006"],
];

for (const [name, text, code] of hostile) {
  test(`${name}: ${code}`, () =>
    assert.equal([...new Set(parseYaml("f.yaml", text).problems.map((problem) => problem.code))], [code]));
}

test("a document at the depth limit parses, one level more does not", () => {
  const nested = (depth: number): string => `${"[".repeat(depth)}${"]".repeat(depth)}`;
  assert.is(findLimitBreach(nested(yamlLimits.depthMax - 1)), null);
  assert.is(findLimitBreach(nested(yamlLimits.depthMax + 1))?.code, "SW002");
});

test("the breach is reported at its own line", () => {
  const [problem] = parseYaml("f.yaml", "a: 1\nb:\n  - c: *x\n").problems;
  assert.equal(problem && [problem.line, problem.column], [3, 8]);
});

test("a key that stands twice is found at its place, wherever its map is, and once for each time", () => {
  const text = 'a: 1\n"a": 2\nb: [{ c: 1, d: 2, c: 3, c: 4 }]\nd:\n - { e: 1, e: 2 }\n1: g\n"1": h\n';
  const found = parseYaml("f.yaml", text).problems.map(({ code, line, column }) => `${code} ${line}:${column}`);
  assert.equal(found, ["SW007 2:1", "SW007 3:19", "SW007 3:25", "SW007 5:12"]);
});

test("a key that is a list or a map is refused, and a place is one in the text also behind what cannot be read", () => {
  const found = (text: string): string[] =>
    parseYaml("f.yaml", text).problems.map(({ code, line, column, message }) => `${code} ${line}:${column} ${message}`);
  assert.equal(found("a: 1\n[b, c]: d\ne: { { f: g }: h }\n"), [
    "SW006 2:1 A key must be a plain value",
    "SW006 3:6 A key must be a plain value",
  ]);
  assert.equal(
    parseYaml("f.yaml", '{}"\n"}').problems.map(({ line, column }) => [line, column]),
    [
      [1, 3],
      [2, 2],
    ],
  );
});

test("5000 keys in one map are read in time that grows with their number, and no more than 100 problems are given", () => {
  const cpuMs = (keys: number): number => {
    const text = Array.from({ length: keys }, (_, index) => `key-number-${index}: 1\n`).join("");
    const before = process.cpuUsage();
    assert.equal(parseYaml("f.yaml", text).problems, []);
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1000;
  };
  cpuMs(4999);
  const [few, many] = [Math.min(cpuMs(1000), cpuMs(1000)), Math.min(cpuMs(4999), cpuMs(4999))];
  assert.ok(many < 12 * Math.max(few, 5), `${few} ms for 1000, ${many} ms for 4999`);
  assert.is(parseYaml("f.yaml", "}\n".repeat(2000)).problems.length, 100);
});

test("the core schema gives plain values, and __proto__ is a key like any other", () => {
  const { value } = parseYaml("f.yaml", "a: yes\nb: 1.10\nc: 0o10\nd: null\n__proto__: { polluted: true }\n");
  assert.equal(Object.entries(value as object).slice(0, 4), [
    ["a", "yes"],
    ["b", 1.1],
    ["c", 8],
    ["d", null],
  ]);
  assert.is(({} as { polluted?: boolean }).polluted, undefined);
});

test("what was written is read again, for any plain value within the limits", () => {
  const key = fc.stringMatching(/^[a-z]{1,8}$/);
  const leaf = fc.oneof(fc.stringMatching(/^[ -~]{0,20}$/), fc.integer(), fc.boolean(), fc.constant(null));
  const value = fc.dictionary(
    key,
    fc.oneof(leaf, fc.array(leaf, { maxLength: 4 }), fc.dictionary(key, leaf, { maxKeys: 4 })),
    { minKeys: 1, maxKeys: 6 },
  );
  fc.assert(
    fc.property(value, (wanted) =>
      assert.equal(parseYaml("f.yaml", stringify(wanted)).value, JSON.parse(JSON.stringify(wanted))),
    ),
    { numRuns: 200 },
  );
});

test("no text makes the parser throw, and every problem has a place in it", () => {
  const text = fc.oneof(
    fc.string({ maxLength: 200 }),
    fc
      .array(
        fc.constantFrom(
          "a",
          ":",
          " ",
          "\n",
          "- ",
          "? ",
          "[",
          "]",
          "{",
          "}",
          "&x",
          "*x",
          "!t",
          "|",
          ">",
          "#",
          '"',
          "'",
          ",",
        ),
        { maxLength: 80 },
      )
      .map((parts) => parts.join("")),
  );
  fc.assert(
    fc.property(text, (input) => {
      for (const problem of parseYaml("f.yaml", input).problems)
        assert.ok(problem.line >= 1 && problem.line <= input.split("\n").length && problem.column >= 1);
    }),
    { numRuns: 500 },
  );
});

test.run();
