// A state repository: all files of one commit become one `Repository` value and a list of problems. Never throws.
// With problems of severity error the value must not be put in force (D4).
import { GuardCompiler } from "./guard.ts";
import { staticValues } from "./guard-values.ts";
import { type ParsedMachine, parseMachine } from "./machine.ts";
import { patched } from "./patched-map.ts";
import { errorAt, errorIn, hasErrors, type Problem, sortProblems } from "./problem.ts";
import { addressKey, checkReferences } from "./references.ts";
import { groupSchema, holidaysSchema, hostSchema, type JsonSchema, machineSchema, settingsSchema } from "./schemas.ts";
import { groupRollout, parseGroup, parseHost, parseSettings } from "./subject.ts";
import type { Group, Host, Machine, ParsedDocument, Repository, SourceFile } from "./types.ts";
import { validate } from "./validate.ts";
import { type ParsedYaml, parseYaml } from "./yaml.ts";
import { parsePlainYaml } from "./yaml-plain.ts";

export interface LoadedRepository {
  readonly repository: Repository;
  readonly guards: GuardCompiler;
  readonly problems: readonly Problem[];
  /** Every file by its path. */
  readonly entries: ReadonlyMap<string, Entry>;
  /** Files with problems whose line is not known, because their text was not at hand: load them again with it. */
  readonly unlocated: readonly string[];
  /** Identity of this value. */
  readonly key: symbol;
  /** Where only hosts changed, and none came or went: which, since what. */
  readonly delta: { readonly since: symbol; readonly hosts: readonly string[] } | null;
}

export interface LoadOptions {
  /** Says whether a cron expression is one; without it every expression passes. */
  readonly isCron?: (expression: string) => boolean;
  /** Says why a window's cron expression and zone are not, or null; without it every one passes. */
  readonly windowError?: (cron: string, zone: string) => string | null;
}

/** One file, parsed and checked by itself. */
export type Entry = { readonly file: string; readonly id: string } & (
  | { readonly kind: "settings" | "holidays"; readonly parsed: ParsedYaml }
  | ({ readonly kind: "machine"; readonly parsed: ParsedYaml } & ParsedMachine)
  | { readonly kind: "host"; readonly host: Host }
  | { readonly kind: "group"; readonly parsed: ParsedYaml; readonly group: Group }
  | { readonly kind: "invalid"; readonly problems: readonly Problem[] }
);

/** Makes places in a file that may not be at hand. */
export type Locate = (entry: Entry) => ParsedYaml;

/** A file that changed; null for one that is gone. */
export interface FileChange {
  readonly path: string;
  readonly file: SourceFile | null;
}

/** Reads repositories, keeping what it parsed by content, so that a changed file costs one parse. */
export class RepositoryLoader {
  private last: ReadonlyMap<string, Entry> = new Map();
  private readonly options: LoadOptions;

  constructor(options: LoadOptions = {}) {
    this.options = options;
  }

  /** All files of a commit. Files outside stateward.yaml, machines/ and hosts/ are not looked at. */
  load(files: readonly SourceFile[]): LoadedRepository {
    const entries = new Map<string, Entry>();
    for (const file of inOrder(files)) {
      if (!isStatePath(file.path)) continue;
      const known = this.last.get(file.path);
      entries.set(file.path, known?.id === file.id ? known : parseFile(file));
    }
    const loaded = assemble(entries, new Sources(files), this.options);
    this.last = loaded.entries;
    return loaded;
  }

  /** A commit that differs from `base`, which stays as it is, in these files alone. The same value that `load` would give. */
  change(base: LoadedRepository, changes: readonly FileChange[]): LoadedRepository {
    const seen = changes.filter(({ path }) => isStatePath(path));
    const sources = new Sources(seen.flatMap(({ file }) => file ?? []));
    const quick = changeHosts(base, seen, sources);
    if (quick !== null) return quick;
    const entries = new Map(base.entries);
    for (const { path, file } of seen) {
      if (file === null) entries.delete(path);
      else entries.set(path, parseFile(file));
    }
    const sorted = new Map([...entries].toSorted(([a], [b]) => (a < b ? -1 : 1)));
    return assemble(sorted, sources, this.options);
  }
}

/** Files by path; a listing of Git's is in that order but for names that begin alike, and need not be sorted again. */
function inOrder(files: readonly SourceFile[]): readonly SourceFile[] {
  const isSorted = files.every((file, index) => index === 0 || (files[index - 1]?.path ?? "") < file.path);
  return isSorted ? files : files.toSorted((a, b) => (a.path < b.path ? -1 : 1));
}

