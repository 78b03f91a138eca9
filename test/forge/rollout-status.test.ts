// The rollout of a commit, as its status and its deployments show it from its beginning to its end.
import * as assert from "uvu/assert";
import { RolloutStatus } from "../../reconciler/forge/rollout-status.ts";
import type { RefusedCommit } from "../../reconciler/model/forge.ts";
import type { FleetView, Health, RolloutView, SubjectView } from "../../reconciler/model/ports.ts";
import { suite } from "../support/suite.ts";
import { appOf } from "./rig.ts";
import { fakeCommit, StandIn } from "./stand-in.ts";

const test = suite("forge/rollout-status");
const [first, second] = [fakeCommit("first"), fakeCommit("second")];

/** Forty hosts of a fleet, half of them east, so many of them in their target. */
class Fleet {
  commit = first;
  done = 0;
  rollouts: RolloutView[] = [];
  unapproved: FleetView["unapproved"] = null;
  refused: RefusedCommit | null = null;
  counted = 0;
  size = 40;

  health(): Health {
    return { commit: this.commit, subjects: this.size } as Health;
  }

  fleet(): FleetView {
    return { rollouts: this.rollouts, unapproved: this.unapproved } as unknown as FleetView;
  }

  subjects(): SubjectView[] {
    this.counted++;
    return Array.from({ length: 40 }, (_each, index) => {
      const state = index < this.done ? "serving" : "blank";
      const machines = [{ machine: "web", state, target: "serving", attempt: null }];
      return {
        kind: "host",
        name: `h-${index}`,
        region: index < 20 ? "east" : "west",
        machines,
      } as unknown as SubjectView;
    });
  }

  /** The one rollout, `done` hosts of it in their target. */
  at(done: number, change: Partial<RolloutView> = {}): void {
    this.done = done;
    const hosts = { pending: 40 - done, active: 0, done, failed: 0, parked: 0 };
    const rollout = { scope: "fleet/web=serving", commit: this.commit, since: "", message: "", wave: 1, waves: [] };
    this.rollouts = [{ ...rollout, phase: "running", hosts, ...change }];
  }
}

async function start() {
  const standIn = await StandIn.start();
  const fleet = new Fleet();
  let now = 0;
  const begin = (): RolloutStatus =>
    new RolloutStatus({
      github: appOf(standIn),
      fleet,
      environmentOf: (region) => region ?? "production",
      refused: () => fleet.refused,
      now: () => now,
    });
  const said = (commit = first): string[] =>
    standIn.statuses
      .filter((status) => status.commit === commit)
      .map(({ state, description }) => `${state} ${description}`);
  const deployed = (): string[] =>
    standIn.deployments.map(
      ({ commit, environment, statuses }) =>
        `${commit === first ? "first" : "second"} ${environment}: ${statuses.map(({ state, description }) => `${state} ${description}`).join(", ")}`,
    );
  const pass = (ms: number): void => {
    now += ms;
  };
  return { standIn, fleet, begin, said, deployed, pass, [Symbol.asyncDispose]: () => standIn[Symbol.asyncDispose]() };
}

test("a rollout is followed to its end, with a deployment for each environment", async () => {
  await using rig = await start();
  const status = rig.begin();
  rig.fleet.at(0);
  await status.tell();
  rig.fleet.at(30);
  await status.tell();
  await status.tell();
  rig.fleet.at(40, { phase: "done", hosts: { pending: 0, active: 0, done: 0, failed: 0, parked: 0 } });
  await status.tell();
  await status.tell();
  assert.equal(rig.said(), ["pending 0/40 hosts", "pending 30/40 hosts", "success 40/40 hosts"]);
  assert.equal(rig.deployed(), [
    "first east: in_progress 0/20 hosts, success 20/20 hosts",
    "first west: in_progress 0/20 hosts, in_progress 10/20 hosts, success 20/20 hosts",
  ]);
});

test("a rollout that was over before anything was said of it is counted all the same", async () => {
  await using rig = await start();
  rig.fleet.at(40, { phase: "done", hosts: { pending: 0, active: 0, done: 0, failed: 0, parked: 0 } });
  await rig.begin().tell();
  assert.equal(rig.said(), ["success 40/40 hosts"]);
});

test("what did not change costs no request", async () => {
  await using rig = await start();
  const status = rig.begin();
  rig.fleet.at(10);
  await status.tell();
  const { length } = rig.standIn.requests;
  rig.fleet.rollouts = rig.fleet.rollouts.map((rollout) => ({ ...rollout, since: "later" }));
  await status.tell();
  assert.is(rig.standIn.requests.length, length);
});

test("a halted rollout is a failure that says why, and goes on", async () => {
  await using rig = await start();
  const status = rig.begin();
  const hosts = { pending: 2, active: 0, done: 37, failed: 1, parked: 0 };
  rig.fleet.at(37, { phase: "halted", message: "h-38 failed in wave 2", hosts });
  await status.tell();
  assert.equal(rig.said(), ["failure 37/40 hosts, 1 halted, 1 failed (fleet/web=serving: h-38 failed in wave 2)"]);
  rig.fleet.at(38);
  await status.tell();
  assert.is(rig.said().at(-1), "pending 38/40 hosts");
  assert.is(rig.standIn.deployments[1]?.statuses[0]?.state, "failure");
});

