// A line of hosts in order. It is kept in blocks, so that a place in the middle of a hundred thousand costs one block.

interface Place {
  readonly rank: string;
  readonly name: string;
}

/** The first so many of a line, of those before the place `end` and behind the place `after`. */
export interface LinePart {
  readonly most: number;
  readonly end: string | null;
  readonly after: string | null;
}

/** Places in a block, after which it becomes two. */
const blockMax = 512;

/** Hosts that wait at a gate, in the order in which they are let through. */
export class Line {
  /** None of them is empty. */
  private readonly blocks: Place[][] = [];
  private size = 0;

  get length(): number {
    return this.size;
  }

  /** Hosts before this place. */
  ahead(rank: string): number {
    const { block, at } = this.find(rank);
    let before = at;
    for (let index = 0; index < block; index++) before += this.blocks[index]?.length ?? 0;
    return before;
  }

  clear(): void {
    this.blocks.length = 0;
    this.size = 0;
  }

  add(rank: string, name: string): void {
    const { block, at } = this.find(rank);
    const places = this.blocks[block];
    this.size++;
    if (places === undefined) {
      this.blocks.push([{ rank, name }]);
      return;
    }
    places.splice(at, 0, { rank, name });
    if (places.length > blockMax) this.blocks.splice(block + 1, 0, places.splice(blockMax / 2));
  }

  remove(rank: string, name: string): void {
    const { block, at } = this.find(rank);
    const places = this.blocks[block];
    if (places?.[at]?.name !== name) return;
    this.size--;
    places.splice(at, 1);
    if (places.length === 0) this.blocks.splice(block, 1);
  }

  /** Names of a part of the line. `last` is the place at its end, also where nobody stands behind the place `after`. */
  first({ most, end, after }: LinePart): { readonly names: readonly string[]; readonly last: string | null } {
    const upTo = Math.min(most, end === null ? this.size : this.ahead(end), this.size);
    const from = after === null ? 0 : this.ahead(`${after}\0`);
    const names: string[] = [];
    let last: string | null = null;
    let begin = 0;
    for (const places of this.blocks) {
      if (begin >= upTo) break;
      const stop = Math.min(upTo - begin, places.length);
      for (let at = Math.max(0, from - begin); at < stop; at++) names.push(places[at]?.name ?? "");
      last = places[stop - 1]?.rank ?? null;
      begin += places.length;
    }
    return { names, last };
  }

  /** Where a place is, or would be: in the last block also behind its end. */
  private find(rank: string): { readonly block: number; readonly at: number } {
    const { blocks } = this;
    let [low, high] = [0, Math.max(0, blocks.length - 1)];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((blocks[middle]?.at(-1)?.rank ?? "") < rank) low = middle + 1;
      else high = middle;
    }
    return { block: low, at: placeIn(blocks[low] ?? [], rank) };
  }
}

function placeIn(places: readonly Place[], rank: string): number {
  let [low, high] = [0, places.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((places[middle]?.rank ?? "") < rank) low = middle + 1;
    else high = middle;
  }
  return low;
}
