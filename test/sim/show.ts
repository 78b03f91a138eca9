// Histories for people to read.
import type { Happening } from "./history.ts";
import type { Judged } from "./orders.ts";
import { type Played, play } from "./play.ts";
import type { Scenario } from "./scenario.ts";
import type { Shrunk } from "./shrink.ts";

const lineMax = 400;
/** So many happenings before a violation are shown. */
const tailMax = 40;

interface Line {
  readonly at: number;
  readonly text: string;
}

/** Everything that happened and that was traced, by time. */
export async function historyLines(scenario: Scenario, filter: RegExp): Promise<string[]> {
  return (await linesOf(scenario)).map(asText).filter((line) => filter.test(line));
}

/** What is left of a scenario, and what happened before it failed. */
export async function shrunkLines({ scenario, plays }: Shrunk, judged: Judged, promise: string): Promise<string[]> {
  const { repository, processes, steps, lost, twice, actsMs, script } = scenario;
  const violation = judged.violations.find((found) => found.promise === promise);
  const about = new Set(violation?.message.match(/\b(?:[hn]\d+|r\d|crossing)\b/g));
  const isAbout = ({ text }: Line): boolean => about.size === 0 || words(text).some((word) => about.has(word));
  const before = (await linesOf(scenario)).filter(
    (line) => violation !== undefined && (violation.at === 0 || line.at <= violation.at) && isAbout(line),
  );
  return [
    `shrunk in ${plays} plays to ${script.length} acts, ${processes.length} processes, ${repository.hosts.length} hosts, ${actsMs} ms:`,
    ...script.map(({ at, act }) => `  ${String(at).padStart(8)} ${JSON.stringify(act)}`),
    `  ${JSON.stringify({ steps, lost, twice, processes })}`,
    `${promise} at ${violation?.at}: ${violation?.message}`,
    ...before.slice(-tailMax).map((line) => `  ${asText(line)}`),
  ];
}

function asText({ at, text }: Line): string {
  return `${String(at).padStart(8)} ${text}`;
}

function words(text: string): string[] {
  return text.split(/\W+/);
}

async function linesOf(scenario: Scenario): Promise<Line[]> {
  let played: Played;
  try {
    played = await play(scenario, { traces: true });
  } catch (error) {
    return [{ at: 0, text: `it does not end: ${String(error)}` }];
  }
  const traced = played.trace.map((line) => ({ at: Number(line.slice(0, 8)), text: line.slice(9, 9 + lineMax) }));
  const happened = played.events
    .filter(({ kind }) => kind !== "listed")
    .map((event) => ({ at: event.at, text: `# ${short(event)}` }));
  return [...traced, ...happened].toSorted((a, b) => a.at - b.at);
}

/** A commit of `main`, a record and the end are long, and most of them is in the lines around. */
function short(event: Happening): string {
  const leftOut: Readonly<Record<string, unknown>> = { desired: 0, memory: 0, remote: 0, at: 0 };
  const shown = Object.entries(event).flatMap(([key, value]) => {
    if (key === "at") return [];
    if (key === "subjects") return [[key, event.kind === "pushed" ? event.subjects.map(({ name }) => name) : value]];
    return [[key, key in leftOut && typeof value === "object" ? "..." : value]];
  });
  return JSON.stringify(Object.fromEntries(shown)).slice(0, lineMax);
}
