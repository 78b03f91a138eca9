// A state repository: all files of one commit become one `Repository` value and a list of problems. Never throws.
// With problems of severity error the value must not be put in force (D4).
import { GuardCompiler } from "./guard.ts";
import { staticValues } from "./guard-values.ts";
import { type ParsedMachine, parseMachine } from "./machine.ts";
import { type Problem, sortProblems } from "./problem.ts";
import { checkReferences } from "./references.ts";
import { groupSchema, hostSchema, type JsonSchema, machineSchema, settingsSchema } from "./schemas.ts";
import { parseGroup, parseHost, parseSettings } from "./subject.ts";
import type { Group, Host, Machine, Repository, SourceFile } from "./types.ts";
import { validate } from "./validate.ts";
import { type ParsedYaml, parseYaml } from "./yaml.ts";

export interface LoadedRepository {
  readonly repository: Repository;
  readonly guards: GuardCompiler;
  readonly problems: readonly Problem[];
}

export interface LoadOptions {
  /** Says whether a cron expression is one; without it every expression passes. */
  readonly isCron?: (expression: string) => boolean;
}

/** One file, parsed and checked by itself. */
export type Entry =
  | { readonly kind: "settings"; readonly parsed: ParsedYaml }
  | ({ readonly kind: "machine"; readonly parsed: ParsedYaml } & ParsedMachine)
  | { readonly kind: "host"; readonly parsed: ParsedYaml; readonly host: Host }
  | { readonly kind: "group"; readonly parsed: ParsedYaml; readonly group: Group }
  | { readonly kind: "invalid"; readonly parsed: ParsedYaml; readonly problems: readonly Problem[] };

/** Reads repositories, keeping what it parsed by content, so that a changed file costs one parse. */
export class RepositoryLoader {
  private cache = new Map<string, Entry>();
  private readonly options: LoadOptions;

  constructor(options: LoadOptions = {}) {
    this.options = options;
  }

  /** All files of a commit. Files outside stateward.yaml, machines/ and hosts/ are not looked at. */
  load(files: readonly SourceFile[]): LoadedRepository {
    const kept = new Map<string, Entry>();
    const entries: Entry[] = [];
    for (const file of files.toSorted((a, b) => (a.path < b.path ? -1 : 1))) {
      const schemaFor = schemaOf(file.path);
      if (schemaFor === null) continue;
      const key = `${file.path}\n${file.id}`;
      const entry = this.cache.get(key) ?? parseFile(file);
      kept.set(key, entry);
      entries.push(entry);
    }
    this.cache = kept;
    return assemble(entries, this.options);
  }
}

/** True for the paths that a state repository reads. */
export function isStatePath(path: string): boolean {
  return schemaOf(path) !== null;
}

type Kind = "settings" | "machine" | "subject";

function schemaOf(path: string): Kind | null {
  if (path === "stateward.yaml") return "settings";
  if (/^machines\/.+\.ya?ml$/.test(path)) return "machine";
  if (/^hosts\/.+\.ya?ml$/.test(path)) return "subject";
  return null;
}

function parseFile(file: SourceFile): Entry {
  const parsed = parseYaml(file.path, file.text);
  if (parsed.value === undefined) return { kind: "invalid", parsed, problems: parsed.problems };
  const kind = schemaOf(file.path);
  const isGroup = typeof parsed.value === "object" && parsed.value !== null && "group" in parsed.value;
  const schema: JsonSchema =
    kind === "settings" ? settingsSchema : kind === "machine" ? machineSchema : isGroup ? groupSchema : hostSchema;
  const problems = validate(parsed, schema);
  if (problems.length > 0) return { kind: "invalid", parsed, problems };
  if (kind === "settings") return { kind, parsed };
  if (kind === "machine") return { kind, parsed, ...parseMachine(parsed) };
  return isGroup
    ? { kind: "group", parsed, group: parseGroup(parsed) }
    : { kind: "host", parsed, host: parseHost(parsed) };
}

function assemble(entries: readonly Entry[], options: LoadOptions): LoadedRepository {
  const problems: Problem[] = [];
  const machines = new Map<string, Machine>();
  const hosts = new Map<string, Host>();
  const groups = new Map<string, Group>();
  let settings = parseSettings({});
  for (const entry of entries) {
    if (entry.kind === "invalid" || entry.kind === "machine") problems.push(...entry.problems);
    if (entry.kind === "settings") settings = parseSettings(entry.parsed.value);
    if (entry.kind === "machine")
      addOnce(machines, entry.machine, entry.parsed, { key: "machine", taken: new Map(), problems });
    if (entry.kind === "host") addOnce(hosts, entry.host, entry.parsed, { key: "host", taken: groups, problems });
    if (entry.kind === "group") addOnce(groups, entry.group, entry.parsed, { key: "group", taken: hosts, problems });
  }
  problems.push(...checkSettings(entries, settings, options));
  const guards = new GuardCompiler([...groups.keys()].toSorted());
  for (const group of groups.values())
    groups.set(group.name, { ...group, members: selectMembers(group, hosts, guards) });
  const repository: Repository = { settings, machines, hosts, groups };
  problems.push(...checkReferences(entries, repository, guards));
  return { repository, guards, problems: sortProblems(problems) };
}

function checkSettings(entries: readonly Entry[], settings: Repository["settings"], options: LoadOptions): Problem[] {
  const entry = entries.find(({ parsed }) => parsed.file === "stateward.yaml");
  if (!entry) {
    const place = { file: "stateward.yaml", line: 1, column: 1 };
    return [
      {
        ...place,
        severity: "error",
        code: "SW501",
        message: "the repository has no stateward.yaml",
        remedy: "run stateward init, or add one: an empty map {} will do",
      },
    ];
  }
  if (entry.kind !== "settings" || options.isCron === undefined || options.isCron(settings.poll)) return [];
  return [
    {
      ...entry.parsed.locate(["poll"]),
      severity: "error",
      code: "SW105",
      message: `poll is not a cron expression: ${settings.poll}`,
      remedy: 'for example "*/15 * * * * *" for every 15 seconds',
    },
  ];
}

/** Adds a value under its name, or a problem where the name is taken. Hosts and groups share their names: both are subjects. */
function addOnce<T extends { name: string; file: string }>(
  map: Map<string, T>,
  value: T,
  parsed: ParsedYaml,
  other: { readonly key: string; readonly taken: ReadonlyMap<string, { file: string }>; readonly problems: Problem[] },
): void {
  const first = map.get(value.name) ?? other.taken.get(value.name);
  if (first === undefined) {
    map.set(value.name, value);
    return;
  }
  other.problems.push({
    ...parsed.locate([other.key]),
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
