// The scenarios come by every crash point that is not named in unreached.ts, and without a crash they keep every promise.
import * as assert from "uvu/assert";
import { suite } from "../support/suite.ts";
import { nameOf, surveyAll } from "./crash.ts";
import { openGround } from "./ground.ts";
import { scenarios } from "./scenarios/all.ts";
import { means, unreached } from "./unreached.ts";

const test = suite("reach", { limitMs: 280_000 });

test("D1, D2, S1: every crash point is reached by a scenario, or it is said why not", async () => {
  await using ground = await openGround();
  const passes = await surveyAll(ground, scenarios);
  const reached = new Set([...passes.keys()].map(nameOf));
  console.log(`${ground.points.length} crash points, ${reached.size} reached`);
  const forgotten = ground.points.filter(
    (name) => !reached.has(name) && !unreached.some((entry) => means(entry, name)),
  );
  assert.equal(forgotten, [], "no scenario reaches these, and unreached.ts does not name them");
  const gone = unreached.filter((entry) => !ground.points.some((name) => means(entry, name)));
  assert.equal(gone, [], "unreached.ts names points that do not exist");
  const wrong = unreached.filter((entry) => entry.isChance !== true && [...reached].some((name) => means(entry, name)));
  assert.equal(wrong, [], "unreached.ts names points that are reached");
  assert.ok(reached.size >= 60, `${reached.size} points`);
});

test.run();
