// The plan of a change on a pull request: nothing that comes from data is markup there, and all of it fits.
import { constant, property as given, oneof, assert as property, string } from "fast-check";
import { lexer } from "marked";
import * as assert from "uvu/assert";
import { textBytesMax } from "../../reconciler/forge/block.ts";
import { cell, code, fenced, htmlCode, mermaidLabel } from "../../reconciler/forge/escape.ts";
import { mermaidOf } from "../../reconciler/forge/mermaid.ts";
import { planReport } from "../../reconciler/forge/plan-report.ts";
import { valueDiff } from "../../reconciler/forge/value-diff.ts";
import type { PlanReport } from "../../reconciler/model/forge.ts";
import type { Proposal, ProposedMachine } from "../../reconciler/model/proposal.ts";
import { isSafe, tokens } from "../support/safe-markdown.ts";
import { suite } from "../support/suite.ts";

const test = suite("markdown");

/** Texts that mean something to Markdown, HTML, Mermaid, GitHub or a terminal. */
const hostile = oneof(
  string({ unit: "binary" }),
  string(),
  constant("`"),
  constant("``` x"),
  constant("a\\|b`|`c"),
  constant("</code></summary></details><img src=x onerror=alert(1)>"),
  constant("<!-- stateward -->"),
  constant("@octocat and @org/team, fixes #1, GH-2, owner/repo#3, 3f2a9c1de0b7a65c9d3e8f7a1b2c4d5e6f708192"),
  constant(
    "[link](https://example.org) ![image](https://example.org/x.png) <https://example.org> www.example.org a@example.org",
  ),
  constant('"] --> x; click s0 "javascript:alert(1)" %%{init: {}}%%'),
  constant("\n\n# heading\n\n- list\n\n```\n\n> [!CAUTION]\n\n| a | b |\n|---|---|\n"),
  constant("\u001b[31mred\u0007\u202egpj.exe\u200b\r\n"),
  constant("&#64;octocat &lt;b&gt; &amp;"),
  constant("x".repeat(5000)),
);

const place = (text: string): Proposal["errors"][number] => ({
  file: text,
  line: 1,
  column: 1,
  severity: "error",
  code: "SW101",
  message: text,
  remedy: text,
});

const machineOf = (text: string): ProposedMachine => ({
  name: text,
  change: "changed",
  carriers: 2,
  initial: text,
  states: [
    { name: text, available: true },
    { name: "on", available: false },
  ],
  transitions: [{ from: text, to: "on", auto: false, guarded: true, steps: 2, taken: 1 }],
});

/** A proposal with the text wherever one can stand. */
function proposalOf(text: string, more: Partial<Proposal> = {}): Proposal {
  const names = [text, `${text} `, "b"];
  const path: Proposal["moves"][number]["path"] = [
    {
      from: text,
      to: text,
      effect: "opaque",
      steps: [{ title: text, effect: "opaque", repeat: "never", on: "controller" }],
      guard: { when: text, closed: 1, asked: 2 },
      governors: [text],
      barrier: text,
    },
  ];
  return {
    base: "a".repeat(40),
    head: "b".repeat(40),
    record: null,
    at: "2026-06-01T12:00:00.000Z",
    notes: ["A note of our own."],
    errors: [],
    warnings: [{ ...place(text), severity: "warning" }],
    counts: { hosts: 4, moved: 3, unchanged: 1, underWay: 0 },
    moves: [{ kind: "host", machine: text, from: text, to: text, reason: "target", names, path }],
    noPaths: [{ machine: text, from: text, to: text, names, message: text, missing: { from: text, to: text } }],
    rollouts: [
      {
        scope: text,
        group: text,
        machine: text,
        to: text,
        hosts: 3,
        waves: [1, 3],
        canary: 1,
        soakMs: 1000,
        maxUnavailable: "10 %",
        maxFailures: 0,
        order: [text],
      },
    ],
    play: {
      transitions: 3,
      hosts: 3,
      others: 1,
      peak: 1,
      durationMs: 1000,
      assumed: 1,
      groups: [{ group: text, size: 3, before: 3, lowest: 2 }],
      stuck: [{ machine: text, reason: text, message: text, names }],
      isCut: false,
    },
    hindrances: [{ kind: "approval", message: text, remedy: text, names }],
    owners: [text],
    unowned: 1,
    added: { hosts: names, groups: names, machines: names },
    removed: { hosts: names, groups: names, machines: names },
    changes: [{ kind: "host", names, before: `${text}\nx: 1\n`, after: `${text}\nx: ${text}\n` }],
    machines: [machineOf(text)],
    ...more,
  };
}

