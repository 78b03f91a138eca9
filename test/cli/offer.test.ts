// Changes offered as pull requests from a clone: real Git, and a stand-in for GitHub. The person's own work stays as it is.
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { repositoryIn } from "../../reconciler/cli/github.ts";
import { StandIn } from "../forge/stand-in.ts";
import { type CliResult, cli } from "../support/example.ts";
import { git } from "../support/git-remote.ts";
import { lampFiles, type Person, person } from "../support/state-folder.ts";
import { suite } from "../support/suite.ts";

const test = suite("offer");

interface Site extends AsyncDisposable {
  readonly ana: Person;
  readonly standIn: StandIn;
  /** A command with `--pr`. */
  offer(...args: string[]): Promise<CliResult>;
}

async function openSite(files = lampFiles): Promise<Site> {
  const ana = await person(files);
  const standIn = await StandIn.start({ gitDir: ana.remote.path });
  const token = join(ana.folder, ".git/token");
  await writeFile(token, `${standIn.tokenOf("ana")}\n`, { mode: 0o600 });
  const where = ["--github", standIn.repository, "--github-api", standIn.url, "--github-token-file", token];
  return {
    ana,
    standIn,
    offer: (...args) => cli(ana.folder, ...args, "--pr", ...where),
    async [Symbol.asyncDispose]() {
      await ana[Symbol.asyncDispose]();
      await standIn[Symbol.asyncDispose]();
    },
  };
}

