// Parsed documents by the ids of their blobs, on the disk: a restart does not parse a hundred thousand files again. It is a cache: a
// line that does not fit its checksum is parsed anew, and nothing else depends on it.
import { appendFile, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import type { DocumentRef } from "./documents.ts";
import { crc32 } from "./pack.ts";

/** Lines `checksum key json`, the checksum in 8 hexadecimal digits over what follows it. */
const checksumLength = 8;

export class DocumentCache {
  private readonly path: string | null;
  private readonly header: string;
  private lines: Map<string, Buffer> | null = null;
  private added = new Map<string, string>();
  /** Lines in the file, stale ones included. */
  private count = 0;

  /** `version` is that of the program and its schemas: what another one has found valid is not taken over. Null keeps nothing. */
  constructor(path: string | null, version: string) {
    this.path = path;
    this.header = `stateward documents ${version}`;
  }

  async open(): Promise<void> {
    this.lines = new Map();
    if (this.path === null) return;
    const bytes = await readFile(this.path).catch(() => Buffer.alloc(0));
    let at = bytes.indexOf(10) + 1;
    if (at === 0 || bytes.toString("utf8", 0, at - 1) !== this.header) {
      await rm(this.path, { force: true });
      return;
    }
    while (at < bytes.length) {
      const end = bytes.indexOf(10, at);
      if (end < 0) break;
      const space = bytes.indexOf(32, at + checksumLength + 1);
      if (space > 0 && space < end) {
        this.lines.set(bytes.toString("latin1", at + checksumLength + 1, space), bytes.subarray(at, end));
        this.count++;
      }
      at = end + 1;
    }
  }

  /** The value of a document, or undefined. */
  get(ref: DocumentRef): unknown {
    const line = this.lines?.get(keyOf(ref));
    if (line === undefined) return undefined;
    if (Number.parseInt(line.toString("latin1", 0, checksumLength), 16) !== crc32(line.subarray(checksumLength)))
      return undefined;
    return JSON.parse(line.toString("utf8", line.indexOf(32, checksumLength + 1) + 1));
  }

  add(ref: DocumentRef, value: unknown): void {
    if (this.path === null) return;
    this.added.set(keyOf(ref), JSON.stringify(value));
  }

  /**
   * Writes what was added, and lets go of what was read. Where `refs` are the whole repository, and most of the file is stale, it is
   * written anew.
   */
  async write(refs: readonly DocumentRef[]): Promise<void> {
    const { path, lines, added } = this;
    this.lines = new Map();
    this.added = new Map();
    if (path === null || added.size === 0) return;
    const fresh = [...added].map(([key, json]) => lineOf(key, json));
    await mkdir(dirname(path), { recursive: true });
    try {
      if (this.count > 0 && this.count < 2 * refs.length + 1000) await appendFile(path, Buffer.concat(fresh));
      else {
        const kept = refs.flatMap((ref) => lines?.get(keyOf(ref)) ?? []).flatMap((line) => [line, newline]);
        await writeFile(`${path}.new`, Buffer.concat([Buffer.from(`${this.header}\n`), ...kept, ...fresh]));
        await rename(`${path}.new`, path);
        this.count = kept.length / 2;
      }
      this.count += fresh.length;
    } catch {
      // A cache that cannot be written costs time, and nothing else.
      await rm(path, { force: true }).catch(() => {});
      this.count = 0;
    }
  }
}

const newline = Buffer.from("\n");

/** A host file and a machine file with the same content are not the same document. */
function keyOf({ path, id }: DocumentRef): string {
  return `${path.startsWith("hosts/") ? "h" : path.startsWith("machines/") ? "m" : "s"}${id}`;
}

function lineOf(key: string, json: string): Buffer {
  const rest = Buffer.from(` ${key} ${json}`);
  return Buffer.concat([Buffer.from(crc32(rest).toString(16).padStart(checksumLength, "0")), rest, newline]);
}
