// Child processes: each in a process group of its own, ended at its time, with bounded output (S3). Never through a shell of ours.
import { type ChildProcess, spawn } from "node:child_process";
import type { Readable } from "node:stream";
import type { ProcessResult, RunProcess } from "../model/ports.ts";

/** Between TERM and KILL. */
const graceMs = 5000;
/** How long output may still come after the process itself has ended: a daemon that it left behind may hold the pipe for ever. */
const drainMs = 250;

/** Runs a program to its end. Rejects with the system's error when it cannot be started. */
export const runProcess: RunProcess = (order) =>
  new Promise((resolve, reject) => {
    const [program, ...args] = order.argv;
    const child = spawn(program, args, {
      cwd: order.cwd,
      env: order.env,
      detached: true,
      stdio: ["pipe", "pipe", "pipe"],
    });
    // Without a descriptor or a process left there are not even streams to listen to.
    if (child.pid === undefined) {
      child.once("error", reject);
      return;
    }
    if (order.endsWithUs) endWithUs(child);
    const stdout = collect(child.stdout, order.outputBytesMax);
    const stderr = collect(child.stderr, order.outputBytesMax);
    const timer = killAfter(child, order.timeoutMs);
    if (order.endsWith) endWith(child, order.endsWith, stdout);
    child.once("error", (error) => {
      timer.cancel();
      reject(error);
    });
    child.once("exit", (exit) => {
      timer.cancel();
      const settle = (): void => {
        clearTimeout(drain);
        child.stdout.destroy();
        child.stderr.destroy();
        resolve(resultOf(exit, timer.fired(), { stdout: stdout(), stderr: stderr() }));
      };
      const drain = setTimeout(settle, drainMs);
      child.once("close", settle);
    });
    // A program may end without reading its input; that is its affair.
    child.stdin.on("error", () => {});
    child.stdin.end(order.input ?? "");
  });

/** Children that end with this process; null before there was one. */
let ours: Set<ChildProcess> | null = null;

function endWithUs(child: ChildProcess): void {
  if (ours === null) {
    const all = new Set<ChildProcess>();
    process.once("exit", () => {
      for (const { pid } of all) killGroup(pid, "SIGTERM");
    });
    ours = all;
  }
  ours.add(child);
  child.once("exit", () => ours?.delete(child));
}

function resultOf(exit: number | null, timedOut: boolean, output: { stdout: Buffer; stderr: Buffer }): ProcessResult {
  return {
    exit: timedOut ? null : exit,
    timedOut,
    stdout: output.stdout.toString("utf8"),
    stderr: output.stderr.toString("utf8"),
  };
}

/**
 * Keeps the first and the last half of `max` bytes of a stream, and reads on, so that the writer is never blocked. The end is kept
 * because it says how a script ended, the beginning because it says what went wrong first.
 */
function collect(stream: Readable, max: number): () => Buffer {
  const half = Math.ceil(max / 2);
  const head: Buffer[] = [];
  let tail: Buffer[] = [];
  let headSize = 0;
  let tailSize = 0;
  let dropped = 0;
  stream.on("data", (chunk: Buffer) => {
    const first = chunk.subarray(0, half - headSize);
    const rest = chunk.subarray(first.length);
    if (first.length > 0) head.push(first);
    headSize += first.length;
    if (rest.length === 0) return;
    tail.push(rest);
    tailSize += rest.length;
    if (tailSize <= 2 * half) return;
    const kept = Buffer.concat(tail).subarray(-half);
    dropped += tailSize - kept.length;
    [tail, tailSize] = [[kept], kept.length];
  });
  stream.on("error", () => {});
  return () => {
    const end = Buffer.concat(tail);
    const kept = end.subarray(-half);
    const lost = dropped + end.length - kept.length;
    if (lost === 0) return Buffer.concat([...head, kept]);
    return Buffer.concat([
      wholeBefore(Buffer.concat(head)),
      Buffer.from(`\n... more than ${lost} bytes left out ...\n`),
      wholeAfter(kept),
    ]);
  };
}

/** Bytes of a line or a word that are given up where output is cut, at most. */
const brokenBytesMax = 4096;
const [lineFeed, space] = [10, 32];

/** A2: half of a secret has not its form any more. What is cut ends with a whole line, else with a whole word. */
function wholeBefore(bytes: Buffer): Buffer {
  const from = Math.max(0, bytes.length - brokenBytesMax);
  const end = Math.max(bytes.lastIndexOf(lineFeed), bytes.lastIndexOf(space));
  return bytes.subarray(0, Math.max(end, from));
}

/** The same for what begins where the cut ends. */
function wholeAfter(bytes: Buffer): Buffer {
  const begin = [bytes.indexOf(lineFeed), bytes.indexOf(space)].filter((at) => at >= 0 && at < brokenBytesMax);
  return bytes.subarray(Math.min(begin.length > 0 ? Math.min(...begin) + 1 : brokenBytesMax, bytes.length));
}

/** Ends a program that has said that it is done, and whose output somebody else holds open. */
function endWith(child: ChildProcess, pattern: RegExp, output: () => Buffer): void {
  child.stdout?.on("data", () => {
    if (!pattern.test(output().subarray(-200).toString("utf8"))) return;
    const timer = setTimeout(() => killGroup(child.pid, "SIGTERM"), drainMs);
    child.once("exit", () => clearTimeout(timer));
  });
}

function killAfter(child: ChildProcess, ms: number): { cancel: () => void; fired: () => boolean } {
  let fired = false;
  let kill: NodeJS.Timeout | undefined;
  const term = setTimeout(
    () => {
      fired = true;
      killGroup(child.pid, "SIGTERM");
      kill = setTimeout(() => killGroup(child.pid, "SIGKILL"), graceMs);
    },
    Math.min(ms, 2 ** 31 - 1),
  );
  const cancel = (): void => {
    clearTimeout(term);
    clearTimeout(kill);
    // Whatever the program left in its group after its time goes with it.
    if (fired) killGroup(child.pid, "SIGKILL");
  };
  return { cancel, fired: () => fired };
}

/** Signals a whole process group; one that is gone already is fine. */
export function killGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined || pid <= 1) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // ESRCH: the group has ended.
  }
}