test("set --pr opens a pull request from the remote's main; work tree, index and branches stay as they are", async () => {
  await using site = await openSite();
  const { ana, standIn } = site;
  await writeFile(join(ana.folder, "hosts/a.yaml"), "host: [half written\n");
  await writeFile(join(ana.folder, "hosts/new.yaml"), "staged\n");
  await ana.git("add", "hosts/new.yaml");
  const main = await ana.remote.commit(
    { "hosts/c.yaml": "host: c\ntransport: local\ntargets: { lamp: off }\n" },
    "newer",
  );
  const before = await ana.state();
  const result = await site.offer("set", "a", "lamp=on", "--message", "Light a\n\nIt is dark.");
  assert.is(result.exit, 0, result.stderr);
  assert.is(await ana.state(), before);
  const [pull] = standIn.pulls.values();
  assert.equal([pull?.title, pull?.base, pull?.author, pull?.state], ["Light a", "main", "ana", "open"]);
  assert.match(pull?.body ?? "", /It is dark\./);
  assert.match(pull?.body ?? "", /lamp/);
  const branch = pull?.branch ?? "";
  assert.match(branch, /^stateward\/set-a-on-[0-9a-f]{8}$/);
  assert.is(await ana.remote.git("rev-parse", `${branch}~1`), main);
  assert.is(
    await ana.remote.git("log", "-1", "--format=%an <%ae>|%cn|%B", branch),
    "Ana <ana@example.org>|Ana|Light a\n\nIt is dark.",
  );
  assert.is(
    await ana.remote
      .git("diff", "--stat=80", `${branch}~1`, branch, "--", "hosts/a.yaml")
      .then((text) => text.split("\n").length),
    2,
  );
  assert.match(await ana.remote.git("show", `${branch}:hosts/a.yaml`), / {2}lamp: {3}on {3}# for now/);
  assert.match(result.stdout, /pushed stateward\/set-a-on-[0-9a-f]{8}, and opened: https?:/);
  await ana.remote.fsck();
});

test("the same change offered twice is one branch and one pull request, also when opening it failed at first", async () => {
  await using site = await openSite();
  const { standIn, ana } = site;
  standIn.fault = "nonsense";
  const failed = await site.offer("set", "a", "lamp=on");
  assert.is(failed.exit, 1);
  assert.not.match(failed.stderr, standIn.tokenOf("ana"));
  standIn.fault = null;
  const second = await site.offer("set", "a", "lamp=on");
  assert.match(second.stdout, /\nthe branch stateward\/set-a-on-\S+ was there already; opened: https:/);
  const again = await site.offer("set", "a", "lamp=on");
  assert.is(again.exit, 0, again.stderr);
  assert.match(again.stdout, /\nnothing new: the branch \S+ and its pull request are there already: https:/);
  assert.is(standIn.pulls.size, 1);
  assert.is((await ana.remote.git("for-each-ref", "refs/heads/stateward")).split("\n").length, 1);
});

test("the same change is found again when main has gone on, and is another one once it was merged", async () => {
  await using site = await openSite();
  const { standIn, ana } = site;
  const change = ["set", "a", "lamp=on"];
  assert.is((await site.offer(...change)).exit, 0);
  await ana.remote.commit({ ...lampFiles, "hosts/c.yaml": "host: c\ntransport: local\n" }, "elsewhere");
  const again = await site.offer(...change, "--json");
  const { pushed, opened, number, branch } = JSON.parse(again.stdout) as Record<string, unknown>;
  assert.equal([pushed, opened, number, standIn.pulls.size], [false, false, 1, 1]);
  await ana.git("fetch", "--quiet", "origin");
  await ana.git("checkout", "--quiet", "-B", "main", "origin/main");
  await ana.git("merge", "--quiet", "--no-ff", "-m", "Merge", `origin/${String(branch)}`);
  standIn.merge(1, await ana.git("rev-parse", "HEAD"));
  await ana.git("revert", "--no-edit", "-m", "1", "HEAD");
  await ana.git("push", "--quiet", "origin", "HEAD:main");
  const next = await site.offer(...change);
  assert.is(next.exit, 0, next.stderr);
  assert.match(next.stdout, `pushed ${String(branch)}-2, and opened`);
  assert.is(await ana.remote.git("rev-parse", `${String(branch)}-2~1`), await ana.git("rev-parse", "HEAD"));
});

test("a revert finds its branch again when main has gone on", async () => {
  await using site = await openSite();
  const { ana, standIn } = site;
  const lit = await ana.remote.commit({ ...lampFiles, "hosts/a.yaml": lampFiles["hosts/b.yaml"] ?? "" }, "wrong");
  await ana.git("fetch", "--quiet", "origin");
  assert.is((await site.offer("revert", lit)).exit, 0);
  await ana.remote.commit({ "hosts/n.yaml": "host: n\ntransport: local\n" }, "elsewhere");
  const again = await site.offer("revert", lit);
  assert.match(again.stdout, /nothing new: the branch stateward\/revert-/, again.stderr);
  assert.is(standIn.pulls.size, 1);
});

test("a branch with something else on it is never overwritten", async () => {
  await using site = await openSite();
  const { ana } = site;
  const dry = await site.offer("set", "a", "lamp=on", "--dry-run", "--json");
  const { branch } = JSON.parse(dry.stdout) as { branch: string };
  await ana.git("commit", "--quiet", "--allow-empty", "-m", "something else");
  await ana.git("push", "--quiet", "origin", `HEAD:${branch}`);
  const result = await site.offer("set", "a", "lamp=on");
  assert.is(result.exit, 1);
  assert.match(result.stderr, /has a branch stateward\/set-a-on-\S+ with something else on it/);
  assert.is(await ana.remote.git("rev-parse", branch), await ana.git("rev-parse", "HEAD"));
});

test("--dry-run with --pr pushes nothing, asks GitHub nothing, and needs no token", async () => {
  await using site = await openSite();
  const { ana, standIn } = site;
  const before = [await ana.state(), await ana.remote.git("for-each-ref")];
  const result = await cli(ana.folder, "set", "a", "lamp=on", "--pr", "--dry-run");
  assert.is(result.exit, 0, result.stderr);
  assert.match(result.stdout, /would push stateward\/set-a-on-\S+, and open: a: lamp to on\n/);
  assert.equal([await ana.state(), await ana.remote.git("for-each-ref")], before);
  assert.is(standIn.requests.length, 0);
});

test("A2: a secret with backticks takes none away that the plan's code needs", async () => {
  await using site = await openSite();
  process.env.DB_PASSWORD = "`lamp`: `off`";
  try {
    const { stdout } = await site.offer(
      "set",
      "a",
      "lamp=on",
      "--message",
      "Light a\n\n`lamp`: `off`",
      "--dry-run",
      "--json",
    );
    const { body } = JSON.parse(stdout) as { body: string };
    assert.match(body, /^\*\*\*\n\n/);
    assert.match(body, "**`lamp`: `off` → `on`**");
  } finally {
    delete process.env.DB_PASSWORD;
  }
});

test("a revert that is offered brings a program back as one", async () => {
  await using site = await openSite({ ...lampFiles, "hosts/restore.sh": "echo 1\n" });
  const { ana } = site;
  await chmod(join(ana.folder, "hosts/restore.sh"), 0o755);
  await ana.git("commit", "--quiet", "-am", "a program");
  await writeFile(join(ana.folder, "hosts/restore.sh"), "echo 2\n");
  await ana.git("commit", "--quiet", "-am", "another version");
  await ana.git("push", "--quiet", "origin", "HEAD:main");
  const result = await site.offer("revert", "HEAD");
  assert.is(result.exit, 0, result.stderr);
  const branch = site.standIn.pulls.get(1)?.branch ?? "";
  assert.is(await ana.remote.git("diff", "HEAD~1", branch), "");
});

test("without a repository on GitHub or a token nothing is pushed, and the hint says what to give", async () => {
  await using ana = await person();
  const plain = await cli(ana.folder, "set", "a", "lamp=on", "--pr");
  assert.is(plain.exit, 1);
  assert.match(plain.stderr, /which repository on GitHub is meant\n.*--github owner\/name/);
  await ana.git("remote", "set-url", "--push", "origin", "git@github.com:acme/fleet.git");
  const tokenless = await cli(ana.folder, "set", "a", "lamp=on", "--pr");
  assert.match(tokenless.stderr, /there is no token for GitHub\n.*GITHUB_TOKEN/);
  const token = join(ana.folder, ".git/token");
  await writeFile(token, "x");
  await chmod(token, 0o644);
  const open = await cli(ana.folder, "set", "a", "lamp=on", "--pr", "--github-token-file", token);
  assert.match(open.stderr, /others may read the token/);
  assert.not.match(await ana.remote.git("for-each-ref"), "stateward/");
});

test("A3: no hook of the clone is run, and a message cannot become an option", async () => {
  await using site = await openSite();
  const { ana, standIn } = site;
  const hooks = join(ana.folder, ".git/hooks");
  await mkdir(hooks, { recursive: true });
  for (const name of ["pre-push", "pre-commit", "commit-msg", "reference-transaction", "post-index-change"])
    await writeFile(join(hooks, name), `#!/bin/sh\ntouch ${ana.folder}/../ran-${name}\n`, { mode: 0o755 });
  const result = await site.offer("set", "a", "lamp=on", "--message=--amend\u001b[31m");
  assert.is(result.exit, 0, result.stderr);
  assert.is(standIn.pulls.get(1)?.title, "--amend\ufffd[31m");
  const { readdir } = await import("node:fs/promises");
  assert.equal(
    (await readdir(join(ana.folder, ".."))).filter((name) => name.startsWith("ran-")),
    [],
  );
});

test("a commit is signed where the person's Git says that commits are", async () => {
  await using site = await openSite();
  const { ana } = site;
  const key = join(ana.folder, ".git/key");
  const { execFile } = await import("node:child_process");
  await new Promise((resolve, reject) =>
    execFile("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", key], (error) =>
      error ? reject(error) : resolve(0),
    ),
  );
  for (const [name, value] of [
    ["commit.gpgsign", "true"],
    ["gpg.format", "ssh"],
    ["user.signingkey", `${key}.pub`],
  ] as const)
    await ana.git("config", name, value);
  assert.is((await site.offer("set", "a", "lamp=on")).exit, 0);
  const branch = site.standIn.pulls.get(1)?.branch ?? "";
  assert.match(await git(ana.remote.path, "cat-file", "-p", branch), /\ngpgsig -----BEGIN SSH SIGNATURE-----/);
});

