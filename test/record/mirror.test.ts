// Following main, and the embedded origin, with real Git.
import { mkdir, readFile, rename, rm, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { runProcess } from "../../reconciler/adapters/process.ts";
import { checkRemote, withoutCredentials } from "../../reconciler/record/git.ts";
import { type DesiredMirror, openBare, removeStaleLocks } from "../../reconciler/record/mirror.ts";
import { syncOrigin } from "../../reconciler/record/origin.ts";
import { writeRef } from "../../reconciler/record/refs.ts";
import { GitRemote as RemoteRefs } from "../../reconciler/record/remote.ts";
import { desiredOf, git, openMirror, openStore, Remote } from "../support/git-remote.ts";
import { suite } from "../support/suite.ts";
import { tempFolder } from "../support/temp.ts";
import { lamp, localHost, record } from "../support/world.ts";

const test = suite("mirror");
const files = { "machines/lamp.yaml": lamp, "hosts/a.yaml": localHost("a", { lamp: "on" }) };

async function mirrorOf(remote: Remote, folder: string): Promise<DesiredMirror> {
  const { git: mirror, tips, origin } = await openMirror(remote.path, folder);
  return desiredOf({ git: mirror, tips }, origin);
}

test("a poll says what changed, and nothing when nothing did", async () => {
  await using dir = await tempFolder();
  const remote = await Remote.create(dir.path);
  const first = await remote.commit(files);
  const mirror = await mirrorOf(remote, dir.path);
  const poll = await mirror.poll();
  assert.ok(poll.kind === "changed" && poll.desired.commit === first);
  assert.is((await mirror.poll()).kind, "unchanged");
  const before = poll.desired.loaded.repository.hosts.get("a");
  await remote.commit({ "hosts/b.yaml": localHost("b", { lamp: "on" }) });
  const next = await mirror.poll();
  assert.ok(next.kind === "changed");
  assert.is(next.desired.loaded.repository.hosts.size, 2);
  assert.is(next.desired.loaded.repository.hosts.get("a"), before, "what did not change is not parsed again");
});

test("D6: a rewound or rewritten main is not followed", async () => {
  await using dir = await tempFolder();
  const remote = await Remote.create(dir.path);
  await remote.commit(files);
  await remote.commit({ "hosts/b.yaml": localHost("b", { lamp: "on" }) });
  const mirror = await mirrorOf(remote, dir.path);
  await mirror.poll();
  await remote.rewind();
  await remote.commit({ "hosts/c.yaml": localHost("c", { lamp: "on" }) });
  assert.is((await mirror.poll()).kind, "rewound");
  assert.is((await mirror.poll()).kind, "rewound");
});

test("a remote that is down, or has no main, is said to be unreachable", async () => {
  await using dir = await tempFolder();
  const remote = await Remote.create(dir.path);
  const mirror = await mirrorOf(remote, dir.path);
  assert.is((await mirror.poll()).kind, "unreachable");
  await remote.commit(files);
  assert.is((await mirror.poll()).kind, "changed");
  await rename(remote.path, `${remote.path}.away`);
  assert.is((await mirror.poll()).kind, "unreachable");
});

test("D4: over a restart the last good commit is in force, also on a fresh folder that knows it from the record alone", async () => {
  await using dir = await tempFolder();
  const remote = await Remote.create(dir.path);
  const good = await remote.commit(files);
  const first = await mirrorOf(remote, dir.path);
  await first.poll();
  const bad = await remote.commit({ "hosts/b.yaml": "host: b\ntragets: {}\n" });
  const restarted = await (await mirrorOf(remote, dir.path)).poll();
  assert.ok(restarted.kind === "changed");
  assert.equal([restarted.desired.commit, restarted.refused?.commit], [good, bad]);

  await using opened = await openStore(remote.path, join(dir.path, "fresh"));
  await opened.store.load();
  await opened.store.append({ record: record("a", "lamp", { state: "on" }), summary: null, desired: good });
  await opened.store.flush();
  const fresh = await desiredOf(opened, new RemoteRefs(opened.git, remote.path)).poll();
  assert.ok(fresh.kind === "changed" && fresh.desired.commit === good && fresh.refused?.commit === bad);
});

test("a blob that is far too large is refused without being read", async () => {
  await using dir = await tempFolder();
  const remote = await Remote.create(dir.path);
  await remote.commit({ ...files, "hosts/big.yaml": `a: ${"x".repeat(2_000_000)}\n` });
  const poll = await (await mirrorOf(remote, dir.path)).poll();
  assert.ok(poll.kind === "changed");
  assert.equal(
    poll.desired.loaded.problems.map(({ code }) => code),
    ["SW001"],
  );
});

test("locks that killed Git processes left are removed, young ones after a while", async () => {
  await using dir = await tempFolder();
  const remote = await Remote.create(dir.path);
  await remote.commit(files);
  const mirror = await openBare(join(dir.path, "mirror.git"), runProcess);
  await mkdir(join(mirror.dir, "refs/stateward"), { recursive: true });
  await writeFile(join(mirror.dir, "refs/stateward/main.lock"), "");
  assert.equal(await removeStaleLocks(mirror), ["refs/stateward/main.lock"]);
  assert.is((await (await mirrorOf(remote, dir.path)).poll()).kind, "changed");
});

test("a lock that was made in the future, by a clock that was set back since, is not waited for that long", async () => {
  await using dir = await tempFolder();
  const mirror = await openBare(join(dir.path, "mirror.git"), runProcess);
  const lock = join(mirror.dir, "packed-refs.lock");
  await writeFile(lock, "");
  const later = Date.now() / 1000 + 86_400;
  await utimes(lock, later, later);
  assert.equal(await removeStaleLocks(mirror), ["packed-refs.lock"]);
});

test("L1: a lock that a killed fetch left while the reconciler runs keeps the next fetch from its end, and not those after it", async () => {
  await using dir = await tempFolder();
  const remote = await Remote.create(dir.path);
  await remote.commit(files);
  const { git: mirror, tips } = await openMirror(remote.path, dir.path);
  const removed: string[] = [];
  const onLocked = async (): Promise<void> => void removed.push(...(await removeStaleLocks(mirror)));
  const following = desiredOf({ git: mirror, tips }, new RemoteRefs(mirror, remote.path, null, onLocked));
  assert.is((await following.poll()).kind, "changed");
  await remote.commit({ "hosts/b.yaml": localHost("b", { lamp: "on" }) });
  await writeFile(join(mirror.dir, "refs/stateward/incoming-main.lock"), "");
  assert.is((await following.poll()).kind, "unreachable");
  assert.equal(removed, ["refs/stateward/incoming-main.lock"]);
  assert.is((await following.poll()).kind, "changed");
});

test("L1: a ref that could not be written, as on a full disk, leaves no lock that keeps it from being written later", async () => {
  await using dir = await tempFolder();
  const mirror = await openBare(join(dir.path, "mirror.git"), runProcess);
  // A folder with something in it: nothing can be renamed to its name.
  const path = join(mirror.dir, "refs/stateward/x");
  await mkdir(join(path, "y"), { recursive: true });
  await writeRef(mirror.dir, "refs/stateward/x", "1".repeat(40)).then(
    () => assert.unreachable("it is a folder"),
    () => {},
  );
  await rm(path, { recursive: true });
  await writeRef(mirror.dir, "refs/stateward/x", "1".repeat(40));
  assert.is(await readFile(path, "utf8"), `${"1".repeat(40)}\n`);
});

test("only regular files are read: a symbolic link is a coded problem, and is not followed", async () => {
  await using dir = await tempFolder();
  const remote = await Remote.create(dir.path);
  await remote.commit({ ...files, "hosts/evil.yaml": "link:/etc/passwd" });
  const poll = await (await mirrorOf(remote, dir.path)).poll();
  assert.ok(poll.kind === "changed");
  assert.equal(
    poll.desired.loaded.problems.map(({ code, file }) => `${code} ${file}`),
    ["SW503 hosts/evil.yaml"],
  );
});

test("bytes that are not UTF-8 are a coded problem", async () => {
  await using dir = await tempFolder();
  const remote = await Remote.create(dir.path);
  await remote.commit(files);
  await writeFile(join(dir.path, "work/hosts/b.yaml"), Buffer.from([0x68, 0xff, 0xfe, 0x0a]));
  await remote.commit({});
  const poll = await (await mirrorOf(remote, dir.path)).poll();
  assert.ok(poll.kind === "changed");
  assert.is(poll.desired.loaded.problems[0]?.code, "SW009");
});

test("A3: a remote is an address, never an option or a program", () => {
  for (const bad of ["--upload-pack=touch /tmp/x", "ext::sh -c reboot", "", "a\nb", "fd::7", "a-b::x", "h2::x", "::x"])
    assert.throws(() => checkRemote(bad), /not a Git remote/);
  for (const good of ["/srv/fleet.git", "https://git.example.org/fleet.git", "git@example.org:fleet.git"])
    assert.is(checkRemote(good), good);
});

test("A2: credentials in an address are not repeated", () => {
  assert.is(
    withoutCredentials("fatal: https://ana:geheim@git.example.org/x.git not found"),
    "fatal: https://***@git.example.org/x.git not found",
  );
});

test("the embedded origin is made from the folder, takes over its changes, and never overwrites a push", async () => {
  await using dir = await tempFolder();
  const folder = join(dir.path, "folder");
  const origin = join(dir.path, "origin.git");
  await mkdir(join(folder, "hosts"), { recursive: true });
  await writeFile(join(folder, "stateward.yaml"), "{}\n");
  await writeFile(join(folder, "hosts/a.yaml"), "host: a\ntransport: local\n");
  await writeFile(join(folder, "hosts/notes.txt"), "not part of it\n");
  assert.is((await syncOrigin(origin, folder, runProcess)).kind, "created");
  assert.is(await git(origin, "ls-tree", "-r", "--name-only", "main"), "hosts/a.yaml\nstateward.yaml");
  assert.is((await syncOrigin(origin, folder, runProcess)).kind, "unchanged");
  await rm(join(folder, "hosts/a.yaml"));
  await writeFile(join(folder, "hosts/b.yaml"), "host: b\ntransport: local\n");
  assert.is((await syncOrigin(origin, folder, runProcess)).kind, "committed");
  assert.is(await git(origin, "ls-tree", "-r", "--name-only", "main"), "hosts/b.yaml\nstateward.yaml");

  const clone = join(dir.path, "clone");
  await git(dir.path, "clone", "--quiet", origin, clone);
  await writeFile(join(clone, "hosts/c.yaml"), "host: c\ntransport: local\n");
  await git(clone, "add", ".");
  await git(clone, "commit", "--quiet", "-m", "Add c");
  await git(clone, "push", "--quiet");
  assert.is((await syncOrigin(origin, folder, runProcess)).kind, "unchanged", "the folder itself did not change");
  await writeFile(join(folder, "hosts/b.yaml"), "host: b\ntransport: local\nregion: east\n");
  assert.is((await syncOrigin(origin, folder, runProcess)).kind, "diverged");
  await git(origin, "fsck", "--strict", "--no-dangling");
});

test.run();
