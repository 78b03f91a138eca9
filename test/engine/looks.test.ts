// Looking at hosts that do not report by themselves.
import * as assert from "uvu/assert";
import { Looks } from "../../reconciler/engine/looks.ts";
import type { HostReport } from "../../reconciler/model/report.ts";
import { ManualClock, settle } from "../support/fake-hosts.ts";
import { suite } from "../support/suite.ts";
import { noon, report } from "../support/world.ts";

const test = suite("looks");

test("R3: a host that reports by itself from now on is not looked at any more, also where a look is under way or asked for late", async () => {
  const clock = new ManualClock(noon);
  const begun: string[] = [];
  const heard: string[] = [];
  let answer: (value: HostReport) => void = () => {};
  const looks = new Looks({
    clock,
    look: (name) => {
      begun.push(name);
      return new Promise((resolve) => {
        answer = resolve;
      });
    },
    heard: ({ host }) => heard.push(host),
    intervalMs: () => 10_000,
    parallelMax: 32,
  });
  looks.follow(["a"]);
  answer(report("a"));
  await clock.pass(10_000);
  assert.equal([begun, heard], [["a", "a"], ["a"]]);
  looks.follow([]);
  answer(report("a", { reachable: false, message: "no transport agent" }));
  await settle();
  looks.now("a");
  await clock.pass(60_000);
  assert.equal([begun, heard], [["a", "a"], ["a"]], "a late look does not overrule the host's own word");
  looks.follow(["a"]);
  answer(report("a"));
  await settle();
  assert.equal(
    [begun, heard],
    [
      ["a", "a", "a"],
      ["a", "a"],
    ],
    "and it is looked at again when it is to be",
  );
  looks.close();
});

test.run();
