// A plan on its pull request: one comment edited in place, a check run, labels, requests for review. What is there already is not sent
// again, so that whoever was interrupted begins anew without doubt.
import { createHash } from "node:crypto";
import { Failure } from "../model/failure.ts";
import type { Annotation, PlanReport } from "../model/forge.ts";
import { Answer, type Comment, commentOf, loginOf, type PullRequest } from "./answers.ts";
import { fits, textBytesMax } from "./block.ts";
import { descriptionCharsMax, type GitHub } from "./client.ts";
import { cut, oneLine, plainLine, threeBytes } from "./escape.ts";
import { markerLine, markerOf } from "./marker.ts";

export interface PublishSettings {
  /** GitHub's `login` or `organisation/team` by owner as the files name it. Owners that are not named here are not asked. */
  readonly owners: Readonly<Record<string, string>>;
  readonly labels: boolean;
  readonly reviews: boolean;
  /** What a person should know, and what keeps nothing else from being published. */
  readonly notice: (message: string) => void;
}

export const checkName = "stateward/plan";
/** GitHub takes so many annotations in one request. */
const annotationsOnce = 50;
const annotationsMax = 1000;
/** GitHub takes 64 KiB of one. */
const annotationCharsMax = 5000;
/** GitHub takes 255 characters of the title of a check run, and of an annotation. */
const titleMax = 250;
const labelNames = {
  moves: "stateward:moves",
  removes: "stateward:removes",
  refused: "stateward:refused",
} as const;

/**
 * Publishes a report on a pull request. The comment and the check are all that it promises; labels and requests for review that GitHub
 * refuses are told to `notice`. Resolves to false when the branch has moved on since: then nothing is said of it.
 */
export async function publishPlan(
  github: GitHub,
  number: number,
  report: PlanReport,
  settings: PublishSettings,
): Promise<boolean> {
  const pull = await github.pull(number);
  if (pull.head !== report.head) return false;
  await publishComment(github, number, report);
  await publishCheck(github, report);
  const refused = (what: string) => (error: unknown) => {
    // What is refused for good is told; an outage is for whoever calls to wait out.
    if (!(error instanceof Failure) || error.kind !== "invalid") throw error;
    settings.notice(`${what} of pull request ${number}: ${error.message}`);
  };
  if (settings.labels) await publishLabels(github, number, report).catch(refused("labels"));
  if (settings.reviews) await requestReviews(github, pull, report, settings).catch(refused("requests for review"));
  return true;
}

/** The comment of ours on a pull request, or null. Nobody else's counts, whatever it says. */
export async function findPlanComment(github: GitHub, number: number): Promise<Comment | null> {
  const self = await github.login();
  const found = await github.find(
    "GET /issues/{issue_number}/comments",
    { issue_number: number },
    (answer) => markerOf(commentOf(answer), self)?.kind === "plan",
  );
  return found && commentOf(found);
}

async function publishComment(github: GitHub, number: number, { head, comment }: PlanReport): Promise<void> {
  const marker = markerLine({ kind: "plan", head, comment: 0, by: "" });
  const body = withinLimit(`${marker}\n${comment}`);
  const known = await findPlanComment(github, number);
  if (known === null) await github.ask("POST /issues/{issue_number}/comments", { issue_number: number, body });
  else if (known.body !== body) await github.ask("PATCH /issues/comments/{comment_id}", { comment_id: known.id, body });
}

/** Whole lines of the text, and a word where some are missing: of a report that is longer than its maker promises. */
function withinLimit(text: string): string {
  if (fits(text)) return text;
  const word = "\n\n_The rest does not fit here._\n";
  // A line feed is no part of another character, so that no half of one is kept.
  const part = Buffer.from(text).subarray(0, textBytesMax - word.length);
  return `${part.subarray(0, Math.max(part.lastIndexOf("\n"), 0)).toString()}${word}`;
}

/** A check run of the head commit; a status where these credentials may not make check runs, which only apps may. */
async function publishCheck(github: GitHub, report: PlanReport): Promise<void> {
  if (await github.isApp()) await publishCheckRun(github, report);
  else await publishStatus(github, report);
}

interface CheckRun {
  readonly id: number;
  readonly annotations: number;
  readonly isComplete: boolean;
}

async function publishCheckRun(github: GitHub, report: PlanReport): Promise<void> {
  const digest = createHash("sha256").update(JSON.stringify(report)).digest("hex");
  const annotations = report.annotations.slice(0, annotationsMax).map(annotationOf);
  const output = outputOf(report);
  const isLast = (sent: number): boolean => sent + annotationsOnce >= annotations.length;
  const ending = (sent: number): object =>
    isLast(sent) ? { status: "completed", conclusion: report.conclusion } : { status: "in_progress" };
  const some = (sent: number): object => ({
    output: { ...output, annotations: annotations.slice(sent, sent + annotationsOnce) },
    ...ending(sent),
  });
  let run = await findCheckRun(github, report.head, digest);
  if (run?.isComplete) return;
  if (run === null) {
    const first = { name: checkName, head_sha: report.head, external_id: digest, ...some(0) };
    run = checkRunOf(await github.ask("POST /check-runs", first));
    if (isLast(0)) return;
  }
  // An answer may have been lost: what GitHub has is where it goes on.
  for (let sent = run.annotations; !run.isComplete; sent += annotationsOnce)
    run = checkRunOf(await github.ask("PATCH /check-runs/{check_run_id}", { check_run_id: run.id, ...some(sent) }));
}

