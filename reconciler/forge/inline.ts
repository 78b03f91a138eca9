// Texts of others in Markdown and in single lines: shown as they are, and never taken for markup, a mention or a command.
import { printable } from "../model/printable.ts";

/** One line of at most `max` characters. */
export function oneLine(text: string, max: number): string {
  const line = printable(text).replaceAll(/\s+/g, " ").trim();
  if (line.length <= max) return line;
  // Half of a surrogate pair is no character.
  return `${line.slice(0, max - 1).replace(/[\ud800-\udbff]$/, "")}…`;
}

/** The text as code within a line of Markdown: nothing in it mentions anybody, links or ends it. */
export function code(text: string, max = 100): string {
  const line = oneLine(text.replaceAll("`", "'"), max);
  return line === "" ? "(nothing)" : `\`${line}\``;
}
