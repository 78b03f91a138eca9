// Where the audit reads from: a clone's own refs where the folder is one, else the remote's record. Nothing is asked of a reconciler.
import { join, resolve } from "node:path";
import { runProcess } from "../adapters/process.ts";
import { isoTime } from "../model/duration.ts";
import { Failure, messageOf } from "../model/failure.ts";
import { pullRequestOf } from "../model/pull-request.ts";
import { exists } from "../record/disk.ts";
import { archivedBefore, fetchArchive } from "../record/follow.ts";
import { Git, messageIn } from "../record/git.ts";
import { type HistoryRange, type HistorySource, type RecordCommit, readSubjectHistory } from "../record/history.ts";
import { acceptedRef, observedRef } from "../record/refs.ts";
import { findGitDir } from "./git-dir.ts";
import { shown } from "./output.ts";
import { type GlobalOptions, openRecordMirror, openWorkspace, type Workspace } from "./workspace.ts";

export interface AuditSource extends HistorySource {
  /** Tip of `main`; null where it is not there. */
  readonly main: string | null;
}

/**
 * Opens what there is to read. Throws a Failure where there is no record, and where only the latest part of a history is there. A remote
 * that does not answer is replaced by what was seen of it, unless `isLatest` is needed.
 */
export async function openAudit(
  options: GlobalOptions,
  { isLatest = false }: { isLatest?: boolean } = {},
): Promise<AuditSource> {
  const workspace = openWorkspace(options);
  const isConfigured = options.data !== undefined || !workspace.embedded || (await exists(workspace.remote));
  const clone = isConfigured ? null : await openClone(resolve(options.folder), workspace.git);
  if (clone !== null) return clone;
  const opened = await openRecordMirror(workspace).catch((error: unknown) => {
    if (isLatest) throw error;
    return openLastSeen(workspace, error);
  });
  if ("main" in opened) return opened;
  const { git, remote, listing, observed } = opened;
  if (observed === null) throw noRecord();
  if (listing.main !== null && (await git.resolve(listing.main)) === null)
    await remote.fetch("refs/heads/main", "refs/stateward/seen-main");
  return { git, remote, observed, main: listing.main };
}

/** What this folder's reconciler saw last, while the remote does not answer: who looks at night may not wait for it. */
async function openLastSeen({ data, git: options, secrets }: Workspace, error: unknown): Promise<AuditSource> {
  const isAway = error instanceof Failure && error.kind === "transient";
  const mirror = join(data, "mirror.git");
  if (!isAway || !(await exists(join(mirror, "HEAD")))) throw error;
  const git = new Git(mirror, runProcess, options);
  const observed = await git.resolve(observedRef);
  if (observed === null) throw error;
  const said = secrets.hide(messageOf(error));
  process.stderr.write(shown(`${said}\n  this is what the data folder's mirror had last; it may be old\n`));
  return { git, remote: null, observed, main: await git.resolve(acceptedRef) };
}

async function openClone(folder: string, options: ConstructorParameters<typeof Git>[2]): Promise<AuditSource | null> {
  const found = await findGitDir(folder).catch(() => ({ said: "" }));
  if ("said" in found || !(await exists(join(found.dir, "HEAD")))) return null;
  const git = new Git(found.dir, runProcess, options);
  const tip = async (branch: string): Promise<string | null> => {
    for (const ref of [`refs/remotes/origin/${branch}`, `refs/heads/${branch}`]) {
      const id = await git.resolve(ref);
      if (id !== null) return id;
    }
    return null;
  };
  const observed = await tip("observed");
  const isShallow = (await git.try(["rev-parse", "--is-shallow-repository"])).stdout.trim() === "true";
  // What is not there would be taken for what never was.
  if (isShallow) throw new Failure("invalid", "the clone is shallow: what happened earlier is not in it", shallow);
  if (observed === null) {
    if (await hasRemote(git)) throw noRecord();
    return null;
  }
  return { git, remote: null, observed, main: await tip("main") };
}

const shallow = {
  reason: "Shallow",
  hint: "git fetch --unshallow origin '+refs/heads/*:refs/remotes/origin/*' (in GitHub Actions: fetch-depth: 0)",
};

