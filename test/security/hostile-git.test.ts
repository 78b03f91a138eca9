// Hostile texts on the way to Git and from it: remotes, refs, credentials, commit messages, and people's words that become part of them (A3).
import { execFile, execFileSync } from "node:child_process";
import { chmod, mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import * as assert from "uvu/assert";
import { runProcess } from "../../reconciler/adapters/process.ts";
import { eventLine, shown } from "../../reconciler/cli/output.ts";
import { openWorkspace } from "../../reconciler/cli/workspace.ts";
import type { ProcessOrder, RunProcess } from "../../reconciler/model/ports.ts";
import { foldersOf, recordMessage, Summaries, writeCommit } from "../../reconciler/record/commit.ts";
import { Git, gitEnvironment } from "../../reconciler/record/git.ts";
import { linesAbout, readSubjectHistory } from "../../reconciler/record/history.ts";
import { recordPath } from "../../reconciler/record/layout.ts";
import { observedRef } from "../../reconciler/record/refs.ts";
import { GitRemote, listedPrefixes } from "../../reconciler/record/remote.ts";
import { program } from "../support/example.ts";
import { hostile } from "../support/hostile.ts";
import { asOperator, serve } from "../support/http.ts";
import { initBare } from "../support/http-backend.ts";
import { recordCalls } from "../support/recorder.ts";
import { suite } from "../support/suite.ts";
import { type TempFolder, tempFolder } from "../support/temp.ts";
import { lamp, localHost } from "../support/world.ts";

const run = promisify(execFile);
const test = suite("security-hostile-git", { limitMs: 280_000 });
// oxlint-disable-next-line no-control-regex -- control characters are what is looked for
const controls = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028-\u202e]/;

// oxlint-disable-next-line no-control-regex -- control characters are what is looked for
const breaks = /[\u0000-\u001f\u007f]/;

async function openGit(dir: TempFolder, runIt: RunProcess = runProcess): Promise<Git> {
  return new Git(await initBare(join(dir.path, "mirror.git")), runIt, { env: { GIT_CONFIG_GLOBAL: "/dev/null" } });
}

test("A3: an address that Git or a shell could take for something else is refused; any other stands behind --", async () => {
  await using dir = await tempFolder();
  const orders: ProcessOrder[] = [];
  const git = await openGit(dir, (order) => {
    orders.push(order);
    return Promise.resolve({ exit: 0, timedOut: false, stdout: "", stderr: "" });
  });
  let refused = 0;
  for (const text of hostile) {
    orders.length = 0;
    let remote: GitRemote;
    try {
      remote = new GitRemote(git, text);
    } catch (error) {
      refused++;
      assert.match(String(error), /not a Git remote|holds a secret/, text);
      assert.not.match(String(error), breaks);
      continue;
    }
    assert.not.ok(/^-|^$|^[\w+.-]+::/.test(text) || breaks.test(text), text);
    await remote.list();
    await remote.fetch("refs/heads/main", "refs/stateward/main");
    await remote.push(["refs/stateward/main:refs/heads/main"], ["--force-with-lease"]);
    for (const { argv } of orders) assert.is(argv.indexOf("--"), argv.indexOf(text) - 1, argv.join(" "));
    assert.is(orders.length, 3);
  }
  assert.ok(refused > 90, `${refused} were refused`);
});

