// The remote fails in every way that a network and a server can. The reconciler is the real command, the remote real Git.
import { setTimeout as sleep } from "node:timers/promises";
import * as assert from "uvu/assert";
import { suite } from "../support/suite.ts";
import { until } from "../support/temp.ts";
import { hosts, type Running, Site } from "./site.ts";
import type { WireFault } from "./wire.ts";

const test = suite("faults of the remote", { limitMs: 240_000 });
const long = process.env.STATEWARD_LONG === "1";
/** How long a fault lasts. */
const lastsMs = long ? 20_000 : 2500;

/** The remote's main moves past the wire while the fault is on; what the agent reports meanwhile is acknowledged, and not lost. */
async function suffer(site: Site, running: Running, fault: WireFault, round: number): Promise<void> {
  await site.wire.set(fault);
  await site.aim(`s${round + 1}`);
  assert.ok(
    await site.report(running, `d${round}`),
    `D1: a report is acknowledged while the remote is hurt by: ${fault}`,
  );
  const before = await site.effects();
  await sleep(lastsMs);
  if (fault !== "slow" && fault !== "cut")
    assert.equal(await site.effects(), before, `nothing is started by a commit that cannot be seen: ${fault}`);
  if (fault !== "refuse") assert.ok(site.wire.met > 0, `the fault was met: ${fault}`);
  await site.wire.set(null);
  await site.arrived(running);
}

test("D1, D2, S2, L1: a remote that is gone, resets, answers garbage, is slow or cuts connections: all is done once, when it is back", async () => {
  await using site = await Site.open();
  const running = await site.start("r1");
  await site.arrived(running);
  const faults: readonly WireFault[] = ["refuse", "reset", "garbage", "slow", "cut"];
  for (const [index, fault] of faults.entries()) await suffer(site, running, fault, index + 1);
  await site.judge();
  await site.dialled("d5");
  assert.is(
    (await site.effects()).length,
    hosts.length * 6 * 2,
    "each step ran once: none failed, and none was repeated",
  );
  await running.kill();
  await site.judgeAfresh();
});

test("D1: a reconciler that is killed while the remote is down has what it acknowledged when both are back", async () => {
  await using site = await Site.open();
  const running = await site.start("r1");
  await site.arrived(running);
  await site.wire.set("refuse");
  for (const state of ["d1", "d2", "d3"]) assert.ok(await site.report(running, state));
  await running.kill();
  const alone = await site.start("r1", { waits: false });
  const ended = new Promise((resolve) => alone.reconciler.child.once("close", resolve));
  assert.is(await ended, 1, "a start needs the remote");
  assert.match(alone.reconciler.output, /cannot be followed[^]*check that/, "it says why, and what to look at");
  await site.wire.set(null);
  const again = await site.start("r1");
  await site.arrived(again);
  await site.dialled("d3");
  await site.judge();
});

async function hang(fault: WireFault): Promise<void> {
  await using site = await Site.open();
  const running = await site.start("r1");
  await site.arrived(running);
  // The steps of the next state are under way, with their pushes, when the wire stalls.
  await site.aim("s2");
  await until("a step has begun", async () => (await site.effects()).length > hosts.length * 2);
  await site.wire.set(fault);
  await until("a connection hangs", () => site.wire.met > 0);
  assert.ok(await site.report(running, "d1"), "D1: acknowledged by the journal alone");
  await sleep(lastsMs);
  await site.aim("s3");
  await site.wire.set(null);
  await site.arrived(running, 110_000);
  await site.dialled("d1");
  await site.judge();
}

test("D1, S2, L1: connections that stand and carry nothing any more, in either direction: they are given up, and it goes on over new ones", async () => {
  await Promise.all([hang("stall-up"), hang("stall-down")]);
});

test.run();
