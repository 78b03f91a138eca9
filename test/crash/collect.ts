// Makes a history of what a site has seen: what was asked and answered, what the steps have said of themselves, what stands on the hosts,
// and every commit that the remote took. Nothing here comes out of the process under test but what it answered.
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { runProcess } from "../../reconciler/adapters/process.ts";
import type { SubjectView } from "../../reconciler/model/ports.ts";
import { emptyFleet, fleetName, type SubjectRecord } from "../../reconciler/model/record.ts";
import { Git } from "../../reconciler/record/git.ts";
import { readRecord } from "../../reconciler/record/read-record.ts";
import type { Happening, History, HostAtRest, SubjectInRecord } from "../sim/history.ts";
import { git } from "../support/git-remote.ts";
import { onceStep, stepNamed } from "./fleet.ts";
import type { Recovered } from "./recover.ts";
import { agentLife, type Site } from "./site.ts";

/** A line of the log of steps. */
export interface StepLine {
  readonly at: number;
  readonly word: "begin" | "end";
  readonly host: string;
  readonly life: string;
  readonly step: string;
  readonly pid: string;
  /** Tip of `observed` at the remote, or `-`. */
  readonly tip: string;
}

export interface Commit {
  readonly id: string;
  readonly parent: string | null;
  readonly message: string;
  readonly epoch: number;
}

export interface Collected {
  readonly history: History;
  readonly steps: readonly StepLine[];
  /** Commits of `observed` at the end, oldest first. */
  readonly commits: readonly Commit[];
  /** Records at a commit, as a fresh reader of the remote finds them. */
  readonly recordAt: (commit: string) => Promise<ReadonlyMap<string, SubjectRecord>>;
}

export async function collect(site: Site, recovered: Recovered): Promise<Collected> {
  const remote = new Git(site.record, runProcess);
  const known = new Map<string, ReadonlyMap<string, SubjectRecord>>();
  const recordAt = async (commit: string): Promise<ReadonlyMap<string, SubjectRecord>> => {
    const found = known.get(commit) ?? (await readRecord(remote, commit)).subjects;
    known.set(commit, found);
    return found;
  };
  try {
    const steps = readSteps(await site.log(), site.beganAt);
    const commits = await readCommits(site.record);
    const tip = commits.at(-1)?.id;
    const records = tip === undefined ? new Map<string, SubjectRecord>() : await recordAt(tip);
    for (const { id } of commits) await recordAt(id);
    for (const { tip } of steps) if (tip !== "-") await recordAt(tip);
    const events = [
      ...site.events,
      ...stepEvents(site, steps, known),
      ...pushEvents(site, { commits, steps }, known),
      ...lives(steps),
      await restOf(site, recovered, records),
    ].toSorted((a, b) => a.at - b.at);
    return { history: { events, isLiveness: true }, steps, commits, recordAt };
  } finally {
    remote.objects.close();
  }
}

export function readSteps(log: string, beganAt: number): StepLine[] {
  return log.split("\n").flatMap((line) => {
    const [ms = "", word = "", host = "", life = "", step = "", pid = "", tip = ""] = line.split(" ");
    if (word !== "begin" && word !== "end") return [];
    return [{ at: Number(ms) - beganAt, word, host, life, step, pid, tip }];
  });
}

/** Commits of `observed`, oldest first, with those of the histories that an archived root names. */
async function readCommits(dir: string, tip = "refs/heads/observed"): Promise<Commit[]> {
  const text = await git(dir, "log", "--reverse", "--format=%H %P%n%B%x00", tip);
  const commits = text.split("\0").flatMap((entry) => {
    const [head = "", ...body] = entry.trim().split("\n");
    const [id = "", parent] = head.trim().split(" ");
    const message = body.join("\n");
    const archived = /^Archived: ([0-9a-f]{40})$/m.exec(message)?.[1];
    const epoch = Number(/^Epoch: (\d+)$/m.exec(message)?.[1] ?? 0);
    return id === "" ? [] : [{ id, parent: parent ?? archived ?? null, message, epoch }];
  });
  const [root] = commits;
  const before = root === undefined || root.parent === null ? [] : await readCommits(dir, root.parent);
  return [...before, ...commits];
}

type Records = ReadonlyMap<string, ReadonlyMap<string, SubjectRecord>>;

function stepEvents(site: Site, steps: readonly StepLine[], records: Records): Happening[] {
  const events: Happening[] = [];
  for (const [run, line] of steps.entries()) {
    if (line.word !== "begin") continue;
    const { machine, step, transition } = stepNamed(line.step);
    const started = site.events.filter((event) => event.kind === "started" && event.at <= line.at).at(-1);
    const process = started?.kind === "started" ? started.process : "";
    const isPushed = step.repeat === "never" ? startIsAt(records.get(line.tip), line) : null;
    const { at, host, life: incarnation } = line;
    events.push({
      kind: "began",
      at,
      run,
      process,
      host,
      incarnation,
      machine,
      step,
      transition,
      isRecorded: isPushed,
      // By whom it was pushed is judged only where that is known.
      isPushed: new Set(site.runs.map(({ data }) => data)).size === 1 ? isPushed : null,
      done: null,
    });
    const end = steps.find((other) => other.word === "end" && other.pid === line.pid && other.step === line.step);
    // One without an end was ended before the next one began, or with the last process.
    const next = steps.find((other, index) => index > run && other.word === "begin" && other.host === host);
    const endedAt = end?.at ?? (next === undefined ? site.now() : next.at - 0.5);
    events.push({ kind: "ended", at: endedAt, run, exit: end === undefined ? null : 0 });
  }
  return events;
}

