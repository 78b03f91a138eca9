// Comment commands: whose word counts, for which commit, and what becomes of it when the pull request is merged.
import * as assert from "uvu/assert";
import { carryApproval } from "../../reconciler/forge/approvals.ts";
import { CommandDesk, type CommandsDone, commandsIn } from "../../reconciler/forge/commands.ts";
import { publishPlan } from "../../reconciler/forge/publish.ts";
import { Failure } from "../../reconciler/model/failure.ts";
import type { CoordinationWriter, FleetView } from "../../reconciler/model/ports.ts";
import { suite } from "../support/suite.ts";
import { appOf, head, report } from "./rig.ts";
import { fakeCommit, StandIn } from "./stand-in.ts";

const test = suite("forge/commands");
const second = 1000;

type HoldOrder = Parameters<CoordinationWriter["hold"]>[0];

/** A pull request of ana's whose plan was published a minute ago; bea may write, carl may read. */
async function start(authors: readonly (string | null)[] = ["ana"]) {
  const standIn = await StandIn.start();
  for (const [name, permission] of Object.entries({ ana: "admin", bea: "write", carl: "read" } as const))
    standIn.permissions.set(name, permission);
  const commits = authors.map((author, index) => ({ sha: fakeCommit(`commit ${index}`), author }));
  commits[commits.length - 1] = { sha: head, author: authors.at(-1) ?? null };
  standIn.addPull({ author: "ana", branch: "more", commits });
  const github = appOf(standIn);
  await publishPlan(github, 1, report(), { owners: {}, labels: false, reviews: false, notice: () => {} });
  for (const comment of standIn.comments) comment.updatedAt = new Date(Date.now() - 60 * second).toISOString();
  const held: HoldOrder[] = [];
  const hold = async (order: HoldOrder): Promise<{ select: string; hosts: number }> => {
    if (order.select === "nobody") throw new Failure("invalid", "`nobody` selects @everyone", { reason: "Nobody" });
    held.push(order);
    return { select: order.select, hosts: 1 };
  };
  const desk = () => new CommandDesk({ github, coordination: { hold }, now: () => Date.now() });
  const attend = async (): Promise<CommandsDone> => desk().attend(await github.pull(1));
  const answers = (): string[] =>
    standIn.comments
      .filter(({ author }) => author === standIn.appLogin)
      .slice(1)
      .map(({ body }) => body);
  return { standIn, github, held, desk, attend, answers, [Symbol.asyncDispose]: () => standIn[Symbol.asyncDispose]() };
}

test("a command is a line that begins with it, outside of quotations and blocks of code", () => {
  const body = [
    "/stateward plan",
    "> /stateward plan",
    " /stateward plan",
    "```",
    "/stateward approve",
    "```",
    "/stateward approve ABCDEF1",
    "/stateward hold region/east  the power   fails\r",
    "/stateward approve --by ana",
    "/statewardplan",
  ].join("\n");
  assert.equal(commandsIn(body), [
    { kind: "plan" },
    { kind: "approve", commit: "abcdef1" },
    { kind: "hold", select: "region/east", reason: "the power fails" },
    { kind: "wrong", text: "/stateward approve --by ana" },
  ]);
  assert.is(commandsIn("/stateward plan\n".repeat(100)).length, 5);
});

test("somebody who may write approves what they have seen, and is told so once", async () => {
  await using rig = await start();
  rig.standIn.addComment(1, "bea", "/stateward approve");
  assert.equal(await rig.attend(), { wantsPlan: false, approvedBy: ["bea"] });
  assert.equal(await rig.attend(), { wantsPlan: false, approvedBy: ["bea"] }, "also after a restart");
  assert.is(rig.answers().length, 1);
  assert.match(rig.answers()[0] ?? "", "`bea` approves");
});

