// Hosts as other hosts' guards see them.
import * as assert from "uvu/assert";
import type { CelHost } from "../../reconciler/model/guard.ts";
import type { MachineRecord, SubjectRecord } from "../../reconciler/model/record.ts";
import type { HostReport } from "../../reconciler/model/report.ts";
import { decideSubject } from "../../reconciler/plan/decide.ts";
import { guardValues, subjectOf, type World } from "../../reconciler/plan/world.ts";
import { suite } from "../support/suite.ts";
import { applied, lamp, localHost, noon, record, report, world } from "../support/world.ts";

const test = suite("world");
const when = 'host.name == "a" || group.first.all(h, !("lamp" in h.states))';
const guarded = { ...lamp, states: { ...lamp.states, on: { enter: [{ from: ["off", "busy"], when }] } } };
const files = {
  "machines/lamp.yaml": guarded,
  "hosts/first.yaml": { group: "first", select: 'host.name == "a"' },
  "hosts/a.yaml": localHost("a", { lamp: "off" }),
  "hosts/b.yaml": localHost("b", { lamp: "on" }),
};
const off: Partial<MachineRecord> = { state: "off", applied: applied("off"), revision: 1 };
const recordOfA = record("a", "lamp", off);

function worldWith(reportOfA: HostReport | null, ofA: SubjectRecord | null = recordOfA): World {
  const records = [...(ofA ? [ofA] : []), record("b", "lamp", off)];
  return world(files, { records, reports: [...(reportOfA ? [reportOfA] : []), report("b")] });
}

/** The host a, as b sees it. */
function seen(w: World): CelHost | undefined {
  const entry = w.records.get("b")?.machines.lamp;
  const b = subjectOf(w, "b");
  return b && entry ? guardValues(w, b, ["lamp", entry]).group("first")?.[0] : undefined;
}

test("B4: nothing is known of a host that cannot be reached, was rebuilt, or was never heard of", () => {
  const unknown: readonly (readonly [string, World])[] = [
    ["unreachable", worldWith(report("a", { reachable: false, message: "no route" }))],
    ["rebuilt", worldWith(report("a", { incarnation: "life-two-0002" }))],
    ["not heard of", worldWith(null)],
    ["not recorded", worldWith(report("a"), null)],
  ];
  for (const [title, w] of unknown) {
    assert.is(seen(w)?.states, undefined, title);
    const subject = subjectOf(w, "b");
    const decision = subject && decideSubject(w, subject).decision;
    const [condition] = decision?.record?.machines.lamp?.conditions ?? [];
    assert.match(condition?.message ?? "", /states is not known now/, title);
    assert.is(decision?.act, null, title);
  }
  assert.equal(seen(worldWith(report("a")))?.states, { lamp: "off" });
});

test("a known host whose machine is on its way keeps its states without that machine", () => {
  const attempt = { from: "off", to: "on", reason: "target", number: 1, status: "running" } as MachineRecord["attempt"];
  assert.equal(seen(worldWith(report("a"), record("a", "lamp", { ...off, attempt })))?.states, {});
});

test("reported is the time of the last report of the host itself, also when nothing but that time changed", () => {
  const at = (more: Partial<HostReport>, ofA: SubjectRecord | null = recordOfA): number | undefined =>
    seen(worldWith(report("a", more), ofA))?.reported?.getTime();
  assert.is(at({}), noon);
  assert.is(at({ at: noon + 1000 }), noon + 1000);
  assert.is(at({ at: noon + 2000 }, null), noon + 2000);
  assert.is(at({ reachable: false }), undefined);
  assert.is(at({}, { ...recordOfA, former: ["life-one-0001"] }), undefined);
  assert.is(seen(worldWith(null))?.reported, undefined);
});

test.run();
