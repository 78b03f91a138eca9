// One crash: a scenario with the kill armed, a start after it, and the judgement.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { collect } from "./collect.ts";
import { judge } from "./judge.ts";
import { recover } from "./recover.ts";
import type { Scenario } from "./scenarios/common.ts";
import { Died, Site } from "./site.ts";

export interface Ground {
  readonly template: string;
  readonly port: number;
}

export interface CrashOrder {
  readonly scenario: Scenario;
  /** `NAME:PHASE:NTH`; null to kill nobody. */
  readonly point: string | null;
  /** Go on from the remote alone. */
  readonly isFresh: boolean;
}

export interface CrashResult {
  readonly hasCrashed: boolean;
  /** What was broken, one sentence each. */
  readonly broken: readonly string[];
  /** What the processes said, for people. */
  readonly said: string;
}

/** Plays a scenario up to the crash, or to its end, and judges what becomes of it. */
export async function crash(
  { template, port }: Ground,
  { scenario, point, isFresh }: CrashOrder,
): Promise<CrashResult> {
  await using site = await Site.open(template, point === null ? {} : armedWith(template, point));
  let hasCrashed = false;
  const broken: string[] = [];
  try {
    await scenario.play(site, port).catch((error: unknown) => {
      hasCrashed = site.hasCrashed();
      if (!(error instanceof Died)) throw error;
    });
    await site.killAll();
    const recovered = await (isFresh
      ? recover(site, "fresh", ["--take-over"])
      : recover(site, site.crashedData() ?? scenario.data, []));
    broken.push(...(await judge(site, await collect(site, recovered), recovered)));
  } catch (error) {
    broken.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
  const said = broken.length === 0 ? "" : `${site.said()}\n${await site.log()}`;
  return { hasCrashed, broken, said };
}

/** Plays a scenario to its end, and resolves to how often each `NAME:PHASE` was passed. Rejects when a promise was broken. */
async function survey({ template, port }: Ground, scenario: Scenario): Promise<Map<string, number>> {
  const list = join(template, `list-${scenario.name}-${process.pid}`);
  await using site = await Site.open(template, { STATEWARD_CRASH_LIST: list });
  await scenario.play(site, port).catch((error: unknown) => {
    throw new Error(`${scenario.name}, without a crash: ${String(error)}\n${site.said()}`);
  });
  const recovered = await recover(site, scenario.data, []);
  const broken = await judge(site, await collect(site, recovered), recovered);
  if (broken.length > 0) throw new Error(`${scenario.name}, without a crash: ${broken.join("\n")}\n${site.said()}`);
  const counts = new Map<string, number>();
  for (const line of (await readFile(list, "utf8")).split("\n")) {
    const [name = "", phase = "", count = "1"] = line.split(":");
    if (phase !== "") counts.set(`${name}:${phase}`, Math.max(counts.get(`${name}:${phase}`) ?? 0, Number(count)));
  }
  return counts;
}

/** How often each scenario passes a point in a phase, by `NAME:PHASE`. */
export type Passes = ReadonlyMap<string, readonly (readonly [Scenario, number])[]>;

export async function surveyAll(ground: Ground, scenarios: readonly Scenario[]): Promise<Passes> {
  const passes = new Map<string, [Scenario, number][]>();
  await eachOf(scenarios, async (scenario) => {
    for (const [key, times] of await survey(ground, scenario))
      passes.set(key, [...(passes.get(key) ?? []), [scenario, times]]);
  });
  return passes;
}

/** The name in `NAME:PHASE`. */
export const nameOf = (key: string): string => key.slice(0, key.lastIndexOf(":"));

/** Two at a time. */
export async function eachOf<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  const worker = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
  };
  await Promise.all([worker(), worker()]);
}

let sites = 0;

function armedWith(template: string, point: string): Readonly<Record<string, string>> {
  return { STATEWARD_CRASH: point, STATEWARD_CRASH_ONCE: join(template, `once-${process.pid}-${++sites}`) };
}
