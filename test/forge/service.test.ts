// The service beside a reconciler, over real Git and a stand-in for GitHub: from a push to the rollout, and through every outage.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { ForgeService, type ForgeTimes } from "../../reconciler/forge/service.ts";
import { Failure } from "../../reconciler/model/failure.ts";
import type { ChangePlanner, PullRequestSource } from "../../reconciler/model/forge.ts";
import type { CoordinationWriter, FleetView, Health, SubjectView } from "../../reconciler/model/ports.ts";
import { git } from "../support/git-remote.ts";
import { initBare, serveGit } from "../support/http-backend.ts";
import { suite } from "../support/suite.ts";
import { tempFolder, until } from "../support/temp.ts";
import { appOf, report } from "./rig.ts";
import { type GitHubFault, StandIn } from "./stand-in.ts";

const test = suite("forge/service");
const quick: ForgeTimes = { listEvery: 50, visitEvery: 100, tellEvery: 20, retryFirst: 20, retryMax: 100, tick: 5 };

/** A fleet that leads, with nothing to do, and whatever a test sets. */
class Site {
  health: Health = { commit: "0".repeat(40), subjects: 0, record: { role: "leading" } } as Health;
  fleet = { rollouts: [], unapproved: null } as unknown as FleetView;
  readonly approved: string[] = [];
  readonly held: string[] = [];
  readonly planned: string[] = [];
  readonly notices: string[] = [];
  plan: ChangePlanner["plan"] = async (_base, head) => report({ head, comment: `plan of ${head}` });
}

async function start(times: Partial<ForgeTimes> = {}, reverts?: { look(): Promise<void> }) {
  const folder = await tempFolder();
  const bare = await initBare(join(folder.path, "fleet.git"));
  const server = await serveGit(folder.path);
  const work = join(folder.path, "work");
  await git(folder.path, "clone", "--quiet", bare, work);
  const commit = async (branch: string, name: string): Promise<string> => {
    await git(work, "checkout", "--quiet", "-B", branch);
    await mkdir(join(work, "hosts"), { recursive: true });
    await writeFile(join(work, "hosts", `${name}.yaml`), `host: ${name}\n`);
    await git(work, "add", ".");
    await git(work, "commit", "--quiet", "-m", name);
    await git(work, "push", "--quiet", "--force", "origin", branch);
    return git(work, "rev-parse", "HEAD");
  };
  const main = await commit("main", "a");
  const standIn = await StandIn.start({ gitDir: bare });
  standIn.accounts.set("ana@example.org", "ana");
  for (const name of ["ana", "bea"]) standIn.permissions.set(name, "write");
  const site = new Site();
  const mirror = await initBare(join(folder.path, "mirror.git"));
  const source: PullRequestSource = {
    fetch: async (number) => {
      const url = `${server.url}/fleet.git`;
      await git(mirror, "fetch", "--quiet", url, "+main:main", `+refs/pull/${number}/head:pull`);
      return { base: await git(mirror, "merge-base", "main", "pull"), head: await git(mirror, "rev-parse", "pull") };
    },
    merges: async (of, { head }) => (await git(bare, "rev-parse", `${of}^2`)) === head,
  };
  const service = new ForgeService({
    github: appOf(standIn),
    planner: {
      plan: (base, head) => {
        site.planned.push(`${base} ${head}`);
        return site.plan(base, head);
      },
    },
    source,
    fleet: { health: () => site.health, subjects: (): SubjectView[] => [], subject: () => null, isIn: () => false },
    coordination: coordinationOf(site),
    branch: "main",
    ...(reverts === undefined ? {} : { reverts }),
    publish: () => ({ owners: {}, labels: true, reviews: true }),
    environmentOf: () => "production",
    refused: () => null,
    now: () => Date.now(),
    notice: (message) => void site.notices.push(message),
    times: { ...quick, ...times },
  });
  const open = (branch: string): number => standIn.addPull({ author: "ana", branch }).number;
  const dispose = async (): Promise<void> => {
    service.stop();
    standIn.fault = null;
    await service.settled();
    await standIn[Symbol.asyncDispose]();
    await server.close();
    await folder[Symbol.asyncDispose]();
  };
  return { standIn, site, service, commit, open, main, work, bare, [Symbol.asyncDispose]: dispose };
}

function coordinationOf(site: Site) {
  const refuse = (): never => {
    throw new Error("nobody asked for that");
  };
  const writer: CoordinationWriter = {
    hold: async ({ select, by }) => {
      site.held.push(`${select} ${by}`);
      return { select, hosts: 1 };
    },
    release: refuse,
    releaseBrake: refuse,
    approve: async (commit, by) => {
      site.approved.push(`${commit} ${by}`);
      site.fleet = { ...site.fleet, unapproved: null };
      return { commit, inForce: true };
    },
  };
  return { ...writer, fleet: () => site.fleet, why: refuse };
}

