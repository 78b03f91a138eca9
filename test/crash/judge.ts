// Judges a crash and its recovery: by the checkers that judge the simulator's histories, and by what only real files and processes show.
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { exists } from "../../reconciler/record/disk.ts";
import { checkers } from "../sim/checkers/list.ts";
import { all, type Happening, type History } from "../sim/history.ts";
import { git } from "../support/git-remote.ts";
import { type Collected, fleetSubjectName } from "./collect.ts";
import type { Recovered } from "./recover.ts";
import type { Site } from "./site.ts";

/** The others judge what is not seen from outside here: when a process heard of a hold, or which host was marked by whom. */
const promises = ["R3", "S1", "S2", "D1", "D2", "D3", "D5", "L1"];

/** What was broken, one sentence each; empty when every promise was kept. */
export async function judge(site: Site, collected: Collected, recovered: Recovered): Promise<string[]> {
  const { history } = collected;
  const judges = checkers.filter(({ promise }) => promises.includes(promise));
  const shared = judges.flatMap(({ check }) => check(history).map(({ promise, message }) => `${promise}: ${message}`));
  return [
    ...shared,
    ...stepsDoNotOverlap(history),
    ...wordsAreKept(collected, recovered),
    ...tipsGoOn(site, collected),
    ...oneWriterAnEpoch(collected),
    ...(await memoryIsRecorded(collected, recovered)),
    ...(await repositoriesAreSound(site, recovered)),
  ];
}

/** S4: what one run does on a host has ended before another one begins there. */
function stepsDoNotOverlap(history: History): string[] {
  const ends = new Map(all(history, "ended").map(({ run, at }) => [run, at]));
  const began = all(history, "began").filter(({ step }) => step.on === "host");
  return began.flatMap((later, index) =>
    began
      .slice(0, index)
      .filter(({ host, incarnation }) => host === later.host && incarnation === later.incarnation)
      .filter(({ run, at }) => at <= later.at && (ends.get(run) ?? 0) > later.at)
      .map(({ step }) => `S4: ${later.step.name} began on ${later.host} while ${step.name} ran`),
  );
}

/** D1: what the folder that goes on had acknowledged is there, if nobody else led meanwhile. */
function wordsAreKept({ history }: Collected, { run, first }: Recovered): string[] {
  const folders = new Map(all(history, "started").map(({ process, folder }) => [process, folder]));
  const others = new Set(folders.values());
  if (others.size > 1 || first.fleet === null) return [];
  const since = all(history, "started").find(({ process }) => process === run.name)?.at ?? 0;
  const earlier = (event: Happening): boolean => event.at < since;
  return [...holdsAreKept(history, first, earlier), ...reportsAreKept(history, first, earlier)];
}