function outputOf({ title, comment, details, annotations }: PlanReport): object {
  const left = annotations.length - annotationsMax;
  const more = left > 0 ? `\n\n${left} more remarks are not shown: \`stateward check\` prints them all.` : "";
  const text = withinLimit(details === "" ? comment : details);
  return {
    title: plainLine(title, titleMax),
    summary: `${oneLine(title, 1000)}${more}`,
    ...(text === "" ? {} : { text }),
  };
}

async function findCheckRun(github: GitHub, ref: string, digest: string): Promise<CheckRun | null> {
  const self = await github.login();
  const runs = await github.list(
    "GET /commits/{ref}/check-runs",
    { ref, check_name: checkName },
    { name: "check_runs" },
  );
  const ours = runs.filter((run) => `${run.at("app").orNull((app) => app.at("slug").text()) ?? ""}[bot]` === self);
  // The newest is the one that people are shown: an older one that says the same does not count.
  const [newest] = ours.toSorted((a, b) => b.at("id").number() - a.at("id").number());
  return newest?.at("external_id").orNull((id) => id.text()) === digest ? checkRunOf(newest) : null;
}

function checkRunOf(answer: Answer): CheckRun {
  return {
    id: answer.at("id").number(),
    annotations: answer.at("output").at("annotations_count").number(),
    isComplete: answer.at("status").text() === "completed",
  };
}

function annotationOf({ path, line, column, level, title, message }: Annotation): object {
  return {
    path: threeBytes(path),
    start_line: line,
    end_line: line,
    start_column: column,
    end_column: column,
    annotation_level: level,
    title: plainLine(title, titleMax),
    message: cut(threeBytes(message), annotationCharsMax) || title,
  };
}

const statusStates = {
  success: "success",
  neutral: "success",
  failure: "failure",
  action_required: "pending",
} as const;

async function publishStatus(github: GitHub, { head, title, conclusion }: PlanReport): Promise<void> {
  const said = { state: statusStates[conclusion], description: plainLine(title, descriptionCharsMax) };
  await github.setStatus(head, checkName, said);
}

/** Only labels of ours are added and removed. */
async function publishLabels(github: GitHub, number: number, report: PlanReport): Promise<void> {
  const wanted = new Set<string>(labelsOf(report));
  const at = { issue_number: number };
  const there = new Set(
    (await github.list("GET /issues/{issue_number}/labels", at)).map((label) => label.at("name").text()),
  );
  const missing = [...wanted].filter((name) => !there.has(name));
  if (missing.length > 0) await github.ask("POST /issues/{issue_number}/labels", { ...at, labels: missing });
  for (const name of Object.values(labelNames))
    if (there.has(name) && !wanted.has(name))
      await github.ask("DELETE /issues/{issue_number}/labels/{name}", { ...at, name });
}

function labelsOf({ conclusion, removes = false }: PlanReport): string[] {
  if (conclusion === "failure") return [labelNames.refused];
  if (conclusion === "neutral") return [];
  return removes ? [labelNames.moves, labelNames.removes] : [labelNames.moves];
}

/** Asks the owners of the hosts concerned, but for the author, and for whoever was asked or has answered already. */
async function requestReviews(
  github: GitHub,
  { number, author }: PullRequest,
  { owners, conclusion }: PlanReport,
  { owners: known, notice }: PublishSettings,
): Promise<void> {
  if (conclusion === "failure" || conclusion === "neutral") return;
  const named = owners.flatMap((owner) => {
    if (Object.hasOwn(known, owner)) return known[owner] ?? [];
    notice(`nobody on GitHub is known for the owner ${owner}: nobody was asked for a review`);
    return [];
  });
  if (named.length === 0) return;
  const at = { pull_number: number };
  const asked = await github.ask("GET /pulls/{pull_number}/requested_reviewers", at);
  const reviews = await github.list("GET /pulls/{pull_number}/reviews", at);
  const done = new Set<string>(
    [
      author ?? "",
      ...asked
        .at("users")
        .list()
        .map((user) => user.at("login").text()),
      ...reviews.map((review) => loginOf(review.at("user")) ?? ""),
      ...asked
        .at("teams")
        .list()
        .map((team) => `${github.owner}/${team.at("slug").text()}`),
    ].map((name) => name.toLowerCase()),
  );
  for (const name of new Set(named)) {
    if (done.has(name.toLowerCase())) continue;
    // One by one: GitHub refuses them all because of one that it does not know.
    const order = reviewOrder(github.owner, name);
    if (order === null) notice(`${name} is no team of ${github.owner}, and cannot be asked for a review`);
    else
      await github.ask("POST /pulls/{pull_number}/requested_reviewers", { ...at, ...order }).catch((error: unknown) => {
        if (!(error instanceof Failure) || error.kind !== "invalid") throw error;
        notice(`${name} cannot be asked for a review: ${error.message}`);
      });
  }
}

function reviewOrder(owner: string, name: string): object | null {
  const [organisation = "", team] = name.split("/");
  if (team === undefined) return { reviewers: [name] };
  return organisation.toLowerCase() === owner.toLowerCase() ? { team_reviewers: [team] } : null;
}
