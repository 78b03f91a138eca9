// The pieces of the simulated world, each by itself: a checker is worth what they are.
import * as assert from "uvu/assert";
import { suite } from "../support/suite.ts";
import { SimDisk } from "./disk.ts";
import { SimServer } from "./git.ts";
import { Random } from "./random.ts";
import { type Scenario, scenarioOf } from "./scenario.ts";
import { parseSeeds } from "./seeds.ts";
import { shrink } from "./shrink.ts";
import { Life, SimTime } from "./time.ts";

const test = suite("pieces of the simulator");

test("time passes event after event, in the order of time, and of order where it is the same", async () => {
  const time = new SimTime();
  const seen: string[] = [];
  const random = new Random("order");
  const planned = Array.from({ length: 300 }, (_, index) => ({ at: random.whole(0, 40), index }));
  for (const { at, index } of planned) time.after(at, () => seen.push(`${time.now} ${at} ${index}`));
  await time.pass(40, 1000);
  const expected = planned.toSorted((a, b) => a.at - b.at || a.index - b.index);
  assert.equal(
    seen,
    expected.map(({ at, index }) => `${at} ${at} ${index}`),
  );
});

test("what runs in a circle does not run for ever", async () => {
  const time = new SimTime();
  const again = (): void => time.after(0, again);
  again();
  let message = "";
  await time.pass(1, 100).catch((error: unknown) => (message = String(error)));
  assert.match(message, "something does not end");
});

test("a killed process hears nothing any more, and a stopped one hears all of it later, in order", async () => {
  const time = new SimTime();
  const seen: string[] = [];
  const [killed, stopped] = [0, 0].map(() => new Life(time, { wallMs: 0, rate: 1 }));
  for (const word of ["a", "b"]) {
    killed?.after(10, () => seen.push(`killed ${word}`));
    stopped?.after(10, () => seen.push(`stopped ${word} ${time.now}`));
  }
  killed?.kill();
  stopped?.stop();
  time.after(50, () => stopped?.go());
  await time.pass(100, 100);
  assert.equal(seen, ["stopped a 50", "stopped b 50"]);
});

test("D3: the remote moves refs from where the client saw them, all of them or none", () => {
  const server = new SimServer();
  const moves: string[] = [];
  server.onPush = ({ ref, to }, process) => moves.push(`${process} ${ref} ${to}`);
  assert.ok(server.apply([{ ref: "one", from: null, to: "a" }], "r0"));
  const both = [
    { ref: "two", from: null, to: "x" },
    { ref: "one", from: null, to: "b" },
  ];
  assert.not.ok(server.apply(both, "r1"));
  assert.equal([...server.refs], [["one", "a"]]);
  assert.ok(server.apply([{ ref: "one", from: "a", to: "b" }], "r1"));
  assert.equal(moves, ["r0 one a", "r1 one b"]);
});

test("D1: a power cut keeps what was synced, and of the rest a part from its beginning, of any length", async () => {
  const lengths = new Set<number>();
  for (let seed = 0; seed < 60; seed++) {
    const time = new SimTime();
    const disk = new SimDisk(new Random(`cut-${seed}`));
    const files = disk.for(new Life(time, { wallMs: 0, rate: 1 }));
    const file = await files.append("/d/f");
    await file.append(Buffer.from("synced"));
    const synced = file.sync();
    await time.pass(1000, 100);
    await synced;
    await file.append(Buffer.from("-rest"));
    assert.is(await files.read("/d/f"), "synced-rest");
    assert.equal(disk.texts("/d"), ["synced"]);
    disk.cutPower();
    const left = await files.read("/d/f");
    assert.ok("synced-rest".startsWith(left) && left.length >= "synced".length, left);
    lengths.add(left.length);
  }
  assert.is(lengths.size, "-rest".length + 1);
});

test("a scenario shrinks to the acts that its failure needs, in a bounded number of plays", async () => {
  const start = big();
  const needed = [3, 11].map((index) => start.script[index]);
  let played = 0;
  const { scenario, plays } = await shrink(start, async (candidate) => {
    played++;
    return needed.every((act) => candidate.script.some(({ at }) => at === act?.at));
  });
  assert.is(plays, played);
  assert.equal(
    scenario.script.map(({ at }) => at),
    needed.map((act) => act?.at),
  );
  assert.is(scenario.processes.length, 1);
  assert.is(scenario.repository.hosts.length, 1);
  assert.equal([scenario.lost, scenario.twice, scenario.steps.fails, scenario.steps.unheard], [0, 0, 0, 0]);
  const bounded = await shrink(start, async () => false, { playsMax: 7 });
  assert.is(bounded.plays, 7);
  assert.is(bounded.scenario, start);
});

test("saved seeds name their mode, and a line that does not is an error", () => {
  assert.equal(parseSeeds("# head\ns1 safety  # L1: why\n\nx-2 liveness\n"), [
    { name: "s1", isLiveness: false },
    { name: "x-2", isLiveness: true },
  ]);
  assert.throws(() => parseSeeds("s1 sometimes\n"), /line 1/);
});

/** Acts upon nothing that shrinking takes away. */
function big(): Scenario {
  const scenario = { ...scenarioOf("big", false), lost: 0.1, twice: 0.2 };
  const script = Array.from({ length: 17 }, (_, index) => ({
    at: index * 100,
    act: { kind: "release-brake" } as const,
  }));
  return { ...scenario, steps: { ...scenario.steps, fails: 0.1, unheard: 0.1 }, script };
}

test.run();
