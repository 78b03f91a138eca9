// stateward plan BASE..HEAD in real repositories: from objects alone, the same bytes everywhere, and for a reconciler.
import { execFile } from "node:child_process";
import { chmod, mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import * as assert from "uvu/assert";
import { runProcess } from "../../reconciler/adapters/process.ts";
import { createChangePlanner } from "../../reconciler/cli/change-planner.ts";
import type { Proposal } from "../../reconciler/model/proposal.ts";
import { Secrets } from "../../reconciler/model/secrets.ts";
import { exists } from "../../reconciler/record/disk.ts";
import { cli, program } from "../support/example.ts";
import { stateFolder } from "../support/state-folder.ts";
import { StateRepository } from "../support/state-repository.ts";
import { suite } from "../support/suite.ts";
import { tempFolder } from "../support/temp.ts";
import { lamp, localHost, record } from "../support/world.ts";

const run = promisify(execFile);

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
    secrets: new Secrets(),
  });
  const report = await planner.plan(base, head);
  assert.equal(
    [report.head, report.title, report.conclusion, report.owners],
    [head, "1 host would move", "success", ["ana"]],
  );
  assert.is(report.comment, (await cli(repository.folder, "plan", `${base}..${head}`, "--markdown")).stdout);
});

test("R1: the same bytes again, from another clone, with another zone and language, and with a cache", async () => {
  await using repository = await StateRepository.create(files);
  const base = (await repository.git("rev-parse", "HEAD")).trim();
  const head = await repository.commit({
    ...change,
    "hosts/c.yaml": localHost("c", { lamp: "on" }, { owner: "ümlaut" }),
  });
  await repository.record([record("a", "lamp", { state: "on" }), record("b", "lamp", { state: "off" })]);
  await using clone = await tempFolder();
  await run("git", ["clone", "--quiet", repository.folder, clone.path]);
  const plan = async (folder: string, env: Readonly<Record<string, string>>, ...more: string[]): Promise<string> => {
    const args = [program, "--folder", folder, "plan", `${base}..${head}`, ...more];
    return (await run(process.execPath, args, { env: { ...process.env, ...env } })).stdout;
  };
  for (const form of [["--json"], ["--markdown"], []]) {
    const first = await plan(repository.folder, { TZ: "UTC", LANG: "C" }, ...form);
    assert.is(await plan(repository.folder, { TZ: "UTC", LANG: "C" }, ...form), first, "again");
    assert.is(await plan(clone.path, { TZ: "Asia/Tokyo", LANG: "de_DE.UTF-8", LC_ALL: "tr_TR.UTF-8" }, ...form), first);
  }
  const { record: commit, moves, at } = JSON.parse(await plan(clone.path, {}, "--json")) as Proposal;
  assert.equal(
    [commit, moves.map(({ names, from }) => [names, from])],
    [
      (await repository.git("rev-parse", "observed")).trim(),
      [
        [["c"], "off"],
        [["a"], "on"],
      ],
    ],
  );
  assert.is(at, "2026-06-01T12:03:00.000Z", "the time of the newest commit that is read");
});

test("--record names the record, and without one that is said", async () => {
  await using repository = await StateRepository.create(files);
  await repository.commit(change);
  const tip = await repository.record([record("a", "lamp", { state: "on" })]);
  await repository.git("branch", "--quiet", "-m", "observed", "elsewhere");
  const plan = async (...more: string[]): Promise<Proposal> =>
    JSON.parse((await cli(repository.folder, "plan", "HEAD~1..", "--json", ...more)).stdout) as Proposal;
  assert.is((await plan()).record, null);
  const known = await plan("--record", "elsewhere");
  assert.equal([known.record, known.moves[0]?.from], [tip, "on"]);
  assert.match((await cli(repository.folder, "plan", "HEAD~1..", "--record", "gone")).stderr, /no commit gone here/);
});

