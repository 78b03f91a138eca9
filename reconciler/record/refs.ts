// Refs of the mirror, written as Git writes loose ones: a lock file, synced, renamed. Git's own processes keep to the same locks.
import { mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Failure } from "../model/failure.ts";
import { syncFolder } from "./disk.ts";

export const observedRef = "refs/stateward/observed";
/** The last commit of `main` without problems: what stays in force over a restart (D4). */
export const acceptedRef = "refs/stateward/accepted";
/** The last commit of `main` up to which every signature was judged, and good. */
export const verifiedRef = "refs/stateward/verified";
/** The commit that is being pushed: it survives a crash, so that a retry pushes the same object. */
export const pendingRef = "refs/stateward/pending";

const triesMax = 50;
const tryAgainMs = 20;

/** Points a ref at an object. When this resolves, that is on the disk. */
export async function writeRef(dir: string, ref: string, id: string): Promise<void> {
  if (!/^[0-9a-f]{40}$/.test(id)) throw new Error(`not an object id: ${id}`);
  const path = join(dir, ref);
  await mkdir(dirname(path), { recursive: true });
  const file = await lock(path, ref);
  try {
    try {
      await file.writeFile(`${id}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(`${path}.lock`, path);
  } catch (error) {
    // On a disk that was full just now: the lock would keep everybody out, this process included, long after there is room again.
    await rm(`${path}.lock`, { force: true });
    throw error;
  }
  await syncFolder(dirname(path));
}

async function lock(path: string, ref: string): Promise<Awaited<ReturnType<typeof open>>> {
  for (let tries = 1; ; tries++) {
    try {
      return await open(`${path}.lock`, "wx");
    } catch (cause) {
      if (tries < triesMax && (cause as NodeJS.ErrnoException).code === "EEXIST") {
        await sleep(tryAgainMs);
        continue;
      }
      throw new Failure("transient", `the ref ${ref} cannot be written`, {
        reason: "RefLocked",
        hint: `see whether the disk is full, and whether a git process of another program works in ${dir(path)}`,
        cause,
      });
    }
  }
}

function dir(path: string): string {
  return dirname(dirname(dirname(path)));
}

/** Removes refs that a power cut has left without content, and says which: they are fetched or written anew. */
export async function removeEmptyRefs(gitDir: string): Promise<string[]> {
  const names = (await readdir(join(gitDir, "refs"), { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile() && !entry.name.endsWith(".lock"))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name));
  const removed: string[] = [];
  for (const path of names) {
    const text = await readFile(path, "latin1");
    if (/^([0-9a-f]{40}|ref: .+)\n?$/.test(text)) continue;
    await rm(path, { force: true });
    removed.push(path.slice(gitDir.length + 1));
  }
  return removed;
}
