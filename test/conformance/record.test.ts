// One suite for every implementation of the record's ports.
import { join } from "node:path";
import * as assert from "uvu/assert";
import type { RecordReader, RecordWriter } from "../../reconciler/model/ports.ts";
import { encodeRecord } from "../../reconciler/model/record.ts";
import { openStore, Remote } from "../support/git-remote.ts";
import { MemoryRecord } from "../support/memory-record.ts";
import { suite } from "../support/suite.ts";
import { type TempFolder, tempFolder } from "../support/temp.ts";
import { applied, commit, record } from "../support/world.ts";

const test = suite("record ports");

type Store = RecordReader & RecordWriter;
/** Opens a record; called again with the same folder, it is the same record after a restart. */
type Open = (dir: TempFolder) => Promise<Store>;

const memories = new Map<string, MemoryRecord>();
const implementations: readonly [string, Open][] = [
  ["memory", async ({ path }) => memories.set(path, memories.get(path) ?? new MemoryRecord()).get(path) as Store],
  ["git", async ({ path }) => (await openStore(join(path, "remote.git"), join(path, "data"))).store],
];

for (const [name, open] of implementations) {
  const fresh = async (dir: TempFolder): Promise<Store> => {
    if (name === "git") await Remote.create(dir.path);
    return open(dir);
  };

  test(`${name}: a fresh record is empty`, async () => {
    await using dir = await tempFolder();
    assert.equal((await (await fresh(dir)).load()).subjects, []);
  });

  test(`${name}: what was appended is loaded after a restart, the latest of each subject, to the byte`, async () => {
    await using dir = await tempFolder();
    const first = await fresh(dir);
    await first.load();
    const last = record("a", "lamp", { state: "busy", applied: applied("on", "busy"), revision: 2 });
    await first.append({ record: record("a", "lamp", { state: "on" }), summary: "a: off -> on", desired: commit });
    await first.append({ record: last, summary: null, desired: commit });
    await first.append({
      record: { ...record("g", "lamp", {}), kind: "group", incarnation: null },
      summary: null,
      desired: commit,
    });
    const { subjects } = await (await open(dir)).load();
    assert.equal(subjects.map(({ name: subject, kind }) => `${kind} ${subject}`).toSorted(), ["group g", "host a"]);
    assert.is(encodeRecord(subjects.find((item) => item.name === "a") ?? last), encodeRecord(last));
  });

  test(`${name}: many appends at once are all kept, and a flush with nothing new resolves`, async () => {
    await using dir = await tempFolder();
    const first = await fresh(dir);
    await first.load();
    await Promise.all(
      Array.from({ length: 200 }, (_, index) =>
        first.append({ record: record(`h${index}`, "lamp", { state: "on" }), summary: null, desired: commit }),
      ),
    );
    await first.flush();
    await first.flush();
    assert.is((await (await open(dir)).load()).subjects.length, 200);
  });
}

test.run();