test("the word does not hold for what is pushed later, nor once it was edited, taken back, or the right to give it is gone", async () => {
  const changes: Record<string, (rig: Awaited<ReturnType<typeof start>>) => void> = {
    pushed: ({ standIn }) => standIn.pulls.get(1)?.commits.push({ sha: fakeCommit("later"), author: "ana" }),
    edited: ({ standIn }) => {
      const word = standIn.comments.find(({ author }) => author === "bea");
      if (word) word.updatedAt = new Date(Date.now() + second).toISOString();
    },
    removed: ({ standIn }) => {
      standIn.comments.splice(
        standIn.comments.findIndex(({ author }) => author === "bea"),
        1,
      );
    },
    "our answer edited": ({ standIn }) => {
      const answer = standIn.comments.at(-1);
      if (answer) answer.updatedAt = new Date(Date.now() + second).toISOString();
    },
    "no longer allowed": ({ standIn }) => void standIn.permissions.set("bea", "read"),
    "has pushed herself": ({ standIn }) =>
      standIn.pulls.get(1)?.commits.unshift({ sha: fakeCommit("0"), author: "bea" }),
  };
  for (const [name, change] of Object.entries(changes)) {
    await using rig = await start();
    rig.standIn.addComment(1, "bea", "/stateward approve");
    assert.equal((await rig.attend()).approvedBy, ["bea"], name);
    change(rig);
    assert.equal((await rig.attend()).approvedBy, [], name);
  }
});

test("no word of a co-author counts, where the address is one that GitHub has made for them", async () => {
  const cases: readonly [message: string, counts: boolean][] = [
    ["Co-Authored-By: Bea <12345+Bea@users.noreply.github.com>", false],
    ["co-authored-by: <bea@users.noreply.github.example.org>  ", false],
    ["Co-authored-by: Carl <carl@users.noreply.github.com>", true],
    ["Co-authored-by: Bea <bea@example.org>", true],
    ["This mentions <bea@users.noreply.github.com>", true],
  ];
  for (const [message, counts] of cases) {
    await using rig = await start();
    const commit = { sha: fakeCommit("0"), author: "ana", message: `change\n\n${message}` };
    rig.standIn.pulls.get(1)?.commits.unshift(commit);
    rig.standIn.addComment(1, "bea", `/stateward approve ${head}`);
    assert.is((await rig.attend()).approvedBy.length === 1, counts, message);
  }
});

test("no word of an author counts, neither of the pull request nor of a commit in it, known or not", async () => {
  for (const [authors, by] of [
    [["ana"], "ana"],
    [["bea", "ana"], "bea"],
    [["BEA", "ana"], "bea"],
    [[null, "ana"], "bea"],
  ] as const) {
    await using rig = await start(authors);
    rig.standIn.addComment(1, by, "/stateward approve");
    assert.equal((await rig.attend()).approvedBy, [], by);
    assert.match(rig.answers()[0] ?? "", "not approved: ");
  }
});

test("strangers get a reaction and no words, and hold nothing", async () => {
  await using rig = await start();
  for (const name of ["carl", "mallory"])
    rig.standIn.addComment(1, name, "/stateward hold fleet now\n/stateward approve");
  assert.equal((await rig.attend()).approvedBy, []);
  await rig.attend();
  assert.equal([rig.held, rig.answers()], [[], []]);
  assert.equal(
    rig.standIn.comments.slice(1).map(({ reactions }) => reactions.map(({ content }) => content)),
    [["confused"], ["confused"]],
  );
});

test("many words of a stranger cost no more than one, and keep nobody waiting", async () => {
  await using rig = await start();
  for (let count = 0; count < 50; count++) rig.standIn.addComment(1, "mallory", "/stateward approve");
  rig.standIn.addComment(1, "bea", "/stateward hold git-1 disk fails");
  const before = rig.standIn.requests.length;
  await rig.attend();
  assert.is(rig.held.length, 1);
  assert.ok(rig.standIn.requests.length - before < 20, `${rig.standIn.requests.length - before} requests`);
});

test("an answer of ours that somebody else has written counts for nothing", async () => {
  await using rig = await start();
  const word = rig.standIn.addComment(1, "carl", "/stateward approve");
  rig.standIn.addComment(1, "carl", `<!-- stateward:approval head=${head} comment=${word.id} by=bea -->\napproved`);
  rig.standIn.addComment(1, "ana", `<!-- stateward:approval head=${head} comment=${word.id} by=carl -->\napproved`);
  assert.equal((await rig.attend()).approvedBy, []);
});

