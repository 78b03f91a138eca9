// stateward at and diff: how the fleet stood at any time, and what changed between two, from the record's history alone.
import { decodeRecord, type MachineRecord, type SubjectRecord } from "../model/record.ts";
import { readyOf } from "../plan/conditions.ts";
import { fleetFile, headFile, recordPath } from "../record/layout.ts";
import { recordedCommit } from "../record/mirror.ts";
import { needed } from "../record/objects.ts";
import { readRecord } from "../record/read-record.ts";
import { diffTrees } from "../record/tree-diff.ts";
import { type AuditSource, type Moment, mainText, momentOf, openAudit, readMainCommits } from "./audit-source.ts";
import { paint, print, printJson, table } from "./output.ts";
import { unknown } from "./unknown-subject.ts";
import type { GlobalOptions } from "./workspace.ts";

/** stateward at TIME [HOST]. */
export async function at(options: GlobalOptions, time: string, name: string | null): Promise<number> {
  const source = await openAudit(options);
  const moment = await momentOf(source, time, Date.now());
  const subjects = name === null ? await allAt(source, moment) : [await oneAt(source, moment, name)];
  const desired = await recordedCommit(source.git, moment.commit);
  if (options.json) {
    printJson({ time, commit: moment.commit, at: moment.at, desired, subjects });
    return 0;
  }
  const main = await readMainCommits(source.git, desired === null ? [] : [desired]);
  print(
    `record ${moment.commit.slice(0, 8)} of ${moment.at}, ${desired === null ? "no commit of main in force" : mainText(desired, main)}`,
  );
  const rows = subjects.flatMap((subject) =>
    Object.entries(subject.machines).map(([machine, entry]) => stateRow(subject.name, machine, entry)),
  );
  if (rows.length > 0) print(table([["NAME", "MACHINE", "STATE", "SINCE", "MAIN", "READY", "MESSAGE"], ...rows]));
  for (const hold of subjects.flatMap(({ fleet }) => fleet?.holds ?? []))
    print(paint("yellow", `${hold.select} is held by ${hold.by} since ${hold.at}: ${hold.reason}`));
  return 0;
}

