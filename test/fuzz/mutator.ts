// npm run fuzz: a search, guided by coverage, for inputs that break a law of a target, end the process, or hang it.
// Jazzer.js would be the fuzzer of choice, and does not run here: @jazzer.js/fuzzer 4.0.0 comes with an addon that needs glibc 2.38, later
// than what Node 20 is commonly run on (Debian 12 has 2.36), and 2.1.0 loads its addon from a place that is not the registry.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { hostileFolder } from "./make-hostile.ts";
import type { ChildLine, ChildOrder } from "./mutator-child.ts";
import { targets } from "./targets.ts";

const usage = `npm run fuzz -- [--target NAME] [--minutes N] [--seed S] [--out FOLDER] [--file FILE]

Changes inputs of test/fixtures/hostile/ again and again, and keeps those that reach code that none before them reached. What throws
anything but a Failure, breaks a law of its target, ends the process or gives no sign for 30 s is saved, with the line that repeats it.

  --target NAME     one of ${Object.keys(targets).join(", ")}; default all, one after the other
  --minutes N       for each target; default 1
  --seed S          the same seed tries the same inputs, as long as they reach the same code; default 1
  --out FOLDER      where findings are saved; default fuzz-findings
  --file FILE       runs one input through --target, and nothing else

Ends with 0 when nothing was found, 1 when something was, 2 for wrong usage.
`;

const childProgram = fileURLToPath(new URL("mutator-child.ts", import.meta.url));
const stallMs = 30_000;
const root = fileURLToPath(new URL("../..", import.meta.url));

interface Outcome {
  readonly findings: number;
  /** Null when it ended as it should. */
  readonly death: string | null;
}

/** One process that searches, and what became of it. */
function runChild(order: ChildOrder): Promise<Outcome> {
  const child = spawn(
    process.execPath,
    ["--max-old-space-size=512", "--import", "tsx", childProgram, JSON.stringify(order)],
    {
      cwd: root,
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  let findings = 0;
  let stalled = false;
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      stalled = true;
      child.kill("SIGKILL");
    }, stallMs);
    createInterface({ input: child.stdout }).on("line", (text) => {
      timer.refresh();
      const line = JSON.parse(text) as ChildLine;
      if (line.kind === "finding") findings++;
      print(order, line);
    });
    child.once("error", reject);
    child.once("close", (exit, signal) => {
      clearTimeout(timer);
      const how = stalled ? `no sign for ${stallMs / 1000} s` : `the process ended (${signal ?? `exit ${exit}`})`;
      resolve({ findings, death: exit === 0 ? null : how });
    });
    endWithUs(child);
  });
}

function endWithUs(child: ChildProcess): void {
  const end = (): void => void child.kill("SIGKILL");
  process.once("exit", end);
  child.once("close", () => process.off("exit", end));
}

function print({ target }: ChildOrder, line: ChildLine): void {
  if (line.kind === "progress") {
    const { runs, perSecond, blocks, kept } = line;
    process.stdout.write(`${target}: ${runs} runs, ${perSecond}/s, ${blocks} blocks, ${kept} inputs kept\n`);
  } else printFinding(target, line.file, line.error);
}

function printFinding(target: string, file: string, what: string): void {
  process.stdout.write(
    `FOUND in ${target}: ${what}\n  input: ${file}\n  again: npm run fuzz -- --target ${target} --file ${file}\n`,
  );
}

interface Wanted {
  readonly seconds: number;
  readonly seed: number;
  readonly out: string;
  readonly file: string | null;
}

/** Searches one target until the time is over; a process that ends is a finding, and another one goes on. Returns how many were found. */
async function fuzz(target: string, { seconds, seed, out, file }: Wanted): Promise<number> {
  const end = performance.now() + seconds * 1000;
  const dir = mkdtempSync(join(tmpdir(), "stateward-fuzz-"));
  const slot = join(dir, "slot");
  const seeds = join(hostileFolder, target);
  let found = 0;
  try {
    // Each process ends by its time, or by a finding; ten that end early are enough to look into.
    for (let round = 0; round < 10; round++) {
      const left = (end - performance.now()) / 1000;
      if (round > 0 && left < 1) break;
      const order = { target, seed: seed + round, seconds: Math.max(left, 1), out, seeds, file, slot };
      const { findings, death } = await runChild(order);
      found += findings;
      if (death === null) break;
      found++;
      const input = readSlot(slot);
      mkdirSync(out, { recursive: true });
      const saved = file ?? join(out, `${target}-ended-${seed + round}.in`);
      if (file === null) writeFileSync(saved, input);
      printFinding(target, saved, death);
      if (file !== null) break;
    }
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
  return found;
}

function readSlot(slot: string): Buffer {
  const bytes = readFileSync(slot);
  return bytes.subarray(8, 8 + Number(bytes.subarray(0, 8).toString()));
}

function isReadable(file: string): boolean {
  try {
    readFileSync(file);
    return true;
  } catch {
    return false;
  }
}

function wrong(message: string): number {
  process.stderr.write(`${message}\n\n${usage}`);
  return 2;
}

async function main(args: readonly string[]): Promise<number> {
  const text = { type: "string" } as const;
  let values: { target?: string; minutes?: string; seed?: string; out?: string; file?: string; help?: boolean };
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: { target: text, minutes: text, seed: text, out: text, file: text, help: { type: "boolean" } },
    }));
  } catch (error) {
    return wrong(error instanceof Error ? error.message : String(error));
  }
  if (values.help) {
    process.stdout.write(usage);
    return 0;
  }
  const [minutes, seed] = [Number(values.minutes ?? 1), Number(values.seed ?? 1)];
  if (!(minutes > 0 && minutes < 10_000) || !Number.isSafeInteger(seed))
    return wrong("--minutes takes a number above 0, and --seed a whole number");
  const { target, file = null, out = "fuzz-findings" } = values;
  if (target !== undefined && !Object.hasOwn(targets, target)) return wrong(`no target is called ${target}`);
  if (file !== null && target === undefined) return wrong("--file needs --target");
  if (file !== null && !isReadable(file)) return wrong(`cannot read ${file}`);
  let found = 0;
  for (const name of target === undefined ? Object.keys(targets) : [target])
    found += await fuzz(name, { seconds: minutes * 60, seed, out, file });
  process.stdout.write(`${found} found\n`);
  return found === 0 ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
