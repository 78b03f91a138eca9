// Machines: from a schema-checked value to a `Machine`, with the problems that a schema cannot see.
import { type Amount, parseAmount } from "./amount.ts";
import { digest } from "./digest.ts";
import { parseDuration } from "./duration.ts";
import { automaticLoop, findPath, reachableFrom, statesWithoutWayTo } from "./graph.ts";
import { errorAt, nearest, type Problem, type ProblemCode } from "./problem.ts";
import { redact } from "./redact.ts";
import { parseDrift, type RawDrift } from "./subject.ts";
import type { Action, Barrier, Check, Machine, Recovery, Remedy, State, Step, Transition } from "./types.ts";
import type { ParsedYaml, YamlPath } from "./yaml.ts";

/** Raw shapes after the schema check; keys are those of the format. */
interface RawAction {
  run?: string | (string | number)[];
  shell?: string;
  http?: RawHttp;
  tcp?: { host?: string; port: string | number; within?: string };
  write?: { path: string; content: string; mode?: string };
  env?: Record<string, unknown>;
  timeout?: string;
}
interface RawHttp {
  url: string;
  method?: string;
  headers?: Record<string, unknown>;
  body?: string;
  expect?: number[];
  within?: string;
}
interface RawStep extends RawAction {
  name?: string;
  repeat?: "always" | "never";
  on?: "host" | "controller";
}
interface RawEntry {
  from: string | string[];
  when?: string;
  auto?: boolean;
  cost?: number;
  governors?: string[];
  steps?: RawStep[];
}
interface RawBarrier {
  group: string;
  machine?: string;
  state?: string | string[];
  count?: string | number;
  within?: string;
  proceed_if?: string | number;
  then?: "fail" | "ask";
}
interface RawRecovery {
  lost_after?: string;
  then?: Recovery["whenLost"];
  tries?: number;
  reboot?: RawStep[];
  replace?: RawStep[];
}
interface RawRemedy {
  name: string;
  when: string;
  for?: string;
  clear?: string;
  steps: RawStep[];
  limit?: string;
}
interface RawState {
  description?: string;
  available?: boolean;
  transient?: boolean;
  enter?: RawEntry[];
  check?: RawAction;
  barrier?: RawBarrier;
}
interface RawMachine {
  machine: string;
  description?: string;
  initial: string;
  states: Record<string, RawState | null>;
  drift?: RawDrift;
  recovery?: RawRecovery;
  remedies?: RawRemedy[];
}

const stepTimeoutMs = 300_000;
const checkTimeoutMs = 10_000;
const successCodes = Array.from({ length: 100 }, (_, index) => 200 + index);

/** Where the guard or a template of a transition stands, for problems found once all groups are known. */
export type TransitionPath = (transition: Transition) => YamlPath;

/** A machine, its problems, and where each of its transitions stands in the file. */
export interface ParsedMachine {
  readonly machine: Machine;
  readonly problems: readonly Problem[];
  readonly entryPath: TransitionPath;
}

/** Builds a machine from a value that passed `machineSchema`. */
export function parseMachine(parsed: ParsedYaml): ParsedMachine {
  const raw = parsed.value as RawMachine;
  const paths = new Map<Transition, YamlPath>();
  const problems: Problem[] = [];
  const states = new Map<string, State>();
  for (const [name, state] of Object.entries(raw.states)) {
    states.set(name, parseState(raw.machine, name, state ?? {}));
    problems.push(...checkActions(parsed, name, state ?? {}));
  }
  problems.push(...checkRepairs(parsed, raw));
  const transitions = Object.entries(raw.states).flatMap(([to, state]) =>
    (state?.enter ?? []).flatMap((entry, index) =>
      parseEntry(to, entry).map((transition) => {
        paths.set(transition, ["states", to, "enter", index]);
        return transition;
      }),
    ),
  );
  const machine: Machine = {
    name: raw.machine,
    description: raw.description ?? "",
    initial: raw.initial,
    file: parsed.file,
    states,
    transitions,
    drift: parseDrift(raw.drift),
    recovery: parseRecovery(raw.recovery ?? {}),
    remedies: (raw.remedies ?? []).map(parseRemedy),
  };
  const entryPath: TransitionPath = (transition) => paths.get(transition) ?? [];
  problems.push(...checkStates(parsed, machine, entryPath));
  if (problems.length === 0) problems.push(...checkGraph(parsed, machine, entryPath));
  return { machine, problems, entryPath };
}

