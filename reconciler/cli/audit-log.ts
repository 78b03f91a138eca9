// stateward log: who did what to which host, why, with which pull request; tries that failed and people's words too.
import { Failure } from "../model/failure.ts";
import { archivedBefore, fetchArchive } from "../record/follow.ts";
import type { Git } from "../record/git.ts";
import { fleetFile, recordPath } from "../record/layout.ts";
import { type AuditSource, type MainCommit, mainText, needTime, openAudit, readMainCommits } from "./audit-source.ts";
import { unknown } from "./inspect.ts";
import { paint, print, printJson, table } from "./output.ts";
import type { GlobalOptions } from "./workspace.ts";

/** One commit of the record that says something, newest first in a list. */
export interface RecordCommit {
  readonly commit: string;
  /** ISO 8601, UTC. */
  readonly at: string;
  /** Lines of the message: `git-1: drained -> serving (git-server)`. */
  readonly lines: readonly string[];
  readonly desired: string;
  readonly epoch: number;
  /** The run of the reconciler that wrote it; empty before that was noted. */
  readonly run: string;
  readonly pullRequest: number | null;
}

/** What happened, as one line of the log. */
export interface LogEntry {
  readonly at: string;
  readonly commit: string;
  /** Host, group, `group/NAME`, `region/NAME` or `fleet`. */
  readonly subject: string;
  readonly what: string;
  readonly kind: "change" | "failed" | "word" | "note";
  /** Who said it, for a person's word; else `reconciler`. */
  readonly actor: string;
  /** Commit of `main` that was in force, with its author and pull request where it can be read. */
  readonly desired: string;
  readonly author: string | null;
  readonly pullRequest: number | null;
  readonly run: string;
  readonly epoch: number;
}

export interface LogOptions extends GlobalOptions {
  readonly since?: string;
  readonly until?: string;
  readonly actor?: string;
  readonly limit: string;
}

/** Commits that are looked through for a person's words about one host: each word is in the fleet's own file. */
const fleetCommitsMax = 2000;

/** stateward log [HOST]. */
export async function log(options: LogOptions, name: string | null): Promise<number> {
  const limit = Number(options.limit);
  if (!Number.isInteger(limit) || limit < 1)
    throw new Failure("invalid", `not a number of lines: ${options.limit}`, { reason: "Usage" });
  const now = Date.now();
  const range = {
    ...(options.since === undefined ? {} : { since: needTime(options.since, now) }),
    ...(options.until === undefined ? {} : { until: needTime(options.until, now) }),
  };
  const source = await openAudit(options);
  // Lines of one commit can be many or none, and whoever is asked for may be in few of them.
  const commitsMax = options.actor === undefined ? limit : Number.POSITIVE_INFINITY;
  const commits = await (name === null
    ? readCommits(source, { ...range, paths: [], commitsMax })
    : hostCommits(source, name, { ...range, commitsMax }));
  const main = await readMainCommits(
    source.git,
    commits.map(({ desired }) => desired),
  );
  const entries = commits
    .flatMap((commit) => entriesOf(commit, name, main))
    .filter((entry) => options.actor === undefined || isBy(entry, options.actor.toLowerCase()))
    .slice(0, limit);
  if (options.json) printJson(entries);
  else printLog(entries, main);
  return 0;
}

interface Range {
  readonly since?: number;
  readonly until?: number;
  readonly commitsMax: number;
}

/** A host's own commits, and those with people's words about it or about the fleet. */
async function hostCommits(source: AuditSource, name: string, range: Range): Promise<RecordCommit[]> {
  const [own, words] = await Promise.all([
    subjectCommits(source, name, range),
    readCommits(source, { ...range, paths: [fleetFile], commitsMax: Math.min(fleetCommitsMax, range.commitsMax * 40) }),
  ]);
  if (own.length === 0 && range.since === undefined && range.until === undefined) throw unknown(name);
  const known = new Set(own.map(({ commit }) => commit));
  const spoken = words.filter(({ commit, lines }) => !known.has(commit) && lines.some((line) => isWordOn(name, line)));
  return [...own, ...spoken].toSorted((a, b) => (a.at < b.at ? 1 : a.at > b.at ? -1 : 0));
}

/** Commits in which the record of a host or a group changed, newest first. */
export async function subjectCommits(source: AuditSource, name: string, range: Range): Promise<RecordCommit[]> {
  const isGroup = (await source.git.resolve(`${source.observed}:${recordPath("group", name)}`)) !== null;
  return readCommits(source, { ...range, paths: [recordPath(isGroup ? "group" : "host", name)] });
}

const format = ["%H", "%ct", "%B", ...["Desired", "Epoch", "Run", "Pull-request"].map(trailer)].join("%x1f");

function trailer(key: string): string {
  return `%(trailers:key=${key},valueonly,separator=%x2C)`;
}

