// Reading objects: one `git cat-file --batch` that stays, and a buffered one for as long as many objects are read.
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import type { Socket } from "node:net";
import { Failure, messageOf } from "../model/failure.ts";
import { gitArguments, gitEnvironment } from "./git.ts";

export interface GitObject {
  readonly id: string;
  readonly type: string;
  /** Bytes. */
  readonly size: number;
  /** Empty for an object that is larger than `objectBytesMax`: it is not kept. */
  readonly data: Buffer;
}

/** A folder of 500,000 files has less; nothing that is read here has more. */
const objectBytesMax = 32_000_000;

/** More objects than this are read through a process of their own, with buffered output. */
const bulkFrom = 256;
/** No answer for this long, and the process is ended: a disk that hangs must not hang the reconciler for ever. */
const stallMs = 60_000;
/** Characters that are kept of what Git complains about. */
const saidMax = 2000;
/** Names in one write. */
const namesAtOnce = 2000;

/** Reads objects of one repository. */
export interface Objects {
  /** An object by id or by any name that Git resolves; null where there is none. */
  read(name: string): Promise<GitObject | null>;
  /** Calls `take` for every name in order, with null for what is missing. Memory stays that of the answers under way. */
  each(names: readonly string[], take: (object: GitObject | null, index: number) => void): Promise<void>;
  /** The object that must be there, of that type. */
  need(name: string, type: "commit" | "tree" | "blob"): Promise<GitObject>;
  close(): void;
}

/** Reads objects of one bare repository. Closing it ends its process; the next read starts another. */
export class ObjectReader implements Objects {
  private readonly dir: string;
  private kept: BatchProcess | null = null;

  constructor(dir: string) {
    this.dir = dir;
  }

  async read(name: string): Promise<GitObject | null> {
    let found: GitObject | null = null;
    await this.each([name], (object) => {
      found = object;
    });
    return found;
  }

  async each(names: readonly string[], take: (object: GitObject | null, index: number) => void): Promise<void> {
    if (names.length === 0) return;
    if (names.length > bulkFrom) {
      const bulk = new BatchProcess(this.dir, ["--batch", "--buffer"]);
      await bulk.readAll(names, take).finally(() => bulk.end());
      return;
    }
    if (this.kept === null || this.kept.ended) this.kept = new BatchProcess(this.dir, ["--batch"]);
    await this.kept.readAll(names, take);
  }

  async need(name: string, type: "commit" | "tree" | "blob"): Promise<GitObject> {
    return needed(name, type, await this.read(name));
  }

  close(): void {
    this.kept?.end();
    this.kept = null;
  }
}

/** The object, if it is there and of that type; throws a Failure otherwise. */
export function needed(name: string, type: "commit" | "tree" | "blob", object: GitObject | null): GitObject {
  if (object?.type !== type) throw missing(name, object);
  return object;
}

export function missing(name: string, object: GitObject | null): Failure {
  return corrupt(`object ${name} is ${object === null ? "missing from the mirror" : `a ${object.type}`}`);
}

function corrupt(message: string): Failure {
  return new Failure("stalled", message, {
    reason: "GitCorrupt",
    hint: "start the reconciler again: it sets the mirror aside and fetches afresh",
  });
}

interface Request {
  readonly count: number;
  readonly take: (object: GitObject | null, index: number) => void;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
  done: number;
}

/** Takes `cat-file --batch` output apart: `id type size`, a newline, the content, a newline. */
class BatchProcess {
  ended = false;
  private readonly child: ChildProcessWithoutNullStreams;
  private readonly requests: Request[] = [];
  private head = Buffer.alloc(0);
  private current: { id: string; type: string; size: number; data: Buffer; filled: number } | null = null;
  private timer: NodeJS.Timeout | null = null;
  private readonly buffered: boolean;
  /** Why it ended by itself, if it did: what it said last. */
  private said = "";

  constructor(dir: string, options: readonly string[]) {
    this.buffered = options.includes("--buffer");
    this.child = startGit(gitArguments(dir, ["cat-file", ...options]));
    this.child.once("error", (error) => this.fail(cannotStart(error)));
    // Without a descriptor or a process left there are not even streams to listen to.
    if (this.child.pid === undefined) {
      this.ended = true;
      return;
    }
    this.child.stdin.on("error", () => {});
    this.child.stderr.on("data", (chunk: Buffer) => {
      this.said = `${this.said}${chunk.toString()}`.slice(-saidMax);
    });
    this.child.stdout.on("data", (chunk: Buffer) => this.guarded(() => this.feed(chunk)));
    this.child.once("close", () => this.fail(endedBy(this.said)));
    // The process waits for names for as long as this one lives, and keeps it from nothing.
    this.child.unref();
    this.hold(false);
  }

