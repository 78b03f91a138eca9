// One reconciler for one data folder: two would share a journal.
import { mkdir, open, readFile, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { Failure } from "../model/failure.ts";

/** Takes the lock, or throws a Failure that names the process that has it. Returns what gives it back. */
export async function takeLock(file: string): Promise<() => Promise<void>> {
  await mkdir(dirname(file), { recursive: true });
  for (let tries = 0; tries < 2; tries++) {
    const handle = await open(file, "wx").catch(() => null);
    if (handle) {
      await handle.writeFile(`${process.pid} ${await startOf(process.pid)}\n`);
      await handle.close();
      return () => rm(file, { force: true });
    }
    const [pid = "", start = ""] = (await readFile(file, "utf8").catch(() => "")).trim().split(" ");
    if (isAlive(Number(pid)) && (await startOf(Number(pid))) === start) {
      throw new Failure("invalid", `a reconciler is already running on this folder (process ${pid})`, {
        reason: "AlreadyRunning",
        hint: "stop it first, or use another folder with --data",
      });
    }
    await rm(file, { force: true });
  }
  throw new Failure("transient", `the lock ${file} cannot be taken`, { reason: "LockBusy", hint: "try again" });
}

function isAlive(pid: number): boolean {
  if (!Number.isInteger(pid) || pid < 1) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** When a process started, so that a number given to another process is not taken for it; `-` where the system does not say. */
async function startOf(pid: number): Promise<string> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "-";
}
