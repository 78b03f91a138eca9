// Commands that look and change nothing: check, plan, status, history.
import { isAbsolute, relative } from "node:path";
import { viewOf } from "../engine/fleet.ts";
import { Failure } from "../model/failure.ts";
import type { DesiredCommit, FleetView, Health, SubjectView } from "../model/ports.ts";
import { formatProblem, hasErrors, type Problem, sortProblems } from "../model/problem.ts";
import { recordLimits, type SubjectRecord } from "../model/record.ts";
import type { LoadedRepository } from "../model/repository.ts";
import type { SourceFile } from "../model/types.ts";
import { movesOf, needsApproval } from "../plan/brakes.ts";
import { readyOf } from "../plan/conditions.ts";
import { fleetView } from "../plan/fleet-view.ts";
import { type Forecast, forecast, recordedWorld } from "../plan/forecast.ts";
import { subjectNames, subjectOf, type World } from "../plan/world.ts";
import { linesAbout, readSubjectHistory } from "../record/history.ts";
import { oddEntriesIn, readStateFolder } from "../record/origin.ts";
import { readRecord } from "../record/read-record.ts";
import { findApi } from "./api.ts";
import { openAudit } from "./audit-source.ts";
import { createLoader } from "./loader.ts";
import { fleetLines, paint, print, printJson, table } from "./output.ts";
import { readRemote } from "./recorded.ts";
import { printSimulation } from "./simulation.ts";
import { unknown } from "./unknown-subject.ts";
import { workflowCommand } from "./workflow-commands.ts";
import { type GlobalOptions, openRecordMirror, openWorkspace, type Workspace } from "./workspace.ts";

export interface CheckOptions extends GlobalOptions {
  /** Absent for text, or for JSON with `--json`. */
  readonly format?: "text" | "json" | "github";
}

/** stateward check: the files of the folder. Exit status 1 with problems of severity error. */
export async function check(options: CheckOptions): Promise<number> {
  const { folder } = openWorkspace(options);
  const { format = options.json ? "json" : "text" } = options;
  const files = await readStateFolder(folder);
  const { problems: found, repository } = createLoader().load(files);
  const problems = sortProblems([...(await oddEntriesIn(folder)), ...found]);
  const bad = hasErrors(problems);
  if (format === "json") printJson({ ok: !bad, problems });
  else {
    const shown = format === "github" ? annotated(folder) : paintProblem;
    for (const problem of problems) print(shown(problem));
    const { hosts, groups, machines } = repository;
    print(
      `${files.length} files, ${machines.size} machines, ${hosts.size} hosts, ${groups.size} groups: ${bad ? countOf(problems) : "no errors"}`,
    );
  }
  return bad ? 1 : 0;
}

/** Files as whoever runs this sees them: a state repository may be a folder of another one. */
function annotated(folder: string): (problem: Problem) => string {
  const below = relative(process.cwd(), folder);
  const isBelow = below !== "" && !below.startsWith("..") && !isAbsolute(below);
  return (problem) => workflowCommand(isBelow ? { ...problem, file: `${below}/${problem.file}` } : problem);
}

function paintProblem(problem: Problem): string {
  return paint(problem.severity === "error" ? "red" : "yellow", formatProblem(problem));
}

const countOf = ({ length }: readonly Problem[]): string => (length === 1 ? "1 problem" : `${length} problems`);

/** A folder's files and what they say. Throws a Failure, after the problems, where there are errors. */
export async function loadFolder(
  folder: string,
): Promise<{ readonly files: readonly SourceFile[]; readonly loaded: LoadedRepository }> {
  const files = await readStateFolder(folder);
  const loaded = createLoader().load(files);
  if (!hasErrors(loaded.problems)) return { files, loaded };
  for (const problem of loaded.problems) process.stderr.write(`${formatProblem(problem)}\n`);
  throw new Failure("invalid", `the folder has ${countOf(loaded.problems)}`, {
    reason: "Problems",
    hint: "mend them; stateward check shows them again",
  });
}

/** What a folder says against what the remote's record holds. */
async function folderAgainstRecord(
  workspace: Workspace,
): Promise<{ desired: DesiredCommit; records: Map<string, SubjectRecord> }> {
  const { loaded } = await loadFolder(workspace.folder);
  return { desired: { commit: "0".repeat(40), loaded }, records: await recordsOf(workspace) };
}

/** The record on the remote; none where nothing was ever recorded. */
async function recordsOf(workspace: Workspace): Promise<Map<string, SubjectRecord>> {
  try {
    const { git, observed } = await openRecordMirror(workspace);
    return (await readRecord(git, observed)).subjects;
  } catch (error) {
    if (error instanceof Failure && error.reason === "NoRepository") return new Map();
    throw error;
  }
}

export interface PlanOptions extends GlobalOptions {
  readonly exitCode?: boolean;
  readonly simulate?: boolean;
}

