// The journal on a real disk: what was acknowledged is read again, whoever wrote it, and a torn tail is not.
import { createHash } from "node:crypto";
import { appendFile, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { Journal, type JournalEntry } from "../../reconciler/record/journal.ts";
import { suite } from "../support/suite.ts";
import { tempFolder } from "../support/temp.ts";

const test = suite("journal");
const entry = (name: string): JournalEntry => ({ record: { name }, summary: `${name}: off -> on`, desired: "c" });
const names = (entries: readonly JournalEntry[]): string =>
  entries.map(({ record }) => (record as { name: string }).name).join(" ");
const lineOf = (value: unknown): string => {
  const text = JSON.stringify(value);
  return `${createHash("sha256").update(text).digest("hex").slice(0, 16)} ${text}\n`;
};

async function read(dir: string): Promise<string> {
  const { journal, entries } = await Journal.open(dir);
  await journal.close();
  return names(entries);
}

test("D1: entries that were appended together are all read again, in their order", async () => {
  await using dir = await tempFolder();
  const { journal } = await Journal.open(dir.path);
  await Promise.all(["a", "b", "c"].map((name) => journal.append(entry(name))));
  await journal.append(entry("d"));
  // No close: the process is gone.
  assert.is(await read(dir.path), "a b c d");
  await journal.close();
});

test("D1: a segment of an earlier version, a line for each entry, is read as before", async () => {
  await using dir = await tempFolder();
  await mkdir(join(dir.path, "journal"));
  await writeFile(join(dir.path, "journal/1.log"), lineOf(entry("a")) + lineOf(entry("b")));
  assert.is(await read(join(dir.path, "journal")), "a b");
});

test("D1: a torn line at the end was never acknowledged: none of its entries is read", async () => {
  await using dir = await tempFolder();
  const { journal } = await Journal.open(dir.path);
  await journal.append(entry("a"));
  await journal.close();
  const [segment = ""] = (await readdir(dir.path)).toSorted().slice(-1);
  await appendFile(join(dir.path, segment), lineOf([entry("b"), entry("c")]).slice(0, -9));
  const { journal: again, entries, damaged } = await Journal.open(dir.path);
  await again.close();
  assert.equal([names(entries), damaged], ["a", []]);
});

test("D1: a bad line before good ones is damage: the good ones are read, and a copy is kept for people", async () => {
  await using dir = await tempFolder();
  const folder = join(dir.path, "journal");
  const { journal } = await Journal.open(folder);
  for (const name of ["a", "b", "c"]) await journal.append(entry(name));
  await journal.close();
  const [segment = ""] = (await readdir(folder)).toSorted().slice(-1);
  const text = await readFile(join(folder, segment), "utf8");
  await writeFile(join(folder, segment), text.replace('"name":"b"', '"name":"x"'));
  const { journal: again, entries, damaged } = await Journal.open(folder);
  await again.close();
  assert.is(names(entries), "a c");
  assert.match(await readFile(damaged[0] ?? "", "utf8"), /"name":"x"/);
});

test("an entry that cannot be written is not acknowledged", async () => {
  await using dir = await tempFolder();
  const { journal } = await Journal.open(dir.path);
  await journal.close();
  await journal.append(entry("a")).then(
    () => assert.unreachable("it must not acknowledge"),
    (error: unknown) => assert.match(String(error), /closed/),
  );
  const texts = (await readdir(dir.path)).map((name) => readFile(join(dir.path, name), "utf8"));
  assert.is((await Promise.all(texts)).join(""), "");
});

test.run();
