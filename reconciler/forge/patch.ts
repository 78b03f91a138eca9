// What changed in files, as unified diffs for people.
import { createTwoFilesPatch } from "diff";

export interface ChangedFile {
  /** Path in the state repository. */
  readonly path: string;
  /** Null where there was none. */
  readonly before: string | null;
  /** Null where there is none any more. */
  readonly after: string | null;
}

/** A unified diff as Git writes it, of files that hold text; empty where nothing changed. */
export function patchOf(files: readonly ChangedFile[]): string {
  return files
    .filter(({ before, after }) => before !== after)
    .map(({ path, before, after }) => {
      const from = before === null ? "/dev/null" : `a/${path}`;
      const to = after === null ? "/dev/null" : `b/${path}`;
      const [, ...lines] = createTwoFilesPatch(from, to, before ?? "", after ?? "", "", "", { context: 3 }).split("\n");
      return lines.map((line) => line.trimEnd()).join("\n");
    })
    .join("");
}
