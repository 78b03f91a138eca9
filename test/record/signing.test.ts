// The reconciler signs its own commits: what Git and ssh-keygen say of them.
import { execFile } from "node:child_process";
import { chmod, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import * as assert from "uvu/assert";
import { runProcess } from "../../reconciler/adapters/process.ts";
import { commitObject } from "../../reconciler/record/commit.ts";
import { openSigner } from "../../reconciler/record/commit-signer.ts";
import { parsePrivateKey, signerOf, signText, splitCommit, withSignature } from "../../reconciler/record/sshsig.ts";
import { git, openStore } from "../support/git-remote.ts";
import { allowed, hasSshKeygen, makeKey, SignedRemote } from "../support/signed-remote.ts";
import { suite } from "../support/suite.ts";
import { tempFolder } from "../support/temp.ts";
import { record } from "../support/world.ts";

const run = promisify(execFile);
const keygen = "ssh-keygen";
const test = suite("signing");
const signed = (title: string, body: () => Promise<void>): void => test.needs("ssh-keygen", hasSshKeygen, title, body);

const change = (state: string) => ({
  record: record("a", "lamp", { state }),
  summary: `a: ${state}`,
  desired: "1".repeat(40),
});

for (const type of ["ed25519", "ecdsa", "rsa"]) {
  signed(`every commit of the record is signed with a key of type ${type}, and git verify-commit says so`, async () => {
    await using dir = await tempFolder();
    const remote = await SignedRemote.create(dir.path);
    const key = await makeKey(join(dir.path, "keys"), "reconciler", type);
    const signers = join(dir.path, "signers");
    await writeFile(signers, allowed("reconciler", key));
    const signer = await openSigner(key.file, runProcess);
    await using opened = await openStore(remote.path, join(dir.path, "r"), { signer });
    await opened.store.load();
    for (const state of ["on", "off"]) {
      await opened.store.append(change(state));
      await opened.store.flush();
    }
    await opened.store.archive(new Date(0));
    const branches = (await git(remote.path, "for-each-ref", "--format=%(refname)", "refs/heads")).split("\n");
    assert.is(branches.length, 2);
    const verify = ["-c", `gpg.ssh.allowedSignersFile=${signers}`, "log", "--format=%G? %GS", ...branches];
    assert.equal((await git(remote.path, ...verify)).split("\n"), Array(4).fill("G reconciler@example.org"));
    await git(remote.path, "fsck", "--strict", "--no-dangling");
  });
}

signed(
  "a signature made here is what ssh-keygen would make; one of its is read here; a changed text is not",
  async () => {
    await using dir = await tempFolder();
    const remote = await SignedRemote.create(dir.path);
    const key = await makeKey(join(dir.path, "keys"), "one");
    const text = "tree 1\n\nümlaut\n";
    const theirs = (await remote.signAs("git", key, text)).trim();
    const parsed = parsePrivateKey(await readFile(key.file, "utf8"));
    assert.ok(parsed !== null && parsed !== "encrypted");
    assert.is(signText(Buffer.from(text), "git", parsed), theirs);
    const base64 = key.publicKey.split(" ")[1];
    assert.is(signerOf(Buffer.from(text), theirs), base64);
    assert.is(signerOf(Buffer.from(`${text} `), theirs), null);
    assert.is(signerOf(Buffer.from(text), await remote.signAs("file", key, text)), null);
    for (let at = 0; at < theirs.length; at += 7) {
      const broken = `${theirs.slice(0, at)}${theirs[at] === "A" ? "B" : "A"}${theirs.slice(at + 1)}`;
      assert.is(signerOf(Buffer.from(text), broken), null, `character ${at}`);
    }
    for (const end of [0, 30, 100]) assert.is(signerOf(Buffer.from(text), theirs.slice(0, end)), null);
  },
);

signed("D2: a push that is tried again pushes the same signed commit", async () => {
  await using dir = await tempFolder();
  const remote = await SignedRemote.create(dir.path);
  const key = await makeKey(join(dir.path, "keys"), "reconciler", "ecdsa");
  const pushed: string[] = [];
  let failures = 0;
  await using opened = await openStore(remote.path, join(dir.path, "r"), {
    // Signatures of this kind differ each time: a commit that is made anew would be another.
    signer: await openSigner(key.file, runProcess),
    pushing: (real) => async (refspecs, options) => {
      pushed.push(refspecs[0] ?? "");
      if (failures-- > 0) throw new Error("the answer was lost");
      return real(refspecs, options);
    },
  });
  await opened.store.load();
  await opened.store.append(change("on"));
  failures = 2;
  pushed.length = 0;
  for (let tries = 0; tries < 2; tries++)
    await opened.store.flush().then(
      () => assert.unreachable(),
      () => {},
    );
  await opened.store.flush();
  assert.is(pushed.length, 3);
  assert.is(new Set(pushed).size, 1);
});

signed("A2: a key that others may read, that has a passphrase or is none is refused without a word of it", async () => {
  await using dir = await tempFolder();
  const key = await makeKey(join(dir.path, "keys"), "one");
  await chmod(key.file, 0o644);
  const refused = async (file: string): Promise<string> =>
    openSigner(file, runProcess).then(
      () => "accepted",
      (error: Error & { reason?: string }) => `${error.reason} ${error.message}`,
    );
  assert.match(await refused(key.file), /^SigningKeyOpen others may read/);
  await chmod(key.file, 0o600);
  const locked = join(dir.path, "keys/locked");
  await run(keygen, ["-q", "-t", "ed25519", "-N", "secret word", "-f", locked]);
  assert.match(await refused(locked), /^BadSigningKey .* has a passphrase/);
  assert.match(await refused(join(dir.path, "missing")), /^BadSigningKey cannot read/);
  await writeFile(join(dir.path, "text"), "hello\n");
  assert.match(await refused(join(dir.path, "text")), /^BadSigningKey .* is not a key/);
  // Without an agent the public key alone signs nothing, and nobody is asked for anything.
  await writeFile(join(dir.path, "alone.pub"), `${key.publicKey}\n`);
  assert.match(await refused(join(dir.path, "alone.pub")), /^BadSigningKey ssh-keygen does not sign/);
});

test("a commit is taken apart into what was signed and its signature, and put together again", () => {
  const plain = commitObject("1".repeat(40), {
    parent: "2".repeat(40),
    message: "subject\n\ngpgsig not a header\n\nEpoch: 1\n",
    timeSeconds: 1,
  });
  assert.is(splitCommit(plain.data), null);
  const signer = withSignature(plain.data, "-----A-----\nb\n-----C-----");
  const split = splitCommit(signer);
  assert.equal(split?.payload.toString(), plain.data.toString());
  assert.is(split?.armour, "-----A-----\nb\n-----C-----");
});

test.run();
