// How a change of targets spreads: canary, waves, soak, and where it halts. What is recorded of it says how far it is; who is next
// follows from how hosts stand.
import { atMost } from "../model/amount.ts";
import { isoTime } from "../model/duration.ts";
import type { RolloutRecord } from "../model/record.ts";
import type { RolloutSpec } from "../model/types.ts";
import { specOf } from "./standing.ts";
import { currentReport, skewMs, type World } from "./world.ts";

/** Hosts that may have begun by the end of a wave, of `total` that are to be moved. Each wave after the canary has at least one. */
export function capOf({ canary, waves }: Pick<RolloutSpec, "canary" | "waves">, wave: number, total: number): number {
  let cap = Math.min(canary, total);
  for (let index = 0; index < wave && cap < total; index++) {
    const size = waves[Math.min(index, waves.length - 1)];
    cap += size === undefined ? total : Math.max(1, atMost(size, total));
  }
  return Math.min(cap, total);
}

/** The caps of all waves, the canary first, as far as `total` needs them; for people. */
export function wavesOf(spec: Pick<RolloutSpec, "canary" | "waves">, total: number): number[] {
  const caps: number[] = [];
  if (total === 0) return caps;
  for (let wave = firstWave(spec); caps.at(-1) !== total && caps.length < 1000; wave++)
    caps.push(capOf(spec, wave, total));
  return caps;
}

function firstWave({ canary }: Pick<RolloutSpec, "canary">): number {
  return canary > 0 ? 0 : 1;
}

/** Where a rollout is. One that is not recorded yet is at its beginning. */
export interface RolloutState {
  readonly wave: number;
  readonly phase: RolloutRecord["phase"];
  readonly message: string;
  readonly isRecorded: boolean;
}

/** The rollout of a scope as it stands, recorded or about to be: a newer change than the one recorded begins anew. */
export function rolloutState(world: World, scope: string): RolloutState {
  const recorded = world.fleet.rollouts[scope];
  const tally = world.tally.scope(scope);
  if (recorded === undefined || recorded.phase === "done" || recorded.id !== tally.id)
    return {
      wave: firstWave(specOf(world.desired.loaded.repository, scope)),
      phase: "running",
      message: "",
      isRecorded: false,
    };
  const { wave, phase, message } = recorded;
  return { wave, phase, message, isRecorded: true };
}

/** Why a host may not begin in a rollout yet. */
export interface RolloutRefusal {
  readonly reason: "RolloutWaiting" | "RolloutHalted";
  readonly message: string;
}

/** Why a host that is not part of it yet may not begin, or null. Whoever is told a reason waits at the rollout's gate. */
export function rolloutRefusal(world: World, scope: string, region: string): RolloutRefusal | null {
  const { repository } = world.desired.loaded;
  const spec = specOf(repository, scope);
  const { phase, message } = rolloutState(world, scope);
  const name = scopeText(scope);
  const reason = "RolloutWaiting";
  if (spec.paused) return { reason, message: `the rollout of ${name} is paused` };
  if (phase === "halted") return { reason: "RolloutHalted", message: `the rollout of ${name} is halted: ${message}` };
  const earlier = earlierRegion(world, scope, region);
  if (earlier === null) return null;
  const later = region === "" ? "hosts without a region" : region;
  return { reason, message: `the rollout of ${name} does ${earlier} before ${later}` };
}

/** A region that comes before this one and has hosts that have still to arrive, or null. */
function earlierRegion(world: World, scope: string, region: string): string | null {
  const { order } = specOf(world.desired.loaded.repository, scope);
  const { open } = world.tally.scope(scope);
  for (const other of order) {
    if (other === region) return null;
    if (open.has(other)) return other;
  }
  return null;
}

/** Index in the order of the last region whose turn it may be: hosts of later ones are refused, however much room there is. */
export function regionOnTurn(world: World, scope: string): number {
  const { order } = specOf(world.desired.loaded.repository, scope);
  const { open } = world.tally.scope(scope);
  const index = order.findIndex((region) => open.has(region));
  return index < 0 ? order.length : index;
}

