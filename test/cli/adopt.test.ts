// stateward adopt: what the record says of a host becomes its target, where the file says it.
import { join } from "node:path";
import * as assert from "uvu/assert";
import { cli } from "../support/example.ts";
import { openStore } from "../support/git-remote.ts";
import { lampFiles, type Person, person } from "../support/state-folder.ts";
import { suite } from "../support/suite.ts";
import { commit, record } from "../support/world.ts";

const test = suite("adopt");

/** Records on the branch `observed` of a person's remote. */
async function observed(ana: Person, ...records: readonly Parameters<typeof record>[]): Promise<void> {
  await using opened = await openStore(ana.remote.path, join(ana.folder, "../reconciler"));
  await opened.store.load();
  for (const args of records) await opened.store.append({ record: record(...args), summary: null, desired: commit });
  await opened.store.flush();
}

const fallen = {
  fellFrom: "off",
  agreed: false,
  waiting: null,
  barrier: null,
  begun: null,
  autos: null,
  falls: [],
  remedies: {},
};

test("adopt writes the recorded state as the target, keeps the rest of the file, and says why it was so", async () => {
  await using ana = await person();
  await observed(ana, ["a", "lamp", { state: "busy", upkeep: fallen }], ["c", "lamp", { state: "on" }]);
  const result = await cli(ana.folder, "adopt", "a");
  assert.is(result.exit, 0, result.stderr);
  assert.match(result.stdout, /^a {2}lamp: off -> busy {2}\(seen to have left off, since /);
  assert.match(await ana.read("hosts/a.yaml"), / {2}lamp: {3}busy {3}# for now\n/);
  assert.is(await ana.git("diff", "--stat").then((text) => text.split("\n").length), 2);
});

test("adopt says so when there is nothing to adopt, and leaves alone what is on its way", async () => {
  await using ana = await person();
  const attempt = {
    from: "on",
    to: "off",
    reason: "target",
    number: 1,
    status: "running",
    startedAt: "2026-01-01T12:00:00Z",
    definition: "x",
    done: [],
    step: null,
    skipped: [],
    retryAt: null,
    error: null,
  } as const;
  await observed(ana, ["c", "lamp", { state: "on" }], ["a", "lamp", { state: "on", attempt }]);
  const rest = await cli(ana.folder, "adopt", "c");
  assert.is(rest.exit, 0, rest.stderr);
  assert.is(rest.stdout, "nothing to adopt: c is in its targets\n");
  const moving = await cli(ana.folder, "adopt", "a");
  assert.match(moving.stdout, /^nothing to adopt: a lamp is on its way from on: wait until it is at rest/);
  assert.is(await ana.git("status", "--porcelain"), "");
});

test("unknown is no state: a host of which nothing was recorded is not adopted, nor one that does not exist", async () => {
  await using ana = await person();
  const none = await cli(ana.folder, "adopt", "a");
  assert.match(none.stderr, /the remote origin has no branch observed/);
  await observed(ana, ["c", "lamp", { state: "on" }]);
  const said = async (...args: string[]): Promise<string> => (await cli(ana.folder, "adopt", ...args)).stderr;
  assert.match(await said("a"), /nothing was recorded of a yet/);
  assert.match(await said("aa"), /no host or group is called aa/);
  assert.match(await said("c", "notice"), /c does not carry notice\n.*it carries: lamp/);
  assert.is((await cli(ana.folder, "adopt", "a")).exit, 1);
});

test("D4: a state that cannot be a target is not written", async () => {
  await using ana = await person({
    ...lampFiles,
    "machines/lamp.yaml": {
      machine: "lamp",
      initial: "off",
      states: {
        off: { enter: [{ from: "on" }] },
        way: { transient: true, enter: [{ from: "off" }] },
        on: { enter: [{ from: "way" }] },
        busy: { enter: [{ from: "on" }] },
      },
    },
  });
  await observed(ana, ["a", "lamp", { state: "way" }]);
  const result = await cli(ana.folder, "adopt", "a");
  assert.is(result.exit, 1);
  assert.match(result.stderr, /SW209/);
  assert.is(await ana.git("status", "--porcelain"), "");
});

test.run();
