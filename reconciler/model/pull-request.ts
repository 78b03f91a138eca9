// Which pull request a commit of main came with, by the message that the Git host gave it. A hint for people: nothing is decided by it.

/** Number of the pull request; null where the message names none. */
export function pullRequestOf(message: string): number | null {
  const subject = message.split("\n", 1)[0] ?? "";
  // What GitHub writes: a merge, and the title of what was squashed or rebased.
  const found = /^Merge pull request #(\d{1,9})\b/.exec(subject) ?? /\(#(\d{1,9})\)\s*$/.exec(subject);
  return found === null ? null : Number(found[1]);
}
