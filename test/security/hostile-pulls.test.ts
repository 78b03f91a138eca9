// Hostile pull requests through the planner that a reconciler starts for each: nothing of a branch is run, nothing is connected to, no
// secret is printed, and what cannot be meant is refused with a coded problem (A2, A3, D4).
import { execFile, spawn } from "node:child_process";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import * as assert from "uvu/assert";
import { type Hiding, withoutSecrets } from "../../reconciler/cli/hidden.ts";
import { planReport } from "../../reconciler/forge/plan-report.ts";
import type { PlanReport } from "../../reconciler/model/forge.ts";
import type { Proposal } from "../../reconciler/model/proposal.ts";
import { Secrets } from "../../reconciler/model/secrets.ts";
import { exists } from "../../reconciler/record/disk.ts";
import { root } from "../support/example.ts";
import { isSafe } from "../support/safe-markdown.ts";
import { StateRepository } from "../support/state-repository.ts";
import { suite } from "../support/suite.ts";
import { lamp, localHost } from "../support/world.ts";
import { canary, type HostilePull, hostilePulls, marker } from "./hostile-pulls.ts";

const run = promisify(execFile);
const test = suite("hostile-pulls", { limitMs: 280_000 });
const planner = join(root, "dist/cli/planner-main.js");

/** Writes down each program that a process starts, and each connection that it makes, its children included. */
const watcher = `
import { appendFileSync } from "node:fs";
import { createRequire, syncBuiltinESMExports } from "node:module";
import net from "node:net";
const processes = createRequire(import.meta.url)("node:child_process");
const note = (line) => appendFileSync(process.env.WATCHED, JSON.stringify(line) + "\\n");
for (const name of ["spawn", "spawnSync", "execFile", "execFileSync", "exec", "execSync", "fork"]) {
  const real = processes[name];
  processes[name] = (...given) => { note(["start", name, given[0], ...(Array.isArray(given[1]) ? given[1] : [])]); return real(...given); };
}
const connect = net.Socket.prototype.connect;
net.Socket.prototype.connect = function (...given) { note(["connect", String(given[0]?.port ?? given[0])]); return connect.apply(this, given); };
syncBuiltinESMExports();
`;

const baseFiles = {
  "stateward.yaml": `verify: { signers: allowed_signers, since: ${"c".repeat(40)} }\n`,
  allowed_signers: "ana@example.org ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ2vW1qf6s9m5n0n4m9fB1w6u9Qx9yq5w1w1w1w1w1w1\n",
  "machines/lamp.yaml": lamp,
  "hosts/a.yaml": localHost("a", { lamp: "off" }, { owner: "ana" }),
  "hosts/c.yaml": localHost("c", { lamp: "off" }, { owner: "ana" }),
};

/** The commit of a branch that changes the base so, made by plumbing: no work tree could hold some of it. */
async function commitOf(folder: string, base: string, { name, entries }: HostilePull): Promise<string> {
  const index = { ...process.env, GIT_INDEX_FILE: join(folder, ".git", "hostile-index") };
  const git = (args: readonly string[], input: string | Buffer = ""): Promise<string> =>
    new Promise((resolve, reject) => {
      const child = spawn("git", ["-C", folder, "-c", "core.protectHFS=false", ...args], {
        env: index,
        stdio: ["pipe", "pipe", "inherit"],
      });
      let out = "";
      child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
      child.once("close", (code) => (code === 0 ? resolve(out.trim()) : reject(new Error(`git ${args.join(" ")}`))));
      // A command that asks for no input may have ended before it is given none.
      child.stdin.on("error", () => {});
      child.stdin.end(input);
    });
  await git(["read-tree", base]);
  for (const { path, mode = "100644", data } of entries) {
    if (data === null) {
      await git(["update-index", "--force-remove", "--", path]);
      continue;
    }
    const id = mode === "160000" ? String(data) : await git(["hash-object", "-w", "--stdin"], data);
    await git(["update-index", "-z", "--index-info"], `${mode} ${id}\t${path}\0`);
  }
  const tree = await git(["write-tree"]);
  return git(["-c", "user.name=M", "-c", "user.email=m@example.org", "commit-tree", tree, "-p", base, "-m", name]);
}

// oxlint-disable-next-line no-control-regex -- control characters are what is looked for
const controls = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e]/;

interface Planned {
  readonly report: PlanReport;
  readonly proposal: Proposal;
  readonly text: string;
  /** What was started and connected to. */
  readonly acts: readonly (readonly string[])[];
}

async function plan(folder: string, base: string, head: string): Promise<Planned> {
  const [preload, watched] = [join(folder, ".git", "watcher.mjs"), join(folder, ".git", "watched")];
  await writeFile(preload, watcher);
  await writeFile(watched, "");
  const child = run(process.execPath, ["--import", preload, planner], {
    env: { PATH: process.env.PATH, WATCHED: watched, NODE_OPTIONS: `--import ${preload}`, HOME: folder },
    maxBuffer: 400_000_000,
  });
  child.child.stdin?.end(JSON.stringify({ folder, cache: null, record: null, base, head }));
  const { stdout, stderr } = await child;
  assert.is(stderr, "");
  const hiding: Hiding = new Secrets();
  const proposal = withoutSecrets(JSON.parse(stdout) as Proposal, hiding);
  const report = planReport(proposal);
  const acts = (await readFile(watched, "utf8")).split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line)]));
  return { report, proposal, text: stdout + JSON.stringify(report), acts: acts as string[][] };
}

/** Git that reads objects, and the program of this package that parses what could end a process. */
function isOwn([what, , program = "", ...rest]: readonly string[]): boolean {
  if (what !== "start") return false;
  if (program === "git") return rest.some((word) => ["rev-parse", "cat-file", "ls-tree", "log"].includes(word));
  return program === process.execPath && rest.some((word) => word.startsWith(join(root, "dist/record/")));
}

test("A2, A3, D4: fifty hostile pull requests start nothing, connect to nothing, show no secret, and are refused", async () => {
  await using repository = await StateRepository.create(baseFiles);
  const { folder } = repository;
  const base = (await repository.git("rev-parse", "HEAD")).trim();
  await rm(marker, { force: true });
  let refused = 0;
  for (const pull of hostilePulls) {
    const { report, proposal, text, acts } = await plan(folder, base, await commitOf(folder, base, pull));
    const foreign = acts.filter((act) => !isOwn(act));
    assert.equal(foreign, [], pull.name);
    assert.not.match(text, canary, pull.name);
    isSafe(report.comment, pull.name);
    isSafe(report.details, pull.name);
    assert.not.match(report.comment + report.title, controls, pull.name);
    assert.ok(report.comment.length <= 65_000 && report.details.length <= 65_000, pull.name);
    const codes = proposal.errors.map(({ code }) => code);
    if (pull.code === null) {
      assert.equal(codes, [], pull.name);
      if (pull.says) assert.match(report.comment, pull.says, pull.name);
      continue;
    }
    refused++;
    assert.ok(codes.includes(pull.code as (typeof codes)[number]), `${pull.name}: ${codes.join(", ")}`);
    assert.is(report.conclusion, "failure", pull.name);
    assert.ok(report.annotations.length > 0, pull.name);
  }
  assert.not.ok(await exists(marker), "something of a branch was run");
  console.log(`${hostilePulls.length} pull requests, ${refused} refused`);
  assert.ok(refused >= 50);
});

test.run();
