// Chance from a seed: each name has a stream of its own, so that leaving one thing out does not change all the others.
import { createHash } from "node:crypto";

export class Random {
  private readonly seed: string;
  private a: number;
  private b: number;
  private c: number;
  private d: number;

  constructor(seed: string) {
    this.seed = seed;
    const bytes = createHash("sha256").update(seed).digest();
    this.a = bytes.readInt32LE(0);
    this.b = bytes.readInt32LE(4);
    this.c = bytes.readInt32LE(8);
    this.d = bytes.readInt32LE(12);
  }

  /** A stream of its own. */
  of(name: string): Random {
    return new Random(`${this.seed}/${name}`);
  }

  /** From 0 to below 1. sfc32: PractRand, Chris Doty-Humphrey. */
  next(): number {
    const t = (((this.a + this.b) | 0) + this.d) | 0;
    this.d = (this.d + 1) | 0;
    this.a = this.b ^ (this.b >>> 9);
    this.b = (this.c + (this.c << 3)) | 0;
    this.c = (this.c << 21) | (this.c >>> 11);
    this.c = (this.c + t) | 0;
    return (t >>> 0) / 4_294_967_296;
  }

  /** A whole number from `from` to `to`, both of them included. */
  whole(from: number, to: number): number {
    return from + Math.floor(this.next() * (to - from + 1));
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  /** From a list that is not empty. */
  pick<T>(list: readonly T[]): T {
    const item = list[Math.floor(this.next() * list.length)];
    if (item === undefined) throw new Error("nothing to pick from");
    return item;
  }

  /** Mostly short, now and then long: exponential, in milliseconds. */
  around(meanMs: number): number {
    return Math.ceil(-Math.log(1 - this.next()) * meanMs);
  }

  /** So many of a list, in their order. */
  some<T>(list: readonly T[], count: number): T[] {
    const left = [...list.keys()];
    const picked: number[] = [];
    while (picked.length < count && left.length > 0)
      picked.push(...left.splice(Math.floor(this.next() * left.length), 1));
    return picked.toSorted((x, y) => x - y).map((index) => list[index] as T);
  }
}