test("A3: Git itself runs nothing for the addresses that are let through", async () => {
  await using dir = await tempFolder();
  const recorder = await recordCalls(dir.path, ["git", "ssh", "sh"], { ssh: "exit 255" });
  const work = join(dir.path, "work");
  await mkdir(work);
  const env = { ...gitEnvironment(), PATH: recorder.path, HOME: work, GIT_CONFIG_GLOBAL: "/dev/null" };
  const inWork: RunProcess = (order) => runProcess({ ...order, cwd: work });
  const git = new Git(await initBare(join(dir.path, "mirror.git")), inWork, { env });
  for (const text of hostile) {
    // What names a server would be asked for over the network: these lead nowhere but to ssh, which is ours.
    if (/^(https?|git):/.test(text) || text.length > 4000) continue;
    try {
      await new GitRemote(git, text).list();
    } catch (error) {
      assert.ok(error instanceof Error && error.name === "Failure", `${text}: ${String(error)}`);
    }
  }
  assert.equal(await readdir(work), [], "no file was made");
  const ssh = (await recorder.calls()).filter(([name]) => name === "ssh");
  assert.ok(ssh.length > 3, "some were taken for hosts");
  for (const [, ...words] of ssh) {
    const [host = ""] = words.slice(8).filter((word) => !/^-(o|G|p|4|6)|^SendEnv|^\d+$/.test(word));
    assert.not.match(host, /^-/, words.join(" "));
  }
});

test("A3: of what a remote lists, only the refs that were asked for are taken", async () => {
  await using dir = await tempFolder();
  const id = "a".repeat(40);
  const main = "refs/heads/main";
  const lines = hostile.flatMap((text) => [
    `${id}\trefs/heads/${text}`,
    `${text}\t${main}`,
    `${id}\t${text}`,
    `${id} ${main}${text}`,
  ]);
  const git = await openGit(dir, () =>
    Promise.resolve({ exit: 0, timedOut: false, stdout: `${lines.join("\n")}\n`, stderr: "" }),
  );
  const { observed, leader } = await new GitRemote(git, dir.path).list();
  assert.equal([observed, leader], [null, null]);
  assert.equal(listedPrefixes, [main, "refs/heads/observed", "refs/stateward/leader"]);
});

