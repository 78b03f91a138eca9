// stateward verify, by the built program in a plain clone: a record that is as it should be, and each way in which one is not.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { runProcess } from "../../reconciler/adapters/process.ts";
import { plainSigners } from "../../reconciler/record/allowed-signers.ts";
import { type CommitSigner, openSigner } from "../../reconciler/record/commit-signer.ts";
import { recordPath } from "../../reconciler/record/layout.ts";
import { newObject } from "../../reconciler/record/pack.ts";
import { clone, type Entry, recordAll } from "../support/audited.ts";
import { cli } from "../support/example.ts";
import { git } from "../support/git-remote.ts";
import { allowed, hasSshKeygen, makeKey, SignedRemote, type SigningKey } from "../support/signed-remote.ts";
import { suite } from "../support/suite.ts";
import { type TempFolder, tempFolder } from "../support/temp.ts";
import { record } from "../support/world.ts";

const test = suite("verify");
const signed = (title: string, body: () => Promise<void>): void => test.needs("ssh-keygen", hasSshKeygen, title, body);

interface Verified {
  readonly ok: boolean;
  readonly commits: number;
  readonly signed: number;
  readonly unsigned: number;
  readonly main: number | null;
  readonly findings: readonly { readonly code: string; readonly commit: string; readonly message: string }[];
}

/** Verifies a clone made now; the findings as `CODE INDEX-OF-COMMIT`. */
async function verified(
  dir: TempFolder,
  remote: SignedRemote,
  commits: readonly string[],
  ...args: string[]
): Promise<[Verified, string[], number]> {
  const folder = await clone(remote.path, dir.path, `clone-${Math.floor(performance.now() * 1000)}`);
  const result = await cli(folder, "verify", ...args, "--json");
  const report = JSON.parse(result.stdout || "{}") as Verified;
  assert.ok(report.findings, result.stderr);
  return [report, report.findings.map(({ code, commit }) => `${code} ${commits.indexOf(commit)}`), result.exit];
}

const entry = (desired: string, minute: number, more: Partial<Entry> = {}): Entry => ({
  at: `2026-11-20T10:${String(minute).padStart(2, "0")}:00Z`,
  desired,
  records: [record("a", "lamp", { state: minute % 2 === 0 ? "on" : "off" })],
  lines: [`a: to ${minute}`],
  ...more,
});

test("a record without signatures is verified: commits, epochs, files, commits of main", async () => {
  await using dir = await tempFolder();
  const remote = await SignedRemote.create(dir.path);
  const main = await remote.push(await remote.commit({ files: { "stateward.yaml": "{}\n" }, parents: [] }));
  const commits = await recordAll(remote.path, [
    entry("0".repeat(40), 0),
    entry(main, 1),
    entry(main, 2, { epoch: 3 }),
  ]);
  const [report, findings, exit] = await verified(dir, remote, commits);
  assert.equal([report.ok, report.commits, report.unsigned, report.main, findings, exit], [true, 3, 3, null, [], 0]);
});

test("an epoch that falls, a commit of main that is not there, files that are broken, odd or elsewhere: each is named", async () => {
  await using dir = await tempFolder();
  const remote = await SignedRemote.create(dir.path);
  const main = await remote.push(await remote.commit({ files: { "stateward.yaml": "{}\n" }, parents: [] }));
  const foreign = await remote.commit({ files: { "stateward.yaml": "poll: x\n" }, parents: [], message: "elsewhere" });
  const path = recordPath("host", "a");
  const commits = await recordAll(remote.path, [
    entry(main, 0, { epoch: 5 }),
    entry(main, 1, { epoch: 4 }),
    entry(foreign, 2, { epoch: 5 }),
    entry(main, 3, { epoch: 5, records: [], files: { [path]: '{"host":"a"' } }),
    entry(main, 4, { epoch: 5, records: [], files: { [path]: '{ "host": "a", "machines": {} }\n' } }),
    entry(main, 5, {
      epoch: 5,
      records: [],
      files: { "hosts/0/00/b.json": '{\n  "host": "b",\n  "machines": {}\n}\n' },
    }),
    entry(main, 6, { epoch: 5, records: [], files: { "notes.txt": "hello\n" } }),
  ]);
  const [, findings, exit] = await verified(dir, remote, commits);
  assert.equal(findings.toSorted(), ["SW612 1", "SW613 2", "SW614 3", "SW614 6", "SW615 4", "SW615 5"]);
  assert.is(exit, 1);
  const text = await cli(await clone(remote.path, dir.path), "verify");
  assert.match(
    text.stdout,
    new RegExp(`SW612 ${commits[1]?.slice(0, 12)} its epoch is 4, and that of the commit before it is 5; `),
  );
  assert.match(text.stdout, "6 findings");
});

