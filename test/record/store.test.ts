// The record with real Git and a real disk.
import { appendFile, cp, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { Failure } from "../../reconciler/model/failure.ts";
import { encodeRecord } from "../../reconciler/model/record.ts";
import { foldersOf, writeCommit } from "../../reconciler/record/commit.ts";
import { linesAbout, readSubjectHistory } from "../../reconciler/record/history.ts";
import { recordPath } from "../../reconciler/record/layout.ts";
import { defaultPace } from "../../reconciler/record/leader.ts";
import { readRecord } from "../../reconciler/record/read-record.ts";
import { lead, type OpenStore, openStore, Remote, type StoreSetup } from "../support/git-remote.ts";
import { suite } from "../support/suite.ts";
import { tempFolder, until } from "../support/temp.ts";
import { lampChange as change, commit, record, lampStates as states } from "../support/world.ts";

const test = suite("store");

test("D1: what was acknowledged is there after a crash, without any push", async () => {
  await using dir = await tempFolder();
  await using first = await lead(dir.path);
  const { remote } = first;
  await first.store.append(change("a", "on"));
  await first.store.append(change("b", "on"));
  await first.store.append(change("a", "busy"));
  // No close, no flush: the process is gone.
  await using second = await openStore(remote.path, join(dir.path, "r"));
  assert.equal(states((await second.store.load()).subjects), ["a busy", "b on"]);
  await second.store.flush();
  await remote.fsck();
  assert.is(await remote.git("rev-list", "--count", "observed"), "2");
});

test("D1: a torn line at the end of the journal was never acknowledged, and is cut", async () => {
  await using dir = await tempFolder();
  await using first = await lead(dir.path);
  const { remote } = first;
  await first.store.append(change("a", "on"));
  const [segment] = (await readdir(join(dir.path, "r/journal"))).filter((name) => name.endsWith(".log"));
  await appendFile(join(dir.path, "r/journal", segment ?? ""), '0123456789abcdef {"record":{"host":"b"');
  await using second = await openStore(remote.path, join(dir.path, "r"));
  assert.equal(states((await second.store.load()).subjects), ["a on"]);
});

test("D2: another machine carries on from the repository alone", async () => {
  await using dir = await tempFolder();
  const remote = await Remote.create(dir.path);
  await using first = await openStore(remote.path, join(dir.path, "r1"));
  await first.store.load();
  await first.store.append(change("a", "on"));
  await first.store.flush();
  await using second = await openStore(remote.path, join(dir.path, "r2"));
  const loaded = await second.store.load();
  assert.equal(states(loaded.subjects), ["a on"]);
  assert.is(loaded.epoch, 2);
});

test("D3: of two reconcilers one leads; the other's push is refused, and it writes no more", async () => {
  await using dir = await tempFolder();
  const remote = await Remote.create(dir.path);
  await using first = await openStore(remote.path, join(dir.path, "r1"));
  await first.store.load();
  await first.store.append(change("a", "on"));
  await using second = await openStore(remote.path, join(dir.path, "r2"));
  await second.store.load();
  await first.store.flush().then(
    () => assert.unreachable("the push of the first must be refused"),
    () => {},
  );
  assert.is(first.fenced.length, 1);
  await first.store.append(change("b", "on")).then(
    () => assert.unreachable("it must not acknowledge"),
    () => {},
  );
  await second.store.append(change("a", "busy"));
  await second.store.flush();
  const { subjects } = await readRecord(second.git, await second.git.resolve("refs/stateward/observed"));
  assert.equal(states([...subjects.values()]), ["a busy"]);
  await remote.fsck();
});

test("D3: two that start at once on a fresh remote: exactly one leads", async () => {
  await using dir = await tempFolder();
  const remote = await Remote.create(dir.path);
  const stores = await Promise.all([1, 2, 3].map((number) => openStore(remote.path, join(dir.path, `r${number}`))));
  const results = await Promise.allSettled(stores.map(({ store }) => store.load()));
  const leaders = stores.filter((_, index) => results[index]?.status === "fulfilled");
  const pushes = await Promise.allSettled(
    leaders.map(async ({ store }, index) => {
      await store.append(change(`h${index}`, "on"));
      await store.flush();
    }),
  );
  assert.is(pushes.filter(({ status }) => status === "fulfilled").length, 1);
  for (const opened of stores) await opened[Symbol.asyncDispose]();
});

test("a lost reply does no harm: the commit that the remote took is recognised as ours", async () => {
  await using dir = await tempFolder();
  await using first = await lead(dir.path);
  const { remote } = first;
  await first.store.append(change("a", "on"));
  const tip = first.tips.now.pushed;
  const files = [{ path: recordPath("host", "a"), content: encodeRecord(record("a", "lamp", { state: "on" })) }];
  const pending = await writeCommit(first.git, await foldersOf(first.git, tip), {
    ref: "refs/stateward/pending",
    parent: tip,
    message: "a: off -> on\n",
    files,
    timeSeconds: 1,
  });
  await first.tips.save({ pending });
  await first.git.run(["push", "--quiet", "--", remote.path, `${pending}:refs/heads/observed`]);
  // Its mirror is gone as well: what it was pushing is remembered outside of it.
  await rm(join(dir.path, "r/mirror.git"), { recursive: true });
  await using second = await openStore(remote.path, join(dir.path, "r"));
  const loaded = await second.store.load();
  assert.is(loaded.epoch, 1, "it still leads");
  assert.equal(second.notices, []);
  await second.store.flush();
  assert.is(await remote.git("rev-parse", "observed"), pending, "and there is nothing new to say");
});

test("a push that was cut off by a crash is repeated with the same commit object", async () => {
  await using dir = await tempFolder();
  await using first = await lead(dir.path);
  const { remote } = first;
  await first.store.append(change("a", "on"));
  const tip = first.tips.now.pushed;
  const files = [{ path: recordPath("host", "a"), content: encodeRecord(record("a", "lamp", { state: "on" })) }];
  const pending = await writeCommit(first.git, await foldersOf(first.git, tip), {
    ref: "refs/stateward/pending",
    parent: tip,
    message: "a: off -> on\n",
    files,
    timeSeconds: 1,
  });
  await using second = await openStore(remote.path, join(dir.path, "r"));
  await second.store.load();
  await second.store.flush();
  assert.is(await remote.git("rev-parse", "observed"), pending);
});

test("D1: two crashes in a row, each between a push and its note, and the journal is still its own", async () => {
  await using dir = await tempFolder();
  const remote = await Remote.create(dir.path);
  const folder = join(dir.path, "r");
  await using first = await openStore(remote.path, folder);
  await first.store.load();
  const write = async (opened: OpenStore, parent: string | null, state: string): Promise<string> => {
    const files = [{ path: recordPath("host", "a"), content: encodeRecord(record("a", "lamp", { state })) }];
    const folders = await foldersOf(opened.git, parent);
    const parts = { ref: "refs/stateward/pending", parent, message: `a: -> ${state}\n`, timeSeconds: 1 };
    const pending = await writeCommit(opened.git, folders, { ...parts, files });
    await opened.tips.save({ pending });
    return pending;
  };
  // The first commit reached the remote, and nobody noted it.
  const landed = await write(first, first.tips.now.pushed, "on");
  await first.git.run(["push", "--quiet", "--", remote.path, `${landed}:refs/heads/observed`]);
  await using second = await openStore(remote.path, folder, { leadership: { takeOver: false } });
  await second.store.load();
  await second.store.append(change("b", "on"));
  // The second one was written, and did not reach it.
  await write(second, landed, "busy");
  await using third = await openStore(remote.path, folder, { leadership: { takeOver: false } });
  const loaded = await third.store.load();
  assert.equal([states(loaded.subjects), loaded.epoch, third.notices], [["a busy", "b on"], 1, []]);
});

test("D1: a journal is taken over whole, though the remote refuses the first push of the start", async () => {
  await using dir = await tempFolder();
  await using first = await lead(dir.path, change("a", "on"));
  await first.store.append(change("a", "busy"));
  let pushes = 0;
  await using second = await openStore(first.remote.path, join(dir.path, "r"), {
    pushing: (real) => (refs, options) =>
      ++pushes === 1
        ? Promise.reject(new Failure("transient", "the remote is busy", { reason: "PushRefused" }))
        : real(refs, options),
  });
  assert.equal(states((await second.store.load()).subjects), ["a busy"]);
  assert.is(pushes, 2);
});

test("D1: what was decided later is what the record says, also when the lease is asked for in between", async () => {
  await using dir = await tempFolder();
  const remote = await Remote.create(dir.path);
  let gate: Promise<void> = Promise.resolve();
  const pushing: StoreSetup["pushing"] = (real) => async (refspecs, options) => {
    await gate;
    return real(refspecs, options);
  };
  const leadership = { pace: { ...defaultPace, leaseMs: 0 } };
  await using first = await openStore(remote.path, join(dir.path, "r"), { pushing, leadership });
  await first.store.load();
  let open: () => void = () => {};
  gate = new Promise((resolve) => {
    open = resolve;
  });
  const acknowledged: string[] = [];
  const asking = ["on", "busy", "off"].map((state) =>
    first.store.append(change("a", state)).then(() => acknowledged.push(state)),
  );
  const another = first.store.append(change("b", "on"));
  open();
  await Promise.all([...asking, another]);
  assert.is(acknowledged.length, 3);
  await using second = await openStore(remote.path, join(dir.path, "r"));
  assert.equal(states((await second.store.load()).subjects), ["a off", "b on"]);
});

test("D1: a journal that is written anew while a commit is being made keeps what the commit is made of", async () => {
  await using dir = await tempFolder();
  await using first = await lead(dir.path);
  const { remote } = first;
  const names = Array.from({ length: 1200 }, (_, index) => `h${index}`);
  await Promise.all(names.map((name) => first.store.append(change(name, "on"))));
  const inner = first.store as unknown as {
    compact(journal: unknown): Promise<void>;
    journal: unknown;
    writing: unknown[];
  };
  const flushing = first.store.flush();
  await until("the commit is being made", () => inner.writing.length > 0);
  await inner.compact(inner.journal);
  // As after a kill at this moment: the folder as it is now.
  await cp(join(dir.path, "r"), join(dir.path, "killed"), { recursive: true });
  await using second = await openStore(remote.path, join(dir.path, "killed"));
  assert.is((await second.store.load()).subjects.length, 1200);
  await flushing.catch(() => {});
});

test("closing ends a load: nobody leads who was closed", async () => {
  await using dir = await tempFolder();
  const remote = await Remote.create(dir.path);
  await using first = await openStore(remote.path, join(dir.path, "r"));
  const loading = first.store.load();
  loading.catch(() => {});
  await first.store.close();
  await loading.then(
    () => assert.unreachable("it was closed"),
    (error: unknown) => assert.match(String(error), /stopping/),
  );
  assert.is(first.store.status().role, "ended");
});

test("the remote is down: everything stays in the journal, and is pushed as one commit when it is back", async () => {
  await using dir = await tempFolder();
  await using opened = await lead(dir.path);
  const { remote, store } = opened;
  await rename(remote.path, `${remote.path}.away`);
  await store.append(change("a", "on"));
  await store.flush().then(
    () => assert.unreachable(),
    () => {},
  );
  await store.append(change("a", "busy"));
  await store.append(change("b", "on"));
  await rename(`${remote.path}.away`, remote.path);
  await store.flush();
  assert.is(
    await remote.git("rev-list", "--count", "observed"),
    "3",
    "the epoch, what was tried before, what came since",
  );
  await using second = await openStore(remote.path, join(dir.path, "fresh"));
  assert.equal(states((await second.store.load()).subjects), ["a busy", "b on"]);
});

test("the journal is cut once its content is pushed", async () => {
  await using dir = await tempFolder();
  await using opened = await lead(dir.path);
  const { store } = opened;
  for (let round = 0; round < 5; round++) {
    await store.append(change("a", round % 2 === 0 ? "on" : "busy"));
    await store.flush();
  }
  assert.is((await readdir(join(dir.path, "r/journal"))).length, 1);
});

test("what changed in a window is one commit: subject, one line a change, and trailers that Git reads", async () => {
  await using dir = await tempFolder();
  await using opened = await lead(dir.path);
  const { remote, store } = opened;
  for (let index = 0; index < 12; index++) await store.append(change(`h${index}`, "on"));
  await store.flush();
  assert.is(await remote.git("log", "-1", "--format=%s", "observed"), "h0: off -> on (lamp) (+11)");
  assert.is(
    await remote.git(
      "log",
      "-1",
      "--format=%(trailers:key=Desired,valueonly)%(trailers:key=Epoch,valueonly)",
      "observed",
    ),
    `${commit}\n1`,
  );
  const paths = (await remote.git("ls-tree", "-r", "--name-only", "observed")).split("\n");
  assert.is(paths.length, 13);
  assert.ok(
    paths
      .filter((path) => path !== "stateward.json")
      .every((path) => /^hosts\/[0-9a-f]\/[0-9a-f]{2}\/h\d+\.json$/.test(path)),
  );
  await remote.fsck();
  assert.is(await remote.git("rev-list", "--max-parents=0", "--count", "observed"), "1");
});

test("R2: a flush without changes makes no commit", async () => {
  await using dir = await tempFolder();
  await using opened = await lead(dir.path);
  const { remote, store } = opened;
  await store.flush();
  assert.is(await remote.git("rev-list", "--count", "observed"), "1");
});

test("D5: the record read from the repository equals what was written, at every commit", async () => {
  await using dir = await tempFolder();
  await using opened = await lead(dir.path);
  const { store, git } = opened;
  const memory = new Map<string, string>();
  for (let round = 0; round < 8; round++) {
    for (const name of ["a", "b", "c"].slice(round % 3)) {
      const next = change(name, round % 2 === 0 ? "on" : "busy");
      memory.set(name, encodeRecord(next.record));
      await store.append(next);
    }
    await store.flush();
    const { subjects } = await readRecord(git, await git.resolve("refs/stateward/observed"));
    assert.equal(
      new Map([...subjects].map(([name, value]) => [name, encodeRecord(value)])),
      new Map([...memory].toSorted(([a], [b]) => (a < b ? -1 : 1))),
    );
  }
});

test("a record of a newer format is refused, not guessed at", async () => {
  await using dir = await tempFolder();
  await using opened = await lead(dir.path);
  const { remote, git } = opened;
  const newer = await writeCommit(git, await foldersOf(git, opened.tips.now.pushed), {
    ref: "refs/heads/x",
    parent: opened.tips.now.pushed,
    message: "newer\n",
    files: [{ path: "stateward.json", content: '{"format":99,"epoch":7}\n' }],
    timeSeconds: 1,
  });
  await git.run(["push", "--quiet", "--", remote.path, `${newer}:refs/heads/observed`]);
  await using other = await openStore(remote.path, join(dir.path, "r2"));
  await other.store.load().then(
    () => assert.unreachable(),
    (error: unknown) => assert.match(String(error), /format 99/),
  );
});

/** Looks again soon, so that what a person does is seen. */
const eager = { pace: { ...defaultPace, lookMs: 20 } };

test("D6: a record that was rewound is not followed before a person says so", async () => {
  await using dir = await tempFolder();
  await using first = await lead(dir.path, change("a", "on"));
  const { remote } = first;
  await remote.git("update-ref", "refs/heads/observed", "observed~1");
  await using second = await openStore(remote.path, join(dir.path, "r"), { leadership: eager });
  const loading = second.store.load();
  await until("it is so", () => second.store.status().role === "history");
  assert.match(second.alerts.join("\n"), /observed was rewound .* accept-history/);
  await second.store.append(change("b", "on")).then(
    () => assert.unreachable("nothing may be acknowledged"),
    () => {},
  );
  await second.tips.acceptByHand("observed", await remote.git("rev-parse", "observed"));
  const { subjects, epoch } = await loading;
  assert.equal(states(subjects), []);
  assert.is(epoch, 2, "and the epoch goes on, though that of the branch went back");
});

test("D6: a record that is gone from the remote is not begun anew before a person says so", async () => {
  await using dir = await tempFolder();
  await using first = await lead(dir.path);
  const { remote } = first;
  await remote.git("update-ref", "-d", "refs/heads/observed");
  await rm(join(dir.path, "r/mirror.git"), { recursive: true });
  await using second = await openStore(remote.path, join(dir.path, "r"), { leadership: eager });
  const loading = second.store.load();
  await until("it is so", () => second.store.status().role === "history");
  assert.match(second.alerts.join("\n"), /gone from the remote/);
  await second.tips.acceptByHand("observed", null);
  assert.is((await loading).epoch, 2);
});

test("history tells what became of one host, newest first, and of no other", async () => {
  await using dir = await tempFolder();
  await using opened = await lead(dir.path, change("a", "on"), change("b", "on"));
  const { store, git } = opened;
  await store.append(change("a", "busy", "a: on -> busy (lamp)"));
  await store.flush();
  const entries = await readSubjectHistory({ git, remote: null, observed: "refs/stateward/observed" }, "a", {
    commitsMax: 10,
  });
  assert.equal(
    entries.map((entry) => [linesAbout("a", entry), entry.epoch, entry.desired]),
    [
      [["on -> busy (lamp)"], 1, commit],
      [["off -> on (lamp)"], 1, commit],
    ],
  );
});

test.run();
