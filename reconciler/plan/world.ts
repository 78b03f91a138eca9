// The world as a decision sees it: plain values, time included. Nothing here reads a clock or touches anything.
import { formatDuration } from "../model/duration.ts";
import { type CelHost, CelRecord, CelReport, type GuardValues } from "../model/guard.ts";
import { celHost } from "../model/guard-values.ts";
import type { DesiredCommit } from "../model/ports.ts";
import type { FleetRecord, MachineRecord, SubjectRecord } from "../model/record.ts";
import type { HostReport } from "../model/report.ts";
import type { Group, Host, Repository, Settings } from "../model/types.ts";
import type { SeenHost } from "./seen.ts";
import type { Tally } from "./tally.ts";

export interface World {
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly desired: DesiredCommit;
  readonly records: ReadonlyMap<string, SubjectRecord>;
  readonly reports: ReadonlyMap<string, HostReport>;
  /** Subjects with a transition running in this reconciler. */
  readonly inFlight: ReadonlySet<string>;
  /** When this reconciler began to listen, milliseconds since the epoch. */
  readonly listeningSince: number;
  /** False when nothing may be started now: too much is running already, or the history is in doubt (D6). */
  readonly mayStart: boolean;
  /** False when no step marked never may be started now: its start could not be pushed. */
  readonly mayStartOnce: boolean;
  /** The record knew hosts when this reconciler began to listen. */
  readonly isRestart: boolean;
  /** What is recorded of more than one host. */
  readonly fleet: FleetRecord;
  /** Sums over the fleet, in step with the records and reports above. */
  readonly tally: Tally;
}

/** A host or a group with machines of its own. */
export type AnySubject = Host | Group;

/** Between two reports of an agent, as it is delivered, at the most. */
const agentIntervalMs = 60_000;
/** An agent that has missed three reports is silent: what it said is not known to hold any more. */
export const agentSilentMs: number = 3 * agentIntervalMs;
/** When a host is lost of whose machines none says so. */
const lostAfterDefaultMs = 300_000;

/** A report at this time, in milliseconds since the epoch, never grows old: of a host that is taken to be heard all the while. */
export const neverOld: number = Date.UTC(2200, 0, 1);

/** Clocks of two machines, or of one before and after it was set, may differ by this much without anything being done about it. */
export const skewMs: number = 60_000;

/** Between two signs of life of a host. */
export function reportIntervalMs({ lookMs }: Pick<Settings, "lookMs">, { transport }: Pick<Host, "transport">): number {
  return transport === "agent" ? agentIntervalMs : lookMs;
}

/** The shortest time that a machine of the host allows before a silent host is lost. */
export function lostAfterMs({ machines }: Pick<Repository, "machines">, host: Host): number {
  let shortest = Number.POSITIVE_INFINITY;
  for (const name of host.machines.keys()) {
    const machine = machines.get(name);
    if (machine !== undefined) shortest = Math.min(shortest, machine.recovery.lostAfterMs);
  }
  return shortest === Number.POSITIVE_INFINITY ? lostAfterDefaultMs : shortest;
}

export function subjectOf(world: Pick<World, "desired">, name: string): AnySubject | null {
  const { hosts, groups } = world.desired.loaded.repository;
  return hosts.get(name) ?? groups.get(name) ?? null;
}

/** Every subject that carries machines, in name order. */
export function subjectNames(world: World): string[] {
  const { hosts, groups } = world.desired.loaded.repository;
  const shared = [...groups.values()].filter((group) => group.machines.size > 0).map(({ name }) => name);
  return [...hosts.keys(), ...shared].toSorted();
}

/** The host's report if it can be relied on now, or why not. */
export function currentReport(
  world: Pick<World, "now" | "desired" | "records" | "reports" | "listeningSince">,
  host: Host,
): { readonly report: HostReport } | { readonly reason: string; readonly message: string } {
  const report = world.reports.get(host.name);
  const isAgent = host.transport === "agent";
  const silentMs = isAgent ? agentSilentMs : 0;
  if (!report && (!isAgent || world.now - world.listeningSince < silentMs)) {
    return { reason: "NoReport", message: "nothing was heard of the host yet" };
  }
  if (report?.reachable === false) return { reason: "Unreachable", message: report.message };
  if (report?.incarnation && world.records.get(host.name)?.former.includes(report.incarnation)) {
    const message = `incarnation ${report.incarnation.slice(0, 8)} was replaced by another: two machines answer to this name, or an old disk was put back; stateward replay ${host.name} takes the one that answers now`;
    return { reason: "OldIncarnation", message };
  }
  if (!report || (isAgent && world.now - report.at >= silentMs)) {
    return { reason: "AgentSilent", message: `no report for ${formatDuration(silentMs)}` };
  }
  return { report };
}

