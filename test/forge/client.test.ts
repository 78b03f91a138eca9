// The client against a stand-in for GitHub that holds it to GitHub's own description.
import * as assert from "uvu/assert";
import { GitHub, GitHubBusy, type GitHubCredentials } from "../../reconciler/forge/client.ts";
import { Failure } from "../../reconciler/model/failure.ts";
import { suite } from "../support/suite.ts";
import { type GitHubFault, StandIn } from "./stand-in.ts";

const test = suite("forge/client");

function clientOf(standIn: StandIn, credentials?: GitHubCredentials, timeoutMs = 20_000): GitHub {
  const token = { kind: "token", token: standIn.tokenOf("ana") } as const;
  const { repository, url: api } = standIn;
  return new GitHub({ repository, api, credentials: credentials ?? token, isPatient: false, timeoutMs });
}

const failureOf = async (asked: Promise<unknown>): Promise<Failure> => {
  const error = await asked.then(
    () => null,
    (error: unknown) => error,
  );
  assert.instance(error, Failure);
  return error as Failure;
};

test("an app finds its installation by the repository, and writes as itself", async () => {
  await using standIn = await StandIn.start();
  const github = clientOf(standIn, { kind: "app", appId: standIn.appId, privateKey: standIn.privateKey });
  assert.is(await github.login(), "stateward-test[bot]");
  standIn.addPull({ author: "ana", branch: "more" });
  await github.ask("POST /issues/{issue_number}/comments", { issue_number: 1, body: "hello" });
  assert.equal(
    standIn.comments.map(({ author, body }) => [author, body]),
    [["stateward-test[bot]", "hello"]],
  );
});

test("a pull request is opened once: what is open already is found, also when an answer was lost", async () => {
  await using standIn = await StandIn.start();
  const github = clientOf(standIn);
  const change = { branch: "set-git-1", base: "main", title: "git-1: serving", body: "plan" };
  standIn.fault = "lost";
  standIn.faultOnly = /^POST/;
  const first = await github.open(change);
  standIn.fault = null;
  assert.equal(await github.open(change), { ...first, isNew: false });
  assert.equal([first.number, first.isNew], [1, true]);
  assert.is(standIn.pulls.size, 1);
  assert.is(standIn.asked(/^POST/).length, 1);
});

test("every sort of outage is a Failure that may be tried again, and none shows the token", async () => {
  await using standIn = await StandIn.start();
  const github = clientOf(standIn, undefined, 1000);
  const faults: GitHubFault[] = ["down", "half-open", "cut", "nonsense", "html", "500", "limit", "secondary"];
  for (const fault of faults) {
    standIn.fault = fault;
    const failure = await failureOf(github.list("GET /pulls"));
    assert.is(failure.kind, "transient", `${fault}: ${failure.message}`);
    const shown = JSON.stringify(failure, Object.getOwnPropertyNames(failure)) + String(failure.cause);
    assert.not.ok(shown.includes(standIn.tokenOf("ana")), fault);
  }
  standIn.fault = null;
  assert.equal(await clientOf(standIn).list("GET /pulls"), []);
});

test("a limit says how long GitHub wants to be left alone", async () => {
  await using standIn = await StandIn.start();
  const github = clientOf(standIn);
  await github.login();
  standIn.retryAfterS = 30;
  for (const fault of ["limit", "secondary"] as const) {
    standIn.fault = fault;
    const failure = await failureOf(github.list("GET /pulls"));
    assert.instance(failure, GitHubBusy);
    const { retryAfterMs } = failure as GitHubBusy;
    assert.ok(retryAfterMs > 20_000 && retryAfterMs <= 31_000, `${fault}: ${retryAfterMs}`);
  }
});

/** A client as a reconciler has it, for which a second is a millisecond. */
function patientOf(standIn: StandIn): GitHub {
  const { repository, url: api } = standIn;
  return new GitHub({ repository, api, credentials: { kind: "token", token: standIn.tokenOf("ana") }, waitUnitMs: 1 });
}

