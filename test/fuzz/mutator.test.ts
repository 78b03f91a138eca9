// The search: it finds what plain chance does not, the same each time.
import { execFile } from "node:child_process";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import * as assert from "uvu/assert";
import { root } from "../support/example.ts";
import { Random } from "../support/random.ts";
import { suite } from "../support/suite.ts";
import { tempFolder } from "../support/temp.ts";
import { startCoverage } from "./coverage.ts";
import { mutate } from "./mutations.ts";
import { search } from "./search.ts";

const test = suite("mutator");

/** Fails behind five conditions, each of which is one block further. */
const planted = `export function run(text) {
  if (text[0] === "[") if (text[1] === "-") if (text[2] === "{") if (text[3] === "~") if (text[4] === "[") throw new Error("planted");
}`;

interface Planted {
  readonly run: (text: string) => void;
}

/** Inputs that break the planted function, by a search with coverage or without, and how many runs there were. */
async function hunt(
  seed: number,
  isGuided: boolean,
): Promise<{ readonly found: readonly string[]; readonly runs: number; readonly kept: number }> {
  await using dir = await tempFolder();
  const file = join(dir.path, `planted-${seed}-${isGuided}.mjs`);
  await writeFile(file, planted);
  const coverage = await startCoverage(/planted-/);
  const { run } = (await import(pathToFileURL(file).href)) as Planted;
  const found: string[] = [];
  const result = await search({
    run: (input) => run(input.toString("latin1")),
    coverage: isGuided ? coverage : { take: () => Promise.resolve([]), stop: () => {} },
    random: new Random(seed),
    seeds: [Buffer.from("x")],
    words: [],
    bytesMax: 64,
    onInput: () => {},
    onFinding: (input) => found.push(input.toString("latin1")),
    goesOn: ({ runs }) => found.length === 0 && runs < 60_000,
  });
  coverage.stop();
  return { found, runs: result.runs, kept: result.kept };
}

test("a fault behind five conditions is found by coverage, with the same runs for the same seed, and not by chance alone", async () => {
  const first = await hunt(1, true);
  assert.ok(first.found[0]?.startsWith("[-{~["), `not found in ${first.runs} runs, ${first.kept} kept`);
  assert.ok(first.kept >= 5);
  assert.equal((await hunt(1, true)).found, first.found);
  assert.equal((await hunt(1, false)).found, []);
});

test("a mutation is the same for the same seed, and never larger than it may be", () => {
  const input = Buffer.from("host: a\nvars: { b: 12 }\n");
  const all = (seed: number): string[] => {
    const random = new Random(seed);
    const material = { words: ["x: y"], others: [input], bytesMax: 40 };
    return Array.from({ length: 500 }, () => mutate(input, random, material).toString("latin1"));
  };
  assert.equal(all(7), all(7));
  assert.ok(new Set(all(7)).size > 400);
  assert.not.equal(all(7), all(8));
  assert.ok(all(7).every((text) => text.length <= 40));
});

interface Ended {
  readonly exit: number;
  readonly output: string;
}

const fuzz = (...args: readonly string[]): Promise<Ended> =>
  new Promise((resolve) => {
    const program = ["--import", "tsx", join(root, "test/fuzz/mutator.ts"), ...args];
    execFile(process.execPath, program, { cwd: root }, (error, stdout, stderr) => {
      resolve({ exit: error === null ? 0 : Number(error.code ?? -1), output: stdout + stderr });
    });
  });

test("the program runs one file, searches for its time, and says how to use it", async () => {
  await using dir = await tempFolder();
  await mkdir(join(dir.path, "in"));
  const file = join(dir.path, "in/a.in");
  await writeFile(file, 'host.name == "a"');
  const one = await fuzz("--target", "guard", "--file", file, "--out", join(dir.path, "out"));
  assert.match(one.output, /guard: \d+ runs, .* blocks/);
  assert.is(one.exit, 0, one.output);
  const short = await fuzz("--target", "argument", "--minutes", "0.02", "--out", join(dir.path, "out"));
  assert.match(short.output, /argument: \d{3,} runs, .* inputs kept\n0 found/);
  assert.is((await fuzz("--target", "nothing")).exit, 2);
  assert.is((await fuzz("--minutes", "0")).exit, 2);
  const missing = await fuzz("--target", "guard", "--file", join(dir.path, "none"), "--out", join(dir.path, "out"));
  assert.equal([missing.exit, /FOUND/.test(missing.output)], [2, false], missing.output);
  assert.match((await fuzz("--help")).output, "--target NAME");
  assert.equal((await readdir(dir.path)).toSorted(), ["in"]);
  assert.is(await readFile(file, "utf8"), 'host.name == "a"');
});

test.run();
