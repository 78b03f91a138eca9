// Builds the program once more, with a crash point at every await of the rooms below: so the published build has none, and no await can
// be forgotten. What the reconciler waits for by the clock is shortened there, so that a short scenario comes by it.
import { createHash } from "node:crypto";
import { chmod, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { findPoints, type Point } from "./points.ts";

export const repository: string = fileURLToPath(new URL("../..", import.meta.url));
const source = join(repository, "reconciler");
/** Inside the repository, where the program finds its packages. */
export const crashBuild: string = join(repository, "build", "crash");

const rooms = ["engine", "record", "adapters"];

/** Constants that are others in the crash build. */
export const shortened: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "record/leader.ts": { defaultPace: "{ beatMs: 1000, patienceMs: 4000, lookMs: 300, leaseMs: 2500 }" },
  "record/maintenance.ts": { everyMs: "200", packsMaxDefault: "8" },
  "record/mirror.ts": { lockAgeMs: "1000" },
  "record/store.ts": { journalBytesMax: "20_000" },
};

export function hasPoints(file: string): boolean {
  return rooms.includes(file.split("/")[0] ?? "");
}

/** Sources of the program by path below reconciler/. */
export async function readSources(): Promise<Map<string, string>> {
  const names = (await readdir(source, { recursive: true })).filter((name) => name.endsWith(".ts")).toSorted();
  return new Map(
    await Promise.all(names.map(async (name) => [name, await readFile(join(source, name), "utf8")] as const)),
  );
}

/** Builds, unless that was done for the same sources. Resolves to the names of all points. */
export async function buildWithPoints(): Promise<string[]> {
  const sources = await readSources();
  const own = await Promise.all(["crash-point.ts", "instrument.ts", "points.ts"].map(readOwn));
  const key = createHash("sha256")
    .update(JSON.stringify([...sources, own, ts.version]))
    .digest("hex");
  const points = [...sources].flatMap(([file, text]) => (hasPoints(file) ? findPoints(file, text) : []));
  const names = points.map(({ name }) => name);
  if ((await readFile(join(crashBuild, "key"), "utf8").catch(() => "")) === key) return names;
  // Made beside, then moved: whoever runs the old one keeps it to the end of its start at least.
  const fresh = `${crashBuild}.${process.pid}`;
  for (const [file, text] of sources) await write(join(fresh, compiled(file)), compile(file, text));
  await write(join(fresh, "crash-point.js"), compile("crash-point.ts", own[0] ?? ""));
  await write(join(fresh, "agent/stateward-agent"), await readFile(join(source, "agent/stateward-agent"), "utf8"));
  await chmod(join(fresh, "agent/stateward-agent"), 0o755);
  await write(join(fresh, "key"), key);
  await rm(crashBuild, { recursive: true, force: true });
  await rename(fresh, crashBuild);
  return names;
}

const readOwn = (name: string): Promise<string> => readFile(fileURLToPath(new URL(name, import.meta.url)), "utf8");

async function write(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, text);
}

const compiled = (file: string): string => file.replace(/\.ts$/, ".js");

function compile(file: string, text: string): string {
  const { outputText, diagnostics = [] } = ts.transpileModule(text, {
    fileName: file,
    compilerOptions: {
      target: ts.ScriptTarget.ES2023,
      module: ts.ModuleKind.ESNext,
      verbatimModuleSyntax: true,
      rewriteRelativeImportExtensions: true,
    },
    transformers: { before: [transformer(file, text)] },
  });
  const [first] = diagnostics;
  if (first) throw new Error(`${file}: ${ts.flattenDiagnosticMessageText(first.messageText, "\n")}`);
  return outputText;
}

function transformer(file: string, text: string): ts.TransformerFactory<ts.SourceFile> {
  const points = new Map(
    (hasPoints(file) ? findPoints(file, text) : []).map((point) => [`${point.pos} ${point.end}`, point]),
  );
  const constants = shortened[file] ?? {};
  return (context) => (root) => {
    const visit = (node: ts.Node): ts.Node => {
      const inner = ts.visitEachChild(node, visit, context);
      const point = points.get(`${node.pos} ${node.end}`);
      if (point && isOf(point, node)) return withPoint(point, inner);
      return ts.isVariableDeclaration(inner) ? shorten(inner, constants) : inner;
    };
    const changed = ts.visitEachChild(root, visit, context);
    if (points.size === 0) return changed;
    return ts.factory.updateSourceFile(changed, [importOf(file), ...changed.statements]);
  };
}

/** Several nodes may begin and end at the same places, such as a statement and its expression. */
function isOf({ kind }: Point, node: ts.Node): boolean {
  switch (kind) {
    case "await":
      return ts.isAwaitExpression(node);
    case "for-await":
      return ts.isForOfStatement(node);
    case "promise":
      return ts.isNewExpression(node);
    case "then":
      return ts.isCallExpression(node);
  }
}

function importOf(file: string): ts.ImportDeclaration {
  const { factory } = ts;
  const names = factory.createNamedImports([
    factory.createImportSpecifier(false, undefined, factory.createIdentifier("crashPoint")),
  ]);
  const path = `${"../".repeat(file.split("/").length - 1)}crash-point.js`;
  const clause = factory.createImportClause(undefined, undefined, names);
  return factory.createImportDeclaration(undefined, clause, factory.createStringLiteral(path));
}

function withPoint(point: Point, node: ts.Node): ts.Node {
  const { factory } = ts;
  const call = (method: string, ...values: ts.Expression[]): ts.Expression =>
    factory.createCallExpression(
      factory.createPropertyAccessExpression(factory.createIdentifier("crashPoint"), method),
      undefined,
      [factory.createStringLiteral(point.name), ...values],
    );
  if (ts.isAwaitExpression(node)) {
    const awaited = factory.createAwaitExpression(call("during", node.expression));
    return factory.createParenthesizedExpression(factory.createComma(call("before"), call("after", awaited)));
  }
  if (ts.isForOfStatement(node)) {
    const { awaitModifier, initializer, expression, statement } = node;
    return factory.updateForOfStatement(node, awaitModifier, initializer, call("each", expression), statement);
  }
  if (ts.isNewExpression(node))
    return factory.createParenthesizedExpression(factory.createComma(call("before"), call("during", node)));
  if (!ts.isCallExpression(node)) throw new Error(`no point can be put at ${point.name}`);
  const { expression, typeArguments } = node;
  return factory.updateCallExpression(
    node,
    expression,
    typeArguments,
    node.arguments.map((value) => call("next", value)),
  );
}

function shorten(node: ts.VariableDeclaration, constants: Readonly<Record<string, string>>): ts.VariableDeclaration {
  const value = ts.isIdentifier(node.name) ? constants[node.name.text] : undefined;
  if (value === undefined) return node;
  const parsed = ts.createSourceFile("value.ts", `(${value})`, ts.ScriptTarget.ES2023, true).statements[0];
  if (!parsed || !ts.isExpressionStatement(parsed)) throw new Error(`not an expression: ${value}`);
  return ts.factory.updateVariableDeclaration(node, node.name, undefined, undefined, bare(parsed.expression));
}

/** Without places: the printer would read its text out of another file. */
function bare<T extends ts.Node>(node: T): T {
  const copy = ts.visitEachChild(node, bare, undefined);
  if (ts.isNumericLiteral(node)) return ts.factory.createNumericLiteral(node.text) as unknown as T;
  if (ts.isIdentifier(node)) return ts.factory.createIdentifier(node.text) as unknown as T;
  return ts.setTextRange(copy, { pos: -1, end: -1 });
}
