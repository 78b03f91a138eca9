// The fast reader of plain YAML: whatever it takes, it reads as the full parser does; what it leaves, it leaves silently.
import { readdirSync, readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import * as fc from "fast-check";
import * as assert from "uvu/assert";
import { parseFullYaml, parseYaml } from "../../reconciler/model/yaml.ts";
import { yamlLimits } from "../../reconciler/model/yaml-limits.ts";
import { parsePlainYaml } from "../../reconciler/model/yaml-plain.ts";
import { suite } from "../support/suite.ts";

const test = suite("yaml-plain");

const root = new URL("../../", import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, root), "utf8");
const ownHosts = readdirSync(new URL("hosts/", root))
  .filter((name) => name.endsWith(".yaml"))
  .map((name) => read(`hosts/${name}`));
const ownMachines = readdirSync(new URL("machines/", root)).map((name) => read(`machines/${name}`));

const blockHost = `# kept by team web
host: web-000123
description: Serves the shop; behind the balancer, since 2024-05-01
region: east
address: 10.0.1.23:8022
transport: ssh
ssh:
  user: deploy
  port: 22
  host_key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIH+abc/def=

owner: "team-web"
labels:
  role: web
  tier: 1
  spare: false
targets:
    app: serving   # since the move
    cache: 'warm'
machines:
- notice
- clock
`;
const flowHost =
  'host: a\nlabels: { role: web, weight: 1.10, on: true }\nvars: {}\nmachines: [a, "b c",d ]\n' +
  'hold: { reason: "broken: disk", by: \'ann\', until: "2026-01-01T00:00:00Z" }';
const group =
  'group: primary\nselect: host.labels.role == "primary" && host.region != "west"\ntargets: { app: serving }\n';
const machine = `machine: m
initial: a
states:
  a:
  b:
    available: true
    enter:
      - from: a
        cost: 3
        steps:
          - run: rm -rf x
          -
            tcp: { port: "\${host.vars.port}", within: 10s }
          - run: [git, --version]
      - from: [a, b]
        when: host.states["c"] == "d"
`;
const typical = [...ownHosts, read("stateward.yaml"), blockHost, flowHost, group, machine];

/** Asserts the law for a text. True where the fast reader took it. */
function checkLaw(text: string): boolean {
  const plain = parsePlainYaml(text);
  if (!plain) return false;
  const full = parseFullYaml("f.yaml", text);
  assert.equal(full.problems, [], JSON.stringify(text));
  // The first tells 0 from -0 and null from NaN, the second tells the order of keys.
  const isSame =
    isDeepStrictEqual(plain.value, full.value) && JSON.stringify(plain.value) === JSON.stringify(full.value);
  assert.ok(isSame, `${JSON.stringify(text)} is read as ${JSON.stringify(plain.value)}`);
  return true;
}

/** Asserts the law for many texts, and that the fast reader took enough of them for that to mean anything. */
function checkMany(texts: fc.Arbitrary<string>, [runs, takenMin]: readonly [number, number]): void {
  let taken = 0;
  const count = (text: string): void => {
    if (checkLaw(text)) taken++;
  };
  fc.assert(fc.property(texts, count), { numRuns: runs });
  assert.ok(taken >= takenMin, `${taken} of ${runs} texts were taken`);
}

test("typical hosts, groups and settings are taken by the fast reader", () => {
  for (const text of typical) assert.ok(checkLaw(text), text);
});

test("parseYaml gives what the fast reader read, and still finds the line of each part", () => {
  const parsed = parseYaml("hosts/web.yaml", blockHost);
  assert.equal(parsed.problems, []);
  assert.equal((parsed.value as { labels: unknown }).labels, { role: "web", tier: 1, spare: false });
  assert.equal(parsed.locate(["labels", "tier"]), { file: "hosts/web.yaml", line: 15, column: 9 });
  assert.equal(parsed.locate(["machines", 1]), { file: "hosts/web.yaml", line: 22, column: 3 });
});

const scalars =
  "a|b c|~|null|Null|NULL|nULL|nul|true|True|TRUE|tRUE|false|yes|No|1|-1|+2|08|-0|-0.0|+0|1.10|.5|5.|.|+|1e3|1E-3|1e400|-1e400|" +
  "0o17|0o8|-0o7|0x1F|0xg|0X1|+0x1|.inf|-.Inf|+.INF|.iNF|.nan|.NaN|-.nan|1_000|12345678901234567890|0.1e-7|1.2.3|10s|2026-01-01|" +
  "127.0.0.1:80|a:b|a#b|http://x/y#z|--x|-x|---|...|a 'b'|a \"b\"|$x|(y)|/x|a\\b|a, b|a]|a{b}|a  b|é|long text of many characters|" +
  '\'q\'|"d"|\'\'|""|\'a: b\'|"# x"|"{["';
const doubtful =
  "'it''s'|\"e\\n\"|- y|-|? z|?|:x|x: y|a:|%x|@x|`x|*x|&x y|!t x|!!str 1|\\||>|[a|}|, a|\"open|'open|\"a\" b|[a] b|#x|😀|\u2028|\ufeff|\u0085|\u0007|\t|a\tb|=|<x|^";
