// More than one reconciler, or one that comes back.
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { svcOf } from "../site.ts";
import { heard, reaches, type Scenario, talk } from "./common.ts";

/** A second folder takes the lead by a person's word; the first one finds that out, and stands by until the second one ends. */
export const takeover: Scenario = {
  name: "takeover",
  data: "b",
  play: async (site, port) => {
    const first = await site.start({ data: "a" });
    await site.report(first, "on");
    await reaches(site, first, "a", "serving");
    const second = await site.start({ data: "b", args: ["--take-over"] });
    await site.report(second, "off");
    await site.hold(second, "a");
    await site.until("the first one steps down", () => /steps down|stands by/.test(first.output));
    await site.commit({ a: "serving", b: "drained" }, port);
    await reaches(site, second, "b", "drained");
    await site.stop(second);
    await heard(site, first);
    await site.stop(first);
  },
};

/** It was killed while a step marked never ran, and while something waited in the journal. */
export const inquiry: Scenario = {
  name: "inquiry",
  data: "a",
  play: async (site, port) => {
    await site.disturb("slow", "restore", "a");
    const first = await site.start({ data: "a", isArmed: false });
    await site.report(first, "on");
    await site.until("the step marked never runs", () => site.logHas("restore"));
    await site.hold(first, "b");
    await site.kill(first);
    const second = await site.start({ data: "a" });
    await talk(site, second, 2);
    await site.until("the host is heard", async () => (await svcOf(site, second, "a")).isHeard);
    // The host is asked, and says that the step still runs.
    await pause(1000);
    await site.undisturb();
    await reaches(site, second, "a", "serving");
    await site.release(second, "b");
    await site.commit({ a: "drained", b: "drained" }, port);
    await reaches(site, second, "a", "drained");
    await site.stop(second);
  },
};

/** The data folder is gone; another one stands by until the leader's silence has lasted long enough. */
export const silence: Scenario = {
  name: "silence",
  data: "b",
  play: async (site) => {
    const first = await site.start({ data: "a", isArmed: false });
    await site.report(first, "on");
    await reaches(site, first, "a", "serving");
    await site.kill(first);
    await rm(join(site.path, "a"), { recursive: true, force: true });
    const second = await site.start({ data: "b" });
    await heard(site, second);
    await talk(site, second, 2);
    await reaches(site, second, "b", "serving");
    // It is stopped for longer than its lease, and asks before it acknowledges.
    second.child.kill("SIGSTOP");
    const waiting = site.report(second, "on");
    await pause(2700);
    second.child.kill("SIGCONT");
    await waiting;
    await site.stop(second);
  },
};

/** It is killed with something in its journal, another leads meanwhile, and it comes back: the journal is set aside. */
export const returned: Scenario = {
  name: "returned",
  data: "a",
  play: async (site) => {
    const first = await site.start({ data: "a", isArmed: false });
    await heard(site, first);
    // The remote takes nothing any more: what is said from now on stays in the journal.
    await site.cutRemote(true);
    await talk(site, first, 2);
    await site.kill(first);
    await site.cutRemote(false);
    const second = await site.start({ data: "b", args: ["--take-over"], isArmed: false });
    await reaches(site, second, "a", "serving");
    await site.archive(second);
    await site.kill(second);
    const third = await site.start({ data: "a", args: ["--take-over"] });
    await talk(site, third, 2);
    await reaches(site, third, "b", "serving");
    await site.stop(third);
  },
};
