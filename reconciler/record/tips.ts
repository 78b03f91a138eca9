// What this folder knows of the remote's branches, outside of any repository: so that removing the mirror does not make it forget
// which history it has accepted (D6), and which commit of the record was its own.
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { Failure } from "../model/failure.ts";
import { replaceFile } from "./disk.ts";

export interface Tips {
  /** Commit of `main` that was last followed. */
  readonly main: string | null;
  /** Commit of `observed` that was last followed. */
  readonly observed: string | null;
  /** Commit of `observed` that this folder pushed last. */
  readonly pushed: string | null;
  /** The highest epoch ever seen. */
  readonly epoch: number;
}

const none: Tips = { main: null, observed: null, pushed: null, epoch: 0 };

export class TipsFile {
  private readonly path: string | null;
  private readonly wordPath: string;
  private tips: Tips = none;
  private writing: Promise<void> = Promise.resolve();

  private constructor(data: string | null) {
    this.path = data === null ? null : join(data, "tips.json");
    this.wordPath = join(data ?? "/nonexistent", "accept-history.json");
  }

  /** For whoever only looks: what is saved is kept in memory. */
  static forgetful(): TipsFile {
    return new TipsFile(null);
  }

  static async open(data: string): Promise<TipsFile> {
    const file = new TipsFile(data);
    const path = join(data, "tips.json");
    const text = await readFile(path, "utf8").catch(() => null);
    if (text !== null) file.tips = parse(text, path);
    return file;
  }

  get now(): Tips {
    return this.tips;
  }

  /** Resolves when the change is on the disk. */
  save(change: Partial<Tips>): Promise<void> {
    const next = { ...this.tips, ...change };
    if (JSON.stringify(next) === JSON.stringify(this.tips)) return this.writing;
    this.tips = next;
    const { path } = this;
    if (path === null) return Promise.resolve();
    const done = this.writing.then(() => replaceFile(path, `${JSON.stringify(this.tips, null, 2)}\n`));
    this.writing = done.catch(() => {});
    return done;
  }

  /** A person's word: this very commit of the branch is to be followed, whatever was followed before; null for a branch that is gone. */
  async acceptByHand(branch: "main" | "observed", commit: string | null): Promise<void> {
    await replaceFile(this.wordPath, `${JSON.stringify({ ...(await this.words()), [branch]: commit ?? "gone" })}\n`);
  }

  /** True once, for the commit that a person has accepted. */
  async takeWord(branch: "main" | "observed", commit: string | null): Promise<boolean> {
    const words = await this.words();
    if (words[branch] !== (commit ?? "gone")) return false;
    await rm(this.wordPath, { force: true });
    const { [branch]: _, ...rest } = words;
    if (Object.keys(rest).length > 0) await replaceFile(this.wordPath, `${JSON.stringify(rest)}\n`);
    return true;
  }

  private async words(): Promise<Readonly<Record<string, string>>> {
    const text = await readFile(this.wordPath, "utf8").catch(() => "{}");
    return parse(text, this.wordPath) as unknown as Record<string, string>;
  }
}

function parse(text: string, path: string): Tips {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) return { ...none, ...value };
  } catch {
    // Said below.
  }
  throw new Failure("stalled", `${path} cannot be read`, {
    reason: "TipsCorrupt",
    hint: "it says which history was accepted; when the remote's branches are as they should be, remove it and start again",
  });
}
