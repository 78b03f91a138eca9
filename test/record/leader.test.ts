// Who leads, who stands by, and what a leader does that was away for a while. Paces are short here; what is measured is order, not time.
import { join } from "node:path";
import * as assert from "uvu/assert";
import { defaultPace, type Pace, Silence } from "../../reconciler/record/leader.ts";
import { systemTime } from "../../reconciler/record/time.ts";
import { type OpenStore, openStore, Remote, type StoreSetup } from "../support/git-remote.ts";
import { suite } from "../support/suite.ts";
import { tempFolder, until } from "../support/temp.ts";
import { lampChange as change } from "../support/world.ts";

const test = suite("leader");

/** A leader that shows no life after this pace is replaced soon. */
const quick: Pace = { beatMs: 3_600_000, patienceMs: 2000, lookMs: 50, leaseMs: 3_600_000 };
const lively: Pace = { ...quick, beatMs: 40 };

function open(remote: Remote, folder: string, pace: Pace = quick): Promise<OpenStore> {
  return openStore(remote.path, folder, { leadership: { takeOver: false, host: folder.slice(-2), pace } });
}

test("a standby waits while the leader shows life, and takes over when it does not any more", async () => {
  await using dir = await tempFolder();
  const remote = await Remote.create(dir.path);
  await using first = await open(remote, join(dir.path, "r1"), lively);
  await first.store.load();
  await first.store.append(change("a", "on"));
  await first.store.flush();
  await using second = await open(remote, join(dir.path, "r2"));
  const loading = second.store.load();
  loading.catch(() => {});
  await until("it is so", () => second.store.status().role === "standby");
  assert.match(second.store.status().message, /r1 \(epoch 1\) leads/);
  const before = await remote.git("rev-parse", "refs/stateward/leader");
  await until("it is so", async () => (await remote.git("rev-parse", "refs/stateward/leader")) !== before);
  assert.is(second.store.status().role, "standby", "a sign of life came meanwhile");
  await second.store.append(change("b", "on")).then(
    () => assert.unreachable("who stands by acknowledges nothing"),
    (error: unknown) => assert.match(String(error), /stands by/),
  );
  // As after a kill: nothing is released.
  await first.store.close();
  const { epoch, subjects } = await loading;
  assert.is(epoch, 2);
  assert.equal(
    subjects.map(({ name }) => name),
    ["a"],
  );
  await remote.fsck();
});

test("a leader that ends in order is followed at once", async () => {
  await using dir = await tempFolder();
  const remote = await Remote.create(dir.path);
  await using first = await open(remote, join(dir.path, "r1"));
  await first.store.load();
  const patient = { ...quick, patienceMs: 3_600_000 };
  await using second = await open(remote, join(dir.path, "r2"), patient);
  const loading = second.store.load();
  loading.catch(() => {});
  await until("it is so", () => second.store.status().role === "standby");
  await first.store.release();
  await first.store.close();
  assert.is((await loading).epoch, 2);
});

test("the same folder leads again after a restart, in its own epoch, without waiting", async () => {
  await using dir = await tempFolder();
  const remote = await Remote.create(dir.path);
  const patient = { ...quick, patienceMs: 3_600_000 };
  await using first = await open(remote, join(dir.path, "r1"), patient);
  await first.store.load();
  const sign = await remote.git("rev-parse", "refs/stateward/leader");
  await using second = await open(remote, join(dir.path, "r1"), patient);
  assert.is((await second.store.load()).epoch, 1);
  assert.is.not(await remote.git("rev-parse", "refs/stateward/leader"), sign, "a standby sees that it lives");
});

test("D3: a folder that restarts while another takes over acknowledges nothing: it stands by", async () => {
  await using dir = await tempFolder();
  const remote = await Remote.create(dir.path);
  await using first = await open(remote, join(dir.path, "r1"));
  await first.store.load();
  await first.store.append(change("a", "on"));
  await first.store.flush();
  // The other one's commit lands between the look of the restarted one and its first push.
  let other: Promise<unknown> | null = null;
  const pushing: StoreSetup["pushing"] = (real) => async (refspecs, options) => {
    other ??= openStore(remote.path, join(dir.path, "r2")).then(async (opened) => {
      await opened.store.load();
      await opened[Symbol.asyncDispose]();
    });
    await other;
    return real(refspecs, options);
  };
  const leadership = { takeOver: false, pace: { ...quick, patienceMs: 3_600_000 } };
  await using again = await openStore(remote.path, join(dir.path, "r1"), { pushing, leadership });
  const loading = again.store.load();
  loading.catch(() => {});
  await until("it stands by", () => again.store.status().role === "standby");
  assert.is(again.store.status().leader?.epoch, 2);
});

test("D3: a leader that was away longer than its lease asks first: what it would acknowledge is refused, and its journal is kept", async () => {
  await using dir = await tempFolder();
  const remote = await Remote.create(dir.path);
  await using first = await open(remote, join(dir.path, "r1"), { ...quick, leaseMs: 0 });
  await first.store.load();
  await first.store.append(change("a", "on"));
  await using second = await openStore(remote.path, join(dir.path, "r2"));
  await second.store.load();
  await first.store.append(change("b", "on")).then(
    () => assert.unreachable("another leads: nothing may be acknowledged"),
    () => {},
  );
  assert.is(first.fenced.length, 1);
  assert.is(first.store.status().role, "ended");
  await using again = await open(remote, join(dir.path, "r1"), { ...quick, patienceMs: 0 });
  await again.store.load();
  assert.match(again.notices.join("\n"), /our journal is kept in/);
});

