// Hooks of a Git host, and the archive.
import { createHmac } from "node:crypto";
import * as assert from "uvu/assert";
import { asOperator, bearer, serve } from "../support/http.ts";
import { suite } from "../support/suite.ts";
import { lamp, localHost } from "../support/world.ts";

const test = suite("record-routes");
const files = { "machines/lamp.yaml": lamp, "hosts/a.yaml": localHost("a", { lamp: "on" }) };
const secret = "not a password";
const payload = JSON.stringify({ ref: "refs/heads/main", text: "Zo\u00eb" });
const digest = createHmac("sha256", secret).update(payload).digest("hex");
const type = { "content-type": "application/json" };

test("a hook is heard when it is signed as GitHub, Gitea or GitLab sign, and in no other case", async () => {
  await using rig = await serve(files, { hookSecret: secret });
  const post = async (headers: Record<string, string>, body = payload): Promise<number> =>
    (await rig.app.inject({ method: "POST", url: "/v1/hooks/git", headers: { ...type, ...headers }, payload: body }))
      .statusCode;
  assert.is(await post({ "x-hub-signature-256": `sha256=${digest}` }), 202);
  assert.is(await post({ "x-gitea-signature": digest }), 202);
  assert.is(await post({ "x-gitlab-token": secret }), 202);
  assert.is(rig.calls.length, 3);
  assert.is(await post({}), 401);
  assert.is(await post({ "x-hub-signature-256": `sha256=${digest}` }, `${payload} `), 401);
  assert.is(await post({ "x-hub-signature-256": digest }), 401);
  assert.is(await post({ "x-gitlab-token": `${secret}x` }), 401);
  assert.is(await post(asOperator), 401, "a token is no signature");
  assert.is(await post({ "x-gitlab-token": secret }, "x".repeat(2_000_000)), 413);
  assert.is(rig.calls.length, 3);
});

test("without a secret no hook is heard, whatever it says", async () => {
  await using rig = await serve(files);
  for (const headers of [{}, { "x-gitlab-token": "" }, { "x-hub-signature-256": `sha256=${digest}` }]) {
    const { statusCode } = await rig.app.inject({ method: "POST", url: "/v1/hooks/git", headers, payload });
    assert.is(statusCode, 401);
  }
  assert.equal(rig.calls, []);
});

test("A4: only an operator has the record archived", async () => {
  await using rig = await serve(files);
  const post = (headers: Record<string, string>) =>
    rig.app.inject({ method: "POST", url: "/v1/record/archives", headers: { ...type, ...headers }, payload: "{}" });
  assert.is((await post({})).statusCode, 401);
  assert.is((await post(bearer("a"))).statusCode, 403);
  const answer = await post(asOperator);
  assert.is(answer.statusCode, 201);
  assert.equal(answer.json(), { branch: "observed-archive/x" });
});

test.run();
