// Files that must be whole and on the disk: written beside, synced, renamed, and the folder synced.
import { access, copyFile, mkdir, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";

/** A file that only grows. */
export interface AppendFile {
  append(data: Buffer): Promise<void>;
  /** Resolves when what was appended is on the disk. */
  sync(): Promise<void>;
  truncate(bytes: number): Promise<void>;
  close(): Promise<void>;
}

/** The part of a disk that the journal and the tips need. Everything rejects as `node:fs` does. */
export interface Disk {
  /** Makes a folder and those above it. */
  makeFolder(path: string): Promise<void>;
  /** Makes the names in a folder durable. */
  syncFolder(path: string): Promise<void>;
  names(path: string): Promise<string[]>;
  read(path: string): Promise<string>;
  /** Bytes of a file. */
  size(path: string): Promise<number>;
  /** Opens a file at its end, and makes it if there is none. */
  append(path: string): Promise<AppendFile>;
  /** Replaces a file: after a crash it has the old content or the new one. */
  replace(path: string, content: string): Promise<void>;
  copy(from: string, to: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  /** Removes a file, if there is one. */
  remove(path: string): Promise<void>;
}

export function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** Makes the names in a folder durable. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** Replaces a file: after a crash it has the old content or the new one. `mode` is as chmod(2) has it; default that of a new file. */
export async function replaceFile(path: string, content: string | Uint8Array, mode?: number): Promise<void> {
  const temporary = `${path}.new`;
  await rm(temporary, { force: true });
  const file = await open(temporary, "wx");
  try {
    // First: what few may read is not shown to more of them meanwhile.
    if (mode !== undefined) await file.chmod(mode);
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  await syncFolder(dirname(path));
}

async function openAppend(path: string): Promise<AppendFile> {
  const file = await open(path, "a");
  return {
    append: (data) => file.appendFile(data),
    sync: () => file.datasync(),
    truncate: (bytes) => file.truncate(bytes),
    close: () => file.close(),
  };
}

export const systemDisk: Disk = {
  makeFolder: async (path) => void (await mkdir(path, { recursive: true })),
  syncFolder,
  names: (path) => readdir(path),
  read: (path) => readFile(path, "utf8"),
  size: async (path) => (await stat(path)).size,
  append: openAppend,
  replace: (path, content) => replaceFile(path, content),
  copy: copyFile,
  rename,
  remove: (path) => rm(path, { force: true }),
};