test("D4: what main would refuse is not offered; a main that is broken is told apart", async () => {
  await using site = await openSite();
  const { ana, standIn } = site;
  await ana.remote.commit({ "hosts/z.yaml": "host: z\ntragets: {}\n" }, "broken");
  const result = await site.offer("set", "a", "lamp=on");
  assert.is(result.exit, 1);
  assert.match(result.stderr, /hosts\/z\.yaml:2:1 SW101/);
  assert.is(standIn.pulls.size, 0);
  assert.is((await site.offer("revert", "HEAD")).exit, 1);
  await ana.git("fetch", "--quiet", "origin");
  const reverted = await site.offer("revert", "origin/main");
  assert.is(reverted.exit, 0, reverted.stderr);
  assert.is(standIn.pulls.get(1)?.title, 'Revert "broken"');
});

test("the repository on GitHub is read from the address of a remote, and from no other host's", () => {
  for (const url of [
    "https://github.com/acme/fleet",
    "https://github.com/acme/fleet.git",
    "https://ana@github.com/acme/fleet.git/",
    "git@github.com:acme/fleet.git",
    "ssh://git@github.com/acme/fleet.git",
    "ssh://git@github.com:22/acme/fleet",
  ])
    assert.is(repositoryIn(url), "acme/fleet", url);
  for (const url of [
    "/srv/fleet.git",
    "https://example.org/github.com/acme/fleet",
    "https://github.com.example.org/acme/fleet",
    "https://example.org/@github.com:acme/fleet",
    "git@gitlab.com:acme/fleet.git",
    "https://github.com/acme",
  ])
    assert.is(repositoryIn(url), null, url);
});

test.run();
