// Where the crash points of a source file are, and what they are called: every await, every `new Promise`, and whatever a promise goes on
// with. A name says file, function and call, such as `record/journal.ts Journal.write datasync`; a second one of the same name has `#2`.
import ts from "typescript";

export type PointKind = "await" | "for-await" | "promise" | "then";

export interface Point {
  readonly name: string;
  readonly kind: PointKind;
  /** Where its node begins and ends in the text. */
  readonly pos: number;
  readonly end: number;
}

/** Points of a file in the order of the text. `file` is its path below reconciler/. */
export function findPoints(file: string, text: string): Point[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.ES2023, true);
  const points: Point[] = [];
  const known = new Map<string, number>();
  const visit = (node: ts.Node): void => {
    const found = pointAt(node);
    if (found !== null) {
      const name = `${file} ${placeOf(node)} ${found.what}`;
      const count = (known.get(name) ?? 0) + 1;
      known.set(name, count);
      const { pos, end } = node;
      points.push({ name: count === 1 ? name : `${name}#${count}`, kind: found.kind, pos, end });
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return points;
}

function pointAt(node: ts.Node): { readonly kind: PointKind; readonly what: string } | null {
  if (ts.isAwaitExpression(node)) return { kind: "await", what: callName(node.expression) };
  if (ts.isForOfStatement(node) && node.awaitModifier) return { kind: "for-await", what: callName(node.expression) };
  if (isPromise(node)) return ts.isAwaitExpression(node.parent) ? null : { kind: "promise", what: "new Promise" };
  if (ts.isCallExpression(node) && continues(node)) {
    return { kind: "then", what: `${callName(node)} ${node.expression.name.text}` };
  }
  return null;
}

function isPromise(node: ts.Node): node is ts.NewExpression {
  return ts.isNewExpression(node) && ts.isIdentifier(node.expression) && node.expression.text === "Promise";
}

/** What goes on after a failure alone is an error's path: whatever it awaits is a point by itself. */
function continues(node: ts.CallExpression): node is ts.CallExpression & { expression: ts.PropertyAccessExpression } {
  return ts.isPropertyAccessExpression(node.expression) && ["then", "finally"].includes(node.expression.name.text);
}

/** What is called, without `catch` and the like behind it. */
function callName(node: ts.Expression): string {
  if (ts.isParenthesizedExpression(node) || ts.isNonNullExpression(node)) return callName(node.expression);
  if (ts.isConditionalExpression(node)) return callName(node.whenTrue);
  if (ts.isBinaryExpression(node)) return callName(node.left);
  if (ts.isNewExpression(node)) return `new ${callName(node.expression)}`;
  if (ts.isIdentifier(node)) return node.text;
  if (ts.isPropertyAccessExpression(node)) {
    const isStatic = ts.isIdentifier(node.expression) && node.expression.text === "Promise";
    return isStatic ? `Promise.${node.name.text}` : node.name.text;
  }
  if (!ts.isCallExpression(node)) return "expression";
  const { expression } = node;
  const isLink =
    ts.isPropertyAccessExpression(expression) && ["then", "catch", "finally"].includes(expression.name.text);
  return callName(isLink ? expression.expression : expression);
}

/** The outermost function that a node is in: `Journal.write`, `runStep`; `(top)` outside of any. */
function placeOf(node: ts.Node): string {
  let place = "(top)";
  for (let at = node.parent; !ts.isSourceFile(at); at = at.parent) {
    if (ts.isConstructorDeclaration(at)) place = "constructor";
    else if (ts.isFunctionDeclaration(at) || ts.isMethodDeclaration(at) || ts.isVariableDeclaration(at))
      place = at.name?.getText() ?? place;
    else if (ts.isClassDeclaration(at) && at.name) return `${at.name.text}.${place}`;
  }
  return place;
}
