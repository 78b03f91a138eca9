// From blobs to parsed documents: out of the cache on the disk, by the parser for the plain subset, or by parser processes. A document
// that the full parser would abort on ends a process of its own, not this one.
import { availableParallelism } from "node:os";
import { errorIn, type Problem } from "../model/problem.ts";
import { needsText, parsePlainDocument } from "../model/repository.ts";
import type { SourceFile } from "../model/types.ts";
import type { DocumentCache } from "./document-cache.ts";
import type { BareRepository } from "./git.ts";
import { type GitObject, missing } from "./objects.ts";
import { parseInProcesses } from "./parser-processes.ts";

export interface DocumentRef {
  readonly path: string;
  /** Id of its blob. */
  readonly id: string;
}

/** A blob beyond this is not parsed; the parser's own limit is lower. */
export const blobBytesMax = 1_048_576;

/**
 * Reads and parses documents. What is plain is parsed here, while Git still reads the next ones: on the plain subset nothing can go
 * wrong in a parser, and sending the values between processes would cost more than making them. The rest is parsed by processes of
 * their own, on all cores. The text comes along where the loader needs it, and for those in `withText`.
 */
export async function readDocuments(
  git: BareRepository,
  cache: DocumentCache,
  refs: readonly DocumentRef[],
  withText: ReadonlySet<string> = new Set(),
): Promise<SourceFile[]> {
  const files: SourceFile[] = refs.map(({ path, id }) => {
    const value = cache.get({ path, id });
    return value === undefined ? { path, id, text: null } : { path, id, text: null, parsed: { value } };
  });
  const fresh = [...files.keys()].filter((index) => files[index]?.parsed === undefined);
  const wanted = [...files.keys()].filter((index) => {
    const file = files[index];
    return file !== undefined && (withText.has(file.path) || needsText(file));
  });
  await git.objects.each(
    wanted.map((index) => files[index]?.id ?? ""),
    (object, position) => {
      const index = wanted[position] ?? -1;
      const file = files[index];
      if (file === undefined || object?.type !== "blob") throw missing(file?.id ?? "", object);
      files[index] = withContent(file, object, withText.has(file.path));
    },
  );
  await parseRest(git, files);
  cache.keep(
    fresh.flatMap((index) => files[index] ?? []),
    files.length,
  );
  return files;
}

function withContent(file: SourceFile, { size, data }: GitObject, isAsked: boolean): SourceFile {
  const { path, id } = file;
  if (size > blobBytesMax) return { path, id, text: null, parsed: { problems: [tooLarge(path, size)] } };
  const text = data.toString();
  const parsed = file.parsed ?? parsePlainDocument(path, text);
  if (parsed === null) return { path, id, text };
  return { path, id, text: isAsked || needsText({ path, parsed }) ? text : null, parsed };
}

async function parseRest(git: BareRepository, files: SourceFile[]): Promise<void> {
  const rest = [...files.keys()].filter((index) => files[index]?.parsed === undefined);
  if (rest.length === 0) return;
  const refs = rest.map((index) => ({ path: files[index]?.path ?? "", id: files[index]?.id ?? "" }));
  const documents = await parseInProcesses(refs, { dir: git.dir, processes: availableParallelism() });
  for (const [position, index] of rest.entries()) {
    const file = files[index];
    const parsed = documents[position];
    if (file && parsed) files[index] = { ...file, parsed };
  }
}

/** A blob that is not even parsed. */
export function tooLarge(file: string, bytes: number): Problem {
  return errorIn(file, "SW001", `the file has ${bytes} bytes`, "split it into several files");
}
