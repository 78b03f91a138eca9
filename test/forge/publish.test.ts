// A plan on its pull request, seen as GitHub would show it.
import * as assert from "uvu/assert";
import { type PublishSettings, publishPlan } from "../../reconciler/forge/publish.ts";
import { suite } from "../support/suite.ts";
import { annotations, appOf, head, report, tokenOf } from "./rig.ts";
import { fakeCommit, StandIn, type StandInOptions } from "./stand-in.ts";

const test = suite("forge/publish");

const none: PublishSettings = { owners: {}, labels: true, reviews: true, notice: () => {} };

async function withPull(options: StandInOptions = {}): Promise<StandIn> {
  const standIn = await StandIn.start(options);
  standIn.addPull({ author: "ana", branch: "more", commits: [{ sha: head, author: "ana" }] });
  return standIn;
}

test("a pull request has one comment, which is edited in place, and not sent again when it says the same", async () => {
  await using standIn = await withPull();
  const github = appOf(standIn);
  assert.ok(await publishPlan(github, 1, report(), none));
  await publishPlan(github, 1, report(), none);
  assert.is(standIn.asked(/^(POST|PATCH) .*comments/).length, 1);
  await publishPlan(appOf(standIn), 1, report({ comment: "## 13 hosts would move\n" }), none);
  assert.is(standIn.comments.length, 1);
  assert.match(standIn.comments[0]?.body ?? "", "13 hosts");
  assert.is(standIn.asked(/^(POST|PATCH) .*comments/).length, 2);
});

test("a comment of somebody else with our marker is left alone, also far behind others", async () => {
  await using standIn = await withPull();
  const forged = `<!-- stateward:plan head=${head} comment=0 by= -->\nall is well`;
  standIn.addComment(1, "mallory", forged);
  for (let index = 0; index < 120; index++) standIn.addComment(1, "ana", `word ${index}`);
  await publishPlan(appOf(standIn), 1, report(), none);
  await publishPlan(appOf(standIn), 1, report({ comment: "changed" }), none);
  assert.is(standIn.comments[0]?.body, forged);
  const ours = standIn.comments.filter(({ author }) => author === standIn.appLogin);
  assert.equal(
    ours.map(({ body }) => body.split("\n")[1]),
    ["changed"],
  );
});

test("a comment that was made and whose answer was lost is not made again", async () => {
  await using standIn = await withPull();
  const github = appOf(standIn);
  standIn.fault = "lost";
  standIn.faultOnly = /^POST .*comments/;
  await publishPlan(github, 1, report(), none).then(
    () => assert.unreachable(),
    () => {},
  );
  standIn.fault = null;
  await publishPlan(github, 1, report(), none);
  assert.is(standIn.comments.length, 1);
});

test("A3: a branch keeps no check from being made by a name or a text of characters that GitHub refuses", async () => {
  await using standIn = await withPull();
  const fire = "\u{1f525}";
  const [remark] = annotations(1);
  assert.ok(remark);
  const odd = { ...remark, path: `hosts/${fire}.yaml`, title: fire, message: `no host is called ${fire}` };
  await publishPlan(appOf(standIn), 1, report({ annotations: [odd], title: fire }), none);
  assert.is(standIn.checks[0]?.annotations[0]?.path, "hosts/\ufffd.yaml");
});

test("details of a check are cut by bytes, as GitHub counts them there", async () => {
  await using standIn = await withPull();
  const details = "off \u2192 on\n".repeat(7000);
  assert.ok(details.length < 65_535 && Buffer.byteLength(details) > 65_535);
  await publishPlan(appOf(standIn), 1, report({ details }), none);
  assert.match(standIn.checks[0]?.output.text ?? "", /off \u2192 on\n\n_The rest does not fit here\._\n$/);
});

test("the comment for a change of 5,000 hosts is sent in one request, within 65,000 characters", async () => {
  await using standIn = await withPull();
  const line = (index: number): string => `| host-${index} | blank -> serving | east |`;
  const long = Array.from({ length: 5000 }, (_each, index) => line(index)).join("\n");
  await publishPlan(appOf(standIn), 1, report({ comment: long, details: long.slice(0, 65_000) }), none);
  assert.is(standIn.asked(/^(POST|PATCH) .*comments/).length, 1);
  const body = standIn.comments[0]?.body ?? "";
  assert.ok(body.length <= 65_000 && body.length > 60_000, String(body.length));
  assert.match(body, /\| east \|\n\n_The rest does not fit here\._\n$/);
  assert.is(standIn.checks.length, 1);
});

