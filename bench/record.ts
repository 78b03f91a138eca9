// npm run bench -- record [HOSTS...]: what following, recording and maintaining costs, beside what Git itself takes for the same.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { encodeRecord } from "../dist/model/record.js";
import { decideSubject } from "../dist/plan/decide.js";
import { recordedWorld } from "../dist/plan/forecast.js";
import { commitObject, planCommit } from "../dist/record/commit.js";
import type { Git } from "../dist/record/git.js";
import { recordPath } from "../dist/record/layout.js";
import { joinPacks } from "../dist/record/maintenance.js";
import { writePack } from "../dist/record/pack.js";
import { readRecord } from "../dist/record/read-record.js";
import { writeRef } from "../dist/record/refs.js";
import type { Folders } from "../dist/record/tree.js";
import { git, hostFile, hostName, hostPath, makeFleet, recordOf, stream } from "./fleet.ts";
import { inTurn, median, ms, printRows, type Row, timed } from "./measure.ts";
import { cacheOf, type DataFolder, follower, openData, storeOf } from "./site.ts";

const asked = process.argv
  .slice(2)
  .filter((word) => /^\d+$/.test(word))
  .map(Number);
const sizes = asked.length > 0 ? asked : [1000, 10_000, 100_000];
const only =
  process.argv
    .slice(2)
    .find((word) => word.startsWith("--only="))
    ?.slice(7) ?? "";
const synced = ["-c", "core.fsync=all", "-c", "gc.auto=0"];

interface Site extends DataFolder {
  /** Hosts. */
  readonly size: number;
}

/** All blobs of a ref through `ls-tree -r` and `cat-file --batch --buffer`, as fast as Git gives them. */
async function readAllBlobs(dir: string, ref: string): Promise<void> {
  const script = `git ls-tree -r ${ref} | cut -c 13-52 | git cat-file --batch --buffer >/dev/null`;
  const [code] = (await once(spawn("sh", ["-c", script], { cwd: dir, stdio: "inherit" }), "close")) as [number];
  if (code !== 0) throw new Error("the floor cannot be measured");
}

async function changed(poll: Promise<{ kind: string }>, kind: string): Promise<void> {
  const result = await poll;
  if (result.kind !== kind) throw new Error(`the poll says ${JSON.stringify(result).slice(0, 300)}`);
}

async function tick(site: Site): Promise<Row> {
  const mirror = follower(site);
  await changed(mirror.poll(), "changed");
  const refs = ["refs/heads/main", "refs/heads/observed", "refs/stateward/leader"];
  const result = await inTurn(
    40,
    () => timed(() => site.repository.run(["ls-remote", "--", site.remote, ...refs])),
    () => timed(() => changed(mirror.poll(), "unchanged")),
  );
  return row(`tick without changes, ${site.size} hosts`, result, 1.2);
}

async function starts(site: Site): Promise<Row[]> {
  const rounds = site.size > 50_000 ? 5 : 9;
  await site.repository.run(["fetch", "--quiet", "--", site.remote, "+refs/heads/main:refs/stateward/seen"]);
  const cold = await inTurn(
    rounds,
    () => timed(() => readAllBlobs(site.repository.dir, "refs/stateward/seen")),
    async () => {
      await rm(join(site.data, "cache"), { recursive: true, force: true });
      const cache = cacheOf(site);
      const took = await timed(() => changed(follower(site, undefined, cache).poll(), "changed"));
      await cache.written();
      return took;
    },
  );
  const warm = await inTurn(
    rounds,
    () => timed(() => readAllBlobs(site.repository.dir, "refs/stateward/seen")),
    () => timed(() => changed(follower(site).poll(), "changed")),
  );
  await site.repository.run(["fetch", "--quiet", "--", site.remote, "+refs/heads/observed:refs/stateward/observed"]);
  const both = await inTurn(
    rounds,
    async () =>
      timed(async () => {
        await readAllBlobs(site.repository.dir, "refs/stateward/seen");
        await readAllBlobs(site.repository.dir, "refs/stateward/observed");
      }),
    () =>
      timed(() =>
        Promise.all([
          changed(follower(site).poll(), "changed"),
          readRecord(site.repository, "refs/stateward/observed"),
        ]),
      ),
  );
  return [
    row(`first start, ${site.size} hosts`, cold, 2.5),
    row(`restart with the cache, ${site.size} hosts: main`, warm, 1.2),
    row(`restart with the cache, ${site.size} hosts: main and the record`, both, 1.2),
  ];
}