function parseState(machine: string, name: string, raw: RawState): State {
  return {
    name,
    description: raw.description ?? "",
    available: raw.available ?? false,
    transient: raw.transient ?? false,
    check: raw.check === undefined ? null : parseCheck(raw.check),
    barrier: raw.barrier === undefined ? null : parseBarrier(raw.barrier, [machine, name], raw.enter ?? []),
  };
}

function parseBarrier(
  raw: RawBarrier,
  [machine, state]: readonly [string, string],
  entries: readonly RawEntry[],
): Barrier {
  const from = entries.flatMap((entry) => entry.from);
  const amountOf = (value: string | number | undefined): Amount | null =>
    value === undefined ? null : parseAmount(value);
  return {
    group: raw.group,
    machine: raw.machine ?? machine,
    states: raw.state === undefined ? from : [raw.state].flat(),
    behind: raw.machine === undefined || raw.machine === machine ? state : null,
    count: amountOf(raw.count),
    withinMs: raw.within === undefined ? null : parseDuration(raw.within),
    proceedIf: amountOf(raw.proceed_if),
    late: raw.then ?? "ask",
  };
}

function parseRecovery(raw: RawRecovery): Recovery {
  return {
    lostAfterMs: parseDuration(raw.lost_after ?? "5m"),
    whenLost: raw.then ?? "replay",
    tries: raw.tries ?? 3,
    reboot: (raw.reboot ?? []).flatMap((step) => parseStep(step) ?? []),
    replace: (raw.replace ?? []).flatMap((step) => parseStep(step) ?? []),
  };
}

function parseRemedy(raw: RawRemedy): Remedy {
  const [limit = "", within = ""] = (raw.limit ?? "3 in 1h").split(" in ");
  return {
    name: raw.name,
    when: raw.when,
    forMs: parseDuration(raw.for ?? "5m"),
    clearMs: parseDuration(raw.clear ?? "1m"),
    steps: raw.steps.flatMap((step) => parseStep(step) ?? []),
    limit: Number(limit),
    limitMs: parseDuration(within),
  };
}

function parseCheck(raw: RawAction): Check | null {
  const action = parseAction(raw);
  return action && { action, timeoutMs: raw.timeout === undefined ? checkTimeoutMs : parseDuration(raw.timeout) };
}

function parseEntry(to: string, entry: RawEntry): Transition[] {
  const steps = (entry.steps ?? []).flatMap((step) => parseStep(step) ?? []);
  return [entry.from].flat().map((from) => ({
    from,
    to,
    when: entry.when ?? null,
    auto: entry.auto ?? false,
    cost: entry.cost ?? 1,
    governors: entry.governors ?? [],
    steps,
  }));
}

function parseStep(raw: RawStep): Step | null {
  const action = parseAction(raw);
  if (action === null) return null;
  return {
    // The same command elsewhere is another step.
    key: raw.name ?? digest(raw.on === "controller" ? { action, on: raw.on } : action),
    title: raw.name ?? titleOf(action),
    repeat: raw.repeat ?? "always",
    timeoutMs: raw.timeout === undefined ? stepTimeoutMs : parseDuration(raw.timeout),
    on: raw.on ?? "host",
    action,
  };
}

/** Redacted as a whole, then cut: half of a secret has not its form any more. */
function titleOf(action: Action): string {
  switch (action.kind) {
    case "run":
      return redact(action.argv.join(" ")).slice(0, 80);
    case "shell":
      return `shell: ${redact(action.script).trim().split("\n")[0]?.slice(0, 70) ?? ""}`;
    case "http":
      return redact(`${action.method} ${action.url}`).slice(0, 80);
    case "tcp":
      return `tcp ${action.host ?? ""}:${action.port}`;
    case "write":
      return `write ${action.path}`;
  }
}