test("a check run takes 50 annotations a request, and goes on where it was interrupted", async () => {
  await using standIn = await withPull();
  const many = report({ annotations: annotations(173), conclusion: "failure" });
  standIn.fault = "500";
  standIn.faultOnly = /^PATCH .*check-runs/;
  await publishPlan(appOf(standIn), 1, many, none).then(
    () => assert.unreachable(),
    () => {},
  );
  assert.is(standIn.checks[0]?.status, "in_progress");
  assert.is(standIn.checks[0]?.annotations.length, 50);
  standIn.fault = null;
  await publishPlan(appOf(standIn), 1, many, none);
  await publishPlan(appOf(standIn), 1, many, none);
  assert.is(standIn.checks.length, 1);
  const [check] = standIn.checks;
  assert.is(check?.conclusion, "failure");
  assert.equal(
    check?.annotations.map(({ message }) => message),
    many.annotations.map(({ message }) => message),
  );
  assert.is(standIn.asked(/^PATCH .*check-runs/).length, 4, "one that failed, and three more");
});

test("another plan of the same commit is another check run", async () => {
  await using standIn = await withPull();
  const github = appOf(standIn);
  for (const title of ["1 host would move", "2 hosts would move", "1 host would move"])
    await publishPlan(github, 1, report({ title }), none);
  assert.equal(
    standIn.checks.map(({ output }) => output.title),
    ["1 host would move", "2 hosts would move", "1 host would move"],
  );
});

test("with a person's token, which may make no check runs, the plan is a status", async () => {
  await using standIn = await withPull();
  const github = tokenOf(standIn);
  await publishPlan(github, 1, report({ title: `${"x".repeat(200)}\n` }), none);
  await publishPlan(github, 1, report({ title: "x".repeat(200) }), none);
  assert.is(standIn.checks.length, 0);
  assert.equal(
    standIn.statuses.map(({ context, state, description }) => [context, state, description.length]),
    [["stateward/plan", "success", 140]],
  );
});

test("labels of ours follow the plan, and those of others stay", async () => {
  await using standIn = await withPull();
  const github = appOf(standIn);
  const { labels } = standIn.pulls.get(1) ?? { labels: new Set() };
  labels.add("urgent");
  await publishPlan(github, 1, report({ removes: true }), none);
  assert.equal([...labels].toSorted(), ["stateward:moves", "stateward:removes", "urgent"]);
  await publishPlan(github, 1, report({ conclusion: "failure" }), none);
  assert.equal([...labels].toSorted(), ["stateward:refused", "urgent"]);
  await publishPlan(github, 1, report({ conclusion: "neutral" }), none);
  assert.equal([...labels], ["urgent"]);
});

test("owners are asked for a review once; the author, who is unknown, and who has been asked are not", async () => {
  await using standIn = await withPull();
  for (const name of ["ana", "bea"]) standIn.permissions.set(name, "write");
  standIn.teams.add("source");
  const told: string[] = [];
  const owners = { a: "ana", b: "bea", s: "acme/source", x: "nobody", f: "other/team" };
  const settings = { ...none, owners, notice: (message: string) => void told.push(message) };
  const asked = report({ owners: ["a", "b", "f", "s", "toString", "x"] });
  await publishPlan(appOf(standIn), 1, asked, settings);
  await publishPlan(appOf(standIn), 1, asked, settings);
  const pull = standIn.pulls.get(1);
  assert.equal([[...(pull?.reviewers ?? [])], [...(pull?.teams ?? [])]], [["bea"], ["source"]]);
  assert.is(standIn.asked(/^POST .*requested_reviewers/).length, 4, "bea and source once, nobody twice");
  assert.ok(told.some((message) => message.includes("owner toString")));
  assert.ok(told.some((message) => message.startsWith("nobody cannot be asked")));
});

test("nothing is said of a commit that is not the newest any more", async () => {
  await using standIn = await withPull();
  assert.not(await publishPlan(appOf(standIn), 1, report({ head: fakeCommit("older") }), none));
  assert.equal(standIn.asked(/^(POST|PATCH) \/repos/), []);
});

test.run();
