// Builders of state repositories and worlds, so that a test says only what matters to it.
import { stringify } from "yaml";
import type { DesiredCommit, RecordChange } from "../../reconciler/model/ports.ts";
import { formatProblem, hasErrors } from "../../reconciler/model/problem.ts";
import { emptyRecord, freshMachine, type MachineRecord, type SubjectRecord } from "../../reconciler/model/record.ts";
import type { HostReport } from "../../reconciler/model/report.ts";
import { type LoadedRepository, RepositoryLoader } from "../../reconciler/model/repository.ts";
import type { SourceFile } from "../../reconciler/model/types.ts";
import { worldOf } from "../../reconciler/plan/tally.ts";
import type { World } from "../../reconciler/plan/world.ts";

/** A fixed instant: 2026-01-01T00:00:00Z. */
export const noon = Date.UTC(2026, 0, 1, 12);
export const commit = "c".repeat(40);

/** Files by path; values that are not text are written as YAML. */
export type Files = Readonly<Record<string, unknown>>;

export function sources(files: Files): SourceFile[] {
  const all = { "stateward.yaml": {}, ...files };
  return Object.entries(all).flatMap(([path, value]) => {
    if (value === null) return [];
    const text = typeof value === "string" ? value : stringify(value);
    return [{ path, text, id: `${path}:${text}` }];
  });
}

export function load(files: Files): LoadedRepository {
  return new RepositoryLoader().load(sources(files));
}

/** A repository that must be without errors. */
export function desired(files: Files, id: string = commit): DesiredCommit {
  const loaded = load(files);
  if (hasErrors(loaded.problems)) throw new Error(loaded.problems.map(formatProblem).join("\n"));
  return { commit: id, loaded };
}

/** Settings for tests that are not about limits: a change goes to all hosts at once. */
export const atOnce = { rollout: { at_once: 1000, canary: 0, waves: ["100%"], max_unavailable: "100%" } };

/** off -> on -> busy, and back: one step each. */
export const lamp = {
  machine: "lamp",
  initial: "off",
  states: {
    off: { enter: [{ from: ["on", "busy"], steps: [{ run: "turn off" }] }] },
    on: { available: true, enter: [{ from: ["off", "busy"], steps: [{ run: "turn on" }] }] },
    busy: { enter: [{ from: "on", steps: [{ run: "be busy" }] }] },
  },
};

/** A change of what is recorded of a lamp, with its line for the commit message. */
export const lampChange = (
  name: string,
  state: string,
  summary: string | null = `${name}: off -> ${state} (lamp)`,
): RecordChange => ({ record: record(name, "lamp", { state }), summary, desired: commit });

/** `NAME STATE` of every lamp, in order. */
export const lampStates = (subjects: Iterable<SubjectRecord>): string[] =>
  [...subjects].map(({ name, machines }) => `${name} ${machines.lamp?.state}`).toSorted();

/** a -> b -> c -> d, in one direction, each by one step that may repeat. */
export const chain = {
  machine: "chain",
  initial: "a",
  states: {
    a: null,
    b: { enter: [{ from: "a", steps: [{ name: "to-b", run: "step b" }] }] },
    c: { enter: [{ from: "b", steps: [{ name: "to-c", run: "step c" }] }] },
    d: { enter: [{ from: "c", steps: [{ name: "to-d", run: "step d" }] }] },
  },
};

export function localHost(host: string, targets: Readonly<Record<string, string>>, more: object = {}): object {
  return { host, transport: "local", targets, ...more };
}

/** A record of one host with one machine. */
export function record(
  name: string,
  machine: string,
  entry: Partial<MachineRecord>,
  more: Partial<SubjectRecord> = {},
): SubjectRecord {
  const fresh = freshMachine("off", new Date(noon).toISOString(), commit);
  return {
    ...emptyRecord("host", name),
    incarnation: "life-one-0001",
    machines: { [machine]: { ...fresh, ...entry } },
    ...more,
  };
}

export function applied(...states: string[]): MachineRecord["applied"] {
  return states.map((state) => ({ state, at: new Date(noon).toISOString(), desired: commit }));
}

export function report(host: string, more: Partial<HostReport> = {}): HostReport {
  return {
    host,
    at: noon,
    reachable: true,
    message: "",
    incarnation: "life-one-0001",
    sequence: null,
    states: {},
    checks: {},
    facts: {},
    ...more,
  };
}

export function world(
  files: Files,
  parts: {
    records?: readonly SubjectRecord[];
    reports?: readonly HostReport[];
    now?: number;
    inFlight?: readonly string[];
  } = {},
): World {
  return worldOf({
    now: parts.now ?? noon,
    desired: desired(files),
    records: new Map((parts.records ?? []).map((item) => [item.name, item])),
    reports: new Map((parts.reports ?? []).map((item) => [item.host, item])),
    inFlight: new Set(parts.inFlight),
    listeningSince: noon,
  });
}