/** Hosts that may still begin in the wave that is running. */
export function rolloutRoom(world: World, scope: string): number {
  const { wave, phase } = rolloutState(world, scope);
  const spec = specOf(world.desired.loaded.repository, scope);
  if (phase !== "running" || spec.paused) return 0;
  const tally = world.tally.scope(scope);
  if (tally.failed > failuresOf(spec, wave)) return 0;
  return capOf(spec, wave, tally.size) - tally.active - tally.done - tally.failed;
}

/** Failures that a wave bears: none in the canary. */
function failuresOf({ maxFailures }: RolloutSpec, wave: number): number {
  return wave === 0 ? 0 : maxFailures;
}

/** `site to v2 in web`, and `site to v2` for the fleet. */
export function scopeText(scope: string): string {
  const [group = "", change = ""] = scope.split(/\/(.*)/s);
  const text = change.replace("=", " to ");
  return group === "fleet" ? text : `${text} in ${group}`;
}

/** A wave's name for people. */
export function waveText(wave: number): string {
  return wave === 0 ? "the canary" : `wave ${wave}`;
}

export interface RolloutStep {
  readonly record: RolloutRecord;
  readonly summary: string;
}

/** What is to be recorded of a scope's rollout next, and when to look again; nothing while it stays as it is. */
export function nextRollout(
  world: World,
  scope: string,
): { readonly step: RolloutStep | null; readonly wakeAt: number | null } {
  const tally = world.tally.scope(scope);
  const recorded = world.fleet.rollouts[scope] ?? null;
  const open = tally.pending + tally.active + tally.parked + tally.failed;
  if (open === 0) return { step: finished(world, scope, recorded), wakeAt: null };
  if (recorded === null || recorded.phase === "done" || recorded.id !== tally.id) {
    // Hosts that only wait, held or unheard, do not make a rollout: it begins with the first that could start.
    const isOver = recorded === null || recorded.phase === "done";
    const isIdle = isOver && tally.pending + tally.active === 0;
    return { step: isIdle ? null : begun(world, scope, recorded), wakeAt: null };
  }
  const step = broughtBack(world, scope, recorded);
  return step === null ? goneOn(world, scope, recorded) : { step, wakeAt: null };
}

/** A rollout that began in the future, by a clock that was wrong: nobody could be seen to have moved in it before that time has come. */
function broughtBack(world: World, scope: string, recorded: RolloutRecord): RolloutStep | null {
  const now = isoTime(world.now);
  const most = isoTime(world.now + skewMs);
  if (recorded.since <= most && recorded.phaseSince <= most) return null;
  const since = recorded.since > most ? now : recorded.since;
  const summary = `fleet: rollout of ${scopeText(scope)} began at ${recorded.since} by another clock: it is ${now}`;
  return { record: { ...recorded, since, phaseSince: now }, summary };
}

function finished(world: World, scope: string, recorded: RolloutRecord | null): RolloutStep | null {
  if (recorded === null || recorded.phase === "done") return null;
  const { done } = world.tally.scope(scope);
  const end = done === 0 ? "is over: no host is to be moved any more" : `is done: ${hosts(done)} moved`;
  return inPhase(world, recorded, { phase: "done" }, `fleet: rollout of ${scopeText(scope)} ${end}`);
}

/** The rollout that a new one takes the place of: of the same change, defined otherwise, or of another one of the same machine. */
function preempted(world: World, scope: string, before: RolloutRecord | null): RolloutRecord | null {
  if (before !== null && before.phase !== "done") return before;
  const machine = scope.slice(0, scope.indexOf("=") + 1);
  const others = Object.entries(world.fleet.rollouts).filter(
    ([other, { phase }]) => other.startsWith(machine) && phase !== "done" && world.tally.scope(other).size === 0,
  );
  const latest = (entry: readonly [string, RolloutRecord]): string => `${entry[1].since} ${entry[0]}`;
  return others.toSorted((a, b) => (latest(a) < latest(b) ? 1 : -1))[0]?.[1] ?? null;
}

