// stateward bisect HOST: since when a host is in a bad state, and what came before: a desired commit, or a step and how it ended.
import { Failure } from "../model/failure.ts";
import { decodeRecord, type MachineRecord, type SubjectRecord } from "../model/record.ts";
import { readyOf } from "../plan/conditions.ts";
import type { RecordCommit } from "../record/history.ts";
import { recordPath } from "../record/layout.ts";
import {
  type AuditSource,
  type MainCommit,
  mainText,
  needTime,
  openAudit,
  readIndexed,
  readMainCommits,
} from "./audit-source.ts";
import { paint, print, printJson } from "./output.ts";
import { unknown } from "./unknown-subject.ts";
import type { GlobalOptions } from "./workspace.ts";

export interface BisectOptions extends GlobalOptions {
  /** A state, `MACHINE=STATE`, or the reason or type of a condition; default: stalled, failing, or not heard of. */
  readonly bad?: string;
  /** A time at which all was well. */
  readonly good?: string;
}

interface Version {
  readonly commit: RecordCommit;
  readonly record: SubjectRecord;
}

/** Records that are read at once while looking back. */
const readAtOnce = 200;
const suspectsMax = 20;

/** stateward bisect HOST: exit status 0 when it was found, 1 when the host was never in such a state. */
export async function bisect(options: BisectOptions, name: string): Promise<number> {
  const since = options.good === undefined ? null : needTime(options.good, Date.now());
  const source = await openAudit(options);
  const commits = await readIndexed(source, name, { commitsMax: Number.POSITIVE_INFINITY });
  if (commits.length === 0) throw unknown(name, "stateward at now");
  const isBad = judgeOf(options.bad ?? null);
  const found = await search(source, commits, { name, isBad, since });
  if (found === null) {
    throw new Failure(
      "invalid",
      `${name} was never ${options.bad ?? "stalled, failing or lost"}${since === null ? "" : " since then"}`,
      {
        reason: "NeverBad",
        hint: `stateward log ${name} shows what became of it; name a state or a condition's reason with --bad`,
      },
    );
  }
  const main = await readMainCommits(
    source.git,
    [found.bad, found.good].flatMap((version) => version?.commit.desired ?? []),
  );
  const report = { ...reportOf(found, isBad), suspects: await suspectsOf(source, found) };
  if (options.json) printJson({ host: name, ...report, desiredBy: main.get(report.desired) ?? null });
  else printReport(name, report, main);
  return 0;
}

type Judge = (machine: string, entry: MachineRecord) => boolean;

function judgeOf(bad: string | null): Judge {
  // What is on its way, or waits for its turn, is not ready and not bad.
  if (bad === null) {
    return (_machine, entry) =>
      entry.attempt?.status === "failed" ||
      readyOf(entry)?.status === "Unknown" ||
      entry.conditions.some((item) => isTrue(item, "Stalled"));
  }
  const [machine, state] = bad.includes("=") ? bad.split("=", 2) : [null, bad];
  return (name, entry) =>
    (machine === null || machine === name) &&
    (entry.state === state || entry.conditions.some((item) => item.reason === state || isTrue(item, state)));
}

function isTrue({ type, status }: MachineRecord["conditions"][number], wanted: string | undefined): boolean {
  return type === wanted && status === "True" && type !== "Ready";
}

interface Found {
  /** The first record in which it is bad. */
  readonly bad: Version;
  /** The record before it; null where it begins so. */
  readonly good: Version | null;
}

/** From the newest back to the beginning of the latest bad stretch; of the first one after `since`, where that is given. */
async function search(
  source: AuditSource,
  commits: readonly RecordCommit[],
  { name, isBad, since }: { readonly name: string; readonly isBad: Judge; readonly since: number | null },
): Promise<Found | null> {
  let found: Found | null = null;
  let bad: Version | null = null;
  for (let at = 0; at < commits.length; at += readAtOnce) {
    for (const version of await readVersions(source, commits.slice(at, at + readAtOnce), name)) {
      const isNow = Object.entries(version.record.machines).some(([machine, entry]) => isBad(machine, entry));
      if (!isNow && bad !== null) {
        found = { bad, good: version };
        bad = null;
        if (since === null) return found;
      }
      if (since !== null && Date.parse(version.commit.at) < since) return bad === null ? found : { bad, good: version };
      if (isNow) bad = version;
    }
  }
  return bad === null ? found : { bad, good: null };
}

