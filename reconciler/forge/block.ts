// Blocks of Markdown and how many of them fit: a text is cut between two blocks, never within one, and says what it leaves out.

export interface Block {
  readonly text: string;
  /** What the block is about, for the sentence on what was left out; blocks of one sort are counted. */
  readonly about: string;
  /** It is for those who look closer: never in the comment. */
  readonly isDetail?: boolean;
}

/**
 * GitHub takes 65,536 characters of a comment, and 65,535 bytes of a check run ("summary exceeds a maximum bytesize of 65535"). What does
 * as bytes does as characters. Some are left for whoever adds a line.
 */
export const textBytesMax = 65_000;
const packedBytesMax = 64_800;
/** Room for the sentence on what was left out. */
const sentenceBytesMax = 600;

/** True for a text that GitHub takes, wherever it is to stand. */
export function fits(text: string): boolean {
  return Buffer.byteLength(text) <= textBytesMax;
}

export interface Packed {
  readonly text: string;
  readonly rest: readonly Block[];
}

/** The blocks that fit, in their order; `closing` makes a sentence of the others. */
export function pack(blocks: readonly Block[], closing: (rest: readonly Block[]) => string): Packed {
  const kept: string[] = [];
  const rest: Block[] = [];
  let room = packedBytesMax - sentenceBytesMax;
  for (const block of blocks) {
    const size = Buffer.byteLength(block.text) + 2;
    if (size > room) rest.push(block);
    else {
      kept.push(block.text);
      room -= size;
    }
  }
  if (rest.length > 0) kept.push(closing(rest));
  return { text: `${kept.join("\n\n")}\n`, rest };
}

/** `12 diffs, 1 graph`: how many blocks of which sort. */
export function aboutText(blocks: readonly Block[]): string {
  const counts = new Map<string, number>();
  for (const { about } of blocks) counts.set(about, (counts.get(about) ?? 0) + 1);
  return [...counts].map(([about, count]) => `${count} × ${about}`).join(", ");
}
