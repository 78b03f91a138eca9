// Programs that stand before the real ones in PATH and write down how they were called: every argument of every call.
import { chmod, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";

export interface Recorder {
  /** For the environment of whoever is watched. */
  readonly path: string;
  /** Every call so far: the program's name, then its arguments. */
  calls(): Promise<string[][]>;
}

const usual = ["/usr/local/bin", "/usr/bin", "/bin"];

/** Watches `programs`; what `instead` has for one of them is run in its place, a shell script that sees the same arguments. */
export async function recordCalls(
  dir: string,
  programs: readonly string[],
  instead: Readonly<Record<string, string>> = {},
): Promise<Recorder> {
  const [bin, log] = [join(dir, "bin"), join(dir, "calls")];
  for (const folder of [bin, log]) await mkdir(folder, { recursive: true });
  for (const name of programs) {
    const real = `for real in ${usual.map((folder) => `${folder}/${name}`).join(" ")}; do [ -x "$real" ] && exec "$real" "$@"; done\nexit 127`;
    // A file of its own for each process: calls do not run into one another.
    const text = `#!/bin/sh\nprintf '%s\\0' ${name} "$@" >>'${log}/'$$\nprintf '\\001' >>'${log}/'$$\n${instead[name] ?? real}\n`;
    await writeFile(join(bin, name), text);
    await chmod(join(bin, name), 0o755);
  }
  return {
    path: [bin, process.env.PATH ?? usual.join(delimiter)].join(delimiter),
    calls: async () => {
      const texts = await Promise.all((await readdir(log)).map((name) => readFile(join(log, name), "utf8")));
      return texts.flatMap((text) => text.split("\u0001").slice(0, -1)).map((call) => call.split("\0").slice(0, -1));
    },
  };
}
