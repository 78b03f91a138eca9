// Entries of a state repository that are not what they should be: links, submodules, programs, names that some systems cannot have.
import { errorIn, type Problem } from "../model/problem.ts";
import { isStatePath } from "../model/repository.ts";
import { linkMode, programMode } from "./tree.ts";

/** Names that a file system, a shell or a terminal may take for something else. */
const oddName =
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  /[\u0000-\u001f\u007f\\:*?"<>|\ufffd\u200b-\u200f\u2028-\u202e]|^[-~ ]|[ .]$|^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)/iu;

/** True for a path with a name that not every system can have. */
export function isOdd(path: string): boolean {
  // What nearly every path is made of is seen at once.
  if (
    /^[a-z][a-z0-9_.-]*[a-z0-9](?:\/[a-z0-9][a-z0-9_.-]*[a-z0-9])*$/.test(path) &&
    !/(?:^|\/)(?:con|prn|aux|nul|com\d|lpt\d)\b/.test(path)
  )
    return false;
  return path.split("/").some((name) => oddName.test(name));
}

/** The problem of one entry below the folders that are read, or null. `mode` is as Git writes it. */
export function oddEntry(path: string, mode: string): Problem | null {
  if (mode === linkMode) return errorIn(path, "SW503", `${path} is a symbolic link`, "commit the file itself");
  if (mode === "160000") return errorIn(path, "SW503", `${path} is a submodule`, "commit the files themselves");
  if (isOdd(path)) {
    const shown = JSON.stringify(path);
    return errorIn(
      path,
      "SW505",
      `${shown} has a name that not every system can have`,
      "use letters, digits, - _ and .",
    );
  }
  // A program beside the settings is a mistake only where it is read as settings.
  if (mode === programMode && isStatePath(path))
    return errorIn(path, "SW504", `${path} is executable`, `git update-index --chmod=-x ${path}`);
  return null;
}

/** Problems of paths that a file system without case would take for one. */
export function clashes(paths: Iterable<string>): Problem[] {
  const seen = new Map<string, string>();
  const problems: Problem[] = [];
  for (const path of paths) {
    const key = path.toLowerCase();
    const other = seen.get(key);
    if (other === undefined) seen.set(key, path);
    else problems.push(errorIn(path, "SW506", `${path} and ${other} differ in case alone`, "rename one of them"));
  }
  return problems;
}
