// Reading the record of a commit, with and without a cache of what was decoded before.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { runProcess } from "../../reconciler/adapters/process.ts";
import { DocumentCache } from "../../reconciler/record/document-cache.ts";
import { Git } from "../../reconciler/record/git.ts";
import type { Objects } from "../../reconciler/record/objects.ts";
import { type ReadRecord, readRecord } from "../../reconciler/record/read-record.ts";
import { StateRepository } from "../support/state-repository.ts";
import { suite } from "../support/suite.ts";
import { tempFolder } from "../support/temp.ts";
import { lamp, localHost, record } from "../support/world.ts";

const test = suite("read-record");

/** Reads `observed` as a process that has just started does; `blobs` are those for which Git was asked. */
async function readAt(
  repository: StateRepository,
  path: string | null,
  version = "1",
): Promise<Pick<ReadRecord, "epoch" | "subjects"> & { blobs: number }> {
  const git = new Git(join(repository.folder, ".git"), runProcess);
  let blobs = 0;
  const objects: Objects = {
    read: (name) => git.objects.read(name),
    need: (name, type) => git.objects.need(name, type),
    close: () => git.objects.close(),
    each: (names, take) =>
      git.objects.each(names, (object, index) => {
        if (object?.type === "blob") blobs++;
        take(object, index);
      }),
  };
  const cache = new DocumentCache(path, version);
  const bare = Object.create(git, { objects: { value: objects } }) as Git;
  const { subjects, epoch } = await readRecord(bare, "observed", cache);
  await cache.written();
  git.objects.close();
  return { subjects, epoch, blobs };
}

test("what was decoded before is not read again; what changed since, and a line that was damaged, is", async () => {
  await using repository = await StateRepository.create({
    "machines/lamp.yaml": lamp,
    "hosts/a.yaml": localHost("a", { lamp: "off" }),
    "hosts/b.yaml": localHost("b", { lamp: "off" }),
  });
  await using folder = await tempFolder();
  const path = join(folder.path, "cache", "records");
  await repository.record([record("a", "lamp", { state: "on" }), record("b", "lamp", { state: "off" })]);
  const plain = await readAt(repository, null);
  assert.is(plain.blobs, 3, "two records, and the epoch");
  assert.equal(await readAt(repository, path), plain, "the first time, all of it is read");
  assert.equal(await readAt(repository, path), { ...plain, blobs: 1 });

  const text = await readFile(path, "utf8");
  await writeFile(path, text.replace('"state":"on"', '"state":"in"'));
  assert.equal(await readAt(repository, path), { ...plain, blobs: 2 });
  assert.equal((await readAt(repository, path, "2")).blobs, 3, "another program decodes it itself");

  await repository.git("branch", "--quiet", "-D", "observed");
  await repository.record([record("a", "lamp", { state: "busy" }), record("b", "lamp", { state: "off" })]);
  const later = await readAt(repository, path, "2");
  assert.equal([later.blobs, later.subjects.get("a")?.machines.lamp?.state], [2, "busy"]);
  assert.equal(await readAt(repository, null), { ...later, blobs: 3 });
});

test.run();
