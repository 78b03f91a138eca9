// Makes a scenario smaller while it still breaks the same promise: what is left shows what the failure needs.
import type { Act, Scenario, Timed } from "./scenario.ts";

export interface Shrunk {
  readonly scenario: Scenario;
  readonly plays: number;
}

/**
 * `fails` plays a candidate. Acts are left out by ddmin (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input",
 * IEEE TSE 2002), then chances are set to nothing, then there are fewer processes and hosts and less time.
 */
export async function shrink(
  start: Scenario,
  fails: (candidate: Scenario) => Promise<boolean>,
  { playsMax = 200 } = {},
): Promise<Shrunk> {
  let scenario = start;
  let plays = 0;
  const attempt = async (candidate: Scenario): Promise<boolean> => {
    if (plays >= playsMax) return false;
    plays++;
    if (!(await fails(candidate))) return false;
    scenario = candidate;
    return true;
  };
  await withFewerActs(() => scenario, attempt);
  for (const quieter of quieterOnes) await attempt(quieter(scenario));
  while (scenario.processes.length > 1 && (await attempt(withoutLastProcess(scenario)))) {
    // Each time one fewer.
  }
  for (const { name } of start.repository.hosts) await attempt(withoutHost(scenario, name));
  while (scenario.actsMs > shortestMs && (await attempt(shorter(scenario)))) {
    // Each time half of it.
  }
  return { scenario, plays };
}

const shortestMs = 10_000;

/** Leaves out halves, then quarters, down to single acts. */
async function withFewerActs(
  current: () => Scenario,
  attempt: (candidate: Scenario) => Promise<boolean>,
): Promise<void> {
  if (await attempt({ ...current(), script: [] })) return;
  for (let size = Math.ceil(current().script.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let from = 0; from < current().script.length; ) {
      const script = current().script.filter((_, index) => index < from || index >= from + size);
      if (!(await attempt({ ...current(), script }))) from += size;
    }
  }
}

const quieterOnes: readonly ((scenario: Scenario) => Scenario)[] = [
  (scenario) => ({
    ...scenario,
    lost: 0,
    twice: 0,
    steps: { ...scenario.steps, fails: 0, hangs: 0, unheard: 0, late: 0 },
  }),
  (scenario) => ({ ...scenario, lost: 0 }),
  (scenario) => ({ ...scenario, twice: 0 }),
  (scenario) => ({ ...scenario, steps: { ...scenario.steps, fails: 0 } }),
  (scenario) => ({ ...scenario, steps: { ...scenario.steps, hangs: 0 } }),
  (scenario) => ({ ...scenario, steps: { ...scenario.steps, unheard: 0 } }),
  (scenario) => ({ ...scenario, steps: { ...scenario.steps, late: 0 } }),
  (scenario) => ({ ...scenario, processes: scenario.processes.map((sketch) => ({ ...sketch, skewMs: 0, rate: 1 })) }),
];

/** Acts upon the last one are left out with it. */
function withoutLastProcess(scenario: Scenario): Scenario {
  const processes = scenario.processes.slice(0, -1);
  const script = scenario.script.filter(({ act }) => !("process" in act) || act.process < processes.length);
  return { ...scenario, processes, script };
}

function withoutHost(scenario: Scenario, name: string): Scenario {
  const hosts = scenario.repository.hosts.filter((host) => host.name !== name);
  if (hosts.length === 0) return scenario;
  const script = scenario.script.flatMap(({ at, act }): Timed[] => {
    const left = actWithoutHost(act, name);
    return left === null ? [] : [{ at, act: left }];
  });
  return { ...scenario, repository: { ...scenario.repository, hosts }, script };
}

function actWithoutHost(act: Act, name: string): Act | null {
  if (act.kind === "add") return act;
  if ("host" in act) return act.host === name ? null : act;
  if (act.kind === "hold") return act.select === name ? null : act;
  if (!("hosts" in act)) return act;
  const hosts = act.hosts.filter((host) => host !== name);
  return hosts.length === 0 ? null : { ...act, hosts };
}

function shorter(scenario: Scenario): Scenario {
  const actsMs = Math.ceil(scenario.actsMs / 2);
  return { ...scenario, actsMs, script: scenario.script.filter(({ at }) => at <= actsMs) };
}
