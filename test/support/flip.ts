// Disks and memory that change a bit.
import { chmod, open, readdir, stat } from "node:fs/promises";
import { join } from "node:path";

/** The packs of a bare repository. */
export async function packsOf(repository: string): Promise<string[]> {
  const folder = join(repository, "objects/pack");
  return (await readdir(folder)).filter((name) => name.endsWith(".pack")).map((name) => join(folder, name));
}

/** Flips a bit in the middle of each of these files. */
export async function flip(files: readonly string[]): Promise<void> {
  for (const path of files) {
    const { size, mode } = await stat(path);
    await chmod(path, 0o644);
    const file = await open(path, "r+");
    const at = Math.floor(size / 2);
    const { buffer } = await file.read(Buffer.alloc(1), 0, 1, at);
    await file.write(Buffer.of((buffer[0] ?? 0) ^ 0x10), 0, 1, at);
    await file.close();
    await chmod(path, mode & 0o777);
  }
}
