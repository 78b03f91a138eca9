// From blobs to parsed documents: out of the cache on the disk, by the parser for the plain subset, or by parser processes. A document
// that the full parser would abort on ends a process of its own, not this one.
import { availableParallelism } from "node:os";
import type { Problem } from "../model/problem.ts";
import { needsText, parsePlainDocument } from "../model/repository.ts";
import type { ParsedDocument, SourceFile } from "../model/types.ts";
import type { DocumentCache } from "./document-cache.ts";
import type { Git } from "./git.ts";
import { missing } from "./objects.ts";
import { parseInProcesses } from "./parser-processes.ts";

export interface DocumentRef {
  readonly path: string;
  /** Id of its blob. */
  readonly id: string;
}

/** A blob beyond this is not parsed; the parser's own limit is lower. */
export const blobBytesMax = 1_048_576;

/** More documents than this are parsed on all cores. */
const manyFrom = 2000;

/** Reads and parses documents. The text comes along where the loader needs it, and for those in `withText`. */
export async function readDocuments(
  git: Git,
  cache: DocumentCache,
  refs: readonly DocumentRef[],
  withText: ReadonlySet<string> = new Set(),
): Promise<SourceFile[]> {
  const parsed = new Map<string, ParsedDocument>();
  const unknown: DocumentRef[] = [];
  for (const ref of refs) {
    const known = cache.get(ref);
    if (known === undefined) unknown.push(ref);
    else parsed.set(ref.path, { value: known });
  }
  const isMany = unknown.length > manyFrom;
  const texts = new Map<string, string>();
  if (isMany) await parseMany(git, unknown, parsed);
  const wanted = refs.filter(
    (ref) =>
      withText.has(ref.path) || (!isMany && !parsed.has(ref.path)) || needsText({ ...ref, ...found(parsed, ref) }),
  );
  await git.objects.each(
    wanted.map(({ id }) => id),
    (object, index) => {
      const { path = "", id = "" } = wanted[index] ?? {};
      if (object?.type !== "blob") throw missing(id, object);
      if (object.data.length > blobBytesMax) parsed.set(path, { problems: [tooLarge(path, object.data.length)] });
      else texts.set(path, object.data.toString());
    },
  );
  if (!isMany) await parseFew(git, unknown, { texts, parsed });
  for (const ref of unknown) {
    const document = parsed.get(ref.path);
    if (document && "value" in document) cache.add(ref, document.value);
  }
  await cache.write(refs);
  return refs.map(({ path, id }) => {
    const document = parsed.get(path);
    const text = texts.get(path);
    const isNeeded = withText.has(path) || needsText({ path, ...found(parsed, { path }) });
    return { path, id, text: isNeeded ? (text ?? null) : null, ...(document ? { parsed: document } : {}) };
  });
}

function found(
  parsed: ReadonlyMap<string, ParsedDocument>,
  { path }: Pick<DocumentRef, "path">,
): { readonly parsed?: ParsedDocument } {
  const document = parsed.get(path);
  return document ? { parsed: document } : {};
}

async function parseMany(git: Git, refs: readonly DocumentRef[], parsed: Map<string, ParsedDocument>): Promise<void> {
  const documents = await parseInProcesses(git.dir, refs, availableParallelism());
  for (const [path, document] of documents) parsed.set(path, document);
}

/** What is plain is parsed here, where nothing in the parser can go wrong; the rest elsewhere. */
async function parseFew(
  git: Git,
  refs: readonly DocumentRef[],
  { texts, parsed }: { readonly texts: ReadonlyMap<string, string>; readonly parsed: Map<string, ParsedDocument> },
): Promise<void> {
  const rest: DocumentRef[] = [];
  for (const ref of refs) {
    const text = texts.get(ref.path);
    const document = text === undefined ? null : parsePlainDocument(ref.path, text);
    if (document !== null) parsed.set(ref.path, document);
    else if (!parsed.has(ref.path)) rest.push(ref);
  }
  if (rest.length > 0) await parseMany(git, rest, parsed);
}

/** A blob that is not even parsed. */
export function tooLarge(file: string, bytes: number): Problem {
  const message = `the file has ${bytes} bytes`;
  return { file, line: 1, column: 1, severity: "error", code: "SW001", message, remedy: "split it into several files" };
}
