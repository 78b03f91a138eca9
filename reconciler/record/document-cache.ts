// Parsed documents by the ids of their blobs, on the disk: a restart does not parse a hundred thousand files again. It is a cache: a
// line that does not fit its checksum is parsed anew, and nothing else depends on it.
import { appendFile, mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { setImmediate } from "node:timers/promises";
import type { SourceFile } from "../model/types.ts";
import type { DocumentRef } from "./documents.ts";
import { crc32 } from "./pack.ts";

/** Lines `checksum key json`, the checksum in 8 hexadecimal digits over what follows it. */
const checksumLength = 8;

export class DocumentCache {
  private readonly path: string | null;
  private readonly header: string;
  private bytes: Buffer = Buffer.alloc(0);
  /** True once there is a file of this version. */
  private isOpen = false;
  /** Where the next line begins: the file is in the order in which it will be asked for, as a rule. */
  private at = 0;
  /** Where the line of each key begins, for when it is not. */
  private starts: Map<string, number> | null = null;
  private writing: Promise<void> = Promise.resolve();

  /** `version` is that of the program and its schemas: what another one has found valid is not taken over. Null keeps nothing. */
  constructor(path: string | null, version: string) {
    this.path = path;
    this.header = `stateward documents ${version}`;
  }

  async open(): Promise<void> {
    const bytes = this.path === null ? Buffer.alloc(0) : await readFile(this.path).catch(() => Buffer.alloc(0));
    const first = bytes.indexOf(10) + 1;
    if (first === 0 || bytes.toString("utf8", 0, first - 1) !== this.header) return;
    this.bytes = bytes;
    this.at = first;
    this.isOpen = true;
  }

  /** The value of a document, or undefined. */
  get(ref: DocumentRef): unknown {
    if (this.bytes.length === 0) return undefined;
    const key = keyOf(ref);
    const start = this.keyAt(this.at) === key ? this.at : this.find(key);
    const end = start === undefined ? -1 : this.bytes.indexOf(10, start);
    if (start === undefined || end < 0) return undefined;
    this.at = end + 1;
    const sum = Number.parseInt(this.bytes.toString("latin1", start, start + checksumLength), 16);
    if (sum !== crc32(this.bytes.subarray(start + checksumLength, end))) return undefined;
    return JSON.parse(this.bytes.toString("utf8", start + checksumLength + keyLength + 2, end));
  }

  private keyAt(start: number): string {
    return this.bytes.toString("latin1", start + checksumLength + 1, start + checksumLength + 1 + keyLength);
  }

  private find(key: string): number | undefined {
    if (this.starts === null) {
      this.starts = new Map();
      const { bytes } = this;
      for (let at = bytes.indexOf(10) + 1; at > 0; at = bytes.indexOf(10, at) + 1) this.starts.set(this.keyAt(at), at);
    }
    return this.starts.get(key);
  }

  /**
   * Writes documents that were not in the file, beside the work, and lets go of what was read. `total` is how many were asked for
   * since it was opened: a file of which most is stale then is begun anew, and fills itself at the next start.
   */
  keep(fresh: readonly SourceFile[], total: number): void {
    const { path } = this;
    const isStale = (this.starts?.size ?? 0) > 2 * Math.max(total, linesMin);
    const isNew = !this.isOpen || isStale;
    this.bytes = Buffer.alloc(0);
    this.starts = null;
    const valid = fresh.filter(({ parsed }) => parsed !== undefined && "value" in parsed);
    if (path === null || valid.length === 0) return;
    this.isOpen = true;
    this.writing = this.writing.then(() => this.write(path, valid, isNew)).catch(() => {});
  }

  /** Resolves when everything that was to be kept is in the file. */
  written(): Promise<void> {
    return this.writing;
  }

  private async write(path: string, files: readonly SourceFile[], isNew: boolean): Promise<void> {
    await mkdir(dirname(path), { recursive: true });
    const target = isNew ? `${path}.new` : path;
    if (isNew) await writeFile(target, `${this.header}\n`);
    for (let at = 0; at < files.length; at += linesAtOnce) {
      const lines = files.slice(at, at + linesAtOnce).map(lineOf);
      await appendFile(target, lines.join(""));
      // Others have their turn in between: there may be a hundred thousand of them.
      await setImmediate();
    }
    if (isNew) await rename(target, path);
  }
}

/** A file of fewer lines is not worth being begun anew. */
const linesMin = 1000;
const linesAtOnce = 500;
/** A letter for the kind, and the id of the blob. */
const keyLength = 41;

/** A host file and a machine file with the same content are not the same document. */
function keyOf({ path, id }: DocumentRef): string {
  return `${path.startsWith("hosts/") ? "h" : path.startsWith("machines/") ? "m" : "s"}${id}`;
}

function lineOf(file: SourceFile): string {
  const value = file.parsed && "value" in file.parsed ? file.parsed.value : null;
  const rest = ` ${keyOf(file)} ${JSON.stringify(value)}`;
  return `${crc32(Buffer.from(rest)).toString(16).padStart(checksumLength, "0")}${rest}\n`;
}
