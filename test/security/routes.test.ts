// Every route with every sort of bearer: who gets in, and that whoever does not is told so before any of the body is there (A1, A4).
import fastify from "fastify";
import * as assert from "uvu/assert";
import { enforcePolicies, type Policy } from "../../reconciler/server/policy.ts";
import { issueToken } from "../../reconciler/server/tokens.ts";
import { bearer, type HttpRig, key, operator, serve } from "../support/http.ts";
import { head, RawClient } from "../support/raw-http.ts";
import { suite } from "../support/suite.ts";

const test = suite("security-routes");

/** The whole table: a route that is added has to be added here, with who may use it. */
const routes: Readonly<Record<string, Policy>> = {
  "GET /healthz": "public",
  "GET /readyz": "public",
  "GET /openapi.json": "public",
  "GET /v1/hosts": "operator",
  "GET /v1/groups": "operator",
  "GET /v1/hosts/:host": "subject",
  "POST /v1/hosts/:host/reports": "subject",
  "POST /v1/hosts/:host/verdicts": "operator",
  "POST /v1/hosts/:host/replays": "operator",
  "GET /v1/hosts/:host/why": "operator",
  "GET /v1/fleet": "operator",
  "POST /v1/holds": "operator",
  "POST /v1/releases": "operator",
  "POST /v1/approvals": "operator",
  "POST /v1/brake-releases": "operator",
  "POST /v1/record/archives": "operator",
  "POST /v1/hooks/git": "hook",
  "POST /v1/hooks/github": "hook",
  "GET /state": "state",
  "PUT /state": "state",
};
const all = Object.entries(routes).flatMap(([route, policy]) => {
  const [method = "", path = ""] = route.split(" ");
  const both = method === "GET" ? ["GET", "HEAD"] : [method];
  return both.map((verb) => ({ method: verb, path, policy }));
});

const machine = {
  machine: "os",
  initial: "old",
  states: { old: { enter: [{ from: "new" }] }, new: { enter: [{ from: "old" }] } },
};
const files = {
  "machines/os.yaml": machine,
  "hosts/a.yaml": { host: "a", transport: "agent", machines: ["os"] },
  "hosts/b.yaml": { host: "b", transport: "agent", machines: ["os"] },
};

const foreign = Buffer.alloc(32, 99);
const signedWith = (other: Buffer, name: string): string => issueToken(other, { kind: "subject", name });
type Who = "nobody" | "other host" | "host" | "operator";
/** Sorts of bearers about host a, and what each is good for. */
const bearers: readonly (readonly [string, Readonly<Record<string, string>>, Who])[] = [
  ["no token", {}, "nobody"],
  ["an empty token", { authorization: "Bearer " }, "nobody"],
  ["another scheme", { authorization: `Basic ${Buffer.from(`operator:${operator}`).toString("base64")}` }, "nobody"],
  [
    "an operator's token of another key",
    { authorization: `Bearer ${issueToken(foreign, { kind: "operator" })}` },
    "nobody",
  ],
  ["the host's token of another key", { authorization: `Bearer ${signedWith(foreign, "a")}` }, "nobody"],
  [
    "a host's token that says operator",
    { authorization: `Bearer ${signedWith(key, "a").replace("subject.a", "operator.")}` },
    "nobody",
  ],
  [
    "another host's token with this host's name",
    { authorization: `Bearer ${signedWith(key, "b").replace(".b.", ".a.")}` },
    "nobody",
  ],
  ["a token in the query alone", { "x-query": `access_token=${operator}` }, "nobody"],
  ["two tokens", { authorization: `Bearer ${signedWith(key, "b")}, Bearer ${operator}` }, "nobody"],
  ["the other host's token", bearer("b"), "other host"],
  ["the token of a host that is not there", bearer("c"), "other host"],
  ["the host's own token", bearer("a"), "host"],
  ["an operator's token", { authorization: `Bearer ${operator}` }, "operator"],
];

/** What a policy answers; null where it lets the request through. */
function refusal(policy: Policy, who: Who): number | null {
  if (policy === "public") return null;
  if (policy === "hook" || who === "nobody") return 401;
  return who === "operator" || (who === "host" && policy !== "operator") ? null : 403;
}

const address = (path: string, more = ""): string =>
  `${path.replace(":host", "a")}${path === "/state" ? "?state=old&subject=a" : "?x=1"}${more === "" ? "" : `&${more}`}`;

async function listening(rig: HttpRig): Promise<number> {
  return Number(new URL(await rig.app.listen({ host: "127.0.0.1", port: 0 })).port);
}