const bodies = (standIn: StandIn): string[] =>
  standIn.comments.filter(({ author }) => author === standIn.appLogin).map(({ body }) => body);

test("a push is planned from where the branch goes out, and again when it changes; what rests is not planned twice", async () => {
  await using rig = await start();
  const first = await rig.commit("more", "b");
  rig.open("more");
  rig.service.start();
  await until("the plan", () => bodies(rig.standIn)[0]?.includes(first));
  await until("several looks", () => rig.standIn.asked(/^GET .*pull_number}$/).length > 4);
  assert.equal(rig.site.planned, [`${rig.main} ${first}`]);
  const second = await rig.commit("more", "c");
  await until("the new plan", () => bodies(rig.standIn)[0]?.includes(second));
  assert.is(bodies(rig.standIn).length, 1);
  assert.equal(rig.site.planned, [`${rig.main} ${first}`, `${rig.main} ${second}`]);
});

test("B3: a plan that asks for a word gets it by a comment, and its merge is approved", async () => {
  await using rig = await start();
  rig.site.plan = async (_base, head) => report({ head, conclusion: "action_required" });
  const head = await rig.commit("more", "b");
  const number = rig.open("more");
  rig.service.start();
  await until("the check", () => rig.standIn.checks[0]?.conclusion === "action_required");
  rig.standIn.addComment(number, "bea", `/stateward approve ${head.slice(0, 12)}`);
  await until("the word in the check", () => rig.standIn.checks.at(-1)?.conclusion === "success");
  assert.match(rig.standIn.checks.at(-1)?.output.title ?? "", "approved by bea");
  await git(rig.work, "checkout", "--quiet", "main");
  await git(rig.work, "merge", "--quiet", "--no-ff", "more", "-m", "merge");
  const merge = await git(rig.work, "rev-parse", "HEAD");
  await git(rig.work, "push", "--quiet", "origin", "main");
  rig.standIn.merge(number, merge);
  rig.site.fleet = { ...rig.site.fleet, unapproved: { commit: merge, message: "moves many" } };
  await until("the approval", () => rig.site.approved[0]);
  assert.equal(rig.site.approved, [`${merge} bea (pull request ${number})`]);
});

test("a word does not make a check green where hosts have no way to their targets", async () => {
  await using rig = await start();
  rig.site.plan = async (_base, head) => report({ head, conclusion: "action_required", lacksWay: true });
  const head = await rig.commit("more", "b");
  const number = rig.open("more");
  rig.service.start();
  await until("the check", () => rig.standIn.checks[0]?.conclusion === "action_required");
  rig.standIn.addComment(number, "bea", `/stateward approve ${head.slice(0, 12)}`);
  await until("the word in the check", () => rig.standIn.checks.at(-1)?.output.title?.includes("approved by bea"));
  assert.is(rig.standIn.checks.at(-1)?.conclusion, "action_required");
});

test("whatever GitHub does, nothing is thrown, the same words are told once, and afterwards all is done", async () => {
  await using rig = await start();
  const head = await rig.commit("more", "b");
  rig.open("more");
  rig.standIn.retryAfterS = 0;
  const faults: GitHubFault[] = ["down", "cut", "nonsense", "html", "500", "limit", "secondary", "elsewhere"];
  rig.standIn.fault = "500";
  rig.service.start();
  for (const fault of faults) {
    rig.standIn.fault = fault;
    const { length } = rig.standIn.requests;
    const told = rig.site.notices.length;
    await until(
      `tries while ${fault}`,
      () => rig.standIn.requests.length > length + 2 || (fault === "down" && rig.site.notices.length > told),
    );
  }
  assert.equal(new Set(rig.site.notices).size, rig.site.notices.length);
  rig.standIn.fault = null;
  await until("the plan", () => bodies(rig.standIn)[0]?.includes(head));
  assert.is(bodies(rig.standIn).length, 1);
});

test("one pull request that cannot be planned keeps no other from being planned", async () => {
  await using rig = await start();
  const bad = await rig.commit("bad", "b");
  await git(rig.work, "checkout", "--quiet", "main");
  const good = await rig.commit("good", "c");
  rig.site.plan = async (_base, head) => {
    if (head === bad) throw new Error("planner fell over\u001b[31m");
    return report({ head, comment: `plan of ${head}` });
  };
  rig.open("good");
  rig.open("bad");
  rig.service.start();
  await until("the other plan", () => bodies(rig.standIn).some((body) => body.includes(good)));
  await until("a word", () =>
    rig.site.notices.some((notice) => notice === "pull request 2: planner fell over\ufffd[31m"),
  );
  assert.is(bodies(rig.standIn).length, 1);
});

test("a permission that the app was not given keeps it from nothing else", async () => {
  await using rig = await start();
  await rig.commit("more", "b");
  rig.open("more");
  rig.standIn.fault = "forbidden";
  rig.standIn.faultOnly = /\/(statuses|deployments|labels)|repo\}\/issues\/comments$/;
  rig.service.start();
  await until("the plan", () => bodies(rig.standIn)[0]);
  await until("all words", () =>
    ["the state of rollouts", "labels of", "new comments"].every((word) =>
      rig.site.notices.some((notice) => notice.startsWith(word)),
    ),
  );
});

