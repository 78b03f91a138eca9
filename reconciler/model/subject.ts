// Hosts, groups and settings: from schema-checked values to model values. Checks across files are in `repository.ts`.
import { count, parseAmount, percent } from "./amount.ts";
import { parseDuration } from "./duration.ts";
import { redact } from "./redact.ts";
import { Secrets, secretsIn } from "./secrets.ts";
import type { Drift, DriftMode, Governor, Group, Host, RolloutSpec, Settings, TransportName, Window } from "./types.ts";
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
  drift?: RawDrift;
}
export type RawDrift = DriftMode | { mode: DriftMode; until?: string };
interface RawRollout {
  max_unavailable?: string | number;
  order?: string[];
  canary?: number;
  waves?: (string | number)[];
  soak?: string;
  max_failures?: number;
  paused?: boolean;
}
interface RawGroup extends RawSubject {
  group: string;
  description?: string;
  select?: string;
  rollout?: RawRollout;
  max_lost?: string | number;
}
interface RawWindowTime {
  cron?: string;
  for?: string;
  holidays?: boolean;
  zone?: string;
}
interface RawWindow {
  allow?: RawWindowTime;
  deny?: RawWindowTime;
  select?: string;
  covers?: "changes" | "all";
  reason?: string;
}
interface RawBrakes {
  max_lost?: string | number;
  lost_within?: string;
  quiet_start?: number;
  min_reported?: string | number;
  max_moved?: string | number;
  max_removed?: number;
  max_wipes?: number;
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
  rollout?: RawRollout & { at_once?: string | number };
  governors?: Record<string, number | { limit: number; expires?: string }>;
  brakes?: RawBrakes;
  flapping?: { limit?: number; automatic?: number; within?: string };
  windows?: RawWindow[];
  holidays?: Record<string, string>;
  verify?: { signers?: string; since: string };
  github?: {
    environments?: Record<string, string>;
    owners?: Record<string, string>;
    labels?: boolean;
    reviews?: boolean;
  };
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
          reason: new Secrets(secretsIn(texts(raw.vars))).hide(raw.hold.reason),
          by: redact(raw.hold.by),
          untilMs: raw.hold.until === undefined ? null : Date.parse(raw.hold.until),
        }
      : null,
    drift: parseDrift(raw.drift),
  };
}

/** What a host or machine says about drift; null where it says nothing. */
export function parseDrift(raw: RawDrift | undefined): Drift | null {
  if (raw === undefined) return null;
  if (typeof raw === "string") return { mode: raw, untilMs: null };
  return { mode: raw.mode, untilMs: raw.until === undefined ? null : Date.parse(raw.until) };
}

const defaultRollout: RolloutSpec = {
  maxUnavailable: percent(10),
  order: [],
  canary: 1,
  waves: [percent(1), percent(10), percent(25)],
  soakMs: 0,
  maxFailures: 0,
  paused: false,
};

/** A rollout's settings; what they leave out is as in `base`. */
function parseRollout(raw: RawRollout, base: RolloutSpec): RolloutSpec {
  return {
    maxUnavailable: raw.max_unavailable === undefined ? base.maxUnavailable : parseAmount(raw.max_unavailable),
    order: raw.order ?? base.order,
    canary: raw.canary ?? base.canary,
    waves: raw.waves?.map(parseAmount) ?? base.waves,
    soakMs: raw.soak === undefined ? base.soakMs : parseDuration(raw.soak),
    maxFailures: raw.max_failures ?? base.maxFailures,
    paused: raw.paused ?? base.paused,
  };
}

/** A group from a value that passed `groupSchema`, still without members and without what it takes over from the fleet. */
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
    rollout: null,
    maxLost: raw.max_lost === undefined ? null : parseAmount(raw.max_lost),
  };
}

/** How a group's changes spread; what it leaves out is as in the fleet's own way. Null where it says nothing. */
export function groupRollout({ value }: ParsedYaml, fleet: RolloutSpec): RolloutSpec | null {
  const { rollout } = value as RawGroup;
  return rollout === undefined ? null : parseRollout(rollout, fleet);
}

/** Settings from a value that passed `settingsSchema`, with every default filled in. */
export function parseSettings(value: unknown, holidays: unknown = null): Settings {
  const raw = (value ?? {}) as RawSettings;
  const more = (holidays ?? {}) as Pick<RawSettings, "holidays">;
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
    rollout: parseRollout(raw.rollout ?? {}, defaultRollout),
    atOnce: raw.rollout?.at_once === undefined ? [count(50), percent(5)] : [parseAmount(raw.rollout.at_once)],
    governors: parseGovernors(raw.governors ?? {}),
    brakes: parseBrakes(raw.brakes ?? {}),
    windows: (raw.windows ?? []).flatMap(parseWindow),
    holidays: new Map(Object.entries({ ...more.holidays, ...raw.holidays })),
    flapping: {
      limit: raw.flapping?.limit ?? 5,
      automatic: raw.flapping?.automatic ?? 100,
      withinMs: parseDuration(raw.flapping?.within ?? "10m"),
    },
    verify: raw.verify === undefined ? null : { signers: "allowed_signers", ...raw.verify },
    github: { environments: {}, owners: {}, labels: true, reviews: true, ...raw.github },
  };
}

function parseGovernors(raw: NonNullable<RawSettings["governors"]>): ReadonlyMap<string, Governor> {
  const entries = Object.entries(raw).map(([name, value]): [string, Governor] => {
    const { limit, expires = "1h" } = typeof value === "number" ? { limit: value } : value;
    return [name, { name, limit, expiresMs: parseDuration(expires) }];
  });
  return new Map(entries);
}

function parseBrakes(raw: RawBrakes): Settings["brakes"] {
  return {
    maxLost: raw.max_lost === undefined ? percent(10) : parseAmount(raw.max_lost),
    maxLostGroup: percent(20),
    // Whoever names a number means it.
    lostFloor: raw.max_lost === undefined ? 3 : 0,
    lostWithinMs: parseDuration(raw.lost_within ?? "10m"),
    quietReports: raw.quiet_start ?? 2,
    minReported: raw.min_reported === undefined ? percent(80) : parseAmount(raw.min_reported),
    maxMoved: raw.max_moved === undefined ? [count(50), percent(10)] : [parseAmount(raw.max_moved)],
    maxRemoved: raw.max_removed ?? 5,
    maxWipesGroup: 1,
    maxWipes: raw.max_wipes ?? 5,
  };
}

function parseWindow({ allow, deny, select, covers, reason }: RawWindow): Window[] {
  const times = [
    ["allow", allow],
    ["deny", deny],
  ] as const;
  return times.flatMap(([kind, time]): Window[] =>
    time === undefined
      ? []
      : [
          {
            kind,
            cron: time.holidays === true ? null : (time.cron ?? ""),
            lengthMs: parseDuration(time.for ?? "0s"),
            zone: time.zone ?? "UTC",
            select: select ?? null,
            covers: covers ?? "changes",
            reason: redact(reason ?? ""),
          },
        ],
  );
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
