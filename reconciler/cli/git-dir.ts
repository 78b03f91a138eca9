import { runProcess } from "../adapters/process.ts";
import { printable } from "../model/printable.ts";
import { gitEnvironment } from "../record/git.ts";

/** The repository that a folder belongs to, by the absolute name of its own directory; else what Git says. Rejects where Git cannot be started. */
export async function findGitDir(
  folder: string,
  env: Readonly<Record<string, string>> = {},
): Promise<{ readonly dir: string } | { readonly said: string }> {
  const { exit, stdout, stderr } = await runProcess({
    argv: ["git", "-C", folder, "rev-parse", "--absolute-git-dir"],
    env: { ...gitEnvironment(), ...env },
    timeoutMs: 10_000,
    outputBytesMax: 10_000,
    endsWithUs: true,
  });
  const dir = stdout.replace(/\n$/, "");
  return exit === 0 && dir !== "" ? { dir } : { said: printable(stderr.trim().split("\n").at(-1) ?? "") };
}
