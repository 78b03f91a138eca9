// What people see: colours only on a terminal, one line a fact, a bar for the fleet.
import { stripVTControlCharacters } from "node:util";
import { formatDuration } from "../model/duration.ts";
import type { EngineEvent, FleetView } from "../model/ports.ts";
import { printable } from "../model/printable.ts";

const useColour = process.stdout.isTTY && process.env.NO_COLOR === undefined;
const codes = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, blue: 34 } as const;

export function paint(colour: keyof typeof codes, text: string): string {
  return useColour ? `\u001b[${codes[colour]}m${text}\u001b[0m` : text;
}

export function print(line = ""): void {
  process.stdout.write(`${shown(line)}\n`);
}

/** What a terminal may be given: our own colours, and nothing else that is not there to be read (A3). */
export function shown(text: string): string {
  // oxlint-disable-next-line no-control-regex -- these are what `paint` writes
  const parts = text.split(/(\u001b\[(?:[0-2]|3[1-4])m)/);
  return parts.map((part, index) => (index % 2 === 1 && useColour ? part : printable(part))).join("");
}

const gatheredMs = 20;

/** Gathers lines and writes them together, soon or at the end of the process: a thousand lines then cost little more than one. */
export function gathered(write: (text: string) => void): (line: string) => void {
  let waiting: string[] = [];
  const flush = (): void => {
    const lines = waiting;
    waiting = [];
    if (lines.length > 0) write(lines.join(""));
  };
  process.on("exit", flush);
  return (line) => {
    if (waiting.push(line) === 1) setTimeout(flush, gatheredMs).unref();
  };
}

export function printJson(value: unknown): void {
  print(JSON.stringify(value, null, 2));
}

/** Rows as aligned columns; colours are counted as nothing. */
export function table(rows: readonly (readonly string[])[]): string {
  const plain = (text: string): number => stripVTControlCharacters(text).length;
  const widths: number[] = [];
  for (const row of rows)
    for (const [index, cell] of row.entries()) widths[index] = Math.max(widths[index] ?? 0, plain(cell));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, index) => cell + " ".repeat((widths[index] ?? 0) - plain(cell)))
      .join("  ")
      .trimEnd();
  return rows.map(line).join("\n");
}

/** `[######----] 3/5 hosts in target`. */
export function bar(done: number, total: number): string {
  const width = 20;
  const filled = total === 0 ? width : Math.floor((done / total) * width);
  return `[${"#".repeat(filled)}${"-".repeat(width - filled)}] ${done}/${total}`;
}

/** A line for an event, or null for those that people need not see. */
export function eventLine(event: EngineEvent): string | null {
  switch (event.kind) {
    case "desired":
      return `main ${event.commit.slice(0, 8)} in force: ${event.hosts} hosts, ${event.machines} machines`;
    case "refused":
      return paint(
        "red",
        `commit ${event.commit.slice(0, 8)} has ${event.problems === 1 ? "1 problem" : `${event.problems} problems`}: the last good one stays in force (stateward status shows them)`,
      );
    case "rebuilt":
      return paint(
        "yellow",
        `${event.subject}  rebuilt (incarnation ${event.incarnation.slice(0, 8)}): what was applied is replayed`,
      );
    case "observed":
      return `${paint("bold", event.subject)}  ${event.machine}: ${event.from} -> ${event.to}  ${paint("dim", why(event.why))}`;
    case "started":
      return null;
    case "entered":
      return `${paint("bold", event.subject)}  ${event.machine}: ${event.from} -> ${paint("green", event.to)}  ${paint("dim", `${formatDuration(event.ms)}${event.reason === "target" ? "" : `, ${event.reason}`}`)}`;
    case "step-failed":
      return paint("red", `${event.subject}  ${event.machine}: step failed: ${event.step}: ${event.message}`);
    case "unapproved": {
      const commit = event.commit.slice(0, 8);
      return paint("yellow", `commit ${commit} waits for a word: ${event.message}; stateward approve ${commit}`);
    }
    case "fleet":
      return paint(/ halts: |brake: /.test(event.message) ? "red" : "yellow", event.message);
    case "repaired":
      return `${paint("bold", event.subject)}  ${event.machine}: ${event.repair} ran  ${paint("dim", formatDuration(event.ms))}`;
    case "condition":
      // Many hosts wait in line at once: status and why tell of each.
      if (inLine.has(event.reason)) return null;
      return paint("yellow", `${event.subject}  ${event.machine}: ${event.reason}: ${event.message}`);
    case "settled":
      return paint("green", `all ${event.total} are in their target states`);
    case "unreachable-remote":
      return paint("yellow", `the desired branch cannot be followed: ${event.message}`);
    case "reachable-remote":
      return "the desired branch is followed again";
    case "fatal":
      return paint("red", `stopped: ${event.message}`);
  }
}

const inLine: ReadonlySet<string> = new Set(["RolloutWaiting", "RolloutHalted", "FleetBusy", "GroupLimit"]);

function why(text: string): string {
  return /\((.*)\)/s.exec(text)?.[1] ?? text;
}

/** What everybody who looks should see: commits that wait, brakes, holds, rollouts that are halted. */
export function fleetLines({ unapproved, braked, holds, rollouts }: FleetView): string[] {
  const halted = rollouts.filter(({ phase }) => phase === "halted");
  return [
    ...(unapproved === null ? [] : [paint("yellow", unapproved.message)]),
    ...(braked === null ? [] : [paint("red", `brake since ${braked.at}: ${braked.message}`)]),
    ...holds.map(({ select, by, at, reason, until }) =>
      paint("yellow", `${select} is held by ${by} since ${at}: ${reason}${until === null ? "" : ` (until ${until})`}`),
    ),
    ...halted.map(({ scope, message }) => paint("red", `rollout ${scope} is halted: ${message}`)),
  ];
}