/** Texts of the files at hand, for lines in problems. */
class Sources {
  readonly unlocated = new Set<string>();
  private readonly texts: Map<string, string>;

  constructor(files: readonly SourceFile[]) {
    this.texts = new Map();
    for (const { path, text } of files) if (text !== null) this.texts.set(path, text);
  }

  readonly locate: Locate = (entry) => {
    if ("parsed" in entry) return entry.parsed;
    const { file } = entry;
    let whole: ParsedYaml | null = null;
    return {
      file,
      value: undefined,
      problems: [],
      locate: (path, what) => {
        const text = this.texts.get(file);
        if (text === undefined) {
          this.unlocated.add(file);
          return { file, line: 1, column: 1 };
        }
        return (whole ??= parseYaml(file, text)).locate(path, what);
      },
    };
  };
}

/** True for the paths that a state repository reads. */
export function isStatePath(path: string): boolean {
  return schemaOf(path) !== null;
}

type Kind = "settings" | "holidays" | "machine" | "subject";

/** True for the files whose text is needed besides their value: all but those of hosts, which are many. */
export function needsText({ path, parsed }: Pick<SourceFile, "path" | "parsed">): boolean {
  return parsed === undefined || !("value" in parsed) || schemaOf(path) !== "subject" || isGroup(parsed.value);
}

function schemaOf(path: string): Kind | null {
  if (path === "stateward.yaml") return "settings";
  if (path === "holidays.yaml") return "holidays";
  if (!path.endsWith(".yaml") && !path.endsWith(".yml")) return null;
  if (/\/\.ya?ml$/.test(path)) return null;
  return path.startsWith("hosts/") ? "subject" : path.startsWith("machines/") ? "machine" : null;
}

/** What a file's text says: a value that keeps to the schema of its path, or problems. Never throws. */
export function parseDocument(file: string, text: string): ParsedDocument {
  const parsed = parseYaml(file, text);
  return parsed.value === undefined ? { problems: parsed.problems } : validated(parsed);
}

/** The same for a text of the plain subset, on which nothing in a parser can go wrong; null for any other. */
export function parsePlainDocument(file: string, text: string): ParsedDocument | null {
  const plain = parsePlainYaml(text);
  if (plain === null) return null;
  const locate: ParsedYaml["locate"] = (path, what) => parseYaml(file, text).locate(path, what);
  return validated({ file, value: plain.value, problems: [], locate });
}

function validated(parsed: ParsedYaml): ParsedDocument {
  const problems = validate(parsed, schemaFor(parsed.file, parsed.value));
  return problems.length > 0 ? { problems } : { value: parsed.value };
}

function schemaFor(file: string, value: unknown): JsonSchema {
  const kind = schemaOf(file);
  if (kind === "settings") return settingsSchema;
  if (kind === "holidays") return holidaysSchema;
  if (kind === "machine") return machineSchema;
  return isGroup(value) ? groupSchema : hostSchema;
}

function isGroup(value: unknown): boolean {
  return typeof value === "object" && value !== null && "group" in value;
}

function parseFile({ path: file, id, text, parsed: known }: SourceFile): Entry {
  const document = known ?? parseDocument(file, text ?? "");
  if ("problems" in document) return { kind: "invalid", file, id, problems: document.problems };
  const { value } = document;
  const kind = schemaOf(file);
  if (kind === "subject" && !isGroup(value)) return { kind: "host", file, id, host: parseHost(file, value) };
  let whole: ParsedYaml | null = null;
  const locate: ParsedYaml["locate"] = (path, what) => (whole ??= parseYaml(file, text ?? "")).locate(path, what);
  const parsed: ParsedYaml = { file, value, problems: [], locate };
  if (kind === "settings" || kind === "holidays") return { kind, file, id, parsed };
  if (kind === "machine") return { kind, file, id, parsed, ...parseMachine(parsed) };
  return { kind: "group", file, id, parsed, group: parseGroup(parsed) };
}

