// Reports, tokens and policies: what is refused changes nothing, and says why (A1, A4, R3, D1).
import * as assert from "uvu/assert";
import { issueToken, readBearer, rememberingReader } from "../../reconciler/server/tokens.ts";
import { asOperator, bearer, key, operator, serve } from "../support/http.ts";
import { suite } from "../support/suite.ts";

const test = suite("reports");
const passive = {
  machine: "os",
  initial: "old",
  states: { old: { enter: [{ from: "new" }] }, new: { enter: [{ from: "old" }] } },
};
const files = {
  "machines/os.yaml": passive,
  "hosts/a.yaml": { host: "a", transport: "agent", machines: ["os"] },
  "hosts/b.yaml": { host: "b", transport: "agent", machines: ["os"] },
};
const life = "a-life-000001";
const good = { incarnation: life, sequence: 5, states: { os: "old" }, facts: { kernel: "6" } };

test("D1: a report is taken, and what it changes is recorded before the answer", async () => {
  await using rig = await serve(files);
  const post = (payload: object) =>
    rig.app.inject({ method: "POST", url: "/v1/hosts/a/reports", headers: bearer("a"), payload });
  assert.is((await post(good)).statusCode, 202);
  const answer = await post({ ...good, sequence: 6, states: { os: { state: "new", revision: 9 } } });
  assert.is(answer.statusCode, 202, answer.body);
  const last = rig.record.changes.at(-1)?.record;
  assert.equal([last?.name, last?.machines.os?.state, last?.incarnation, last?.sequence], ["a", "new", life, 6]);
});

test("R2: a heartbeat that changes nothing is not recorded", async () => {
  await using rig = await serve(files);
  const post = (sequence: number) =>
    rig.app.inject({
      method: "POST",
      url: "/v1/hosts/a/reports",
      headers: bearer("a"),
      payload: { ...good, sequence },
    });
  await post(1);
  const before = rig.record.changes.length;
  for (let sequence = 2; sequence < 50; sequence++) assert.is((await post(sequence)).statusCode, 202);
  assert.is(rig.record.changes.length, before);
});

const refused: readonly [
  string,
  { url?: string; headers?: Record<string, string>; payload?: unknown; type?: string },
  number,
  string,
][] = [
  ["no token", { headers: {} }, 401, "Unauthorized"],
  [
    "a token that was tampered with",
    { headers: { authorization: `${bearer("a").authorization.slice(0, -2)}xx` } },
    401,
    "Unauthorized",
  ],
  [
    "a token of another key",
    { headers: { authorization: `Bearer ${issueToken(Buffer.alloc(32, 8), { kind: "subject", name: "a" })}` } },
    401,
    "Unauthorized",
  ],
  ["A1: another host's token", { headers: bearer("b") }, 403, "Forbidden"],
  ["an unknown host", { url: "/v1/hosts/nobody/reports", headers: asOperator }, 404, "UnknownSubject"],
  ["a stale sequence", { payload: { ...good, sequence: 5 } }, 409, "StaleSequence"],
  ["an old incarnation", { payload: { ...good, incarnation: "a-life-000000", sequence: 99 } }, 409, "OldIncarnation"],
  [
    "a state that the machine does not have",
    { payload: { ...good, sequence: 9, states: { os: "melted" } } },
    422,
    "UnknownState",
  ],
  [
    "a machine that the host does not carry",
    { payload: { ...good, sequence: 9, states: { lamp: "on" } } },
    422,
    "UnknownState",
  ],
  ["a body over 64 KiB", { payload: { ...good, facts: { x: "y".repeat(70_000) } } }, 413, "BodyTooLarge"],
  ["the wrong type", { payload: { ...good, sequence: "6" } }, 400, "InvalidBody"],
  ["an unknown key", { payload: { ...good, extra: 1 } }, 400, "InvalidBody"],
  ["a missing key", { payload: { sequence: 6 } }, 400, "InvalidBody"],
  ["a body that is not JSON", { payload: "{", type: "application/json" }, 400, "InvalidBody"],
  ["a body of another type", { payload: "a=1", type: "application/x-www-form-urlencoded" }, 415, "UnsupportedType"],
];

for (const [name, request, status, title] of refused) {
  test(`${name}: ${status} ${title}, and nothing changes`, async () => {
    await using rig = await serve(files);
    const send = (payload: object) =>
      rig.app.inject({ method: "POST", url: "/v1/hosts/a/reports", headers: bearer("a"), payload });
    await send({ ...good, incarnation: "a-life-000000", sequence: 1 });
    await send(good);
    const before = JSON.stringify([rig.record.changes.length, rig.engine.recordOf("a")]);
    const answer = await rig.app.inject({
      method: "POST",
      url: request.url ?? "/v1/hosts/a/reports",
      headers: { ...(request.headers ?? bearer("a")), ...(request.type ? { "content-type": request.type } : {}) },
      payload: request.payload ?? { ...good, sequence: 6 },
    });
    assert.is(answer.statusCode, status, answer.body);
    assert.match(String(answer.headers["content-type"]), /^application\/problem\+json/);
    assert.is(answer.json<{ title: string }>().title, title);
    assert.is(JSON.stringify([rig.record.changes.length, rig.engine.recordOf("a")]), before);
  });
}

test("R3: a sequence that was acknowledged is not accepted again after a restart", async () => {
  await using first = await serve(files);
  const post = (rig: typeof first, sequence: number, state: string) =>
    rig.app.inject({
      method: "POST",
      url: "/v1/hosts/a/reports",
      headers: bearer("a"),
      payload: { ...good, sequence, states: { os: state } },
    });
  await post(first, 10, "old");
  await post(first, 11, "new");
  await using second = await serve(files, { record: first.record });
  assert.is((await post(second, 10, "old")).statusCode, 409);
  assert.is((await post(second, 12, "old")).statusCode, 202);
});

