// A3: texts from files, hosts and Git in Markdown, HTML and Mermaid. In Markdown, data stands in code alone: nothing in code is markup, a
// link, a mention, or a reference to an issue. What is not there to be read is taken out.
import { printable } from "../model/printable.ts";

/** Characters of one text in a line. */
const lineMax = 300;

/** One line of at most `max` characters: no line feeds, no tabs, nothing invisible, and an end. */
export function oneLine(text: string, max: number = lineMax): string {
  const line = printable(text).replaceAll(/\s+/g, " ").trim();
  return line.length > max ? `${cut(line, max - 3)}...` : line;
}

/** For statuses, deployments and check runs: GitHub refuses them for a character of four bytes ("doesn't accept 4-byte Unicode"). */
export function threeBytes(text: string): string {
  return text.replaceAll(/[\u{10000}-\u{10ffff}]/gu, "\ufffd");
}

/** One line of the same. */
export function plainLine(text: string, max: number): string {
  return oneLine(threeBytes(text), max);
}

/** The beginning of a text, without half a character at its end. */
export function cut(text: string, most: number): string {
  const part = text.slice(0, most);
  return /[\ud800-\udbff]$/.test(part) ? part.slice(0, -1) : part;
}

function longestRun(text: string): number {
  return Math.max(0, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));
}

/** Inline code. CommonMark 6.1: its fence is longer than any run of backticks in it. */
export function code(text: string, max: number = lineMax): string {
  const line = oneLine(text, max);
  if (line === "") return "(empty)";
  const fence = "`".repeat(longestRun(line) + 1);
  const isPadded = line.startsWith("`") || line.endsWith("`");
  return isPadded ? `${fence} ${line} ${fence}` : `${fence}${line}${fence}`;
}

/** Inline code in a table: a bar would end the cell, also in code. */
export function cell(text: string): string {
  return code(text.replaceAll("|", "¦"));
}

/** A block of code. CommonMark 4.5. */
export function fenced(language: "diff" | "mermaid" | "text", text: string): string {
  const body = printable(text).replaceAll("\r", "");
  const fence = "`".repeat(Math.max(3, longestRun(body) + 1));
  return `${fence}${language}\n${body}\n${fence}`;
}

/** Code inside of HTML, where Markdown is not read: GitHub makes no links or mentions of what stands in it. */
export function htmlCode(text: string): string {
  const encoded = oneLine(text).replaceAll(/[^A-Za-z0-9 _-]/gu, (character) => `&#${character.codePointAt(0)};`);
  return `<code>${encoded}</code>`;
}

/** Label of a node or an arrow in Mermaid, to stand between double quotes: every character that may be syntax by its number. */
export function mermaidLabel(text: string): string {
  const line = cut(oneLine(text), labelMax);
  return line.replaceAll(/[^A-Za-z0-9 _.-]/gu, (character) => `#${character.codePointAt(0)};`);
}

const labelMax = 80;