const plainScalars = scalars.split("|");
const doubtfulScalars = doubtful
  .replaceAll("\\|", "\u0000")
  .split("|")
  .map((text) => text.replace("\u0000", "|"));

test("every scalar of the core schema is taken, and read as the full parser reads it", () => {
  for (const scalar of plainScalars) {
    assert.ok(checkLaw(`k: ${scalar}\n`), scalar);
    assert.ok(checkLaw(`- ${scalar}   # why`), scalar);
    checkLaw(`k: [${scalar}, { b: ${scalar} }]\n`);
    checkLaw(`${scalar}: ${scalar}\n`);
  }
  for (const scalar of doubtfulScalars)
    for (const text of [`k: ${scalar}\n`, `- ${scalar}\n`, `k: [${scalar}]\n`, `${scalar}: 1\n`, scalar])
      checkLaw(text);
});

const left: readonly [string, string][] = [
  ["nothing", ""],
  ["only a comment", "# nothing\n"],
  ["a lone scalar", "a\n"],
  ["a plain scalar over two lines", "a: b\n  c\n"],
  ["a plain scalar that goes on behind a blank line", "a: b\n\n  c\n"],
  ["a scalar on the line below its key", "a:\n  b\n"],
  ["a block scalar", "a: |\n  b\n"],
  ["a key twice", "a: 1\nb: 2\na: 3\n"],
  ["a key twice in a flow map", "a: { b: 1, b: 2 }\n"],
  ["a key twice, once in quotes", "a: 1\n'a': 2\n"],
  ["a number as key", "1: a\n"],
  ["a boolean as key", "a: { true: a }\n"],
  ["__proto__ as key", "__proto__: { a: 1 }\n"],
  ["__proto__ as key in a flow map", "a: { __proto__: { b: 1 } }\n"],
  ["a name that objects inherit as key", "constructor: 1\n"],
  ["an explicit key", "? a\n: b\n"],
  ["a list in a list on one line", "- - a\n"],
  ["a map in a map on one line", "a: b: c\n"],
  ["two documents", "a: 1\n---\nb: 2\n"],
  ["a document start", "---\na: 1\n"],
  ["a document start with content", "--- a: 1\n"],
  ["a document end with content", "... a: 1\n"],
  ["a directive", "%YAML 1.2\n---\na: 1\n"],
  ["less indentation than any parent", "a:\n    b: 1\n  c: 2\n"],
  ["more indentation than the key before", "a: 1\n  b: 2\n"],
  ["a flow list over two lines", "a: [b,\n  c]\n"],
  ["a flow list that ends in a comma", "a: [b, ]\n"],
  ["a comment without a space before it", "a: 'b'#c\n"],
  ["a carriage return", "a: 1\r\nb: 2\r\n"],
  ["a tab", "a:\t1\n"],
  ["a byte order mark", "\ufeffa: 1\n"],
  ["a half of a surrogate pair", "a: \ud800\n"],
  ["a replacement character", "a: \ufffd\n"],
  ["an anchor", "a: &x 1\n"],
  ["a tag", "a: !t 1\n"],
  ["a long key", `${"k".repeat(1025)}: 1\n`],
  ["many keys", Array.from({ length: yamlLimits.keysMax + 1 }, (_, index) => `k${index}: 1\n`).join("")],
  ["many commas", `a: [${"a,".repeat(yamlLimits.keysMax + 1)}a]\n`],
  ["deep flow lists", `a: ${"[".repeat(20)}${"]".repeat(20)}\n`],
  ["deep blocks", Array.from({ length: 20 }, (_, depth) => `${" ".repeat(depth)}a:`).join("\n")],
];

for (const [name, text] of left)
  test(`${name} is left to the full parser`, () => assert.is(parsePlainYaml(text), null));

test("a short text breaks no limit, however many keys, commas or levels it has", () => {
  const levels = Array.from({ length: 10 }, (_, depth) => `${"  ".repeat(depth)}${depth % 2 === 0 ? "a:" : "- a:"}`);
  for (const text of [
    Array.from({ length: 1400 }, (_, index) => `${index.toString(36)}k:\n`).join(""),
    `a: [${"a,".repeat(4990)}a]\n`,
    `${levels.join("\n").replaceAll("- a:", "-\n                        a:")}\n`,
    `- a:\n  - b:\n    - c:\n      - d:\n        - e: [[[{ f: [g] }]]]\n`,
  ])
    checkLaw(text);
});

const nasty =
  " |  |\n|\n  |\n |\n    |:|: | :|#| # |-|- |\n- |\n  - |,|, |[|]|{|}|{}|[]|'|\"|''|\\|>|&|*|!|%|@|`|?|? |---|...|\n---\n|\n...\n|~|null|.5|-0|1e3|0x1F|é|" +
  "\u2028|\ufeff|\u0085|😀|\t|\r\n|\n__proto__: 1\n|<<: |a: |a:\n|b|0|$|(|/|+|.|_|~x|-x|a: b|\n# c\n|   # c\n|      # c\n|\n\n";
