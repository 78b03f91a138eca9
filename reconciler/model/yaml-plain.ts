// The plain subset of YAML in which nearly every host file stays, read many times faster than by the full parser.
// The law: a value from here is the value that the full parser gives, without problems and within every limit. What is outside
// the subset, or in doubt, or wrong, is left to the full parser: this file never reports and never guesses.

const plainLimits = {
  /** A text this short cannot hold more keys and commas than `yamlLimits.keysMax`: each of them takes two characters. */
  charactersMax: 10_000,
  /** Collections in collections; well below `yamlLimits.depthMax`, which counts scalars on their own columns as levels too. */
  depthMax: 12,
  /** The full parser refuses a key of more than 1024 characters. */
  keyCharactersMax: 256,
} as const;

/** Tabs, carriage returns, control characters, line separators, surrogates, and what else is rarely meant. */
const oddPattern = /[^\n\u0020-\u007e\u00a0-\u1fff\u2030-\ud7ff]/;

const newline = 0x0a;
const space = 0x20;
const doubleQuote = 0x22;
const hash = 0x23;
const singleQuote = 0x27;
const comma = 0x2c;
const dash = 0x2d;
const dot = 0x2e;
const colon = 0x3a;
const listOpen = 0x5b;
const backslash = 0x5c;
const listClose = 0x5d;
const mapOpen = 0x7b;
const mapClose = 0x7d;

