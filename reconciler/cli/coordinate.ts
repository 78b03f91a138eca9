// Commands with which people coordinate a fleet: hold, release, approve, brake release, fleet, why.
import { userInfo } from "node:os";
import { formatDuration } from "../model/duration.ts";
import { Failure } from "../model/failure.ts";
import type { FleetView, RolloutView, SubjectView, WhyView } from "../model/ports.ts";
import { fleetView, whyView } from "../plan/fleet-view.ts";
import { whyLines } from "../plan/why.ts";
import { type Api, findApi, needApi } from "./api.ts";
import { fleetLines, print, printJson, table } from "./output.ts";
import { readRemote } from "./recorded.ts";
import { unknown } from "./unknown-subject.ts";
import { type GlobalOptions, openWorkspace, type Workspace } from "./workspace.ts";

export interface ByOptions extends GlobalOptions {
  readonly by?: string;
}

/** Who says it: as told, else who runs the command. */
export function nameOf({ by }: Pick<ByOptions, "by">): string {
  return by ?? process.env.STATEWARD_USER ?? userInfo().username;
}

export interface HoldOptions extends ByOptions {
  readonly reason: string;
  readonly until?: string;
}

/** stateward hold SELECTOR: nothing is started on these hosts. */
export async function hold(options: HoldOptions, select: string): Promise<number> {
  const api = await needApi(openWorkspace(options));
  const until = endOf(options);
  const order = { select, reason: options.reason, by: nameOf(options), ...(until === null ? {} : { until }) };
  const held = await api.post<{ select: string; hosts: number }>("/v1/holds", order);
  if (options.json) printJson(held);
  else
    print(
      `${held.select} is held (${held.hosts === 1 ? "1 host" : `${held.hosts} hosts`}); lift it with: stateward release ${select}`,
    );
  return 0;
}

function endOf({ until }: HoldOptions): string | null {
  if (until === undefined) return null;
  const at = Date.parse(until);
  if (Number.isNaN(at) || !/T.*(Z|[+-]\d\d:\d\d)$/i.test(until))
    throw new Failure("invalid", `not a time: ${until}`, { reason: "Usage", hint: "such as 2026-12-01T09:00:00Z" });
  return new Date(at).toISOString();
}

/** stateward release SELECTOR: lifts what hold put on. */
export async function release(options: ByOptions, select: string): Promise<number> {
  const api = await needApi(openWorkspace(options));
  const released = await api.post<{ select: string }>("/v1/releases", { select, by: nameOf(options) });
  if (options.json) printJson(released);
  else {
    print(`${released.select} is released`);
    const still = await stillHeld(api, released.select);
    if (still !== null) print(`  but it is still ${still}`);
  }
  return 0;
}

/** How a host is held by another hold than the one that was lifted; null where it is free, or no host is meant. */
async function stillHeld(api: Api, select: string): Promise<string | null> {
  const [, name] = /^host\/(.+)$/.exec(select) ?? [];
  if (name === undefined) return null;
  return (await api.get<SubjectView>(`/v1/hosts/${encodeURIComponent(name)}`).catch(() => null))?.held ?? null;
}

/** stateward approve COMMIT: a person's word for a commit that moves or removes many hosts. */
export async function approve(options: ByOptions, commit: string): Promise<number> {
  if (!/^[0-9a-f]{7,40}$/.test(commit)) {
    throw new Failure("invalid", `not a commit: ${commit}`, {
      reason: "Usage",
      hint: "give at least 7 digits of the one that waits: stateward status shows it",
    });
  }
  const api = await needApi(openWorkspace(options));
  const approved = await api.post<{ commit: string; inForce: boolean }>("/v1/approvals", {
    commit,
    by: nameOf(options),
  });
  if (options.json) printJson(approved);
  else
    print(
      `${approved.commit.slice(0, 8)} is approved, ${approved.inForce ? "and in force" : "and a newer commit is on main: stateward status"}`,
    );
  return 0;
}

export interface BrakeOptions extends ByOptions {
  readonly reason: string;
}