function parseAction(raw: RawAction): Action | null {
  const env = texts(raw.env);
  if (raw.run !== undefined) {
    const argv = Array.isArray(raw.run) ? raw.run.map(String) : splitWords(raw.run);
    return { kind: "run", argv, env };
  }
  if (raw.shell !== undefined) return { kind: "shell", script: raw.shell, env };
  if (raw.http) return parseHttp(raw.http);
  if (raw.tcp) {
    const { host, port, within } = raw.tcp;
    return { kind: "tcp", host: host ?? null, port: String(port), withinMs: parseDuration(within ?? "0s") };
  }
  if (raw.write)
    return {
      kind: "write",
      path: raw.write.path,
      content: raw.write.content,
      mode: (raw.write.mode ?? "0644").padStart(4, "0"),
    };
  return null;
}

function parseHttp(raw: RawHttp): Action {
  return {
    kind: "http",
    url: raw.url,
    method: raw.method ?? "GET",
    headers: texts(raw.headers),
    body: raw.body ?? null,
    expect: raw.expect ?? successCodes,
    withinMs: parseDuration(raw.within ?? "0s"),
  };
}

function texts(raw: Record<string, unknown> | undefined): Record<string, string> {
  return Object.fromEntries(Object.entries(raw ?? {}).map(([key, value]) => [key, String(value)]));
}

/** Splits a command line into words at spaces; quotes keep a word together, and `${...}` is never split. */
export function splitWords(line: string): string[] {
  const words = line.match(/(?:\$\{[^}]*\}|"[^"]*"|'[^']*'|[^\s"'])+/g) ?? [];
  return words.map((word) =>
    word.replaceAll(
      /(\$\{[^}]*\})|"([^"]*)"|'([^']*)'/g,
      (_, template, double, single) => template ?? double ?? single,
    ),
  );
}

function checkActions(parsed: ParsedYaml, name: string, raw: RawState): Problem[] {
  const places: [YamlPath, RawAction][] = (raw.enter ?? []).flatMap((entry, index) =>
    (entry.steps ?? []).map((step, at): [YamlPath, RawAction] => [["states", name, "enter", index, "steps", at], step]),
  );
  if (raw.check) places.push([["states", name, "check"], raw.check]);
  return places.flatMap(([path, action]) => checkAction(parsed, path, action));
}

/** Steps of remedies and recovery, and names that stand twice. */
function checkRepairs(parsed: ParsedYaml, { remedies = [], recovery = {} }: RawMachine): Problem[] {
  const places: [YamlPath, RawStep][] = [
    ...remedies.flatMap(({ steps }, index) =>
      steps.map((step, at): [YamlPath, RawStep] => [["remedies", index, "steps", at], step]),
    ),
    ...(["reboot", "replace"] as const).flatMap((rung) =>
      (recovery[rung] ?? []).map((step, at): [YamlPath, RawStep] => [["recovery", rung, at], step]),
    ),
  ];
  const problems = places.flatMap(([path, step]) => checkAction(parsed, path, step));
  for (const [index, { name }] of remedies.entries()) {
    if (remedies.findIndex((remedy) => remedy.name === name) === index) continue;
    problems.push(
      problem(parsed, ["remedies", index, "name"], "SW201", `two remedies are called ${name}`, "rename one"),
    );
  }
  for (const [path, step] of places) {
    const isElsewhere = step.on === "controller" || step.http !== undefined;
    if (path[1] !== "replace" || isElsewhere) continue;
    const message = "a host that is replaced cannot run the steps that replace it";
    problems.push(problem(parsed, path, "SW208", message, "use http, or on: controller"));
  }
  if (recovery.then === "replace" && (recovery.replace ?? []).length === 0) {
    const message = "recovery says replace, and has no steps for it";
    problems.push(problem(parsed, ["recovery", "then"], "SW106", message, "add recovery.replace"));
  }
  return problems;
}

