// Hosts, groups and settings: from schema-checked values to model values. Checks across files are in `repository.ts`.
import { parseDuration } from "./duration.ts";
import type { Group, Host, Settings, TransportName } from "./types.ts";
import type { ParsedYaml } from "./yaml.ts";

interface RawSubject {
  targets?: Record<string, string>;
  machines?: string[];
}
interface RawHost extends RawSubject {
  host: string;
  region?: string;
  address?: string;
  transport?: TransportName;
  ssh?: { user?: string; port?: number; host_key?: string };
  owner?: string;
  labels?: Record<string, unknown>;
  vars?: Record<string, unknown>;
  hold?: { reason: string; by: string; until?: string };
}
interface RawGroup extends RawSubject {
  group: string;
  description?: string;
  select?: string;
}
interface RawSettings {
  poll?: string;
  look?: string;
  regions?: string[];
  attempts?: { limit?: number; backoff?: string; backoff_max?: string };
  parallel?: number;
  record?: { window?: string };
  http?: { listen?: string; state_access?: "token" | "open" };
  local?: { root?: string };
  ssh?: { user?: string; identity?: string };
}

/** A host from a value that passed `hostSchema`. */
export function parseHost(file: string, value: unknown): Host {
  const raw = value as RawHost;
  return {
    kind: "host",
    name: raw.host,
    file,
    machines: carried(raw),
    region: raw.region ?? null,
    address: raw.address ?? null,
    transport: raw.transport ?? "ssh",
    ssh: raw.ssh
      ? { user: raw.ssh.user ?? null, port: raw.ssh.port ?? 22, hostKey: raw.ssh.host_key ?? null }
      : defaultSsh,
    owner: raw.owner ?? null,
    labels: texts(raw.labels),
    vars: texts(raw.vars),
    hold: raw.hold
      ? {
          reason: raw.hold.reason,
          by: raw.hold.by,
          untilMs: raw.hold.until === undefined ? null : Date.parse(raw.hold.until),
        }
      : null,
  };
}

/** A group from a value that passed `groupSchema`, still without members. */
export function parseGroup(parsed: ParsedYaml): Group {
  const raw = parsed.value as RawGroup;
  return {
    kind: "group",
    name: raw.group,
    file: parsed.file,
    machines: carried(raw),
    description: raw.description ?? "",
    select: raw.select ?? null,
    members: [],
  };
}

/** Settings from a value that passed `settingsSchema`, with every default filled in. */
export function parseSettings(value: unknown): Settings {
  const raw = (value ?? {}) as RawSettings;
  return {
    poll: raw.poll ?? "*/15 * * * * *",
    lookMs: parseDuration(raw.look ?? "10s"),
    regions: raw.regions ?? null,
    attempts: {
      limit: raw.attempts?.limit ?? 5,
      backoffMs: parseDuration(raw.attempts?.backoff ?? "2s"),
      backoffMaxMs: parseDuration(raw.attempts?.backoff_max ?? "5m"),
    },
    parallel: raw.parallel ?? 50,
    record: { windowMs: parseDuration(raw.record?.window ?? "15s") },
    http: { listen: raw.http?.listen ?? "127.0.0.1:8640", stateAccess: raw.http?.state_access ?? "token" },
    local: { root: raw.local?.root ?? ".stateward-hosts" },
    ssh: { user: raw.ssh?.user ?? null, identity: raw.ssh?.identity ?? null },
  };
}

const defaultSsh: Host["ssh"] = { user: null, port: 22, hostKey: null };

/** Hosts of a fleet have few different targets: equal ones are one map in memory. */
const sharedMax = 10_000;
const sharedMachines = new Map<string, ReadonlyMap<string, string | null>>();

function carried({ targets = {}, machines: names = [] }: RawSubject): ReadonlyMap<string, string | null> {
  let key = names.join(" ");
  for (const machine in targets) key += `,${machine}:${targets[machine]}`;
  const known = sharedMachines.get(key);
  if (known !== undefined) return known;
  const machines = new Map<string, string | null>(Object.entries(targets));
  for (const machine of names) if (!machines.has(machine)) machines.set(machine, null);
  if (sharedMachines.size >= sharedMax) sharedMachines.clear();
  sharedMachines.set(key, machines);
  return machines;
}

const noTexts: Readonly<Record<string, string>> = {};

/** Values as texts. Where they all are texts already, which is the rule, the object itself. */
function texts(raw: Record<string, unknown> | undefined): Readonly<Record<string, string>> {
  if (raw === undefined) return noTexts;
  for (const key in raw) {
    if (typeof raw[key] !== "string")
      return Object.fromEntries(Object.entries(raw).map(([name, value]) => [name, String(value)]));
  }
  return raw as Record<string, string>;
}
