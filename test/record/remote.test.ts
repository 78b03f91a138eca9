// Remotes over HTTP and ssh, as they are: slow, down for a while, rewound, full of garbage, and with credentials.
import { createHash } from "node:crypto";
import { chmod, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { openWorkspace } from "../../reconciler/cli/workspace.ts";
import { checkRemote } from "../../reconciler/record/git.ts";
import { isCorrupt } from "../../reconciler/record/remote.ts";
import type { GitRecord } from "../../reconciler/record/store.ts";
import { flip, packsOf } from "../support/flip.ts";
import { desiredOf, openMirror, openStore, Remote } from "../support/git-remote.ts";
import { type GitServer, type GitServerOptions, serveGit } from "../support/http-backend.ts";
import { findSshd, startSshd } from "../support/sshd.ts";
import { suite } from "../support/suite.ts";
import { tempFolder } from "../support/temp.ts";
import { lampChange as change, lamp, localHost } from "../support/world.ts";

const test = suite("remote");
const files = { "machines/lamp.yaml": lamp, "hosts/a.yaml": localHost("a", { lamp: "on" }) };
const sshd = await findSshd();

interface Rig extends AsyncDisposable {
  readonly remote: Remote;
  readonly server: GitServer;
  readonly store: GitRecord;
  readonly poll: () => Promise<string>;
  readonly alerts: string[];
}

/** A reconciler's repository side over HTTP, with `--credentials` where a password is needed. */
async function overHttp(dir: string, options: GitServerOptions = {}): Promise<Rig> {
  const remote = await Remote.create(dir);
  await remote.git("config", "http.receivepack", "true");
  await remote.commit(files);
  const server = await serveGit(dir, options);
  const url = `${server.url}/remote.git`;
  const credentials = join(dir, "credentials");
  await writeFile(
    credentials,
    `${url.replace("://", `://${options.user ?? "x"}:${encodeURIComponent(options.password ?? "x")}@`)}\n`,
    {
      mode: 0o600,
    },
  );
  const { git: gitOptions } = openWorkspace({ folder: dir, credentials, repository: [url] });
  const opened = await openStore(url, join(dir, "r"), { git: gitOptions });
  const mirror = desiredOf(opened, opened.origin);
  const dispose = async (): Promise<void> => {
    await opened[Symbol.asyncDispose]();
    await server.close();
  };
  return {
    remote,
    server,
    store: opened.store,
    get alerts() {
      return [...opened.fenced, ...opened.alerts];
    },
    poll: async () => (await mirror.poll()).kind,
    [Symbol.asyncDispose]: dispose,
  };
}

const refuses = async (work: Promise<unknown>, pattern: RegExp): Promise<void> => {
  await work.then(
    () => assert.unreachable("it must not succeed"),
    (error: unknown) => assert.match(String(error), pattern),
  );
};

test("over HTTP: followed, recorded and led, with credentials from a file", async () => {
  await using dir = await tempFolder();
  await using rig = await overHttp(dir.path, { user: "ana", password: "top secret/9" });
  assert.is(await rig.poll(), "changed");
  await rig.store.load();
  await rig.store.append(change("a", "on"));
  await rig.store.flush();
  assert.is(await rig.poll(), "unchanged");
  assert.is(await rig.remote.git("rev-list", "--count", "observed"), "2");
  assert.match(await rig.remote.git("cat-file", "-p", "refs/stateward/leader"), /"epoch":1/);
});

test("over HTTP: a wrong password is said so, and never shown", async () => {
  await using dir = await tempFolder();
  const options: GitServerOptions = { user: "ana", password: "first" };
  await using rig = await overHttp(dir.path, options);
  await rig.store.load();
  options.password = "second";
  assert.is(await rig.poll(), "unreachable");
  await rig.store.append(change("a", "on"));
  const failed = await rig.store.flush().then(
    () => "",
    (error: unknown) => String(error),
  );
  assert.match(failed, /Authentication failed|401|could not read/i);
  assert.not.match(failed, /first|second/);
});

for (const fault of ["down", "garbage", "500", "truncate"] as const) {
  test(`over HTTP: a server that answers with ${fault} is unreachable, loses nothing, and goes on when it is well again`, async () => {
    await using dir = await tempFolder();
    await using rig = await overHttp(dir.path);
    await rig.store.load();
    assert.is(await rig.poll(), "changed");
    rig.server.setFault(fault);
    assert.is(await rig.poll(), "unreachable");
    await rig.store.append(change("a", "on"));
    await refuses(rig.store.flush(), /./);
    assert.is(rig.store.status().role, "leading");
    assert.is(rig.store.status().unpushed, 1);
    rig.server.setFault(null);
    await rig.store.flush();
    assert.is(await rig.poll(), "unchanged");
    assert.equal(rig.alerts, []);
    assert.is(await rig.remote.git("rev-list", "--count", "observed"), "2");
    await rig.remote.fsck();
  });
}

test("over HTTP: a server that takes its time is waited for", async () => {
  await using dir = await tempFolder();
  await using rig = await overHttp(dir.path, { delayMs: 150 });
  await rig.store.load();
  assert.is(await rig.poll(), "changed");
  await rig.store.append(change("a", "on"));
  await rig.store.flush();
  assert.is(await rig.remote.git("rev-list", "--count", "observed"), "2");
});

test("D6 over HTTP: a record that is rewound under the leader's feet stops it, and tells on-call how to go on", async () => {
  await using dir = await tempFolder();
  await using rig = await overHttp(dir.path);
  await rig.store.load();
  await rig.store.append(change("a", "on"));
  await rig.store.flush();
  await rig.remote.git("update-ref", "refs/heads/observed", "observed~1");
  await rig.store.append(change("b", "on"));
  // To the server this is a fast-forward: only the value that it is expected to have says that it is not.
  await refuses(rig.store.flush(), /rewound/);
  assert.match(rig.alerts.join("\n"), /rewound or rewritten .* accept-history/);
  assert.is(rig.store.status().role, "ended");
  assert.is(await rig.remote.git("rev-list", "--count", "observed"), "1", "nothing was put on top");
});

test.needs("sshd", sshd !== null, "over ssh: followed and recorded, with a key from a file", async () => {
  await using dir = await tempFolder();
  const server = await startSshd(sshd ?? "", dir.path);
  const remote = await Remote.create(dir.path);
  await remote.commit(files);
  const url = `ssh://${server.user}@127.0.0.1:${server.port}${remote.path}`;
  await chmod(server.identity, 0o600);
  const { git: options } = openWorkspace({ folder: dir.path, credentials: server.identity, repository: [url] });
  const command = `${options.env?.GIT_SSH_COMMAND ?? ""} -o UserKnownHostsFile=${dir.path}/known -o StrictHostKeyChecking=accept-new`;
  await using opened = await openStore(url, join(dir.path, "r"), {
    git: { env: { GIT_SSH_COMMAND: command } },
    leadership: { takeOver: false },
  });
  const { store } = opened;
  assert.is((await desiredOf(opened, opened.origin).poll()).kind, "changed");
  await store.load();
  await store.append(change("a", "on"));
  await store.flush();
  assert.is(await remote.git("rev-list", "--count", "observed"), "2");
  await server[Symbol.asyncDispose]();
});

test("A2: an address with a password in it, and credentials that others may read, are refused without being shown", async () => {
  await using dir = await tempFolder();
  for (const url of ["https://ana:hidden@example.org/a.git", "ssh://git:hidden@example.org/a"]) {
    const said = ((): string => {
      try {
        return checkRemote(url);
      } catch (error) {
        return String(error);
      }
    })();
    assert.match(said, /holds a secret/);
    assert.not.match(said, /hidden/);
  }
  assert.is(checkRemote("ssh://git@example.org/a.git"), "ssh://git@example.org/a.git");
  const file = join(dir.path, "c");
  await writeFile(file, "https://u:hidden@example.org\n", { mode: 0o644 });
  assert.throws(() => openWorkspace({ folder: dir.path, credentials: file }), /others may read/);
  assert.throws(() => openWorkspace({ folder: dir.path, credentials: `${file}-not` }), /cannot read/);
});

/** Text that does not shrink: most of a pack is this one file. */
const noise = Array.from({ length: 2000 }, (_, index) => createHash("sha256").update(String(index)).digest("hex")).join(
  "\n",
);

test("a remote with objects that cannot be read is told from a mirror with such ones: that alone is given up", async () => {
  await using dir = await tempFolder();
  const remote = await Remote.create(dir.path);
  await remote.commit({ "hosts/noise.txt": noise });
  await remote.git("repack", "-a", "-d", "--quiet");
  const id = await remote.git("rev-parse", "main:hosts/noise.txt");
  const sound = await openMirror(remote.path, join(dir.path, "r1"));
  await sound.origin.fetch("refs/heads/main", "refs/heads/main");
  const names = await readdir(join(sound.git.dir, "objects"), { recursive: true });
  assert.equal(
    names.filter((name) => /^[0-9a-f]{2}\//.test(name)),
    [],
    "what is fetched is seen whole or not at all",
  );

  await flip(await packsOf(remote.path));
  const fresh = await openMirror(remote.path, join(dir.path, "r2"));
  const theirs = await fresh.origin.fetch("refs/heads/main", "refs/heads/main").catch((error: unknown) => error);
  assert.match(String(theirs), /the remote has objects that cannot be read/);
  assert.not(isCorrupt(theirs));

  await flip(await packsOf(sound.git.dir));
  const ours = await sound.git.objects.read(id).catch((error: unknown) => error);
  assert.match(String(ours), /git cat-file: fatal: packed object .* is corrupt/);
  assert.ok(isCorrupt(ours));
  for (const { git } of [sound, fresh]) git.objects.close();
});

test.run();
