// What this folder knows of the remote's branches, outside of any repository: so that removing the mirror does not make it forget
// which history it has accepted (D6), and which commit of the record was its own.
import { join } from "node:path";
import { Failure } from "../model/failure.ts";
import { type Disk, systemDisk } from "./disk.ts";

export interface Tips {
  /** Commit of `main` that was last followed. */
  readonly main: string | null;
  /** Commit of `observed` that was last followed. */
  readonly observed: string | null;
  /** Commit of `observed` that this folder pushed last. */
  readonly pushed: string | null;
  /** Commit that this folder was pushing last, while it is not known what became of it. */
  readonly pending: string | null;
  /** The highest epoch of any leader that was heard of. */
  readonly epoch: number;
}

const none: Tips = { main: null, observed: null, pushed: null, pending: null, epoch: 0 };

export class TipsFile {
  private readonly path: string | null;
  private readonly data: string;
  private readonly disk: Disk;
  private tips: Tips = none;
  /** What the file says, as text. */
  private written = "";
  private writing: Promise<void> = Promise.resolve();

  private constructor(data: string | null, disk: Disk) {
    this.disk = disk;
    this.path = data === null ? null : join(data, "tips.json");
    this.data = data ?? "/nonexistent";
  }

  /** For whoever only looks: what is saved is kept in memory. */
  static forgetful(): TipsFile {
    return new TipsFile(null, systemDisk);
  }

  static async open(data: string, disk: Disk = systemDisk): Promise<TipsFile> {
    const file = new TipsFile(data, disk);
    const path = join(data, "tips.json");
    const text = await disk.read(path).catch(() => null);
    if (text !== null) file.tips = parse(text, path);
    return file;
  }

  get now(): Tips {
    return this.tips;
  }

  /** Resolves when the change is on the disk. */
  save(change: Partial<Tips>): Promise<void> {
    this.tips = { ...this.tips, ...change };
    const { path } = this;
    if (path === null) return Promise.resolve();
    const done = this.writing.then(async () => {
      const text = `${JSON.stringify(this.tips, null, 2)}\n`;
      if (text === this.written) return;
      await this.disk.replace(path, text);
      this.written = text;
    });
    this.writing = done.catch(() => {});
    return done;
  }

  /** A person's word: this very commit of the branch is to be followed, whatever was followed before; null for a branch that is gone. */
  async acceptByHand(branch: "main" | "observed", commit: string | null): Promise<void> {
    await this.disk.replace(this.wordPath(branch), `${commit ?? "gone"}\n`);
  }

  /** The commit that a person has accepted, `gone`, or null. */
  async word(branch: "main" | "observed"): Promise<string | null> {
    const word = (await this.disk.read(this.wordPath(branch)).catch(() => "")).trim();
    return /^([0-9a-f]{40}|gone)$/.test(word) ? word : null;
  }

  /** A word that was not needed does not hold for another day. */
  async dropWord(branch: "main" | "observed"): Promise<void> {
    await this.disk.remove(this.wordPath(branch));
  }

  private wordPath(branch: string): string {
    return join(this.data, `accepted-${branch}`);
  }
}

function parse(text: string, path: string): Tips {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      const tips = { ...none, ...value };
      const ids = [tips.main, tips.observed, tips.pushed, tips.pending];
      const areIds = ids.every((id: unknown) => id === null || (typeof id === "string" && /^[0-9a-f]{40}$/.test(id)));
      if (areIds && Number.isSafeInteger(tips.epoch)) return tips;
    }
  } catch {
    // Said below.
  }
  throw new Failure("stalled", `${path} cannot be read`, {
    reason: "TipsCorrupt",
    hint: "it says which history was accepted; when the remote's branches are as they should be, remove it and start again",
  });
}
