// One reconciler and its fleet, day by day.
import { git } from "../../support/git-remote.ts";
import { heard, reaches, type Scenario, talk } from "./common.ts";

/** It comes up, is held, moves, loses a host that is replayed, and stops in order. */
export const life: Scenario = {
  name: "life",
  data: "a",
  play: async (site, port) => {
    const run = await site.start({ data: "a" });
    await heard(site, run);
    await site.hold(run, "b");
    await talk(site, run, 3);
    await reaches(site, run, "a", "serving");
    await site.release(run, "b");
    await reaches(site, run, "b", "serving");
    await site.commit({ a: "drained", b: "serving" }, port);
    await site.destroy("b");
    await talk(site, run, 3);
    await reaches(site, run, "a", "drained");
    await reaches(site, run, "b", "serving");
    await site.hold(run, "a");
    await site.stop(run);
  },
};

/** Steps fail, people say what is to be done, a commit waits for a word. */
export const words: Scenario = {
  name: "words",
  data: "a",
  play: async (site, port) => {
    for (const host of ["a", "b"]) await site.disturb("fail", "restore", host);
    const run = await site.start({ data: "a" });
    await heard(site, run);
    await reaches(site, run, "a", "RepeatNever");
    await reaches(site, run, "b", "RepeatNever");
    await site.undisturb();
    await site.disturb("fail", "verify", "b");
    await site.verdict(run, "retry", "a");
    await site.verdict(run, "skip", "b");
    await site.until("it is tried again", () => run.output.split("step failed: verify").length > 2);
    await site.undisturb();
    await reaches(site, run, "a", "serving");
    await reaches(site, run, "b", "serving");
    await site.report(run, "on", { lamp: "dim" });
    await site.until("the lamp is relit", () => site.logHas("relight"));
    await site.replay(run, "a");
    const strict = await site.commit({ a: "serving", b: "serving" }, port, { maxMoved: "1" });
    // The next one is judged by what is in force then.
    await site.until("its limit is in force", () => run.output.includes(`main ${strict.slice(0, 8)} in force`));
    await reaches(site, run, "a", "serving");
    const commit = await site.commit({ a: "drained", b: "drained" }, port, { maxMoved: "1" });
    await site.until("the commit waits, and is approved", async () => (await site.approve(run, commit)) === "taken");
    await reaches(site, run, "b", "drained");
    await site.releaseBrake(run);
    await site.stop(run);
  },
};

/** A commit with a problem, one that is taken away, a record that is archived, and its history. */
export const branches: Scenario = {
  name: "branches",
  data: "b",
  play: async (site, port) => {
    const run = await site.start({ data: "a" });
    await heard(site, run);
    await reaches(site, run, "a", "serving");
    await site.archive(run);
    await talk(site, run, 2);
    await site.commitNonsense();
    await site.until("the commit is refused", () => /has problems|problem/.test(run.output));
    await site.stop(run);
    // What was in force is known from the record alone.
    const next = await site.start({ data: "b", args: ["--take-over"] });
    const main = await site.head();
    await git(site.record, "update-ref", "-d", "refs/heads/main");
    await site.until("main is gone", () => next.output.includes("is gone"));
    await git(site.record, "update-ref", "refs/heads/main", main);
    await site.until("main is back", () => /branch main is gone[^]*(reach|follow|again)/.test(next.output));
    await site.rewind();
    await site.until("main is not followed", () => next.output.includes("rewound or rewritten"));
    await site.stop(next);
    const last = await site.start({ data: "b" });
    await site.acceptHistory("b", true);
    await site.commit({ a: "drained", b: "serving" }, port);
    await reaches(site, last, "a", "drained");
    const history = site.spawn({ data: "b", args: ["history", "a"] });
    await site.until("the history is shown", () => history.end !== null);
    await site.archive(last);
    await site.stop(last);
  },
};
