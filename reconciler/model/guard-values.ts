// Hosts as expressions see them.
import { CelHost, CelRecord, CelReport, type GuardValues } from "./guard.ts";
import type { Host } from "./types.ts";

/** Guard values of which only `host` is known, and of it only what its file says. */
export function staticValues(host: Host): GuardValues {
  return {
    host: celHost(host, {}),
    report: new CelReport({}),
    record: new CelRecord("", new Date(0)),
    group: () => undefined,
    hosts: () => [],
    now: new Date(0),
    updates: 0,
  };
}

/** A host as expressions see it, with the states that are known of it now. */
export function celHost(host: Host, states: Readonly<Record<string, string>>): CelHost {
  const { name, labels, vars } = host;
  return new CelHost({
    name,
    region: host.region ?? "",
    address: host.address ?? "",
    owner: host.owner ?? "",
    labels,
    vars,
    states,
  });
}
