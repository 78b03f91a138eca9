// The record's decoder: what was written is read again; anything else is refused by a Failure, and nothing that is read breaks a decision.
import { execFile } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isDeepStrictEqual, promisify } from "node:util";
import * as fc from "fast-check";
import * as assert from "uvu/assert";
import { runProcess } from "../../reconciler/adapters/process.ts";
import { Failure } from "../../reconciler/model/failure.ts";
import {
  decodeRecord,
  encodeRecord,
  type FleetRecord,
  fleetSubject,
  type MachineRecord,
  type SubjectRecord,
} from "../../reconciler/model/record.ts";
import { Git } from "../../reconciler/record/git.ts";
import { readRecord } from "../../reconciler/record/read-record.ts";
import { suite } from "../support/suite.ts";
import { tempFolder } from "../support/temp.ts";
import { hostileInputs } from "./make-hostile.ts";
import { runs } from "./runs.ts";
import { recordTarget } from "./target-record.ts";

const test = suite("fuzz record");
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));
const word = fc.oneof(
  fc.string({ unit: "binary", maxLength: 8 }),
  fc.constantFrom("__proto__", "constructor", "on", "", "\0\u2028"),
);
const maybe = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(arbitrary, { nil: null });
const time = fc
  .date({ noInvalidDate: true, min: new Date(0), max: new Date("9999-12-31") })
  .map((date) => date.toISOString());
const count = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const few = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T[]> => fc.array(arbitrary, { maxLength: 3 });
const mapOf = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<Record<string, T>> =>
  fc.array(fc.tuple(word, arbitrary), { maxLength: 3 }).map((entries) => Object.fromEntries(entries));
const waiting = maybe(fc.record({ for: word, since: time, waived: fc.boolean() }, { requiredKeys: ["for", "since"] }));

const machine: fc.Arbitrary<MachineRecord> = fc.record({
  state: word,
  since: time,
  desired: word,
  revision: count,
  applied: few(fc.record({ state: word, at: time, desired: word })),
  replay: few(word),
  attempt: maybe(
    fc.record({
      from: word,
      to: word,
      reason: fc.constantFrom("target", "replay", "auto", "remedy", "replace"),
      number: count,
      status: fc.constantFrom("running", "failed"),
      startedAt: time,
      definition: word,
      done: few(word),
      step: maybe(word),
      skipped: few(word),
      retryAt: maybe(time),
      error: maybe(word),
    }),
  ),
  once: mapOf(fc.record({ status: fc.constantFrom("started", "done", "unknown", "free"), at: time, round: count })),
  unsteady: maybe(fc.record({ state: word, count, at: time, error: word })),
  claim: maybe(word),
  updates: count,
  updateKeys: few(word),
  conditions: few(
    fc.record({
      type: fc.constantFrom("Ready", "Stalled"),
      status: fc.constantFrom("True", "False"),
      reason: word,
      message: word,
      at: time,
    }),
  ),
  upkeep: fc.record({
    fellFrom: maybe(word),
    agreed: fc.boolean(),
    waiting,
    barrier: waiting,
    begun: maybe(word),
    autos: maybe(fc.record({ since: time, count })),
    falls: few(time),
    remedies: mapOf(fc.record({ since: maybe(time), over: maybe(time), runs: few(time), rung: count })),
  }),
});
const subject: fc.Arbitrary<SubjectRecord> = fc.record({
  kind: fc.constantFrom("host", "group"),
  name: fc.stringMatching(/^[a-z0-9][a-z0-9._-]{0,20}$/),
  incarnation: maybe(word),
  former: few(word),
  sequence: count,
  address: maybe(word),
  machines: fc.dictionary(fc.constantFrom("lamp", "chain", "other", "__proto__"), machine, { maxKeys: 3 }),
});
const fleet: fc.Arbitrary<SubjectRecord> = fc
  .record<FleetRecord>({
    holds: few(fc.record({ select: word, reason: word, by: word, at: time, until: maybe(time) })),
    approvals: few(fc.record({ commit: word, by: word, at: time })),
    rollouts: mapOf(
      fc.record({
        id: word,
        commit: word,
        since: time,
        wave: count,
        phase: fc.constantFrom("running", "done"),
        phaseSince: time,
        message: word,
      }),
    ),
    durations: mapOf(fc.double({ noNaN: true, noDefaultInfinity: true, min: 0 })),
    braked: maybe(fc.record({ at: time, message: word })),
    released: maybe(fc.record({ at: time, by: word, reason: word })),
  })
  .map(fleetSubject);

