// From a pull request to the end of its rollout: one that goes well, and one that is halted and taken back.
import * as assert from "uvu/assert";
import type { StoredDeployment, StoredPull } from "../forge/stand-in.ts";
import { ForgeStory } from "../support/forge-story.ts";
import { suite } from "../support/suite.ts";

const test = suite("pull-request", { limitMs: 400_000 });

const machine = {
  machine: "svc",
  initial: "blank",
  states: {
    blank: null,
    one: { enter: [{ from: ["blank", "two"], steps: [{ shell: "true" }] }] },
    two: { enter: [{ from: "one", steps: [{ shell: "true" }] }] },
  },
};

const hostsIn = (state: string): Record<string, string> =>
  Object.fromEntries(
    ["a", "b"].map((name) => [
      `hosts/${name}.yaml`,
      `host: ${name}\nregion: east\ntransport: local\ntargets: { svc: ${state} }\n`,
    ]),
  );

test("B3: a pull request is planned, approved by a comment, merged, and its rollout followed", async () => {
  const settings =
    'poll: "* * * * * *"\nrecord: { window: 1s }\nlook: 1s\nbrakes: { max_moved: 1 }\nrollout: { at_once: 100% }\n';
  await using story = await ForgeStory.open({
    "stateward.yaml": settings,
    "machines/svc.yaml": JSON.stringify(machine),
    ...hostsIn("one"),
  });
  const { standIn, reconciler } = story;
  await reconciler.says("2/2");
  const pull = await story.push("more", hostsIn("two"));
  const head = await story.headOf(pull);
  assert.match(await story.plan(pull), head);
  const check = await story.wait("the check", () => standIn.checks.find(({ status }) => status === "completed"));
  assert.is(check.conclusion, "action_required", check.output.title);
  const merge = await story.merge(pull);
  await story.says(merge, /^pending waits for a word/);
  await story.comment(pull, "bea", `/stateward approve ${head.slice(0, 12)}`);
  await story.says(merge, /^success 2\/2 hosts$/);
  const isDeployed = (): boolean =>
    standIn.deployments.some(
      ({ commit, environment, statuses }) =>
        commit === merge && environment === "east" && statuses.at(-1)?.state === "success",
    );
  await story.wait("the deployment", isDeployed);
  assert.match((await story.cli("history", "a")).stdout, "two");
  await reconciler.stop("SIGTERM");
  assert.not.match(reconciler.output, /PRIVATE KEY|ghs_/);
});

test("a GitHub that refuses everything stops nothing; D4: once it answers, a bad merge has a failed status that says why", async () => {
  const settings = 'poll: "* * * * * *"\nrecord: { window: 1s }\nlook: 1s\nrollout: { at_once: 100% }\n';
  await using story = await ForgeStory.open({
    "stateward.yaml": settings,
    "machines/svc.yaml": JSON.stringify(machine),
    ...hostsIn("one"),
  });
  const { standIn, reconciler } = story;
  standIn.fault = "secondary";
  await reconciler.says("2/2");
  const begun = reconciler.output.length;
  await story.merge(await story.push("more", hostsIn("two")));
  await reconciler.says("2/2", begun);
  await story.wait("a try", () => standIn.requests.length > 1);
  assert.is(standIn.statuses.length, 0);
  standIn.fault = null;
  const bad = await story.merge(await story.push("bad", hostsIn("three")));
  const [word = ""] = await story.wait("the refusal", () => {
    const words = story.words(bad);
    return words.length > 0 && words;
  });
  assert.match(word, /^failure not in force, 2 problems: hosts\/a\.yaml:4 SW\d+ .*three/);
  assert.match((await story.cli("status", "a")).stdout, /svc.*two/);
});

/** A way to version 2 that fails halfway, out of the balancer. */
const site = `machine: site
initial: none
states:
  none: null
  v1:
    available: true
    enter:
      - from: [none, drained]
        steps: [{ write: { path: version, content: "1" } }]
  drained:
    enter:
      - from: [v1, v2]
        steps: [{ name: drain, write: { path: drained, content: "yes" } }]
  v2:
    available: true
    enter:
      - from: drained
        steps:
          - { name: migrate, shell: "echo 'ERROR: no column price' >&2; exit 1" }
          - { write: { path: version, content: "2" } }
`;

/** Six hosts of a group, in two regions. */
const shop = {
  "stateward.yaml":
    'poll: "* * * * * *"\nrecord: { window: 1s }\nlook: 1s\nattempts: { limit: 2, backoff: 1s }\nbrakes: { max_moved: 1 }\ngithub: { owners: { team-shop: bea }, labels: true, reviews: true }\n',
  "machines/site.yaml": site,
  "hosts/web.yaml":
    'group: web\nselect: host.labels.role == "web"\nrollout: { canary: 1, waves: [3], soak: 1s, max_unavailable: 3 }\n',
  ...Object.fromEntries(
    Array.from({ length: 6 }, (_, index) => [
      `hosts/web-${index + 1}.yaml`,
      `host: web-${index + 1}\nregion: ${index < 3 ? "east" : "west"}\ntransport: local\nowner: team-shop\nlabels: { role: web }\ntargets:\n  site: v1 # since spring\n`,
    ]),
  ),
};

