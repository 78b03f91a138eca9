// Values that changed as a unified diff, bounded in lines and in the time that it takes.
import { structuredPatch } from "diff";
import type { ValueChange } from "../model/proposal.ts";
import { cut } from "./escape.ts";

/** Beyond so many differing lines no diff is looked for: the time grows with their square. Not a time limit: the same input, the same bytes. */
const editsMax = 2000;
const linesMax = 400;
const lineMax = 400;

/** The hunks of the diff, without the names of files. */
export function valueDiff({ before, after }: Pick<ValueChange, "before" | "after">): string {
  const patch = structuredPatch("a", "b", before, after, "", "", { context: 3, maxEditLength: editsMax });
  if (patch === undefined)
    return `The two have too little in common: ${count(before)} lines before, ${count(after)} after.`;
  const lines = patch.hunks.flatMap(({ oldStart, oldLines, newStart, newLines, lines: body }) => [
    `@@ -${oldStart},${oldLines} +${newStart},${newLines} @@`,
    ...body.map((line) => (line.length > lineMax ? `${cut(line, lineMax)}...` : line)),
  ]);
  const rest = lines.length - linesMax;
  return [...lines.slice(0, linesMax), ...(rest > 0 ? [`... and ${rest} more lines`] : [])].join("\n");
}

function count(text: string): number {
  return text === "" ? 0 : text.trimEnd().split("\n").length;
}