function checkAction(parsed: ParsedYaml, path: YamlPath, action: RawAction): Problem[] {
  const kinds = ["run", "shell", "http", "tcp", "write"].filter((kind) => kind in action);
  if (kinds.length !== 1) {
    const message = kinds.length === 0 ? "no action" : `several actions: ${kinds.join(", ")}`;
    return [problem(parsed, path, "SW108", message, "name exactly one of run, shell, http, tcp, write")];
  }
  if (action.shell !== undefined && /\$\{(host|group|report|record|hosts)\b/.test(action.shell)) {
    return [
      problem(
        parsed,
        [...path, "shell"],
        "SW105",
        "a script takes no templates: data must not become shell text",
        "pass the value through env, and use it as a quoted variable",
      ),
    ];
  }
  if ((action as RawStep).on === "controller" && action.run === undefined && action.shell === undefined) {
    const message = "on: controller belongs to run and shell";
    return [problem(parsed, [...path, "on"], "SW105", message, "remove it: http and tcp are made from there anyway")];
  }
  if (action.env !== undefined && action.run === undefined && action.shell === undefined) {
    return [problem(parsed, [...path, "env"], "SW105", "env belongs to run and shell", "remove it")];
  }
  return [];
}

function checkStates(parsed: ParsedYaml, machine: Machine, entryPath: TransitionPath): Problem[] {
  const names = [...machine.states.keys()];
  const unknown = (word: string): string => {
    const near = nearest(word, names);
    return near === null ? `states: ${names.join(", ")}` : `did you mean ${near}?`;
  };
  const problems: Problem[] = [];
  if (!machine.states.has(machine.initial)) {
    problems.push(
      problem(
        parsed,
        ["initial"],
        "SW301",
        `initial is ${machine.initial}, which is not a state`,
        unknown(machine.initial),
      ),
    );
  }
  const pairs = new Set<string>();
  for (const transition of machine.transitions) {
    const path = [...entryPath(transition), "from"];
    if (!machine.states.has(transition.from)) {
      problems.push(
        problem(
          parsed,
          path,
          "SW301",
          `${transition.to} is entered from ${transition.from}, which is not a state`,
          unknown(transition.from),
        ),
      );
    }
    const pair = `${transition.from}\n${transition.to}`;
    if (pairs.has(pair)) {
      problems.push(
        problem(
          parsed,
          path,
          "SW304",
          `${transition.from} -> ${transition.to} has two entries`,
          "join them, with || between their guards",
        ),
      );
    }
    pairs.add(pair);
  }
  return problems;
}

function checkGraph(parsed: ParsedYaml, machine: Machine, entryPath: TransitionPath): Problem[] {
  const problems: Problem[] = [];
  const reachable = reachableFrom(machine, machine.initial);
  for (const name of machine.states.keys()) {
    if (reachable.has(name)) continue;
    problems.push(
      problem(
        parsed,
        ["states", name],
        "SW302",
        `${name} cannot be reached from ${machine.initial}`,
        "add an entry that leads to it, or remove it",
      ),
    );
  }
  for (const name of statesWithoutWayTo(machine, machine.initial)) {
    const message = `no way leads from ${name} back to ${machine.initial}`;
    problems.push({
      ...problem(parsed, ["states", name], "SW303", message, "add one if the state is meant to be left"),
      severity: "warning",
    });
  }
  for (const state of machine.states.values()) {
    if (!state.transient || machine.transitions.some(({ from }) => from === state.name)) continue;
    problems.push(
      problem(
        parsed,
        ["states", state.name],
        "SW306",
        `${state.name} is only passed through, and nothing leaves it`,
        "add a state that is entered from it",
      ),
    );
  }
  const loop = automaticLoop(machine);
  if (loop) {
    const message = `${loop.from} -> ${loop.to} is automatic, without a guard, and part of a loop`;
    problems.push(problem(parsed, entryPath(loop), "SW305", message, "give one transition of the loop a guard"));
  }
  return problems;
}

function problem(
  parsed: ParsedYaml,
  path: YamlPath,
  code: ProblemCode,
  ...texts: [message: string, remedy: string]
): Problem {
  const key = path.length === 2 && path[0] === "states" ? "key" : "value";
  return errorAt(parsed.locate(path, key), code, ...texts);
}

/** The reason why no path leads to a target, for people. */
export function explainNoPath(machine: Machine, from: string, to: string): string {
  const ways = machine.transitions.filter((transition) => transition.to === to).map((transition) => transition.from);
  const list = ways.length === 0 ? "nothing" : ways.join(", ");
  return findPath(machine, from, to) === null
    ? `${machine.name} has no path from ${from} to ${to}; ${to} is entered from ${list}`
    : "";
}
