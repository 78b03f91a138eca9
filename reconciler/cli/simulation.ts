// stateward plan --simulate: the plan played forward, for people.
import { formatDuration } from "../model/duration.ts";
import { type PlayedFleet, simulate } from "../plan/simulate.ts";
import type { World } from "../plan/world.ts";
import { paint, print, printJson, table } from "./output.ts";
import type { GlobalOptions } from "./workspace.ts";

export interface SimulationPrint extends GlobalOptions {
  /** Hosts whose moves are shown one by one. */
  readonly names: readonly string[];
  readonly exitCode?: boolean;
}

/** Plays, prints, and resolves to the exit status: 3 where something would change, with `--exit-code`. */
export function printSimulation(world: World, options: SimulationPrint): number {
  const played = simulate(world);
  const { world: _end, ...shown } = played;
  if (options.json) printJson(shown);
  else printPlayed(played, options.names);
  return options.exitCode && played.moves.length > 0 ? 3 : 0;
}

function printPlayed(played: PlayedFleet, names: readonly string[]): void {
  const { moves, fleet, groups, peak, durationMs, stuck, assumed, isCut } = played;
  for (const { atMs, message } of fleet) print(`${at(atMs)}  ${message.replace(/^fleet: /, "")}`);
  for (const { subject, machine, from, to, atMs, ms } of moves) {
    if (names.includes(subject))
      print(`${at(atMs)}  ${subject}  ${machine}: ${from} -> ${to}  ${paint("dim", formatDuration(ms))}`);
  }
  const rows = groups.map(({ group, size, before, lowest }) => [group, String(size), String(before), String(lowest)]);
  if (rows.length > 0) print(table([["GROUP", "HOSTS", "AVAILABLE NOW", "AT THE LEAST"], ...rows]));
  const hosts = new Set(moves.map(({ subject }) => subject)).size;
  print(
    `${moves.length} transitions of ${hosts} hosts, at most ${peak} at once, in about ${formatDuration(durationMs)}`,
  );
  if (assumed > 0) print(paint("dim", `${assumed} of them were never recorded: 10 s a step are assumed`));
  for (const { subject, machine, reason, message } of stuck.slice(0, shownMax))
    print(paint("yellow", `${subject}  ${machine} does not arrive: ${reason}: ${message}`));
  if (stuck.length > shownMax) print(paint("yellow", `and ${stuck.length - shownMax} more do not arrive`));
  if (isCut) print(paint("red", "given up before its end: it takes longer than 7 days"));
}

const shownMax = 20;

/** `+0:34`, `+1:02:05`: from the beginning, to the second. */
function at(ms: number): string {
  const seconds = Math.round(ms / 1000);
  const two = (value: number): string => String(value).padStart(2, "0");
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  const text = hours > 0 ? `${hours}:${two(minutes)}` : String(minutes);
  return paint("dim", `+${text}:${two(seconds % 60)}`.padEnd(9));
}