async function tenChanged(site: Site): Promise<Row> {
  let listed = 0;
  const mirror = follower(site, () => {
    listed = performance.now();
  });
  const first = await mirror.poll();
  if (first.kind !== "changed") throw new Error("no first poll");
  const { subjects } = await readRecord(site.repository, "refs/stateward/observed");
  const world = recordedWorld({ now: Date.now(), desired: first.desired, records: subjects });
  const bare = join(site.dir, "floor.git");
  await git(site.dir, ["clone", "--quiet", "--bare", site.remote, bare]);
  const result = await inTurn(
    15,
    async (round) => {
      const files = Array.from({ length: 10 }, (_, index): [string, string] => {
        const host = (round * 977 + index * 7919) % site.size;
        return [hostPath(host), hostFile(host, round % 2 === 0 ? "off" : "busy")];
      });
      const tip = (await git(site.remote, ["rev-parse", "refs/heads/main"])).trim();
      await git(
        site.remote,
        ["fast-import", "--quiet", "--done"],
        stream("refs/heads/main", `Round ${round}`, files, tip),
      );
      return timed(() => git(bare, [...synced, "fetch", "--quiet", "--no-tags", site.remote, "+main:seen"]));
    },
    async (round) => {
      const poll = await mirror.poll();
      if (poll.kind !== "changed") throw new Error(`round ${round}: ${poll.kind}`);
      const now = { ...world, desired: poll.desired };
      const { hosts } = poll.desired.loaded.repository;
      // As the engine does it: the sums are kept in step, and the hosts that changed are decided about.
      const changed = (poll.desired.loaded.delta?.hosts ?? [...hosts.keys()]).flatMap((name) => hosts.get(name) ?? []);
      for (const { name } of changed) now.tally.update(now, name, null);
      for (const host of changed) decideSubject(now, host);
      return performance.now() - listed;
    },
  );
  return row(`10 of ${site.size} files changed, polled to decided`, result, 1.25);
}

const contents = (count: number, step: number, round: number): { path: string; content: string }[] =>
  Array.from({ length: count }, (_, index) => {
    const host = index * step;
    return { path: recordPath("host", hostName(host)), content: encodeRecord(recordOf(host, "busy", 10 + round)) };
  });

async function writeOne(
  repository: Git,
  folders: Folders,
  parent: string,
  files: { path: string; content: string }[],
): Promise<string> {
  const { plan, objects } = await planCommit(folders, { files });
  const commit = commitObject(plan.id, { parent, message: "bench\n", timeSeconds: 1_790_000_000 });
  await writePack(repository.dir, [...objects, commit]);
  await writeRef(repository.dir, "refs/stateward/pending", commit.id);
  folders.adopt(plan);
  return commit.id;
}

async function commits(site: Site): Promise<Row[]> {
  const floorDir = join(site.dir, "import.git");
  await cp(site.repository.dir, floorDir, { recursive: true });
  const { folders } = await readRecord(site.repository, "refs/stateward/observed");
  let tip = (await site.repository.resolve("refs/stateward/observed")) ?? "";
  const rows: Row[] = [];
  for (const count of [1, 100, 10_000].filter((number) => number <= site.size)) {
    const result = await inTurn(
      count > 1000 ? 5 : 15,
      async (round) => {
        const files = contents(count, Math.floor(site.size / count), round).map(
          ({ path, content }): [string, string] => [path, content],
        );
        const from = (await git(floorDir, ["rev-parse", "refs/stateward/observed"])).trim();
        const text = stream("refs/stateward/observed", "bench", files, from);
        return timed(() => git(floorDir, [...synced, "fast-import", "--quiet", "--done", "--force"], text));
      },
      async (round) => {
        const files = contents(count, Math.floor(site.size / count), round);
        return timed(async () => {
          tip = await writeOne(site.repository, folders, tip, files);
        });
      },
    );
    rows.push(row(`commit of ${count} into ${site.size}`, result, 1));
    if (count === 1) rows.push(await gitCommit(site, result.ours));
  }
  await site.repository.run(["fsck", "--strict", "--no-dangling"], { timeoutMs: 600_000 });
  return rows;
}