async function readVersions({ git }: AuditSource, commits: readonly RecordCommit[], name: string): Promise<Version[]> {
  const versions: Version[] = [];
  const names = commits.flatMap(({ commit }) => [
    `${commit}:${recordPath("host", name)}`,
    `${commit}:${recordPath("group", name)}`,
  ]);
  await git.objects.each(names, (object, index) => {
    const commit = commits[Math.floor(index / 2)];
    if (object?.type !== "blob" || commit === undefined) return;
    versions.push({ commit, record: decodeRecord(object.data.toString(), `${name} at ${commit.commit.slice(0, 8)}`) });
  });
  return versions;
}

interface Report {
  readonly machine: string;
  /** Commit and time of the record since which it is bad. */
  readonly commit: string;
  readonly at: string;
  readonly before: string | null;
  readonly after: string;
  readonly reason: string;
  readonly message: string;
  /** Transition that was under way, with the step that failed; null where none was. */
  readonly attempt: { readonly transition: string; readonly step: string | null; readonly error: string | null } | null;
  readonly lines: readonly string[];
  readonly desired: string;
  /** The commit of `main` that was in force before; the same where it did not change. */
  readonly desiredBefore: string | null;
  readonly cause: "desired" | "step" | "observed";
}

function reportOf({ bad, good }: Found, isBad: Judge): Report {
  const [machine, entry] = Object.entries(bad.record.machines).find(([name, item]) => isBad(name, item)) ?? [];
  const before = machine === undefined ? undefined : good?.record.machines[machine];
  const ready = entry && readyOf(entry);
  const attempt = entry?.attempt ?? null;
  const desired = bad.commit.desired;
  const desiredBefore = good?.commit.desired ?? null;
  const failed = bad.commit.lines.some((line) => / failed \(/.test(line)) || attempt?.status === "failed";
  return {
    machine: machine ?? "",
    commit: bad.commit.commit,
    at: bad.commit.at,
    before: before?.state ?? null,
    after: entry?.state ?? "",
    reason: ready?.reason ?? "unknown",
    message: ready?.message ?? "",
    attempt: attempt && {
      transition: `${attempt.from} -> ${attempt.to}`,
      step: attempt.step,
      error: attempt.error,
    },
    lines: bad.commit.lines.filter((line) => line.startsWith(`${bad.record.name}: `) && !line.endsWith(": noted")),
    desired,
    desiredBefore,
    cause: failed ? "step" : desiredBefore !== desired ? "desired" : "observed",
  };
}

/** Commits of `main` that came into force between the last good record and the first bad one. */
async function suspectsOf({ git, main }: AuditSource, { bad, good }: Found): Promise<MainCommit[]> {
  const [from, to] = [good?.commit.desired ?? "", bad.commit.desired];
  if (from === to || main === null || !/^[0-9a-f]{40}$/.test(to) || (await git.resolve(`${to}^{commit}`)) === null)
    return [];
  const isKnown = /^[0-9a-f]{40}$/.test(from) && (await git.resolve(`${from}^{commit}`)) !== null;
  const range = isKnown ? [to, `^${from}`] : ["-1", to];
  const text = await git.run(["rev-list", "--first-parent", `--max-count=${suspectsMax}`, ...range]);
  const ids = text.split("\n").filter((line) => line !== "");
  const commits = await readMainCommits(git, ids);
  return ids.flatMap((id) => commits.get(id) ?? []);
}

const causes = {
  step: "a step that failed",
  desired: "a new commit of main",
  observed: "what the host was seen to be",
} as const;

function printReport(
  name: string,
  report: Report & { readonly suspects: readonly MainCommit[] },
  main: ReadonlyMap<string, MainCommit>,
): void {
  const { machine, before, after, reason, message, attempt, suspects } = report;
  print(
    `${paint("bold", name)}  ${machine}: ${before === null ? "(nothing recorded)" : before} -> ${paint("red", after)}, ${reason}${message === "" ? "" : `: ${message}`}`,
  );
  print(`    since ${report.at}, record ${report.commit.slice(0, 8)}: ${causes[report.cause]}`);
  for (const line of report.lines) print(`    ${line.slice(name.length + 2)}`);
  if (attempt !== null && attempt.error !== null)
    print(`    ${attempt.transition}, step ${attempt.step ?? "?"}: ${attempt.error}`);
  print(`    in force: ${mainText(report.desired, main)}`);
  for (const item of suspects)
    print(
      `    came into force: ${item.commit.slice(0, 8)} by ${item.author}${item.pullRequest === null ? "" : ` (#${item.pullRequest})`}: ${item.subject}`,
    );
}