test("A4: the server has these routes and no others, and each has its policy", async () => {
  await using rig = await serve(files);
  const printed = rig.app.printRoutes({ commonPrefix: false });
  const stack: string[] = [];
  const found: string[] = [];
  for (const line of printed.split("\n")) {
    const [, indent = "", path = "", methods] =
      /^([\s\u2502]*)[\u251c\u2514]\u2500\u2500 (\S+)(?: \((.*)\))?$/.exec(line) ?? [];
    if (path === "") continue;
    stack.length = indent.length / 4;
    stack.push(path);
    for (const method of methods?.split(", ") ?? []) found.push(`${method} ${stack.join("")}`);
  }
  assert.equal(found.toSorted(), all.map(({ method, path }) => `${method} ${path}`).toSorted());
});

test("A4: a route without a policy keeps the server from starting", () => {
  const app = fastify();
  enforcePolicies(app, { key, stateAccess: () => "token", hookSecret: null });
  assert.throws(() => app.get("/more", () => "x"), /names no policy/);
});

for (const [what, headers, who] of bearers) {
  test(`A1, A4: ${what}: each route answers by its policy, before a byte of the body has come`, async () => {
    await using rig = await serve(files, { hookSecret: "not a password" });
    const port = await listening(rig);
    const before = JSON.stringify([rig.engine.recordOf("a"), rig.engine.recordOf("b"), rig.record.changes.length]);
    let refused = 0;
    for (const { method, path, policy } of all) {
      const { "x-query": query = "", ...plain } = headers;
      const wanted = refusal(policy, who);
      const hasBody = method === "POST" || method === "PUT";
      if (wanted === null && hasBody) continue;
      const body: Record<string, string> = hasBody
        ? { "content-type": "application/json", "content-length": "60000" }
        : {};
      const client = await RawClient.connect(port);
      client.send(head(method, address(path, query), { ...plain, ...body }));
      const [status = 0] = await client.answers();
      client.close();
      if (wanted === null) assert.not.ok([401, 403].includes(status), `${method} ${path}: ${status}`);
      else assert.is(status, wanted, `${method} ${path}`);
      if (wanted !== null) refused++;
    }
    assert.ok(refused > 0 || who === "operator");
    assert.is(JSON.stringify([rig.engine.recordOf("a"), rig.engine.recordOf("b"), rig.record.changes.length]), before);
    assert.equal(rig.calls, []);
  });
}

test("A4: nobody is invited to send a body that will not be read; whoever may send one is", async () => {
  await using rig = await serve(files, { hookSecret: "not a password" });
  const port = await listening(rig);
  const ask = async (path: string, headers: Record<string, string>): Promise<number[]> => {
    const client = await RawClient.connect(port);
    client.send(
      head("POST", path, {
        expect: "100-continue",
        "content-type": "application/json",
        "content-length": "2",
        ...headers,
      }),
    );
    const [first] = await client.answers();
    if (first === 100) {
      client.send("{}");
      await client.answers(2);
    }
    client.close();
    return client.statuses();
  };
  assert.equal(await ask("/v1/hosts/a/reports", {}), [401]);
  assert.equal(await ask("/v1/hosts/a/reports", bearer("b")), [403]);
  assert.equal(await ask("/v1/nothing", bearer("a")), [404]);
  assert.equal(await ask("/v1/hooks/git", {}), [401]);
  assert.equal(await ask("/v1/hosts/a/reports", { ...bearer("a"), "content-length": "100000" }), [413]);
  assert.equal(await ask("/v1/hosts/a/reports", bearer("a")), [100, 400]);
});

const operators = { authorization: `Bearer ${operator}` };
const json = { "content-type": "application/json" };
/** What is refused whoever asks, with a body that never comes. */
const strange: readonly (readonly [
  method: string,
  path: string,
  headers: Record<string, string>,
  statuses: readonly number[],
])[] = [
  ["POST", "/v1/hosts", json, [404]],
  ["DELETE", "/v1/hosts/a", json, [404]],
  ["PATCH", "/state", json, [404]],
  ["OPTIONS", "/v1/hosts", json, [404]],
  ["PUT", "/v1/hosts/a/reports", json, [404]],
  ["POST", "/v1/hosts/a/reports/", json, [404]],
  ["POST", "//v1/hosts/a/reports", json, [404]],
  ["POST", "/V1/hosts/a/reports", json, [404]],
  ["POST", "/v1/hosts/%zz/reports", json, [400]],
  ["POST", `/v1/hosts/${"a".repeat(300)}/reports`, json, [404, 414]],
  ["POST", "/admin", json, [404]],
  ["POST", "/v1/hosts/a/reports", { "content-type": "text/xml" }, [415]],
  ["POST", "/v1/hosts/a/reports", { "content-type": "application/json; charset=\u0000" }, [400]],
  ["POST", "/v1/hosts/a/reports", { "content-type": "multipart/form-data; boundary=x" }, [415]],
  ["POST", "/v1/hosts/a/reports", { ...json, "content-length": "65537" }, [413]],
  ["POST", "/v1/hosts/a/reports", { ...json, "content-length": "99999999999999" }, [413]],
  ["PUT", "/state?state=old&subject=a", { "content-length": "65537" }, [413]],
  ["BREW", "/state", json, [400]],
];

