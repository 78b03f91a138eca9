// The record as it stands in a commit of `observed`.
import { Failure } from "../model/failure.ts";
import { decodeRecord, recordFormat, type SubjectRecord } from "../model/record.ts";
import type { SourceFile } from "../model/types.ts";
import type { DocumentCache } from "./document-cache.ts";
import type { DocumentRef } from "./documents.ts";
import type { BareRepository } from "./git.ts";
import { fleetFile, headFile } from "./layout.ts";
import { missing } from "./objects.ts";
import { Folders } from "./tree.ts";

export interface ReadRecord {
  readonly subjects: Map<string, SubjectRecord>;
  readonly epoch: number;
  readonly folders: Folders;
}

/**
 * Every record at a commit of `observed`, its folders, and the epoch; nothing for a repository without a record. Records that the
 * cache has are neither read nor checked again; the others go into it.
 */
export async function readRecord(
  git: BareRepository,
  commit: string | null,
  cache: DocumentCache | null = null,
): Promise<ReadRecord> {
  const subjects = new Map<string, SubjectRecord>();
  if (commit === null) return { subjects, epoch: 0, folders: Folders.empty() };
  const files: DocumentRef[] = [];
  const folders = await Folders.read(git.objects, `${commit}^{tree}`, (path, id) => {
    if (path === headFile || path === fleetFile || /^(hosts|groups)\//.test(path)) files.push({ path, id });
  });
  await cache?.open();
  const records = files.map((file) =>
    file.path === headFile ? undefined : (cache?.get(file) as SubjectRecord | undefined),
  );
  const unknown = [...files.keys()].filter((index) => records[index] === undefined);
  const fresh: SourceFile[] = [];
  let epoch = 0;
  await git.objects.each(
    unknown.map((index) => files[index]?.id ?? ""),
    (object, position) => {
      const index = unknown[position] ?? -1;
      const { path = "", id = "" } = files[index] ?? {};
      if (object?.type !== "blob") throw missing(id, object);
      const text = object.data.toString();
      if (path === headFile) {
        epoch = readHead(text);
        return;
      }
      const record = decodeRecord(text, `${path} at ${commit.slice(0, 8)}`);
      records[index] = record;
      if (cache !== null) fresh.push({ path, id, text: null, parsed: { value: record } });
    },
  );
  for (const record of records) if (record !== undefined) subjects.set(record.name, record);
  cache?.keep(fresh, files.length);
  return { subjects, epoch, folders };
}

function readHead(text: string): number {
  const { format, epoch } = parseHead(text);
  if (format > recordFormat) {
    throw new Failure("stalled", `the record has format ${format}; this program knows ${recordFormat}`, {
      reason: "NewerRecord",
      hint: "install a newer stateward",
    });
  }
  return epoch;
}

function parseHead(text: string): { format: number; epoch: number } {
  let cause: unknown;
  try {
    const { format, epoch } = (JSON.parse(text) ?? {}) as { format?: unknown; epoch?: unknown };
    if (Number.isSafeInteger(format) && Number.isSafeInteger(epoch))
      return { format: Number(format), epoch: Number(epoch) };
  } catch (error) {
    cause = error;
  }
  throw new Failure("stalled", `the record's ${headFile} cannot be read`, {
    reason: "CorruptRecord",
    hint: "restore the file from an earlier commit of the branch observed",
    cause,
  });
}
