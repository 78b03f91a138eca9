// Planted bugs: each fits the source as it is, each checker has one, and those of today are found. All are hunted by `npm run canaries`.
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import * as assert from "uvu/assert";
import { suite } from "../../support/suite.ts";
import { edited } from "../bundle.ts";
import { checkers } from "../checkers/list.ts";
import { hunt, huntedLine } from "./hunt.ts";
import { canaries } from "./list.ts";

const test = suite("canaries", { limitMs: 290_000 });
const root = fileURLToPath(new URL("../../../", import.meta.url));
/** So many are hunted a day, others the next day; CANARIES says how many. */
const aDay = Number(process.env.CANARIES ?? 3);
/** Those that need many seeds are for the whole run alone. */
const seedsForAll = 100;

test("every planted bug is an edit of text that stands in its file exactly once", async () => {
  const wrong: string[] = [];
  for (const { name, edits } of canaries) {
    assert.ok(edits.length > 0, name);
    for (const file of new Set(edits.map((edit) => edit.file))) {
      const text = await readFile(`${root}${file}`, "utf8");
      const own = edits.filter((edit) => edit.file === file);
      try {
        assert.is.not(edited(text, own), text);
      } catch (error) {
        wrong.push(`${name}: ${String(error)}`);
      }
    }
  }
  assert.equal(wrong, []);
});

test("there are enough planted bugs, each with a name of its own, and some for each checker", () => {
  assert.ok(canaries.length >= 24);
  assert.is(new Set(canaries.map(({ name }) => name)).size, canaries.length);
  const expected = new Set(canaries.flatMap(({ promises }) => promises));
  assert.equal(
    ["R1", ...checkers.map(({ promise }) => promise)].filter((promise) => !expected.has(promise)),
    [],
  );
});

test("the planted bugs of today are found within their budgets", async () => {
  const quick = canaries.filter(({ seedsMax }) => seedsMax <= seedsForAll);
  const day = Math.floor(Date.now() / 86_400_000);
  for (let index = 0; index < aDay; index++) {
    const canary = quick[(day * aDay + index) % quick.length];
    assert.ok(canary);
    const hunted = await hunt(canary);
    assert.is.not(hunted.found, null, huntedLine(hunted));
  }
});

test("what is not planted is not found", async () => {
  const [canary] = canaries;
  assert.ok(canary);
  const hunted = await hunt({ ...canary, promises: ["R1"], edits: [], seedsMax: 5 });
  assert.equal([hunted.found, hunted.seeds], [null, 5], huntedLine(hunted));
});

test.run();
