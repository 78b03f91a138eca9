// The record's decoder: a text is refused by a Failure, or it is a record that is written as it was read, and that can be decided on.
import { isDeepStrictEqual } from "node:util";
import * as assert from "uvu/assert";
import { decodeRecord, encodeRecord, type SubjectRecord } from "../../reconciler/model/record.ts";
import { decide } from "../../reconciler/plan/decide.ts";
import { decideFleet } from "../../reconciler/plan/fleet.ts";
import { chain, lamp, localHost, report, world } from "../support/world.ts";
import { checkPrototypes, orFailure } from "./laws.ts";

const files = {
  // oxlint-disable-next-line unicorn/no-thenable -- a key of the format, in plain data that nobody awaits
  "machines/lamp.yaml": { ...lamp, recovery: { lost_after: "5m", then: "replay" } },
  "machines/chain.yaml": chain,
  "hosts/a.yaml": localHost("a", { lamp: "on", chain: "c" }),
  "hosts/site.yaml": { group: "site", machines: ["lamp"] },
};

export function recordTarget(input: Buffer): void {
  const record = orFailure(() => decodeRecord(input.toString(), "hosts/x.json"));
  if (record === null) return;
  const text = encodeRecord(record);
  const again = decodeRecord(text, "hosts/x.json");
  // Keys such as `constructor` mislead a comparison that asks values for theirs.
  assert.ok(isDeepStrictEqual(again, JSON.parse(JSON.stringify(record))), "read again it is the same");
  assert.is(encodeRecord(again), text);
  decideOn(record);
  checkPrototypes();
}

/** Whatever is recorded, deciding on it is not what fails. */
function decideOn(record: SubjectRecord): void {
  const name = record.kind === "fleet" ? record.name : record.kind === "host" ? "a" : "site";
  const whole = world(files, { records: [{ ...record, name }], reports: [report("a")] });
  decide(whole);
  decideFleet(whole);
}