/** S1: the start of a step marked never stood on the remote when it began. */
export function startIsAt(records: ReadonlyMap<string, SubjectRecord> | undefined, line: StepLine): boolean {
  const record = records?.get(line.host);
  const entry = record?.machines.svc;
  return (
    record?.incarnation === line.life && entry?.attempt?.step === onceStep && entry.once[onceStep]?.status === "started"
  );
}

function pushEvents(
  site: Site,
  { commits, steps }: Pick<Collected, "commits" | "steps">,
  records: Records,
): Happening[] {
  // Of several folders it is not seen from outside which one wrote.
  const folders = new Set(site.runs.map(({ data }) => data));
  const writer = folders.size === 1 ? ([...folders][0] ?? null) : null;
  let before: ReadonlyMap<string, SubjectRecord> = new Map();
  let from = 0;
  const order = new Map(commits.map(({ id }, index) => [id, index]));
  // Steps look at the remote when they begin: that may be sooner than whoever looks now and then.
  const looks = steps.map(({ at, tip }) => ({ at: at - 0.5, commit: tip }));
  const tips = [...site.tips, ...looks].toSorted((a, b) => a.at - b.at);
  return commits.map((commit, index) => {
    // It was there when a tip that stands on it was first seen.
    const seen = tips.slice(from).findIndex((tip) => (order.get(tip.commit) ?? -1) >= index);
    if (seen > 0) from += seen;
    const subjects = [...(records.get(commit.id)?.values() ?? [])].filter(
      (record) => JSON.stringify(before.get(record.name)) !== JSON.stringify(record),
    );
    const earlier = before;
    const now = records.get(commit.id) ?? before;
    before = now;
    const { id, parent, epoch, message } = commit;
    const desired = /^Desired: ([0-9a-f]{40})$/m.exec(message)?.[1] ?? null;
    return {
      kind: "pushed",
      at: seen < 0 ? site.now() : (tips[from]?.at ?? site.now()),
      process: writer,
      commit: id,
      parent,
      epoch,
      desired,
      subjects: subjects.map(asPublished),
      gone: [...earlier.keys()].filter((name) => !now.has(name)),
      message,
    };
  });
}

function asPublished(record: SubjectRecord): SubjectInRecord {
  if (record.kind !== "fleet") return record;
  const { holds, braked, approvals, released } = record.fleet ?? emptyFleet;
  return { ...record, name: "@fleet", holds, braked, approvals, released };
}

/** A host's life is known by its first step. */
function lives(steps: readonly StepLine[]): Happening[] {
  const first = new Map<string, Happening>();
  for (const { at, host, life } of steps) {
    if (life !== "-" && !first.has(life)) first.set(life, { kind: "built", at: at - 1, host, incarnation: life });
  }
  return [{ kind: "built", at: 0, host: "agent-1", incarnation: agentLife }, ...first.values()];
}

async function restOf(
  site: Site,
  { run, hosts, health }: Recovered,
  records: ReadonlyMap<string, SubjectRecord>,
): Promise<Happening> {
  const main = await site.head();
  const atRest: HostAtRest[] = [];
  for (const name of ["a", "b"]) atRest.push(await lookAt(site, name));
  const agent = records.get("agent-1");
  const states = { lamp: "on", door: agent?.machines.door?.state ?? "" };
  atRest.push({ name: "agent-1", up: true, incarnation: agentLife, states });
  const remote = [...records.values()].map(asPublished);
  const memory = remote.map((record) => asSaid(record, hosts));
  return {
    kind: "rest",
    at: site.now(),
    leader: run.data,
    memory,
    remote,
    hosts: atRest,
    inForce: health.commit,
    waiting: null,
    main,
    trouble: health.message === "" ? null : health.message,
    restingSince: site.now(),
  };
}

/** The record with what the leader itself said of it in place of what the remote has. */
function asSaid(record: SubjectInRecord, hosts: readonly SubjectView[]): SubjectInRecord {
  const view = hosts.find(({ name }) => name === record.name);
  if (!view) return record;
  const machines = Object.entries(record.machines).map(([name, entry]) => {
    const said = view.machines.find(({ machine }) => machine === name);
    if (!said) return [name, entry];
    const { state, attempt, conditions } = said;
    return [name, { ...entry, state, attempt, conditions }];
  });
  return {
    ...record,
    incarnation: view.incarnation,
    machines: Object.fromEntries(machines) as SubjectInRecord["machines"],
  };
}

/** A local host as it is on the disk. */
async function lookAt(site: Site, name: string): Promise<HostAtRest> {
  const folder = join(site.host(name), ".stateward");
  const incarnation = (await readFile(join(folder, "incarnation"), "utf8").catch(() => "")).trim();
  const states: Record<string, string> = {};
  for (const machine of await readdir(join(folder, "states")).catch(() => []))
    states[machine] = (await readFile(join(folder, "states", machine), "utf8")).split(" ")[0] ?? "";
  return { name, up: incarnation !== "", incarnation, states };
}

/** The record's name of the whole fleet. */
export const fleetSubjectName: string = fleetName;
