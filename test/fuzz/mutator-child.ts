// One search over one target, in a process of its own: started by mutator.ts, which watches it. Lines of JSON on standard output.
import { createHash } from "node:crypto";
import { mkdirSync, openSync, readdirSync, readFileSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { Random } from "../support/random.ts";
import { startCoverage } from "./coverage.ts";
import { type Progress, search } from "./search.ts";

export interface ChildOrder {
  readonly target: string;
  readonly seed: number;
  readonly seconds: number;
  /** Folder for what is found. */
  readonly out: string;
  /** Inputs to begin with; a single file is run once, and nothing else. */
  readonly seeds: string;
  readonly file: string | null;
  /** The input that is being run: its length in 8 digits, then its bytes. */
  readonly slot: string;
}

export type ChildLine =
  | ({ readonly kind: "progress"; readonly perSecond: number } & Progress)
  | { readonly kind: "finding"; readonly file: string; readonly error: string };

const order = JSON.parse(process.argv[2] ?? "{}") as ChildOrder;
const say = (line: ChildLine): void => void writeSync(1, `${JSON.stringify(line)}\n`);
/** Longer inputs take longer, and reach little more. */
const bytesMax = 4096;

const libraries = /\/reconciler\/|\/node_modules\/(?:yaml|@marcbachmann\/cel-js|croner|fastify|secure-json-parse)\//;
const coverage = await startCoverage(libraries);
const { targets } = await import("./targets.ts");
const { wordsOf } = await import("./make-hostile.ts");
const open = targets[order.target];
if (open === undefined) throw new Error(`no target is called ${order.target}`);
const target = await open();

const slot = openSync(order.slot, "w");
const known = new Set<string>();
let last: Buffer = Buffer.alloc(0);

function keepFinding(input: Buffer, error: unknown): void {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  // One finding for each place and first words of an error: the rest says the same again.
  const place = text.split("\n").find((line) => /\/(?:reconciler|test\/fuzz)\//.test(line)) ?? "";
  const key = createHash("sha256")
    .update(place.replaceAll(/:\d+\)?$/g, ""))
    .update(text.slice(0, 30))
    .digest("hex")
    .slice(0, 10);
  if (known.has(key)) return;
  known.add(key);
  mkdirSync(order.out, { recursive: true });
  const file = join(order.out, `${order.target}-${key}.in`);
  writeFileSync(file, input);
  say({ kind: "finding", file, error: text.split("\n").slice(0, 8).join("\n") });
}
process.on("unhandledRejection", (error) => keepFinding(last, error));

const seeds = readdirSync(order.seeds)
  .toSorted()
  .map((name) => readFileSync(join(order.seeds, name)))
  .filter(({ length }) => length <= bytesMax);
const began = performance.now();
let saidAt = began;

let runs = 0;
let progress: Progress = { runs: 0, kept: 0, blocks: 0 };

function report(now: number): void {
  saidAt = now;
  say({ kind: "progress", ...progress, runs, perSecond: Math.round((runs / (now - began)) * 1000) });
}

function goesOn(latest: Progress): boolean {
  progress = latest;
  const now = performance.now();
  const isOver = order.file !== null || now - began > order.seconds * 1000;
  if (isOver) report(now);
  return !isOver;
}

await search({
  run: (input) => target.run(input),
  coverage,
  random: new Random(order.seed),
  seeds: order.file === null ? seeds : [readFileSync(order.file)],
  words: wordsOf(order.target),
  bytesMax,
  onInput: (input) => {
    last = input;
    runs++;
    const now = performance.now();
    if (now - saidAt > 5000) report(now);
    writeSync(slot, Buffer.concat([Buffer.from(String(input.length).padStart(8, "0")), input]), 0, input.length + 8, 0);
  },
  onFinding: keepFinding,
  goesOn,
});
coverage.stop();
await target[Symbol.asyncDispose]();
