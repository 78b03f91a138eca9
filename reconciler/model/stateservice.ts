// From StateService's YAML to a machine of ours. Source of the format: https://github.com/facebookarchive/StateService (README, state.py).
import { Failure } from "./failure.ts";
import { statePattern } from "./schemas.ts";
import { parseYaml } from "./yaml.ts";

interface OldState {
  readonly name: string;
  readonly func?: string;
  readonly current?: { readonly key?: string; readonly value?: number };
  readonly target?: {
    readonly name?: string;
    readonly when?: { readonly key?: string; readonly value?: number | string };
  };
}

/** A machine and the group that shares it, as values ready to be written as YAML. */
export interface ImportedMachine {
  readonly machine: Readonly<Record<string, unknown>>;
  readonly group: Readonly<Record<string, unknown>>;
}

export interface ImportOptions {
  readonly name: string;
  /** Offset of the times in the file, which carry no zone: `Z` or `+02:00`. */
  readonly offset: string;
}

/**
 * Converts the text of a StateService file. `increment` becomes a guard over `updates` with `>=`, so that an overshoot still fires;
 * `time` becomes a guard over `now` with the offset given. Throws a Failure that names what cannot be converted.
 */
export function importStateService(file: string, text: string, options: ImportOptions): ImportedMachine {
  const parsed = parseYaml(file, text);
  const [problem] = parsed.problems;
  if (problem) throw refuse(`${problem.file}:${problem.line}:${problem.column} ${problem.message}`, problem.remedy);
  const { current_state: initial, states: list } = (parsed.value ?? {}) as {
    current_state?: unknown;
    states?: unknown;
  };
  if (!Array.isArray(list) || list.length === 0)
    throw refuse(`${file} has no list of states`, "give the file that StateService was started with");
  const olds = list as OldState[];
  for (const [index, old] of olds.entries()) checkState(parsed.locate(["states", index]), old);
  const names = olds.map(({ name }) => name);
  if (typeof initial !== "string" || !names.includes(initial))
    throw refuse(`current_state is ${String(initial)}, which is not among the states`, `states: ${names.join(", ")}`);
  const states: Record<string, { enter: object[] } | null> = {};
  for (const old of olds)
    states[old.name] = {
      enter: olds.flatMap((from) => (from.target?.name === old.name ? [entryFrom(from, options.offset)] : [])),
    };
  for (const old of olds) {
    if (old.target?.name !== undefined && !names.includes(old.target.name))
      throw refuse(
        `${old.name} leads to ${old.target.name}, which is not among the states`,
        `states: ${names.join(", ")}`,
      );
    if (states[old.name]?.enter.length === 0) states[old.name] = null;
  }
  return {
    machine: {
      machine: options.name,
      description: "Imported from StateService",
      initial,
      states: withoutUnreachable(states, initial),
    },
    group: {
      group: options.name.replaceAll(/[^a-z0-9_]/g, "_").replace(/^[^a-z]+/, "") || "imported",
      machines: [options.name],
    },
  };
}

function checkState(place: { file: string; line: number }, old: OldState): void {
  const where = `${place.file}:${place.line}`;
  if (typeof old?.name !== "string" || !new RegExp(statePattern).test(old.name))
    throw refuse(`${where}: a state has no usable name`, "letters, digits, dots, dashes and underscores");
  if (old.func === undefined) return;
  if (old.func !== "increment" && old.func !== "time")
    throw refuse(`${where}: ${old.name} has the function ${old.func}`, "increment and time can be converted");
  const when = old.target?.when;
  if (old.target?.name === undefined || when?.value === undefined)
    throw refuse(
      `${where}: ${old.name} has a function and no target with a value`,
      "add target.name and target.when.value",
    );
  if (old.func === "increment" && (!Number.isInteger(when.value) || !Number.isInteger(old.current?.value ?? 0)))
    throw refuse(`${where}: ${old.name} counts to ${when.value}`, "a whole number is needed");
  if (
    old.func === "increment" &&
    old.current?.key !== undefined &&
    when.key !== undefined &&
    old.current.key !== when.key
  ) {
    throw refuse(
      `${where}: ${old.name} counts ${old.current.key} and waits for ${when.key}`,
      "StateService would compare them all the same: name one key",
    );
  }
  if (old.func === "time" && !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/.test(String(when.value)))
    throw refuse(`${where}: ${old.name} waits for ${when.value}`, "the form is 3000-01-01T12:00:00");
}

function entryFrom(from: OldState, offset: string): object {
  const value = from.target?.when?.value;
  if (from.func === "time") return { from: from.name, when: `now >= timestamp("${value}${offset}")`, auto: true };
  if (from.func === undefined) return { from: from.name, auto: true };
  const updates = Math.max(1, Number(value) - (from.current?.value ?? 0));
  return { from: from.name, when: `updates >= ${updates}`, auto: true };
}

/** StateService let a file have states before `current_state`; nothing leads there any more, so they are left out. */
function withoutUnreachable(
  states: Record<string, { enter: object[] } | null>,
  initial: string,
): Record<string, unknown> {
  const reached = new Set([initial]);
  for (let size = 0; size < reached.size; ) {
    size = reached.size;
    for (const [name, state] of Object.entries(states)) {
      if (state?.enter.some((entry) => reached.has((entry as { from: string }).from))) reached.add(name);
    }
  }
  const kept = Object.entries(states).filter(([name]) => reached.has(name));
  return Object.fromEntries(
    kept.map(([name, state]) => {
      const enter = (state?.enter ?? []).filter((entry) => reached.has((entry as { from: string }).from));
      return [name, enter.length === 0 ? null : { enter }];
    }),
  );
}

function refuse(message: string, hint: string): Failure {
  return new Failure("invalid", message, { reason: "NotConvertible", hint });
}