test("A3: a revision that is an option, a path or no commit is refused, and nothing is written", async () => {
  await using repository = await StateRepository.create(files);
  const before = await repository.git("status", "--porcelain", "--ignored");
  for (const [range, exit] of [
    ["--output=/tmp/x..HEAD", 2],
    ["HEAD..--all", 2],
    ["HEAD..-c", 2],
    ["gone..HEAD", 1],
    ["HEAD..HEAD:stateward.yaml", 1],
    ["HEAD^{tree}..HEAD", 1],
    ["HEAD..\u001b[31m", 2],
  ] as const) {
    const result = await cli(repository.folder, "plan", "--", range);
    assert.is(result.exit, exit, `${range}: ${result.stdout}${result.stderr}`);
    assert.not.match(result.stderr, "\u001b");
  }
  assert.is((await cli(repository.folder, "plan", "HEAD..HEAD", "a")).exit, 2);
  assert.is((await cli(repository.folder, "plan", "a", "--markdown")).exit, 2);
  assert.is(await repository.git("status", "--porcelain", "--ignored"), before);
});

test("A3: nothing that a repository may configure is run: hooks, filters, text conversions, monitors", async () => {
  await using repository = await StateRepository.create(files);
  const mark = join(repository.folder, "..", "was-run");
  await repository.commit({ ...change, ".gitattributes": "* filter=x diff=x\n" });
  for (const key of ["core.fsmonitor", "filter.x.smudge", "filter.x.clean", "diff.x.textconv", "core.pager"])
    await repository.git("config", key, `touch ${mark}`);
  const { exit, stdout } = await cli(repository.folder, "plan", "HEAD~1..HEAD", "--markdown");
  assert.is(exit, 0);
  assert.match(stdout, /1 host would move/);
  assert.is(await exists(mark), false);
});