/** stateward brake release: healing goes on after a person has looked. */
export async function releaseBrake(options: BrakeOptions): Promise<number> {
  const api = await needApi(openWorkspace(options));
  const { reason } = options;
  const { braked } = await api.get<FleetView>("/v1/fleet");
  await api.post("/v1/brake-releases", { by: nameOf(options), reason });
  if (options.json) printJson({ released: true });
  else if (braked === null) print("the brake was not on; what was lost until now is not counted again");
  else print("the brake is released: healing goes on");
  return 0;
}

/** stateward fleet: rollouts, governors, holds, brakes. */
export async function fleet(options: GlobalOptions): Promise<number> {
  const workspace = openWorkspace(options);
  const api = await leading(workspace);
  const view = api ? await api.get<FleetView>("/v1/fleet") : fleetView((await readRemote(workspace)).world, null);
  if (options.json) printJson(view);
  else printFleet(view);
  return 0;
}

/** The reconciler that runs on this folder and leads; null where there is none. */
async function leading(workspace: Workspace): Promise<Api | null> {
  const api = await findApi(workspace);
  const health = await api?.get<{ record: { role: string } }>("/readyz");
  return health?.record.role === "leading" ? api : null;
}

function printFleet(view: FleetView): void {
  for (const line of fleetLines(view)) print(line);
  const rows = view.rollouts.map(rolloutRow);
  if (rows.length > 0)
    print(
      table([
        ["ROLLOUT", "COMMIT", "PHASE", "WAVE", "DONE", "ACTIVE", "FAILED", "PENDING", "PARKED", "MESSAGE"],
        ...rows,
      ]),
    );
  const governors = view.governors.map(({ name, limit, holders, waiting }) => [
    name,
    `${holders.length}/${limit}`,
    String(waiting),
    holders.map(({ host }) => host).join(", "),
  ]);
  if (governors.length > 0) print(table([["GOVERNOR", "HELD", "WAITING", "HOLDERS"], ...governors]));
}

function rolloutRow({ scope, commit, phase, wave, waves, hosts, message }: RolloutView): string[] {
  const { done, active, failed, pending, parked } = hosts;
  const of =
    waves.length === 0 ? "-" : `${wave} (${waves[Math.min(wave, waves.length - 1)] ?? 0} of ${waves.at(-1) ?? 0})`;
  return [
    scope,
    commit.slice(0, 8),
    phase,
    phase === "done" ? "-" : of,
    ...[done, active, failed, pending, parked].map(String),
    message,
  ];
}

export interface WhyOptions extends GlobalOptions {
  readonly whatIf?: string;
}

/** stateward why HOST: the chain of reasons to its root. */
export async function why(options: WhyOptions, name: string): Promise<number> {
  const workspace = openWorkspace(options);
  const api = await leading(workspace);
  const view = api
    ? await ask(api, name, options.whatIf)
    : whyView((await readRemote(workspace)).world, name, options.whatIf ?? null);
  if (view === null) throw unknown(name);
  if (options.json) printJson(view);
  else printWhy(view);
  return 0;
}

function ask(api: Api, name: string, word: string | undefined): Promise<WhyView> {
  const query = word === undefined ? "" : `?what_if=${encodeURIComponent(word)}`;
  return api.get<WhyView>(`/v1/hosts/${encodeURIComponent(name)}/why${query}`);
}

function printWhy({ subject, causes, whatIf }: WhyView): void {
  if (causes.length === 0) print(`${subject} is in its target states`);
  for (const line of whyLines(causes)) print(line);
  if (whatIf === null) return;
  const { word, arrives, isCut, afterMs, moves } = whatIf;
  if (arrives)
    print(
      `if ${word}: ${subject} would be in its target states ${afterMs === 0 ? "at once" : `after about ${formatDuration(afterMs ?? 0)}`}`,
    );
  else
    print(
      `if ${word}: ${subject} would ${isCut ? "not arrive soon: too many others come before" : "still not arrive"}`,
    );
  for (const { machine, from, to, atMs } of moves)
    print(`  after ${formatDuration(atMs)}  ${machine}: ${from} -> ${to}`);
  for (const line of whyLines(whatIf.causes, "  ")) print(line);
}
