// Changing one value of a YAML text and nothing else of it: comments, order, indents, quotes and line ends stay as they are, byte by byte.
import { isMap, isScalar, type Node, type Pair, parseDocument, type Scalar, type YAMLMap } from "yaml";
import { same } from "./same.ts";
import { parseYaml } from "./yaml.ts";

/** A key of a map at the top of a document, such as `targets` and `git-server`, and the word that it is to have. */
export interface YamlWord {
  readonly map: string;
  readonly key: string;
  readonly word: string;
}

/** So that a part of a document is found as the model reads it. */
const options = { version: "1.2", schema: "core", keepSourceTokens: true, uniqueKeys: false } as const;

/**
 * The text with one word set; the map is added where there is none. What the result says is compared with what was asked for, and where
 * the layout is one that cannot be kept, only comments and order are. Null for a text that cannot be changed: it does not parse, or the
 * map is something else.
 */
export function setWord(text: string, change: YamlWord): string | null {
  const before = parseYaml("", text).value;
  if (!isRecord(before)) return null;
  const map = Object.hasOwn(before, change.map) ? before[change.map] : {};
  if (!isRecord(map)) return null;
  const wanted = { ...before, [change.map]: { ...map, [change.key]: change.word } };
  for (const edited of [inPlace(text, change), rewritten(text, change)]) {
    if (edited !== null && same(parseYaml("", edited).value, wanted)) return edited;
  }
  return null;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function inPlace(text: string, { map, key, word }: YamlWord): string | null {
  const root = parseDocument(text, options).contents;
  if (!isMap(root)) return null;
  const entry = `${wordText(key)}: ${wordText(word)}`;
  const outer = pairOf(root, map);
  if (outer === undefined) return withEntry(text, root, `${wordText(map)}: { ${entry} }`);
  if (!isMap(outer.value)) return null;
  const pair = pairOf(outer.value, key);
  if (pair === undefined) return withEntry(text, outer.value, entry);
  const { value } = pair;
  if (!isScalar(value) || !value.range) return null;
  const [start, end] = value.range;
  const written = inStyleOf(value, word);
  return written === null ? null : text.slice(0, start) + written + text.slice(end);
}

/** The same by the library's own writer: it keeps comments and order, and writes the rest in its own way. */
function rewritten(text: string, { map, key, word }: YamlWord): string | null {
  const document = parseDocument(text, options);
  if (document.errors.length > 0) return null;
  document.setIn([map, key], word);
  const plain = document.toString({ lineWidth: 0 });
  return text.includes("\r\n") ? plain.replaceAll("\n", "\r\n") : plain;
}

function pairOf(map: YAMLMap, key: string): Pair | undefined {
  return map.items.find((item) => isScalar(item.key) && String(item.key.value) === key);
}

/** A word as YAML takes it for text: `on` as it is, `true` and `1` in quotes. */
function wordText(word: string): string {
  const read: unknown = parseDocument(word, options).toJS();
  return read === word ? word : JSON.stringify(word);
}

function inStyleOf({ type }: Scalar, word: string): string | null {
  if (type === "PLAIN") return wordText(word);
  if (type === "QUOTE_DOUBLE") return JSON.stringify(word);
  return type === "QUOTE_SINGLE" ? `'${word.replaceAll("'", "''")}'` : null;
}

/** The text with one more entry at the end of a map. */
function withEntry(text: string, map: YAMLMap, entry: string): string | null {
  const last = map.items.at(-1);
  if (map.flow) return last === undefined ? inEmpty(text, map, entry) : inFlow(text, last, entry);
  return last === undefined ? null : inBlock(text, last, entry);
}

function inEmpty(text: string, { range }: YAMLMap, entry: string): string | null {
  if (!range) return null;
  const [start, end] = range;
  const inside = text.slice(start + 1, end - 1);
  return `${text.slice(0, start)}{ ${entry}${inside.trim() === "" ? " " : inside}}${text.slice(end)}`;
}

function inFlow(text: string, last: Pair, entry: string): string | null {
  const [start, end] = spanOf(last);
  const indent = indentAt(text, start);
  const rest = /^[ \t]*(,?)[ \t]*(?:#[^\r\n]*)?(?=\r?\n)/.exec(text.slice(end));
  if (indent === null || rest === null) return `${text.slice(0, end)}, ${entry}${text.slice(end)}`;
  // One entry a line: what is said behind the last one stays with it.
  const comma = rest[1] === "" ? "," : "";
  const lineEnd = end + rest[0].length;
  const added = `${lineBreak(text)}${indent}${entry}${rest[1]}`;
  return text.slice(0, end) + comma + text.slice(end, lineEnd) + added + text.slice(lineEnd);
}

function inBlock(text: string, last: Pair, entry: string): string | null {
  const [start, end] = spanOf(last);
  const indent = indentAt(text, start);
  if (indent === null) return null;
  const said = text.slice(0, end).trimEnd().length;
  const next = text.indexOf("\n", said);
  const eol = lineBreak(text);
  if (next < 0) return `${text}${eol}${indent}${entry}`;
  return `${text.slice(0, next + 1)}${indent}${entry}${eol}${text.slice(next + 1)}`;
}

/** From the beginning of a pair's key to the end of what its value says. */
function spanOf({ key, value }: Pair): readonly [number, number] {
  const keyRange = (key as Node).range ?? [0, 0, 0];
  const valueRange = (value as Node | null)?.range ?? keyRange;
  return [keyRange[0], valueRange[1]];
}

/** The blanks before a place, where nothing else stands before it on its line. */
function indentAt(text: string, at: number): string | null {
  const before = text.slice(text.lastIndexOf("\n", at - 1) + 1, at);
  return before.trim() === "" ? before : null;
}

function lineBreak(text: string): string {
  return text.includes("\r\n") ? "\r\n" : "\n";
}
