// Guards: whatever is written, an expression is refused or evaluated, in bounded time, and what cannot be told is never true (B4).
import * as fc from "fast-check";
import * as assert from "uvu/assert";
import {
  CelHost,
  CelRecord,
  CelReport,
  GuardCompiler,
  type GuardResult,
  type GuardValues,
} from "../../reconciler/model/guard.ts";
import { compilePattern } from "../../reconciler/model/pattern.ts";
import { suite } from "../support/suite.ts";
import { noon } from "../support/world.ts";
import { oddText, runs } from "./runs.ts";
import { guardTarget } from "./target-guard.ts";

const test = suite("fuzz guard");
const compiler = new GuardCompiler(["web"]);

type States = Readonly<Record<string, string>> | undefined;

const host = (name: string, states: States, labels: Readonly<Record<string, string>>): CelHost =>
  new CelHost({
    name,
    region: "east",
    address: "",
    owner: "",
    labels,
    vars: {},
    states,
    reported: states && new Date(noon),
  });

interface Known {
  readonly states: readonly States[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly facts?: Readonly<Record<string, string>>;
}

function ask(text: string, { states, labels = {}, facts = {} }: Known): GuardResult | null {
  const compiled = compiler.compile(text);
  if ("error" in compiled) return null;
  const members = states.map((of, index) => host(`h${index}`, of, labels));
  const values: GuardValues = {
    host: members[0] ?? host("h", undefined, labels),
    report: new CelReport(facts),
    record: new CelRecord("on", new Date(noon)),
    group: () => members,
    hosts: () => members,
    now: new Date(noon),
    updates: 1,
  };
  return compiled.guard.evaluate(values);
}

const words = [
  "host",
  ".",
  "labels",
  "states",
  '["m"]',
  "group.web",
  ".all(h, ",
  ".exists(h, ",
  ".count(h, ",
  '.quorum(h, true, "2/3")',
  ")",
  "(",
  "==",
  "!=",
  "&&",
  "||",
  "!",
  '"up"',
  "true",
  "1",
  "-",
  "/",
  "?",
  ":",
  "now",
  "updates",
  ".matches(",
  '"(a+)+$"',
  "duration(",
  "hosts",
  "[",
  "]",
  "in ",
  "has(",
  " ",
];

test("no text makes the compiler or an evaluation throw, and each says the same again", () => {
  fc.assert(
    fc.property(oddText(words, 14), (text) => guardTarget(Buffer.from(text))),
    runs(1200),
  );
});

/** Conditions over the hosts of a group that ask for states as people do; `has` is left out, since it asks whether they are known. */
const condition = fc.letrec<{ leaf: string; tree: string }>((tie) => ({
  leaf: fc.constantFrom(
    'h.states["m"] == "up"',
    'h.states["m"] != "up"',
    '"m" in h.states',
    'h.states["m"] in ["up", "warm"]',
    'h.states["n"] == "up"',
    'h.region == "east"',
    "true",
    "false",
    'h.labels["none"] == "x"',
    "h.reported < now",
  ),
  tree: fc.oneof(
    { depthSize: "small" },
    { weight: 3, arbitrary: tie("leaf") },
    { weight: 1, arbitrary: tie("tree").map((inner) => `!(${inner})`) },
    { weight: 1, arbitrary: fc.tuple(tie("tree"), tie("tree")).map(([a, b]) => `(${a} && ${b})`) },
    { weight: 1, arbitrary: fc.tuple(tie("tree"), tie("tree")).map(([a, b]) => `(${a} || ${b})`) },
    {
      weight: 1,
      arbitrary: fc.tuple(tie("tree"), tie("tree"), tie("tree")).map(([a, b, c]) => `(${a} ? ${b} : ${c})`),
    },
  ),
})).tree;
const question = fc
  .tuple(
    condition,
    fc.constantFrom(
      ["all(h, ", ")"],
      ["exists(h, ", ")"],
      ["exists_one(h, ", ")"],
      ["count(h, ", ") >= 2"],
      ["quorum(h, ", ', "2/3")'],
    ),
    fc.constantFrom("", "!"),
  )
  .map(([inner, [before = "", after = ""], not]) => `${not}(group.web.${before}${inner}${after})`);
const states = fc.constantFrom<States>({ m: "up" }, { m: "down" }, {}, { m: "warm", n: "up" });

test("B4: what holds although a host is not known holds whatever that host's states are; and so does what does not hold", () => {
  let told = 0;
  fc.assert(
    fc.property(
      question,
      fc.array(states, { minLength: 1, maxLength: 4 }),
      fc.nat(),
      states,
      (text, list, at, other) => {
        const place = at % list.length;
        const without = ask(text, { states: list.with(place, undefined) });
        assert.ok(without !== null, text);
        if (!without.ok) return;
        told++;
        for (const states of [list, list.with(place, other)]) {
          const whole = ask(text, { states });
          // A state that a host does not have is not known either.
          if (whole?.ok) assert.is(whole.value, without.value, `${text} of ${JSON.stringify(states)}`);
        }
      },
    ),
    runs(1500),
  );
  assert.ok(told > 0, "some can be told");
});

test("B4: what cannot be told is never true, beside anything", () => {
  const failing = [
    'host.labels["none"] == "x"',
    "1 / 0 == 1",
    'host.states["m"] == "up"',
    'timestamp("x") < now',
    'report.facts["none"] != ""',
    'host.name.matches("[")',
    'group.web.all(h, h.labels["none"] == "")',
  ];
  const truth = fc.constantFrom("true", "false", 'host.region == "east"', "updates > 100");
  const row = fc.array(fc.tuple(fc.constantFrom("&&", "||"), truth, fc.boolean()), { maxLength: 4 });
  fc.assert(
    fc.property(fc.constantFrom(...failing), row, (fails, others) => {
      let text = fails;
      let isTold = false;
      for (const [sign, other, isFirst] of others) {
        text = isFirst ? `(${other} ${sign} ${text})` : `(${text} ${sign} ${other})`;
        const value = other === "true" || other.startsWith("host.region");
        // Only what decides by itself makes it told.
        isTold ||= (sign === "&&") !== value;
      }
      const result = ask(text, { states: [undefined] });
      if (result?.ok && result.value === true) assert.ok(isTold, text);
      if (!isTold) assert.ok(result === null || !result.ok, text);
    }),
    runs(600),
  );
});

/** Expressions that JavaScript and CEL read alike, and texts of the letters in them. */
const expression = fc.letrec<{ atom: string; tree: string }>((tie) => ({
  atom: fc.constantFrom(
    "a",
    "b",
    "ab",
    ".",
    "[ab]",
    "[^a]",
    "\\d",
    "\\w",
    "\\s",
    "1",
    "",
    "^",
    "$",
    "\\b",
    "\\B",
    "[a-c1]",
    "\\.",
    "-",
    "\\-",
    "{",
    "é",
  ),
  tree: fc.oneof(
    { depthSize: "small" },
    { weight: 4, arbitrary: tie("atom") },
    { weight: 2, arbitrary: fc.tuple(tie("tree"), tie("tree")).map(([a, b]) => a + b) },
    { weight: 1, arbitrary: fc.tuple(tie("tree"), tie("tree")).map(([a, b]) => `(${a}|${b})`) },
    {
      weight: 1,
      arbitrary: fc
        .tuple(tie("tree"), fc.constantFrom("*", "+", "?", "{2}", "{1,3}", "{2,}", "*?"))
        .map(([a, sign]) => `(?:${a})${sign}`),
    },
  ),
})).tree;
const letters = fc
  .array(fc.constantFrom("a", "b", "1", "-", ".", " ", "é", "{", "\n"), { maxLength: 8 })
  .map((list) => list.join(""));

test("an expression is found in a text where JavaScript finds it", () => {
  fc.assert(
    fc.property(expression, letters, (source, text) => {
      assert.is(compilePattern(source)(text), new RegExp(source).test(text), `${source} in ${JSON.stringify(text)}`);
    }),
    runs(3000),
  );
});

test("R1: expressions that take JavaScript longer than anybody waits are compared in bounded steps", () => {
  const text = `${"a".repeat(900)}!`;
  for (const [source, wanted] of [
    ["(a+)+$", false],
    ["(a|a)*$|x", true],
    ["^(a|aa)+$", false],
    ["^([a-zA-Z]+)*$", false],
    ["^(.*a){12}b", false],
    ["(.*)(.*)(.*)(.*)x", false],
    ["(a?){40}a{40}", true],
  ] as const)
    assert.is(compilePattern(source)(text), wanted, source);
  assert.equal(ask('host.labels["l"].matches("(a+)+$")', { states: [{}], labels: { l: text } }), {
    ok: true,
    value: false,
  });
  assert.equal(ask('group.web.exists(h, h.labels["l"].matches("^(a|aa)+$"))', { states: [{}], labels: { l: text } }), {
    ok: true,
    value: false,
  });
  const ofData = ask('"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!".matches(report.facts["p"])', {
    states: [{}],
    facts: { p: "(a+)+$" },
  });
  assert.equal(ofData, { ok: true, value: false });
  assert.throws(() => compilePattern("(a|b|.){900}x"), /too large/);
  const long = ask('host.labels["l"].matches("(a|.){200}x")', { states: [{}], labels: { l: "a".repeat(20_000) } });
  assert.match(JSON.stringify(long), "too long to be compared");
});

test("expressions that are none, or look around, are refused when the file is checked", () => {
  for (const source of [
    "[",
    "(",
    "a)",
    "*",
    "a{2,1}",
    "a{99999}",
    "(?=a)",
    "(?<!a)b",
    "(a)\\\\1",
    "((((a{100}){100}){100}){100})",
    "(".repeat(100),
    "\\\\p{Nothing}",
  ]) {
    const compiled = compiler.compile(`host.name.matches("${source}")`);
    assert.match("error" in compiled ? compiled.error : "", "not a regular expression", source);
  }
  for (const [source, text] of [
    ["(?i)ABC", "xabc"],
    ["^[\\\\w.\\\\-@]+$", "a.b-c@d"],
    ["\\\\Aa.\\\\z", "ab"],
    ["(?s)a.b", "a\nb"],
    ["(?m)^b", "a\nb"],
    ["\\\\p{L}\\\\x{e9}", "éé"],
    ["(?P<n>a)b", "ab"],
  ] as const)
    assert.is(
      ask(`host.labels["l"].matches("${source}")`, { states: [{}], labels: { l: text } })?.ok && true,
      true,
      source,
    );
});

test.run();
