// The real process is killed at its crash points, started again, and judged by what it has left. Each point is killed at before its work,
// while that is under way, and after it; half of the times another folder goes on from the remote alone. From the environment:
//   CRASH_POINTS=8         so many points of three scenarios, chosen by the seed (default)
//   CRASH_POINTS=all       each point once, at a phase chosen by the seed
//   CRASH_POINTS=every     each point in every phase that it was seen in
//   CRASH_POINTS=TEXT      each whose name has that in it, such as `record/journal.ts` or `Journal.write sync:after`, in every phase
//   CRASH_SEED=1           the seed that an earlier run has printed
//   CRASH_SHARD=1/4        the first quarter of what was chosen
// Beyond a few dozen points it takes longer than test/run.ts gives a file: node --import tsx test/crash/crash.test.ts.
import * as assert from "uvu/assert";
import { Random } from "../support/random.ts";
import { suite } from "../support/suite.ts";
import { crash, eachOf, nameOf, type Passes, surveyAll } from "./crash.ts";
import { openGround } from "./ground.ts";
import { scenarios } from "./scenarios/all.ts";
import type { Scenario } from "./scenarios/common.ts";

const chosen = process.env.CRASH_POINTS ?? "8";
const seed = Number(process.env.CRASH_SEED ?? Date.now() % 1_000_000);
const [shard = 1, shards = 1] = (process.env.CRASH_SHARD ?? "1/1").split("/").map(Number);
const isLong = process.env.CRASH_POINTS !== undefined;
/** Scenarios of a run that is to be short. */
const fewScenarios = 3;

const test = suite("crash", { limitMs: isLong ? 24 * 3_600_000 : 280_000 });

interface Kill {
  readonly scenario: Scenario;
  /** `NAME:PHASE:NTH`. */
  readonly point: string;
  readonly isFresh: boolean;
}

/** In an order by chance. */
function shuffled<T>(items: readonly T[], random: Random): T[] {
  return items
    .map((item) => ({ item, order: random.below(1_000_000_000) }))
    .toSorted((a, b) => a.order - b.order)
    .map(({ item }) => item);
}

function choose(passes: Passes, random: Random): Kill[] {
  const keys = [...passes.keys()].toSorted();
  const names = [...new Set(keys.map(nameOf))];
  const onePhase = names.map((name) => random.pick(keys.filter((key) => nameOf(key) === name)));
  const count = Number(chosen);
  const wanted = Number.isInteger(count)
    ? shuffled(onePhase, random).slice(0, count)
    : chosen === "all"
      ? onePhase
      : keys.filter((key) => chosen === "every" || key.includes(chosen));
  const kills = wanted.map((key, index) => {
    const [scenario, times] = random.pick(passes.get(key) ?? []);
    // Not among the last ones: another run may pass it less often.
    const nth = 1 + random.below(Math.ceil(times * 0.7));
    return { scenario, point: `${key}:${nth}`, isFresh: scenario.canLoseData !== false && index % 2 === 0 };
  });
  return kills.filter((_, index) => index % shards === shard - 1);
}

test("D1, D2, D3, D5, S1, S2, S4, L1: killed at any crash point, it goes on and breaks no promise", async () => {
  await using ground = await openGround();
  const random = new Random(seed);
  const passes = await surveyAll(ground, isLong ? scenarios : shuffled(scenarios, random).slice(0, fewScenarios));
  const kills = choose(passes, random);
  console.log(`${kills.length} kills of ${passes.size} possible ones, CRASH_SEED=${seed}`);
  const broken: string[] = [];
  let missed = 0;
  await eachOf(kills, async (kill) => {
    const { hasCrashed, broken: found, said } = await crash(ground, kill);
    const title = `${kill.scenario.name}, ${kill.point}, ${kill.isFresh ? "a fresh folder" : "the same folder"}`;
    if (!hasCrashed) missed++;
    const word = found.length > 0 ? "BROKEN" : hasCrashed ? "ok" : "not reached";
    if (isLong || word !== "ok") console.log(`${word} ${title}`);
    if (found.length > 0) broken.push(`${title}:\n${found.join("\n")}\n${said}`);
  });
  assert.equal(broken, [], broken.join("\n"));
  assert.ok(kills.length > 0, "something was to be killed");
  assert.ok(missed <= Math.max(3, kills.length / 10), `${missed} of ${kills.length} kills did not come to their point`);
});

test.run();
