// Limits on YAML from people and pull requests, checked on tokens, before anything recursive or quadratic sees the text.
// The `yaml` parser aborts Node on deep nesting, and takes seconds and hundreds of MiB for what fills a file with tiny parts, above
// all with wrong ones: hence this comes first.
import { Lexer } from "yaml";
import type { ProblemCode } from "./problem.ts";

export const yamlLimits = {
  /** Characters in a file. */
  charactersMax: 262_144,
  /** Levels of nesting. */
  depthMax: 32,
  /** Keys in a file. */
  keysMax: 5000,
  /** Tokens, lines and escapes in a file: each may become a node, a comment or an error of the parser's. 5000 keys have 20,000 of them. */
  partsMax: 30_000,
} as const;

/** A limit that a text breaks, at a character offset. */
export interface LimitBreach {
  readonly code: ProblemCode;
  readonly offset: number;
  readonly message: string;
  readonly remedy: string;
}

/** The first limit that the text breaks, or null. Linear in the text; never throws. */
export function findLimitBreach(text: string): LimitBreach | null {
  if (text.length > yamlLimits.charactersMax) {
    const message = `the file has ${text.length} characters; ${yamlLimits.charactersMax} are accepted`;
    return { code: "SW001", offset: 0, message, remedy: "split it into several files" };
  }
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  const odd = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffd\ud800-\udfff]/u.exec(text);
  if (odd) {
    const message = "the file holds a control character, or bytes that are not UTF-8";
    return { code: "SW009", offset: odd.index, message, remedy: "save it as plain UTF-8 text" };
  }
  return new TokenScan().run(text);
}

/** Walks the lexer's tokens, and keeps the columns at which open blocks began, and the depth of flow collections. */
class TokenScan {
  private columns: number[] = [];
  private flowDepth = 0;
  private keys = 0;
  private parts = 0;
  private column = 0;
  private offset = 0;
  /** True until the first content token of a line. */
  private lineStart = true;
  /** True right after `-`, `?` or `:` on the same line: content that follows opens a level of its own. */
  private afterIndicator = false;

  run(text: string): LimitBreach | null {
    for (const token of new Lexer().lex(text)) {
      const breach = this.step(token);
      if (breach) return breach;
    }
    return null;
  }

  private step(token: string): LimitBreach | null {
    const first = token[0] ?? "";
    // The lexer's own marks (document start, flow end, scalar next) take no room in the text.
    if (first === "\u0002" || first === "\u0018" || first === "\u001f" || first === "\ufeff") return null;
    this.parts += partsOf(token, first);
    if (this.parts > yamlLimits.partsMax) {
      const message = `the file has more than ${yamlLimits.partsMax} lines, values and marks`;
      return this.breach("SW001", message, "split it into several files");
    }
    if (first === " " || first === "\t" || first === "#") return this.advance(token);
    if (first === "\n" || first === "\r") return this.advance(token);
    this.open();
    const breach = this.count(token, first);
    return breach ?? this.advance(token);
  }

  private count(token: string, first: string): LimitBreach | null {
    if (first === "&" || first === "*") {
      return this.breach(
        "SW004",
        `anchors and aliases are not accepted: ${token.slice(0, 40)}`,
        "write the value out where it is used",
      );
    }
    if (first === "!")
      return this.breach(
        "SW005",
        `tags are not accepted: ${token.slice(0, 40)}`,
        "leave the tag out; quote the value if it is to be text",
      );
    if (token === "{" || token === "[") this.flowDepth++;
    if (token === "}" || token === "]") this.flowDepth--;
    this.afterIndicator = token === "-" || token === "?" || token === ":";
    // An entry needs no colon: the comma of a flow map counts as well, and the mark of a key.
    if ((token === ":" || token === "," || token === "?") && ++this.keys > yamlLimits.keysMax) {
      return this.breach("SW003", `the file has more than ${yamlLimits.keysMax} keys`, "split it into several files");
    }
    if (this.columns.length + this.flowDepth > yamlLimits.depthMax) {
      return this.breach("SW002", `the document is nested more than ${yamlLimits.depthMax} levels deep`, "flatten it");
    }
    return null;
  }

  private open(): void {
    if (this.flowDepth > 0) return;
    if (!this.lineStart && !this.afterIndicator) return;
    if (this.lineStart) while ((this.columns.at(-1) ?? -1) > this.column) this.columns.pop();
    if ((this.columns.at(-1) ?? -1) < this.column) this.columns.push(this.column);
    this.lineStart = false;
  }

  private advance(token: string): null {
    this.offset += token.length;
    const newline = token.lastIndexOf("\n");
    if (newline >= 0) {
      this.column = token.length - newline - 1;
      this.lineStart = true;
      this.afterIndicator = false;
    } else this.column += token.length;
    return null;
  }

  private breach(code: ProblemCode, message: string, remedy: string): LimitBreach {
    return { code, offset: this.offset, message, remedy };
  }
}

/** A token, the lines that it goes over, and the escapes in a double-quoted one. */
function partsOf(token: string, first: string): number {
  if (token.length === 1) return first === " " ? 0 : 1;
  let parts = 1;
  for (let at = token.indexOf("\n"); at >= 0; at = token.indexOf("\n", at + 1)) parts++;
  if (first === '"') for (let at = token.indexOf("\\"); at >= 0; at = token.indexOf("\\", at + 1)) parts++;
  return parts;
}
