// StateService's interface, over a machine that was imported from its own format.
import * as assert from "uvu/assert";
import { importStateService } from "../../reconciler/model/stateservice.ts";
import { asOperator, bearer, serve } from "../support/http.ts";
import { MemoryRecord } from "../support/memory-record.ts";
import { suite } from "../support/suite.ts";
import { desired } from "../support/world.ts";

const test = suite("state");
const light = `current_state: green
states:
  - { name: green, func: increment, current: { key: count, value: 0 }, target: { name: red, when: { key: count, value: 2 } } }
  - { name: red, func: increment, current: { key: count, value: 0 }, target: { name: blue, when: { key: count, value: 1 } } }
  - { name: blue }
`;
const { machine, group } = importStateService("light.yaml", light, { name: "traffic-light", offset: "Z" });
const files = { "machines/light.yaml": machine, "hosts/light.yaml": group };

/** `METHOD state -> status body`, one after the other. */
const story: readonly [string, string | null, number, string?][] = [
  ["GET", "green", 200, "green"],
  ["GET", "red", 406],
  ["GET", "purple", 406],
  ["GET", null, 400],
  ["PUT", null, 400],
  ["PUT", "red", 406],
  ["PUT", "green", 200, "green"],
  ["GET", "green", 200],
  ["PUT", "green", 200, "green"],
  ["GET", "red", 200, "red"],
  ["GET", "green", 406],
  ["PUT", "green", 406],
  ["PUT", "red", 200, "red"],
  ["GET", "blue", 200, "blue"],
  ["PUT", "blue", 406],
  ["GET", "blue", 200],
];

for (const [name, open, headers] of [
  ["open", true, {}],
  ["with an operator's token", false, asOperator],
] as const) {
  test(`two updates leave green, one leaves red, blue is final: ${name}`, async () => {
    await using rig = await serve(files, { open });
    for (const [method, state, status, body] of story) {
      const answer = await rig.app.inject({
        method: method as "GET",
        url: state === null ? "/state" : `/state?state=${state}`,
        headers,
      });
      assert.is(answer.statusCode, status, `${method} ${state}: ${answer.body}`);
      if (body !== undefined) assert.is(answer.body, body);
    }
  });
}

test("A1: without a token it is closed, unless the settings open it; a token must name its subject", async () => {
  await using rig = await serve(files);
  const status = async (url: string, headers: Record<string, string>) =>
    (await rig.app.inject({ url, headers })).statusCode;
  assert.is(await status("/state?state=green", {}), 401);
  assert.is(await status("/state?state=green&subject=traffic_light", bearer("traffic_light")), 200);
  assert.is(await status("/state?state=green&subject=traffic_light", bearer("other")), 403);
  assert.is(await status("/state?state=green", bearer("traffic_light")), 403);
});

test("an update with an Idempotency-Key counts once, also after a restart", async () => {
  await using rig = await serve(files, { open: true });
  const put = async (app: typeof rig.app, id: string) =>
    (await app.inject({ method: "PUT", url: "/state?state=green", headers: { "idempotency-key": id } })).statusCode;
  for (let round = 0; round < 5; round++) assert.is(await put(rig.app, "k1"), 200);
  assert.is((await rig.app.inject({ url: "/state?state=green" })).statusCode, 200);
  await using again = await serve(files, { open: true, record: rig.record });
  assert.is(await put(again.app, "k1"), 200);
  assert.is((await again.app.inject({ url: "/state?state=green" })).statusCode, 200);
  assert.is(await put(again.app, "k2"), 200);
  assert.is((await again.app.inject({ url: "/state?state=red" })).statusCode, 200);
  assert.is(await put(again.app, "k2"), 200, "a retry of the update that moved it is answered as the first time");
});

test("updates at once all count, and what is answered is recorded", async () => {
  const many = light.replace("value: 2", "value: 1000");
  const imported = importStateService("m.yaml", many, { name: "many", offset: "Z" });
  await using rig = await serve(
    { "machines/m.yaml": imported.machine, "hosts/m.yaml": imported.group },
    { open: true },
  );
  const answers = await Promise.all(
    Array.from({ length: 300 }, () => rig.app.inject({ method: "PUT", url: "/state?state=green" })),
  );
  assert.ok(answers.every(({ statusCode }) => statusCode === 200));
  assert.is(rig.record.changes.at(-1)?.record.machines.many?.updates, 300);
});

