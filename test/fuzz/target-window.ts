// Cron expressions, zones and lengths, three lines a window: refused with words, or windows whose next change is always ahead.
import * as assert from "uvu/assert";
import { createLoader } from "../../reconciler/cli/loader.ts";
import type { Host } from "../../reconciler/model/types.ts";
import { windowError, windowFor } from "../../reconciler/plan/windows.ts";
import { checkProblems } from "./laws.ts";

const loader = createLoader();
/** Clocks change in many zones on the second and the third; the last is beyond what croner looks at. */
const instants = [
  "1970-01-01T00:00:00Z",
  "2026-03-29T00:59:59.999Z",
  "2026-10-25T01:00:00Z",
  "2028-02-29T12:00:00Z",
].map((text) => Date.parse(text));

export function windowTarget(input: Buffer): void {
  const lines = input.toString().split("\n");
  const windows = Array.from({ length: Math.min(60, Math.ceil(lines.length / 3)) }, (_, index) => {
    const [cron = "", zone = "", length = ""] = lines.slice(3 * index);
    return { [index % 2 ? "deny" : "allow"]: { cron, zone, for: length }, covers: index % 3 ? "all" : "changes" };
  });
  for (const window of windows)
    for (const { cron, zone } of Object.values(window) as { cron?: string; zone?: string }[])
      if (cron !== undefined && zone !== undefined) assert.ok(windowError(cron, zone) !== "");
  const text = JSON.stringify({ windows });
  const sources = [
    { path: "stateward.yaml", text, id: text },
    { path: "hosts/a.yaml", text: "host: a\ntransport: local\n", id: "host" },
  ];
  const loaded = loader.load(sources);
  checkProblems(loaded.problems, text, "stateward.yaml");
  const host = loaded.repository.hosts.get("a") as Host;
  if (loaded.problems.length > 0) return;
  const { settings } = loaded.repository;
  for (const now of instants) {
    for (const what of ["changes", "healing"] as const) {
      const verdict = windowFor(settings, loaded.guards, host, { now, what });
      const change = verdict.open ? verdict.until : verdict.at;
      assert.ok(change === null || (Number.isFinite(change) && change > now), `${change} is not after ${now}`);
      if (!verdict.open) assert.ok(verdict.message !== "");
      assert.equal(windowFor(settings, loaded.guards, host, { now, what }), verdict);
    }
  }
}