test("a pull request on which GitHub takes no comments keeps no other from being looked at, refused or failing", async () => {
  for (const fault of ["forbidden", "down"] as const) {
    await using rig = await start({ listEvery: 50 });
    await rig.commit("full", "b");
    await git(rig.work, "checkout", "--quiet", "main");
    const good = await rig.commit("good", "c");
    const [full, other] = [rig.open("full"), rig.open("good")];
    rig.standIn.fault = fault;
    rig.standIn.faultOnly = new RegExp(`/issues/${full}/comments`);
    rig.service.start();
    await until(`the other plan (${fault})`, () => bodies(rig.standIn).some((body) => body.includes(good)));
    rig.standIn.addComment(other, "bea", "/stateward plan");
    await until(`the other's command (${fault})`, () =>
      rig.standIn.comments.some(({ number, reactions }) => number === other && reactions.length > 0),
    );
  }
});

test("what cannot be done for now rests between tries, and keeps nothing else from being done", async () => {
  let looks = 0;
  const reverts = {
    look: async (): Promise<void> => {
      looks++;
      throw new Failure("transient", "the remote refused a branch", { reason: "PushRefused" });
    },
  };
  await using rig = await start({ retryFirst: 3_600_000, retryMax: 3_600_000 }, reverts);
  await rig.commit("more", "b");
  rig.open("more");
  rig.service.start();
  await until("the plan", () => bodies(rig.standIn)[0]);
  await until("several looks", () => rig.standIn.asked(/^GET .*pull_number}$/).length > 4);
  assert.is(looks, 1);
});

test("B5: a hold waits for no plan and no revert, on whichever pull request it is said", async () => {
  for (const slow of ["a plan", "a revert"] as const) {
    let release = (): void => {};
    const ended = new Promise<void>((resolve) => {
      release = resolve;
    });
    const begun: string[] = [];
    const wait = async (what: string): Promise<void> => {
      begun.push(what);
      if (what === slow) await ended;
    };
    await using rig = await start({}, { look: () => wait("a revert") });
    await rig.commit("slow", "b");
    await git(rig.work, "checkout", "--quiet", "main");
    await rig.commit("other", "c");
    const [first, other] = [rig.open("slow"), rig.open("other")];
    rig.site.plan = (_base, head) => wait("a plan").then(() => report({ head }));
    rig.service.start();
    try {
      await until(`${slow} is under way`, () => begun.includes(slow));
      rig.standIn.addComment(first, "bea", "/stateward hold git-1 smoke");
      rig.standIn.addComment(other, "bea", "/stateward hold git-2 smoke");
      await until("both answers", () => bodies(rig.standIn).length === 2);
      assert.equal(rig.site.held.toSorted(), [
        `git-1 bea (pull request ${first})`,
        `git-2 bea (pull request ${other})`,
      ]);
    } finally {
      release();
    }
    await until("both plans", () => bodies(rig.standIn).length === 4);
    assert.is(rig.site.planned.length, 2);
  }
});

test("B5: a hold on a pull request that was merged already is heard without a hook", async () => {
  await using rig = await start({ visitEvery: 3_600_000 });
  const head = await rig.commit("more", "b");
  const number = rig.open("more");
  rig.service.start();
  await until("the plan", () => bodies(rig.standIn)[0]);
  rig.standIn.merge(number, head);
  rig.standIn.addComment(number, "bea", "/stateward hold git-1 smoke");
  await until("the answer", () => bodies(rig.standIn)[1]);
  assert.equal(rig.site.held, [`git-1 bea (pull request ${number})`]);
});

test("who stands by says nothing", async () => {
  await using rig = await start();
  await rig.commit("more", "b");
  rig.open("more");
  rig.site.health = { ...rig.site.health, record: { ...rig.site.health.record, role: "standby" } };
  rig.service.start();
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal(rig.standIn.requests, []);
});

test("a hook causes a look before its time", async () => {
  await using rig = await start({ listEvery: 3_600_000, visitEvery: 3_600_000 });
  rig.service.start();
  await until("the first look", () => rig.standIn.asked(/^GET .*pulls$/)[0]);
  await rig.commit("more", "b");
  const number = rig.open("more");
  rig.service.wake(number);
  await until("the plan", () => bodies(rig.standIn)[0]);
  rig.standIn.addComment(number, "bea", "/stateward plan");
  rig.service.wake(number);
  await until("the second plan", () => rig.site.planned.length === 2);
});

test("a list that has not changed costs nothing of GitHub's limit", async () => {
  await using rig = await start();
  await rig.commit("more", "b");
  rig.open("more");
  rig.service.start();
  await until("several looks", () => rig.standIn.unchanged > 2);
});

test.run();