function begun(world: World, scope: string, before: RolloutRecord | null): RolloutStep {
  const { id, size } = world.tally.scope(scope);
  const at = isoTime(world.now);
  const { commit } = world.desired;
  const spec = specOf(world.desired.loaded.repository, scope);
  const other = preempted(world, scope, before);
  const record: RolloutRecord = {
    id,
    commit,
    since: at,
    wave: firstWave(spec),
    phase: "running",
    phaseSince: at,
    message: "",
  };
  const how = `${hosts(size)} in waves of ${wavesOf(spec, size).slice(0, 6).join(", ")}`;
  const word =
    other === null ? "begins" : `pre-empts the one of ${other.commit.slice(0, 8)} (${other.phase}), and begins`;
  return { record, summary: `fleet: rollout of ${scopeText(scope)} ${word}: ${how}` };
}

function goneOn(
  world: World,
  scope: string,
  recorded: RolloutRecord,
): { step: RolloutStep | null; wakeAt: number | null } {
  const spec = specOf(world.desired.loaded.repository, scope);
  const tally = world.tally.scope(scope);
  const name = scopeText(scope);
  const { wave, phase } = recorded;
  if (tally.failed > failuresOf(spec, wave)) {
    const [first = ""] = [...tally.failedNames].toSorted();
    const others = tally.failed > 1 ? ` and ${tally.failed - 1} more` : "";
    const message = `${first}${others} failed in ${waveText(wave)}`;
    if (phase === "halted" && recorded.message === message) return { step: null, wakeAt: null };
    return still(inPhase(world, recorded, { phase: "halted", message }, `fleet: rollout of ${name} halts: ${message}`));
  }
  if (phase === "halted")
    return still(inPhase(world, recorded, { phase: "running" }, `fleet: rollout of ${name} goes on`));
  const cap = capOf(spec, wave, tally.size);
  const isFull = tally.done + tally.failed >= cap;
  if (phase === "soaking" && !isFull)
    return still(
      inPhase(world, recorded, { phase: "running" }, `fleet: rollout of ${name}: ${waveText(wave)} did not hold`),
    );
  // The last wave ends when nothing is left to do.
  if (!isFull || cap >= tally.size) return { step: null, wakeAt: null };
  if (phase === "running" && spec.soakMs > 0)
    return still(
      inPhase(
        world,
        recorded,
        { phase: "soaking" },
        `fleet: rollout of ${name}: ${waveText(wave)} is done (${tally.done} of ${tally.size}), and soaks`,
      ),
    );
  const endsAt = Date.parse(recorded.phaseSince) + spec.soakMs;
  if (phase === "soaking" && world.now < endsAt) return { step: null, wakeAt: endsAt };
  if (phase === "soaking" && !soaked(world, scope, recorded)) return { step: null, wakeAt: world.now + 1000 };
  const next = { wave: wave + 1, phase: "running" } as const;
  const upTo = capOf(spec, wave + 1, tally.size);
  return still(
    inPhase(
      world,
      recorded,
      next,
      `fleet: rollout of ${name}: wave ${wave + 1}, up to ${upTo} of ${hosts(tally.size)}`,
    ),
  );
}

function still(step: RolloutStep): { step: RolloutStep; wakeAt: null } {
  return { step, wakeAt: null };
}

function inPhase(world: World, before: RolloutRecord, change: Partial<RolloutRecord>, summary: string): RolloutStep {
  return { record: { ...before, message: "", phaseSince: isoTime(world.now), ...change }, summary };
}

/** Whether every host that has arrived was heard since the soak began, and is heard now: silence proves nothing. */
function soaked(world: World, scope: string, { phaseSince }: RolloutRecord): boolean {
  const from = Date.parse(phaseSince);
  for (const host of world.desired.loaded.repository.hosts.values()) {
    const standing = world.tally.standing(host.name);
    if (!standing?.parts.some((part) => part.scope === scope && part.stage === "done")) continue;
    const heard = currentReport(world, host);
    if (!("report" in heard) || heard.report.at < from) return false;
  }
  return true;
}

function hosts(count: number): string {
  return count === 1 ? "1 host" : `${count} hosts`;
}
