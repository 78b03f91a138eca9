// Reads the part of the POSIX shell's language that our scripts are written in, as a shell would: knows nothing of how they are made.
// Source: POSIX.1-2017, Shell Command Language, 2.2 Quoting and 2.3 Token Recognition.

/** Words of a script in commands, which end at newlines. Null for what is more than plain words: an operator, an expansion. */
export function shellCommands(script: string): string[][] | null {
  const commands: string[][] = [[]];
  let word: string | null = null;
  // Shells leave NUL out of what they read.
  const text = script.replaceAll("\0", "");
  for (let at = 0; at < text.length; at++) {
    const character = text[at] ?? "";
    if (character === "'") {
      const end = text.indexOf("'", at + 1);
      if (end < 0) return null;
      word = (word ?? "") + text.slice(at + 1, end);
      at = end;
    } else if (character === "\\") {
      word = (word ?? "") + (text[++at] ?? "");
    } else if (character === " " || character === "\t" || character === "\n") {
      if (word !== null) commands.at(-1)?.push(word);
      word = null;
      if (character === "\n") commands.push([]);
    } else if (/[|&;<>()$`"*?[#~{}!]/.test(character)) {
      return null;
    } else word = (word ?? "") + character;
  }
  if (word !== null) commands.at(-1)?.push(word);
  return commands.filter((words) => words.length > 0);
}
