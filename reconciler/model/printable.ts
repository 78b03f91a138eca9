// A3: texts that hosts and people have a say in, made safe to print: a terminal, a pager or a log reader takes nothing in them for a word
// to itself, and what looks like one text is one.

/** Control characters but for tab and line feed, what turns the direction of writing, and what takes no room. */
const unprintable =
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** The text with U+FFFD for each character that is not there to be read; lines and tabs stay. */
export function printable(text: string): string {
  return text.replaceAll(/\r\n/g, "\n").replace(unprintable, "\ufffd");
}
