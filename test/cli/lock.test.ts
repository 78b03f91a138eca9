// One reconciler for one data folder.
import { rename } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { takeLock } from "../../reconciler/cli/lock.ts";
import { suite } from "../support/suite.ts";
import { tempFolder } from "../support/temp.ts";

const test = suite("lock");
const refused = (take: Promise<unknown>): Promise<string> =>
  take.then(
    () => "taken",
    (error: unknown) => (error as Error).message,
  );

test("a second taker is refused, with the process that has it; given back, it can be taken", async () => {
  await using dir = await tempFolder();
  const giveBack = await takeLock(dir.path);
  assert.is(
    await refused(takeLock(dir.path)),
    `a reconciler is already running on this folder (process ${process.pid})`,
  );
  await giveBack();
  await (await takeLock(dir.path))();
});

test("of many at once exactly one has it, also over a socket that a crash left behind", async () => {
  await using dir = await tempFolder();
  const dead = createServer();
  await new Promise<void>((resolve) => dead.listen(join(dir.path, "dead"), resolve));
  await rename(join(dir.path, "dead"), join(dir.path, "lock"));
  await new Promise((resolve) => dead.close(resolve));
  const results = await Promise.allSettled(Array.from({ length: 8 }, () => takeLock(dir.path)));
  const taken = results.filter((result) => result.status === "fulfilled");
  assert.is(taken.length, 1);
  for (const result of taken) await result.value();
});

test("a folder with a long path can be locked", async () => {
  await using dir = await tempFolder();
  await (await takeLock(join(dir.path, "x".repeat(100), "y".repeat(100))))();
});

test.run();