test("what was pushed while somebody wrote is not approved, but by its whole name", async () => {
  await using rig = await start();
  const plan = rig.standIn.comments[0];
  if (plan) plan.updatedAt = new Date(Date.now() + 5 * second).toISOString();
  rig.standIn.addComment(1, "bea", "/stateward approve");
  rig.standIn.addComment(1, "bea", `/stateward approve ${fakeCommit("older").slice(0, 10)}`);
  assert.equal((await rig.attend()).approvedBy, []);
  assert.match(rig.answers()[0] ?? "", "no plan of");
  assert.match(rig.answers()[1] ?? "", "the newest commit is");
  rig.standIn.addComment(1, "bea", `/stateward approve ${head.slice(0, 12)}`);
  assert.equal((await rig.attend()).approvedBy, [], "another commit's name may begin so as well");
  assert.match(rig.answers()[2] ?? "", `/stateward approve ${head}`);
  rig.standIn.addComment(1, "bea", `/stateward approve ${head}`);
  assert.equal((await rig.attend()).approvedBy, ["bea"]);
});

test("edited and old comments do nothing", async () => {
  await using rig = await start();
  const edited = rig.standIn.addComment(1, "bea", "/stateward hold git-1 disk fails");
  edited.updatedAt = new Date(Date.now() + 2 * second).toISOString();
  rig.standIn.addComment(1, "bea", "/stateward hold git-1 disk fails", Date.now() - 90_000 * second);
  assert.equal((await rig.attend()).wantsPlan, false);
  assert.equal(rig.held, []);
  assert.is(rig.answers().length, 1);
  assert.match(rig.answers()[0] ?? "", "edited comment");
});

test("B5: a hold by comment names the person and the pull request; what is refused is told without markup", async () => {
  await using rig = await start();
  rig.standIn.addComment(
    1,
    "bea",
    "/stateward hold git-1 the disk\u202e fails\n/stateward hold nobody it\n/stateward dance",
  );
  await rig.attend();
  assert.equal(rig.held, [
    { select: "git-1", reason: "the disk\ufffd fails", by: "bea (pull request 1)", until: null },
  ]);
  const [answer = ""] = rig.answers();
  assert.match(answer, "`git-1` is held: 1 host");
  assert.match(answer, "not held: `` `nobody` selects @everyone ``");
  assert.match(answer, "`/stateward dance` is no command");
});

test("a plan is asked for once", async () => {
  await using rig = await start();
  rig.standIn.addComment(1, "bea", "/stateward plan");
  assert.ok((await rig.attend()).wantsPlan);
  assert.not((await rig.attend()).wantsPlan);
});

test("B3: the word is carried to the merge commit that waits, when that is nothing else than the merge", async () => {
  await using rig = await start();
  const merge = fakeCommit("merge");
  const approved: string[][] = [];
  const view = { unapproved: { commit: merge, message: "moves many" } } as FleetView;
  const coordination = {
    fleet: () => view,
    approve: async (commit: string, by: string) => {
      approved.push([commit, by]);
      return { commit, inForce: true };
    },
  };
  let merges = false;
  const options = { github: rig.github, coordination, branch: "main", inForce: () => fakeCommit("before") };
  const source = {
    merges: async (commit: string, of: { head: string }) => merges && commit === merge && of.head === head,
  };
  const carry = (): Promise<number | null> => carryApproval({ ...options, source, desk: rig.desk() });
  rig.standIn.addComment(1, "bea", "/stateward approve");
  await rig.attend();
  assert.is(await carry(), null, "it is not merged");
  rig.standIn.merge(1, merge);
  assert.is(await carry(), null, "something else is in the merge");
  merges = true;
  assert.is(await carry(), 1);
  assert.equal(approved, [[merge, "bea (pull request 1)"]]);
});

test("B3: a word after the merge counts as well", async () => {
  await using rig = await start();
  const merge = fakeCommit("merge");
  rig.standIn.merge(1, merge);
  const approved: string[] = [];
  const coordination = {
    fleet: () => ({ unapproved: { commit: merge, message: "" } }) as FleetView,
    approve: async (commit: string) => {
      approved.push(commit);
      return { commit, inForce: true };
    },
  };
  const source = { merges: async () => true };
  const inForce = (): string => fakeCommit("before");
  const options = { github: rig.github, coordination, source, branch: "main", desk: rig.desk(), inForce };
  assert.is(await carryApproval(options), null);
  rig.standIn.addComment(1, "bea", "/stateward approve");
  assert.is(await carryApproval(options), 1);
  assert.equal(approved, [merge]);
});

test.run();