async function allAt({ git }: AuditSource, { commit }: Moment): Promise<SubjectRecord[]> {
  const { subjects } = await readRecord(git, commit);
  return [...subjects.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

async function oneAt({ git }: AuditSource, { commit }: Moment, name: string): Promise<SubjectRecord> {
  for (const kind of ["host", "group"] as const) {
    const object = await git.objects.read(`${commit}:${recordPath(kind, name)}`);
    if (object?.type === "blob") return decodeRecord(object.data.toString(), `${name} at ${commit.slice(0, 8)}`);
  }
  throw unknown(name, "stateward at now");
}

function stateRow(name: string, machine: string, entry: MachineRecord): string[] {
  const ready = readyOf(entry);
  const word = ready?.status === "True" ? paint("green", "yes") : paint("yellow", ready?.reason ?? "unknown");
  const message = (ready?.message ?? "").replaceAll(/\s+/g, " ").slice(0, 120);
  return [
    name,
    machine,
    entry.state,
    entry.since.slice(0, 19).replace("T", " "),
    entry.desired.slice(0, 8),
    word,
    message,
  ];
}

/** One difference between two times. */
export interface Difference {
  readonly subject: string;
  /** Null for what is of the subject as a whole. */
  readonly machine: string | null;
  readonly what: string;
  /** Null for what was not there. */
  readonly before: string | null;
  readonly after: string | null;
}

/** stateward diff TIME TIME [HOST]: exit status 0 whether something changed or not. */
export async function diff(
  options: GlobalOptions,
  [from, to]: readonly [string, string],
  name: string | null,
): Promise<number> {
  const source = await openAudit(options);
  const now = Date.now();
  const before = await momentOf(source, from, now);
  const after = await momentOf(source, to, now);
  const pairs = await changedRecords(source, [before, after], name);
  const differences = pairs.flatMap(([old, record]) => differencesOf(old, record));
  const [oldMain, newMain] = [
    await recordedCommit(source.git, before.commit),
    await recordedCommit(source.git, after.commit),
  ];
  if (options.json) {
    printJson({
      from: { ...before, desired: oldMain },
      to: { ...after, desired: newMain },
      changes: differences,
    });
    return 0;
  }
  const main = await readMainCommits(
    source.git,
    [oldMain, newMain].flatMap((id) => id ?? []),
  );
  const text = (id: string | null): string => (id === null ? "no commit of main" : mainText(id, main));
  print(`${before.at} ${text(oldMain)} -> ${after.at} ${text(newMain)}`);
  if (differences.length === 0) print("nothing changed");
  const rows = differences.map(({ subject, machine, what, ...values }) => [
    paint("bold", subject),
    machine ?? "-",
    what,
    `${values.before ?? "(none)"} -> ${paint("green", values.after ?? "(none)")}`,
  ]);
  if (rows.length > 0) print(table(rows));
  return 0;
}

/** Folder and name of a record: between them is what spreads many over folders. */
function placeOf(path: string): string {
  const parts = path.split("/");
  return `${parts[0] ?? ""} ${parts.at(-1) ?? ""}`;
}

type Pair = readonly [SubjectRecord | null, SubjectRecord | null];

/** Records that differ, before and after: folders that are the same are not read. */
async function changedRecords(
  { git }: AuditSource,
  [before, after]: readonly [Moment, Moment],
  name: string | null,
): Promise<Pair[]> {
  const trees = { before: `${before.commit}^{tree}`, after: `${after.commit}^{tree}` };
  const changes = await diffTrees(git.objects, trees, (entry) => entry !== headFile);
  const paths = changes
    .map(({ path }) => path)
    .filter((path) => path === fleetFile || /^(hosts|groups)\/.*\.json$/.test(path))
    .filter((path) => name === null || path.endsWith(`/${name}.json`))
    .toSorted((one, other) => (placeOf(one) < placeOf(other) ? -1 : 1));
  const read = async ({ commit }: Moment): Promise<(SubjectRecord | null)[]> => {
    const records: (SubjectRecord | null)[] = [];
    await git.objects.each(
      paths.map((path) => `${commit}:${path}`),
      (object, index) => {
        const where = `${paths[index] ?? ""} at ${commit.slice(0, 8)}`;
        records.push(object === null ? null : decodeRecord(needed(where, "blob", object).data.toString(), where));
      },
    );
    return records;
  };
  const [olds, news] = [await read(before), await read(after)];
  return paths.map((_path, index): Pair => [olds[index] ?? null, news[index] ?? null]);
}

function differencesOf(old: SubjectRecord | null, record: SubjectRecord | null): Difference[] {
  const subject = (record ?? old)?.name ?? "";
  if (record?.fleet ?? old?.fleet) return fleetDifferences(old, record);
  const one = (machine: string | null, what: string, before: string | null, after: string | null): Difference[] =>
    before === after ? [] : [{ subject, machine, what, before, after }];
  const machines = [...new Set([...Object.keys(old?.machines ?? {}), ...Object.keys(record?.machines ?? {})])];
  return [
    ...one(null, "removed", old?.removed ?? null, record?.removed ?? null),
    ...one(null, "incarnation", old?.incarnation ?? null, record?.incarnation ?? null),
    ...one(null, "address", old?.address ?? null, record?.address ?? null),
    ...machines.flatMap((machine) => {
      const [a, b] = [old?.machines[machine], record?.machines[machine]];
      return [
        ...one(machine, "state", a?.state ?? null, b?.state ?? null),
        ...one(machine, "ready", readyText(a), readyText(b)),
        ...one(machine, "attempt", attemptText(a), attemptText(b)),
      ];
    }),
  ];
}

function readyText(entry: MachineRecord | undefined): string | null {
  const ready = entry && readyOf(entry);
  return ready ? (ready.status === "True" ? "yes" : ready.reason) : null;
}

function attemptText(entry: MachineRecord | undefined): string | null {
  const attempt = entry?.attempt;
  return attempt ? `${attempt.from} -> ${attempt.to}, try ${attempt.number}, ${attempt.status}` : null;
}

/** Holds, the brake and rollouts: what people said and decided about many hosts. */
function fleetDifferences(old: SubjectRecord | null, record: SubjectRecord | null): Difference[] {
  const maps = [old, record].map((subject) => {
    const fleet = subject?.fleet;
    const holds = (fleet?.holds ?? []).map((hold): [string, string] => [
      `hold of ${hold.select}`,
      `${hold.by}: ${hold.reason}`,
    ]);
    const rollouts = Object.entries(fleet?.rollouts ?? {}).map(([scope, { wave, phase }]): [string, string] => [
      `rollout ${scope}`,
      `wave ${wave}, ${phase}`,
    ]);
    const brake = fleet?.braked ? [["brake", fleet.braked.message] as [string, string]] : [];
    return new Map([...holds, ...rollouts, ...brake]);
  });
  const [before = new Map<string, string>(), after = new Map<string, string>()] = maps;
  return [...new Set([...before.keys(), ...after.keys()])].flatMap((what) => {
    const [a, b] = [before.get(what) ?? null, after.get(what) ?? null];
    return a === b ? [] : [{ subject: "fleet", machine: null, what, before: a, after: b }];
  });
}
