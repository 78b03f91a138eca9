// Writing objects: what one commit adds becomes one pack with its index, synced, then named. Formats: gitformat-pack(5), version 2.
// A kill leaves at most files with temporary names, which Git ignores; no object is ever half there.
import { createHash } from "node:crypto";
import { open, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import * as zlib from "node:zlib";
import { syncFolder } from "./disk.ts";

export type ObjectType = "commit" | "tree" | "blob";

export interface NewObject {
  readonly type: ObjectType;
  readonly data: Buffer;
  /** 40 hexadecimal digits. */
  readonly id: string;
}

const typeCodes: Readonly<Record<ObjectType, number>> = { commit: 1, tree: 2, blob: 3 };

/** The id that Git gives to an object: the SHA-1 of its type, its length and its content. */
export function objectId(type: ObjectType, data: Buffer): string {
  return createHash("sha1").update(`${type} ${data.length}\0`).update(data).digest("hex");
}

export function newObject(type: ObjectType, data: Buffer): NewObject {
  return { type, data, id: objectId(type, data) };
}

/** Prefix of files that are not complete yet. */
const temporaryPrefix = "tmp_stateward_";

/**
 * Objects of a few hundred bytes: a window of 2 KB costs a record nothing in size (363 bytes with both), and preparing it takes 0.7 of the time that the default of 32 KB takes.
 */
const deflateSmall = { level: 6, windowBits: 11, memLevel: 4 } as const;
const smallMax = 2048;

/** Objects that are packed before others have their turn. */
const packedAtOnce = 200;

/** Writes the objects as one pack into a bare repository; when this resolves, they are on the disk. Returns the pack's name. */
export async function writePack(dir: string, objects: readonly NewObject[]): Promise<string> {
  const folder = join(dir, "objects", "pack");
  const unique = [...new Map(objects.map((object) => [object.id, object])).values()];
  const { pack, index, checksum } = await encodePack(unique);
  const name = join(folder, `pack-${checksum}`);
  // Names that do not end as those of packs do: Git would look into them.
  const temporary = (part: string): string => join(folder, `${temporaryPrefix}${part}_${process.pid}_${checksum}`);
  await Promise.all([writeSynced(temporary("pack"), pack), writeSynced(temporary("idx"), [index])]);
  // Git finds a pack by its index: that comes last.
  await rename(temporary("pack"), `${name}.pack`);
  await rename(temporary("idx"), `${name}.idx`);
  await syncFolder(folder);
  return name;
}

/** A pack without an index that is older than this was left by a process that is gone. */
const strayAgeMs = 60_000;

/** Removes what a killed process left half written. */
export async function removePartialPacks(dir: string): Promise<void> {
  const folder = join(dir, "objects", "pack");
  const names = new Set(await readdir(folder).catch(() => []));
  for (const name of names) {
    const isStray = name.endsWith(".pack") && !names.has(name.replace(/pack$/, "idx"));
    const age = isStray ? Date.now() - (await stat(join(folder, name)).catch(() => ({ mtimeMs: 0 }))).mtimeMs : 0;
    if (name.startsWith(temporaryPrefix) || age > strayAgeMs) await rm(join(folder, name), { force: true });
  }
}

/** Number and bytes of the packs, largest first. */
export async function listPacks(dir: string): Promise<{ readonly name: string; readonly bytes: number }[]> {
  const folder = join(dir, "objects", "pack");
  const names = (await readdir(folder).catch(() => [])).filter((name) => /^pack-[0-9a-f]{40}\.pack$/.test(name));
  const sizes = names.map(async (name) => ({
    name,
    bytes: (await stat(join(folder, name)).catch(() => ({ size: 0 }))).size,
  }));
  return (await Promise.all(sizes)).toSorted((a, b) => b.bytes - a.bytes);
}

async function writeSynced(path: string, parts: readonly Buffer[]): Promise<void> {
  const file = await open(path, "w", 0o444);
  try {
    // Not `writev`: on a disk that fills up, it writes a part and says nothing.
    for (const part of parts) await file.writeFile(part);
    await file.sync();
  } finally {
    await file.close();
  }
}

interface Placed {
  readonly id: Buffer;
  readonly offset: number;
  readonly crc: number;
}

async function encodePack(objects: readonly NewObject[]): Promise<{ pack: Buffer[]; index: Buffer; checksum: string }> {
  const head = Buffer.alloc(12);
  head.write("PACK");
  head.writeUInt32BE(2, 4);
  head.writeUInt32BE(objects.length, 8);
  const pieces: Buffer[] = [head];
  const placed: Placed[] = [];
  let offset = head.length;
  for (const { type, data, id } of objects) {
    const entryHead = entryHeader(typeCodes[type], data.length);
    const packed = zlib.deflateSync(data, data.length <= smallMax ? deflateSmall : { level: 6 });
    placed.push({ id: Buffer.from(id, "hex"), offset, crc: crc32(packed, crc32(entryHead)) });
    pieces.push(entryHead, packed);
    offset += entryHead.length + packed.length;
    if (placed.length % packedAtOnce === 0) await setImmediate();
  }
  const body = Buffer.concat(pieces);
  const checksum = sha1(body);
  return { pack: [body, checksum], index: encodeIndex(placed, checksum), checksum: checksum.toString("hex") };
}

/** Type and length: four bits of the length beside the type, then seven a byte, lowest first. */
function entryHeader(type: number, length: number): Buffer {
  const bytes: number[] = [];
  let byte = (type << 4) | (length & 15);
  let rest = Math.floor(length / 16);
  while (rest > 0) {
    bytes.push(byte | 0x80);
    byte = rest & 0x7f;
    rest = Math.floor(rest / 128);
  }
  bytes.push(byte);
  return Buffer.from(bytes);
}

/** Index version 2: fan-out, ids in order, checksums, offsets. One pack of ours stays far below the 2 GB at which offsets need a second table. */
function encodeIndex(placed: Placed[], packChecksum: Buffer): Buffer {
  const sorted = placed.toSorted((a, b) => Buffer.compare(a.id, b.id));
  const count = sorted.length;
  const index = Buffer.alloc(8 + 1024 + count * 28 + 40);
  index.writeUInt32BE(0xff744f63, 0);
  index.writeUInt32BE(2, 4);
  const ids = 8 + 1024;
  for (const [position, { id, crc, offset }] of sorted.entries()) {
    index.writeUInt32BE(position + 1, 8 + 4 * (id[0] ?? 0));
    id.copy(index, ids + position * 20);
    index.writeUInt32BE(crc, ids + count * 20 + position * 4);
    index.writeUInt32BE(offset, ids + count * 24 + position * 4);
  }
  for (let byte = 1, before = index.readUInt32BE(8); byte < 256; byte++) {
    before = Math.max(before, index.readUInt32BE(8 + 4 * byte));
    index.writeUInt32BE(before, 8 + 4 * byte);
  }
  packChecksum.copy(index, index.length - 40);
  sha1(index.subarray(0, -20)).copy(index, index.length - 20);
  return index;
}

function sha1(bytes: Buffer): Buffer {
  return createHash("sha1").update(bytes).digest();
}

const crcTable: readonly number[] = Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value >>> 0;
});

/** CRC-32 of zlib; Node has it from 20.15 on. */
export function crc32(bytes: Buffer, before = 0): number {
  const native = (zlib as { crc32?: (data: Buffer, value?: number) => number }).crc32;
  if (native) return native(bytes, before);
  let value = ~before >>> 0;
  for (const byte of bytes) value = ((value >>> 8) ^ (crcTable[(value ^ byte) & 0xff] ?? 0)) >>> 0;
  return ~value >>> 0;
}