test("D1: an update that cannot be recorded is not acknowledged", async () => {
  const record = new MemoryRecord();
  await using rig = await serve(files, { open: true, record });
  record.append = () => Promise.reject(new Error("disk full"));
  const answer = await rig.app.inject({ method: "PUT", url: "/state?state=green" });
  assert.ok(answer.statusCode >= 500, String(answer.statusCode));
});

test("clients that send a body or none, of any type, are understood", async () => {
  await using rig = await serve(files, { open: true });
  const answer = await rig.app.inject({
    method: "PUT",
    url: "/state?state=green",
    headers: { "content-type": "application/x-www-form-urlencoded" },
    payload: "a=1",
  });
  assert.is(answer.statusCode, 200, answer.body);
});

test("time: the transition comes with its zone, by the clock, without any update", async () => {
  const text =
    "current_state: wait\nstates:\n  - { name: wait, func: time, target: { name: go, when: { key: clock, value: '2026-01-01T14:00:05' } } }\n  - { name: go }\n";
  const imported = importStateService("t.yaml", text, { name: "timer", offset: "+02:00" });
  await using rig = await serve(
    { "machines/t.yaml": imported.machine, "hosts/t.yaml": imported.group },
    { open: true },
  );
  const is = async (state: string) => (await rig.app.inject({ url: `/state?state=${state}` })).statusCode;
  assert.equal([await is("wait"), await is("go")], [200, 406]);
  assert.is((await rig.app.inject({ method: "PUT", url: "/state?state=wait" })).statusCode, 406, "it moves by itself");
  await rig.clock.pass(10_000);
  assert.equal([await is("wait"), await is("go")], [406, 200]);
});

test("a subject must be named where several machines are shared", async () => {
  const two = importStateService("l.yaml", light, { name: "second", offset: "Z" });
  await using rig = await serve(
    { ...files, "machines/s.yaml": two.machine, "hosts/s.yaml": two.group },
    { open: true },
  );
  assert.is((await rig.app.inject({ url: "/state?state=green" })).statusCode, 400);
  assert.is((await rig.app.inject({ url: "/state?state=green&subject=second" })).statusCode, 200);
  assert.is((await rig.app.inject({ url: "/state?state=green&subject=third" })).statusCode, 404);
});

const unusable: readonly [string, string, RegExp][] = [
  ["no states", "current_state: a\n", /no list of states/],
  ["an unknown current state", "current_state: z\nstates: [{ name: a }]\n", /current_state is z/],
  [
    "another function",
    "current_state: a\nstates: [{ name: a, func: dance, target: { name: b, when: { value: 1 } } }, { name: b }]\n",
    /function dance/,
  ],
  ["a function without a target", "current_state: a\nstates: [{ name: a, func: increment }]\n", /no target/],
  [
    "a target that is no state",
    "current_state: a\nstates: [{ name: a, func: increment, target: { name: z, when: { value: 1 } } }]\n",
    /leads to z/,
  ],
  [
    "a count that is no number",
    "current_state: a\nstates: [{ name: a, func: increment, target: { name: b, when: { value: x } } }, { name: b }]\n",
    /counts to x/,
  ],
  [
    "a time that is none",
    "current_state: a\nstates: [{ name: a, func: time, target: { name: b, when: { value: soon } } }, { name: b }]\n",
    /waits for soon/,
  ],
];

for (const [name, text, message] of unusable) {
  test(`import: ${name} is refused with its line`, () => {
    assert.throws(() => importStateService("f.yaml", text, { name: "m", offset: "Z" }), message);
  });
}

test("import: a circle of states goes round, and what cannot be reached is left out", () => {
  const circle =
    "current_state: a\nstates:\n  - { name: a, func: increment, current: { key: c, value: 1 }, target: { name: b, when: { key: c, value: 3 } } }\n  - { name: b, func: increment, target: { name: a, when: { key: c, value: 1 } } }\n  - { name: lost, func: increment, target: { name: a, when: { key: c, value: 1 } } }\n";
  const imported = importStateService("c.yaml", circle, { name: "circle", offset: "Z" });
  const { repository } = desired({ "machines/c.yaml": imported.machine, "hosts/c.yaml": imported.group }).loaded;
  const transitions = repository.machines
    .get("circle")
    ?.transitions.map(({ from, to, when }) => `${from} ${to} ${when}`);
  assert.equal(transitions, ["b a updates >= 1", "a b updates >= 2"]);
});

test.run();