function holdsAreKept(
  history: History,
  { fleet }: Recovered["first"],
  earlier: (event: Happening) => boolean,
): string[] {
  const last = new Map<string, { kind: string; isSure: boolean }>();
  for (const event of all(history, "word").filter(earlier)) {
    const { word, answer } = event;
    if ((word.kind !== "hold" && word.kind !== "release") || answer === "refused") continue;
    last.set(word.select, { kind: word.kind, isSure: answer === "taken" });
  }
  const held = (fleet?.holds ?? []).map(({ select }) => select.replace(/^host\//, ""));
  return [...last].flatMap(([select, { kind, isSure }]) =>
    isSure && held.includes(select) !== (kind === "hold")
      ? [`D1: ${kind} of ${select} was acknowledged, and is lost`]
      : [],
  );
}

function reportsAreKept(
  history: History,
  { hosts }: Recovered["first"],
  earlier: (event: Happening) => boolean,
): string[] {
  const reports = all(history, "reported").filter(earlier);
  const sure = reports.findLastIndex(({ answer }) => answer === "taken");
  if (sure < 0) return [];
  const lamp = hosts.find(({ name }) => name === "agent-1")?.machines.find(({ machine }) => machine === "lamp");
  const possible = reports.slice(sure).filter(({ answer }) => answer !== "refused");
  return possible.some(({ states }) => states.lamp === lamp?.state)
    ? []
    : [`D1: lamp ${reports[sure]?.states.lamp} was acknowledged, and ${lamp?.state} is recorded`];
}

/** D2: each tip that the remote was seen to have is part of its history. */
function tipsGoOn(site: Site, { commits }: Collected): string[] {
  const known = new Set(commits.map(({ id }) => id));
  return site.tips
    .filter(({ commit }) => !known.has(commit))
    .map(({ commit }) => `D2: ${commit} was pushed, and is gone`);
}

/** D3: epochs rise, and each begins with the one commit that raises it. */
function oneWriterAnEpoch({ commits }: Collected): string[] {
  return commits.flatMap(({ id, epoch, message, parent }, index) => {
    const before = commits[index - 1];
    const isRaise = message.startsWith("lead: ");
    const expected = (before?.epoch ?? 0) + (isRaise ? 1 : 0);
    if (parent !== (before?.id ?? null)) return [`D3: ${id} does not stand on the commit before it`];
    if (isRaise) return epoch >= expected ? [] : [`D3: ${id} raises the epoch to ${epoch}, after ${before?.epoch}`];
    return epoch === expected ? [] : [`D3: ${id} has epoch ${epoch}, on ${before?.epoch}`];
  });
}

/** D5: the record that a fresh reader finds says what the leader said at rest; and the updates that were counted (D1). */
async function memoryIsRecorded(
  { commits, recordAt, history }: Collected,
  { hosts, health, run }: Recovered,
): Promise<string[]> {
  const records = await recordAt(commits.at(-1)?.id ?? "");
  const found: string[] = [];
  for (const { name, incarnation, machines } of hosts) {
    const record = records.get(name);
    if (record?.incarnation !== incarnation)
      found.push(`D5: ${name} is ${incarnation}, and recorded as ${record?.incarnation}`);
    for (const { machine, state, attempt, since } of machines) {
      const entry = record?.machines[machine];
      const [said, written] = [
        { state, attempt, since },
        entry && { state: entry.state, attempt: entry.attempt, since: entry.since },
      ];
      if (JSON.stringify(said) !== JSON.stringify(written))
        found.push(`D5: ${name} ${machine} is ${JSON.stringify(said)}, and recorded as ${JSON.stringify(written)}`);
    }
  }
  const last = commits.at(-1)?.epoch;
  if (health.record.epoch !== last)
    found.push(`D3: ${run.name} led epoch ${health.record.epoch}, and the last commit has ${last}`);
  if (
    !records.has(fleetSubjectName) &&
    all(history, "word").some(({ word, answer }) => word.kind === "hold" && answer === "taken")
  )
    found.push("D2: a hold was taken, and nothing is recorded of the fleet");
  const folders = new Set(all(history, "started").map(({ folder }) => folder));
  const updates = all(history, "word").filter(({ word }) => word.kind === "update");
  const counted = records.get("agent-1")?.machines.door?.updates ?? 0;
  const taken = updates.filter(({ answer }) => answer === "taken").length;
  const most = updates.filter(({ answer }) => answer !== "refused").length;
  if (counted > most || (folders.size === 1 && counted < taken))
    found.push(`D1: ${taken} updates were acknowledged, of ${most} that were sent, and ${counted} are recorded`);
  return found;
}

async function repositoriesAreSound(site: Site, { run }: Recovered): Promise<string[]> {
  const mended = (await readdir(site.path)).filter((name) => name === run.data || !site.wrecked.has(name));
  const folders = mended.map((name) => join(site.path, name, "mirror.git"));
  const found: string[] = [];
  for (const dir of [site.record, ...folders]) {
    // One that was killed while it was made has no HEAD yet, and is made again.
    if (!(await exists(join(dir, "HEAD")))) continue;
    await git(dir, "fsck", "--strict", "--no-dangling").catch((error: unknown) => {
      found.push(`fsck of ${dir}: ${String(error)}`);
    });
  }
  return found;
}