/** Reads on in what was there before the record was given a new root, as long as that is there. One path at most: Git's index knows no more. */
async function readCommits(
  source: AuditSource,
  { paths, ...range }: Range & { readonly paths: readonly string[] },
): Promise<RecordCommit[]> {
  const { git, remote } = source;
  const found: RecordCommit[] = [];
  for (let tip: string | null = source.observed; tip !== null; ) {
    const left = range.commitsMax - found.length;
    // Each of the two goes through the whole history: side by side.
    const [archived, commits]: [Awaited<ReturnType<typeof archivedBefore>>, RecordCommit[]] = await Promise.all([
      archivedBefore(git, tip),
      readOne(git, [tip, ...paths], { ...range, commitsMax: left + 1 }),
    ]);
    // The new root of an archive has all files, and changed none.
    found.push(...commits.filter(({ commit }) => commit !== archived?.root));
    if (found.length >= range.commitsMax || archived === null) break;
    if (remote !== null) await fetchArchive({ git, remote }, archived).catch(() => {});
    tip = await git.resolve(archived.commit);
  }
  return found.slice(0, range.commitsMax);
}

async function readOne(git: Git, [tip = "", ...paths]: readonly string[], range: Range): Promise<RecordCommit[]> {
  const times = [
    ...(range.since === undefined ? [] : [`--since=${new Date(range.since).toISOString()}`]),
    ...(range.until === undefined ? [] : [`--until=${new Date(range.until).toISOString()}`]),
  ];
  const count = Number.isFinite(range.commitsMax) ? [`--max-count=${range.commitsMax}`] : [];
  const args = ["log", "--encoding=UTF-8", `--format=${format}%x1e`, ...count, ...times, "--end-of-options", tip, "--"];
  const text = await git.run([...args, ...paths], { timeoutMs: 600_000 });
  return text.split("\x1e").flatMap((chunk) => {
    const [commit = "", seconds = "", body = "", desired = "", epoch = "", run = "", request = ""] = chunk
      .trim()
      .split("\x1f");
    if (commit === "") return [];
    return [
      {
        commit,
        at: new Date(Number(seconds) * 1000).toISOString(),
        lines: linesOf(body),
        desired: desired.trim(),
        epoch: Number(epoch),
        run: run.trim(),
        pullRequest: /^#\d{1,9}$/.test(request.trim()) ? Number(request.trim().slice(1)) : null,
      },
    ];
  });
}

/** What the message says happened: the first line is the first of them, with a count of the others. */
function linesOf(body: string): string[] {
  const paragraphs = body.trimEnd().split("\n\n");
  const lines = (paragraphs.length > 1 ? paragraphs.slice(0, -1) : paragraphs).join("\n").split("\n");
  const [subject = "", ...others] = lines.filter((line) => line !== "");
  const first = subject.replace(/ \(\+\d+\)$/, "");
  return others.some((line) => line.startsWith(first)) ? others : [first, ...others];
}

/** A hold of the whole fleet, or of the host itself. */
function isWordOn(name: string, line: string): boolean {
  return wordOf(line) !== null && (line.startsWith(`${name}: `) || line.startsWith("fleet: "));
}

/** Who is named in a line that a person's word has left. */
function wordOf(line: string): string | null {
  return /^\S+: (?:held|released|(?:brake|\S+) (?:released|approved)) by ([^:]+?)(?::|$)/.exec(line)?.[1] ?? null;
}

function entriesOf(commit: RecordCommit, name: string | null, main: ReadonlyMap<string, MainCommit>): LogEntry[] {
  const lines = commit.lines.filter(
    (line) => !line.endsWith(": noted") && (name === null || line.startsWith(`${name}: `) || isWordOn(name, line)),
  );
  const { at, desired, run, epoch } = commit;
  const found = main.get(desired);
  const pullRequest = commit.pullRequest ?? found?.pullRequest ?? null;
  const rest = { at, commit: commit.commit, desired, author: found?.author ?? null, pullRequest, run, epoch };
  return [...new Set(lines)].toReversed().map((line): LogEntry => {
    const colon = line.indexOf(": ");
    const [subject, what] = colon < 0 ? ["", line] : [line.slice(0, colon), line.slice(colon + 2)];
    const by = wordOf(line);
    return { ...rest, subject, what, kind: kindOf(what, by), actor: by ?? "reconciler" };
  });
}

function kindOf(what: string, by: string | null): LogEntry["kind"] {
  if (by !== null) return "word";
  if (/^\S+ -> \S+ failed \(/.test(what)) return "failed";
  return / -> /.test(what) ? "change" : "note";
}

/** Who said it, or whose commit of `main` was in force: a part of the name will do. */
function isBy({ actor, author }: LogEntry, wanted: string): boolean {
  return actor.toLowerCase().includes(wanted) || (author?.toLowerCase().includes(wanted) ?? false);
}

const colours = { change: "green", failed: "red", word: "yellow", note: "dim" } as const;

function printLog(entries: readonly LogEntry[], main: ReadonlyMap<string, MainCommit>): void {
  if (entries.length === 0) print("nothing was recorded in that time");
  const rows = entries.map(({ at, commit, subject, what, kind, desired }) => [
    at.slice(0, 19).replace("T", " "),
    commit.slice(0, 8),
    paint("bold", subject),
    paint(colours[kind], what),
    paint("dim", mainText(desired, main)),
  ]);
  if (rows.length > 0) print(table(rows));
}
