// stateward revert: three-way, files as they were, and conflicts by name.
import { chmod, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { cli } from "../support/example.ts";
import { git } from "../support/git-remote.ts";
import { lampFiles, type Person, person } from "../support/state-folder.ts";
import { suite } from "../support/suite.ts";
import type { Files } from "../support/world.ts";

const test = suite("revert");

const hostA = (state: string, owner = "team-a"): string =>
  `host: a\ntransport: local\nowner: ${owner}\nlabels:\n  role: web\n  rack: "1"\n  row: "2"\ntargets:\n  lamp: ${state}\n`;

/** Commits on main, with the settings as they were. */
const commit = (ana: Person, files: Files, message: string): Promise<string> =>
  ana.remote.commit({ "stateward.yaml": lampFiles["stateward.yaml"], ...files }, message);

/** Brings the clone to where main is. */
const pull = (ana: Person): Promise<string> => ana.git("pull", "--quiet", "origin", "main");

test("a commit is taken back, and what came later in the same file stays", async () => {
  await using ana = await person({ ...lampFiles, "hosts/a.yaml": hostA("off") });
  const lit = await commit(
    ana,
    { "hosts/a.yaml": hostA("on"), "hosts/n.yaml": "host: n\ntransport: local\n" },
    "light a",
  );
  await commit(ana, { "hosts/a.yaml": hostA("on", "team-b") }, "another owner");
  await pull(ana);
  const result = await cli(ana.folder, "revert", lit);
  assert.is(result.exit, 0, result.stderr);
  assert.is(await ana.read("hosts/a.yaml"), hostA("off", "team-b"));
  assert.is(await ana.git("status", "--porcelain"), "M hosts/a.yaml\n D hosts/n.yaml");
  const again = await cli(ana.folder, "revert", lit);
  assert.match(again.stdout, /^nothing to take back/);
});

test("the same lines changed again are a conflict: it is named with the later commit, and nothing is written", async () => {
  await using ana = await person({ ...lampFiles, "hosts/a.yaml": hostA("off") });
  const lit = await commit(ana, { "hosts/a.yaml": hostA("on") }, "light a");
  await commit(ana, { "hosts/a.yaml": hostA("busy") }, "busy \u001b[31mnow");
  await pull(ana);
  const result = await cli(ana.folder, "revert", lit);
  assert.is(result.exit, 1);
  assert.match(result.stderr, /hosts\/a\.yaml:9 \(changed by [0-9a-f]+ busy \ufffd\[31mnow\)/);
  assert.is(await ana.git("status", "--porcelain"), "");
  await writeFile(join(ana.folder, "hosts/a.yaml"), hostA("off"));
  const mine = await cli(ana.folder, "revert", await ana.git("rev-parse", "HEAD"));
  assert.match(mine.stderr, /hosts\/a\.yaml:9 \(changed in the folder\)/);
});

test("a merge is taken back as a whole; what is not text comes back byte for byte; other files stay", async () => {
  await using ana = await person({ ...lampFiles, "hosts/a.yaml": hostA("off") });
  const { folder } = ana;
  const bytes = Buffer.from([0, 255, 10, 13, 128]);
  await writeFile(join(folder, "hosts/a.bundle"), bytes);
  await ana.git("add", "--all");
  await ana.git("commit", "--quiet", "-m", "bundle");
  await ana.git("checkout", "--quiet", "-b", "side");
  await writeFile(join(folder, "hosts/a.bundle"), Buffer.from([1, 2, 0, 3]));
  await ana.git("commit", "--quiet", "-am", "other bytes");
  await writeFile(join(folder, "hosts/a.yaml"), hostA("on"));
  await writeFile(join(folder, "README.md"), "about\n");
  await ana.git("add", "--all");
  await ana.git("commit", "--quiet", "-m", "light a");
  await ana.git("checkout", "--quiet", "-");
  await ana.git("merge", "--quiet", "--no-ff", "-m", "Merge side", "side");
  const result = await cli(folder, "revert", "HEAD");
  assert.is(result.exit, 0, result.stderr);
  assert.match(result.stdout, /files that are not read by stateward stay as they are/);
  assert.is(await ana.read("hosts/a.yaml"), hostA("off"));
  const { readFile } = await import("node:fs/promises");
  assert.equal(await readFile(join(folder, "hosts/a.bundle")), bytes);
  assert.is(await ana.read("README.md"), "about\n");
});

test("a program beside the settings stays one, and what was made one or none is taken back too", async () => {
  await using ana = await person({ ...lampFiles, "hosts/restore.sh": "echo 1\n", "hosts/plain.sh": "echo 1\n" });
  const { folder } = ana;
  const change = async (message: string): Promise<void> => {
    await ana.git("commit", "--quiet", "-am", message);
    await ana.git("push", "--quiet", "origin", "HEAD:main");
  };
  await pull(ana);
  await chmod(join(folder, "hosts/restore.sh"), 0o755);
  await change("a program");
  await writeFile(join(folder, "hosts/restore.sh"), "echo 2\n");
  await chmod(join(folder, "hosts/plain.sh"), 0o755);
  await change("another version, and another program");
  const names = ["restore.sh", "plain.sh"];
  const modes = async (): Promise<string[]> =>
    Promise.all(names.map(async (name) => ((await stat(join(folder, "hosts", name))).mode & 0o777).toString(8)));
  const offered = await ana.git("rev-parse", "HEAD");
  assert.is((await cli(folder, "revert", offered)).exit, 0);
  assert.equal([await ana.read("hosts/restore.sh"), ...(await modes())], ["echo 1\n", "755", "644"]);
  await change("taken back");
  const version = await ana.git("rev-parse", "HEAD~1");
  assert.match((await cli(folder, "revert", version)).stdout, /^nothing to take back/);
  // The way to a program is taken back below a content that came later.
  await writeFile(join(folder, "hosts/restore.sh"), "echo 3\n");
  await change("a third version");
  const result = await cli(folder, "revert", await ana.git("rev-parse", "HEAD~3"));
  assert.is(result.exit, 0, result.stderr);
  assert.equal([await ana.read("hosts/restore.sh"), ...(await modes())], ["echo 3\n", "644", "644"]);
});

test("names that are no commit, options, and the first commit are refused with a hint", async () => {
  await using ana = await person();
  for (const [args, words] of [
    [["nonsense"], /no commit is called nonsense/],
    [["--", "--output=x"], /no commit is called --output=x/],
    [["HEAD"], /nothing is known of what was before/],
  ] as const) {
    const result = await cli(ana.folder, "revert", ...args);
    assert.is(result.exit, 1, args.join(" "));
    assert.match(result.stderr, words);
  }
  assert.is(await git(ana.folder, "status", "--porcelain"), "");
});

test("A3: a link in place of a folder does not lead the files out", async () => {
  await using ana = await person({ ...lampFiles, "hosts/deep/d.bin": "one\n" });
  const lit = await commit(ana, { "hosts/deep/d.bin": "two\n" }, "two");
  await pull(ana);
  const { mkdir, readFile, rm, symlink } = await import("node:fs/promises");
  const outside = join(ana.folder, "../outside");
  await mkdir(outside);
  await writeFile(join(outside, "d.bin"), "two\n");
  await rm(join(ana.folder, "hosts/deep"), { recursive: true });
  await symlink(outside, join(ana.folder, "hosts/deep"));
  const result = await cli(ana.folder, "revert", lit);
  assert.is(result.exit, 1);
  assert.match(result.stderr, /leads out of the folder/);
  assert.is(await readFile(join(outside, "d.bin"), "utf8"), "two\n");
});

test.run();
