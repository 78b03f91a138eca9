// YAML in: a text becomes a plain value with a way to find the line of any part of it, or problems. Never throws.
import {
  type Document,
  isCollection,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseAllDocuments,
  visit,
  type YAMLError,
} from "yaml";
import { errorAt, errorIn, type Place, type Problem } from "./problem.ts";
import { findLimitBreach } from "./yaml-limits.ts";
import { parsePlainYaml } from "./yaml-plain.ts";

/** Keys and indexes from the root to a part of a document. */
export type YamlPath = readonly (string | number)[];

export interface ParsedYaml {
  readonly file: string;
  /** Plain value, or undefined when there are problems. */
  readonly value: unknown;
  readonly problems: readonly Problem[];
  /** Where the value at `path` stands; with `key`, where the key of that path stands. */
  readonly locate: (path: YamlPath, what?: "key" | "value") => Place;
}

/** Parses one document with the core schema: no tags, no merge keys, no aliases, and unique keys. */
export function parseYaml(file: string, text: string): ParsedYaml {
  const plain = parsePlainYaml(text);
  return plain ? parsed(file, text, plain.value) : parseFullYaml(file, text);
}

/** Parses any text, slowly. `parseYaml` gives the same for every text: exported so that a test can say so. */
export function parseFullYaml(file: string, text: string): ParsedYaml {
  const breach = findLimitBreach(text);
  if (breach) {
    const before = text.slice(0, breach.offset).split("\n");
    const place = { file, line: before.length, column: (before.at(-1)?.length ?? 0) + 1 };
    const { code, message, remedy } = breach;
    return failed(file, [errorAt(place, code, message, remedy)]);
  }
  const { document, counter, count } = read(text);
  if (count !== 1 || document === undefined) {
    const message = count === 0 ? "the file is empty" : `the file holds ${count} documents`;
    return failed(file, [errorIn(file, "SW008", message, "keep exactly one document in a file")]);
  }
  const errors: readonly Fault[] = [...document.errors, ...document.warnings, ...keyFaults(document.contents)];
  const problems = errors.slice(0, problemsMax).map((error) => {
    const { line, col } = counter.linePos(error.pos[0]);
    const code = error.code === duplicateKey ? "SW007" : "SW006";
    return errorAt(
      { file, line, column: col },
      code,
      error.message.split("\n")[0] ?? error.code,
      "mend the YAML at this place",
    );
  });
  if (problems.length > 0) return failed(file, problems);
  return parsed(file, text, document.toJS({ maxAliasCount: 0 }));
}

/** Problems shown for one file; mending them shows the rest. */
const problemsMax = 100;
const duplicateKey = "DUPLICATE_KEY";
type Fault = Pick<YAMLError, "code" | "message" | "pos">;

/**
 * Keys that stand twice in one map, and keys that are no scalars. The parser's own check compares each key with each other one of its
 * map; what is no scalar it would write out as text, and tell so on standard error.
 */
function keyFaults(root: unknown): Fault[] {
  const found: Fault[] = [];
  visit(isNode(root) ? root : null, {
    Map: (_key, { items }) => {
      const seen = new Set<unknown>();
      for (const { key } of items) {
        if (isCollection(key))
          found.push({ code: "BAD_COLLECTION_TYPE", message: "A key must be a plain value", pos: posOf(key) });
        if (!isScalar(key)) continue;
        if (seen.has(key.value))
          found.push({ code: duplicateKey, message: "Map keys must be unique", pos: posOf(key) });
        seen.add(key.value);
      }
    },
  });
  return found;
}

function posOf({ range }: Node): [number, number] {
  return [range?.[0] ?? 0, range?.[1] ?? 0];
}

/** Only a file with problems is located in: its tree is made again then, once, and others keep none. */
function parsed(file: string, text: string, value: unknown): ParsedYaml {
  let tree: Tree | null = null;
  const find: ParsedYaml["locate"] = (path, what) => locate((tree ??= read(text)), file, path, what ?? "value");
  return { file, value, problems: [], locate: find };
}

interface Tree {
  readonly document: Document.Parsed | undefined;
  readonly counter: LineCounter;
  readonly count: number;
}

function read(text: string): Tree {
  const counter = countLines(text);
  const parsed = parseAllDocuments(text, { version: "1.2", schema: "core", prettyErrors: false, uniqueKeys: false });
  if ("empty" in parsed) return { document: undefined, counter, count: 0 };
  const [document] = parsed;
  return { document, counter, count: document?.contents === null && document.errors.length === 0 ? 0 : parsed.length };
}

/** The parser itself does not count the lines of what it cannot read. */
function countLines(text: string): LineCounter {
  const counter = new LineCounter();
  counter.addNewLine(0);
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) counter.addNewLine(at + 1);
  return counter;
}

/** Where a part of the document stands; the nearest part that there is, where the path leads nowhere. */
function locate({ document, counter }: Tree, file: string, path: YamlPath, what: "key" | "value"): Place {
  let node: Node | null = document?.contents ?? null;
  let found: Node | null = node;
  for (const [index, step] of path.entries()) {
    const wantKey = what === "key" && index === path.length - 1;
    const next: Node | null = wantKey ? keyNode(node, step) : child(node, step);
    if (next === null) {
      found = keyNode(node, step) ?? found;
      break;
    }
    node = next;
    found = next;
  }
  const { line, col } = counter.linePos(found?.range?.[0] ?? 0);
  return { file, line: Math.max(line, 1), column: Math.max(col, 1) };
}

function child(node: Node | null, step: string | number): Node | null {
  if (isSeq(node) && typeof step === "number") {
    const item: unknown = node.items[step];
    return isNode(item) ? item : null;
  }
  if (!isMap(node)) return null;
  const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(step));
  return isNode(pair?.value) ? pair.value : null;
}

function keyNode(node: Node | null, step: string | number): Node | null {
  if (!isMap(node)) return null;
  const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(step));
  return isNode(pair?.key) ? pair.key : null;
}

function failed(file: string, problems: readonly Problem[]): ParsedYaml {
  return { file, value: undefined, problems, locate: () => ({ file, line: 1, column: 1 }) };
}