async function hasRemote(git: Git): Promise<boolean> {
  return (await git.try(["remote"])).stdout.trim() !== "";
}

/** A history that took longer than this to read is worth an index, in milliseconds. */
const slowMs = 1000;

/** Reads the history of one subject; says how a clone without Git's index of changed paths becomes quicker, where that was slow. */
export async function readIndexed(source: AuditSource, name: string, range: HistoryRange): Promise<RecordCommit[]> {
  const began = performance.now();
  const commits = await readSubjectHistory(source, name, range);
  if (source.remote === null && performance.now() - began > slowMs && !(await hasIndex(source.git.dir)))
    process.stderr.write("to make this quicker: git commit-graph write --reachable --changed-paths\n");
  return commits;
}

async function hasIndex(dir: string): Promise<boolean> {
  const files = ["commit-graph", join("commit-graphs", "commit-graph-chain")];
  const found = await Promise.all(files.map((file) => exists(join(dir, "objects", "info", file))));
  return found.includes(true);
}

export function noRecord(): Failure {
  return new Failure("invalid", "nothing was recorded yet", {
    reason: "NoRecord",
    hint: "start the reconciler: stateward run; in a clone: git fetch origin observed:refs/remotes/origin/observed",
  });
}

/** A commit of `main`, as its author and the Git host describe it. */
export interface MainCommit {
  readonly commit: string;
  /** `Ana <ana@example.org>`, as the commit says it. */
  readonly author: string;
  /** ISO 8601, UTC. */
  readonly at: string;
  readonly subject: string;
  readonly pullRequest: number | null;
}

/** Commits of `main` by their ids; those that are not there are left out. */
export async function readMainCommits(git: Git, ids: Iterable<string>): Promise<ReadonlyMap<string, MainCommit>> {
  const names = [...new Set(ids)].filter((id) => /^[0-9a-f]{40}$/.test(id) && !/^0+$/.test(id));
  const found = new Map<string, MainCommit>();
  await git.objects.each(names, (object) => {
    if (object?.type === "commit") found.set(object.id, mainCommit(object.id, object.data.toString()));
  });
  return found;
}

function mainCommit(commit: string, text: string): MainCommit {
  const end = text.indexOf("\n\n");
  const [, author = "", seconds = "0"] = /^author (.*) (\d{1,12}) [+-]\d{4}$/m.exec(text.slice(0, end)) ?? [];
  const message = messageIn(text);
  const subject = message.split("\n", 1)[0] ?? "";
  return { commit, author, at: isoTime(Number(seconds) * 1000), subject, pullRequest: pullRequestOf(message) };
}

/** `Ana <ana@example.org>, #12, 3f2a9c1d`: who and with what; the commit alone where it is not there. */
export function mainText(id: string, commits: ReadonlyMap<string, MainCommit>): string {
  const found = commits.get(id);
  if (found === undefined) return `main ${id.slice(0, 8)}`;
  const name = found.author.replace(/ <.*$/, "");
  return `main ${id.slice(0, 8)} by ${name}${found.pullRequest === null ? "" : ` (#${found.pullRequest})`}`;
}

const units: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };

/**
 * Milliseconds since the epoch of a time as people give it: ISO 8601, a date, `2h ago`, `now`; UTC unless it says otherwise. Null for
 * anything else.
 */
export function parseTime(text: string, nowMs: number): number | null {
  const word = text.trim();
  if (word === "now") return nowMs;
  const [, count = "", unit = ""] = /^(\d{1,6})\s*([smhdw])(?:\s+ago)?$/.exec(word) ?? [];
  if (unit !== "") return nowMs - Number(count) * (units[unit] ?? 0) * 1000;
  const parts = /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(:\d{2}(?:\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})?)?$/.exec(word);
  if (parts === null) return null;
  const [, day = "", time = "00:00", seconds = ":00", zone = "Z"] = parts;
  const ms = Date.parse(`${day}T${time}${seconds}${zone.replace(/^([+-]\d{2})(\d{2})$/, "$1:$2")}`);
  // JavaScript takes the 31st of a month with 30 days for the day after.
  const isReal = !Number.isNaN(ms) && new Date(`${day}T00:00:00Z`).toISOString().startsWith(day);
  return isReal ? ms : null;
}

