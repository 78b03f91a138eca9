// Blocks of Markdown and how many of them fit: a text is cut between two blocks, never within one, and says what it leaves out.

export interface Block {
  readonly text: string;
  /** What the block is about, for the sentence on what was left out; blocks of one sort are counted. */
  readonly about: string;
  /** It is for those who look closer: never in the comment. */
  readonly isDetail?: boolean;
}

/** GitHub takes 65,536 characters; some are left for whoever adds a line. */
export const textMax = 64_800;
/** Room for the sentence on what was left out. */
const sentenceMax = 600;

export interface Packed {
  readonly text: string;
  readonly rest: readonly Block[];
}

/** The blocks that fit, in their order; `closing` makes a sentence of the others. */
export function pack(blocks: readonly Block[], closing: (rest: readonly Block[]) => string): Packed {
  const kept: string[] = [];
  const rest: Block[] = [];
  let room = textMax - sentenceMax;
  for (const block of blocks) {
    const size = block.text.length + 2;
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
