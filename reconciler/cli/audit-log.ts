// stateward log: who did what to which host, why, with which pull request; tries that failed and people's words too.
import { Failure } from "../model/failure.ts";
import { type HistoryRange, type RecordCommit, readHistory } from "../record/history.ts";
import { fleetFile } from "../record/layout.ts";
import {
  type AuditSource,
  type MainCommit,
  mainText,
  needTime,
  openAudit,
  readIndexed,
  readMainCommits,
} from "./audit-source.ts";
import { paint, print, printJson, table } from "./output.ts";
import { unknown } from "./unknown-subject.ts";
import type { GlobalOptions } from "./workspace.ts";

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
    throw new Failure("invalid", `not a number of lines: ${options.limit}`, {
      reason: "Usage",
      hint: "give one from 1, such as --limit 100",
    });
  const now = Date.now();
  const range = {
    ...(options.since === undefined ? {} : { since: needTime(options.since, now) }),
    ...(options.until === undefined ? {} : { until: needTime(options.until, now) }),
  };
  const source = await openAudit(options);
  // Lines of one commit can be many or none, and whoever is asked for may be in few of them.
  const commitsMax = options.actor === undefined ? limit : Number.POSITIVE_INFINITY;
  const commits = await (name === null
    ? readHistory(source, null, { ...range, commitsMax })
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

/** A host's own commits, and those with people's words about it or about the fleet. */
async function hostCommits(source: AuditSource, name: string, range: HistoryRange): Promise<RecordCommit[]> {
  const [own, words] = await Promise.all([
    readIndexed(source, name, range),
    readHistory(source, fleetFile, { ...range, commitsMax: Math.min(fleetCommitsMax, range.commitsMax * 40) }),
  ]);
  if (own.length === 0 && range.since === undefined && range.until === undefined)
    throw unknown(name, "stateward at now");
  const known = new Set(own.map(({ commit }) => commit));
  const spoken = words.filter(({ commit, lines }) => !known.has(commit) && lines.some((line) => isWordOn(name, line)));
  return [...own, ...spoken].toSorted((a, b) => (a.at < b.at ? 1 : a.at > b.at ? -1 : 0));
}

/** A hold of the whole fleet, or of the host itself. */
function isWordOn(name: string, line: string): boolean {
  return wordOf(line) !== null && (line.startsWith(`${name}: `) || line.startsWith("fleet: "));
}

/** Who is named in a line that a person's word has left. */
function wordOf(line: string): string | null {
  return (
    /^\S+: (?:held|released|(?:brake|\S+) (?:released|approved)|(?:retry|skip) of \S+|retry out of quarantine|replay) by ([^:]+?)(?::|$)/.exec(
      line,
    )?.[1] ?? null
  );
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
  if (entries.length === 0) print("nothing of that sort was recorded");
  const rows = entries.map(({ at, commit, subject, what, kind, desired }) => [
    at.slice(0, 19).replace("T", " "),
    commit.slice(0, 8),
    paint("bold", subject),
    paint(colours[kind], what),
    paint("dim", mainText(desired, main)),
  ]);
  if (rows.length > 0) print(table(rows));
}
