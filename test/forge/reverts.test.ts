// A halted commit is offered to be taken back, once, with the evidence: over real Git and a stand-in for GitHub.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { marked } from "marked";
import * as assert from "uvu/assert";
import { runProcess } from "../../reconciler/adapters/process.ts";
import { createRevertMaker } from "../../reconciler/cli/revert-maker.ts";
import { type HaltEvidence, haltReport } from "../../reconciler/forge/revert-report.ts";
import { HaltedReverts } from "../../reconciler/forge/reverts.ts";
import type { PlanReport } from "../../reconciler/model/forge.ts";
import type { FleetView, SubjectView } from "../../reconciler/model/ports.ts";
import { type CommitSigner, openSigner } from "../../reconciler/record/commit-signer.ts";
import { signerOf, splitCommit } from "../../reconciler/record/sshsig.ts";
import { openMirror, openStore, Remote } from "../support/git-remote.ts";
import { hasSshKeygen, makeKey } from "../support/signed-remote.ts";
import { suite } from "../support/suite.ts";
import { tempFolder } from "../support/temp.ts";
import { atOnce, type Files, lamp, lampChange, localHost } from "../support/world.ts";
import { appOf, report } from "./rig.ts";
import { StandIn } from "./stand-in.ts";

const test = suite("forge/reverts");
const fleetOf = (state: string, more: Files = {}): Files => ({
  "stateward.yaml": atOnce,
  "machines/lamp.yaml": lamp,
  "hosts/a.yaml": localHost("a", { lamp: state }),
  ...more,
});

function subject(name: string, message: string): SubjectView {
  const at = "2026-01-01T12:00:00Z";
  const stalled = { type: "Stalled", status: "True", reason: "StepFailed", message, at } as const;
  const machine = { machine: "lamp", state: "off", target: "on", since: at, available: true, path: [], attempt: null };
  const rest = {
    kind: "host",
    region: null,
    owner: null,
    address: null,
    incarnation: null,
    reachable: true,
    held: null,
  } as const;
  return { ...rest, name, machines: [{ ...machine, conditions: [stalled] }] };
}

function halted(commit: string): FleetView {
  const hosts = { pending: 37, active: 0, done: 2, failed: 1, parked: 0 };
  const rollout = {
    scope: "fleet/lamp=on",
    commit,
    since: "",
    phase: "halted",
    message: "1 host failed in the canary",
    wave: 0,
    waves: [3, 40],
    hosts,
  } as const;
  return { rollouts: [rollout], holds: [], braked: null, released: null, governors: [], unapproved: null };
}

interface Site extends AsyncDisposable {
  readonly remote: Remote;
  readonly standIn: StandIn;
  readonly notices: string[];
  view: FleetView;
  subjects: SubjectView[];
  conclusion: PlanReport["conclusion"];
  /** A process of its own, which remembers nothing of the one before. */
  start(signer?: CommitSigner): HaltedReverts;
  /** Commits on main. */
  commit(files: Files, message: string): Promise<string>;
}

const hide = (text: string): string => text.replaceAll(/hunter2`?/g, "***");

async function openSite(): Promise<Site> {
  const dir = await tempFolder();
  const remote = await Remote.create(dir.path);
  await remote.commit(fleetOf("off"), "first");
  const standIn = await StandIn.start({ gitDir: remote.path });
  const { git, origin } = await openMirror(remote.path, join(dir.path, "reconciler"));
  let days = 0;
  const site: Site = {
    remote,
    standIn,
    notices: [],
    view: halted(""),
    subjects: [subject("a", "exit 1: no bulb")],
    conclusion: "success",
    commit: (files, message) => remote.commit(files, message),
    start: (signer) =>
      new HaltedReverts({
        github: appOf(standIn),
        maker: createRevertMaker({
          git,
          remote: origin,
          now: () => Date.UTC(2026, 0, ++days),
          hide,
          ...(signer && { signer }),
        }),
        planner: {
          plan: async (base, head) =>
            report({ head, comment: `## The plan\n\n${base} ${head}\n`, conclusion: site.conclusion }),
        },
        fleet: { fleet: () => site.view, subjects: () => site.subjects },
        branch: "main",
        hide,
        notice: (message) => void site.notices.push(message),
      }),
    async [Symbol.asyncDispose]() {
      git.objects.close();
      standIn.fault = null;
      await standIn[Symbol.asyncDispose]();
      await dir[Symbol.asyncDispose]();
    },
  };
  return site;
}

