// Durations and times as people write them.
import * as assert from "uvu/assert";
import { durationPattern, isoTime, isTime, parseDuration } from "../../reconciler/model/duration.ts";
import { suite } from "../support/suite.ts";
import { noon } from "../support/world.ts";

const test = suite("duration");

test("a duration is the sum of its parts, and the longest that may be written still leads to a time", () => {
  assert.is(parseDuration("1h30m"), 5_400_000);
  assert.is(parseDuration("500ms"), 500);
  for (const text of ["999999999d", "999999999d".repeat(50)]) {
    assert.match(text, new RegExp(durationPattern));
    assert.match(isoTime(noon + 4 * parseDuration(text)), /^2/);
  }
});

test("what has the form of a time and is none is told from one", () => {
  for (const text of ["2026-12-01T09:00:00Z", "2026-12-01T09:00:00.5+01:00"]) assert.ok(isTime(text), text);
  for (const text of ["2026-12-01T09:00:00+01", "2026-12-31T23:59:60Z", "tomorrow"]) assert.not(isTime(text), text);
});

test.run();
