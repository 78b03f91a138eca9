// Seeds that a run plays: those that once found something, and fresh ones.
import { appendFile, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { Seed } from "./orders.ts";

export const seedsFile: string = fileURLToPath(new URL("seeds.txt", import.meta.url));

/** Lines `NAME safety|liveness  # why`. Throws on any other. */
export function parseSeeds(text: string): Seed[] {
  return text.split("\n").flatMap((line, index) => {
    const words = line.replace(/#.*/, "").trim();
    if (words === "") return [];
    const [, name, mode] = /^([\w-]+)\s+(safety|liveness)$/.exec(words) ?? [];
    if (name === undefined) throw new Error(`seeds.txt, line ${index + 1}: not NAME safety|liveness: ${words}`);
    return [{ name, isLiveness: mode === "liveness" }];
  });
}

export async function savedSeeds(): Promise<Seed[]> {
  return parseSeeds(await readFile(seedsFile, "utf8"));
}

export async function saveSeed({ name, isLiveness }: Seed, why: string): Promise<void> {
  const line = `${name} ${isLiveness ? "liveness" : "safety"}  # ${why.replaceAll(/\s+/g, " ").slice(0, 120)}\n`;
  await appendFile(seedsFile, line);
}

/** Half of them have to come to rest, or all. */
export function freshSeed(base: string, index: number, isLiveness: boolean): Seed {
  return { name: `${base}-${index}`, isLiveness: isLiveness || index % 2 === 1 };
}