signed("signatures: an unsigned commit after signed ones, one of a stranger, and one that was changed", async () => {
  await using dir = await tempFolder();
  const remote = await SignedRemote.create(dir.path);
  const [ours, eve] = [await makeKey(join(dir.path, "keys"), "ours"), await makeKey(join(dir.path, "keys"), "eve")];
  const ecdsa = await makeKey(join(dir.path, "keys"), "ecdsa", "ecdsa");
  const signers = join(dir.path, "signers");
  await writeFile(signers, allowed("reconciler", ours) + allowed("other", ecdsa));
  const by = (key: SigningKey): Promise<CommitSigner> => openSigner(key.file, runProcess);
  const mine = await by(ours);
  /** Signs a text, and puts another in its place. */
  const changing: CommitSigner = {
    sign: async (commit) => {
      const done = await mine.sign(commit);
      return newObject("commit", Buffer.from(done.data.toString().replace("a: to", "a: TO")));
    },
  };
  const main = await remote.push(await remote.commit({ files: { "stateward.yaml": "{}\n" }, parents: [] }));
  const order: (CommitSigner | null)[] = [null, mine, await by(ecdsa), null, await by(eve), changing, mine];
  const commits = await recordAll(
    remote.path,
    order.map((signer, index) => entry(main, index, signer ? { signer } : {})),
  );
  const [report, findings, exit] = await verified(dir, remote, commits, "--signers", signers);
  assert.equal([report.signed, report.unsigned, exit], [5, 2, 1]);
  assert.equal(findings.toSorted(), ["SW611 3", "SW611 4", "SW611 5"]);
  const [, without] = await verified(dir, remote, commits);
  assert.equal(without, [], "nobody says who may sign");
  assert.match(
    (await cli(await clone(remote.path, dir.path), "verify", "--signers", "/nonexistent")).stderr,
    "cannot read the signers",
  );
});

signed("main too is judged from its beginning on, by its own signers", async () => {
  await using dir = await tempFolder();
  const remote = await SignedRemote.create(dir.path);
  const ana = await makeKey(join(dir.path, "keys"), "ana");
  const first = await remote.commit({ files: { "stateward.yaml": "{}\n" }, parents: [] });
  const files = { "stateward.yaml": `verify: { since: ${first} }\n`, allowed_signers: allowed("ana", ana) };
  const armed = await remote.commit({ files, parents: [first], by: ana });
  const good = await remote.push(await remote.commit({ files, parents: [armed], by: ana }));
  const commits = await recordAll(remote.path, [entry(armed, 0)]);
  const [report, findings] = await verified(dir, remote, commits);
  assert.equal([report.main, findings], [1, []]);
  const bad = await remote.push(await remote.commit({ files, parents: [good] }));
  await remote.push(await remote.commit({ files, parents: [bad], by: ana }));
  const [broken, , exit] = await verified(dir, remote, commits);
  assert.is(exit, 1);
  assert.match(broken.findings[0]?.message ?? "", new RegExp(`commit ${bad.slice(0, 12)} of Ana .* it is not signed`));
  await git(remote.path, "fsck", "--strict", "--no-dangling");
});

test("of the allowed signers, only lines without any condition are judged without ssh-keygen", () => {
  const key = "AAAAC3NzaC1lZDI1NTE5AAAAIKeyKeyKey";
  const yes = [`ana@example.org ssh-ed25519 ${key}`, `ana@example.org namespaces="git" ssh-ed25519 ${key} a comment`];
  const no = [
    `# ana@example.org ssh-ed25519 ${key}`,
    `*@example.org ssh-ed25519 ${key}`,
    `ana,bob ssh-ed25519 ${key}`,
    `!ana ssh-ed25519 ${key}`,
    `ana namespaces="file" ssh-ed25519 ${key}`,
    `ana valid-before="20200101" ssh-ed25519 ${key}`,
    `ana namespaces="git",valid-before="20200101" ssh-ed25519 ${key}`,
    `ana cert-authority ssh-ed25519 ${key}`,
    `ana ecdsa-sha2-nistp256 ${key}`,
  ];
  for (const line of yes) assert.equal([...plainSigners(line)], [[key, "ana@example.org"]], line);
  for (const line of no) assert.is(plainSigners(line).size, 0, line);
});

test.run();