test("D3: a beat of a deposed leader is refused, and does not overwrite the sign of the one that leads", async () => {
  await using dir = await tempFolder();
  const remote = await Remote.create(dir.path);
  await using first = await open(remote, join(dir.path, "r1"));
  await first.store.load();
  await using second = await openStore(remote.path, join(dir.path, "r2"));
  await second.store.load();
  const sign = await remote.git("rev-parse", "refs/stateward/leader");
  first.store.heard({ main: null, observed: second.tips.now.pushed, leader: null });
  await until("it is so", () => first.fenced.length > 0);
  assert.is(await remote.git("rev-parse", "refs/stateward/leader"), sign);
});

test("D3: two that take over in the same second, on machines of one name: exactly one leads", async () => {
  await using dir = await tempFolder();
  const remote = await Remote.create(dir.path);
  // Both write their commits at the same instant of the same clock.
  const time = { ...systemTime, wall: () => 1_767_225_600_000 };
  const leadership = { pace: quick };
  await using first = await openStore(remote.path, join(dir.path, "r1"), { time, leadership });
  await using second = await openStore(remote.path, join(dir.path, "r2"), { time, leadership });
  const loaded = await Promise.all([first.store.load(), second.store.load()]);
  assert.is.not(loaded[0].epoch, loaded[1].epoch, "both lead in one epoch");
});

test("a sign that collided with another's is pushed again, together with the branch", async () => {
  await using dir = await tempFolder();
  const remote = await Remote.create(dir.path);
  await using first = await open(remote, join(dir.path, "r1"));
  await first.store.load();
  const before = await remote.git("rev-parse", "refs/stateward/leader");
  let collisions = 2;
  const pushing: NonNullable<StoreSetup["pushing"]> = (real) => async (refspecs, options) => {
    if (collisions-- <= 0) return real(refspecs, options);
    return { kind: "refused", ref: "refs/stateward/leader", message: "cannot lock the ref" };
  };
  await using second = await openStore(remote.path, join(dir.path, "r2"), { pushing });
  await second.store.load();
  assert.is.not(await remote.git("rev-parse", "refs/stateward/leader"), before);
});

test("a listing that shows a moved record makes the leader ask", async () => {
  await using dir = await tempFolder();
  const remote = await Remote.create(dir.path);
  await using first = await open(remote, join(dir.path, "r1"));
  await first.store.load();
  await using second = await openStore(remote.path, join(dir.path, "r2"));
  await second.store.load();
  first.store.heard({ main: null, observed: second.tips.now.pushed, leader: null });
  await until("it is so", () => first.fenced.length > 0);
});

test("two that stand by: one takes over, the other goes on standing by", async () => {
  await using dir = await tempFolder();
  const remote = await Remote.create(dir.path);
  await using first = await open(remote, join(dir.path, "r1"));
  await first.store.load();
  await using second = await open(remote, join(dir.path, "r2"), { ...lively, patienceMs: 2000 });
  await using third = await open(remote, join(dir.path, "r3"), { ...lively, patienceMs: 2000 });
  const loads = [second, third].map(async ({ store }) => (await store.load()).epoch);
  for (const load of loads) load.catch(() => {});
  assert.is(await Promise.race(loads), 2);
  const [waiting] = [second, third].filter(({ store }) => store.status().role !== "leading");
  assert.ok(waiting, "only one leads");
  await until("it is so", () => waiting.store.status().leader?.epoch === 2);
  assert.is(waiting.store.status().role, "standby");
});

test("a server that takes no signs of life is led all the same, and says so once", async () => {
  await using dir = await tempFolder();
  const remote = await Remote.create(dir.path);
  await remote.git("config", "--add", "receive.hideRefs", "refs/stateward");
  await using first = await open(remote, join(dir.path, "r1"), lively);
  await first.store.load();
  for (const state of ["on", "busy", "on", "busy"]) {
    await first.store.append(change("a", state));
    await first.store.flush();
  }
  assert.is(first.notices.filter((text) => /does not take refs\/stateward\/leader/.test(text)).length, 1);
  assert.is(await remote.git("rev-list", "--count", "observed"), "5");
});

test("silence is measured on the clock of whoever looks, and only over several looks", () => {
  const silence = new Silence();
  assert.is(silence.note("a", 0), 0);
  assert.is(silence.note("a", 100_000), 0, "a standby that slept has not heard silence");
  assert.is(silence.note("a", 101_000), 101_000);
  assert.is(silence.note("b", 102_000), 0);
  assert.is(silence.note("a", 103_000), 0);
});

test("the lease ends before the patience does, and a takeover is within 90 s", () => {
  const { beatMs, patienceMs, lookMs, leaseMs } = defaultPace;
  assert.ok(beatMs < leaseMs && leaseMs < patienceMs);
  assert.ok(lookMs + patienceMs + lookMs < 90_000);
});

test.run();
