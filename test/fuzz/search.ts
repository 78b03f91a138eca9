// The search itself: inputs are changed, run in batches, and kept when they reach blocks that none before them reached.

import type { Random } from "../support/random.ts";
import type { Coverage } from "./coverage.ts";
import { type Material, mutate } from "./mutations.ts";

export interface SearchOptions {
  readonly run: (input: Buffer) => void | Promise<void>;
  readonly coverage: Coverage;
  readonly random: Random;
  readonly seeds: readonly Buffer[];
  readonly words: readonly string[];
  readonly bytesMax: number;
  /** Called before each run: what it was given last is what ended the process. */
  readonly onInput: (input: Buffer) => void;
  readonly onFinding: (input: Buffer, error: unknown) => void;
  /** Called between two batches; false ends the search. */
  readonly goesOn: (progress: Progress) => boolean;
}

export interface Progress {
  readonly runs: number;
  readonly kept: number;
  readonly blocks: number;
}

/** Asking for coverage takes longer than hundreds of runs: a batch shares one answer, and is taken apart when there is news in it. */
const batchSize = 200;

export async function search(options: SearchOptions): Promise<Progress> {
  const { coverage, random, seeds, words, bytesMax } = options;
  const seen = new Set<string>();
  const kept: Buffer[] = [];
  let runs = 0;
  const runAll = async (inputs: readonly Buffer[]): Promise<string[]> => {
    for (const input of inputs) {
      runs++;
      options.onInput(input);
      try {
        await options.run(input);
      } catch (error) {
        options.onFinding(input, error);
      }
    }
    return (await coverage.take()).filter((block) => !seen.has(block));
  };
  /** What is short is changed in the right place sooner: the end goes, as long as the same blocks are reached. */
  const shorten = async (input: Buffer, news: readonly string[]): Promise<Buffer> => {
    let short = input;
    for (let cut = Math.ceil(input.length / 2); cut >= 1 && short.length > 1; cut = Math.floor(cut / 2)) {
      const candidate = short.subarray(0, Math.max(0, short.length - cut));
      const reached = new Set(await runAll([candidate]));
      if (news.every((block) => reached.has(block))) short = candidate;
    }
    return short;
  };
  const keepNews = async (batch: readonly Buffer[]): Promise<void> => {
    const news = await runAll(batch);
    if (news.length === 0) return;
    const [only] = batch;
    if (batch.length === 1 && only) {
      kept.push(await shorten(only, news));
      for (const block of news) seen.add(block);
      return;
    }
    const middle = Math.ceil(batch.length / 2);
    await keepNews(batch.slice(0, middle));
    await keepNews(batch.slice(middle));
    // What only runs once in a process, or by chance, belongs to no input.
    for (const block of news) seen.add(block);
  };
  // Nearly each of the first ones reaches something new: taking batches of them apart would run each eight times.
  for (const seed of seeds) await keepNews([seed]);
  const material: Material = { words, others: [...seeds, Buffer.alloc(0)], bytesMax };
  const parent = (): Buffer => {
    // What was kept last reached something new: every third input is made of one of those, and every third of any of the first ones.
    const from = [kept.slice(-20), kept, seeds][random.below(3)] ?? [];
    return from.length > 0 ? random.pick(from) : Buffer.alloc(0);
  };
  while (options.goesOn({ runs, kept: kept.length, blocks: seen.size })) {
    await keepNews(Array.from({ length: batchSize }, () => mutate(parent(), random, material)));
  }
  return { runs, kept: kept.length, blocks: seen.size };
}