interface Seen {
  readonly host: Host;
  readonly report: HostReport | undefined;
  readonly silent: boolean;
  readonly value: CelHost;
}
const seenByRecord = new WeakMap<SubjectRecord, Seen>();

/** A host as other hosts' guards see it. States that are not known for certain now are absent (B4). */
function seenByOthers(world: World, host: Host): CelHost {
  const record = world.records.get(host.name);
  if (!record) return celHost(host, { states: null, reported: reportedAt(world, host.name) });
  const report = world.reports.get(host.name);
  const known = "report" in currentReport(world, host) && report?.incarnation === record.incarnation;
  const seen = seenByRecord.get(record);
  if (seen && seen.host === host && seen.report === report && seen.silent === !known) return seen.value;
  const states = known ? knownStates(record, null) : null;
  const value = celHost(host, { states, reported: reportedAt(world, host.name) });
  seenByRecord.set(record, { host, report, silent: !known, value });
  return value;
}

/** The same, and until when it is so: a silent agent is not known any more. */
function seenNow(world: World, name: string): SeenHost {
  const host = must(world.desired.loaded.repository.hosts, name);
  const value = seenByOthers(world, host);
  const report = world.reports.get(name);
  const expires = host.transport === "agent" && report !== undefined && value.states !== undefined;
  return { value, until: expires ? report.at + agentSilentMs : Number.POSITIVE_INFINITY };
}

/** When the host itself was last heard, milliseconds since the epoch. A look that did not reach it, or another machine, is not the host. */
function reportedAt(world: World, name: string): number | null {
  const report = world.reports.get(name);
  if (!report?.reachable) return null;
  const former = world.records.get(name)?.former ?? [];
  return report.incarnation !== null && former.includes(report.incarnation) ? null : report.at;
}

/** States of machines that are at rest; a machine on its way is in neither of two states. */
function knownStates(record: SubjectRecord, always: string | null): Record<string, string> {
  const states: Record<string, string> = {};
  for (const [machine, entry] of Object.entries(record.machines)) {
    if (entry.attempt === null || machine === always) states[machine] = entry.state;
  }
  return states;
}

/** What the guards of one machine of one subject may read. */
export function guardValues(world: World, subject: AnySubject, [machine, entry]: [string, MachineRecord]): GuardValues {
  const { hosts, groups } = world.desired.loaded.repository;
  const record = world.records.get(subject.name);
  const states = { ...(record ? knownStates(record, machine) : {}), [machine]: entry.state };
  return {
    host: celHost(subject.kind === "host" ? subject : nobody(subject.name), {
      states,
      reported: reportedAt(world, subject.name),
    }),
    report: new CelReport(world.reports.get(subject.name)?.facts ?? {}),
    record: new CelRecord(entry.state, new Date(entry.since)),
    group: (name) => {
      const group = groups.get(name);
      return group && world.tally.seen.list(world, [`group ${name}`, group.members], seenNow);
    },
    hosts: () => world.tally.seen.list(world, ["hosts", hosts.keys()], seenNow),
    now: new Date(world.now),
    updates: entry.updates,
  };
}

function must(hosts: ReadonlyMap<string, Host>, name: string): Host {
  return hosts.get(name) ?? nobody(name);
}

function nobody(name: string): Host {
  const ssh = { user: null, port: 22, hostKey: null };
  return {
    kind: "host",
    name,
    file: "",
    machines: new Map(),
    region: null,
    address: null,
    transport: "agent",
    ssh,
    owner: null,
    labels: {},
    vars: {},
    hold: null,
    drift: null,
  };
}

/** True when a host's own steps leave a marker on it: then a transition without steps has to leave one too. */
export function leavesMarker(subject: AnySubject): subject is Host {
  return subject.kind === "host" && subject.transport !== "agent";
}
