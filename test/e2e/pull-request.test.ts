// A reconciler as people run it, with a stand-in for GitHub and Git over HTTP: from a pull request to the end of its rollout.
import { createHmac } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { StandIn } from "../forge/stand-in.ts";
import { cli, Reconciler } from "../support/example.ts";
import { git } from "../support/git-remote.ts";
import { initBare, serveGit } from "../support/http-backend.ts";
import { freePort } from "../support/sshd.ts";
import { suite } from "../support/suite.ts";
import { tempFolder, until } from "../support/temp.ts";

const test = suite("pull-request", { limitMs: 240_000 });

const machine = {
  machine: "svc",
  initial: "blank",
  states: {
    blank: null,
    one: { enter: [{ from: ["blank", "two"], steps: [{ shell: "true" }] }] },
    two: { enter: [{ from: "one", steps: [{ shell: "true" }] }] },
  },
};

const hookSecret = "shared with GitHub";

async function hook(address: string, event: string, payload: object): Promise<void> {
  const body = JSON.stringify(payload);
  const signature = `sha256=${createHmac("sha256", hookSecret).update(body).digest("hex")}`;
  const headers = { "content-type": "application/json", "x-github-event": event, "x-hub-signature-256": signature };
  const { status } = await fetch(`http://${address}/v1/hooks/github`, { method: "POST", headers, body });
  assert.is(status, 202);
}

/** A state repository of two hosts, and what aims and commits both. */
async function stateRepository(dir: string): Promise<{ folder: string; aim: (state: string) => Promise<string> }> {
  const folder = join(dir, "fleet");
  await mkdir(join(folder, "machines"), { recursive: true });
  await mkdir(join(folder, "hosts"));
  const settings =
    'poll: "* * * * * *"\nrecord: { window: 1s }\nlook: 1s\nbrakes: { max_moved: 1 }\nrollout: { at_once: 100% }\n';
  await writeFile(join(folder, "stateward.yaml"), settings);
  await writeFile(join(folder, "machines/svc.yaml"), JSON.stringify(machine));
  await git(folder, "init", "--quiet");
  const aim = async (state: string): Promise<string> => {
    for (const name of ["a", "b"])
      await writeFile(
        join(folder, `hosts/${name}.yaml`),
        `host: ${name}\nregion: east\ntransport: local\ntargets: { svc: ${state} }\n`,
      );
    await git(folder, "add", "hosts", "machines", "stateward.yaml");
    await git(folder, "commit", "--quiet", "-m", state);
    return git(folder, "rev-parse", "HEAD");
  };
  return { folder, aim };
}

test("B3: a pull request is planned, approved by a comment, merged, and its rollout followed", async () => {
  await using dir = await tempFolder();
  await using server = await serveGit(dir.path);
  const bare = await initBare(join(dir.path, "fleet.git"));
  const { folder, aim } = await stateRepository(dir.path);
  await aim("one");
  await git(folder, "push", "--quiet", bare, "HEAD:main");
  await using standIn = await StandIn.start({ gitDir: bare });
  standIn.accounts.set("ana@example.org", "ana");
  for (const name of ["ana", "bea"]) standIn.permissions.set(name, "write");
  const key = join(dir.path, "app.pem");
  await writeFile(key, standIn.privateKey, { mode: 0o600 });
  await mkdir(join(dir.path, "data/keys"), { recursive: true });
  await writeFile(join(dir.path, "data/keys/webhook.secret"), hookSecret, { mode: 0o600 });
  const options = ["--data", join(dir.path, "data"), "--repository", `${server.url}/fleet.git`];
  const listen = `127.0.0.1:${await freePort()}`;
  const app = ["--github-app-id", standIn.appId, "--github-app-key-file", key];
  const arguments_ = [...options, "--github", standIn.repository, "--github-api", standIn.url, ...app];
  const reconciler = new Reconciler(folder, listen, arguments_);
  try {
    await reconciler.says("2/2");
    await git(folder, "checkout", "--quiet", "-b", "more");
    const head = await aim("two");
    await git(folder, "push", "--quiet", bare, "HEAD:more");
    const { number } = standIn.addPull({ author: "ana", branch: "more" });
    await hook(listen, "pull_request", { pull_request: { number } });
    await until("the plan", () => standIn.comments.find(({ author }) => author === standIn.appLogin));
    assert.match(standIn.comments[0]?.body ?? "", head);
    const check = await until("the check", () => standIn.checks.find(({ status }) => status === "completed"));
    assert.is(check.conclusion, "action_required", check.output.title);
    await git(folder, "checkout", "--quiet", "-B", "main", "HEAD~1");
    await git(folder, "merge", "--quiet", "--no-ff", "more", "-m", "merge");
    const merge = await git(folder, "rev-parse", "HEAD");
    standIn.merge(number, merge);
    await git(folder, "push", "--quiet", bare, "HEAD:main");
    const words = (): string[] =>
      standIn.statuses
        .filter(({ commit }) => commit === merge)
        .map(({ state, description }) => `${state} ${description}`);
    await hook(listen, "push", {});
    await until("the wish for a word", () => words()[0]?.startsWith("pending waits for a word"));
    standIn.addComment(number, "bea", `/stateward approve ${head.slice(0, 12)}`);
    await hook(listen, "issue_comment", { issue: { number } });
    await until("the end of the rollout", () => words().includes("success 2/2 hosts"), 60_000).catch(
      (error: unknown) => {
        throw new Error(`${String(error)}\n${words().join("\n")}\n${reconciler.output}`);
      },
    );
    const isDeployed = (): boolean =>
      standIn.deployments.some(
        ({ commit, environment, statuses }) =>
          commit === merge && environment === "east" && statuses.at(-1)?.state === "success",
      );
    await until("the deployment", isDeployed);
    assert.match((await cli(folder, ...options, "history", "a")).stdout, "two");
  } finally {
    await reconciler.stop("SIGTERM");
  }
  assert.not.match(reconciler.output, /PRIVATE KEY|ghs_/);
});

test.run();