test("R3: a host that is looked at is known by what was seen of it; a report of another life is refused", async () => {
  await using rig = await serve({
    "machines/os.yaml": passive,
    "hosts/s.yaml": { host: "s", transport: "local", machines: ["os"] },
  });
  const post = (incarnation: string, sequence: number) =>
    rig.app.inject({
      method: "POST",
      url: "/v1/hosts/s/reports",
      headers: bearer("s"),
      payload: { incarnation, sequence, states: { os: "new" } },
    });
  assert.is((await post("forged-life-1", 1)).json<{ title: string }>().title, "OtherIncarnation");
  assert.is((await post("s-life-0001", 2)).statusCode, 202);
  assert.is(rig.engine.recordOf("s")?.machines.os?.state, "new");
});

test("R4: a new incarnation is a rebuilt host", async () => {
  await using rig = await serve(files);
  const post = (payload: object) =>
    rig.app.inject({ method: "POST", url: "/v1/hosts/a/reports", headers: bearer("a"), payload });
  await post({ ...good, states: { os: "new" } });
  await post({ incarnation: "a-life-000002", sequence: 1 });
  const record = rig.engine.recordOf("a");
  assert.equal(
    [record?.incarnation, record?.former, record?.machines.os?.state],
    ["a-life-000002", [life], "new"],
    "replayed: the edge has no steps",
  );
});

test("A1: a host's token reads that host alone; the list is for operators", async () => {
  await using rig = await serve(files);
  const get = async (url: string, headers: Record<string, string>) =>
    (await rig.app.inject({ url, headers })).statusCode;
  assert.is(await get("/v1/hosts/a", bearer("a")), 200);
  assert.is(await get("/v1/hosts/b", bearer("a")), 403);
  assert.is(await get("/v1/hosts", bearer("a")), 403);
  assert.is(await get("/v1/hosts", asOperator), 200);
  assert.is(await get("/v1/hosts/nobody", asOperator), 404);
  assert.is(await get("/v1/hosts/a", {}), 401);
});

test("A4: what no route names is refused before its body is read, without a token and with one", async () => {
  await using rig = await serve(files);
  for (const [method, url] of [
    ["POST", "/v1/hosts"],
    ["DELETE", "/v1/hosts/a"],
    ["GET", "/admin"],
    ["POST", "/healthz"],
    ["PATCH", "/state"],
    ["GET", "/v1/hosts/..%2f..%2fetc"],
  ] as const) {
    for (const headers of [{}, asOperator]) {
      const answer = await rig.app.inject({
        method,
        url,
        headers: { ...headers, "content-type": "application/json" },
        payload: "{ not json",
      });
      assert.ok([400, 401, 404].includes(answer.statusCode), `${method} ${url}: ${answer.statusCode}`);
      assert.match(String(answer.headers["content-type"]), /^application\/problem\+json/);
    }
  }
});

test("A4: a body is not read before the token is checked", async () => {
  await using rig = await serve(files);
  const answer = await rig.app.inject({
    method: "POST",
    url: "/v1/hosts/a/reports",
    headers: { "content-type": "application/json" },
    payload: "{ not json",
  });
  assert.is(answer.statusCode, 401);
});

test("health: alive, ready, and an OpenAPI document that names every route", async () => {
  await using rig = await serve(files);
  assert.equal((await rig.app.inject({ url: "/healthz" })).json(), { status: "ok", instance: "test" });
  const ready = (await rig.app.inject({ url: "/readyz" })).json<{ status: string; problems: unknown[] }>();
  assert.equal([ready.status, ready.problems], ["ok", []]);
  const { paths, openapi } = (await rig.app.inject({ url: "/openapi.json" })).json<{
    paths: object;
    openapi: string;
  }>();
  assert.is(openapi, "3.1.0");
  for (const path of ["/v1/hosts/{host}/reports", "/v1/hosts", "/v1/hosts/{host}", "/healthz", "/readyz", "/state"])
    assert.ok(path in paths, path);
});

test("A1: tokens: each speaks for one bearer, and nothing near it does, also when the good one was seen before", () => {
  const remembering = rememberingReader(key);
  const read = (header: string | undefined): unknown => {
    const bearer = readBearer(key, header);
    for (let time = 0; time < 2; time++) assert.equal(remembering(header), bearer);
    return bearer;
  };
  assert.equal(read(`Bearer ${operator}`), { kind: "operator" });
  assert.equal(read(bearer("a.b-c").authorization), { kind: "subject", name: "a.b-c" });
  assert.equal(read(bearer("a").authorization), { kind: "subject", name: "a" });
  const [, , name = "", mac = ""] = issueToken(key, { kind: "subject", name: "a" }).split(".");
  for (const forged of [
    undefined,
    "",
    "Bearer ",
    `Bearer sw1.operator..${mac}`,
    `Bearer sw1.subject.b.${mac}`,
    `bearer sw1.subject.${name}.${mac}`,
    `Bearer sw1.subject.a.${mac}=`,
    `Basic ${mac}`,
    bearer("a").authorization.slice(0, -1),
    `${bearer("a").authorization}=`,
    `${bearer("a").authorization.slice(0, -1)}${mac.endsWith("A") ? "B" : "A"}`,
    bearer("a").authorization.replace(".a.", ".A."),
  ]) {
    assert.is(read(forged), null, String(forged));
  }
});

test.run();
