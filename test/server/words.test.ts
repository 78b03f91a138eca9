// What people say of a host over the interface, and that their names stand in the record.
import * as assert from "uvu/assert";
import { asOperator, serve } from "../support/http.ts";
import { suite } from "../support/suite.ts";
import { lamp, localHost } from "../support/world.ts";

const test = suite("words");

test("who says retry, skip or replay is recorded with the word; without a name it was an operator", async () => {
  await using rig = await serve({ "machines/lamp.yaml": lamp, "hosts/a.yaml": localHost("a", { lamp: "on" }) });
  rig.hosts.onStep = () => ({ kind: "failed", message: "exit 1", output: "" });
  rig.hosts.setByHand("a", "lamp", "off");
  await rig.clock.pass(3_600_000);
  const say = async (path: string, payload?: object): Promise<string | null | undefined> => {
    const answer = await rig.app.inject({
      method: "POST",
      url: `/v1/hosts/a/${path}`,
      headers: asOperator,
      ...(payload === undefined ? {} : { payload }),
    });
    assert.is(answer.statusCode, 202, answer.body);
    const said = rig.record.changes.findLast(({ summary }) => / by /.test(summary ?? ""));
    await rig.clock.pass(3_600_000);
    return said?.summary;
  };
  assert.is(await say("verdicts", { word: "retry", by: "ana" }), "a: retry of lamp by ana");
  assert.is(await say("verdicts", { word: "skip" }), "a: skip of lamp by an operator");
  assert.is(await say("replays", { by: "ben" }), "a: replay by ben");
  assert.is(await say("replays"), "a: replay by an operator");
  const refused = await rig.app.inject({
    method: "POST",
    url: "/v1/hosts/a/replays",
    headers: asOperator,
    payload: { by: "x\ny" },
  });
  assert.is(refused.statusCode, 400);
});

test("D1: who speaks while the disk is full is told so, and that nothing was kept", async () => {
  await using rig = await serve({ "machines/lamp.yaml": lamp, "hosts/a.yaml": localHost("a", { lamp: "on" }) });
  await rig.clock.pass(60_000);
  rig.record.append = () => Promise.reject(Object.assign(new Error("ENOSPC: no space left"), { code: "ENOSPC" }));
  const order = { select: "a", reason: "its disk", by: "ana" };
  const answer = await rig.app.inject({ method: "POST", url: "/v1/holds", headers: asOperator, payload: order });
  assert.equal([answer.statusCode, answer.json<{ title: string }>().title], [503, "DiskFull"]);
  assert.match(answer.body, /"hint":"make room on the disk/);
});

test("B5: a hold until what is no time is refused, and says how one is written", async () => {
  await using rig = await serve({ "machines/lamp.yaml": lamp, "hosts/a.yaml": localHost("a", { lamp: "on" }) });
  const hold = async (until: string): Promise<{ statusCode: number; body: string }> =>
    rig.app.inject({
      method: "POST",
      url: "/v1/holds",
      headers: asOperator,
      payload: { select: "a", reason: "x", by: "ana", until },
    });
  const refused = await hold("2090-12-01T09:00:00+01");
  assert.is(refused.statusCode, 422, refused.body);
  assert.match(refused.body, /"title":"BadTime".*2026-12-01T09:00:00Z/);
  assert.is((await hold("2090-12-01T09:00:00+01:00")).statusCode, 201);
});

test.run();
