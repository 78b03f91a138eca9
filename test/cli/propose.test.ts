// stateward plan BASE..HEAD in real repositories: from objects alone, the same bytes everywhere, and for a reconciler.
import * as assert from "uvu/assert";
import { runProcess } from "../../reconciler/adapters/process.ts";
import { createChangePlanner } from "../../reconciler/cli/change-planner.ts";
import type { Proposal } from "../../reconciler/model/proposal.ts";
import { cli } from "../support/example.ts";
import { StateRepository } from "../support/state-repository.ts";
import { suite } from "../support/suite.ts";
import { lamp, localHost } from "../support/world.ts";

const test = suite("propose");

const files = {
  "machines/lamp.yaml": lamp,
  "hosts/a.yaml": localHost("a", { lamp: "off" }, { owner: "ana" }),
  "hosts/b.yaml": localHost("b", { lamp: "off" }, { owner: "ben" }),
};
const change = { "hosts/a.yaml": localHost("a", { lamp: "busy" }, { owner: "ana" }) };

test("a range of commits says which hosts would move, and along which path", async () => {
  await using repository = await StateRepository.create(files);
  await repository.commit(change);
  const { stdout, exit } = await cli(repository.folder, "plan", "HEAD~1..HEAD");
  assert.is(exit, 0);
  assert.match(stdout, /a {2}lamp: off -> busy\n {4}off -> on {2}1 step, opaque\n {4}on -> busy {2}1 step, opaque/);
  const { moves, owners, counts } = JSON.parse(
    (await cli(repository.folder, "plan", "HEAD~1..", "--json")).stdout,
  ) as Proposal;
  assert.equal([moves.length, moves[0]?.names, owners, counts.unchanged], [1, ["a"], ["ana"], 1]);
  assert.is((await cli(repository.folder, "plan", "HEAD~1..HEAD", "--exit-code")).exit, 3);
  assert.is((await cli(repository.folder, "plan", "HEAD..HEAD", "--exit-code")).exit, 0);
});

test("a reconciler's planner makes the report of two commits in a process of its own", async () => {
  await using repository = await StateRepository.create(files);
  const base = (await repository.git("rev-parse", "HEAD")).trim();
  const head = await repository.commit(change);
  const planner = createChangePlanner({
    runProcess,
    dir: repository.folder,
    recordRef: () => Promise.resolve(null),
    cache: null,
    hide: (text) => text,
  });
  const report = await planner.plan(base, head);
  assert.equal(
    [report.head, report.title, report.conclusion, report.owners],
    [head, "1 host would move", "success", ["ana"]],
  );
  assert.is(report.comment, (await cli(repository.folder, "plan", `${base}..${head}`, "--markdown")).stdout);
});

test.run();
