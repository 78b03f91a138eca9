// A disk: what was written survives a kill, what was synced survives a power cut, and the end of what was not may be torn.
import type { AppendFile, Disk } from "../../reconciler/record/disk.ts";
import type { Random } from "./random.ts";
import type { Life } from "./time.ts";

interface File {
  data: Buffer;
  /** Bytes that are on the disk for good. */
  synced: number;
}

export class SimDisk {
  private readonly files = new Map<string, File>();
  private readonly random: Random;
  /** While true, nothing can be written. */
  isFull = false;

  constructor(random: Random) {
    this.random = random;
  }

  /** The disk after a power cut: of what was not synced, a part of unknown length is there. */
  cutPower(): void {
    for (const file of this.files.values()) {
      const torn = this.random.whole(file.synced, file.data.length);
      file.data = file.data.subarray(0, torn);
      file.synced = torn;
    }
  }

  /** The text of the files in a folder, as far as it is on the disk for good. */
  texts(folder: string): string[] {
    return [...this.files].flatMap(([path, { data, synced }]) =>
      path.startsWith(`${folder}/`) ? [data.subarray(0, synced).toString()] : [],
    );
  }

  /** The disk as one life of a process uses it. */
  for(life: Life): Disk {
    const slow = (): Promise<void> => life.sleep(this.random.around(2));
    return {
      makeFolder: () => Promise.resolve(),
      syncFolder: () => slow(),
      names: (path) =>
        Promise.resolve(
          [...this.files.keys()]
            .filter((name) => name.startsWith(`${path}/`))
            .map((name) => name.slice(path.length + 1)),
        ),
      read: async (path) => this.file(path).data.toString(),
      size: async (path) => this.file(path).data.length,
      append: async (path) => {
        this.mustHaveRoom();
        if (!this.files.has(path)) this.files.set(path, { data: Buffer.alloc(0), synced: 0 });
        return this.open(path, slow);
      },
      replace: async (path, content) => {
        this.mustHaveRoom();
        await slow();
        const data = Buffer.from(content);
        this.files.set(path, { data, synced: data.length });
      },
      copy: async (from, to) => {
        const { data } = this.file(from);
        this.files.set(to, { data, synced: data.length });
      },
      rename: async (from, to) => {
        for (const [path, file] of Array.from(this.files)) {
          if (path !== from && !path.startsWith(`${from}/`)) continue;
          this.files.delete(path);
          this.files.set(to + path.slice(from.length), file);
        }
      },
      remove: async (path) => void this.files.delete(path),
    };
  }

  private open(path: string, slow: () => Promise<void>): AppendFile {
    return {
      append: async (data) => {
        const file = this.file(path);
        const room = this.isFull ? this.random.whole(0, data.length - 1) : data.length;
        file.data = Buffer.concat([file.data, data.subarray(0, room)]);
        this.mustHaveRoom();
      },
      sync: async () => {
        const upTo = this.file(path).data.length;
        await slow();
        const file = this.file(path);
        file.synced = Math.max(file.synced, Math.min(upTo, file.data.length));
      },
      truncate: async (bytes) => {
        const file = this.file(path);
        file.data = file.data.subarray(0, bytes);
        file.synced = Math.min(file.synced, bytes);
      },
      close: () => Promise.resolve(),
    };
  }

  private file(path: string): File {
    const file = this.files.get(path);
    if (file === undefined) throw Object.assign(new Error(`no file ${path}`), { code: "ENOENT" });
    return file;
  }

  private mustHaveRoom(): void {
    if (this.isFull) throw Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
  }
}
