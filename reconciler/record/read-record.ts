// The record as it stands in a commit of `observed`.
import { Failure } from "../model/failure.ts";
import { decodeRecord, recordFormat, type SubjectRecord } from "../model/record.ts";
import type { BareRepository } from "./git.ts";
import { fleetFile, headFile } from "./layout.ts";
import { missing } from "./objects.ts";
import { Folders } from "./tree.ts";

export interface ReadRecord {
  readonly subjects: Map<string, SubjectRecord>;
  readonly epoch: number;
  readonly folders: Folders;
}

/** Every record at a commit of `observed`, its folders, and the epoch; nothing for a repository without a record. */
export async function readRecord(git: BareRepository, commit: string | null): Promise<ReadRecord> {
  const subjects = new Map<string, SubjectRecord>();
  if (commit === null) return { subjects, epoch: 0, folders: Folders.empty() };
  const files: { readonly path: string; readonly id: string }[] = [];
  const folders = await Folders.read(git.objects, `${commit}^{tree}`, (path, id) => {
    if (path === headFile || path === fleetFile || /^(hosts|groups)\//.test(path)) files.push({ path, id });
  });
  let epoch = 0;
  await git.objects.each(
    files.map(({ id }) => id),
    (object, index) => {
      const { path = "", id = "" } = files[index] ?? {};
      if (object?.type !== "blob") throw missing(id, object);
      const text = object.data.toString();
      if (path === headFile) epoch = readHead(text);
      else {
        const record = decodeRecord(text, `${path} at ${commit.slice(0, 8)}`);
        subjects.set(record.name, record);
      }
    },
  );
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
