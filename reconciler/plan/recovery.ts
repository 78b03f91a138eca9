// Lost hosts: when a host counts as lost, what is done about it, and when that is given up (recovery).
import { isoTime } from "../model/duration.ts";
import type { LostRecord, SubjectRecord } from "../model/record.ts";
import type { Host, Machine, Recovery, Repository } from "../model/types.ts";
import { currentReport, lostAfterMs, reportIntervalMs, type World } from "./world.ts";

/** Reports or looks in a row that a host must have missed to be lost. */
export const missedToLose = 3;
const dayMs = 86_400_000;

function machinesOf({ machines }: Pick<Repository, "machines">, host: Host): Machine[] {
  return [...host.machines.keys()].flatMap((name) => machines.get(name) ?? []);
}

/** What is done about a lost host: of several machines, the most careful word counts; and the machine whose steps replace it. */
export function recoveryOf(
  repository: Pick<Repository, "machines">,
  host: Host,
): { readonly whenLost: Recovery["whenLost"]; readonly tries: number; readonly replacedBy: Machine | null } {
  const machines = machinesOf(repository, host);
  const words = machines.map(({ recovery }) => recovery.whenLost);
  const whenLost = words.includes("alert") ? "alert" : words.includes("replace") ? "replace" : "replay";
  const tries = Math.min(...machines.map(({ recovery }) => recovery.tries), 100);
  return { whenLost, tries, replacedBy: machines.find(({ recovery }) => recovery.replace.length > 0) ?? null };
}

/** When a silent host becomes lost, milliseconds since the epoch; null for one that is heard. */
export function losesAt(world: World, host: Host): number | null {
  if (host.machines.size === 0 || "report" in currentReport(world, host)) return null;
  const report = world.reports.get(host.name);
  const { repository } = world.desired.loaded;
  const heardAt = report?.reachable === true ? report.at : (report?.heardAt ?? world.listeningSince);
  const interval = reportIntervalMs(repository.settings, host);
  return heardAt + Math.max(lostAfterMs(repository, host), missedToLose * interval);
}

/** Whether a host is lost now. A host that answers as an earlier life of itself is not: that is two machines with one name. */
function isLost(world: World, host: Host): boolean {
  const at = losesAt(world, host);
  if (at === null || world.now < at) return false;
  const report = world.reports.get(host.name);
  if (report?.reachable === true && world.records.get(host.name)?.former.includes(report.incarnation ?? ""))
    return false;
  return host.transport === "agent" || (report?.missed ?? 0) >= missedToLose;
}

/** Failed recoveries of the last day, with one that failed now. */
function failedWith(lost: LostRecord | undefined, now: number, failsNow: boolean): readonly string[] {
  const recent = (lost?.failed ?? []).filter((at) => Date.parse(at) > now - dayMs);
  return failsNow ? [...recent, isoTime(now)] : recent;
}

/** The record of a host that is found to be lost, or that is heard again; the same value when neither is news. */
export function noteLoss(world: World, host: Host, record: SubjectRecord): SubjectRecord {
  const { lost } = record;
  // Nothing was known of it: so nothing is lost.
  if (record.incarnation === null && lost === undefined) return record;
  if (!isLost(world, host))
    return lost?.silent === true && "report" in currentReport(world, host) ? heardAgain(record) : record;
  if (lost?.silent === true) return record;
  const failed = failedWith(lost, world.now, lost?.recovering != null);
  return { ...record, lost: lossOf(world, host, { silent: true, failed, recovering: null }) };
}

/** A host that was only silent is not lost any more, unless it was replaced meanwhile: then it is on its way back. */
function heardAgain(record: SubjectRecord): SubjectRecord {
  const { lost, ...rest } = record;
  if (lost === undefined) return record;
  const isClean = lost.recovering === null && lost.failed.length === 0 && lost.replacedAt === null;
  if (isClean && !lost.quarantined) return rest;
  return { ...rest, lost: { ...lost, silent: false } };
}

/** The record of a host that answers as a rebuilt one: what is replayed from here on is a recovery. */
export function noteRebuilt(world: World, host: Host, record: SubjectRecord): SubjectRecord {
  const { lost } = record;
  // The replacement that was asked for is not another loss.
  const isReplacement = lost?.recovering != null && lost.silent;
  const failed = failedWith(lost, world.now, lost?.recovering != null && !lost.silent);
  const recovering = isReplacement ? lost.recovering : isoTime(world.now);
  const next = lossOf(world, host, { silent: false, failed, recovering });
  return { ...record, lost: isReplacement ? { ...next, at: lost.at } : next };
}

function lossOf(
  world: World,
  host: Host,
  { silent, failed, recovering }: Pick<LostRecord, "silent" | "failed" | "recovering">,
): LostRecord {
  const quarantined = failed.length >= recoveryOf(world.desired.loaded.repository, host).tries;
  const replacedAt = world.records.get(host.name)?.lost?.replacedAt ?? null;
  return { at: isoTime(world.now), silent, recovering, failed, quarantined, replacedAt };
}

/** The record of a host whose recovery has succeeded: it is where it was. */
export function noteRecovered(record: SubjectRecord): SubjectRecord {
  const { lost } = record;
  if (lost === undefined || lost.recovering === null || lost.silent) return record;
  return { ...record, lost: { ...lost, recovering: null } };
}

/** The record of a host that is being replaced from now on. */
export function noteReplacing(world: World, host: Host, record: SubjectRecord): SubjectRecord {
  const recovering = isoTime(world.now);
  const loss = record.lost ?? lossOf(world, host, { silent: true, failed: [], recovering });
  return { ...record, lost: { ...loss, silent: true, recovering, replacedAt: recovering } };
}

/** How long a replacement may take to answer, in multiples of the time after which a host is lost. */
const replacementTimes = 3;

/** When a replacement that does not answer has failed, milliseconds since the epoch; null when none is awaited. */
export function replacementFailsAt({ desired }: World, host: Host, { lost }: SubjectRecord): number | null {
  if (lost === undefined || !lost.silent || lost.recovering === null) return null;
  return Date.parse(lost.recovering) + replacementTimes * lostAfterMs(desired.loaded.repository, host);
}

/** The record of a host whose replacement never answered. */
export function noteReplacementFailed(world: World, host: Host, record: SubjectRecord): SubjectRecord {
  const at = replacementFailsAt(world, host, record);
  if (at === null || world.now < at) return record;
  const failed = failedWith(record.lost, world.now, true);
  const loss = lossOf(world, host, { silent: true, failed, recovering: null });
  return { ...record, lost: { ...loss, at: record.lost?.at ?? loss.at } };
}

/** What a person's word on a quarantined host makes of its record. */
export function outOfQuarantine(record: SubjectRecord): SubjectRecord {
  return record.lost === undefined ? record : { ...record, lost: { ...record.lost, quarantined: false, failed: [] } };
}