/** stateward plan: what would happen to which host, along which path, waiting for what. Exit status 3 with changes and `--exit-code`. */
export async function plan(options: PlanOptions, names: readonly string[]): Promise<number> {
  const workspace = openWorkspace(options);
  const { desired, records } = await folderAgainstRecord(workspace);
  const world = recordedWorld({ now: Date.now(), desired, records });
  for (const name of names) if (!subjectOf(world, name)) throw unknown(name);
  if (options.simulate) return printSimulation(world, { ...options, names });
  const forecasts = forecast(world, names.length > 0 ? names : undefined);
  const moving = forecasts.filter(({ verdict }) => verdict !== "in-target" && verdict !== "free");
  if (options.json) printJson({ changes: moving.length, machines: forecasts });
  else {
    printPlan(forecasts);
    printMoves(world, await mainOf(workspace));
  }
  return options.exitCode && moving.length > 0 ? 3 : 0;
}

function printPlan(forecasts: readonly Forecast[]): void {
  for (const item of forecasts) {
    if (item.verdict === "in-target" || item.verdict === "free") continue;
    print(
      `${paint("bold", item.subject)}  ${item.machine}: ${item.state} -> ${item.target ?? "(no target)"}  ${verdictText(item)}`,
    );
    for (const step of item.path) {
      const count = step.steps.length === 1 ? "1 step" : `${step.steps.length} steps`;
      const once = step.once.length > 0 ? `, never repeated: ${step.once.join("; ")}` : "";
      print(`    ${step.from} -> ${step.to}  ${count}${once}`);
      if (step.guard !== null)
        print(paint("dim", `        ${step.holds ? "allowed now by" : "waits for"}: ${step.guard}`));
    }
  }
  const count = (...verdicts: Forecast["verdict"][]): number =>
    forecasts.filter(({ verdict }) => verdicts.includes(verdict)).length;
  print(
    `${forecasts.length} machines on hosts and groups: ${count("in-target", "free")} in place, ${count("move")} to move, ${count("wait")} waiting, ${count("stalled")} stalled`,
  );
}

/** The commit of `main` that a commit of this folder would follow; null where there is none. */
async function mainOf(workspace: Workspace): Promise<DesiredCommit | null> {
  return readRemote(workspace).then(
    ({ world }) => world.desired,
    () => null,
  );
}

/** B3, before anybody pushes: what a commit of this folder would have to say. */
function printMoves(world: World, before: DesiredCommit | null): void {
  // By the limits that hold now, as the reconciler judges it: a commit does not loosen its own.
  const { settings, hosts } = (before ?? world.desired).loaded.repository;
  const size = Math.max(hosts.size, world.desired.loaded.repository.hosts.size);
  const moves = movesOf(before, world.desired, world.records);
  const message = needsApproval(moves, { settings, size }, null);
  if (message === null) return;
  const trailer = `Acknowledge-Moves: ${moves.moved + moves.removed}`;
  print(
    paint(
      "yellow",
      `as a commit ${message}: it would wait for stateward approve, unless its message ends with ${trailer}`,
    ),
  );
}

function verdictText({ verdict, reason, message }: Forecast): string {
  if (verdict === "move") return paint("green", "would move");
  return paint(verdict === "stalled" ? "red" : "yellow", `${reason}: ${message}`);
}

interface Snapshot {
  readonly live: boolean;
  readonly fleet: FleetView | null;
  readonly health: Health;
  readonly subjects: readonly SubjectView[];
}

/** stateward status: from the running reconciler, or from the repository alone when none runs. */
export async function status(options: GlobalOptions, name: string | null): Promise<number> {
  const workspace = openWorkspace(options);
  const live = await liveSnapshot(workspace);
  const snapshot = live?.health.record.role === "leading" ? live : await recordedSnapshot(workspace, live);
  const subjects = name === null ? snapshot.subjects : snapshot.subjects.filter((subject) => subject.name === name);
  if (name !== null && subjects.length === 0) throw unknown(name);
  if (options.json) printJson({ ...snapshot, subjects });
  else printStatus(snapshot, subjects, name !== null);
  return snapshot.health.problems.length > 0 ? 1 : 0;
}

async function liveSnapshot(workspace: Workspace): Promise<Snapshot | null> {
  const api = await findApi(workspace);
  if (!api) return null;
  const [health, { hosts }, { groups }] = await Promise.all([
    api.get<Health>("/readyz"),
    api.get<{ hosts: SubjectView[] }>("/v1/hosts"),
    api.get<{ groups: SubjectView[] }>("/v1/groups"),
  ]);
  const fleet =
    health.record.role === "leading" && health.commit !== null ? await api.get<FleetView>("/v1/fleet") : null;
  return { live: true, health, fleet, subjects: [...hosts, ...groups] };
}

/** What the repository says; of one who stands by, with what it says of itself. */
async function recordedSnapshot(workspace: Workspace, live: Snapshot | null): Promise<Snapshot> {
  if (live === null) return repositorySnapshot(workspace);
  const { health, subjects, fleet } = await repositorySnapshot(workspace).catch(() => live);
  const { message, record, problems } = live.health;
  const leader = record.leader ?? health.record.leader;
  return {
    live: true,
    fleet,
    subjects,
    health: { ...health, ready: false, message, problems, record: { ...record, leader } },
  };
}

