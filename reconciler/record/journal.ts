// The journal: changes of the record that are not pushed yet, on the local disk, synced before anything is acknowledged (D1).
// Segments of lines `checksum json`, a line for the entries that were synced together; a torn tail is recognised by its checksum and cut.
// Replaying a segment twice does no harm.
import { createHash } from "node:crypto";
import { dirname, join } from "node:path";
import { type AppendFile, type Disk, systemDisk } from "./disk.ts";
import { systemTime, type Time } from "./time.ts";

/** One entry of the journal: a subject's whole record, and the line for the commit message. */
export interface JournalEntry {
  readonly record: unknown;
  readonly summary: string | null;
  readonly desired: string;
}

interface Waiting {
  readonly entry: JournalEntry;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** What a journal stands on; this machine's, unless said otherwise. */
export interface JournalGround {
  readonly disk?: Disk;
  readonly time?: Time;
}

export class Journal {
  private readonly dir: string;
  private readonly disk: Disk;
  private readonly time: Time;
  /** Bytes in all segments. */
  bytes = 0;
  private segment = 0;
  /** Bytes of the current segment that are on the disk. */
  private good = 0;
  private file: AppendFile | null = null;
  private waiting: Waiting[] = [];
  private scheduled = false;
  /** File operations in the order in which they were asked for. */
  private last: Promise<unknown> = Promise.resolve();

  private constructor(dir: string, { disk = systemDisk, time = systemTime }: JournalGround) {
    this.dir = dir;
    this.disk = disk;
    this.time = time;
  }

  /** Opens the journal of a folder and gives back what earlier runs left in it, oldest first. */
  static async open(
    dir: string,
    ground: JournalGround = {},
  ): Promise<{ journal: Journal; entries: JournalEntry[]; damaged: string[] }> {
    const journal = new Journal(dir, ground);
    const { disk, time } = journal;
    await disk.makeFolder(dir);
    await disk.syncFolder(dirname(dir));
    const entries: JournalEntry[] = [];
    const damaged: string[] = [];
    for (const number of await journal.segments()) {
      const text = await disk.read(journal.path(number));
      journal.bytes += Buffer.byteLength(text);
      const segment = parseSegment(text);
      for (const entry of segment.entries) entries.push(entry);
      journal.segment = number;
      if (!segment.isDamaged) continue;
      const copy = `${dir}-damaged-${time.wall()}-${number}.log`;
      await disk.copy(journal.path(number), copy);
      damaged.push(copy);
    }
    await journal.rotate();
    return { journal, entries, damaged };
  }

  /** Resolves when the entry is on the disk. Entries that arrive together share one sync. */
  append(entry: JournalEntry): Promise<void> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ entry, resolve, reject });
      if (this.scheduled) return;
      this.scheduled = true;
      void this.inOrder(() => this.drain());
    });
  }

  /** Begins a new segment and says the number of the last one before it, to be cut once its content is pushed. */
  rotate(): Promise<number> {
    return this.inOrder(() => this.begin());
  }

  private async begin(): Promise<number> {
    const before = this.segment;
    const next = await this.disk.append(this.path(before + 1));
    await this.file?.close();
    this.file = next;
    this.segment = before + 1;
    this.good = 0;
    await this.disk.syncFolder(this.dir);
    return before;
  }

  /** Removes every segment up to `last`. */
  cut(last: number): Promise<void> {
    return this.inOrder(() => this.remove(last));
  }

  private async remove(last: number): Promise<void> {
    for (const number of await this.segments()) {
      if (number > last) continue;
      const size = await this.disk.size(this.path(number));
      await this.disk.remove(this.path(number));
      this.bytes -= size;
    }
  }

  /** Puts entries that say all that the journal says in the place of it. `latest` is asked when the new segment begins. */
  compact(latest: () => readonly JournalEntry[]): Promise<void> {
    return this.inOrder(async () => {
      const before = await this.begin();
      await this.write(Buffer.concat(latest().map((entry) => lineOf([entry]))));
      await this.remove(before);
    });
  }

  /** Sets all segments aside, for people to look at: someone else has written the record since. */
  async setAside(): Promise<string> {
    const aside = `${this.dir}-aside-${this.time.wall()}`;
    await this.close();
    await this.disk.rename(this.dir, aside);
    await this.disk.makeFolder(this.dir);
    await this.disk.syncFolder(dirname(this.dir));
    this.segment = 0;
    this.bytes = 0;
    await this.rotate();
    return aside;
  }

  close(): Promise<void> {
    return this.inOrder(async () => {
      await this.file?.close();
      this.file = null;
    });
  }

  private inOrder<T>(work: () => Promise<T>): Promise<T> {
    const done = this.last.then(work);
    this.last = done.catch(() => {});
    return done;
  }

  /** Writes all that waits, with one sync. */
  private async drain(): Promise<void> {
    this.scheduled = false;
    const batch = this.waiting;
    this.waiting = [];
    try {
      await this.write(lineOf(batch.map(({ entry }) => entry)));
      for (const { resolve } of batch) resolve();
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }

  /** Writes and syncs. What could not be written whole is taken back: a line behind half a line would be lost with it. */
  private async write(lines: Buffer): Promise<void> {
    const { file } = this;
    if (file === null) throw new Error("the journal is closed");
    try {
      await file.append(lines);
      await file.sync();
      this.good += lines.length;
      this.bytes += lines.length;
    } catch (error) {
      await file.truncate(this.good).catch(async () => {
        this.file = null;
        await file.close().catch(() => {});
      });
      throw error;
    }
  }

  private async segments(): Promise<number[]> {
    const names = await this.disk.names(this.dir);
    const numbers = names.flatMap((name) => /^(\d{1,12})\.log$/.exec(name)?.[1] ?? []).map(Number);
    return numbers.toSorted((a, b) => a - b);
  }

  private path(segment: number): string {
    return join(this.dir, `${segment}.log`);
  }
}

function lineOf(entries: readonly JournalEntry[]): Buffer {
  const text = Buffer.from(`${JSON.stringify(entries)}\n`);
  return Buffer.concat([Buffer.from(`${checksum(text.subarray(0, -1))} `), text]);
}

function checksum(text: string | Buffer): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}

/**
 * Entries of the lines whose checksum fits. What follows a torn write at the end was never acknowledged; a bad line before good ones is
 * damage.
 */
function parseSegment(text: string): { readonly entries: JournalEntry[]; readonly isDamaged: boolean } {
  const entries: JournalEntry[] = [];
  let bad = 0;
  let isDamaged = false;
  for (const line of text.split("\n")) {
    const body = line.slice(17);
    if (line.slice(0, 16) !== checksum(body)) {
      bad++;
      continue;
    }
    isDamaged ||= bad > 0;
    // Earlier versions wrote a line for each entry.
    const found = JSON.parse(body) as JournalEntry | JournalEntry[];
    for (const entry of Array.isArray(found) ? found : [found]) entries.push(entry);
  }
  return { entries, isDamaged };
}
