// Parsing in processes of their own, on all cores: they read the blobs themselves, and answer with lines of JSON. One that ends before
// its last answer ended because of a document: that one gets a problem, and the others are parsed by the next.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { Failure } from "../model/failure.ts";
import { errorIn, type Problem } from "../model/problem.ts";
import type { ParsedDocument } from "../model/types.ts";
import type { DocumentRef } from "./documents.ts";

/** A document that gives no answer for this long has hung its process. */
const stallMs = 60_000;
/** A process is worth its start for this many documents. */
const worthwhile = 500;

export interface ParserOptions {
  /** Bare repository. */
  readonly dir: string;
  readonly processes: number;
  /** What each process runs. */
  readonly program?: string;
}

const parserProgram: string = fileURLToPath(new URL(`./parser-main${import.meta.url.slice(-3)}`, import.meta.url));

/** Parses documents; the results in their order. */
export async function parseInProcesses(
  refs: readonly DocumentRef[],
  { dir, processes, program = parserProgram }: ParserOptions,
): Promise<ParsedDocument[]> {
  const count = Math.max(1, Math.min(processes, Math.ceil(refs.length / worthwhile)));
  const size = Math.ceil(refs.length / count);
  const parts = Array.from({ length: count }, (_, index) => refs.slice(index * size, (index + 1) * size));
  return (await Promise.all(parts.map((part) => parsePart({ dir, program }, part)))).flat();
}

type Parser = Required<Omit<ParserOptions, "processes">>;

async function parsePart(parser: Parser, refs: readonly DocumentRef[]): Promise<ParsedDocument[]> {
  const documents: ParsedDocument[] = [];
  // After a death, answers come one by one: then it is known which document it was.
  for (let careful = false; documents.length < refs.length; careful = true) {
    const rest = refs.slice(documents.length);
    const answers = await runParser(parser, rest, careful);
    for (const answer of answers) documents.push(answer);
    const culprit = rest[answers.length];
    if (careful && culprit) documents.push({ problems: [aborted(culprit.path)] });
  }
  return documents;
}

function aborted(file: string): Problem {
  const remedy = "write it more simply: less nesting, shorter lines, no unusual constructs";
  return errorIn(file, "SW010", "the YAML parser did not survive this file", remedy);
}

/** One process over some documents. Resolves to its answers, in order, up to the document that it did not survive. */
function runParser(
  { dir, program }: Parser,
  refs: readonly DocumentRef[],
  careful: boolean,
): Promise<ParsedDocument[]> {
  const child = spawn(process.execPath, [...process.execArgv, program, dir, ...(careful ? ["--careful"] : [])], {
    stdio: ["pipe", "pipe", "ignore"],
  });
  return new Promise((resolve, reject) => {
    const answers: ParsedDocument[] = [];
    const timer = setTimeout(() => child.kill("SIGKILL"), stallMs);
    child.once("error", reject);
    child.stdin.on("error", () => {});
    let rest = "";
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      timer.refresh();
      // Not by `readline`: from Node 24 on it ends a line at U+2028 too, which stands in strings of JSON as it is.
      const lines = (rest + chunk).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) answers.push(JSON.parse(line) as ParsedDocument);
    });
    // What is left was torn when the process was killed: it counts as no answer. What a document does to the parser ends it by a signal;
    // one that ends by itself could not do its work, whatever the document.
    child.once("close", (exit) => {
      clearTimeout(timer);
      if (careful && exit !== null && exit !== 0 && answers.length < refs.length) reject(cannotParse(exit));
      else resolve(answers);
    });
    child.stdin.end(refs.map(({ path, id }) => `${id} ${path}\n`).join(""));
  });
}

function cannotParse(exit: number): Failure {
  return new Failure("transient", `the YAML parser could not do its work (exit ${exit})`, {
    reason: "ParserFailed",
    hint: "see whether this program's files are all there, and whether the machine is short of memory or of files that may be open",
  });
}