async function repositorySnapshot(workspace: Workspace): Promise<Snapshot> {
  const { world, problems, record } = await readRemote(workspace);
  const subjects = subjectNames(world).flatMap((name) => {
    const subject = subjectOf(world, name);
    return subject ? [{ ...viewOf(world, subject), reachable: null }] : [];
  });
  const inTarget = subjects.filter(({ machines }) =>
    machines.every(({ state, target }) => target === null || target === state),
  ).length;
  return {
    live: false,
    fleet: fleetView(world, null),
    health: {
      ready: false,
      commit: world.desired.commit,
      message: "no reconciler runs on this folder",
      record,
      problems,
      inTarget,
      subjects: subjects.length,
    },
    subjects,
  };
}

function printStatus({ live, health, fleet }: Snapshot, subjects: readonly SubjectView[], detailed: boolean): void {
  const source = live ? "reconciler running" : paint("yellow", "no reconciler runs on this folder: this is the record");
  print(`main ${health.commit?.slice(0, 8) ?? "none"}  ${health.inTarget}/${health.subjects} in target  ${source}`);
  print(leaderText(health.record));
  if (live && health.message !== "") print(paint("red", health.message));
  for (const problem of health.problems) print(`  ${paintProblem(problem)}`);
  if (fleet !== null) for (const line of fleetLines({ ...fleet, unapproved: null })) print(line);
  const rows = subjects.flatMap((subject) =>
    subject.machines.map((machine) => statusRow(subject, machine, detailed ? 2000 : 120)),
  );
  if (rows.length > 0)
    print(table([["NAME", "REGION", "MACHINE", "STATE", "TARGET", "READY", "SINCE", "MESSAGE"], ...rows]));
  if (!detailed) return;
  for (const { name, incarnation, address, owner, held } of subjects) {
    print(
      `\n${name}: incarnation ${incarnation ?? "not seen yet"}, address ${address ?? "none"}, owner ${owner ?? "none"}${held === null ? "" : `, ${held}`}`,
    );
  }
}

/** Who leads, and how far the record is behind: what has to be known before anything else is believed. */
function leaderText({ role, leader, epoch, behindMs, unpushed }: Health["record"]): string {
  const name = leader === null ? "" : `${leader.host} (${leader.instance.slice(0, 8)})`;
  const ended = leader?.released ? `nobody: ${name} has ended` : `${name}, by its last sign of life`;
  const who = leader === null ? "nobody has said that it leads" : role === "ended" ? ended : name;
  const here = role === "leading" ? ", this reconciler" : role === "standby" ? "; this reconciler stands by" : "";
  const behind =
    behindMs > recordLimits.onceBehindMs ? paint("red", `, not pushed for ${Math.round(behindMs / 1000)} s`) : "";
  return `record: epoch ${leader?.epoch ?? epoch}, leader ${who}${here}${unpushed > 0 ? `, ${unpushed} ${unpushed === 1 ? "change" : "changes"} to push` : ""}${behind}`;
}

function statusRow(subject: SubjectView, machine: SubjectView["machines"][number], messageMax: number): string[] {
  const ready = readyOf(machine);
  const word =
    ready?.status === "True"
      ? paint("green", "yes")
      : ready?.status === "False"
        ? paint("yellow", ready.reason)
        : paint("red", ready?.reason ?? "unknown");
  const text = (ready?.message ?? "").replaceAll("\n", " ");
  const message = text.length > messageMax ? `${text.slice(0, messageMax)}... (status ${subject.name})` : text;
  return [
    subject.name,
    subject.region ?? "-",
    machine.machine,
    machine.state,
    machine.target ?? "-",
    word,
    machine.since.slice(0, 19).replace("T", " "),
    message,
  ];
}

export interface HistoryOptions extends GlobalOptions {
  readonly limit: string;
  readonly all?: boolean;
}

/** stateward history HOST: what became of it, newest first, from the branch `observed` alone. */
export async function history(options: HistoryOptions, name: string): Promise<number> {
  const limit = Number(options.limit);
  if (!Number.isInteger(limit) || limit < 1)
    throw new Failure("invalid", `not a number of commits: ${options.limit}`, {
      reason: "Usage",
      hint: "give one from 1, such as --limit 100",
    });
  const commits = await readSubjectHistory(await openAudit(options), name, { commitsMax: limit });
  const entries = commits.map((item) => ({ ...item, lines: linesAbout(name, item) }));
  if (entries.length === 0) throw unknown(name);
  const shown = options.all ? entries : entries.filter(({ lines }) => lines.length > 0);
  if (options.json) printJson(shown);
  else
    print(
      table(
        shown.flatMap(({ at, commit, lines, desired }) =>
          (lines.length > 0 ? lines : ["(noted)"]).map((line) => [
            at.slice(0, 19).replace("T", " "),
            commit.slice(0, 8),
            line,
            paint("dim", `main ${desired.slice(0, 8)}`),
          ]),
        ),
      ),
    );
  return 0;
}