/** `git add` and `git commit` of one host in a work tree. */
async function gitCommit(site: Site, ours: number): Promise<Row> {
  const work = join(site.dir, "work");
  await git(site.dir, ["clone", "--quiet", "--branch=observed", site.remote, work]);
  const who = ["-c", "user.name=B", "-c", "user.email=b@example.org", ...synced];
  const times: number[] = [];
  for (let round = 0; round < 5; round++) {
    const [file] = contents(1, 1, 100 + round);
    if (!file) continue;
    await mkdir(dirname(join(work, file.path)), { recursive: true });
    await writeFile(join(work, file.path), file.content);
    times.push(
      await timed(async () => {
        await git(work, [...who, "add", "--", file.path]);
        await git(work, [...who, "commit", "--quiet", "-m", "bench"]);
      }),
    );
  }
  await rm(work, { recursive: true, force: true });
  return row(`commit of 1 into ${site.size}, beside git add and git commit`, { floor: median(times), ours }, 0.1);
}

const perCommit = 1667;

async function sustained(site: Site): Promise<Row[]> {
  const rounds = 20;
  const floorDir = join(site.dir, "sustained.git");
  await cp(site.repository.dir, floorDir, { recursive: true });
  const from = (await git(floorDir, ["rev-parse", "refs/stateward/observed"])).trim();
  const all = Array.from({ length: rounds }, (_, round) => {
    const files = contents(perCommit, Math.floor(site.size / perCommit), 1000 + round);
    return stream(
      "refs/stateward/observed",
      "bench",
      files.map(({ path, content }) => [path, content]),
      round === 0 ? from : null,
    ).replace(/done\n$/, "");
  });
  const floorMs = await timed(() =>
    git(floorDir, [...synced, "fast-import", "--quiet", "--done", "--force"], `${all.join("")}done\n`),
  );
  const { folders } = await readRecord(site.repository, "refs/stateward/observed");
  let tip = (await site.repository.resolve("refs/stateward/observed")) ?? "";
  let writerMs = 0;
  for (let round = 0; round < rounds; round++) {
    const files = contents(perCommit, Math.floor(site.size / perCommit), 2000 + round);
    writerMs += await timed(async () => {
      tip = await writeOne(site.repository, folders, tip, files);
    });
  }
  // Whole windows, as the reconciler has them: 15 s of it, and twice as much, where no host may get lost.
  await joinPacks(site.repository);
  const store = storeOf(site);
  await store.load();
  const window = async (count: number, revision: number): Promise<number> => {
    const records = Array.from({ length: count }, (_, index) => recordOf(index % site.size, "on", revision));
    return timed(async () => {
      await Promise.all(
        records.map((record) => store.append({ record, summary: `${record.name}: busy -> on (lamp)`, desired: tip })),
      );
      await store.flush();
    });
  };
  const windowed = Math.min(15 * perCommit, site.size);
  const times = [await window(windowed, 3000), await window(windowed, 3001), await window(windowed, 3002)];
  const twice = await window(2 * windowed, 3003);
  await store.close();
  const text = (time: number, count = rounds * perCommit): string => `${Math.round((count * 1000) / time)} files/s`;
  const whole = (windowed * 1000) / median(times);
  const floorRate = (rounds * perCommit * 1000) / floorMs;
  return [
    {
      what: `sustained, ${perCommit} of ${site.size} a commit: the writer`,
      floor: text(floorMs),
      ours: text(writerMs),
      ratio: floorMs / writerMs,
      target: 0.8,
      atLeast: true,
    },
    {
      what: `sustained, ${windowed} of ${site.size} in a window of 15 s: journal, commit and push; twice as many took ${ms(twice)}`,
      floor: text(floorMs),
      ours: `${Math.round(whole)} files/s`,
      ratio: whole / floorRate,
      target: 0.8,
      atLeast: true,
    },
  ];
}