  readAll(names: readonly string[], take: Request["take"]): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.ended) {
        reject(transient("git cat-file has ended"));
        return;
      }
      this.requests.push({ count: names.length, take, resolve, reject, done: 0 });
      this.hold(true);
      this.touch();
      void this.ask(names);
    });
  }

  end(): void {
    if (this.ended) return;
    this.ended = true;
    this.child.stdin.end();
    if (this.timer) clearTimeout(this.timer);
    this.child.kill("SIGTERM");
  }

  /** A buffered process gets all the names, and then the end of its input, which makes it answer to the last. */
  private async ask(names: readonly string[]): Promise<void> {
    const { stdin } = this.child;
    for (let at = 0; at < names.length && !this.ended; at += namesAtOnce) {
      const text = `${names.slice(at, at + namesAtOnce).join("\n")}\n`;
      if (!stdin.write(text) && this.buffered) await new Promise<void>((resolve) => stdin.once("drain", resolve));
    }
    if (this.buffered) stdin.end();
  }

  private guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.fail(error);
    }
  }

  private feed(chunk: Buffer): void {
    this.touch();
    let rest = chunk;
    while (rest.length > 0) rest = this.current === null ? this.readHead(rest) : this.readBody(rest);
  }

  private readHead(chunk: Buffer): Buffer {
    const end = chunk.indexOf(10);
    if (end < 0) {
      this.head = Buffer.concat([this.head, chunk]);
      return Buffer.alloc(0);
    }
    const line = (
      this.head.length === 0 ? chunk.subarray(0, end) : Buffer.concat([this.head, chunk.subarray(0, end)])
    ).toString("latin1");
    this.head = Buffer.alloc(0);
    const rest = chunk.subarray(end + 1);
    const [, id = "", type = "", size = ""] = /^([0-9a-f]{40}) (\w+) (\d+)$/.exec(line) ?? [];
    if (id === "") {
      if (!/ (missing|ambiguous)$/.test(line)) throw transient(`git cat-file answers: ${line.slice(0, 100)}`);
      this.answer(null);
      return rest;
    }
    this.current = { id, type, size: Number(size), data: Buffer.alloc(0), filled: 0 };
    return rest;
  }

  private readBody(chunk: Buffer): Buffer {
    const { current } = this;
    if (current === null) return chunk;
    const { id, type, size } = current;
    const isKept = size <= objectBytesMax;
    if (isKept && current.filled === 0 && chunk.length > size) {
      this.current = null;
      this.answer({ id, type, size, data: chunk.subarray(0, size) });
      return chunk.subarray(size + 1);
    }
    if (isKept && current.data.length === 0) current.data = Buffer.allocUnsafe(size + 1);
    const part = chunk.subarray(0, size + 1 - current.filled);
    if (isKept) part.copy(current.data, current.filled);
    current.filled += part.length;
    if (current.filled === size + 1) {
      this.current = null;
      this.answer({ id, type, size, data: isKept ? current.data.subarray(0, size) : current.data });
    }
    return chunk.subarray(part.length);
  }

  private answer(object: GitObject | null): void {
    const [request] = this.requests;
    if (!request) throw transient("git cat-file answers more than was asked");
    request.take(object, request.done++);
    if (request.done === request.count) {
      this.requests.shift();
      request.resolve();
      if (this.requests.length === 0) this.rest();
    }
  }

  private rest(): void {
    if (this.timer) clearTimeout(this.timer);
    this.timer = null;
    this.hold(false);
  }

  /** Whether this process may not end before the pipes do: only while something is asked. */
  private hold(isHeld: boolean): void {
    for (const stream of [this.child.stdin, this.child.stdout, this.child.stderr] as unknown as Socket[]) {
      if (isHeld) stream.ref();
      else stream.unref();
    }
  }

  private touch(): void {
    if (this.timer) {
      this.timer.refresh();
      return;
    }
    this.timer = setTimeout(() => this.fail(transient("git cat-file gives no answer")), stallMs);
  }

  private fail(error: unknown): void {
    this.end();
    for (const { reject } of this.requests.splice(0)) reject(error);
  }
}

/** Throws a Failure where even that cannot be tried. */
function startGit(args: string[]): ChildProcessWithoutNullStreams {
  try {
    return spawn("git", args, { env: gitEnvironment(), detached: true, stdio: ["pipe", "pipe", "pipe"] });
  } catch (error) {
    throw cannotStart(error);
  }
}

function cannotStart(error: unknown): Failure {
  return transient(`git cat-file cannot be started: ${messageOf(error)}`);
}

/** Git ends at an object that it finds and cannot read: then the mirror is at fault, and asking again does not help. */
function endedBy(said: string): Failure {
  const line = said
    .trim()
    .split("\n")
    .findLast((text) => text.startsWith("fatal: "));
  const isCorrupt = line !== undefined && /is corrupt\b|^fatal: unable to (read|stream)|cannot read object/.test(line);
  return isCorrupt
    ? corrupt(`git cat-file: ${line}`)
    : transient(`git cat-file ended${line === undefined ? "" : `: ${line}`}`);
}

function transient(message: string): Failure {
  return new Failure("transient", message, { reason: "GitFailed", hint: "check the disk of the data folder" });
}