test("after a restart nothing is said twice, and an end that was missed is told", async () => {
  await using rig = await start();
  rig.fleet.at(12);
  await rig.begin().tell();
  await rig.begin().tell();
  assert.is(rig.standIn.asked(/^POST .*(statuses|deployments)/).length, 5);
  // It has ended meanwhile, and a day later nobody counts it any more.
  rig.fleet.rollouts = [];
  await rig.begin().tell();
  assert.is(rig.said().at(-1), "success 40/40 hosts");
});

test("a rollout whose place a newer commit has taken is said to be over, also after a restart", async () => {
  for (const isRestarted of [false, true]) {
    await using rig = await start();
    const status = rig.begin();
    rig.fleet.at(12);
    await status.tell();
    rig.fleet.commit = second;
    rig.fleet.at(5);
    await (isRestarted ? rig.begin() : status).tell();
    const word = `superseded by ${second.slice(0, 8)} before its end`;
    assert.is(rig.said().at(-1), `error ${word}`);
    assert.is(rig.said(second).at(-1), "pending 5/40 hosts");
    assert.equal(
      rig.standIn.deployments.slice(0, 2).map(({ statuses }) => statuses.at(-1)),
      [1, 2].map(() => ({ state: "inactive", description: word })),
    );
  }
});

test("a rollout of an earlier commit that goes on is followed beside the one in force", async () => {
  await using rig = await start();
  const status = rig.begin();
  rig.fleet.at(12);
  rig.fleet.commit = second;
  await status.tell();
  await status.tell();
  assert.equal([rig.said(), rig.said(second)], [["pending 12/40 hosts"], ["success no host had to move"]]);
});

test("B3: a commit that waits for a word says so", async () => {
  await using rig = await start();
  rig.fleet.at(40, { phase: "done" });
  rig.fleet.unapproved = { commit: second, message: "31 hosts would move, and max_moved is 10" };
  await rig.begin().tell();
  assert.equal(rig.said(second), [
    "pending waits for a word, stateward approve: 31 hosts would move, and max_moved is 10",
  ]);
});

test("D4: a commit that was refused says so with its first problem, and stays so when it was mended", async () => {
  await using rig = await start();
  rig.fleet.at(40, { phase: "done" });
  const status = rig.begin();
  const first = "hosts/a.yaml:3 SW204 no machine is called web";
  rig.fleet.refused = { commit: second, problems: 2, first };
  await status.tell();
  await status.tell();
  assert.equal(rig.said(second), [`failure not in force, 2 problems: ${first}`]);
  rig.fleet.refused = null;
  rig.fleet.commit = fakeCommit("mended");
  await status.tell();
  assert.is(rig.said(second).length, 1);
});

test("B3: a commit whose place another one has taken while it waited does not wait for ever", async () => {
  await using rig = await start();
  const third = fakeCommit("third");
  const status = rig.begin();
  rig.fleet.unapproved = { commit: second, message: "moves many" };
  await status.tell();
  rig.fleet.unapproved = { commit: third, message: "moves many" };
  await status.tell();
  assert.is(rig.said(second).at(-1), `error superseded by ${third.slice(0, 8)} before its end`);
  rig.fleet.unapproved = null;
  rig.fleet.commit = third;
  rig.fleet.at(40);
  await status.tell();
  assert.equal(rig.said(third).slice(1), ["success 40/40 hosts"]);
});

test("A3: a status is said whatever a host has printed: GitHub refuses characters of four bytes there", async () => {
  await using rig = await start();
  rig.fleet.at(37, { phase: "halted", message: "h-38: \u{1f525} fire" });
  await rig.begin().tell();
  assert.match(rig.said()[0] ?? "", "h-38: \ufffd fire");
});

test("hosts of a large fleet are counted once a minute, and at the end", async () => {
  await using rig = await start();
  rig.fleet.size = 100_000;
  const status = rig.begin();
  for (const done of [1, 2, 3]) {
    rig.fleet.at(done);
    await status.tell();
  }
  assert.is(rig.fleet.counted, 1);
  rig.pass(60_000);
  await status.tell();
  assert.is(rig.fleet.counted, 2);
  rig.fleet.at(40, { phase: "done" });
  await status.tell();
  assert.is(rig.fleet.counted, 3);
  assert.match(rig.deployed()[0] ?? "", "success 20/20");
});

test("what GitHub did not take is said the next time", async () => {
  await using rig = await start();
  const status = rig.begin();
  rig.fleet.at(12);
  rig.standIn.fault = "500";
  rig.standIn.faultOnly = /^POST .*deployments$/;
  await status.tell().then(
    () => assert.unreachable(),
    () => {},
  );
  rig.standIn.fault = null;
  await status.tell();
  assert.equal(rig.said(), ["pending 12/40 hosts"]);
  assert.is(rig.deployed().length, 2);
});

test.run();
