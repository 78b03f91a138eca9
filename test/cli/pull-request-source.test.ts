// Which merges are nothing but a pull request, over real Git: a word that was given for one must not carry anything else into force.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { PullRequestMirror } from "../../reconciler/cli/pull-request-source.ts";
import { openWorkspace } from "../../reconciler/cli/workspace.ts";
import { git } from "../support/git-remote.ts";
import { initBare } from "../support/http-backend.ts";
import { suite } from "../support/suite.ts";
import { tempFolder } from "../support/temp.ts";

const test = suite("cli/pull-request-source");

/** A remote whose main has one commit, and a clone of it. */
async function start() {
  const folder = await tempFolder();
  const bare = await initBare(join(folder.path, "fleet.git"));
  const work = join(folder.path, "work");
  await git(folder.path, "clone", "--quiet", bare, work);
  const commit = async (name: string): Promise<string> => {
    await writeFile(join(work, `${name}.yaml`), `host: ${name}\n`);
    await git(work, "add", ".");
    await git(work, "commit", "--quiet", "-m", name);
    return git(work, "rev-parse", "HEAD");
  };
  /** Makes a pull request of these commits on a commit of main. */
  const offer = async (from: string, ...names: string[]) => {
    await git(work, "checkout", "--quiet", "--detach", from);
    const commits: string[] = [];
    for (const name of names) commits.push(await commit(name));
    await git(work, "push", "--quiet", "--force", "origin", "HEAD:refs/pull/1/head");
    return { number: 1, head: commits.at(-1) ?? "", commits };
  };
  /** Does something on top of a commit of main; resolves to what main is then. */
  const onto = async (from: string, ...args: string[]): Promise<string> => {
    await git(work, "checkout", "--quiet", "--detach", from);
    await git(work, ...args);
    if (args.includes("--squash")) await git(work, "commit", "--quiet", "-m", "squashed");
    await git(work, "push", "--quiet", "--force", "origin", "HEAD:main");
    return git(work, "rev-parse", "HEAD");
  };
  await git(work, "checkout", "--quiet", "-b", "main");
  const main = await commit("a");
  await git(work, "push", "--quiet", "origin", "main");
  await initBare(join(folder.path, "data", "mirror.git"));
  const source = new PullRequestMirror(
    openWorkspace({ folder: folder.path, data: join(folder.path, "data"), repository: [bare] }),
  );
  const dispose = async (): Promise<void> => {
    source.close();
    await folder[Symbol.asyncDispose]();
  };
  return { source, commit, offer, onto, main, work, [Symbol.asyncDispose]: dispose };
}

test("B3: a pull request is all of its merge, of the one commit made of it, of its copies and of itself", async () => {
  await using rig = await start();
  const pull = { ...(await rig.offer(rig.main, "b", "c")), inForce: rig.main };
  const ways: Record<string, string[]> = {
    merge: ["merge", "--quiet", "--no-ff", "-m", "merge", pull.head],
    squash: ["merge", "--quiet", "--squash", pull.head],
    forward: ["merge", "--quiet", "--ff-only", pull.head],
    copies: ["cherry-pick", "--no-ff", ...pull.commits],
  };
  for (const [name, args] of Object.entries(ways)) {
    const merged = await rig.onto(rig.main, ...args);
    await rig.source.fetch(1);
    assert.ok(await rig.source.merges(merged, pull), name);
  }
});

test("a plan and the look at a merge may begin at once, in a folder that an earlier run has left", async () => {
  for (let round = 0; round < 3; round++) {
    await using rig = await start();
    const pull = { ...(await rig.offer(rig.main, "b")), inForce: rig.main };
    const merged = await rig.onto(rig.main, "merge", "--quiet", "--no-ff", "-m", "merge", pull.head);
    await rig.source.fetch(1);
    rig.source.close();
    const [fetched, isMerge] = await Promise.all([rig.source.fetch(1), rig.source.merges(merged, pull)]);
    assert.is(fetched.head, pull.head);
    assert.ok(isMerge);
  }
});

test("B3: what else came in since is not carried into force by the word for a pull request", async () => {
  await using rig = await start();
  const beside = await rig.offer(rig.main, "b", "c");
  await rig.onto(rig.main, "checkout", "--quiet", "--detach", rig.main);
  const unseen = await rig.commit("unseen");
  for (const [name, args] of Object.entries({
    merge: ["merge", "--quiet", "--no-ff", "-m", "merge", beside.head],
    squash: ["merge", "--quiet", "--squash", beside.head],
    copies: ["cherry-pick", "--no-ff", ...beside.commits],
  })) {
    const merged = await rig.onto(unseen, ...args);
    await rig.source.fetch(1);
    assert.not(await rig.source.merges(merged, { ...beside, inForce: rig.main }), name);
  }
  const upon = await rig.offer(unseen, "d", "e");
  for (const [name, args] of Object.entries({
    merge: ["merge", "--quiet", "--no-ff", "-m", "merge", upon.head],
    squash: ["merge", "--quiet", "--squash", upon.head],
    forward: ["merge", "--quiet", "--ff-only", upon.head],
    copies: ["cherry-pick", "--no-ff", ...upon.commits],
  })) {
    const merged = await rig.onto(unseen, ...args);
    await rig.source.fetch(1);
    assert.not(await rig.source.merges(merged, { ...upon, inForce: rig.main }), `${name} upon it`);
    assert.ok(await rig.source.merges(merged, { ...upon, inForce: unseen }), `${name} once it is in force`);
  }
});

test.run();