test("what GitHub refuses or fails once is done the next time, by the plugins that a reconciler has", async () => {
  for (const fault of ["secondary", "429", "limit", "502", "500", "cut", "down"] as const) {
    await using standIn = await StandIn.start();
    const github = patientOf(standIn);
    await github.login();
    Object.assign(standIn, { fault, faultOnly: /^GET .*pulls$/, faultTimes: 1 });
    const before = standIn.requests.length;
    assert.equal(await github.list("GET /pulls"), [], fault);
    assert.is(standIn.requests.length - before, 2, fault);
  }
});

test("what makes something new is made once: after a limit again, after an answer that was lost not", async () => {
  await using standIn = await StandIn.start();
  standIn.addPull({ author: "ana", branch: "more" });
  const github = patientOf(standIn);
  const say = (body: string): Promise<unknown> =>
    github.ask("POST /issues/{issue_number}/comments", { issue_number: 1, body });
  await github.login();
  Object.assign(standIn, { fault: "secondary", faultOnly: /^POST/, faultTimes: 1 });
  await say("limited");
  Object.assign(standIn, { fault: "lost", faultTimes: 1 });
  assert.is((await failureOf(say("lost"))).reason, "GitHubBusy");
  assert.equal(
    standIn.comments.map(({ body }) => body),
    ["limited", "lost"],
  );
});

test("who never answers is not asked for ever, and one that wants to be left alone is left alone", async () => {
  const most = { secondary: 3, "429": 3, limit: 3, crowd: 1, "502": 4, down: 4 } as const;
  for (const [fault, requests] of Object.entries(most) as [keyof typeof most, number][]) {
    await using standIn = await StandIn.start();
    const github = patientOf(standIn);
    await github.login();
    Object.assign(standIn, { fault, faultOnly: /^GET .*pulls$/ });
    const before = standIn.requests.length;
    const failure = await failureOf(github.list("GET /pulls"));
    assert.is(failure.kind, "transient", fault);
    assert.is(standIn.requests.length - before, requests, fault);
    if (fault === "crowd") assert.is((failure as GitHubBusy).retryAfterMs, 1000);
  }
  await using standIn = await StandIn.start();
  const github = patientOf(standIn);
  await github.login();
  // Longer than a request may wait: whoever asks has other work.
  Object.assign(standIn, { fault: "secondary", faultOnly: /^GET .*pulls$/, retryAfterS: 600 });
  const before = standIn.requests.length;
  assert.is(((await failureOf(github.list("GET /pulls"))) as GitHubBusy).retryAfterMs, 600_000);
  assert.is(standIn.requests.length - before, 1);
});

test("A2: no redirect takes the token to another host", async () => {
  await using standIn = await StandIn.start();
  const github = clientOf(standIn);
  standIn.fault = "elsewhere";
  assert.is((await failureOf(github.list("GET /pulls"))).reason, "ForeignAddress");
});

test("a wrong token, a missing permission and a repository that is not there are refused with what to do", async () => {
  await using standIn = await StandIn.start();
  const wrong = clientOf(standIn, { kind: "token", token: "ghp_wrong" });
  assert.is((await failureOf(wrong.login())).reason, "GitHubUnauthorized");
  const body = { name: "stateward/plan", head_sha: "0".repeat(40) };
  assert.is((await failureOf(clientOf(standIn).ask("POST /check-runs", body))).reason, "GitHubForbidden");
  const other = new GitHub({
    repository: "acme/other",
    api: standIn.url,
    credentials: { kind: "token", token: standIn.tokenOf("ana") },
  });
  assert.is((await failureOf(other.list("GET /pulls"))).reason, "GitHubNotFound");
});

test("A3: what is no repository and no address of an interface is refused before anything is asked", () => {
  const credentials = { kind: "token", token: "x" } as const;
  for (const repository of ["", "acme", "a/b/c", "acme/..", "../acme", "acme/a b", "-x/y", "acme/a?b"])
    assert.throws(() => new GitHub({ repository, credentials }), "is no repository on GitHub", repository);
  for (const api of ["", "ftp://x", "http://github.example.org", "https://ana@x/", "https://x/?a=b", "file:///etc"])
    assert.throws(() => new GitHub({ repository: "a/b", api, credentials }), "is no address", api);
});

test.run();
