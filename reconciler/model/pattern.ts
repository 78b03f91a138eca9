// Regular expressions for guards, in time that grows with the text and with the expression, and never faster: what CEL asks for (RE2).
// JavaScript's own take time that doubles with each letter of a text such as a host reports. No back references, no looking around.
// Source: Russ Cox, "Regular Expression Matching Can Be Simple And Fast", 2007.

/** Bounds on one expression and on one match: a match that would take longer cannot be evaluated. */
const limits = { stepsMax: 2_000_000, statesMax: 2000, repeatMax: 1000, depthMax: 50 } as const;

/** Whether the expression is found in a text, or null where that takes too long to tell. */
export type Pattern = (text: string) => boolean | null;

type Edge = (before: string | undefined, after: string | undefined) => boolean;
type State =
  | { readonly kind: "one"; readonly is: (character: string) => boolean; readonly next: number }
  | { readonly kind: "edge"; readonly holds: Edge; readonly next: number }
  | { readonly kind: "split"; readonly next: readonly number[] }
  | { readonly kind: "found" };

/** Part of an expression. */
type Part =
  | { readonly kind: "one"; readonly is: (character: string) => boolean }
  | { readonly kind: "edge"; readonly holds: Edge }
  | { readonly kind: "all" | "any"; readonly parts: readonly Part[] }
  | { readonly kind: "repeat"; readonly part: Part; readonly min: number; readonly max: number };

/** Throws an Error that says what is wrong with an expression. */
export function compilePattern(source: string): Pattern {
  const program = new Program();
  const start = program.add(new Reader(source).read(), program.push({ kind: "found" }));
  return (text) => search(program.states, start, Array.from(text));
}

/** Reads an expression from left to right. */
class Reader {
  private readonly source: string;
  private at = 0;
  private depth = 0;
  private flags = "";

  constructor(source: string) {
    this.source = source;
  }

  read(): Part {
    const part = this.readChoices();
    if (this.at < this.source.length) throw new Error("a ) without (");
    return part;
  }

  private readChoices(): Part {
    if (++this.depth > limits.depthMax) throw new Error("nested too deeply");
    const parts = [this.readRow()];
    while (this.take("|")) parts.push(this.readRow());
    this.depth--;
    return parts.length === 1 && parts[0] ? parts[0] : { kind: "any", parts };
  }

  private readRow(): Part {
    const parts: Part[] = [];
    while (this.at < this.source.length && !"|)".includes(this.source[this.at] ?? "")) {
      const part = this.readAtom();
      if (part !== null) parts.push(this.readRepeats(part));
    }
    return parts.length === 1 && parts[0] ? parts[0] : { kind: "all", parts };
  }

  /** Null for flags such as `(?i)`, which stand for nothing. */
  private readAtom(): Part | null {
    const { flags } = this;
    if (this.take("(")) return this.readGroup();
    if (this.take("^")) return edge((before) => before === undefined || (flags.includes("m") && before === "\n"));
    if (this.take("$")) return edge((_, after) => after === undefined || (flags.includes("m") && after === "\n"));
    const [word = ""] = this.match(/\\[AzbB]/y) ?? [];
    if (word === "\\A") return edge((before) => before === undefined);
    if (word === "\\z") return edge((_, after) => after === undefined);
    if (word !== "") return edge((before, after) => (isWord(before) !== isWord(after)) === (word === "\\b"));
    if (/[*+?]/.test(this.source[this.at] ?? "")) throw new Error(`nothing to repeat before ${this.source[this.at]}`);
    return { kind: "one", is: oneOf(this.readCharacter(), flags) };
  }

