// The desired branch as it is followed: which commit is in force, and what is said of a newer one.
import * as assert from "uvu/assert";
import { FollowedMain } from "../../reconciler/engine/followed-main.ts";
import type { DesiredCommit, Poll } from "../../reconciler/model/ports.ts";
import { suite } from "../support/suite.ts";
import { load } from "../support/world.ts";

const test = suite("followed main");
const machine = { machine: "m", initial: "off", states: { off: {} } };
const at = (digit: string, files: Record<string, object>): DesiredCommit => ({
  commit: digit.repeat(40),
  loaded: load({ "machines/m.yaml": machine, ...files }),
});

test("D4: a commit with problems is still shown when an older one that waited for a word comes into force", async () => {
  const first = at("1", {});
  const large = at("2", { "hosts/a.yaml": { host: "a", transport: "local", targets: { m: "off" } } });
  const bad = at("3", { "hosts/a.yaml": { host: "a", colour: "blue" } });
  const polls: Poll[] = [first, large, bad].map((commit) => ({ kind: "changed", desired: commit }));
  let isApproved = false;
  const reader = {
    poll: () => Promise.resolve(polls.shift() ?? { kind: "unchanged" as const }),
    recorded: () => Promise.resolve(null),
    descends: () => Promise.resolve(false),
  };
  const main = new FollowedMain(reader, () => {}, {
    prepare: () => Promise.resolve(),
    judge: ({ commit }) => (commit === large.commit && !isApproved ? "it would move too many" : null),
  });
  for (let poll = 0; poll < 3; poll++) await main.poll();
  assert.equal([main.current, main.waiting?.commit, main.refusal?.commit], [first, large.commit, bad.commit]);
  isApproved = true;
  assert.equal(main.reconsider(), { before: first, after: large });
  assert.is(main.current, large);
  assert.is(main.refusal?.commit, bad.commit);
  assert.match(main.trouble?.message ?? "", /commit 33333333 has problems and is not in force/);
  await main.poll();
  assert.match(main.trouble?.message ?? "", /has problems/, "and at the next look as well");
});

test.run();
