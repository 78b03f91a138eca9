// Coordination as tables: each file of this folder is a topic, each case of it a fleet, what happens to it, and what is expected then.
import { readdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import * as assert from "uvu/assert";
import { parse } from "yaml";
import { expectAll } from "../support/case-expect.ts";
import { type Case, type Fields, fields, laidOver, readTopic, slip, type Topic } from "../support/case-format.ts";
import { Rig } from "../support/case-rig.ts";
import { type Play, playStep } from "../support/case-steps.ts";
import { root } from "../support/example.ts";
import { suite } from "../support/suite.ts";

const test = suite("cases");
const folder = join(root, "test/cases");

async function readYaml(...path: string[]): Promise<unknown> {
  return parse(await readFile(join(folder, ...path), "utf8"), { uniqueKeys: true });
}

const yamlIn = async (path: string): Promise<string[]> =>
  (await readdir(path)).filter((name) => name.endsWith(".yaml")).toSorted();

const library = new Map<string, Fields>();
for (const file of await yamlIn(join(folder, "machines")))
  library.set(basename(file, ".yaml"), fields(await readYaml("machines", file), file));
const topics: Topic[] = [];
for (const file of await yamlIn(folder)) topics.push(readTopic(await readYaml(file), file));

/** The machines that a case names, with its changes; the first is meant where none is named. */
function machinesOf({ given }: Case): Map<string, Fields> {
  const named = fields(given.machines, "machines");
  return new Map(
    Object.entries(named).map(([name, over]): [string, Fields] => {
      const machine = library.get(name) ?? slip("machines", `there is no test/cases/machines/${name}.yaml`);
      return [name, fields(laidOver(machine, over ?? {}), name)];
    }),
  );
}

async function play(item: Case): Promise<void> {
  const rig = new Rig(item.given, machinesOf(item));
  await rig.begin();
  const playing: Play = { rig, played: null, seen: { events: 0, steps: 0 } };
  for (const [index, step] of item.when.entries()) {
    try {
      await playStep(playing, step, (value) => expectAll(playing, value));
    } catch (error) {
      if (error instanceof Error) error.message = `step ${index + 1} (${Object.keys(step)[0]}): ${error.message}`;
      throw error;
    }
  }
  expectAll(playing, item.expect);
  assert.is(rig.engine.state().fatal, null, "the reconciler goes on");
}

const only = process.env.CASES ?? "";
for (const { topic, cases } of topics)
  for (const item of cases)
    if (`${topic}: ${item.title}`.includes(only)) test(`${topic}: ${item.title}`, () => play(item));

test("there are at least 120 cases, and at least 8 of each of the 11 topics", () => {
  assert.is(topics.length, 11);
  for (const { topic, cases } of topics) assert.ok(cases.length >= 8, `${topic} has ${cases.length}`);
  assert.ok(topics.reduce((total, { cases }) => total + cases.length, 0) >= 120);
});

test("a key that nobody knows is an error, wherever it stands in a case", async () => {
  const good = { title: "t", given: { machines: { app: {} }, hosts: { a: "v1" } }, expect: { ready: "a" } };
  const run = async (change: object): Promise<string> => {
    try {
      const [item] = readTopic({ topic: "x", cases: [laidOver(good, change)] }, "x.yaml").cases;
      if (item) await play(item);
      return "no error";
    } catch (error) {
      return String(error);
    }
  };
  assert.is(await run({}), "no error");
  const slips: readonly object[] = [
    { wen: [] },
    { given: { host: {} } },
    { given: { hosts: { a: { colour: "red" } } } },
    { given: { settings: { rolout: {} } } },
    { given: { enter: { "app/v9": {} } } },
    { when: [{ passes: "5m" }] },
    { when: [{ pass: "5m", commit: {} }] },
    { when: [{ commit: { target: {} } }] },
    { when: [{ expect: { redy: "a" } }] },
    { expect: { redy: "a" } },
    { expect: { rollouts: { x: { fase: 1 } } } },
  ];
  for (const change of slips) assert.is.not(await run(change), "no error", JSON.stringify(change));
});

test.run();
