// Which blocks of our code have run, by V8 itself: so that a search sees when an input reaches something new. Must be started before
// the code is loaded.
import { type Profiler, Session } from "node:inspector/promises";

export interface Coverage {
  /** Names of the blocks that ran since this was asked last, as `FILE:START-END`. */
  take(): Promise<readonly string[]>;
  stop(): void;
}

/** Counts blocks of scripts whose address matches. */
export async function startCoverage(scripts: RegExp): Promise<Coverage> {
  const session = new Session();
  session.connect();
  await session.post("Profiler.enable");
  // Counts start at nothing with each answer.
  await session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: true });
  const blocks = new Blocks();
  return {
    take: async () => {
      const { result } = await session.post("Profiler.takePreciseCoverage");
      return result.filter(({ url }) => scripts.test(url)).flatMap((script) => blocks.ran(script));
    },
    stop: () => session.disconnect(),
  };
}

/**
 * V8 leaves out a block that ran as often as what is around it: what it says of one run tells which blocks there are only together with
 * what it said of others. A block that has been seen ran when the innermost range around it that is told now did.
 */
class Blocks {
  private readonly known = new Map<string, Map<string, Profiler.CoverageRange>>();

  ran({ url, functions }: Profiler.ScriptCoverage): string[] {
    const file = url.split("/").slice(-2).join("/");
    return functions.flatMap(({ ranges }) => {
      const [whole] = ranges;
      if (whole === undefined || whole.count === 0) return [];
      const key = `${file}:${whole.startOffset}`;
      const seen = this.known.get(key) ?? new Map<string, Profiler.CoverageRange>();
      this.known.set(key, seen);
      for (const range of ranges) seen.set(`${file}:${range.startOffset}-${range.endOffset}`, range);
      return [...seen].flatMap(([name, range]) => (isIn(ranges, range) ? [name] : []));
    });
  }
}

/** Ranges go from the outer ones to the inner ones. */
function isIn(ranges: readonly Profiler.CoverageRange[], { startOffset, endOffset }: Profiler.CoverageRange): boolean {
  const innermost = ranges.findLast((range) => range.startOffset <= startOffset && endOffset <= range.endOffset);
  return innermost !== undefined && innermost.count > 0;
}
