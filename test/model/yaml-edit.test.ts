// Setting a word of a YAML text: what people wrote around it stays, byte by byte.
import fc from "fast-check";
import * as assert from "uvu/assert";
import { parseYaml } from "../../reconciler/model/yaml.ts";
import { setWord } from "../../reconciler/model/yaml-edit.ts";
import { suite } from "../support/suite.ts";

const test = suite("yaml-edit");

/** Text, the word set for `web` in `targets`, and the text that must come of it. */
const cases: readonly (readonly [title: string, before: string, word: string, after: string])[] = [
  [
    "a comment behind the value, and odd blanks",
    "host:   a   # the first\n\n# what it is for\ntargets:\n    web:    off      # since May\n    db: up\n\n",
    "on",
    "host:   a   # the first\n\n# what it is for\ntargets:\n    web:    on      # since May\n    db: up\n\n",
  ],
  ["double quotes", 'targets: { web: "off" }\n', "on", 'targets: { web: "on" }\n'],
  ["single quotes", "targets: {web: 'off',db: up}\n", "on", "targets: {web: 'on',db: up}\n"],
  ["quotes around keys", '"targets":\n  "web": off\n', "on", '"targets":\n  "web": on\n'],
  ["CRLF", "host: a\r\ntargets:\r\n  web: off # x\r\n", "on", "host: a\r\ntargets:\r\n  web: on # x\r\n"],
  ["no line end at the end", "targets:\n  web: off", "on", "targets:\n  web: on"],
  ["a word that YAML takes for another type", "targets: { web: off }\n", "true", 'targets: { web: "true" }\n'],
  ["a number", "targets: { web: off }\n", "12", 'targets: { web: "12" }\n'],
  ["a new key in a flow map", "targets: { db: up }  # c\n", "on", "targets: { db: up, web: on }  # c\n"],
  ["a new key in a flow map that ends in a comma", "targets: {db: up,}\n", "on", "targets: {db: up, web: on,}\n"],
  ["a new key in an empty flow map", "targets: {}\n", "on", "targets: { web: on }\n"],
  [
    "a new key in a flow map of several lines, with a comment",
    "targets: {\n  db: up,  # one\n  os: new  # two\n}\n",
    "on",
    "targets: {\n  db: up,  # one\n  os: new,  # two\n  web: on\n}\n",
  ],
  [
    "a new key in a block, before the comment of what follows",
    "targets:\n   db: up # why\n\n# labels\nlabels: { a: b }\n",
    "on",
    "targets:\n   db: up # why\n   web: on\n\n# labels\nlabels: { a: b }\n",
  ],
  ["a new key in a block with CRLF and no line end", "targets:\r\n  db: up", "on", "targets:\r\n  db: up\r\n  web: on"],
  ["no map yet", "host: a # x\nlabels: { a: b }\n", "on", "host: a # x\nlabels: { a: b }\ntargets: { web: on }\n"],
  [
    "no map yet, after a block of text",
    "host: a\nvars:\n  text: |\n    one\n    two\n# end\n",
    "on",
    "host: a\nvars:\n  text: |\n    one\n    two\ntargets: { web: on }\n# end\n",
  ],
  ["no map yet, all of it in flow", "{host: a}\n", "on", "{host: a, targets: { web: on }}\n"],
  [
    "a document with a beginning and an end",
    "---\ntargets:\n  web: off\n...\n",
    "on",
    "---\ntargets:\n  web: on\n...\n",
  ],
];

for (const [title, before, word, after] of cases)
  test(`a word is set, and nothing else: ${title}`, () => {
    assert.is(setWord(before, { map: "targets", key: "web", word }), after);
  });

test("where the layout cannot be kept, comments and the other values are", () => {
  const edited = setWord("# top\ntargets:\n  web: >-\n    off\n  db: up # why\n", {
    map: "targets",
    key: "web",
    word: "on",
  });
  assert.equal(parseYaml("", edited ?? "").value, { targets: { web: "on", db: "up" } });
  assert.match(edited ?? "", /# top[\s\S]*db: up # why/);
});

test("a text that does not parse, or has something else there, is left alone", () => {
  for (const text of ["targets: [a]\n", "a: {\n", "- a\n", "", "targets: off\n", "a: &x 1\ntargets: { web: *x }\n"])
    assert.is(setWord(text, { map: "targets", key: "web", word: "on" }), null, text);
});

test("whatever the words and the layout: the value is the one asked for, and no comment is lost", () => {
  const word = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,8}$/);
  const layout = fc.record({
    names: fc.uniqueArray(word, { minLength: 1, maxLength: 5 }),
    values: fc.array(word, { minLength: 5, maxLength: 5 }),
    isFlow: fc.boolean(),
    eol: fc.constantFrom("\n", "\r\n"),
    indent: fc.integer({ min: 1, max: 6 }),
    key: word,
    set: word,
  });
  fc.assert(
    fc.property(layout, ({ names, values, isFlow, eol, indent, key, set }) => {
      const entries = names.map((name, index) => `"${name}": '${values[index]}'`);
      const lines = entries.map((entry, index) => `${" ".repeat(indent)}${entry} # note ${index}`);
      const text = [
        "# top",
        "host: a",
        ...(isFlow ? [`targets: {${entries.join(",")}} # note`] : ["targets:", ...lines]),
        "# end",
        "",
      ].join(eol);
      const edited = setWord(text, { map: "targets", key, word: set }) ?? "";
      const before = parseYaml("", text).value as { targets: Record<string, string> };
      assert.equal(parseYaml("", edited).value, { ...before, targets: { ...before.targets, [key]: set } });
      const kept = (from: string): string[] => from.match(/#[^\r\n]*/g) ?? [];
      assert.equal(kept(edited), kept(text));
      assert.is(edited.replaceAll("\r\n", "").includes("\n"), eol === "\n");
    }),
    { numRuns: 300 },
  );
});

test.run();
