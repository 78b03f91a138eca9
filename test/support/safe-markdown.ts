// What a plan may look like on a pull request: no markup that comes from data.
import { lexer, type Token } from "marked";
import * as assert from "uvu/assert";

/** Every token of a text, those in others included. */
export function tokens(text: string): Token[] {
  const all: Token[] = [];
  const visit = (list: readonly Token[]): void => {
    for (const token of list) {
      all.push(token);
      if ("tokens" in token && token.tokens) visit(token.tokens);
      if (token.type === "list") for (const item of token.items as Token[]) visit([item]);
      if (token.type === "table")
        for (const part of [...token.header, ...token.rows.flat()] as { tokens: Token[] }[]) visit(part.tokens);
    }
  };
  visit(lexer(text));
  return all;
}

/** HTML that the renderer writes itself; whatever data is in it is letters, digits and numbers of characters. */
const ownHtml =
  /^(<details><summary>(host|group|machine|settings|holidays|signers|What is unchanged and new)[ A-Za-z0-9,]*(<code>[A-Za-z0-9 _&#;-]*<\/code>[A-Za-z0-9 ,]*)?<\/summary>\s*|<\/details>\s*)$/;

/** Nothing of the text is a link, an image, HTML of others, or a mention outside of code. */
export function isSafe(text: string, where: string): void {
  for (const token of tokens(text)) {
    assert.not.ok(["link", "image", "def"].includes(token.type), `${where}: ${token.type} ${token.raw.slice(0, 200)}`);
    if (token.type === "html") assert.match(token.raw, ownHtml, where);
    if (token.type !== "text" && token.type !== "escape") continue;
    // Text with texts in it is looked at in its parts.
    if ("tokens" in token && token.tokens) continue;
    assert.not.match(token.raw, /[@#]|https?:|www\.|[0-9a-f]{20}/i, where);
  }
}
