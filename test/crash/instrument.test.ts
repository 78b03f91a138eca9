// The crash build has a point at every await of the rooms that keep what was promised; the published build has none.
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import ts from "typescript";
import * as assert from "uvu/assert";
import { exists } from "../../reconciler/record/disk.ts";
import { suite } from "../support/suite.ts";
import { buildWithPoints, crashBuild, hasPoints, readSources, repository, shortened } from "./instrument.ts";
import { findPoints } from "./points.ts";

const test = suite("instrument");
const dist = join(repository, "dist");

/** How often `await` stands in a text, as the scanner of the language sees it: that knows nothing of how points are found. */
function awaitsIn(text: string): number {
  const source = ts.createSourceFile("x.ts", text, ts.ScriptTarget.ES2023, true);
  let count = 0;
  const visit = (node: ts.Node): void => {
    if (node.kind === ts.SyntaxKind.AwaitKeyword) count++;
    for (const child of node.getChildren(source)) visit(child);
  };
  visit(source);
  return count;
}

/** Awaits of a compiled file that do not stand between two calls of `crashPoint`. */
function bareAwaits(text: string): string[] {
  const source = ts.createSourceFile("x.js", text, ts.ScriptTarget.ES2023, true, ts.ScriptKind.JS);
  const bare: string[] = [];
  const isCall = (node: ts.Node, method: string): boolean =>
    ts.isCallExpression(node) && node.expression.getText() === `crashPoint.${method}`;
  const visit = (node: ts.Node): void => {
    const isPointed = ts.isAwaitExpression(node) && isCall(node.expression, "during") && isCall(node.parent, "after");
    if (ts.isAwaitExpression(node) && !isPointed) bare.push(node.getText());
    if (ts.isForOfStatement(node) && node.awaitModifier && !isCall(node.expression, "each")) bare.push(node.getText());
    const isUsing = ts.isVariableDeclarationList(node) && node.getText().startsWith("await using");
    if (isUsing) bare.push(node.getText());
    ts.forEachChild(node, visit);
  };
  visit(source);
  return bare;
}

test("D1, D2, S1: every await of engine, record and adapters has a crash point in the crash build", async () => {
  const names = await buildWithPoints();
  let awaits = 0;
  for (const [file, text] of await readSources()) {
    if (!hasPoints(file)) continue;
    const points = findPoints(file, text).filter(({ kind }) => kind === "await" || kind === "for-await");
    assert.is(points.length, awaitsIn(text), `${file}: an await has no point`);
    awaits += points.length;
    const compiled = await readFile(join(crashBuild, file.replace(/\.ts$/, ".js")), "utf8");
    assert.equal(bareAwaits(compiled), [], file);
    for (const { name } of points)
      assert.ok(
        compiled.includes(`crashPoint.after("${name}"`) || compiled.includes(`crashPoint.each("${name}"`),
        name,
      );
  }
  assert.is(new Set(names).size, names.length, "each point has a name of its own");
  assert.ok(awaits >= 60, `${awaits} awaits`);
});

test("an await that is new is noticed", () => {
  const text = "export async function f() { await g(); for await (const x of y()) await x; }";
  assert.equal(
    findPoints("record/new.ts", text).map(({ name }) => name),
    ["record/new.ts f g", "record/new.ts f y", "record/new.ts f x"],
  );
  assert.is(awaitsIn(text), 3);
  assert.is(awaitsIn(`${text} async function h() { await using a = b(); }`), 4);
  assert.is(bareAwaits(text).length, 3);
});

test("the constants that the crash build shortens are there", async () => {
  const sources = await readSources();
  for (const [file, constants] of Object.entries(shortened)) {
    for (const name of Object.keys(constants))
      assert.match(sources.get(file) ?? "", new RegExp(`const ${name}(: \\w+)? = `), `${file} has ${name}`);
    const compiled = await readFile(join(crashBuild, file.replace(/\.ts$/, ".js")), "utf8");
    for (const [name, value] of Object.entries(constants))
      assert.ok(
        compiled.replaceAll(/[_\s]/g, "").includes(`const${name}=(${value.replaceAll(/[_\s]/g, "")});`),
        `${file} ${name}`,
      );
  }
});

test.needs(
  "a build (npm run build)",
  await exists(join(dist, "cli/main.js")),
  "the published build has no crash point",
  async () => {
    const files = (await readdir(dist, { recursive: true })).filter((name) => name.endsWith(".js"));
    assert.ok(files.length > 100, `${files.length} files`);
    for (const file of files) {
      assert.not.match(file, /crash-point/);
      assert.not.match(await readFile(join(dist, file), "utf8"), /crashPoint|STATEWARD_CRASH/, file);
    }
  },
);

test.run();