test("a change that fails in its canary is halted, offered to be taken back, and taken back by a merge", async () => {
  await using story = await ForgeStory.open(shop);
  const { standIn, reconciler } = story;
  await reconciler.says("all 6 are in their target states");
  const pull = await story.offer("set", "group/web", "site=v2", "--message", "Move the shop to version 2");
  assert.equal([pull.author, pull.title], ["ana", "Move the shop to version 2"]);
  assert.match(pull.body, "6 hosts would move");
  assert.match(await story.plan(pull), /\| Hosts that would move \| 6 of 6 \|[^]*"6 moves - 1 step"/);
  await story.wait("the request for a review", () => pull.reviewers.has("bea"));
  await story.comment(pull, "ana", "/stateward approve");
  await story.answers(pull, /ana/);
  await story.comment(pull, "bea", `/stateward approve ${(await story.headOf(pull)).slice(0, 12)}`);
  await story.answers(pull, /`bea` approves/);

  const merge = await story.merge(pull);
  const word = await story.says(merge, /^failure /);
  const [, halted, canary = "nobody"] =
    /^failure (0\/6 hosts, 1 halted, 1 failed) \(.*: (web-\d) failed in the canary\)$/.exec(word) ?? [];
  assert.ok(halted, word);
  const revert = await story.wait("the revert", () =>
    [...standIn.pulls.values()].find(({ author }) => author === standIn.appLogin),
  );
  assert.is(revert.branch, `stateward/revert-${merge.slice(0, 12)}`);
  for (const evidence of ["ERROR: no column price", `${canary} failed in the canary`, "1 host would move"])
    assert.match(revert.body, evidence);
  const isHalted = ({ commit, environment, statuses }: StoredDeployment): boolean =>
    commit === merge && environment === "east" && statuses.at(-1)?.state === "failure";
  await story.wait("the end of the deployment", () => standIn.deployments.some(isHalted));
  const moved = [...reconciler.output.matchAll(/(web-\d) {2}site: v1 ->/g)].map(([, name]) => name);
  assert.equal(moved, [canary], "nobody moved but the canary");

  await story.hook("pull_request", { pull_request: { number: revert.number } });
  assert.match(await story.plan(revert), /`site`: `drained` → `v1`\*\*, 1 host/);
  const taken = reconciler.output.length;
  const back = await story.merge(revert);
  await story.says(back, /^success /);
  await reconciler.says("all 6 are in their target states", taken);
  assert.match((await story.cli("status", canary)).stdout, /site.*v1/);
  assert.is([...standIn.pulls.values()].length, 2, "it is taken back once");
});

const comments = /^POST .*\/issues\/\{issue_number\}\/comments$/;

/** The same thing said twice on end. */
const repeated = (words: readonly string[]): string[] => words.filter((word, index) => word === words[index - 1]);

test("D1: killed at every write to GitHub, it has said everything once in the end, and nothing halfway", async () => {
  await using story = await ForgeStory.open(shop);
  const { standIn } = story;
  await story.reconciler.says("all 6 are in their target states");
  const said = (): string[] =>
    standIn.comments.filter(({ author }) => author === standIn.appLogin).map(({ body }) => body);
  const pulls = (): StoredPull[] => [...standIn.pulls.values()];
  const planned = [
    [comments, "after"],
    [/^POST .*\/check-runs$/, "before"],
    [/^POST .*\/check-runs$/, "after"],
    [/^POST .*\/requested_reviewers$/, "before"],
  ] as const;
  await story.killAt(planned, () => story.offer("set", "group/web", "site=v2"));
  await story.wait("the request for a review", () => pulls()[0]?.reviewers.has("bea"));
  assert.equal([said().length, standIn.checks.length], [1, 1], said().join("\n"));

  const [pull] = pulls();
  assert.ok(pull);
  const word = `/stateward approve ${(await story.headOf(pull)).slice(0, 12)}`;
  await story.killAt([[comments, "after"]], () => story.comment(pull, "bea", word));
  await story.wait("the approval", () => standIn.checks.some(({ conclusion }) => conclusion === "success"));
  assert.equal([said().length, standIn.checks.length], [2, 2], said().join("\n"));

  let merge = "";
  const followed = [
    [/^POST .*\/statuses\/\{sha\}$/, "before"],
    [/^POST .*\/statuses\/\{sha\}$/, "after"],
    [/^POST .*\/deployments$/, "before"],
    [/^POST .*\/deployments$/, "after"],
    [/^POST .*\/deployments\/\{deployment_id\}\/statuses$/, "after"],
    [/^POST .*\/pulls$/, "before"],
    [/^POST .*\/pulls$/, "after"],
  ] as const;
  await story.killAt(followed, async () => {
    merge = await story.merge(pull);
  });
  await story.says(merge, /^failure 0\/6 hosts, 1 halted, 1 failed/);
  const deployed = (): StoredDeployment[] => standIn.deployments.filter(({ commit }) => commit === merge);
  const areOver = (): boolean =>
    deployed().length > 1 && deployed().every(({ statuses }) => statuses.at(-1)?.state === "failure");
  await story.wait("the ends of the deployments", areOver);
  // Another round, in which it could say something again.
  await story.reconciler.says("serves http");
  const { length } = standIn.requests;
  await story.hook("pull_request", { pull_request: { number: 2 } });
  await story.wait("a look at the revert", () =>
    standIn.requests.slice(length).some((each) => each.endsWith("check-runs")),
  );
  assert.equal(
    deployed()
      .map(({ environment }) => environment)
      .toSorted(),
    ["east", "west"],
  );
  for (const { statuses } of deployed()) assert.equal(repeated(statuses.map(({ description }) => description)), []);
  assert.equal(repeated(story.words(merge)), []);
  const authors = pulls().map(({ author }) => author);
  assert.equal(authors, ["ana", standIn.appLogin]);
  assert.is(standIn.comments.filter(({ number, author }) => number === 1 && author === standIn.appLogin).length, 2);
});

test.run();