test("A3: a remote with branches of hostile names is followed as any other", async () => {
  await using dir = await tempFolder();
  const origin = await initBare(join(dir.path, "origin.git"));
  const tree = execFileSync("git", ["--git-dir", origin, "hash-object", "-t", "tree", "-w", "--stdin"], { input: "" })
    .toString()
    .trim();
  const identity = ["-c", "user.name=a", "-c", "user.email=a@b"];
  const commit = execFileSync("git", ["--git-dir", origin, ...identity, "commit-tree", tree, "-m", "x"])
    .toString()
    .trim();
  const input = hostile.flatMap((text) => (/[\0\n\r]/.test(text) ? [] : [`refs/heads/${text}`, `refs/tags/${text}`]));
  let made = 0;
  for (const ref of input) {
    if (
      ref.length > 200 ||
      !/^refs\/\w+\/[^ ~^:?*[\\]+$/.test(ref) ||
      breaks.test(ref) ||
      /\.\.|\/\/|@\{|\.lock|\/\.|\.$|\/$|^refs\/\w+\/(main|observed)/.test(ref)
    )
      continue;
    await run("git", ["--git-dir", origin, "update-ref", ref, commit]).then(
      () => made++,
      () => {},
    );
  }
  assert.ok(made > 30, `${made} refs`);
  await run("git", ["--git-dir", origin, "update-ref", "refs/heads/main", commit]);
  const git = await openGit(dir);
  const remote = new GitRemote(git, origin);
  assert.equal(await remote.list(), { main: commit, observed: null, leader: null });
  await remote.fetch("refs/heads/main", "refs/stateward/main");
  assert.is(
    (await run("git", ["--git-dir", git.dir, "for-each-ref", "--format=%(refname)"])).stdout,
    "refs/stateward/main\n",
  );
});

test("A3: credentials at hostile paths are read from there, and their path runs nothing", async () => {
  await using dir = await tempFolder();
  const recorder = await recordCalls(dir.path, ["ssh"], { ssh: "exit 0" });
  let tried = 0;
  for (const [index, text] of hostile.entries()) {
    if (index % 4 !== 0 || /[\0/]/.test(text) || text.length > 200 || ["", ".", ".."].includes(text)) continue;
    const folder = join(dir.path, `work-${index}`);
    await mkdir(folder);
    const [store, key] = [join(folder, text), join(folder, `${text}.key`)];
    await writeFile(store, "https://ana:the-password@git.example.org\n", { mode: 0o600 });
    await writeFile(key, "-----BEGIN OPENSSH PRIVATE KEY-----\n", { mode: 0o600 });
    const { git } = openWorkspace({ folder, credentials: store });
    const env = { ...gitEnvironment(), ...git.env, PATH: recorder.path, GIT_CONFIG_GLOBAL: "/dev/null" };
    const asked = await runProcess({
      argv: ["git", "credential", "fill"],
      env,
      cwd: dir.path,
      input: "protocol=https\nhost=git.example.org\n\n",
      timeoutMs: 20_000,
      outputBytesMax: 10_000,
    });
    assert.match(asked.stdout, /password=the-password/, text);
    const ssh = openWorkspace({ folder, credentials: key }).git.env?.GIT_SSH_COMMAND ?? "";
    await runProcess({
      argv: ["sh", "-c", `${ssh} "$@"`, "sh", "host"],
      env,
      cwd: dir.path,
      timeoutMs: 20_000,
      outputBytesMax: 10_000,
    });
    const last = (await recorder.calls()).at(-1) ?? [];
    assert.ok(last.length > 0);
    assert.ok(
      (await recorder.calls()).some((call) => call.at(-1) === "host" && call.at(-2) === key.replaceAll("%", "%%")),
      text,
    );
    assert.equal((await readdir(folder)).toSorted(), [text, `${text}.key`].toSorted());
    tried++;
  }
  assert.ok(tried > 30, String(tried));
  assert.not.ok((await readdir(dir.path)).includes("pwned"));
});

test("A3: nothing in a summary forges a trailer, a line about another host, or an entry of the history", async () => {
  await using dir = await tempFolder();
  const git = await openGit(dir);
  const desired = "d".repeat(40);
  let parent: string | null = null;
  for (const [index, text] of hostile.entries()) {
    const summaries = new Summaries();
    summaries.add(`git-1: held by ana: ${text}`);
    const message = recordMessage({ summaries, subjects: ["git-1"], desired, epoch: 7 });
    assert.not.match(message.replaceAll("\n", ""), controls, text);
    const file = { path: recordPath("host", "git-1"), content: `${index}\n` };
    const folders = await foldersOf(git, parent);
    parent = await writeCommit(git, folders, {
      ref: observedRef,
      parent,
      message,
      files: [file],
      timeSeconds: 1_700_000_000 + index,
    });
  }
  const tip = parent ?? "";
  const trailers = (await git.run(["log", "--format=%(trailers:only,unfold)%x01", tip])).split("\u0001\n").slice(0, -1);
  assert.is(trailers.length, hostile.length);
  for (const text of trailers) assert.is(text.trim(), `Desired: ${desired}\nActor: reconciler\nEpoch: 7`);
  const history = await readSubjectHistory({ git, remote: null, observed: tip }, "git-1", { commitsMax: 1000 });
  assert.is(history.length, hostile.length);
  for (const entry of history) {
    assert.equal([entry.epoch, entry.desired], [7, desired]);
    assert.ok(
      linesAbout("git-1", entry).some((line) => line.startsWith("held by ana: ")),
      JSON.stringify(entry.lines),
    );
    assert.ok(entry.lines.every((line) => !controls.test(line)));
  }
  const other = await readSubjectHistory({ git, remote: null, observed: tip }, "hosts/../../pwned", { commitsMax: 10 });
  assert.equal(other, []);
});

test("A3: people's words with hostile texts are refused, or recorded in one line; their answers have no header of theirs", async () => {
  await using rig = await serve({ "machines/lamp.yaml": lamp, "hosts/a.yaml": localHost("a", { lamp: "on" }) });
  const post = (path: string, payload: object) =>
    rig.app.inject({ method: "POST", url: path, headers: asOperator, payload });
  let held = 0;
  for (const text of hostile) {
    for (const words of [
      { select: "a", reason: text, by: "ana" },
      { select: "a", reason: "x", by: text },
      { select: text, reason: "x", by: "ana" },
    ]) {
      const answer = await post("/v1/holds", words);
      assert.ok([201, 400, 422].includes(answer.statusCode), `${answer.statusCode} ${text}`);
      if (answer.statusCode === 201) held++;
      await post("/v1/releases", { select: "a", by: "ana" });
    }
    for (const [path, words] of [
      ["/v1/approvals", { commit: text, by: text }],
      ["/v1/releases", { select: text, by: text }],
      ["/v1/brake-releases", { by: text, reason: text }],
      ["/v1/hosts/a/verdicts", { word: "retry", machine: text }],
      ["/v1/hosts/a/verdicts", { word: "retry", by: text }],
      ["/v1/hosts/a/replays", { by: text }],
    ] as const) {
      const answer = await post(path, words);
      assert.ok(answer.statusCode < 500, `${path} ${answer.statusCode} ${text}`);
    }
    const question = await rig.app.inject({
      url: `/v1/hosts/a/why?what_if=${encodeURIComponent(Buffer.from(text).toString())}`,
      headers: asOperator,
    });
    assert.ok(question.statusCode < 500, `${question.statusCode} ${text}`);
    for (const name of Object.keys(question.headers))
      assert.match(name, /^(content-(type|length)|date|connection|www-authenticate|keep-alive)$/);
  }
  assert.ok(held > 200, String(held));
  for (const { summary } of rig.record.changes) assert.not.match(summary ?? "", /[\n\r]/);
});

test("A3: a terminal is given nothing but text and our own colours", () => {
  for (const text of hostile) {
    const line = eventLine({ kind: "step-failed", subject: "git-1", machine: "m", step: "s", message: text }) ?? "";
    assert.not.match(shown(line).replaceAll("\n", ""), controls, text);
  }
});

test("A3: the program with hostile folders, data and names keeps to them, and says what is wrong in one piece", async () => {
  await using dir = await tempFolder();
  const recorder = await recordCalls(dir.path, ["git", "ssh", "sh", "nice"]);
  const env = { ...process.env, PATH: recorder.path, HOME: dir.path };
  const call = (cwd: string, args: readonly string[]): Promise<{ stdout: string; stderr: string; code?: number }> =>
    run(process.execPath, [program, ...args], { cwd, env }).catch(
      (error: { stdout: string; stderr: string; code: number }) => error,
    );
  const texts = ["$(touch pwned) '\"%h", "-c core.fsmonitor=touch pwned", "line\nbreak", "\u202e;touch pwned"];
  for (const [index, text] of texts.entries()) {
    const work = join(dir.path, `work-${index}`);
    await mkdir(work);
    const init = await call(work, [`--folder=${join(work, text)}`, "init"]);
    assert.ok(!init.code, init.stderr);
    const once = await call(work, [`--folder=${text}`, "run", "--once", "--timeout", "60", "--listen", "127.0.0.1:0"]);
    // Where it cannot be an address, the folder is refused; nothing else is wrong with any of them.
    if (once.code)
      assert.match(
        once.stderr,
        breaks.test(text) ? /^stateward: not a Git remote: "[^\n]*"\n {2}[^\n]*\n$/ : /never/,
        text,
      );
    for (const args of [
      ["history", text],
      ["status", text],
      ["token", text],
    ] as const) {
      const { code, stderr } = await call(work, [`--folder=${text}`, "--", ...args]);
      assert.ok(code === 1 || code === 2 || (args[0] === "history" && !code), `${args.join(" ")}: ${code} ${stderr}`);
      assert.not.match(stderr.replaceAll("\n", ""), controls);
    }
    assert.equal(await readdir(work), [text]);
  }
  await chmod(dir.path, 0o700);
  for (const [name, ...words] of await recorder.calls())
    if (name === "git") assert.ok(["-c", "--version", "init", "config"].includes(words[0] ?? ""), words.join(" "));
});

test.run();
