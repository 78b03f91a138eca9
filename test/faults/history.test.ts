// What a remote or a disk says is not what it said before: branches rewound and rewritten, objects that cannot be read.
import { readdir, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import * as assert from "uvu/assert";
import { flip, packsOf } from "../support/flip.ts";
import { git } from "../support/git-remote.ts";
import { suite } from "../support/suite.ts";
import { until } from "../support/temp.ts";
import { hosts, type Running, Site } from "./site.ts";

const test = suite("faults of the history", { limitMs: 240_000 });
const long = process.env.STATEWARD_LONG === "1";
/** For how long nothing must happen before a person has said so. */
const nothingMs = long ? 15_000 : 1500;

/** Nothing is started for a while, whatever is asked for. */
async function nothingStarts(site: Site): Promise<void> {
  const before = await site.effects();
  await sleep(nothingMs);
  assert.equal(await site.effects(), before, "D6: nothing is started until a person accepts");
}

async function accept(site: Site): Promise<void> {
  const { stdout, stderr } = await site.ask("r1", "accept-history", "--yes");
  assert.match(stdout, /accepted, for this data folder/, stderr);
}

/** A site in which all hosts have come to `s2`, by two commits of main. */
async function walked(site: Site): Promise<Running> {
  const running = await site.start("r1");
  for (const state of ["s1", "s2"]) {
    await site.aim(state);
    await site.arrived(running);
  }
  await until("the record is pushed", async () => (await site.recorded("a")).machines.svc?.state === "s2");
  return running;
}

test("D6: main is rewound, then rewritten: nothing is started by either until a person accepts; then it goes on", async () => {
  await using site = await Site.open();
  const running = await walked(site);
  await site.git("update-ref", "refs/heads/main", "main~1");
  await running.reconciler.says("main was rewound or rewritten");
  assert.ok(await site.report(running, "d1"), "D1: the record is in no doubt: reports are acknowledged");
  await nothingStarts(site);
  // Another history altogether, in which the hosts are to go further.
  await git(site.folder, "checkout", "--quiet", "--orphan", "other");
  await site.aim("s5");
  assert.match((await site.ask("r1", "accept-history")).stdout, /nothing was changed/);
  await nothingStarts(site);
  await accept(site);
  await site.arrived(running);
  assert.is((await site.effects()).length, hosts.length * 5 * 2);
  await site.judge();
});

for (const [what, change] of [
  ["rewound", (site: Site) => site.git("update-ref", "refs/heads/observed", "observed~3")],
  ["removed", (site: Site) => site.git("update-ref", "-d", "refs/heads/observed")],
] as const) {
  if (what === "removed" && !long) continue;
  test(`D6, S2: observed is ${what}: nothing is started or acknowledged until a person accepts; then no step marked never runs again`, async () => {
    await using site = await Site.open();
    const running = await walked(site);
    assert.ok(await site.report(running, "d1"));
    await site.dialled("d1");
    const tip = await site.git("rev-parse", "observed");
    await change(site);
    await running.reconciler.says(what === "rewound" ? "observed was rewound" : "the branch observed is gone");
    await site.aim("s4");
    await nothingStarts(site);
    assert.not(await site.report(running, "d2"), "D6: nothing is acknowledged on a record in doubt");
    // A restart does not forget it either.
    await running.kill();
    const again = await site.start("r1");
    await again.reconciler.says(new RegExp(`git push origin \\+?${tip}:refs/heads/observed`));
    assert.not(await site.report(again, "d2"));
    await nothingStarts(site);
    await accept(site);
    await site.arrived(again);
    assert.ok(await site.report(again, "d2"));
    await site.judge();
  });
}

test("D6: observed is put back as the message says: it goes on without a person's further word, and nothing is lost", async () => {
  await using site = await Site.open();
  const running = await walked(site);
  const tip = await site.git("rev-parse", "observed");
  await site.git("update-ref", "refs/heads/observed", "observed~2");
  await running.reconciler.says("observed was rewound");
  await site.git("update-ref", "refs/heads/observed", tip);
  await site.aim("s4");
  await site.arrived(running);
  await until("it goes on from there", async () => (await site.recorded("a")).machines.svc?.state === "s4");
  assert.is(await site.git("merge-base", tip, "observed"), tip);
  await site.judge();
});

async function looseOf(repository: string): Promise<string[]> {
  const names = await readdir(join(repository, "objects"), { recursive: true });
  return names
    .filter((name) => /^[0-9a-f]{2}\/[0-9a-f]{38}$/.test(name))
    .map((name) => join(repository, "objects", name));
}

for (const [what, damage] of [
  ["a bit of every pack flipped", async (mirror: string) => flip(await packsOf(mirror))],
  [
    "every loose object truncated, every pack cut short",
    async (mirror: string) => {
      for (const path of [...(await looseOf(mirror)), ...(await packsOf(mirror))])
        await truncate(path, Math.floor((await stat(path)).size / 2));
    },
  ],
] as const) {
  if (what.startsWith("every") && !long) continue;
  test(`D1, D5: the mirror is damaged (${what}): at rest or while it runs, it says so, mends it, and loses nothing`, async () => {
    await using site = await Site.open();
    const running = await walked(site);
    assert.ok(await site.report(running, "d1"));
    const mirror = join(site.data("r1"), "mirror.git");
    await damage(mirror);
    // While it runs: what it needs next may be in what it has in memory, or not.
    await site.aim("s4");
    await site.arrived(running);
    assert.ok(await site.report(running, "d2"));
    await running.kill();
    await damage(mirror);
    const again = await site.start("r1");
    await site.aim("s5");
    await site.arrived(again);
    await site.dialled("d2");
    assert.match(`${running.reconciler.output}${again.reconciler.output}`, /the mirror was damaged|is damaged/);
    await site.judge();
    await again.kill();
    await git(mirror, "fsck", "--strict", "--no-dangling");
    await site.judgeAfresh();
  });
}

test("D1, D6: the remote is damaged: it is said, the mirror is kept, reports are acknowledged, and it goes on when the remote is mended", async () => {
  await using site = await Site.open();
  const running = await walked(site);
  await site.git("repack", "-a", "-d", "--quiet");
  const [pack = ""] = await packsOf(site.remote);
  const good = await readFile(pack);
  await site.aim("s4");
  // The commit is there, and what is below it is not what it should be.
  await flip([...(await packsOf(site.remote)), ...(await looseOf(site.remote))].filter((path) => path === pack));
  const loose = await looseOf(site.remote);
  const kept = await Promise.all(loose.map(async (path) => [path, await readFile(path)] as const));
  for (const path of loose) {
    await rm(path);
    await writeFile(path, "");
  }
  await running.reconciler.says("the desired branch cannot be followed");
  assert.ok(await site.report(running, "d1"));
  await nothingStarts(site);
  // Nor is it given up at a start: it may be the last sound copy there is.
  await running.kill();
  const alone = await site.start("r1", { waits: false });
  const ended = new Promise((resolve) => alone.reconciler.child.once("close", resolve));
  assert.is(await ended, 1, "a start needs the remote");
  await rm(pack);
  await writeFile(pack, good);
  for (const [path, content] of kept) await writeFile(path, content);
  const again = await site.start("r1");
  await site.arrived(again);
  await site.dialled("d1");
  assert.not.match(
    `${running.reconciler.output}${alone.reconciler.output}${again.reconciler.output}`,
    /mirror was damaged/,
  );
  await site.judge();
});

test.run();
