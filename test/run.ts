// Runs every test file in a process of its own. Fails, beyond failing tests, when no file matches, when a file runs no test or not
// all that it declares, when `.only` or a hook is left in, and when a file does not end: uvu stays green in all of these.
import { spawn } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const fileTimeMaxMs = 300_000;
/** After its last test a file has this long to end: an open socket or timer is a leak. */
const lingerMaxMs = 15_000;
const folder = fileURLToPath(new URL(".", import.meta.url));

export interface FileResult {
  readonly file: string;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: readonly string[];
  readonly output: string;
}

/** What is wrong with the text of a test file, or null. */
export function findMisuse(text: string): string | null {
  if (/\btest\.only\(|\.only\(/.test(text)) return "`.only` is left in";
  if (/\btest\.(before|after)(\.each)?\(/.test(text))
    return "a hook: uvu passes when it throws; use `await using` fixtures";
  return null;
}

/** Reads what a file's process printed. A process that does not say how many tests it ran has failed. */
export function readResult(file: string, exit: number | null, output: string): FileResult {
  const total = /^ {2}Total: +(\d+)$/m.exec(output);
  const passed = Number(/^ {2}Passed: +(\d+)$/m.exec(output)?.[1] ?? 0);
  const declared = Number(/^@declared (\d+)$/m.exec(output)?.[1] ?? -1);
  const skipped = [...output.matchAll(/^@skipped (.*)$/gm)].map((match) => match[1] ?? "");
  const ran = Number(total?.[1] ?? 0);
  const missing = declared < 0 ? 1 : Math.max(0, declared - ran);
  const broken = exit !== 0 && passed === ran && missing === 0 ? 1 : 0;
  const none = ran + skipped.length === 0 ? 1 : 0;
  return { file, passed, failed: ran - passed + missing + broken + (missing === 0 ? none : 0), skipped, output };
}

async function runFile(file: string): Promise<FileResult> {
  const misuse = findMisuse(await readFile(join(folder, file), "utf8"));
  if (misuse !== null) return { file, passed: 0, failed: 1, skipped: [], output: misuse };
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ["--import", "tsx", join(folder, file)], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    let lingering: NodeJS.Timeout | undefined;
    child.stdout.on("data", (chunk: Buffer) => {
      output += chunk.toString();
      if (lingering || !/^ {2}Duration: /m.test(output)) return;
      lingering = setTimeout(() => {
        output += "\nthe tests ended, and something keeps the process alive\n";
        child.kill("SIGKILL");
      }, lingerMaxMs);
    });
    child.stderr.on("data", (chunk: Buffer) => (output += chunk.toString()));
    const timer = setTimeout(() => {
      output += `\nthe file did not end within ${fileTimeMaxMs / 1000} s\n`;
      child.kill("SIGKILL");
    }, fileTimeMaxMs);
    child.once("close", (exit) => {
      clearTimeout(timer);
      clearTimeout(lingering);
      resolve(readResult(file, exit, output));
    });
  });
}

/**
 * In the checks, files with real processes share a machine with others: one that failed is run once more, by itself. That it did not
 * hold at first is said, so that somebody looks at it; what fails for a reason fails again.
 */
async function again(results: FileResult[]): Promise<void> {
  for (const [index, { file, failed }] of results.entries()) {
    if (failed === 0) continue;
    const result = await runFile(file);
    if (result.failed === 0) results[index] = result;
    const word = result.failed === 0 ? "passed, having failed at first" : "failed again";
    process.stdout.write(`${file} was run once more by itself, and ${word}\n`);
  }
}

async function main(wanted: readonly string[]): Promise<void> {
  const all = (await readdir(folder, { recursive: true })).filter((name) => name.endsWith(".test.ts")).toSorted();
  const files = all.filter((name) => wanted.length === 0 || wanted.some((part) => name.includes(part)));
  // End-to-end files are the slowest: they begin first.
  const queue = files.toSorted((a, b) => Number(b.startsWith("e2e")) - Number(a.startsWith("e2e")));
  const results: FileResult[] = [];
  const worker = async (): Promise<void> => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      const result = await runFile(file);
      results.push(result);
      process.stdout.write(`${result.failed === 0 ? "ok  " : "FAIL"} ${file}  ${result.passed} passed\n`);
      if (result.failed > 0) process.stdout.write(`${result.output}\n`);
    }
  };
  await Promise.all(Array.from({ length: Math.min(2, availableParallelism()) }, worker));
  if (process.env.CI !== undefined) await again(results);
  for (const { file, skipped } of results)
    for (const reason of skipped) process.stdout.write(`skipped ${file}: ${reason}\n`);
  const sum = (count: (result: FileResult) => number): number =>
    results.reduce((total, result) => total + count(result), 0);
  const failed = sum((result) => result.failed) + (results.length === 0 ? 1 : 0);
  if (results.length === 0) process.stdout.write("no test file matches\n");
  process.stdout.write(`${sum((result) => result.passed)} passed, ${failed} failed\n`);
  process.exitCode = failed === 0 ? 0 : 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main(process.argv.slice(2));