test("A3: data is code in Markdown, wherever it stands in a line, a table, a block or HTML", () => {
  property(
    given(hostile, (text) => {
      for (const line of [`x ${code(text)} y`, `- ${code(text)}`, `> ${code(text)}`]) isSafe(line, "code");
      assert.is(tokens(`x ${code(text)} y`).filter(({ type }) => type === "paragraph").length, 1);
      const [table] = lexer(`| a | b |\n|---|---|\n| ${cell(text)} | end |`) as unknown as {
        rows: { text: string }[][];
      }[];
      assert.equal([table?.rows.length, table?.rows[0]?.length, table?.rows[0]?.[1]?.text], [1, 2, "end"], "table");
      const block = lexer(`${fenced("diff", text)}\n\nafter`);
      assert.equal(
        block.map(({ type }) => type),
        ["code", "space", "paragraph"],
        "fence",
      );
      assert.match(htmlCode(text), /^<code>[A-Za-z0-9 _&#;-]*<\/code>$/);
    }),
    { numRuns: 500 },
  );
});

test("A3: no label of Mermaid is more than a text between its quotes", () => {
  property(
    given(hostile, (text) => {
      assert.match(mermaidLabel(text), /^([A-Za-z0-9 _.-]|#\d+;)*$/);
      const lines = mermaidOf(machineOf(text)).split("\n");
      assert.is(lines.length, 6);
      for (const line of lines.slice(1))
        assert.match(
          line,
          /^ {4}(start\(\( \)\) --> s0|s\d(\(\[|\[)"[^"]*"(\]\)|\])(:::path)?|s\d (==>|-->|-\.->)\|"[^"]*"\| s\d|classDef path [a-z0-9:#,-]+)$/,
        );
    }),
    { numRuns: 300 },
  );
});

test("A3: a whole report holds no link, image, mention or HTML of others, and no control characters", () => {
  property(
    given(hostile, (text) => {
      for (const errors of [[], [place(text)]]) {
        const report = planReport(proposalOf(text, { errors }));
        for (const part of ["comment", "details"] as const) {
          isSafe(report[part], part);
          // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
          assert.not.match(report[part], /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u200b]/, part);
          assert.ok(Buffer.byteLength(report[part]) <= textBytesMax, part);
        }
        assert.not.match(report.title, /[^A-Za-z0-9 ,:]/);
      }
    }),
    { numRuns: 200 },
  );
});

const conclusions: readonly (readonly [PlanReport["conclusion"], Partial<Proposal>])[] = [
  ["failure", { errors: [place("x")] }],
  ["action_required", {}],
  ["action_required", { hindrances: [] }],
  ["success", { hindrances: [], noPaths: [] }],
  ["success", { hindrances: [{ kind: "window", message: "x", remedy: "y", names: [] }], noPaths: [] }],
  ["success", { hindrances: [], noPaths: [], moves: [] }],
  ["neutral", { hindrances: [], noPaths: [], moves: [], changes: [] }],
];
for (const [index, [conclusion, more]] of conclusions.entries())
  test(`the verdict of case ${index} is ${conclusion}`, () => {
    assert.is(planReport(proposalOf("x", more)).conclusion, conclusion);
  });

test("problems become remarks at file, line and column", () => {
  const { annotations } = planReport(proposalOf("x", { errors: [place("hosts/a.yaml")] }));
  assert.equal(annotations[0], {
    path: "hosts/a.yaml",
    line: 1,
    column: 1,
    level: "failure",
    title: "SW101 unknown key",
    message: "hosts/a.yaml; hosts/a.yaml",
  });
  assert.equal(
    annotations.map(({ level }) => level),
    ["failure", "warning"],
  );
});

test("what does not fit is left out in whole blocks, which is said, and stands in the details", () => {
  const long = "a much longer text than is read by anybody ".repeat(6);
  const noPaths = Array.from({ length: 250 }, (_, index) => ({
    machine: "lamp",
    from: "off",
    to: `s${index}`,
    names: [`host-${index}`],
    message: long,
    missing: null,
  }));
  const { comment, details } = planReport(proposalOf("x", { noPaths }));
  assert.ok(Buffer.byteLength(comment) <= textBytesMax && comment.length > 50_000, String(comment.length));
  assert.match(comment, /Left out for want of room: \d+ × target without a path.*They are in the details/);
  assert.ok(Buffer.byteLength(details) <= textBytesMax);
  assert.match(details, /`s249`/);
  assert.is((comment.match(/^<details>/gm) ?? []).length, (comment.match(/^<\/details>/gm) ?? []).length);
});

test("a diff shows what changed with three lines around it, and gives up on two texts that have nothing in common", () => {
  const lines = (count: number, word: string): string =>
    Array.from({ length: count }, (_, i) => `${word}${i}\n`).join("");
  const before = lines(20, "line ");
  assert.is(
    valueDiff({ before, after: before.replace("line 10\n", "line ten\n") }),
    "@@ -8,7 +8,7 @@\n line 7\n line 8\n line 9\n-line 10\n+line ten\n line 11\n line 12\n line 13",
  );
  assert.match(valueDiff({ before: lines(5000, "a"), after: lines(5000, "b") }), /5000 lines before, 5000 after/);
});

test.run();