const pieces = [...nasty.split("|"), "|"];

test("a file with random edits is read as the full parser reads it, or left", () => {
  const edit = fc.record({
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    cut: fc.nat(3),
    put: fc.constantFrom(...pieces, "", ""),
  });
  const texts = fc
    .tuple(fc.constantFrom(...typical, ...ownMachines), fc.array(edit, { minLength: 1, maxLength: 4 }))
    .map(([text, edits]) =>
      edits.reduce((before, { at, cut, put }) => {
        const offset = Math.floor(at * before.length);
        return before.slice(0, offset) + put + before.slice(offset + cut);
      }, text),
    );
  checkMany(texts, [8000, 800]);
});

const keys = "a|b|c|d|k-1|a b|'q'|\"d k\"|1|true|'1'|10|~|x.y|a:b|a#b|-k|?k|é|toString|<<|k]|'q' |...|a,b".split("|");
const lineEnds = ["\n", "\n", "\n", "\n\n", " # c\n", "\n# c\n", "\n   # c\n", "#c\n", "  \n", "\n  x\n"];
const often = <T>(usual: fc.Arbitrary<T>, rare: fc.Arbitrary<T>): fc.Arbitrary<T> =>
  fc.oneof({ weight: 15, arbitrary: usual }, { weight: 1, arbitrary: rare });
const oneOf = (list: readonly string[]): fc.Arbitrary<string> => fc.constantFrom(...list);
const scalar = often(oneOf(plainScalars), oneOf(doubtfulScalars));
const key = often(oneOf(["a", "b", "c", "d", "e", "f", "'q'", "é"]), oneOf(keys));

const flow: fc.Arbitrary<string> = fc.letrec<{ node: string }>((tie) => {
  const comma = often(oneOf([", ", ",", " , "]), oneOf([",,", " "]));
  const items = (item: fc.Arbitrary<string>): fc.Arbitrary<string> =>
    fc
      .tuple(fc.array(item, { maxLength: 3 }), comma, oneOf(["", " "]))
      .map(([list, by, pad]) => pad + list.join(by) + pad);
  const entry = fc
    .tuple(key, often(oneOf([": ", ":  "]), oneOf([":", " : "])), tie("node"))
    .map((parts) => parts.join(""));
  return {
    node: fc.oneof(
      { maxDepth: 3, withCrossShrink: true },
      scalar,
      items(tie("node")).map((text) => `[${text}]`),
      items(entry).map((text) => `{${text}}`),
    ),
  };
}).node;

/** Lines without their indentation: how far they are indented is laid on when they are put below a key or an item. */
type Lines = readonly string[];
const indent = (lines: Lines, by: number): Lines => lines.map((line) => " ".repeat(by) + line);
const block: fc.Arbitrary<Lines> = fc.letrec<{ node: Lines }>((tie) => {
  const below = fc.tuple(tie("node"), often(fc.integer({ min: 1, max: 4 }), fc.constant(0)), oneOf(lineEnds));
  const nested = (head: fc.Arbitrary<string>): fc.Arbitrary<Lines> =>
    fc.tuple(head, below).map(([text, [lines, by, end]]) => [text + end.trimEnd(), ...indent(lines, by)]);
  const single = (head: fc.Arbitrary<string>): fc.Arbitrary<Lines> =>
    fc
      .tuple(head, fc.oneof(scalar, flow, fc.constant("")), oneOf(lineEnds), oneOf([" ", " ", "  "]))
      .map(([text, value, end, gap]) => (text + gap + value + end).split("\n").slice(0, -1));
  const compact = fc.tuple(tie("node"), fc.integer({ min: 1, max: 3 })).map(([lines, gap]) => {
    const [first = "", ...rest] = lines;
    return [`-${" ".repeat(gap)}${first}`, ...indent(rest, gap + 1)];
  });
  const head = key.map((text) => `${text}:`);
  const dash = fc.constant("-");
  const list = (item: fc.Arbitrary<Lines>): fc.Arbitrary<Lines> =>
    fc.array(item, { minLength: 1, maxLength: 3 }).map((all) => all.flat());
  return {
    node: fc.oneof(
      { maxDepth: 4 },
      list(single(head)),
      list(fc.oneof(single(head), nested(head))),
      list(fc.oneof(single(dash), nested(dash), compact)),
    ),
  };
}).node;

test("a text of a grammar somewhat larger than the subset is read as the full parser reads it, or left", () => {
  checkMany(
    fc.tuple(block, oneOf(["\n", "\n", "", "\n\n", "\n# c", "\n..."])).map(([lines, end]) => lines.join("\n") + end),
    [8000, 800],
  );
});

test("any string at all is read as the full parser reads it, or left", () => {
  checkMany(
    fc.array(oneOf([...pieces, "a", "b", "a: ", "\n", "\n", "- "]), { maxLength: 16 }).map((parts) => parts.join("")),
    [20_000, 100],
  );
});

test.run();