test("a halted commit is offered to be taken back, with hosts, reasons, output and waves, and without secrets", async () => {
  await using site = await openSite();
  const commit = await site.commit(fleetOf("on"), "light a");
  await site.commit(fleetOf("on", { "hosts/b.yaml": localHost("b", { lamp: "off" }) }), "another host");
  site.view = halted(commit);
  site.subjects = [subject("a", "exit 1: no bulb, password hunter2"), { ...subject("c", ""), machines: [] }];
  await site.start().look();
  const [pull] = site.standIn.pulls.values();
  assert.equal([pull?.title, pull?.base, pull?.state], ['Revert "light a"', "main", "open"]);
  assert.is(pull?.branch, `stateward/revert-${commit.slice(0, 12)}`);
  assert.match(pull?.body ?? "", /in its canary, the first of 2 waves; 2 hosts done, 0 begun, 1 failed, 37 not begun/);
  assert.match(
    pull?.body ?? "",
    /\*\*`a`\*\*: `lamp` in `off`, target `on`: `StepFailed`\n\n```text\nexit 1: no bulb, password \*\*\*\n```/,
  );
  assert.match(pull?.body ?? "", /## The plan/);
  assert.match(await site.remote.git("show", `${pull?.branch}:hosts/a.yaml`), /lamp: off/);
  assert.is(await site.remote.git("rev-parse", `${pull?.branch}~1`), await site.remote.git("rev-parse", "main"));
  assert.is(await site.remote.git("diff", "--name-only", "main", pull?.branch ?? ""), "hosts/a.yaml");
  await site.remote.fsck();
});

test("one revert a commit and never two: not after a restart, not when people closed it, not when an answer was lost", async () => {
  await using site = await openSite();
  site.view = halted(await site.commit(fleetOf("on"), "light a"));
  site.standIn.fault = "lost";
  site.standIn.faultOnly = /^POST .*pulls$/;
  await site.start().look();
  site.standIn.fault = null;
  const first = site.start();
  await first.look();
  await first.look();
  assert.is(site.standIn.pulls.size, 1);
  for (const pull of site.standIn.pulls.values()) pull.state = "closed";
  await site.start().look();
  assert.is(site.standIn.pulls.size, 1);
});

test("what was interrupted between the push and the pull request goes on with the branch that is there", async () => {
  await using site = await openSite();
  site.view = halted(await site.commit(fleetOf("on"), "light a"));
  site.standIn.fault = "500";
  site.standIn.faultOnly = /^POST .*pulls$/;
  const before = await site
    .start()
    .look()
    .then(
      () => "offered",
      () => "failed",
    );
  assert.is(before, "failed");
  const pushed = await site.remote.git("for-each-ref", "refs/heads/stateward");
  site.standIn.fault = null;
  await site.start().look();
  assert.is(site.standIn.pulls.size, 1);
  assert.is(await site.remote.git("for-each-ref", "refs/heads/stateward"), pushed);
});

test("a branch of that name that takes back something else is not offered, and is named", async () => {
  await using site = await openSite();
  const first = await site.remote.git("rev-parse", "main");
  const commit = await site.commit(fleetOf("on"), "light a");
  const other = await site.commit(fleetOf("busy", { "hosts/b.yaml": localHost("b", { lamp: "on" }) }), "not a revert");
  await site.remote.git("update-ref", `refs/heads/stateward/revert-${commit.slice(0, 12)}`, other);
  await site.remote.git("update-ref", "refs/heads/main", commit);
  assert.not.equal(first, commit);
  site.view = halted(commit);
  await site.start().look();
  assert.is(site.standIn.pulls.size, 0);
  assert.match(site.notices[0] ?? "", `stateward/revert-${commit.slice(0, 12)} with something else on it`);
});

test("a branch that was pushed before main went on is offered with the plan of what is on it", async () => {
  await using site = await openSite();
  const commit = await site.commit(fleetOf("on"), "light a");
  site.view = halted(commit);
  site.standIn.fault = "500";
  site.standIn.faultOnly = /^POST .*pulls$/;
  await site
    .start()
    .look()
    .catch(() => {});
  await site.commit(fleetOf("on", { "hosts/b.yaml": localHost("b", { lamp: "off" }) }), "another host");
  site.standIn.fault = null;
  await site.start().look();
  const [pull] = site.standIn.pulls.values();
  const head = await site.remote.git("rev-parse", pull?.branch ?? "");
  assert.match(pull?.body ?? "", `${commit} ${head}`);
});

test("A2: a secret with a backtick in it takes none away that ends code", async () => {
  await using site = await openSite();
  const commit = await site.commit(fleetOf("on"), "hunter2");
  site.view = halted(commit);
  const [rollout] = site.view.rollouts;
  assert.ok(rollout);
  site.view = { ...site.view, rollouts: [{ ...rollout, scope: "hunter2", message: "<img src=x>" }] };
  await site.start().look();
  const [pull] = site.standIn.pulls.values();
  const body = pull?.body ?? "";
  assert.not.match(`${body}${pull?.title}`, "hunter2");
  assert.not.ok(kindsIn(body).has("html"), body);
});

test("evidence of very many hosts that say much fits, and says what is left out", async () => {
  await using site = await openSite();
  const commit = await site.commit(fleetOf("on"), "light a");
  site.view = halted(commit);
  site.subjects = Array.from({ length: 100 }, (_, index) => subject(`host-${index}`, "\u2192".repeat(5000)));
  await site.start().look();
  const [pull] = site.standIn.pulls.values();
  assert.ok(Buffer.byteLength(pull?.body ?? "") <= 65_000);
  assert.match(pull?.body ?? "", /Left out for want of room: \d+ × host that failed/);
  assert.match(pull?.body ?? "", "and 80 more hosts");
});

test("what cannot be taken back by itself is told once, and nothing is pushed", async () => {
  await using site = await openSite();
  const commit = await site.commit(fleetOf("on"), "light a");
  await site.commit(fleetOf("busy"), "busy instead");
  site.view = halted(commit);
  const reverts = site.start();
  await reverts.look();
  await reverts.look();
  assert.is(site.notices.length, 1);
  assert.match(
    site.notices[0] ?? "",
    /cannot be taken back by itself: .*hosts\/a\.yaml:\d+ \(changed by [0-9a-f]+ busy instead\)/,
  );
  site.view = halted(await site.commit(fleetOf("off"), "off again"));
  site.conclusion = "failure";
  await site.start().look();
  assert.match(site.notices[1] ?? "", /what would come of it has problems/);
  assert.is(await site.remote.git("for-each-ref", "refs/heads/stateward"), "");
  assert.is(site.standIn.pulls.size, 0);
});

test("commits that came into force together are taken back together, by what the record says was in force before", async () => {
  await using site = await openSite();
  const first = await site.remote.git("rev-parse", "main");
  const dir = join(site.remote.path, "../reconciler");
  {
    await using opened = await openStore(site.remote.path, dir);
    await opened.store.load();
    await opened.store.append({ ...lampChange("a", "off"), desired: first });
    await opened.store.flush();
    await site.commit(fleetOf("on"), "light a");
    const second = await site.commit(fleetOf("on", { "hosts/b.yaml": localHost("b", { lamp: "on" }) }), "and b");
    await opened.store.append({ ...lampChange("a", "on"), desired: second });
    await opened.store.flush();
    site.view = halted(second);
  }
  await site.start().look();
  const [pull] = site.standIn.pulls.values();
  assert.is(await site.remote.git("diff", "--name-only", first, pull?.branch ?? ""), "");
});

const signedTitle = "a revert is signed where there is a key: main may ask for signatures";
test.needs("ssh-keygen", hasSshKeygen, signedTitle, async () => {
  await using site = await openSite();
  await using dir = await tempFolder();
  const key = await makeKey(join(dir.path, "keys"), "reconciler");
  const commit = await site.commit(fleetOf("on"), "light a");
  site.view = halted(commit);
  await site.start(await openSigner(key.file, runProcess)).look();
  const [pull] = site.standIn.pulls.values();
  const data = Buffer.from(`${await site.remote.git("cat-file", "commit", pull?.branch ?? "")}\n`);
  const split = splitCommit(data);
  const [, publicKey = ""] = (await readFile(`${key.file}.pub`, "utf8")).split(" ");
  assert.is(split && signerOf(split.payload, split.armour), publicKey.trim());
});

const textOf = (evidence: HaltEvidence): string =>
  haltReport(evidence)
    .map(({ text }) => text)
    .join("\n\n");

/** Sorts of markup in a text. */
function kindsIn(text: string): ReadonlySet<string> {
  const kinds = new Set<string>();
  void marked.walkTokens(marked.lexer(text), ({ type }) => void kinds.add(type));
  return kinds;
}

test("A3: what hosts say is shown, and never markup", () => {
  const evil = "`````\n# heading\n<img src=x> @acme/admins [a](https://example.org) #1\n```\n</details>";
  const rollout = halted("c".repeat(40)).rollouts[0];
  assert.ok(rollout);
  const evidence: HaltEvidence = {
    commit: "c".repeat(40),
    rollouts: [{ ...rollout, scope: `x/${evil}`, message: evil }],
    failed: [{ name: evil, machine: evil, state: evil, target: evil, reason: evil, message: evil }],
  };
  assert.equal(
    [...kindsIn(textOf(evidence))].filter((kind) => ["html", "link", "image"].includes(kind)),
    [],
  );
  const headings = marked.lexer(textOf(evidence)).filter(({ type }) => type === "heading");
  assert.is(headings.length, 2);
});

test.run();
