// log, at, diff, blame and bisect, by the built program in a plain clone: nothing of a reconciler is there.
import { access, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { parseTime } from "../../reconciler/cli/audit-source.ts";
import { pullRequestOf } from "../../reconciler/model/pull-request.ts";
import { emptyFleet, fleetSubject } from "../../reconciler/model/record.ts";
import { clone, recordAll } from "../support/audited.ts";
import { cli } from "../support/example.ts";
import { git, Remote } from "../support/git-remote.ts";
import { freePort } from "../support/sshd.ts";
import { suite } from "../support/suite.ts";
import { tempFolder } from "../support/temp.ts";
import { lamp, localHost, record } from "../support/world.ts";

const test = suite("audit");

interface Story {
  readonly folder: string;
  /** Commits of main: the first, one that lays a file out anew, and the merge of pull request 12. */
  readonly main: readonly [string, string, string];
  /** The commit on the merged branch. */
  readonly inside: string;
  readonly observed: readonly string[];
}

const stalled = {
  type: "Stalled",
  status: "True",
  reason: "Failed",
  message: "turn off: exit 1",
  at: "2026-11-21T10:00:00Z",
} as const;
const notReady = { ...stalled, type: "Ready", status: "False" } as const;
const ready = { type: "Ready", status: "True", reason: "InSync", message: "", at: "2026-11-20T10:00:00Z" } as const;

/** The branch main of it. */
async function tellMain(base: string): Promise<Pick<Story, "main" | "inside"> & { remote: Remote }> {
  const remote = await Remote.create(base);
  const work = join(base, "work");
  const first = await remote.commit(
    {
      "stateward.yaml": "{}\n",
      "machines/lamp.yaml": lamp,
      "hosts/a.b.yaml": localHost("a.b", { lamp: "on" }, { vars: { bulb: "40w", password: "geheimnis" } }),
      "hosts/c.yaml": localHost("c", { lamp: "on" }),
    },
    "Begin",
  );
  const text =
    "# laid out anew\nhost: a.b\ntransport: local\nvars: { password: geheimnis, bulb: 40w }\ntargets:\n  lamp: on\n";
  const anew = await remote.commit({ "hosts/a.b.yaml": text.replace("on\n", '"on"\n') }, "Lay out anew");
  await git(work, "checkout", "--quiet", "-b", "dim");
  const bob = ["-c", "user.name=Bob", "-c", "user.email=bob@example.org"];
  await git(work, "mv", "hosts/a.b.yaml", "hosts/lamp-a.yaml");
  await git(work, ...bob, "commit", "--quiet", "-m", "Move it");
  const moved = join(work, "hosts/lamp-a.yaml");
  await writeFile(moved, (await readFile(moved, "utf8")).replace('"on"', '"off"'));
  await git(work, ...bob, "commit", "--quiet", "-am", "Set it off");
  const inside = await git(work, "rev-parse", "HEAD");
  await git(work, "checkout", "--quiet", "-");
  await git(work, "merge", "--quiet", "--no-ff", "-m", "Merge pull request #12 from bob/dim", "dim");
  await git(work, "push", "--quiet", "origin", "HEAD:main");
  const merge = await git(work, "rev-parse", "HEAD");
  return { remote, main: [first, anew, merge], inside };
}

/** Ana sets a lamp on; Bob's pull request sets it off, which fails twice; Cleo holds it. */
async function tell(base: string): Promise<Story> {
  const { remote, main, inside } = await tellMain(base);
  const [first, anew, merge] = main;
  const attempt = {
    from: "on",
    to: "off",
    reason: "target",
    number: 1,
    status: "failed",
    startedAt: "2026-11-21T10:00:00Z",
    definition: "x",
    done: [],
    step: "turn-off",
    skipped: [],
    retryAt: null,
    error: "turn off: exit 1",
  } as const;
  const hold = { select: "a.b", reason: "smells burnt", by: "cleo", at: "2026-11-21T11:00:00Z", until: null };
  const observed = await recordAll(remote.path, [
    {
      at: "2026-11-20T10:00:00Z",
      desired: first,
      records: [record("a.b", "lamp", { state: "on", conditions: [ready], desired: first })],
      lines: ["a.b: off -> on (lamp)"],
    },
    {
      at: "2026-11-20T12:00:00Z",
      desired: anew,
      records: [record("c", "lamp", { state: "on", conditions: [ready] })],
      lines: ["c: off -> on (lamp)"],
    },
    {
      at: "2026-11-21T10:00:00Z",
      desired: merge,
      pullRequest: 12,
      records: [record("a.b", "lamp", { state: "on", conditions: [notReady], attempt })],
      lines: ["a.b: on -> off failed (lamp, try 1): turn off: exit 1"],
    },
    {
      at: "2026-11-21T10:01:00Z",
      desired: merge,
      epoch: 2,
      records: [
        record("a.b", "lamp", { state: "on", conditions: [notReady, stalled], attempt: { ...attempt, number: 2 } }),
      ],
      lines: ["a.b: on -> off failed (lamp, try 2): turn off: exit 1"],
    },
    {
      at: "2026-11-21T11:00:00Z",
      desired: merge,
      epoch: 2,
      records: [fleetSubject({ ...emptyFleet, holds: [hold] })],
      lines: ["a.b: held by cleo: smells burnt", "a.b: retry of lamp by dan"],
    },
  ]);
  const folder = await clone(remote.path, base);
  // A clone alone: the remote is not even there.
  await rename(remote.path, `${remote.path}.away`);
  return { folder, main, inside, observed };
}

async function json<T>(folder: string, ...args: string[]): Promise<T> {
  const result = await cli(folder, ...args, "--json");
  assert.is(result.exit, 0, result.stderr);
  return JSON.parse(result.stdout) as T;
}

interface Logged {
  readonly at: string;
  readonly subject: string;
  readonly what: string;
  readonly kind: string;
  readonly actor: string;
  readonly author: string;
  readonly pullRequest: number | null;
  readonly run: string;
}

test("a clone in which a plan has left its cache is read as before", async () => {
  await using dir = await tempFolder();
  const { folder } = await tell(dir.path);
  const entries = await json<Logged[]>(folder, "log", "a.b");
  assert.is((await cli(folder, "plan", "HEAD..HEAD")).exit, 0);
  await access(join(folder, ".stateward", "cache"));
  assert.equal(await json<Logged[]>(folder, "log", "a.b"), entries);
});

test("log says who, what, why, with which pull request and in which run, failed tries and words of people too", async () => {
  await using dir = await tempFolder();
  const { folder } = await tell(dir.path);
  const entries = await json<Logged[]>(folder, "log", "a.b");
  assert.equal(
    entries.map(({ at, what, kind, actor, author, pullRequest, run: which }) => [
      at.slice(8, 16),
      what,
      kind,
      actor,
      author,
      pullRequest,
      which,
    ]),
    [
      ["21T11:00", "retry of lamp by dan", "word", "dan", "Ana <ana@example.org>", 12, "run-2"],
      ["21T11:00", "held by cleo: smells burnt", "word", "cleo", "Ana <ana@example.org>", 12, "run-2"],
      [
        "21T10:01",
        "on -> off failed (lamp, try 2): turn off: exit 1",
        "failed",
        "reconciler",
        "Ana <ana@example.org>",
        12,
        "run-2",
      ],
      [
        "21T10:00",
        "on -> off failed (lamp, try 1): turn off: exit 1",
        "failed",
        "reconciler",
        "Ana <ana@example.org>",
        12,
        "run-1",
      ],
      ["20T10:00", "off -> on (lamp)", "change", "reconciler", "Ana <ana@example.org>", null, "run-1"],
    ],
  );
  const whole = await json<Logged[]>(
    folder,
    "log",
    "--since",
    "2026-11-20T11:00:00Z",
    "--until",
    "2026-11-21T10:00:30Z",
  );
  assert.equal(
    whole.map(({ subject }) => subject),
    ["a.b", "c"],
  );
  assert.equal(
    (await json<Logged[]>(folder, "log", "--actor", "CLEO")).map(({ subject }) => subject),
    ["a.b"],
  );
  assert.equal(await json<Logged[]>(folder, "log", "--actor", "nobody"), []);
  assert.is((await json<Logged[]>(folder, "log", "--limit", "1")).length, 1);
  const text = (await cli(folder, "log", "a.b")).stdout;
  assert.match(
    text,
    /2026-11-21 10:00:00 .* a\.b +on -> off failed \(lamp, try 1\): turn off: exit 1 +main [0-9a-f]{8} by Ana \(#12\)/,
  );
  assert.match((await cli(folder, "log", "nobody")).stderr, "no host or group is called nobody");
  assert.is((await cli(folder, "log", "--since", "yesterday-ish")).exit, 2);
});

test("at gives the fleet of any time, and diff what changed, by times and by commits of either branch", async () => {
  await using dir = await tempFolder();
  const { folder, main, inside, observed } = await tell(dir.path);
  interface At {
    commit: string;
    desired: string;
    subjects: { name: string }[];
  }
  const then = await json<At>(folder, "at", "2026-11-20T11:00:00Z");
  assert.equal([then.commit, then.desired, then.subjects.map(({ name }) => name)], [observed[0], main[0], ["a.b"]]);
  const later = await json<At>(folder, "at", "2026-11-20 13:30+01:00");
  assert.equal([later.commit, later.subjects.length], [observed[1], 2]);
  assert.is((await json<At>(folder, "at", observed[2]?.slice(0, 10) ?? "")).commit, observed[2]);
  assert.is((await json<At>(folder, "at", main[2])).commit, observed[4], "the last one made while that was in force");
  assert.match((await cli(folder, "at", "2026-11-22", "a.b")).stdout, /a\.b +lamp +on .* Failed +turn off: exit 1/);
  assert.match(
    (await cli(folder, "at", "2026-11-22")).stdout,
    "a.b is held by cleo since 2026-11-21T11:00:00Z: smells burnt",
  );
  const before = await cli(folder, "at", "2026-11-19");
  assert.is(before.exit, 1);
  assert.match(before.stderr, "nothing was recorded yet at 2026-11-19: the record begins at 2026-11-20T10:00:00.000Z");
  assert.match((await cli(folder, "at", "deadbee")).stderr, "no commit is called deadbee here");
  const never = await cli(folder, "at", inside);
  assert.match(never.stderr, `nothing was recorded while ${inside} was in force`);
  for (const words of [["at"], ["diff", "now"], ["diff", "2h", "ago"], ["log", "--since"]]) {
    const { exit, stderr } = await cli(folder, ...words, "99w", "ago");
    assert.not.match(stderr, /too many|called ago|time nor a commit: ago/, words.join(" "));
    assert.is(exit, words[0] === "log" ? 0 : 1, `${words.join(" ")}: ${stderr}`);
  }
  interface Diffed {
    from: { desired: string };
    to: { desired: string };
    changes: { subject: string; what: string; before: string | null; after: string | null }[];
  }
  const diffed = await json<Diffed>(folder, "diff", "2026-11-20T11:00:00Z", "2026-11-22");
  assert.equal([diffed.from.desired, diffed.to.desired], [main[0], main[2]]);
  assert.equal(
    diffed.changes
      .map(({ subject, what, before: old, after }) => [subject, what, old, after])
      .filter(([, what]) => what !== "incarnation"),
    [
      ["fleet", "hold of a.b", null, "cleo: smells burnt"],
      ["a.b", "ready", "yes", "Failed"],
      ["a.b", "attempt", null, "on -> off, try 2, failed"],
      ["c", "state", null, "on"],
      ["c", "ready", null, "yes"],
    ],
  );
  assert.match((await cli(folder, "diff", "2026-11-21T12:00:00Z", "now")).stdout, "nothing changed");
  assert.is((await json<Diffed>(folder, "diff", "2026-11-20T11:00:00Z", "2026-11-22", "c")).changes.length, 3);
});

test("blame names the commit that gave a value, whoever laid the file out anew or moved it, with its pull request", async () => {
  await using dir = await tempFolder();
  const { folder, main, inside } = await tell(dir.path);
  interface Blamed {
    fields: {
      field: string;
      value: string;
      commit: { commit: string; author: string } | null;
      merge: { commit: string } | null;
      pullRequest: number | null;
    }[];
  }
  const of = async (what: string): Promise<unknown[]> =>
    (await json<Blamed>(folder, "blame", what)).fields.map(({ value, commit, merge, pullRequest }) => [
      value,
      commit?.commit,
      commit?.author,
      merge?.commit,
      pullRequest,
    ]);
  assert.equal(await of("a.b.targets.lamp"), [["off", inside, "Bob <bob@example.org>", main[2], 12]]);
  assert.equal(await of("a.b.vars.bulb"), [["40w", main[0], "Ana <ana@example.org>", undefined, null]]);
  assert.equal(await of("a.b.region"), [["none", undefined, undefined, undefined, null]]);
  // A2: the commit is said, the value is not.
  assert.equal(await of("a.b.vars.password"), [["***", main[0], "Ana <ana@example.org>", undefined, null]]);
  assert.match(
    (await cli(folder, "blame", "a.b.targets")).stdout,
    /targets\.lamp: off {2}hosts\/lamp-a\.yaml:6 .*\n {4}\w{8} .* Bob <bob@example\.org>, pull request #12\n {4}Set it off\n {4}merged as/,
  );
  assert.match((await cli(folder, "blame", "a.b.targats")).stderr, /did you mean a\.b\.targets/);
  assert.match((await cli(folder, "blame", "x.targets")).stderr, "no host is called x\n");
});

test("a clone without its whole history is no ground for answers, and one without the record is told where it is", async () => {
  await using dir = await tempFolder();
  const { folder } = await tell(dir.path);
  const part = join(dir.path, "part");
  await git(dir.path, "clone", "--quiet", "--depth=2", "--no-single-branch", `file://${folder}`, part);
  for (const args of [
    ["log", "a.b"],
    ["at", "now"],
    ["diff", "2026-11-20", "now"],
    ["blame", "a.b.targets"],
    ["bisect", "a.b"],
    ["verify"],
  ]) {
    const { exit, stdout, stderr } = await cli(part, ...args);
    assert.equal([exit, stdout], [1, ""], args.join(" "));
    assert.match(stderr, /the clone is shallow: .*\n {2}git fetch --unshallow/);
  }
  const single = join(dir.path, "single");
  await git(dir.path, "clone", "--quiet", "--single-branch", "--branch=main", `file://${folder}`, single);
  const { exit, stderr } = await cli(single, "log");
  assert.is(exit, 1);
  assert.match(
    stderr,
    /nothing was recorded yet\n.*in a clone: git fetch origin observed:refs\/remotes\/origin\/observed/,
  );
  assert.match(
    (await cli(folder, "log", "nobody")).stderr,
    /no host or group is called nobody\n {2}stateward at now lists/,
  );
});

test("while the remote does not answer, its mirror is read, and that is said; verify is for the record itself", async () => {
  await using dir = await tempFolder();
  const remote = await Remote.create(dir.path);
  await remote.commit({ "stateward.yaml": "{}\n", "machines/lamp.yaml": lamp, "hosts/a.yaml": localHost("a", {}) });
  const fleet = ["--repository", remote.path] as const;
  const listen = ["--listen", `127.0.0.1:${await freePort()}`] as const;
  assert.is((await cli(dir.path, ...fleet, "run", "--once", ...listen)).exit, 0);
  await rename(remote.path, `${remote.path}.away`);
  for (const args of [["log"], ["at", "now"], ["history", "a", "--all"]]) {
    const { exit, stdout, stderr } = await cli(dir.path, ...fleet, ...args);
    assert.equal([exit, stdout === ""], [0, false], `${args.join(" ")}: ${stderr}`);
    assert.match(stderr, /ls-remote failed.*\n {2}this is what the data folder's mirror had last/);
  }
  assert.is((await cli(dir.path, ...fleet, "verify")).exit, 1);
});

test("bisect names the step, and the commit of main that came into force before a bad state", async () => {
  await using dir = await tempFolder();
  const { folder, main, observed } = await tell(dir.path);
  interface Bisected {
    machine: string;
    commit: string;
    cause: string;
    before: string;
    after: string;
    attempt: { step: string; error: string };
    desired: string;
    desiredBefore: string;
    suspects: { commit: string }[];
  }
  const found = await json<Bisected>(folder, "bisect", "a.b");
  assert.equal(
    [found.machine, found.commit, found.cause, found.before, found.after],
    ["lamp", observed[2], "step", "on", "on"],
  );
  assert.equal([found.attempt.step, found.attempt.error], ["turn-off", "turn off: exit 1"]);
  assert.equal(
    [found.desiredBefore, found.desired, found.suspects.map(({ commit }) => commit)],
    [main[0], main[2], [main[2], main[1]]],
  );
  assert.is((await json<Bisected>(folder, "bisect", "a.b", "--bad", "Stalled")).commit, observed[3]);
  assert.is((await json<Bisected>(folder, "bisect", "a.b", "--bad", "lamp=on")).commit, observed[0]);
  assert.is(
    (await json<Bisected>(folder, "bisect", "a.b", "--bad", "on", "--good", "2026-11-20T12:00:00Z")).commit,
    observed[2],
  );
  const text = (await cli(folder, "bisect", "a.b")).stdout;
  assert.match(text, /since 2026-11-21T10:00:00\.000Z, record \w{8}: a step that failed/);
  assert.match(text, /came into force: \w{8} by Ana <ana@example\.org> \(#12\): Merge pull request #12 from bob\/dim/);
  const never = await cli(folder, "bisect", "c");
  assert.equal([never.exit, /c was never stalled, failing or lost/.test(never.stderr)], [1, true]);
});

test("times are UTC unless they say otherwise; what is none is none", () => {
  const now = Date.parse("2026-11-22T12:00:00Z");
  const cases: [string, string | null][] = [
    ["2026-11-22T09:30:00Z", "2026-11-22T09:30:00.000Z"],
    ["2026-11-22T09:30", "2026-11-22T09:30:00.000Z"],
    ["2026-11-22 09:30:15.5", "2026-11-22T09:30:15.500Z"],
    ["2026-11-22T09:30:00+0100", "2026-11-22T08:30:00.000Z"],
    ["2026-11-22", "2026-11-22T00:00:00.000Z"],
    ["2h ago", "2026-11-22T10:00:00.000Z"],
    ["30m ago", "2026-11-22T11:30:00.000Z"],
    ["1d", "2026-11-21T12:00:00.000Z"],
    ["now", "2026-11-22T12:00:00.000Z"],
    ["2026-02-30", null],
    ["2026-11-22T25:00", null],
    ["yesterday", null],
    ["", null],
    ["--all", null],
  ];
  for (const [text, time] of cases) {
    const ms = parseTime(text, now);
    assert.is(ms === null ? null : new Date(ms).toISOString(), time, text);
  }
});

test("a pull request is known by the message that the Git host gave its merge", () => {
  assert.is(pullRequestOf("Merge pull request #12 from ana/x\n\nText (#13)"), 12);
  assert.is(pullRequestOf("Set git-1 on (#7)\n\n* one"), 7);
  for (const text of ["", "Fix #12", "Merge branch 'x'", "See (#7) for it", "Merge pull request #x"])
    assert.is(pullRequestOf(text), null, text);
});

test.run();
