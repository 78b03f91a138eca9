// One process of the memory figure: `floor DIR` holds the parsed values of a fleet and its record in plain maps, `ours DIR` has the
// whole reconciler hold them. Prints the bytes that are held after a collection.
import { runProcess } from "../dist/adapters/process.js";
import { Engine } from "../dist/engine/loop.js";
import { parseYaml } from "../dist/model/yaml.js";
import { openBare } from "../dist/record/mirror.js";
import { diffTrees } from "../dist/record/tree-diff.js";
import { follower, openData, storeOf } from "./site.ts";

const [, , what, dir = ""] = process.argv;
const site = await openData(dir, "r1");
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
    const source = await openBare(site.remote, runProcess);
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
  const [desired, record] = [follower(site), storeOf(site)];
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