/** The same, for an option. Throws a Failure for what is no time. */
export function needTime(text: string, nowMs: number): number {
  const ms = parseTime(text, nowMs);
  if (ms !== null) return ms;
  throw new Failure("invalid", `not a time: ${text}`, {
    reason: "Usage",
    hint: "give 2026-11-22T09:30:00Z, 2026-11-22, 2h ago or 30m ago; times are UTC unless they say otherwise",
  });
}

/** A commit of the record, and what was asked for when it was found. */
export interface Moment {
  readonly commit: string;
  /** Time of the commit, ISO 8601. */
  readonly at: string;
}

/**
 * The commit of the record that was the latest at a time, or that is named: one of the record's own, or the last one made while a
 * commit of `main` was in force. Throws a Failure where there is none.
 */
export async function momentOf(source: AuditSource, text: string, nowMs: number): Promise<Moment> {
  const ms = parseTime(text, nowMs);
  const commit = ms === null ? await namedCommit(source, text) : await commitAt(source, source.observed, ms);
  if (commit === null) throw await beforeRecord(source, text);
  const object = await source.git.objects.need(commit, "commit");
  const seconds = /^committer .* (\d{1,12}) [+-]\d{4}$/m.exec(object.data.toString())?.[1];
  return { commit, at: isoTime(Number(seconds ?? 0) * 1000) };
}

/** Where the record begins, as far as it is there: the next question is asked of a time after that. */
async function beforeRecord({ git, observed }: AuditSource, text: string): Promise<Failure> {
  const [first = ""] = (await git.run(["rev-list", "--max-parents=0", "--first-parent", observed])).split("\n", 1);
  const { data } = await git.objects.need(first, "commit");
  const begins = isoTime(Number(/^committer .* (\d{1,12}) [+-]\d{4}$/m.exec(data.toString())?.[1] ?? 0) * 1000);
  return new Failure("invalid", `nothing was recorded yet at ${text}: the record begins at ${begins}`, {
    reason: "BeforeRecord",
    hint: "give a later time; what is older may stand in an archive that this repository does not have (observed-archive/...)",
  });
}

async function commitAt(source: AuditSource, tip: string, ms: number): Promise<string | null> {
  const { git, remote } = source;
  // Git takes a whole second; a commit made within the one that is asked for counts.
  const before = `--before=${isoTime(Math.floor(ms / 1000) * 1000)}`;
  const found = (await git.run(["rev-list", "-1", "--first-parent", before, tip])).trim();
  if (found !== "") return found;
  const archived = await archivedBefore(git, tip);
  if (archived === null) return null;
  if (remote !== null) await fetchArchive({ git, remote }, archived).catch(() => {});
  return (await git.resolve(archived.commit)) === null ? null : commitAt(source, archived.commit, ms);
}

async function namedCommit({ git, observed }: AuditSource, text: string): Promise<string> {
  if (!/^[0-9a-f]{7,40}$/.test(text)) {
    throw new Failure("invalid", `neither a time nor a commit: ${text}`, {
      reason: "Usage",
      hint: "give 2026-11-22T09:30:00Z, 2026-11-22, 2h ago, or a commit of observed or main by at least 7 digits",
    });
  }
  const id = await git.resolve(`${text}^{commit}`);
  if (id === null) {
    throw new Failure("invalid", `no commit is called ${text} here`, {
      reason: "NoCommit",
      hint: "stateward log names those of both branches; git fetch gets those that this clone has not",
    });
  }
  if (await git.descends(observed, id)) return id;
  const args = ["log", "-1", "--first-parent", "--format=%H", "--fixed-strings", `--grep=Desired: ${id}`, observed];
  const found = (await git.run(args)).trim();
  if (found !== "") return found;
  throw new Failure("invalid", `nothing was recorded while ${text} was in force`, {
    reason: "NeverInForce",
    hint: "stateward log names the commits of main that were",
  });
}
