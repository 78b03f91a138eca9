// The form of a case: what is given, what happens, what is expected. Whatever the form does not know is an error, so that a slip in a
// case never makes it weaker.
import { isDeepStrictEqual } from "node:util";
import { parseDuration } from "../../reconciler/model/duration.ts";
import { type Files, noon } from "./world.ts";

export type Fields = Readonly<Record<string, unknown>>;

export interface Case {
  readonly title: string;
  readonly given: Fields;
  readonly when: readonly Fields[];
  readonly expect: Fields;
}

export interface Topic {
  readonly topic: string;
  readonly cases: readonly Case[];
}

/** A slip in a case file. */
export function slip(where: string, message: string): never {
  throw new Error(`${where}: ${message}`);
}

/** The value as a map that has no other keys than these. */
export function fields(value: unknown, where: string, known?: readonly string[]): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) slip(where, "is to be a map");
  for (const key of Object.keys(value)) if (known?.includes(key) === false) slip(where, `has no key ${key}`);
  return value as Fields;
}

/** The value as a list; a single value is a list of one. */
export function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [value];
}

/** Names such as `web-1..web-3, db-1` or `web-1..3`. */
export function names(value: unknown): string[] {
  return list(value).flatMap((item) =>
    String(item)
      .split(",")
      .map((part) => part.trim())
      .filter((part) => part !== "")
      .flatMap(range),
  );
}

function range(text: string): string[] {
  const parts = /^(.*?)([0-9]+)\.\.(?:\1)?([0-9]+)$/.exec(text);
  if (parts === null) return [text];
  const [, stem = "", first = "", last = ""] = parts;
  const numbers = Array.from({ length: Number(last) - Number(first) + 1 }, (_, index) => Number(first) + index);
  return numbers.map((number) => `${stem}${String(number).padStart(first.length, "0")}`);
}

/** A map whose keys are names, each with its own value. */
export function byName(value: unknown, where: string): Map<string, unknown> {
  const found = new Map<string, unknown>();
  for (const [key, item] of Object.entries(fields(value ?? {}, where)))
    for (const name of names(key)) {
      if (found.has(name)) slip(where, `${name} stands twice`);
      found.set(name, item);
    }
  return found;
}

export function duration(value: unknown, where: string): number {
  if (!/^([0-9]+(ms|s|m|h|d))+$/.test(String(value))) slip(where, `${String(value)} is no duration`);
  return parseDuration(String(value));
}

/** `12:30` on the first day, or a whole time. */
export function time(value: unknown, where: string): number {
  const text = String(value);
  const short = /^([0-9]{2}):([0-9]{2})(?::([0-9]{2}))?$/.exec(text);
  const at = short === null ? Date.parse(text) : onTheDay(short.slice(1));
  return Number.isNaN(at) ? slip(where, `${text} is no time`) : at;
}

function onTheDay([hours = "0", minutes = "0", seconds = "0"]: readonly (string | undefined)[]): number {
  return noon - 12 * 3_600_000 + (Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)) * 1000;
}

/** The second map laid over the first: maps are merged, all else is replaced, and null takes a key away. */
export function laidOver(base: unknown, over: unknown): unknown {
  const isMap = (value: unknown): value is Fields =>
    typeof value === "object" && value !== null && !Array.isArray(value);
  if (!isMap(base) || !isMap(over)) return over;
  const merged: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(over)) {
    if (value === null) delete merged[key];
    else merged[key] = laidOver(merged[key], value);
  }
  return merged;
}

const topicKeys = ["topic", "about", "given", "cases"];
const caseKeys = ["title", "given", "when", "expect"];
export const givenKeys = [
  "at",
  "settings",
  "machines",
  "enter",
  "barriers",
  "groups",
  "hosts",
  "steps",
  "fails",
  "took",
];

/** A file of cases. What the file gives, every case of it is given. */
export function readTopic(value: unknown, where: string): Topic {
  const { topic, given = {}, cases } = fields(value, where, topicKeys);
  if (typeof topic !== "string" || !Array.isArray(cases)) slip(where, "is to have a topic and cases");
  const shared = fields(given, where, givenKeys);
  const read = cases.map((item, index) => readCase(item, shared, `${topic}, case ${index + 1}`));
  const titles = read.map(({ title }) => title);
  const twice = titles.find((title, index) => titles.indexOf(title) !== index);
  return twice === undefined ? { topic, cases: read } : slip(topic, `two cases are called: ${twice}`);
}

