// Packs, maintenance, archives, and what is mended at start.
import { readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { runProcess } from "../../reconciler/adapters/process.ts";
import { Failure } from "../../reconciler/model/failure.ts";
import { linesAbout, readSubjectHistory } from "../../reconciler/record/history.ts";
import { Journal, type JournalEntry } from "../../reconciler/record/journal.ts";
import { Maintenance } from "../../reconciler/record/maintenance.ts";
import { markDamaged, openMirror } from "../../reconciler/record/mirror.ts";
import { crc32, listPacks, newObject, objectId, writePack } from "../../reconciler/record/pack.ts";
import { readRecord } from "../../reconciler/record/read-record.ts";
import { git, lead, openStore, Remote, type StoreSetup } from "../support/git-remote.ts";
import { suite } from "../support/suite.ts";
import { tempFolder } from "../support/temp.ts";
import { lampChange as change, commit, lampStates as states } from "../support/world.ts";

const test = suite("upkeep");

test("a pack of ours is one that Git reads, whatever the size and kind of its objects", async () => {
  await using dir = await tempFolder();
  const remote = await Remote.create(dir.path);
  const texts = ["", "a", "x".repeat(15), "y".repeat(16), "z".repeat(5000), "\0\n".repeat(40_000)];
  const blobs = texts.map((text) => newObject("blob", Buffer.from(text)));
  await writePack(remote.path, [...blobs, ...blobs]);
  for (const { id, data } of blobs) {
    const shown = await remote.git("cat-file", "-s", id);
    assert.is(Number(shown), data.length);
    assert.is(objectId("blob", data), id);
  }
  await remote.git("fsck", "--strict", "--full");
  const [pack] = await listPacks(remote.path);
  await remote.git("verify-pack", `objects/pack/${pack?.name}`);
});

test("the checksum is that of zlib, with or without Node's own", () => {
  assert.is(crc32(Buffer.from("123456789")), 0xcbf43926);
  assert.is(crc32(Buffer.from("6789"), crc32(Buffer.from("12345"))), 0xcbf43926);
});

test("maintenance joins the packs, keeps every object, and leaves who reads undisturbed", async () => {
  await using dir = await tempFolder();
  await using opened = await lead(dir.path);
  const { remote, store, git: mirror } = opened;
  for (let round = 0; round < 12; round++) {
    await store.append(change(`h${round % 4}`, round % 8 < 4 ? "on" : "busy"));
    await store.flush();
  }
  const unreachable = newObject("blob", Buffer.from("about to be referred to"));
  await writePack(mirror.dir, [unreachable]);
  assert.ok((await listPacks(mirror.dir)).length > 10);
  const notices: string[] = [];
  let archives = 0;
  const archive = (): Promise<void> => {
    archives++;
    return Promise.resolve();
  };
  const options = { git: mirror, onNotice: (text: string) => notices.push(text), packsMax: 10 };
  await new Maintenance({ ...options, archive }).runIfNeeded();
  assert.equal([notices, archives], [[], 0]);
  assert.is((await listPacks(mirror.dir)).length, 1);
  assert.ok(await mirror.objects.read(unreachable.id), "nothing is dropped that may be referred to in a moment");
  const growing = new Maintenance({ ...options, archive, archiveBytes: 10 });
  for (let round = 0; round < 3; round++) await growing.runIfNeeded();
  assert.is(archives, 1, "once, and not again before it has grown");
  await store.append(change("h9", "on"));
  await store.flush();
  await mirror.run(["fsck", "--strict", "--no-dangling"]);
  await remote.fsck();
  assert.is(
    (
      await readSubjectHistory({ git: mirror, remote: null, observed: "refs/stateward/observed" }, "h1", {
        commitsMax: 9,
      })
    ).length,
    3,
  );
});

test("an archive gives observed a new root with the same files; history reads across the seam, and others follow", async () => {
  await using dir = await tempFolder();
  await using first = await lead(dir.path);
  const { remote } = first;
  await first.store.append(change("a", "on"));
  await first.store.append(change("b", "on"));
  await using watcher = await openStore(remote.path, join(dir.path, "w"), { leadership: { takeOver: false } });
  await first.store.flush();
  const old = await remote.git("rev-parse", "observed");
  // It has accepted the history before the archive, and sees the one after it.
  await watcher.tips.save({ observed: old });
  const branch = await first.store.archive(new Date("2026-11-22T10:00:00Z"));
  assert.match(branch, /^observed-archive\/2026-11-22-[0-9a-f]{12}$/);
  assert.is(await remote.git("rev-parse", branch), old);
  assert.is(await remote.git("rev-list", "--count", "observed"), "1");
  // D4: the commit in force stays known where nothing else is left of the record but this.
  const desiredOf = (tip: string): Promise<string> =>
    remote.git("log", "-1", "--format=%(trailers:key=Desired,valueonly,separator=)", tip);
  assert.match(await desiredOf(old), /^[0-9a-f]{40}$/);
  assert.is(await desiredOf("observed"), await desiredOf(old));
  assert.is(await remote.git("rev-parse", "observed^{tree}"), await remote.git("rev-parse", `${old}^{tree}`));
  await first.store.append(change("a", "busy"));
  await first.store.flush();
  const lines = async (name: string, limit: number): Promise<string[][]> =>
    (
      await readSubjectHistory({ git: first.git, remote: null, observed: "refs/stateward/observed" }, name, {
        commitsMax: limit,
      })
    ).map((entry) => linesAbout(name, entry));
  assert.equal(await lines("a", 10), [["off -> busy (lamp)"], ["off -> on (lamp)"]]);
  assert.equal(await lines("b", 10), [["off -> on (lamp)"]]);
  await using second = await openStore(remote.path, join(dir.path, "w"));
  const loaded = await second.store.load();
  assert.equal([states(loaded.subjects), second.alerts], [["a busy", "b on"], []]);
  await remote.fsck();
});

test("L1: an archive that the remote refuses is given up, and what is recorded after it is pushed", async () => {
  await using dir = await tempFolder();
  await using opened = await lead(dir.path, change("a", "on"));
  const { remote, store, fenced } = opened;
  await remote.git("config", "receive.denyNonFastForwards", "true");
  const before = await remote.git("rev-parse", "observed");
  const error = await store.archive(new Date("2026-11-22T10:00:00Z")).then(
    () => null,
    (cause: unknown) => cause,
  );
  assert.ok(error instanceof Failure && error.reason === "ArchiveRefused", String(error));
  assert.match(String(error), /goes on as it was.*non-fast-forward/);
  await store.append(change("a", "busy"));
  await store.flush();
  assert.is(await remote.git("rev-parse", "observed^"), before);
  assert.equal([store.status().unpushed, fenced], [0, []]);
  // Where it is allowed later, it is done.
  await remote.git("config", "receive.denyNonFastForwards", "false");
  await store.archive(new Date("2026-11-23T10:00:00Z"));
  assert.is(await remote.git("rev-list", "--count", "observed"), "1");
  await using second = await openStore(remote.path, join(dir.path, "w"));
  assert.equal(states((await second.store.load()).subjects), ["a busy"]);
  await remote.fsck();
});

test("an archive whose answer is lost is pushed again as the same root, and others follow several archives at once", async () => {
  await using dir = await tempFolder();
  const remote = await Remote.create(dir.path);
  let loses = false;
  const pushing: StoreSetup["pushing"] = (real) => async (refspecs, options) => {
    const result = await real(refspecs, options);
    if (loses && refspecs[0]?.endsWith(":refs/heads/observed")) {
      loses = false;
      throw new Failure("transient", "the connection broke", { reason: "GitFailed" });
    }
    return result;
  };
  await using first = await openStore(remote.path, join(dir.path, "r"), { pushing });
  await first.store.load();
  await first.store.append(change("a", "on"));
  await first.store.flush();
  await using away = await openStore(remote.path, join(dir.path, "away"), { leadership: { takeOver: false } });
  await away.tips.save({ observed: await remote.git("rev-parse", "observed") });
  loses = true;
  await first.store.archive(new Date("2026-11-22T10:00:00Z")).then(
    () => assert.unreachable("the answer was lost"),
    () => {},
  );
  await first.store.append(change("a", "busy"));
  await first.store.flush();
  assert.equal(first.fenced, []);
  await first.store.archive(new Date("2026-11-23T10:00:00Z"));
  assert.is((await remote.git("branch", "--list", "observed-archive/*")).split("\n").length, 2);
  await using again = await openStore(remote.path, join(dir.path, "away"));
  const { subjects } = await again.store.load();
  assert.equal([states(subjects), again.alerts], [["a busy"], []]);
  const history = await readSubjectHistory({ git: again.git, remote: null, observed: "refs/stateward/observed" }, "a", {
    commitsMax: 2,
  });
  assert.equal(
    history.map((entry) => linesAbout("a", entry)),
    [["off -> busy (lamp)"], ["off -> on (lamp)"]],
  );
});

test("a line of the journal that cannot be written whole is taken back, and does not hide the ones after it", async () => {
  await using dir = await tempFolder();
  const { journal } = await Journal.open(join(dir.path, "j"));
  const entry = (name: string): JournalEntry => ({ record: { name }, summary: null, desired: commit });
  await journal.append(entry("a"));
  const file = (journal as unknown as { file: { append: (lines: Buffer) => Promise<void> } }).file;
  const real = file.append.bind(file);
  file.append = async (lines) => {
    file.append = real;
    await real(lines.subarray(0, 30));
    throw Object.assign(new Error("no space left"), { code: "ENOSPC" });
  };
  await journal.append(entry("b")).then(
    () => assert.unreachable("it was not written"),
    () => {},
  );
  await journal.append(entry("c"));
  await journal.close();
  const { entries, journal: again } = await Journal.open(join(dir.path, "j"));
  assert.equal(
    entries.map(({ record: value }) => (value as { name: string }).name),
    ["a", "c"],
  );
  await again.close();
});

test("D6: a new root that does not name what was followed, or has other files, is not followed", async () => {
  await using dir = await tempFolder();
  await using first = await lead(dir.path, change("a", "on"));
  const { remote } = first;
  const old = await remote.git("rev-parse", "observed");
  const empty = await remote.git("hash-object", "-t", "tree", "-w", "/dev/null");
  for (const [tree, archived] of [
    [empty, old],
    [`${old}^{tree}`, await remote.git("rev-parse", `${old}~1`)],
  ] as const) {
    const branch = `observed-archive/x-${archived.slice(0, 6)}`;
    await remote.git("update-ref", `refs/heads/${branch}`, archived);
    const message = `new\n\nArchived: ${archived}\nArchive-branch: ${branch}`;
    const root = await git(remote.path, "commit-tree", "-m", message, tree);
    await remote.git("update-ref", "refs/heads/observed", root);
    await using second = await openStore(remote.path, join(dir.path, "r"));
    const loading = second.store.load();
    loading.catch(() => {});
    while (second.alerts.length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    assert.match(second.alerts.join("\n"), /rewound or rewritten/);
  }
});

test("a power cut: empty refs and stale locks go, half a pack is ignored, and the record goes on", async () => {
  await using dir = await tempFolder();
  const data = join(dir.path, "r");
  await using first = await lead(dir.path, change("a", "on"));
  const { remote } = first;
  await first.store.append(change("b", "on"));
  await truncate(join(data, "mirror.git/refs/stateward/observed"), 0);
  await truncate(join(data, "mirror.git/refs/stateward/pending"), 0);
  await writeFile(join(data, "mirror.git/objects/pack/tmp_stateward_pack_1_x"), "PACK");
  const notices: string[] = [];
  await openMirror(data, runProcess, { notice: (text) => notices.push(text) });
  assert.is(notices.filter((text) => /which a power cut left empty/.test(text)).length, 2);
  assert.not.ok((await readdir(join(data, "mirror.git/objects/pack"))).some((name) => name.startsWith("tmp_")));
  await using second = await openStore(remote.path, data);
  const loaded = await second.store.load();
  assert.equal([states(loaded.subjects), loaded.epoch], [["a on", "b on"], 1]);
  await second.store.flush();
  await remote.fsck();
});

test("a damaged mirror is set aside and fetched afresh, and the journal is applied to it", async () => {
  await using dir = await tempFolder();
  const data = join(dir.path, "r");
  await using first = await lead(dir.path, change("a", "on"));
  const { remote } = first;
  await first.store.append(change("a", "busy"));
  const folder = join(data, "mirror.git/objects/pack");
  const head = await first.git.run(["rev-parse", "refs/stateward/observed:stateward.json"]);
  for (const name of await readdir(folder)) {
    if (!name.endsWith(".pack")) continue;
    // The tip itself can be read: then a fetch finds nothing to do.
    const listed = await first.git.run(["verify-pack", "-v", join(folder, name)]);
    if (!listed.includes(head.trim())) continue;
    const bytes = await readFile(join(folder, name));
    await rm(join(folder, name));
    await writeFile(
      join(folder, name),
      bytes.map((byte, index) => (index < 12 ? byte : byte ^ 0x55)),
    );
  }
  await using broken = await openStore(remote.path, data);
  await broken.store.load().then(
    () => assert.unreachable("the record cannot be read"),
    (error: { reason?: string }) => assert.is(error.reason, "GitCorrupt"),
  );
  await markDamaged(broken.git);
  const notices: string[] = [];
  await openMirror(data, runProcess, { notice: (text) => notices.push(text) });
  assert.match(notices.join("\n"), /was damaged/);
  await using second = await openStore(remote.path, data);
  const loaded = await second.store.load();
  assert.equal([states(loaded.subjects), loaded.epoch], [["a busy"], 1]);
  await second.store.flush();
  const { subjects } = await readRecord(second.git, await remote.git("rev-parse", "observed"));
  assert.equal(states(subjects.values()), ["a busy"]);
});

test("L1: a mirror that loses its packs while it is pushed from is found damaged, though the server was the one that refused", async () => {
  await using dir = await tempFolder();
  const data = join(dir.path, "r");
  await using first = await lead(dir.path, change("a", "on"), change("b", "on"));
  const folder = join(data, "mirror.git/objects/pack");
  for (const name of await readdir(folder)) await rm(join(folder, name));
  await first.store.append(change("a", "busy"));
  await first.store.flush().catch(() => {});
  assert.match(first.fenced.join("\n"), /mirror is damaged/);
  const notices: string[] = [];
  await openMirror(data, runProcess, { notice: (text) => notices.push(text) });
  assert.match(notices.join("\n"), /was damaged/);
  await using second = await openStore(first.remote.path, data);
  assert.equal(states((await second.store.load()).subjects), ["a busy", "b on"]);
  await second.store.flush();
  await first.remote.fsck();
});

test("a long journal is written anew with the last word on each subject, and loses nothing", async () => {
  await using dir = await tempFolder();
  const { journal } = await Journal.open(join(dir.path, "j"));
  for (let round = 0; round < 50; round++)
    await journal.append({ record: { name: "a", round }, summary: null, desired: commit });
  const before = journal.bytes;
  await journal.compact(() => [{ record: { name: "a", round: 49 }, summary: null, desired: commit }]);
  await journal.append({ record: { name: "b", round: 0 }, summary: null, desired: commit });
  assert.ok(journal.bytes < before / 10);
  await journal.close();
  const { journal: again, entries } = await Journal.open(join(dir.path, "j"));
  assert.equal(
    entries.map((entry) => entry.record),
    [
      { name: "a", round: 49 },
      { name: "b", round: 0 },
    ],
  );
  assert.is(again.bytes, journal.bytes);
  await again.close();
});

test("D6: what was accepted is remembered outside the mirror", async () => {
  await using dir = await tempFolder();
  const data = join(dir.path, "r");
  await using first = await lead(dir.path);
  const { remote } = first;
  const tips = JSON.parse(await readFile(join(data, "tips.json"), "utf8")) as Record<string, unknown>;
  assert.is(tips.observed, await remote.git("rev-parse", "observed"));
  assert.is(tips.pushed, tips.observed);
});

test.run();
