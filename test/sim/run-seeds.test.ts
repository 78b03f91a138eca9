// A run over seeds with a program that plays nothing: what hangs, what dies and what was not played is red, and saved seeds come first.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { suite } from "../support/suite.ts";
import { tempFolder } from "../support/temp.ts";
import { hung } from "./orders.ts";
import { Run, type RunOptions } from "./run-seeds.ts";
import { savedSeeds } from "./seeds.ts";
import { Workers } from "./workers.ts";

const test = suite("runs of the simulator", { limitMs: 60_000 });

/** Notes the seeds that it is asked for; hangs at one whose name ends in -1, and dies at one that ends in -2. */
const program = (log: string): string => `import { appendFileSync } from "node:fs";
process.on("disconnect", () => process.exit(0));
process.on("message", ({ seed }) => {
  appendFileSync(${JSON.stringify(log)}, seed.name + "\\n");
  if (/^odd-1$/.test(seed.name)) for (;;);
  if (/^odd-2$/.test(seed.name)) process.exit(3);
  const judged = { events: 1, steps: 1, faults: {}, happenings: {}, violations: [], digest: "" };
  process.send({ kind: "judged", judged });
});`;

interface Ran {
  readonly run: Run;
  readonly isGood: boolean;
  readonly seeds: readonly string[];
}

async function ran(base: string, options: Partial<RunOptions>, before: (run: Run) => void = () => {}): Promise<Ran> {
  await using dir = await tempFolder();
  const [log, file] = [join(dir.path, "log"), join(dir.path, "program.mjs")];
  await writeFile(log, "");
  await writeFile(file, program(log));
  await using workers = new Workers(file, 1, 1500);
  const usual = { base, fresh: 4, isLiveness: false, endAfterMs: null, saves: false, jobs: 1 };
  const run = new Run(workers, { ...usual, ...options });
  before(run);
  const isGood = await run.play();
  return { run, isGood, seeds: (await readFile(log, "utf8")).split("\n").filter((line) => line !== "") };
}

test("saved seeds are played first, then as many fresh ones as were asked for", async () => {
  const { isGood, seeds } = await ran("even", {});
  const saved = (await savedSeeds()).map(({ name }) => name);
  assert.ok(saved.length > 0);
  assert.equal(seeds, [...saved, "even-0", "even-1", "even-2", "even-3"]);
  assert.ok(isGood);
});

test("a seed that hangs is a failure, and so is one whose process ends; the others are played", async () => {
  const { run, isGood, seeds } = await ran("odd", {});
  assert.not(isGood);
  assert.equal(
    run.summary.failures.map(({ seed, promise }) => [seed.name, promise]),
    [
      ["odd-1", hung],
      ["odd-2", hung],
    ],
  );
  assert.is(seeds.at(-1), "odd-3");
});

test("a run that was stopped before it had played what was asked for is red", async () => {
  const { run, isGood } = await ran("few", { fresh: 2000 }, (stopped) => stopped.stop());
  assert.is(run.summary.failures.length, 0);
  assert.not(isGood);
});

test.run();