  private readGroup(): Part | null {
    const { flags } = this;
    const [, added] = this.match(/\?([ims]+)\)/y) ?? [];
    if (added !== undefined) {
      this.flags += added;
      return null;
    }
    const [head, local = ""] = this.match(/\?(?:([ims]*):|P?<[A-Za-z_]\w*>)/y) ?? [""];
    if (head === "" && this.source[this.at] === "?") throw new Error("a group that is not known here");
    this.flags += local;
    const part = this.readChoices();
    this.flags = flags;
    if (!this.take(")")) throw new Error("a ( without )");
    return part;
  }

  /** The expression of one character, as JavaScript has it: that one never takes long. */
  private readCharacter(): string {
    const found = this.match(
      /\[\^?\]?(?:\\[^]|[^\\\]])*\]|\\(?:[pP]\{\w+(?:=\w+)?\}|x[0-9A-Fa-f]{2}|x\{[0-9A-Fa-f]+\}|[^])|[^[\\]/uy,
    );
    const [text = ""] = found ?? [];
    if (text === "" || /^\\[1-9]/.test(text))
      throw new Error(`cannot be read from ${this.source.slice(this.at, this.at + 20)}`);
    // Marks may be escaped where they need not be; JavaScript minds.
    const plain = text.replaceAll(/\\(\W)/gu, (all, mark: string) => (/[\^$\\.*+?()[\]{}|/-]/.test(mark) ? all : mark));
    if (/^[{}\]]$/.test(plain)) return `\\${plain}`;
    return plain.replaceAll(/\\x\{/g, "\\u{").replace(/^\\-$/, "-");
  }

  private readRepeats(part: Part): Part {
    let whole = part;
    for (;;) {
      const [text, low, comma, high] = this.match(/(?:[*+?]|\{(\d{1,9})(,?)(\d{0,9})\})\??/y) ?? [];
      if (text === undefined) return whole;
      const [sign] = text;
      const min = low === undefined ? (sign === "+" ? 1 : 0) : Number(low);
      const bounded = comma === "" ? min : high === "" ? Number.POSITIVE_INFINITY : Number(high);
      const max = low === undefined ? (sign === "?" ? 1 : Number.POSITIVE_INFINITY) : bounded;
      if (Math.max(min, max === Number.POSITIVE_INFINITY ? 0 : max) > limits.repeatMax || max < min)
        throw new Error(`cannot be repeated ${text}`);
      whole = { kind: "repeat", part: whole, min, max };
    }
  }

  private take(character: string): boolean {
    if (this.source[this.at] !== character) return false;
    this.at++;
    return true;
  }

  private match(expression: RegExp): RegExpExecArray | null {
    expression.lastIndex = this.at;
    const found = expression.exec(this.source);
    if (found) this.at += found[0].length;
    return found;
  }
}

const edge = (holds: Edge): Part => ({ kind: "edge", holds });
const isWord = (character: string | undefined): boolean => character !== undefined && /\w/.test(character);

function oneOf(source: string, flags: string): (character: string) => boolean {
  const expression = new RegExp(
    `^(?:${source})$`,
    `u${flags.includes("i") ? "i" : ""}${flags.includes("s") ? "s" : ""}`,
  );
  const known = new Map<string, boolean>();
  return (character) => {
    let is = known.get(character);
    if (is === undefined) {
      is = expression.test(character);
      if (known.size < 1000) known.set(character, is);
    }
    return is;
  };
}

/** States, made from the end of the expression to its beginning. */
class Program {
  readonly states: State[] = [];
  private work = 0;

  push(state: State): number {
    return this.states.push(state) - 1;
  }

  /** Adds a part that goes on at `next`; where it begins. */
  add(part: Part, next: number): number {
    if (++this.work > limits.statesMax) throw new Error("too large");
    switch (part.kind) {
      case "one":
      case "edge":
        return this.push({ ...part, next });
      case "all":
        return part.parts.reduceRight((after, inner) => this.add(inner, after), next);
      case "any":
        return this.push({ kind: "split", next: part.parts.map((inner) => this.add(inner, next)) });
      case "repeat":
        return this.addRepeat(part, next);
    }
  }

  private addRepeat({ part, min, max }: Extract<Part, { kind: "repeat" }>, next: number): number {
    let start = next;
    if (max === Number.POSITIVE_INFINITY) {
      const ways = [next];
      start = this.push({ kind: "split", next: ways });
      ways.push(this.add(part, start));
    } else {
      for (let left = max - min; left > 0; left--)
        start = this.push({ kind: "split", next: [this.add(part, start), next] });
    }
    for (let left = min; left > 0; left--) start = this.add(part, start);
    return start;
  }
}

/** Follows all ways at once, so that each state is looked at once for each character. */
function search(states: readonly State[], start: number, characters: readonly string[]): boolean | null {
  const seen = new Int32Array(states.length).fill(-1);
  let here: number[] = [];
  let steps = 0;
  for (let at = 0; at <= characters.length; at++) {
    const [before, character] = [characters[at - 1], characters[at]];
    const next: number[] = [];
    const open = [start, ...here];
    for (let index = open.pop(); index !== undefined; index = open.pop()) {
      if (++steps > limits.stepsMax) return null;
      if (seen[index] === at) continue;
      seen[index] = at;
      const state = states[index];
      if (state === undefined || state.kind === "found") return true;
      if (state.kind === "split") open.push(...state.next);
      else if (state.kind === "edge") {
        if (state.holds(before, character)) open.push(state.next);
      } else if (character !== undefined && state.is(character)) next.push(state.next);
    }
    here = next;
  }
  return false;
}
