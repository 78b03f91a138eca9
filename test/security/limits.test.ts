// Clients that are slow, many, long-winded or not clear: each meets a limit, and others are answered meanwhile.
import { gzipSync } from "node:zlib";
import * as assert from "uvu/assert";
import { asOperator, bearer, type HttpRig, type ServeOptions, serve } from "../support/http.ts";
import { head, RawClient } from "../support/raw-http.ts";
import { suite } from "../support/suite.ts";
import { until } from "../support/temp.ts";

const test = suite("security-limits");
const files = {
  "machines/os.yaml": {
    machine: "os",
    initial: "old",
    states: { old: { enter: [{ from: "new" }] }, new: { enter: [{ from: "old" }] } },
  },
  "hosts/a.yaml": { host: "a", transport: "agent", machines: ["os"] },
  "hosts/b.yaml": { host: "b", transport: "agent", machines: ["os"] },
};
const json = { "content-type": "application/json" };
const reports = "/v1/hosts/a/reports";
const flood = Number(process.env.STATEWARD_TEST_FLOOD ?? 3000);

interface Rig extends HttpRig {
  readonly port: number;
}

async function open(options: ServeOptions = {}): Promise<Rig> {
  const rig = await serve(files, options);
  const port = Number(new URL(await rig.app.listen({ host: "127.0.0.1", port: 0 })).port);
  return { ...rig, port, [Symbol.asyncDispose]: () => rig[Symbol.asyncDispose]() };
}

/** Somebody else asks, on a connection of their own. */
async function isAnswered(port: number): Promise<void> {
  const client = await RawClient.connect(port);
  client.send(head("GET", "/v1/hosts/b", bearer("b")));
  assert.equal(await client.answers(), [200]);
  client.close();
}

const short = { headersTimeoutMs: 200, requestTimeoutMs: 400, idleTimeoutMs: 200, checkEveryMs: 50 };
const slow: readonly (readonly [what: string, begin: string, more: string])[] = [
  ["says nothing", "", ""],
  ["sends a head byte by byte", "GET /healthz HTTP/1.1\r\nx: ", "y"],
  ["sends headers without end", "GET /healthz HTTP/1.1\r\n", "x-more: 1\r\n"],
  ["sends empty lines", "", "\r\n"],
  ["does not send its body", head("POST", reports, { ...json, ...bearer("a"), "content-length": "100" }), ""],
  ["sends its body byte by byte", head("POST", reports, { ...json, ...bearer("a"), "content-length": "60000" }), "{"],
  [
    "sends its chunks byte by byte",
    head("POST", reports, { ...json, ...bearer("a"), "transfer-encoding": "chunked" }),
    "1\r\n{\r\n",
  ],
  ["does not send the rest of a refused body", head("POST", reports, { ...json, "content-length": "60000" }), "{"],
  ["keeps its connection after an answer", head("GET", "/healthz"), ""],
];

for (const [what, begin, more] of slow) {
  test(`A4: whoever ${what} is cut off, and others are answered meanwhile`, async () => {
    await using rig = await open({ limits: short });
    const clients = await Promise.all(Array.from({ length: 10 }, () => RawClient.connect(rig.port)));
    for (const client of clients) client.send(begin);
    // Slow, and never silent for as long as an idle connection may be.
    const timer = setInterval(() => {
      if (more !== "") for (const client of clients) client.send(more);
    }, 40);
    try {
      await isAnswered(rig.port);
      for (const client of clients) await client.end();
      await isAnswered(rig.port);
    } finally {
      clearInterval(timer);
      for (const client of clients) client.close();
    }
    assert.is(rig.record.changes.filter(({ record }) => record.name === "a").length, 0);
  });
}

test("A4: with the limits that a reconciler has, every one of them is set", async () => {
  await using rig = await open();
  const { server, initialConfig } = rig.app;
  assert.ok(server.headersTimeout > 0 && server.headersTimeout <= 10_000);
  assert.ok(server.requestTimeout > 0 && server.requestTimeout <= 30_000);
  assert.ok(server.keepAliveTimeout > 0 && server.keepAliveTimeout <= 60_000);
  assert.ok(server.maxConnections > 0 && server.maxConnections <= 5000);
  assert.ok((server.maxRequestsPerSocket ?? 0) > 0);
  assert.is(initialConfig.bodyLimit, 65_536);
});

