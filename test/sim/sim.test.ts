// The simulator over the seeds that once found something and some fresh ones, as the command plays them.
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import * as assert from "uvu/assert";
import { suite } from "../support/suite.ts";
import { Bundle } from "./bundle.ts";
import type { Judged } from "./orders.ts";
import { savedSeeds } from "./seeds.ts";
import type { Summary } from "./summary.ts";
import { Workers } from "./workers.ts";

const fresh = Number(process.env.SIM_SEEDS ?? 60);
const test = suite("simulator", { limitMs: Math.max(290_000, fresh * 2000) });
const program = fileURLToPath(new URL("main.ts", import.meta.url));

interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

function sim(...words: readonly string[]): Promise<Ended> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      ["--import", "tsx", program, ...words],
      { maxBuffer: 64_000_000 },
      (_, out, err) => resolve({ code: child.exitCode ?? -1, out, err }),
    );
  });
}

test("R1 to L1: saved seeds and fresh ones break no promise", async () => {
  const { code, out, err } = await sim("--seeds", String(fresh), "--json");
  assert.is(code, 0, err);
  const { seeds, happenings, steps } = JSON.parse(out) as ReturnType<Summary["json"]>;
  assert.is(seeds.safety + seeds.liveness, fresh + (await savedSeeds()).length);
  assert.ok(Math.min(seeds.safety, seeds.liveness) >= Math.floor(fresh / 2));
  // Where nothing is run or recorded, no promise can be broken.
  assert.ok(steps > 100 * fresh && (happenings.began ?? 0) > fresh && (happenings.pushed ?? 0) > fresh);
});

test("R1: one seed gives the same history in another process, to the byte, and another seed another one", async () => {
  const digest = async (...words: readonly string[]): Promise<string> => {
    const { out } = await sim("--json", ...words);
    return (JSON.parse(out) as Judged).digest;
  };
  const [once, again, other] = [
    await digest("--seed", "bytes"),
    await digest("--seed", "bytes"),
    await digest("--seed", "bites"),
  ];
  assert.match(once, /^[0-9a-f]{16}$/);
  assert.is(again, once);
  assert.is.not(other, once);
});

test("what the simulator itself throws is told at once, and the next seed is played", async () => {
  await using bundle = await Bundle.make();
  await using workers = new Workers(bundle.program, 1);
  const seed = { name: "thrown", isLiveness: false };
  const thrown = await workers.ask({ kind: "show", seed, filter: "(" });
  assert.match(thrown.kind === "lost" ? thrown.message : thrown.kind, /SyntaxError: Invalid regular expression/);
  assert.is((await workers.ask({ kind: "play", seed, isTwice: false })).kind, "judged");
});

test("what the command cannot do is wrong usage, and said at once", async () => {
  for (const [words, said] of [
    [["--seed", "x", "--filter", "("], /--filter takes a regular expression/],
    [["--seeds", "0"], /--seeds takes a number above 0/],
    [["--seeds", "0.5"], /--seeds takes a whole number/],
    [["--plant", "none"], /no canary is named none/],
  ] as const) {
    const { code, err } = await sim(...words);
    assert.is(code, 2, words.join(" "));
    assert.match(err, said);
  }
});

test.run();
