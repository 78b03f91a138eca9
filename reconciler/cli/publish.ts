// stateward publish: for CI. Says on a pull request what it would do; where the job may not write there, in its own summary and log.
import { appendFile } from "node:fs/promises";
import { join } from "node:path";
import { fenced } from "../forge/escape.ts";
import { planReport } from "../forge/plan-report.ts";
import { publishPlan } from "../forge/publish.ts";
import { Failure, messageOf } from "../model/failure.ts";
import type { PlanReport } from "../model/forge.ts";
import type { Proposal } from "../model/proposal.ts";
import { propose } from "../plan/proposal.ts";
import { offlineEnvironment, parseRange, type Revisions, readChange } from "./change-reader.ts";
import { type CiEvent, isPullNumber, readCiEvent } from "./ci-event.ts";
import { type GitHubCommandOptions, openGitHub } from "./github.ts";
import { withoutSecrets } from "./hidden.ts";
import { print, printJson } from "./output.ts";
import { workflowCommand } from "./workflow-commands.ts";
import { type GlobalOptions, openWorkspace, type Workspace } from "./workspace.ts";

export interface PublishOptions extends GlobalOptions, GitHubCommandOptions {
  readonly record?: string;
  /** Number, as text. */
  readonly pullRequest?: string;
}

/** Where the plan was said. */
type Said = { readonly where: "pull request" } | { readonly where: "summary" | "log"; readonly why: string };

/** Exit status 1 when HEAD has problems, however it is published. An unreachable GitHub fails nothing: the plan is in the summary. */
export async function publish(options: PublishOptions, range: string | null): Promise<number> {
  const event = readCiEvent(process.env);
  const number = numberOf(options, event);
  const revisions = revisionsOf(range, event);
  const workspace = openWorkspace(options);
  const { folder, data, secrets } = workspace;
  const proposal = await offline(async () => {
    const input = await readChange({ folder, cache: join(data, "cache"), record: options.record ?? null }, revisions);
    return withoutSecrets(propose(input), secrets);
  });
  const report = planReport(proposal);
  const said = await say(options, { workspace, event, number, report, proposal });
  const { title, conclusion, head } = report;
  if (options.json) printJson({ title, conclusion, head, number, ...said });
  else print(`${title}: said ${said.where === "pull request" ? `on pull request ${number}` : `in the ${said.where}`}`);
  return conclusion === "failure" ? 1 : 0;
}

function numberOf({ pullRequest }: PublishOptions, event: CiEvent): number | null {
  if (pullRequest === undefined) return event.number;
  const number = Number(pullRequest);
  if (/^\d+$/.test(pullRequest) && isPullNumber(number)) return number;
  throw new Failure("invalid", `not the number of a pull request: ${pullRequest}`, {
    reason: "Usage",
    hint: "--pull-request 12",
  });
}

function revisionsOf(range: string | null, { commits }: CiEvent): Revisions {
  if (range === null && commits !== null) return { ...commits, isSymmetric: true };
  const revisions = range === null ? null : parseRange(range);
  if (revisions !== null) return revisions;
  throw new Failure("invalid", range === null ? "no range of commits is given" : `not a range of commits: ${range}`, {
    reason: "Usage",
    hint: "stateward publish BASE...HEAD, or run it in a job for a pull request",
  });
}

/** Reads a change with the network off for Git and the parsers, as `stateward plan` does. */
async function offline<T>(read: () => Promise<T>): Promise<T> {
  const before = Object.keys(offlineEnvironment).map((name) => [name, process.env[name]] as const);
  Object.assign(process.env, offlineEnvironment);
  try {
    return await read();
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}

interface Publication {
  readonly workspace: Workspace;
  readonly event: CiEvent;
  readonly number: number | null;
  readonly report: PlanReport;
  readonly proposal: Proposal;
}

async function say(options: PublishOptions, publication: Publication): Promise<Said> {
  const { event, number } = publication;
  if (number === null) return sayHere(options, publication, "no pull request is known");
  // A token of a fork's job may read alone. One that may do more has been given to a workflow that it does not belong to.
  if (event.isForeign) return sayHere(options, publication, "the branch is in another repository");
  try {
    const isSaid = await sayThere(options, number, publication);
    return isSaid ? { where: "pull request" } : sayHere(options, publication, "the branch has moved on since");
  } catch (error) {
    if (!(error instanceof Failure) || wrongUse.has(error.reason)) throw error;
    return sayHere(options, publication, messageOf(error));
  }
}

/** What is wrong with the options is no reason to go on. */
const wrongUse: ReadonlySet<string> = new Set([
  "BadRepository",
  "BadGitHubApi",
  "NoGitHubRepository",
  "CredentialsOpen",
]);

function sayThere(options: PublishOptions, number: number, { workspace, report }: Publication): Promise<boolean> {
  const github = openGitHub(options, workspace, null);
  const notice = (message: string): void => tell(options, message.replaceAll(/\s+/g, " "));
  return publishPlan(github, number, report, { owners: {}, labels: true, reviews: false, notice });
}

/** With `--json`, standard output is for programs. */
function tell({ json }: PublishOptions, message: string): void {
  if (json) process.stderr.write(`${message}\n`);
  else print(message);
}

async function sayHere(options: PublishOptions, { report, proposal }: Publication, why: string): Promise<Said> {
  const { comment, details } = report;
  for (const problem of [...proposal.errors, ...proposal.warnings]) tell(options, workflowCommand(problem));
  const summary = process.env.GITHUB_STEP_SUMMARY ?? "";
  tell(options, `not said on the pull request: ${why.replaceAll(/\s+/g, " ")}`);
  if (summary === "") {
    // A line of the plan that looks like a command to GitHub Actions is none.
    if (!options.json) print(plainLines(comment));
    return { where: "log", why };
  }
  const more = details === "" ? "" : `\n\n${details}`;
  await appendFile(summary, `${comment}${more}\n\nNot said on the pull request:\n\n${fenced("text", why)}\n`);
  return { where: "summary", why };
}

function plainLines(text: string): string {
  return text.replaceAll(/^(\s*)::/gm, "$1: :").replaceAll("##[", "# #[");
}