test("A4: more connections than there may be are closed; those that stand are answered, and so are others later", async () => {
  await using rig = await open({ limits: { connectionsMax: 20 } });
  const first = await RawClient.connect(rig.port);
  first.send(head("GET", "/healthz"));
  await first.answers();
  const clients = await Promise.all(Array.from({ length: 100 }, () => RawClient.connect(rig.port)));
  await until("the others are closed", () => clients.filter(({ ended }) => ended).length >= 81);
  assert.is(clients.filter(({ ended }) => ended).length, 81);
  first.send(head("GET", "/v1/hosts/b", bearer("b")));
  assert.equal(await first.answers(2), [200, 200]);
  for (const client of clients) client.close();
  await until("there is room", async () => {
    const client = await RawClient.connect(rig.port);
    client.send(head("GET", "/healthz"));
    await until("an answer or an end", () => client.ended || client.statuses().length > 0);
    client.close();
    return client.statuses().length > 0;
  });
});

test("A4: a head that is too long is refused, and too many headers are not kept", async () => {
  await using rig = await open();
  for (const [headers, wanted] of [
    [{ "x-long": "x".repeat(20_000) }, [431, 400]],
    [Object.fromEntries(Array.from({ length: 500 }, (_, at) => [`x-${at}`, "x".repeat(40)])), [431, 400]],
    [
      { ...Object.fromEntries(Array.from({ length: 150 }, (_, at) => [`x-${at}`, "1"])), ...asOperator },
      [401, 400, 431],
    ],
  ] as const) {
    const client = await RawClient.connect(rig.port);
    client.send(head("GET", "/v1/hosts", headers));
    const [status = 0] = await client.answers();
    assert.ok((wanted as readonly number[]).includes(status), String(status));
    client.close();
  }
  const client = await RawClient.connect(rig.port);
  client.send(`GET /${"a".repeat(50_000)} HTTP/1.1\r\nhost: a\r\n\r\n`);
  assert.ok([400, 414, 431].includes((await client.answers())[0] ?? 0));
  client.close();
});

test("A4: bodies: too long, without end, packed, deep, or not what they say: refused, and nothing is recorded", async () => {
  await using rig = await open();
  const good = JSON.stringify({ incarnation: "a-life-000001", sequence: 1 });
  const packed = gzipSync("0".repeat(50_000_000));
  const post = (headers: Record<string, string>, body: string | Buffer): Buffer =>
    Buffer.concat([Buffer.from(head("POST", reports, { ...json, ...bearer("a"), ...headers })), Buffer.from(body)]);
  const sized = (body: string | Buffer, headers: Record<string, string> = {}): Buffer =>
    post({ "content-length": String(Buffer.byteLength(body)), ...headers }, body);
  const cases: readonly (readonly [Buffer, readonly number[]])[] = [
    [sized(JSON.stringify({ x: "y".repeat(70_000) })), [413]],
    [sized(packed, { "content-encoding": "gzip" }), [400, 415]],
    [sized(gzipSync(good), { "content-encoding": "gzip" }), [400, 415]],
    [sized(`${"[".repeat(30_000)}${"]".repeat(30_000)}`), [400]],
    [sized(`{"a":${"[".repeat(60_000)}`), [400]],
    [sized('{"__proto__":{"incarnation":"a-life-000001","sequence":1}}'), [400]],
    [sized(`{"incarnation":"a-life-000001","sequence":1,"constructor":{"prototype":{}}}`), [400]],
    [sized(`{"incarnation":"a-life-000001","sequence":1e999}`), [400]],
    [sized(`{"incarnation":"a-life-000001","sequence":1,"states":{"__proto__":"new"}}`), [400]],
    [sized(`{"incarnation":"a-life-000001","sequence":1,"states":{"constructor":"new"}}`), [400]],
    [sized(Buffer.from([0xff, 0xfe, 0x7b, 0x00])), [400]],
    [sized(""), [400]],
    [sized("\u0000"), [400]],
    [post({ "transfer-encoding": "chunked" }, `ffffffff\r\n${"x".repeat(80_000)}`), [413]],
    [post({ "transfer-encoding": "chunked" }, "-1\r\nx\r\n0\r\n\r\n"), [400]],
    [post({ "transfer-encoding": "chunked" }, "fffffffffffffffff\r\nx"), [400]],
    [post({ "transfer-encoding": "chunked" }, `1;${"x".repeat(100_000)}\r\n{\r\n`), [400, 413, 431]],
  ];
  for (const [bytes, statuses] of cases) {
    const client = await RawClient.connect(rig.port);
    client.send(bytes);
    const [status = 0] = await client.answers();
    assert.ok(statuses.includes(status), `${status} for ${bytes.toString("latin1").slice(0, 400)}`);
    client.close();
  }
  assert.is(rig.record.changes.filter(({ record }) => record.name === "a").length, 0);
  await isAnswered(rig.port);
});

