// What is broken around a reconciler: the remote, its disk, its own folder.
import { readdir, rm, truncate, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { git } from "../../support/git-remote.ts";
import type { Site } from "../site.ts";
import { heard, reaches, type Scenario, talk } from "./common.ts";

/** The remote goes away for a while, then comes back, and then takes no signs of life. */
export const outage: Scenario = {
  name: "outage",
  data: "a",
  play: async (site, port) => {
    const backup = join(site.path, "backup.git");
    await git(site.path, "clone", "--quiet", "--bare", site.record, backup);
    site.options = ["--repository", backup];
    const run = await site.start({ data: "a" });
    await heard(site, run);
    await reaches(site, run, "a", "serving");
    await reaches(site, run, "b", "serving");
    await site.cutRemote(true);
    await site.destroy("b");
    await talk(site, run, 6);
    // The lease has ended by then: it asks before it acknowledges.
    await site.until("it noticed", () => run.output.includes("could not be pushed"));
    await talk(site, run, 2);
    await site.until("a step marked never has to wait", () => run.output.includes("start could not be pushed"));
    await site.commit({ a: "drained", b: "serving" }, port, { to: backup });
    await reaches(site, run, "a", "drained");
    await site.cutRemote(false);
    await site.commit({ a: "serving", b: "serving" }, port);
    await reaches(site, run, "b", "serving");
    await site.refuseSigns(true);
    await reaches(site, run, "a", "serving");
    const { length } = site.tips;
    // Of two commits at least one was made after the remote began to refuse.
    await site.until("it is pushed without a sign", async () => {
      await talk(site, run, 1);
      return site.tips.length > length + 1;
    });
    await site.refuseSigns(false);
    await site.stop(run);
  },
};

async function filesBelow(site: Site, folder: string): Promise<string[]> {
  const path = join(site.path, folder);
  return (await readdir(path, { recursive: true })).map((name) => join(path, name));
}

/** A power cut has left half of what was being written. */
async function leaveHalves(site: Site): Promise<void> {
  const mirror = join(site.path, "a/mirror.git");
  await writeFile(join(mirror, "refs/stateward/accepted"), "");
  const lock = join(mirror, "refs/stateward/pending.lock");
  await writeFile(lock, "");
  // Young enough to be somebody's still, when the next process looks at it.
  const soon = Date.now() / 1000 + 2;
  await utimes(lock, soon, soon);
  await writeFile(join(mirror, "objects/pack/tmp_stateward_pack_1_x"), "half");
  const stray = join(mirror, `objects/pack/pack-${"0".repeat(40)}.pack`);
  await writeFile(stray, "half");
  await utimes(stray, 0, 0);
  // A line that was never acknowledged, before good ones: that is damage, and a copy is kept.
  const [journal = ""] = (await filesBelow(site, "a/journal")).toSorted().slice(0, 1);
  await writeFile(join(site.path, "a/journal/0.log"), `0000000000000000 [torn\n${goodLine}`);
  await writeFile(journal, "half a li", { flag: "a" });
}

/** A line without entries, with its checksum. */
const goodLine = "4f53cda18c2baa0c []\n";

/** A folder after a power cut; then a mirror of which something is lost, while it runs and before it starts. */
export const wreck: Scenario = {
  name: "wreck",
  data: "a",
  play: async (site, port) => {
    const first = await site.start({ data: "a", isArmed: false });
    await heard(site, first);
    await reaches(site, first, "a", "serving");
    await reaches(site, first, "b", "serving");
    await site.kill(first);
    site.wrecked.add("a");
    await leaveHalves(site);
    const second = await site.start({ data: "a" });
    await talk(site, second, 2);
    await site.stop(second);
    for (const file of await filesBelow(site, "a/mirror.git/objects/pack")) await truncate(file, 0);
    const third = await site.start({ data: "a" });
    await site.commit({ a: "drained", b: "serving" }, port);
    await reaches(site, third, "a", "drained");
    // What it is writing may have its last name by now.
    for (const file of await filesBelow(site, "a/mirror.git/objects/pack")) await rm(file, { force: true });
    await talk(site, third, 1);
    await site.until("it sets the mirror aside", () => third.output.split("kept in").length > 2);
    await heard(site, third);
    await site.stop(third);
  },
};