async function sizeAfterMaintenance(dir: string): Promise<Row[]> {
  const size = 10_000;
  const site = await prepare(join(dir, "history"), size);
  const { folders } = await readRecord(site.repository, "refs/stateward/observed");
  let tip = (await site.repository.resolve("refs/stateward/observed")) ?? "";
  for (let round = 0; round < 1000; round++) {
    const files = Array.from({ length: 100 }, (_, index) => {
      const host = (round * 100 + index * 97) % size;
      return {
        path: recordPath("host", hostName(host)),
        content: encodeRecord(recordOf(host, round % 2 === 0 ? "busy" : "on", round)),
      };
    });
    tip = await writeOne(site.repository, folders, tip, files);
    if (round % 50 === 49) {
      await writeRef(site.repository.dir, "refs/stateward/observed", tip);
      await joinPacks(site.repository);
    }
  }
  await writeRef(site.repository.dir, "refs/stateward/observed", tip);
  const copy = join(site.dir, "gc.git");
  await cp(site.repository.dir, copy, { recursive: true });
  const oursMs = await timed(() => joinPacks(site.repository));
  const floorMs = await timed(() => git(copy, ["gc", "--quiet"]));
  const sizeOf = async (path: string): Promise<number> =>
    Number(/size-pack: (\d+)/.exec(await git(path, ["count-objects", "-v"]))?.[1]);
  const [ours, floor] = [await sizeOf(site.repository.dir), await sizeOf(copy)];
  return [
    {
      what: "size after 100,000 transitions in 1,000 commits",
      floor: `${floor} KB after git gc (${ms(floorMs)})`,
      ours: `${ours} KB (${ms(oursMs)})`,
      ratio: ours / floor,
      target: 1.1,
    },
  ];
}

/** What a process of its own holds after it has loaded the fleet. */
async function heldBy(what: string, dir: string): Promise<number> {
  const program = fileURLToPath(new URL("memory.ts", import.meta.url));
  const child = spawn(process.execPath, ["--expose-gc", ...process.execArgv, program, what, dir], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const said = await text(child.stdout);
  return Number(said.split(" ")[0]);
}

async function memory(site: Site): Promise<Row> {
  const [floor, ours] = [await heldBy("floor", site.dir), await heldBy("ours", site.dir)];
  const mb = (bytes: number): string => `${Math.round(bytes / 1e6)} MB`;
  return {
    what: `memory, ${site.size} hosts and their record`,
    floor: mb(floor),
    ours: mb(ours),
    ratio: ours / floor,
    target: 2,
  };
}

function row(what: string, { floor, ours }: { floor: number; ours: number }, target: number): Row {
  return { what, floor: ms(floor), ours: ms(ours), ratio: ours / floor, target };
}

/** A remote with a fleet and a record of all of it, and a mirror. */
async function prepare(dir: string, size: number): Promise<Site> {
  await mkdir(dir, { recursive: true });
  await makeFleet(join(dir, "remote.git"), size);
  const site = { ...(await openData(dir, "r1")), size };
  const store = storeOf(site);
  await store.load();
  for (let index = 0; index < size; index++)
    void store.append({ record: recordOf(index), summary: null, desired: "0".repeat(40) });
  await store.flush();
  await store.close();
  await git(site.remote, ["repack", "-a", "-d", "--quiet"]);
  await joinPacks(site.repository);
  return site;
}

const dir = await mkdtemp(join(tmpdir(), "stateward-bench-"));
const rows: Row[] = [];
try {
  for (const size of sizes) {
    console.error(`preparing ${size} hosts in ${dir} ...`);
    const site = await prepare(join(dir, String(size)), size);
    const parts: [string, () => Promise<Row | Row[]>][] = [
      ["tick", () => tick(site)],
      ["memory", () => memory(site)],
      ["starts", () => starts(site)],
      ["ten", () => tenChanged(site)],
      ["commits", () => commits(site)],
      ["sustained", () => (size < perCommit ? Promise.resolve([]) : sustained(site))],
    ];
    for (const [name, part] of parts) {
      if (!name.startsWith(only)) continue;
      console.error(`  ${name}`);
      rows.push(...[await part()].flat());
    }
    await rm(site.dir, { recursive: true, force: true });
  }
  if ("size".startsWith(only)) rows.push(...(await sizeAfterMaintenance(dir)));
} finally {
  await rm(dir, { recursive: true, force: true });
}
printRows(rows);
process.exit(0);