function readCase(value: unknown, shared: Fields, where: string): Case {
  const { title, given = {}, when = [], expect } = fields(value, where, caseKeys);
  if (typeof title !== "string" || !Array.isArray(when)) slip(where, "is to have a title, and steps under when");
  const place = `${where} (${title})`;
  const whole = laidOver(shared, fields(given, place, givenKeys)) as Record<string, unknown>;
  const own = given as Fields;
  // Hosts are named anew by a case that names any.
  if (own.hosts !== undefined) whole.hosts = own.hosts;
  const expected = fields(expect, place);
  if (Object.keys(expected).length === 0) slip(place, "expects nothing");
  const steps = when.map((step, index) => fields(step, `${place}, step ${index + 1}`));
  return { title, given: whole, when: steps, expect: expected };
}

/** How a host begins: `v1`, `v1 -> v2`, or a map with machines by their names. */
export interface HostGiven {
  readonly name: string;
  /** Machine: the state that it is in, and its target, null for a machine without. */
  readonly machines: ReadonlyMap<string, { readonly state: string; readonly target: string | null }>;
  readonly groups: readonly string[];
  readonly file: Fields;
  readonly isUnseen: boolean;
  readonly isDown: boolean;
}

const hostFileKeys = ["region", "transport", "labels", "vars", "hold", "drift", "owner"];

export function readHost(name: string, value: unknown, machineNames: readonly string[]): HostGiven {
  const [first = ""] = machineNames;
  const raw = typeof value === "string" ? { [first]: value } : value;
  const keys = [...machineNames, ...hostFileKeys, "group", "unseen", "down"];
  const given = fields(raw, `host ${name}`, keys);
  const machines = new Map(
    machineNames.flatMap((machine) => (machine in given ? [[machine, way(String(given[machine]))] as const] : [])),
  );
  return {
    name,
    machines,
    groups: given.group === undefined ? [] : names(given.group),
    file: Object.fromEntries(hostFileKeys.flatMap((key) => (key in given ? [[key, given[key]]] : []))),
    isUnseen: given.unseen === true,
    isDown: given.down === true,
  };
}

/** `v1 -> v2` is in one state with another as its target, `v1` is in its target, `v1 -> nothing` has none. */
function way(text: string): { state: string; target: string | null } {
  const [state = "", target = state] = text.split("->").map((part) => part.trim());
  return { state, target: target === "nothing" ? null : target };
}

/** The host's file, in its first state or on its way. */
export function hostFile(host: HostGiven, targets: ReadonlyMap<string, string | null>): object {
  const { labels = {}, ...rest } = host.file;
  const inGroups = Object.fromEntries(host.groups.map((group) => [`in-${group}`, "yes"]));
  const free = [...targets].flatMap(([machine, target]) => (target === null ? [machine] : []));
  const wanted = [...targets].flatMap(([machine, target]) => (target === null ? [] : [[machine, target]]));
  return {
    host: host.name,
    transport: "local",
    ...rest,
    labels: { ...inGroups, ...(labels as Fields) },
    ...(wanted.length > 0 ? { targets: Object.fromEntries(wanted) } : {}),
    ...(free.length > 0 ? { machines: free } : {}),
  };
}

/** The file of a group: those hosts belong that say so, unless it selects otherwise. */
export function groupFile(name: string, value: unknown): object {
  return { group: name, select: `host.labels["in-${name}"] == "yes"`, ...fields(value ?? {}, `group ${name}`) };
}

/** A machine with what a case says about how its states are entered, such as `app/v2`. */
export function machineFile(machine: Fields, given: Fields): Fields {
  const states = structuredClone(machine.states) as Record<string, Record<string, unknown> | null>;
  const own = (from: unknown, where: string): [string, unknown][] =>
    Object.entries(fields(from ?? {}, where)).flatMap(([key, value]): [string, unknown][] => {
      const [name, state = ""] = key.split("/");
      if (name !== machine.machine) return [];
      if (!(state in states)) slip(where, `${String(name)} has no state ${state}`);
      return [[state, value]];
    });
  for (const [state, more] of own(given.enter, "enter")) {
    const enter = (states[state]?.enter ?? []) as object[];
    states[state] = { ...states[state], enter: enter.map((entry) => ({ ...entry, ...(more as object) })) };
  }
  for (const [state, barrier] of own(given.barriers, "barriers")) states[state] = { ...states[state], barrier };
  return { ...machine, states };
}

/** The files that differ, those that are gone as null. */
export function changedFiles(before: Files, after: Files): [string, unknown][] {
  const paths = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...paths].flatMap((path): [string, unknown][] =>
    isDeepStrictEqual(before[path], after[path]) ? [] : [[path, after[path] ?? null]],
  );
}