function assemble(
  entries: ReadonlyMap<string, Entry>,
  { locate, unlocated }: Sources,
  options: LoadOptions,
): LoadedRepository {
  const problems: Problem[] = [];
  const machines = new Map<string, Machine>();
  const hosts = new Map<string, Host>();
  const groups = new Map<string, Group>();
  for (const entry of entries.values()) {
    if (entry.kind === "invalid" || entry.kind === "machine") problems.push(...entry.problems);
    if (entry.kind === "machine")
      addOnce(machines, entry.machine, () => locate(entry), { key: "machine", taken: new Map(), problems });
    if (entry.kind === "host")
      addOnce(hosts, entry.host, () => locate(entry), { key: "host", taken: groups, problems });
    if (entry.kind === "group")
      addOnce(groups, entry.group, () => locate(entry), { key: "group", taken: hosts, problems });
  }
  const valueIn = (path: string): unknown => {
    const entry = entries.get(path);
    return entry !== undefined && "parsed" in entry ? entry.parsed.value : null;
  };
  const settings = parseSettings(valueIn("stateward.yaml"), valueIn("holidays.yaml"));
  problems.push(...checkSettings(entries, settings, options));
  const guards = new GuardCompiler([...groups.keys()].toSorted());
  for (const group of groups.values()) {
    const entry = entries.get(group.file);
    const rollout = entry?.kind === "group" ? groupRollout(entry.parsed, settings.rollout) : null;
    groups.set(group.name, { ...group, rollout, members: selectMembers(group, hosts, guards) });
  }
  const repository: Repository = { settings, machines, hosts, groups };
  problems.push(...checkReferences(entries.values(), repository, { guards, locate }));
  const rest = { entries, unlocated: [...unlocated], key: Symbol("repository"), delta: null };
  return { repository, guards, problems: sortProblems(problems), ...rest };
}

/** Which host has an address; made once, and handed on from commit to commit. */
const addressIndexes = new WeakMap<LoadedRepository, Map<string, string>>();

function addressIndex(loaded: LoadedRepository): Map<string, string> {
  const known = addressIndexes.get(loaded);
  if (known) return known;
  const index = new Map<string, string>();
  for (const host of loaded.repository.hosts.values()) {
    const key = addressKey(host);
    if (key !== null) index.set(key, host.name);
  }
  addressIndexes.set(loaded, index);
  return index;
}

/**
 * The common case: some hosts' files changed, none came or went, and all is well. What does not fit is null, and read in full: the
 * whole fleet is looked at then.
 */
function changeHosts(
  base: LoadedRepository,
  changes: readonly FileChange[],
  { locate, unlocated }: Sources,
): LoadedRepository | null {
  if (hasErrors(base.problems)) return null;
  const entries = new Map<string, Entry>();
  const hosts = new Map<string, Host>();
  for (const { path, file } of changes) {
    const before = base.entries.get(path);
    const after = file && parseFile(file);
    if (before?.kind !== "host" || after?.kind !== "host" || before.host.name !== after.host.name) return null;
    entries.set(path, after);
    hosts.set(after.host.name, after.host);
  }
  const { repository: old, guards } = base;
  const repository = { ...old, hosts: patched(old.hosts, hosts), groups: changeMembers(old, hosts, guards) };
  const addresses = addressIndex(base);
  for (const host of hosts.values()) {
    const key = addressKey(host);
    if (key === null) continue;
    const other = addresses.get(key);
    // An address that a host of this very commit gives up, or two that take the same one: the whole fleet is looked at.
    if (other !== undefined && other !== host.name) return null;
  }
  if (new Set([...hosts.values()].flatMap((host) => addressKey(host) ?? [])).size < countAddresses(hosts)) return null;
  if (checkReferences(entries.values(), repository, { guards, locate }).length > 0) return null;
  const loaded: LoadedRepository = {
    repository,
    guards,
    problems: base.problems,
    entries: patched(base.entries, entries),
    unlocated: [...unlocated],
    key: Symbol("repository"),
    delta: repository.groups === old.groups ? { since: base.key, hosts: [...hosts.keys()] } : null,
  };
  moveAddresses(base, loaded, hosts);
  return loaded;
}

function countAddresses(hosts: ReadonlyMap<string, Host>): number {
  return [...hosts.values()].filter((host) => addressKey(host) !== null).length;
}

/** Hands the index on to the value that follows; the one before makes itself a new one if it is ever asked again. */
function moveAddresses(from: LoadedRepository, to: LoadedRepository, hosts: ReadonlyMap<string, Host>): void {
  const index = addressIndex(from);
  addressIndexes.delete(from);
  for (const host of hosts.values()) {
    const before = from.repository.hosts.get(host.name);
    const old = before ? addressKey(before) : null;
    if (old !== null) index.delete(old);
  }
  for (const host of hosts.values()) {
    const key = addressKey(host);
    if (key !== null) index.set(key, host.name);
  }
  addressIndexes.set(to, index);
}

