// One process of the memory figure: `floor DIR` holds the parsed values of a fleet and its record in plain maps, `ours DIR` has the
// whole reconciler hold them. Prints the bytes that are held after a collection.
import { join } from "node:path";
import { runProcess } from "../dist/adapters/process.js";
import { Engine } from "../dist/engine/loop.js";
import { RepositoryLoader } from "../dist/model/repository.js";
import { parseYaml } from "../dist/model/yaml.js";
import { DocumentCache } from "../dist/record/document-cache.js";
import { DesiredMirror, openBare } from "../dist/record/mirror.js";
import { Remote } from "../dist/record/remote.js";
import { GitRecord } from "../dist/record/store.js";
import { TipsFile } from "../dist/record/tips.js";
import { diffTrees } from "../dist/record/tree-diff.js";

const [, , what, dir = ""] = process.argv;
const git = await openBare(join(dir, "r1/mirror.git"), runProcess);
const remote = join(dir, "remote.git");
const collect = (globalThis as { gc?: () => void }).gc ?? (() => {});

async function held(): Promise<number> {
  for (let round = 0; round < 4; round++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

const before = await held();
const kept: unknown[] = [];
if (what === "floor") {
  for (const [ref, parse] of [
    ["refs/heads/main", (path: string, text: string): unknown => structuredClone(parseYaml(path, text).value)],
    ["refs/heads/observed", (_path: string, text: string): unknown => JSON.parse(text)],
  ] as const) {
    const values = new Map<string, unknown>();
    const source = await openBare(remote, runProcess);
    const files = await diffTrees(source.objects, { before: null, after: `${ref}^{tree}` }, () => true);
    await source.objects.each(
      files.map(({ item }) => item?.id ?? ""),
      (object, index) => {
        const path = files[index]?.path ?? "";
        values.set(path, parse(path, object?.data.toString() ?? ""));
      },
    );
    kept.push(values);
    source.objects.close();
  }
} else {
  const tips = await TipsFile.open(join(dir, "r1"));
  const origin = new Remote(git, remote);
  const cache = new DocumentCache(join(dir, "r1/cache/documents"), "bench");
  const desired = new DesiredMirror({ git, tips, remotes: [origin], loader: new RepositoryLoader(), cache });
  const record = new GitRecord({
    git,
    remote: origin,
    tips,
    journalDir: join(dir, "r1/journal"),
    leadership: { instance: "r1", host: "bench", takeOver: true },
    windowMs: () => 3_600_000,
    onFenced: console.error,
    onNotice: () => {},
    onAlert: console.error,
  });
  const nobody = { look: () => new Promise<never>(() => {}), run: () => new Promise<never>(() => {}) };
  const engine = new Engine({
    clock: {
      now: () => Date.now(),
      after: (ms, wake) => clearTimeout.bind(null, setTimeout(wake, Math.min(ms, 2 ** 31 - 1))),
    },
    desired,
    record,
    looker: nobody,
    actor: { ...nobody, mark: nobody.run, inquire: nobody.run },
    events: () => {},
  });
  await engine.start();
  while (engine.world() === null) await new Promise((resolve) => setTimeout(resolve, 100));
  await new Promise((resolve) => setTimeout(resolve, 5000));
  kept.push(engine);
}
console.log((await held()) - before, kept.length);
process.exit(0);