/** Characters of ASCII with which a plain scalar may start here; `-` only before something else than a space. */
const plainStarts: Uint8Array = markCharacters(
  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_/.+$~(-",
);
/** Those of them with which something else than a string may start. */
const otherStarts: Uint8Array = markCharacters("0123456789.+-~nNtTfF");

/** Parses one document of the plain subset. Null means that the full parser has to read the text; it says nothing about it. */
export function parsePlainYaml(text: string): { readonly value: unknown } | null {
  if (text.length > plainLimits.charactersMax || oddPattern.test(text)) return null;
  // A newline at the end spares every scan a look at the length.
  const value = new PlainReader(text.endsWith("\n") ? text : `${text}\n`).readDocument();
  return value === undefined ? null : { value };
}

/**
 * Reads from character to character. A method that reads a value returns undefined where it is in doubt, and every caller hands
 * that on. Between two lines, `at` stands on the first character of content of the next line, and `column` is its column.
 */
class PlainReader {
  private readonly text: string;
  private at = 0;
  private lineStart = 0;
  /** -1 at the end of the text. */
  private column = 0;

  constructor(text: string) {
    this.text = text;
  }

  /**
   * A map or a list that fills the text: a lone scalar is left to the full parser. A line that goes on with a scalar, or whose
   * column is that of no open collection, ends all of them, and is found here.
   */
  readDocument(): unknown {
    this.toContent();
    if (this.column < 0) return undefined;
    const value = this.readBlock(1);
    return this.column < 0 ? value : undefined;
  }

  /** A map or a list whose first line starts where the reader stands; it ends with the first line at another column. */
  private readBlock(depth: number): unknown {
    if (depth > plainLimits.depthMax) return undefined;
    return this.isItem() ? this.readBlockList(depth) : this.readBlockMap(this.column, depth);
  }

  private readBlockMap(column: number, depth: number): unknown {
    const map: Record<string, unknown> = {};
    do {
      const key = this.readKey(false);
      // A name that every object inherits counts as taken: `__proto__` must never be set like this.
      if (key === undefined || map[key] !== undefined) return undefined;
      const value = this.readBlockValue(column, depth, true);
      if (value === undefined) return undefined;
      map[key] = value;
    } while (this.column === column);
    return map;
  }

  private readBlockList(depth: number): unknown {
    const { column } = this;
    const list: unknown[] = [];
    do {
      this.at++;
      const value = this.isMapInItem()
        ? this.readBlockMap(this.at - this.lineStart, depth + 1)
        : this.readBlockValue(column, depth, false);
      if (value === undefined) return undefined;
      list.push(value);
    } while (this.column === column && this.isItem());
    // A list grown by push keeps room for 16 more: the copy has none.
    return list.slice();
  }

  /** What follows `:` or `-` of a collection at `column`: on the same line, as a block on the lines below, or nothing. */
  private readBlockValue(column: number, depth: number, isInMap: boolean): unknown {
    this.skipSpaces();
    const code = this.text.charCodeAt(this.at);
    if (code === newline || code === hash) {
      this.endLine();
      // The list of a key may stand at the column of the key.
      if (this.column > column || (isInMap && this.column === column && this.isItem()))
        return this.readBlock(depth + 1);
      return null;
    }
    const value = this.readInline(code, depth, false);
    return value !== undefined && this.endLine() ? value : undefined;
  }

  /** A quoted scalar, a plain scalar, or a flow collection. A plain scalar never goes on over the end of its line here. */
  private readInline(code: number, depth: number, isInFlow: boolean): unknown {
    if (code === doubleQuote || code === singleQuote) return this.readQuoted(code);
    if (code === mapOpen || code === listOpen) return this.readFlow(code, depth + 1);
    if (!this.isPlainStart(code)) return undefined;
    const start = this.at;
    return this.resolve(start, this.skipPlain(isInFlow));
  }

  /** A key with its colon: quoted, or plain and no number, boolean or null. */
  private readKey(isInFlow: boolean): string | undefined {
    const start = this.at;
    const code = this.text.charCodeAt(start);
    let key: unknown;
    if (code === doubleQuote || code === singleQuote) key = this.readQuoted(code);
    // At the start of a line, `---` and `...` are not text.
    else if (code !== dash && code !== dot && this.isPlainStart(code))
      key = this.resolve(start, this.skipPlain(isInFlow));
    if (typeof key !== "string" || !this.isKeyEnd() || this.at - start > plainLimits.keyCharactersMax) return undefined;
    this.at++;
    return key;
  }

  /** True on a colon that ends a key: before a space or the end of the line. */
  private isKeyEnd(): boolean {
    const { text, at } = this;
    if (text.charCodeAt(at) !== colon) return false;
    const next = text.charCodeAt(at + 1);
    return next === space || next === newline;
  }

  /** True where the content of an item, which the reader moves on to, starts with a key. */
  private isMapInItem(): boolean {
    this.skipSpaces();
    const start = this.at;
    const isMap = this.readKey(false) !== undefined;
    this.at = start;
    return isMap;
  }

  private readFlow(open: number, depth: number): unknown {
    if (depth > plainLimits.depthMax) return undefined;
    this.at++;
    this.skipSpaces();
    return open === mapOpen ? this.readFlowMap(depth) : this.readFlowList(depth);
  }

  private readFlowMap(depth: number): unknown {
    const map: Record<string, unknown> = {};
    if (this.text.charCodeAt(this.at) === mapClose) return this.step(map);
    for (;;) {
      const key = this.readKey(true);
      if (key === undefined || map[key] !== undefined) return undefined;
      this.skipSpaces();
      const value = this.readInline(this.text.charCodeAt(this.at), depth, true);
      if (value === undefined) return undefined;
      map[key] = value;
      this.skipSpaces();
      const code = this.text.charCodeAt(this.at++);
      if (code === mapClose) return map;
      if (code !== comma) return undefined;
      this.skipSpaces();
    }
  }

  private readFlowList(depth: number): unknown {
    const list: unknown[] = [];
    if (this.text.charCodeAt(this.at) === listClose) return this.step(list);
    for (;;) {
      const value = this.readInline(this.text.charCodeAt(this.at), depth, true);
      if (value === undefined) return undefined;
      list.push(value);
      this.skipSpaces();
      const code = this.text.charCodeAt(this.at++);
      if (code === listClose) return list.slice();
      if (code !== comma) return undefined;
      this.skipSpaces();
    }
  }

  /** Text in quotes on one line, without escapes. After a quote that is doubled to stand for itself, nothing can go on here. */
  private readQuoted(quote: number): string | undefined {
    const { text } = this;
    const start = this.at + 1;
    let end = start;
    for (let code = text.charCodeAt(end); code !== quote; code = text.charCodeAt(++end))
      if (code === newline || code === backslash) return undefined;
    this.at = end + 1;
    return copy(text, start, end);
  }

  private isPlainStart(code: number): boolean {
    if (code > 0x7f) return true;
    if (plainStarts[code] !== 1) return false;
    if (code !== dash) return true;
    const next = this.text.charCodeAt(this.at + 1);
    return next !== space && next !== newline && !isFlowIndicator(next);
  }

  /** Goes behind a plain scalar: to the end of its line, or to what ends it before. Returns the end of its text. */
  private skipPlain(isInFlow: boolean): number {
    const { text } = this;
    let at = this.at;
    let end = at;
    for (let code = text.charCodeAt(at); code !== newline; code = text.charCodeAt(++at)) {
      if (code === space) continue;
      if (code === colon) {
        const next = text.charCodeAt(at + 1);
        if (next === space || next === newline || (isInFlow && isFlowIndicator(next))) break;
      } else if (code === hash) {
        if (text.charCodeAt(at - 1) === space) break;
      } else if (isInFlow && isFlowIndicator(code)) break;
      end = at + 1;
    }
    this.at = at;
    return end;
  }

  /** The value of a plain scalar by the core schema. */
  private resolve(start: number, end: number): unknown {
    const source = copy(this.text, start, end);
    return otherStarts[this.text.charCodeAt(start)] === 1 ? resolvePlain(source) : source;
  }

  private isItem(): boolean {
    if (this.text.charCodeAt(this.at) !== dash) return false;
    const next = this.text.charCodeAt(this.at + 1);
    return next === space || next === newline;
  }

  private skipSpaces(): void {
    while (this.text.charCodeAt(this.at) === space) this.at++;
  }

  private step<T>(value: T): T {
    this.at++;
    return value;
  }

  /** Goes from the end of a value to the next content. False where something else than a comment stands behind the value. */
  private endLine(): boolean {
    const { text } = this;
    this.skipSpaces();
    const code = text.charCodeAt(this.at);
    if (code === hash && text.charCodeAt(this.at - 1) === space) this.at = text.indexOf("\n", this.at);
    else if (code !== newline) return false;
    this.at++;
    this.toContent();
    return true;
  }

  /** Goes from the start of a line over blank lines and comments. */
  private toContent(): void {
    const { text } = this;
    let at = this.at;
    while (at < text.length) {
      const start = at;
      while (text.charCodeAt(at) === space) at++;
      const code = text.charCodeAt(at);
      if (code === hash) at = text.indexOf("\n", at);
      else if (code !== newline) {
        this.at = at;
        this.lineStart = start;
        this.column = at - start;
        return;
      }
      at++;
    }
    this.at = at;
    this.column = -1;
  }
}

function isFlowIndicator(code: number): boolean {
  return code === comma || code === listOpen || code === listClose || code === mapOpen || code === mapClose;
}

// The expressions are those of the core schema of `yaml`, which asks null and booleans first.
const octal = /^0o[0-7]+$/;
const integer = /^[-+]?[0-9]+$/;
const hexadecimal = /^0x[0-9a-fA-F]+$/;
const infinite = /^[-+]?\.(?:inf|Inf|INF)$/;
const float = /^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$/;

/** A plain scalar that starts like something else than a string. */
function resolvePlain(source: string): unknown {
  switch (source) {
    case "~":
    case "null":
    case "Null":
    case "NULL":
      return null;
    case "true":
    case "True":
    case "TRUE":
      return true;
    case "false":
    case "False":
    case "FALSE":
      return false;
    case ".nan":
    case ".NaN":
    case ".NAN":
      return Number.NaN;
  }
  if (integer.test(source)) return Number.parseInt(source, 10);
  if (float.test(source)) return Number.parseFloat(source);
  if (octal.test(source)) return Number.parseInt(source.slice(2), 8);
  if (hexadecimal.test(source)) return Number.parseInt(source.slice(2), 16);
  if (infinite.test(source)) return source.startsWith("-") ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  return source;
}

/** Texts that were read last, by a hash of their characters. Keys and most values recur in every host file: one copy serves all. */
const recent: string[] = Array.from({ length: 4096 }, () => "");
const recentCharactersMax = 64;

/** A part of the text, as a string that does not keep the text in memory. */
function copy(text: string, start: number, end: number): string {
  const length = end - start;
  if (length > recentCharactersMax) return detach(text.slice(start, end));
  let sum = length;
  for (let at = start; at < end; at++) sum = (Math.imul(sum, 31) + text.charCodeAt(at)) | 0;
  const slot = (sum ^ (sum >>> 12)) & 4095;
  const known = recent[slot];
  if (known !== undefined && known.length === length && text.startsWith(known, start)) return known;
  return (recent[slot] = detach(text.slice(start, end)));
}

/** V8 makes a slice of 13 characters or more as a window on its parent: a slice of something just joined has only that as parent. */
function detach(slice: string): string {
  return slice.length < 13 ? slice : ` ${slice}`.slice(1);
}

function markCharacters(characters: string): Uint8Array {
  const marks = new Uint8Array(128);
  for (const character of characters) marks[character.charCodeAt(0)] = 1;
  return marks;
}