/** Groups with the changed hosts selected anew; the same map where no group's members changed. */
function changeMembers(
  { groups }: Repository,
  hosts: ReadonlyMap<string, Host>,
  guards: GuardCompiler,
): ReadonlyMap<string, Group> {
  const changed = new Map<string, Group>();
  for (const group of groups.values()) {
    if (group.select === null) continue;
    const selected = new Set(selectMembers(group, hosts, guards));
    const members = new Set(group.members);
    if ([...hosts.keys()].every((name) => members.has(name) === selected.has(name))) continue;
    const kept = group.members.filter((name) => !hosts.has(name));
    changed.set(group.name, { ...group, members: [...kept, ...selected].toSorted() });
  }
  return patched(groups, changed);
}

function checkSettings(
  entries: ReadonlyMap<string, Entry>,
  settings: Repository["settings"],
  options: LoadOptions,
): Problem[] {
  const entry = entries.get("stateward.yaml");
  if (!entry) {
    const remedy = "run stateward init, or add one: an empty map {} will do";
    return [errorIn("stateward.yaml", "SW501", "the repository has no stateward.yaml", remedy)];
  }
  if (entry.kind !== "settings") return [];
  const problems = checkWindows(entry.parsed, options);
  if (options.isCron?.(settings.poll) !== false) return problems;
  const message = `poll is not a cron expression: ${settings.poll}`;
  const place = entry.parsed.locate(["poll"]);
  return [...problems, errorAt(place, "SW105", message, 'for example "*/15 * * * * *" for every 15 seconds')];
}

/** What a schema cannot say of windows: a start needs a length, and its expression and zone have to be ones. */
function checkWindows({ value, locate }: ParsedYaml, { windowError }: LoadOptions): Problem[] {
  const { windows = [] } = (value ?? {}) as { windows?: RawWindow[] };
  return windows.flatMap((window, index) => {
    if (window.allow === undefined && window.deny === undefined) {
      const message = "a window neither allows nor denies";
      return [errorAt(locate(["windows", index]), "SW106", message, "add allow or deny")];
    }
    return (["allow", "deny"] as const).flatMap((kind): Problem[] => {
      const time = window[kind];
      if (time === undefined) return [];
      const at = (key: string): ReturnType<typeof locate> => locate(["windows", index, kind, key]);
      const zone = time.zone ?? "UTC";
      const zoneError = windowError?.("0 0 * * *", zone) ?? null;
      if (zoneError !== null) return [errorAt(at("zone"), "SW105", zoneError, "for example zone: Europe/Berlin")];
      if (time.holidays === true && time.cron === undefined) return [];
      if (time.holidays === true)
        return [errorAt(at("cron"), "SW105", "a window holds on holidays or by cron, not both", "make two windows")];
      if (time.cron === undefined || time.for === undefined) {
        const missing = time.cron === undefined ? "cron" : "for";
        const remedy = 'such as cron: "0 22 * * *" with for: 6h, or holidays: true';
        return [errorAt(locate(["windows", index, kind]), "SW106", `a window lacks the key ${missing}`, remedy)];
      }
      const error = windowError?.(time.cron, zone) ?? null;
      return error === null ? [] : [errorAt(at("cron"), "SW105", error, 'for example cron: "0 22 * * 1-5"')];
    });
  });
}

interface RawWindow {
  readonly allow?: RawWindowTime;
  readonly deny?: RawWindowTime;
}

interface RawWindowTime {
  readonly cron?: string;
  readonly for?: string;
  readonly zone?: string;
  readonly holidays?: boolean;
}

/** Adds a value under its name, or a problem where the name is taken. Hosts and groups share their names: both are subjects. */
function addOnce<T extends { name: string; file: string }>(
  map: Map<string, T>,
  value: T,
  parsed: () => ParsedYaml,
  other: { readonly key: string; readonly taken: ReadonlyMap<string, { file: string }>; readonly problems: Problem[] },
): void {
  const first = map.get(value.name) ?? other.taken.get(value.name);
  if (first === undefined) {
    map.set(value.name, value);
    return;
  }
  other.problems.push({
    ...parsed().locate([other.key]),
    severity: "error",
    code: "SW201",
    message: `${value.name} is already defined in ${first.file}`,
    remedy: "rename or remove one of them",
  });
}

/** Names of the hosts that a group selects. A selector that cannot be evaluated for a host does not select it (B4). */
function selectMembers(group: Group, hosts: ReadonlyMap<string, Host>, guards: GuardCompiler): string[] {
  if (group.select === null) return [];
  const compiled = guards.compile(group.select);
  if ("error" in compiled) return [];
  const members: string[] = [];
  for (const host of hosts.values()) {
    const result = compiled.guard.evaluate(staticValues(host));
    if (result.ok && result.value === true) members.push(host.name);
  }
  return members.toSorted();
}