test("A4: what no route names, of a type that nobody reads or too long, is refused before it is sent, by operators as well", async () => {
  await using rig = await serve(files);
  const port = await listening(rig);
  for (const [method, path, headers, statuses] of strange) {
    const client = await RawClient.connect(port);
    client.send(head(method, path, { "content-length": "1000", ...operators, ...headers }));
    const [status = 0] = await client.answers();
    assert.ok(statuses.includes(status), `${method} ${path} ${JSON.stringify(headers)}: ${status}`);
    client.close();
  }
  assert.is(rig.record.changes.filter(({ record }) => record.name === "a").length, 0);
});

test("A4: whoever is refused cannot go on sending: the connection is closed", async () => {
  // No other limit ends it.
  await using rig = await serve(files, { limits: { headersTimeoutMs: 200_000, requestTimeoutMs: 200_000 } });
  const client = await RawClient.connect(await listening(rig));
  client.send(head("POST", "/v1/hosts/a/reports", { ...json, "transfer-encoding": "chunked" }));
  assert.equal(await client.answers(), [401]);
  assert.match(client.received, /\r\nconnection: close\r\n/i);
  for (let chunk = 0; chunk < 2000 && !client.ended; chunk++) {
    client.send(`1000\r\n${"x".repeat(4096)}\r\n`);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await client.end();
});

test("A1: no way of writing an address leads a host's token to another host", async () => {
  await using rig = await serve(files);
  const port = await listening(rig);
  const body = JSON.stringify({ incarnation: "a-life-000001", sequence: 1, states: { os: "new" } });
  const paths = [
    "/v1/hosts/b",
    "/v1/hosts/b?host=a",
    "/v1/hosts/%62",
    "/v1/hosts/a/../b",
    "/v1/hosts/a%2f..%2fb",
    "/v1/hosts/./b",
    "/v1/hosts//b",
    "/v1/hosts/b;a",
    "/v1/hosts/b#a",
    "/v1/hosts/b%00a",
    "/v1/hosts/a%00b",
    "/v1/hosts/b%20",
    "http://a/v1/hosts/b",
    "/v1/hosts/\u0061\u0300",
    "/v1/hosts/*",
    "/v1/hosts/a,b",
  ];
  const states = [
    "state=old",
    "state=old&subject=b",
    "state=old&subject=a&subject=b",
    "state=old&subject=b&subject=a",
    "state=old&subject[]=a",
    "state=old&subject=",
    "state=old&Subject=a&subject=b",
    "state=old&subject=a%00",
    "state=old&subject=a;subject=b",
  ];
  for (const [method, path] of [
    ...paths.flatMap(
      (path) =>
        [
          ["GET", path],
          ["POST", path.replace(/b\b(?!.*b)/, "b/reports")],
        ] as const,
    ),
    ...states.flatMap(
      (query) =>
        [
          ["GET", `/state?${query}`],
          ["PUT", `/state?${query}`],
        ] as const,
    ),
  ]) {
    const client = await RawClient.connect(port);
    const more: Record<string, string> = method === "GET" ? {} : { ...json, "content-length": String(body.length) };
    client.send(
      Buffer.from(`${head(method, path, { ...bearer("a"), ...more, "x-host": "a" })}${method === "GET" ? "" : body}`),
    );
    const [status = 0] = await client.answers();
    assert.ok(status >= 400 && status < 500 && status !== 406, `${method} ${path}: ${status}`);
    assert.not.ok(client.received.includes('"name":"b"'), path);
    client.close();
  }
  assert.is(rig.engine.recordOf("b")?.incarnation ?? null, null);
});

test("A1: the token of a host that was replaced reads that name alone, and writes nothing for it", async () => {
  await using rig = await serve(files);
  const post = async (incarnation: string, sequence: number): Promise<number> =>
    (
      await rig.app.inject({
        method: "POST",
        url: "/v1/hosts/a/reports",
        headers: bearer("a"),
        payload: { incarnation, sequence, states: { os: "new" } },
      })
    ).statusCode;
  assert.is(await post("first-life", 1), 202);
  assert.is(await post("second-life", 1), 202);
  const before = JSON.stringify(rig.engine.recordOf("a"));
  assert.is(await post("first-life", 99), 409);
  assert.is(JSON.stringify(rig.engine.recordOf("a")), before);
  assert.is((await rig.app.inject({ url: "/v1/hosts/b", headers: bearer("a") })).statusCode, 403);
});

test("A1: with another key, every token of before is nobody's", async () => {
  await using rig = await serve(files, { key: foreign });
  for (const headers of [bearer("a"), operators])
    assert.is((await rig.app.inject({ url: "/v1/hosts/a", headers })).statusCode, 401);
  assert.is(
    (await rig.app.inject({ url: "/v1/hosts/a", headers: { authorization: `Bearer ${signedWith(foreign, "a")}` } }))
      .statusCode,
    200,
  );
});

test.run();