const words = '{"select":"a","reason":"x","by":"smuggler"}';
const hidden = `${head("POST", "/v1/holds", { ...json, ...asOperator, "content-length": String(words.length) })}${words}`;
/** Heads of which one server might see one end, and a proxy before it another. */
const unclear: readonly (readonly [string, readonly string[]])[] = [
  ["two lengths", ["content-length: 0", `content-length: ${hidden.length}`]],
  ["two lengths in one", [`content-length: 0, ${hidden.length}`]],
  ["a length and chunks", ["content-length: 5", "transfer-encoding: chunked"]],
  ["chunks and a length", ["transfer-encoding: chunked", "content-length: 5"]],
  ["an encoding that is none", ["transfer-encoding: xchunked"]],
  ["chunks that are not the last encoding", ["transfer-encoding: chunked, identity"]],
  ["two encodings", ["transfer-encoding: chunked", "transfer-encoding: identity"]],
  ["a space before the colon", ["transfer-encoding : chunked"]],
  ["a tab before the value's end", ["transfer-encoding: \u000bchunked"]],
  ["a folded header", ["x: y\r\n transfer-encoding: chunked", "content-length: 0, 1"]],
  ["a sign before the length", ["content-length: +0"]],
  ["a length below nothing", ["content-length: -1"]],
  ["a hexadecimal length", ["content-length: 0x0"]],
  ["a length with a space in it", ["content-length: 1 0"]],
  ["a bare carriage return", ["x: y\rcontent-length: 5"]],
  ["a bare line feed", ["x: y\ncontent-length: 5", "content-length: 0"]],
  ["a zero in a header", ["x: y\u0000z"]],
];

test("A3, A4: a request that can be read in two ways is not read at all, and nothing that hides in it is done", async () => {
  await using rig = await open();
  for (const [what, lines] of unclear) {
    const client = await RawClient.connect(rig.port);
    const top = `POST ${reports} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\nauthorization: ${asOperator.authorization}\r\n`;
    client.send(`${top}${lines.join("\r\n")}\r\n\r\n0\r\n\r\n${hidden}`);
    const [status = 0] = await client.answers();
    assert.ok(status >= 400 && status < 500, `${what}: ${status}`);
    await client.end();
    assert.is(client.statuses().length, 1, `${what}: ${client.received}`);
  }
  assert.equal(rig.engine.fleet().holds, []);
  const client = await RawClient.connect(rig.port);
  client.send(hidden);
  assert.equal(await client.answers(), [201], "by itself it would have been done");
  client.close();
});

test("A4: many requests on one connection are answered in turn, up to a number", async () => {
  await using rig = await open({ limits: { requestsMax: 300 } });
  const client = await RawClient.connect(rig.port);
  client.send(head("GET", "/healthz").repeat(200));
  await client.answers(200);
  client.send(head("GET", "/healthz").repeat(10_000));
  await client.end();
  const answered = client.statuses().filter((status) => status === 200).length;
  assert.ok(answered <= 300, `${answered} were answered`);
  await isAnswered(rig.port);
});

test("A4: a flood of reports is taken one after the other, keeps nothing, and others are answered", async () => {
  await using rig = await open();
  const clients = await Promise.all(Array.from({ length: 30 }, () => RawClient.connect(rig.port)));
  let sequence = 0;
  const report = (): string => {
    const body = JSON.stringify({
      incarnation: "a-life-000001",
      sequence: ++sequence,
      states: { os: "old" },
      facts: { x: "y".repeat(900) },
    });
    return head("POST", reports, { ...json, ...bearer("a"), "content-length": String(body.length) }) + body;
  };
  const each = Math.ceil(flood / clients.length);
  for (const client of clients) client.send(Array.from({ length: each }, report).join(""));
  await isAnswered(rig.port);
  const statuses = (await Promise.all(clients.map((client) => client.answers(each)))).flat();
  assert.ok(
    statuses.every((status) => status === 202 || status === 409),
    String(statuses.find((status) => status !== 202)),
  );
  assert.ok(statuses.includes(202));
  assert.ok(rig.record.changes.length < 20, `${rig.record.changes.length} changes were recorded`);
  for (const client of clients) client.close();
  await isAnswered(rig.port);
});

test.run();