test("D5: what was written is read again as the same record, and written as the same text", () => {
  fc.assert(
    fc.property(fc.oneof(subject, fleet), (record) => {
      const text = encodeRecord(record);
      const read = decodeRecord(text, "here");
      assert.ok(isDeepStrictEqual(plain(read), plain(record)));
      assert.is(encodeRecord(read), text);
      recordTarget(Buffer.from(text));
    }),
    runs(150),
  );
});

test("D5: a part of another kind, or left out, is refused by a Failure, or changes nothing of what can be decided", () => {
  const other = fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.constant(undefined));
  const place = fc.array(fc.nat({ max: 20 }), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(fc.oneof(subject, fleet), place, other, (record, way, value) => {
      const whole = JSON.parse(encodeRecord(record)) as Record<string, unknown>;
      let part: Record<string, unknown> = whole;
      let key = "";
      for (const step of way) {
        const keys = Object.keys(part);
        key = keys[step % Math.max(1, keys.length)] ?? "new";
        const next = part[key];
        if (typeof next !== "object" || next === null) break;
        if (step !== way.at(-1)) part = next as Record<string, unknown>;
      }
      part[key] = value;
      recordTarget(Buffer.from(JSON.stringify(whole)));
    }),
    runs(400),
  );
});

test("D5: broken records are refused, and say which part is wrong", () => {
  const inputs = hostileInputs();
  const refusal = (name: string): string => {
    try {
      decodeRecord((inputs.get(`record/${name}.in`) ?? "").toString(), "hosts/a.json");
      return "";
    } catch (error) {
      assert.instance(error, Failure);
      return (error as Failure).message;
    }
  };
  for (const [name, why] of [
    ["machine-attempt-half", "machines.lamp.attempt.reason is missing"],
    ["machine-applied-of-nothing", "machines.lamp.applied.0 is missing"],
    ["machine-once-odd", "machines.lamp.once.k is missing"],
    ["machines-list", "machines is missing"],
    ["host-of-fleet", "name is missing"],
    ["host-path", "name is missing"],
    ["deep-in-machine-20000", "nested too deeply"],
    ["fleet-rollout-null", "rollouts.fleet/lamp=on is not"],
    ["fleet-braked-odd", "braked is not"],
    ["conflict", "it is not JSON"],
  ] as const)
    assert.match(refusal(name), why, name);
  assert.is(refusal("machine-minimal"), "", "an earlier version has written no more");
});

test("D5: a head of the record that is broken is refused by a Failure", async () => {
  await using dir = await tempFolder();
  const git = (...args: string[]) =>
    promisify(execFile)("git", ["-C", dir.path, "-c", "user.name=x", "-c", "user.email=x", ...args]);
  await git("init", "--quiet");
  await mkdir(join(dir.path, "hosts"), { recursive: true });
  const repository = new Git(join(dir.path, ".git"), runProcess);
  try {
    for (const text of [
      "",
      "null",
      "[]",
      '{"format":"2","epoch":1}',
      '{"format":2}',
      "{",
      '{"format":2,"epoch":1e99}',
    ]) {
      await writeFile(join(dir.path, "stateward.json"), text);
      await git("add", ".");
      await git("commit", "--quiet", "--allow-empty", "-m", "x");
      const commit = (await git("rev-parse", "HEAD")).stdout.trim();
      const error: unknown = await readRecord(repository, commit).then(
        () => null,
        (reason: unknown) => reason,
      );
      assert.instance(error, Failure, text);
      assert.is((error as Failure).reason, "CorruptRecord");
    }
  } finally {
    repository.objects.close();
  }
});

test.run();
