// A change of many hosts, end to end: it waits for a word, its canary fails and halts it, a newer commit pre-empts it, people hold.
import { execFile } from "node:child_process";
import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import * as assert from "uvu/assert";
import { cli, type Example, openExample } from "../support/example.ts";
import { suite } from "../support/suite.ts";

const run = promisify(execFile);
const test = suite("rollout");
const names = Array.from({ length: 12 }, (_, index) => `web-${String(index + 1).padStart(2, "0")}`);

/** A site's version; moving from the first to the second takes these steps. */
const site = (migrate: string): string => `machine: site
initial: none
states:
  none:
    enter: [{ from: [v1, v2], steps: [{ run: rm -f version }] }]
  v1:
    available: true
    enter: [{ from: [none, v2], steps: [{ write: { path: version, content: "1" } }] }]
  v2:
    available: true
    enter: [{ from: v1, steps: [{ name: migrate, shell: ${JSON.stringify(migrate)} }, { write: { path: version, content: "2" } }] }]
`;

/** Twelve local hosts beside the worked example's two. */
async function addSite(folder: string): Promise<void> {
  await writeFile(join(folder, "machines/site.yaml"), site("echo no such column >&2; exit 1"));
  await writeFile(
    join(folder, "hosts/web.yaml"),
    'group: web\nselect: host.labels.role == "web"\nrollout: { canary: 1, waves: [4], soak: 1s, max_unavailable: 4 }\n',
  );
  for (const [index, name] of names.entries()) {
    const region = index % 2 === 0 ? "east" : "west";
    const text = `host: ${name}\nregion: ${region}\ntransport: local\nlabels: { role: web }\ntargets: { site: v1 }\n`;
    await writeFile(join(folder, `hosts/${name}.yaml`), text);
  }
}

/** A clone of the example's origin, to commit in. */
async function cloneOf(
  example: Example,
): Promise<(change: (folder: string) => Promise<void>, message: string) => Promise<string>> {
  const folder = join(example.folder, "clone");
  await run("git", ["clone", "--quiet", join(example.folder, ".stateward/origin.git"), folder]);
  const git = async (...args: string[]): Promise<string> =>
    (
      await run("git", ["-C", folder, "-c", "user.name=ana", "-c", "user.email=ana@example.org", ...args])
    ).stdout.trim();
  return async (change, message) => {
    await change(folder);
    await git("add", "--all");
    await git("commit", "--quiet", "--message", message);
    await git("push", "--quiet");
    return git("rev-parse", "HEAD");
  };
}

async function moveTo(folder: string, version: string): Promise<void> {
  await run("sed", [
    "-i",
    `s/site: v[0-9]/site: ${version}/`,
    ...names.map((name) => join(folder, "hosts", `${name}.yaml`)),
  ]);
}

test("a change of twelve hosts waits for a word, halts at its canary, says why, and a newer commit pre-empts it", async () => {
  await using example = await openExample();
  await addSite(example.folder);
  const reconciler = example.start();
  await reconciler.says("all 14 are in their target states");
  const commit = await cloneOf(example);

  const moved = await commit((folder) => moveTo(folder, "v2"), "Move the site to v2");
  await reconciler.says("waits for a word: it would move 12 hosts, more than 1");
  assert.is((await cli(example.folder, "approve", "0000000")).exit, 1, "B3: a word is good for one commit");
  assert.is((await cli(example.folder, "approve", moved.slice(0, 8), "--by", "ana")).exit, 0);
  await reconciler.says(/rollout of site to v2 in web halts: web-\d+ failed in the canary/);
  const canary = /halts: (web-\d+) failed/.exec(reconciler.output)?.[1] ?? "";
  const others = names.filter((name) => name !== canary);
  for (const name of others.slice(0, 3)) {
    const { stdout } = await cli(example.folder, "why", name);
    assert.match(stdout, `${name} (site): RolloutHalted`);
    assert.match(stdout, new RegExp(`\\n  ${canary} \\(site\\): AttemptsExhausted .*no such column`));
  }
  const early = reconciler.output.match(/web-\d+ {2}site: v1 -> .*v2/g) ?? [];
  assert.equal(early, [], "nobody moved but the canary, and that failed");

  const mark = reconciler.output.length;
  await commit((folder) => writeFile(join(folder, "machines/site.yaml"), site("true")), "Mend the migration");
  await reconciler.says(`pre-empts the one of ${moved.slice(0, 8)} (halted)`, mark);
  await reconciler.says("all 14 are in their target states", mark);
  // That comes with the next look at the last of them.
  await reconciler.says("rollout of site to v2 in web is done: 12 hosts moved", mark);
  assert.is(await reconciler.stop("SIGTERM"), 0, reconciler.output);
  const told = await example.origin("log", "--format=%B", "observed");
  for (const line of [
    /fleet: [0-9a-f]{8} approved by ana/,
    /halts: web-\d+ failed in the canary/,
    /pre-empts the one of/,
    /rollout of site to v2 in web is done: 12 hosts moved/,
  ])
    assert.match(told, line);
  await example.origin("fsck", "--strict", "--no-dangling");
});

test("B5: a hold works while the remote is down, over a restart, and shows in every view", async () => {
  await using example = await openExample();
  await addSite(example.folder);
  const first = example.start();
  await first.says("all 14 are in their target states");
  const origin = join(example.folder, ".stateward/origin.git");
  await rename(origin, `${origin}.away`);
  await first.says("the desired branch cannot be followed");
  const held = await cli(example.folder, "hold", "group/web", "--reason", "power works", "--by", "ana");
  assert.is(held.exit, 0, held.stderr);
  const status = await cli(example.folder, "status", "web-03");
  assert.match(status.stdout, /group\/web is held by ana since .*: power works/);
  assert.match(status.stdout, /web-03: .*held by ana since .* \(group\/web\): power works/);
  first.child.kill("SIGKILL");
  await rename(`${origin}.away`, origin);

  const second = example.start();
  await second.says("all 14 are in their target states");
  const commit = await cloneOf(example);
  await commit(async (folder) => {
    await writeFile(join(folder, "machines/site.yaml"), site("true"));
    await moveTo(folder, "v2");
  }, "Move the site to v2\n\nAcknowledge-Moves: 12");
  await second.says("web-03  site: Held: held by ana");
  const { stdout } = await cli(example.folder, "why", "web-03", "--what-if", "release group/web");
  assert.match(stdout, /web-03 \(site\): Held: .*power works\n {2}would go on if group\/web were released/);
  assert.match(stdout, /if release group\/web: web-03 would be in its target states after about/);
  assert.not.match(second.output, /web-\d+ {2}site: v1 -> .*v2/);
  assert.is(
    (await cli(example.folder, "release", "web-03")).exit,
    1,
    "a host of a held group is released with its group",
  );
  assert.is((await cli(example.folder, "release", "group/web", "--by", "ben")).exit, 0);
  await second.says("rollout of site to v2 in web is done: 12 hosts moved");
  assert.is(await second.stop("SIGTERM"), 0, second.output);
  const told = await example.origin("log", "--format=%B", "observed");
  assert.match(told, "group/web: held by ana: power works");
  assert.match(told, "group/web: released by ben");
  await example.origin("fsck", "--strict", "--no-dangling");
});

test.run();
