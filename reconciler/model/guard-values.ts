// Hosts as expressions see them.
import { CelHost, CelRecord, CelReport, type GuardValues } from "./guard.ts";
import type { Host } from "./types.ts";

/** Guard values of which only `host` is known, and of it only what its file says. */
export function staticValues(host: Host): GuardValues {
  return {
    host: celHost(host, { states: null, reported: null }),
    report: new CelReport({}),
    record: new CelRecord("", new Date(0)),
    group: () => undefined,
    hosts: () => [],
    now: new Date(0),
    updates: 0,
  };
}

/** What is known of a host besides its file. */
export interface KnownOfHost {
  /** Machine: state, of the machines whose state is known now; null where nothing is. */
  readonly states: Readonly<Record<string, string>> | null;
  /** When it was last heard of, milliseconds since the epoch. */
  readonly reported: number | null;
}

/** A host as expressions see it. */
export function celHost(host: Host, { states, reported }: KnownOfHost): CelHost {
  const { name, labels, vars } = host;
  return new CelHost({
    name,
    region: host.region ?? "",
    address: host.address ?? "",
    owner: host.owner ?? "",
    labels,
    vars,
    states: states ?? undefined,
    reported: reported === null ? undefined : new Date(reported),
  });
}
