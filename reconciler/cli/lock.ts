// One reconciler for one data folder: two would share a journal.
import { createHash } from "node:crypto";
import { mkdir, readFile, realpath, rm, stat, writeFile } from "node:fs/promises";
import { connect, createServer, type Server } from "node:net";
import { platform } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Failure } from "../model/failure.ts";

/** Name of the socket inside the data folder. */
const socketFile = "lock";

/**
 * Takes the lock of a data folder, or throws a Failure that names the process that has it. Returns what gives it back.
 *
 * The lock is a listening socket in the folder: a process that has ended, however it ended, answers no more, and a socket that nobody
 * answers behind is taken over. On Linux a second one without a file keeps two starts from taking over the same dead one.
 */
export async function takeLock(data: string): Promise<() => Promise<void>> {
  await mkdir(data, { recursive: true });
  const name = createHash("sha256")
    .update(await realpath(data))
    .digest("hex")
    .slice(0, 32);
  const guard = platform() === "linux" ? await listen(data, `\0stateward-${name}`) : null;
  const server = platform() === "linux" && guard === null ? null : await listenOrTakeOver(data);
  if (server === null) {
    guard?.close();
    throw await alreadyRunning(data);
  }
  await writeFile(join(data, "pid"), `${process.pid}\n`);
  return async () => {
    await rm(join(data, "pid"), { force: true });
    guard?.close();
    await new Promise((resolve) => server.close(resolve));
  };
}

async function alreadyRunning(data: string): Promise<Failure> {
  const pid = (await readFile(join(data, "pid"), "utf8").catch(() => "unknown")).trim();
  return new Failure("invalid", `a reconciler is already running on this folder (process ${pid})`, {
    reason: "AlreadyRunning",
    hint: "stop it first, or use another folder with --data",
  });
}

async function listenOrTakeOver(data: string): Promise<Server | null> {
  const server = await listen(data, socketFile);
  if (server !== null) return server;
  if (await answers(data)) return null;
  await rm(join(data, socketFile), { force: true });
  const next = await listen(data, socketFile);
  if (next === null) return null;
  // Another start that saw the same dead socket may have removed ours: then its own is there now.
  const mine = (await stat(join(data, socketFile))).ino;
  await sleep(100);
  const now = await stat(join(data, socketFile)).catch(() => null);
  if (now?.ino === mine) return next;
  next.close();
  return null;
}

/** Binds synchronously, from inside the folder: the path of a socket may have about 100 bytes only. */
function listen(data: string, path: string): Promise<Server | null> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once("error", (error: NodeJS.ErrnoException) =>
      error.code === "EADDRINUSE" ? resolve(null) : reject(error),
    );
    inFolder(data, () => server.listen(path, () => resolve(server.unref())));
  });
}

function answers(data: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = inFolder(data, () => connect(socketFile));
    const end = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(2000, () => end(true));
    socket.once("connect", () => end(true));
    socket.once("error", () => end(false));
  });
}

function inFolder<T>(folder: string, work: () => T): T {
  const before = process.cwd();
  process.chdir(folder);
  try {
    return work();
  } finally {
    process.chdir(before);
  }
}
