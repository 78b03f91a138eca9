// Bundles the program that plays. A bug is planted by an edit of a source while it is bundled: no file carries it.
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { build, type Plugin } from "esbuild";

const root = fileURLToPath(new URL("../../", import.meta.url));

export interface Edit {
  /** From the root of the repository. */
  readonly file: string;
  /** Stands in the file exactly once. */
  readonly find: string;
  readonly replace: string;
}

/** A bundle in a folder of its own, which goes with it. */
export class Bundle implements AsyncDisposable {
  readonly program: string;
  private readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
    this.program = join(folder, "worker.mjs");
  }

  static async make(edits: readonly Edit[] = []): Promise<Bundle> {
    const bundle = new Bundle(await mkdtemp(join(tmpdir(), "stateward-sim-")));
    await build({
      entryPoints: [join(root, "test/sim/worker.ts")],
      outfile: bundle.program,
      bundle: true,
      platform: "node",
      format: "esm",
      target: "node20",
      sourcemap: "inline",
      sourcesContent: false,
      logLevel: "error",
      // Some packages are CommonJS, and ask for node: modules.
      banner: { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);' },
      plugins: edits.length === 0 ? [] : [planting(edits)],
    });
    return bundle;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** The text with its edits; throws where one does not fit. */
export function edited(text: string, edits: readonly Edit[]): string {
  return edits.reduce((now, { file, find, replace }) => {
    const parts = now.split(find);
    if (parts.length !== 2)
      throw new Error(`${file}: the text to replace stands there ${parts.length - 1} times: ${find}`);
    return parts.join(replace);
  }, text);
}

function planting(edits: readonly Edit[]): Plugin {
  return {
    name: "plant",
    setup: (bundler) => {
      bundler.onLoad({ filter: /\/reconciler\/.*\.ts$/ }, async ({ path }) => {
        const own = edits.filter(({ file }) => file === relative(root, path));
        if (own.length === 0) return null;
        return { contents: edited(await readFile(path, "utf8"), own), loader: "ts" };
      });
    },
  };
}
