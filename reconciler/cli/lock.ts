// One reconciler for one data folder: two would share a journal.
import { createHash } from "node:crypto";
import { mkdir, readFile, realpath, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { platform } from "node:os";
import { join } from "node:path";
import { Failure } from "../model/failure.ts";

/**
 * Takes the lock of a data folder, or throws a Failure that names the process that has it. Returns what gives it back.
 *
 * The lock is a listening socket, because the system gives it to one process alone and takes it back when that process ends, however
 * it ends. On Linux the socket has no file; elsewhere it is a file that a crash leaves behind, and that nobody listens behind.
 */
export async function takeLock(data: string): Promise<() => Promise<void>> {
  await mkdir(data, { recursive: true });
  const name = createHash("sha256")
    .update(await realpath(data))
    .digest("hex")
    .slice(0, 32);
  const path = platform() === "linux" ? `\0stateward-${name}` : join("/tmp", `stateward-${name}.sock`);
  const pidFile = join(data, "pid");
  const server = await listen(path);
  if (server === null) {
    const pid = (await readFile(pidFile, "utf8").catch(() => "unknown")).trim();
    throw new Failure("invalid", `a reconciler is already running on this folder (process ${pid})`, {
      reason: "AlreadyRunning",
      hint: "stop it first, or use another folder with --data",
    });
  }
  await writeFile(pidFile, `${process.pid}\n`);
  return async () => {
    await rm(pidFile, { force: true });
    await new Promise((resolve) => server.close(resolve));
  };
}

function listen(path: string): Promise<Server | null> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once("error", (error: NodeJS.ErrnoException) =>
      error.code === "EADDRINUSE" ? resolve(null) : reject(error),
    );
    server.listen(path, () => resolve(server.unref()));
  });
}
