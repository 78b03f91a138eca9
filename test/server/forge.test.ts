// Hooks of GitHub, with the payloads that octokit publishes as examples.
import { createHmac } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import * as assert from "uvu/assert";
import { type HttpRig, serve } from "../support/http.ts";
import { suite } from "../support/suite.ts";
import { lamp, localHost } from "../support/world.ts";

const test = suite("forge-routes");
const files = { "machines/lamp.yaml": lamp, "hosts/a.yaml": localHost("a", { lamp: "on" }) };
const secret = "not a password";

interface Examples {
  readonly name: string;
  readonly examples: readonly { readonly issue?: { number: number }; readonly pull_request?: { number: number } }[];
}

const examples = JSON.parse(
  await readFile(createRequire(import.meta.url).resolve("@octokit/webhooks-examples"), "utf8"),
) as Examples[];
const payloadsOf = (name: string): Examples["examples"] => examples.find((each) => each.name === name)?.examples ?? [];
const signed = (body: string): string => `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`;
let deliveries = 0;

async function post(
  { app }: HttpRig,
  body: string,
  { event = "pull_request", ...headers }: Record<string, string> = {},
): Promise<{ status: number; title: unknown }> {
  const answer = await app.inject({
    method: "POST",
    url: "/v1/hooks/github",
    payload: body,
    headers: {
      "content-type": "application/json",
      "x-github-event": event,
      "x-github-delivery": `delivery-${deliveries++}`,
      "x-hub-signature-256": signed(body),
      ...headers,
    },
  });
  const said = answer.json<{ title?: string; status: string }>();
  return { status: answer.statusCode, title: said.title ?? said.status };
}

test("every published example of an event is heard, and wakes what it is about", async () => {
  const wakes: Record<string, (payload: Examples["examples"][number]) => string[]> = {
    ping: () => [],
    star: () => [],
    push: () => ["wake", "pull request all"],
    pull_request: (payload) => ["wake", `pull request ${payload.pull_request?.number}`],
    issue_comment: (payload) => [`pull request ${payload.issue?.number}`],
    check_run: () => ["pull request all"],
  };
  for (const [event, expected] of Object.entries(wakes)) {
    assert.ok(payloadsOf(event).length > 0, event);
    for (const payload of payloadsOf(event)) {
      await using rig = await serve(files, { hookSecret: secret });
      assert.is((await post(rig, JSON.stringify(payload), { event })).status, 202, event);
      assert.equal(rig.calls, expected(payload), event);
    }
  }
});

test("A4: what is not signed with the secret over these very bytes is refused", async () => {
  await using rig = await serve(files, { hookSecret: secret });
  const body = JSON.stringify(payloadsOf("pull_request")[0]);
  const wrong = createHmac("sha256", "another").update(body).digest("hex");
  for (const signature of [
    "",
    "sha256=",
    `sha256=${wrong}`,
    signed(`${body} `),
    signed(body).slice(7),
    signed(body).toUpperCase(),
  ])
    assert.is((await post(rig, body, { "x-hub-signature-256": signature })).status, 401, signature);
  assert.is((await post(rig, body, { "x-hub-signature-256": "", "x-gitlab-token": secret })).status, 401);
  assert.equal(rig.calls, []);
  await using closed = await serve(files);
  assert.is((await post(closed, body)).status, 401);
});

test("a replay is refused, under its own name and under another one", async () => {
  await using rig = await serve(files, { hookSecret: secret });
  const body = JSON.stringify(payloadsOf("pull_request")[0]);
  const name = { "x-github-delivery": "72d3162e" };
  assert.is((await post(rig, body, name)).status, 202);
  assert.equal(await post(rig, body, name), { status: 409, title: "ReplayedDelivery" });
  assert.equal(await post(rig, body), { status: 409, title: "ReplayedDelivery" }, "no signature covers the name");
  assert.is((await post(rig, body, { "x-github-delivery": "" })).status, 409);
  assert.is(rig.calls.length, 2);
  assert.is((await post(rig, `${body}\n`, name)).status, 409, "the name was used");
});

test("payloads that are not as they should be wake nothing in particular, and break nothing", async () => {
  await using rig = await serve(files, { hookSecret: secret });
  for (const [body, expected] of [
    ["null", 202],
    ["[]", 202],
    ['{"pull_request": null}', 202],
    ['{"pull_request": {"number": "1; rm -rf /"}}', 202],
    ['{"pull_request": {"number": -1}}', 202],
    ['{"pull_request": {"number": 1e300}}', 202],
    ['{"__proto__": {"pull_request": {"number": 7}}}', 202],
    ["", 400],
    ["{", 400],
    ["payload=%7B%7D", 400],
  ] as const)
    assert.is((await post(rig, body)).status, expected, body);
  assert.equal(new Set(rig.calls), new Set(["wake", "pull request all"]));
  assert.is((await post(rig, "{}", { event: "constructor" })).status, 202);
});

test.run();
