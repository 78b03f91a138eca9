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
    const stdout = collect(child.stdout, order.outputBytesMax);
    const stderr = collect(child.stderr, order.outputBytesMax);
    const timer = killAfter(child, order.timeoutMs);
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

function resultOf(exit: number | null, timedOut: boolean, output: { stdout: Buffer; stderr: Buffer }): ProcessResult {
  const { stdout: bytes } = output;
  return {
    exit: timedOut ? null : exit,
    timedOut,
    bytes,
    get stdout() {
      return bytes.toString("utf8");
    },
    stderr: output.stderr.toString("utf8"),
  };
}

/** Keeps the first `max` bytes of a stream and reads on, so that the writer is never blocked. */
function collect(stream: Readable, max: number): () => Buffer {
  const chunks: Buffer[] = [];
  let size = 0;
  stream.on("data", (chunk: Buffer) => {
    if (size < max) chunks.push(chunk.subarray(0, max - size));
    size += chunk.length;
  });
  stream.on("error", () => {});
  return () => Buffer.concat(chunks);
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