test("a commit with errors is refused: exit status 1, its problems at their lines, and the failing verdict", async () => {
  await using repository = await StateRepository.create(files);
  await repository.commit({ "hosts/a.yaml": "host: a\ntransport: local\ntargets: { lamp: gone }\n" });
  const { exit, stdout } = await cli(repository.folder, "plan", "HEAD~1..HEAD", "--markdown");
  assert.is(exit, 1);
  assert.match(stdout, /^## Refused: 1 error\n[\s\S]*SW204 at `hosts\/a\.yaml:3:\d+`/);
});

test("A2: no secret of the files or of the environment is shown in any form, and one that changes is said to be another", async () => {
  const host = (password: string): object =>
    localHost("a", { lamp: "on" }, { vars: { db_password: password, note: "known-to-the-reconciler" } });
  await using repository = await StateRepository.create({
    "machines/lamp.yaml": lamp,
    "hosts/a.yaml": host("hunter2-old"),
  });
  await repository.commit({
    "hosts/a.yaml": host("hunter2-new"),
    "hosts/b.yaml": localHost("b", { lamp: "on" }, { vars: { note: "known-to-the-reconciler" } }),
    "machines/door.yaml": {
      machine: "door",
      initial: "shut",
      states: {
        shut: { enter: [{ from: "open", steps: [{ run: ["curl", "-u", "ana:hunter2-list", "x"] }] }] },
        open: {
          enter: [
            {
              from: "shut",
              steps: [{ http: { url: "http://127.0.0.1/", headers: { Authorization: "hunter2-header" } } }],
            },
          ],
        },
      },
    },
  });
  const env = { ...process.env, FLEET_TOKEN: "known-to-the-reconciler" };
  for (const form of [["--json"], ["--markdown"], []]) {
    const args = [program, "--folder", repository.folder, "plan", "HEAD~1..HEAD", ...form];
    const { stdout } = await run(process.execPath, args, { env }).catch((error: { stdout: string }) => error);
    assert.not.match(stdout, /hunter2|known-to-the-reconciler/, form.join());
    assert.match(stdout, /another value/, form.join());
  }
});

test("a clone that lacks objects says so, and fetches nothing by itself", async () => {
  await using repository = await StateRepository.create(files);
  await repository.commit(change);
  await repository.git("config", "uploadpack.allowFilter", "true");
  await using clone = await tempFolder();
  const url = `file://${repository.folder}`;
  await run("git", ["clone", "--quiet", "--no-checkout", "--filter=blob:none", url, clone.path]);
  const { exit, stderr } = await cli(clone.path, "plan", "HEAD~1..HEAD");
  assert.is(exit, 1);
  assert.match(stderr, /may be partial or shallow/);
});

test("the plan of 5,000 hosts is read in one comment, and all of their names stand in the details", async () => {
  const hosts = (target: string): Record<string, object> =>
    Object.fromEntries(
      Array.from({ length: 5000 }, (_, index) => {
        const name = `web-${String(index).padStart(4, "0")}`;
        const more = {
          owner: `team-${index % 7}`,
          labels: { rack: `r${index % 40}` },
          address: `10.0.${index >> 8}.${index & 255}`,
        };
        return [`hosts/${index % 50}/${name}.yaml`, localHost(name, { lamp: target }, more)];
      }),
    );
  await using repository = await StateRepository.create({ "machines/lamp.yaml": lamp, ...hosts("off") });
  const base = (await repository.git("rev-parse", "HEAD")).trim();
  const head = await repository.commit(hosts("on"));
  const planner = createChangePlanner({
    runProcess,
    dir: repository.folder,
    recordRef: async () => null,
    cache: null,
    secrets: new Secrets(),
  });
  const { comment, details, title, conclusion, owners } = await planner.plan(base, head);
  assert.equal([title, conclusion, owners.length], ["5000 hosts would move", "action_required", 7]);
  assert.ok(comment.length < 10_000, `${comment.length} characters are read by somebody`);
  assert.match(comment, /Hosts that would move \| 5000 of 5000/);
  assert.match(comment, /```diff\n@@ -1,2 \+1,2 @@\n targets:\n- {2}lamp: off\n\+ {2}lamp: on\n```/);
  assert.ok(details.length <= 65_000);
  for (const index of [0, 2500, 4999]) assert.match(details, `web-${String(index).padStart(4, "0")}`);
});

test("check refuses what a commit of the folder would be refused for: links, programs, names", async () => {
  await using folder = await stateFolder();
  assert.is((await cli(folder.path, "check")).exit, 0);
  await writeFile(join(folder.path, "hosts/restore.sh"), "true\n", { mode: 0o755 });
  await symlink("a.yaml", join(folder.path, "hosts/.#a.yaml"));
  assert.is((await cli(folder.path, "check")).exit, 0, "a program beside the settings, and an editor's lock");
  await chmod(join(folder.path, "hosts/a.yaml"), 0o755);
  await symlink("c.yaml", join(folder.path, "hosts/d.yaml"));
  await folder.write({ "hosts/aux.yaml": "host: e\ntransport: local\n" });
  const { exit, stdout } = await cli(folder.path, "check", "--format", "github");
  assert.is(exit, 1);
  for (const [file, code] of [
    ["a", "SW504"],
    ["d", "SW503"],
    ["aux", "SW505"],
  ])
    assert.match(stdout, new RegExp(`^::error file=hosts/${file}\\.yaml,line=1,col=1,title=${code} `, "m"));
});

test("check --format github prints each problem as one command of a workflow, with nothing in it that ends it", async () => {
  await using dir = await tempFolder();
  const folder = join(dir.path, "state");
  await mkdir(join(folder, "hosts"), { recursive: true });
  await writeFile(join(folder, "stateward.yaml"), "{}\n");
  await writeFile(join(folder, "hosts/a,b:100%.yaml"), 'host: a\n"x::error::\\nx%": 1\n');
  const { stdout } = await run(process.execPath, [program, "--folder", "state", "check", "--format", "github"], {
    cwd: dir.path,
  }).catch((error: { code: number; stdout: string }) => {
    assert.is(error.code, 1);
    return error;
  });
  const commands = stdout.split("\n").filter((line) => line.includes("::"));
  assert.is(commands.length, 2, stdout);
  assert.match(
    commands[0] ?? "",
    /^::error file=state\/hosts\/a%2Cb%3A100%25\.yaml,line=1,col=1,title=SW505 [^:]*::"hosts\/a,b:100%25\.yaml" has a name/,
  );
  assert.match(
    commands[1] ?? "",
    /^::error file=state\/hosts\/a%2Cb%3A100%25\.yaml,line=2,col=1,title=SW101 unknown key::unknown key x::error::%0Ax%25;/,
  );
  assert.is((await cli(folder, "check", "--format", "yaml")).exit, 2);
  assert.is((JSON.parse((await cli(folder, "check", "--format", "json")).stdout) as { ok: boolean }).ok, false);
});

test.run();
