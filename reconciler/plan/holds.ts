// Holds: nothing is done to a host that is held (S4, B5). One stands in the host's file, others are put on by people.
import { isoTime } from "../model/duration.ts";
import type { FleetHold, FleetRecord } from "../model/record.ts";
import type { Group, Hold, Host, Repository } from "../model/types.ts";
import { groupsOf } from "./groups.ts";

/** What a selector of a person's command names. */
export type Selector =
  | { readonly kind: "fleet" }
  | { readonly kind: "host" | "group" | "region"; readonly name: string };

/** `fleet`, `region/east`, `group/web`, `host/git-1` or `git-1`. A name alone is a host's, else a group's. Null when it names nothing. */
export function parseSelector(text: string, { hosts, groups }: Pick<Repository, "hosts" | "groups">): Selector | null {
  const [, kind, name = ""] = /^(host|group|region)\/(.+)$/.exec(text) ?? [null, "name", text];
  const isThere = {
    host: () => hosts.has(name),
    group: () => groups.has(name),
    region: () => [...hosts.values()].some((host) => host.region === name),
  };
  switch (kind) {
    case "host":
    case "group":
    case "region":
      return isThere[kind]() ? { kind, name } : null;
    default:
      if (hosts.has(name)) return { kind: "host", name };
      if (groups.has(name)) return { kind: "group", name };
      return text === "fleet" ? { kind: "fleet" } : null;
  }
}

/** The selector as it is recorded: with its kind, so that a host that is added later under the name of a group changes nothing. */
export function selectorText(selector: Selector): string {
  return selector.kind === "fleet" ? "fleet" : `${selector.kind}/${selector.name}`;
}

/** Whether a recorded selector covers a host. One that names nothing (any more) covers nobody (B4). */
export function covers(select: string, host: Host, groups: ReadonlyMap<string, Group>): boolean {
  if (select === "fleet") return true;
  const [kind, name = ""] = select.split(/\/(.*)/s);
  if (kind === "host") return host.name === name;
  if (kind === "region") return host.region === name;
  return kind === "group" && groupsOf({ groups }, host.name).some((group) => group.name === name);
}

interface HoldWorld {
  readonly now: number;
  readonly fleet: FleetRecord;
  readonly desired: { readonly loaded: { readonly repository: Pick<Repository, "groups"> } };
}

/** A hold that is in force on a host, with since when and where it stands. */
export interface HoldInForce extends Hold {
  /** ISO 8601; null for a hold in the host's file. */
  readonly since: string | null;
  /** As recorded, such as `group/web`; null for a hold in the host's file. */
  readonly select: string | null;
}

/** The hold in force on a host that lasts longest, or null. */
export function holdOn({ now, fleet, desired }: HoldWorld, host: Host): HoldInForce | null {
  const { groups } = desired.loaded.repository;
  let found: HoldInForce | null = null;
  const consider = (hold: HoldInForce): void => {
    if (hold.untilMs !== null && hold.untilMs <= now) return;
    const longer = hold.untilMs === null || (found?.untilMs != null && hold.untilMs > found.untilMs);
    if (found === null || (longer && found.untilMs !== null)) found = hold;
  };
  if (host.hold !== null) consider({ ...host.hold, since: null, select: null });
  for (const hold of fleet.holds) if (covers(hold.select, host, groups)) consider(inForce(hold));
  return found;
}

function inForce({ select, reason, by, at, until }: FleetHold): HoldInForce {
  return { reason, by, untilMs: until === null ? null : Date.parse(until), since: at, select };
}

/** Who holds a host, why, and until when. */
export function heldText({ by, reason, untilMs, since, select }: HoldInForce): string {
  const from = since === null ? "" : ` since ${since}`;
  const over = select === null || select.startsWith("host/") ? "" : ` (${select})`;
  return `held by ${by}${from}${over}: ${reason}${untilMs === null ? "" : ` (until ${isoTime(untilMs)})`}`;
}

/** The holds that are left at a time: those that have ended are taken out of the record. */
export function holdsAt(holds: readonly FleetHold[], now: number): readonly FleetHold[] {
  const left = holds.filter(({ until }) => until === null || Date.parse(until) > now);
  return left.length === holds.length ? holds : left;
}
