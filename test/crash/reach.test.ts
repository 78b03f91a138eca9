// Every crash point is either known to be reached by a scenario (reached.txt) or named with a reason in unreached.ts, and the scenarios,
// without a crash, keep every promise.
//
//   CRASH_REACHED=write    adds to reached.txt what this run reached, and takes out what is gone
//
// Which points a single run comes by depends on how quick the machine is; that is why the list is kept, and a run is held to most of it.
import { readFile, writeFile } from "node:fs/promises";
import * as assert from "uvu/assert";
import { suite } from "../support/suite.ts";
import { nameOf, surveyAll } from "./crash.ts";
import { openGround } from "./ground.ts";
import { scenarios } from "./scenarios/all.ts";
import { means, unreached } from "./unreached.ts";

const list = new URL("reached.txt", import.meta.url);
/** Of the points that are known to be reached, how many one run has to come by. */
const atLeast = 0.95;

const test = suite("reach", { limitMs: 280_000 });

test("D1, D2, S1: every crash point is reached by a scenario, or it is said why not", async () => {
  await using ground = await openGround();
  const passes = await surveyAll(ground, scenarios);
  const reached = new Set([...passes.keys()].map(nameOf));
  console.log(`${ground.points.length} crash points, ${reached.size} reached`);
  const known = new Set((await readFile(list, "utf8")).split("\n").filter((line) => line !== ""));
  if (process.env.CRASH_REACHED === "write") {
    const now = ground.points.filter((name) => known.has(name) || reached.has(name));
    await writeFile(list, `${now.toSorted().join("\n")}\n`);
    return;
  }
  const isUnreached = (name: string): boolean => unreached.some((entry) => means(entry, name));
  const forgotten = ground.points.filter((name) => !known.has(name) && !isUnreached(name));
  assert.equal(forgotten, [], "no scenario reaches these, and unreached.ts does not name them: CRASH_REACHED=write?");
  const points = new Set(ground.points);
  const gone = [...known].filter((name) => !points.has(name));
  assert.equal(gone, [], "reached.txt names points that do not exist: CRASH_REACHED=write");
  const reasonless = unreached.filter((entry) => !ground.points.some((name) => means(entry, name)));
  assert.equal(reasonless, [], "unreached.ts names points that do not exist");
  const wrong = unreached.filter((entry) => entry.isChance !== true && [...reached].some((name) => means(entry, name)));
  assert.equal(wrong, [], "unreached.ts names points that are reached");
  const missed = [...known].filter((name) => !reached.has(name) && !isUnreached(name));
  assert.ok(missed.length <= known.size * (1 - atLeast), `not reached this time: ${missed.join(", ")}`);
  assert.ok(reached.size >= 60, `${reached.size} points`);
});

test.run();
