// stateward plan BASE..HEAD: what a change would do, from the repository alone: no server, no secrets, no network.
import { join } from "node:path";
import { planReport } from "../forge/plan-report.ts";
import { titleOf } from "../forge/plan-title.ts";
import { valueDiff } from "../forge/value-diff.ts";
import { Failure } from "../model/failure.ts";
import { formatProblem } from "../model/problem.ts";
import type { Proposal, ProposedMove } from "../model/proposal.ts";
import { propose } from "../plan/proposal.ts";
import { offlineEnvironment, parseRange, readChange } from "./change-reader.ts";
import { withoutSecrets } from "./hidden.ts";
import { paint, print, printJson } from "./output.ts";
import { type GlobalOptions, openWorkspace } from "./workspace.ts";

export interface ProposeOptions extends GlobalOptions {
  readonly record?: string;
  readonly markdown?: boolean;
  readonly exitCode?: boolean;
}

/** Prints the proposal. Exit status 1 when HEAD has problems, 3 with changes and `--exit-code`. */
export async function proposeCommand(options: ProposeOptions, range: string): Promise<number> {
  const revisions = parseRange(range);
  if (revisions === null) throw usage(`not a range of commits: ${range}`);
  if (options.json && options.markdown) throw usage("--json and --markdown exclude each other");
  // Also for the processes that parse documents.
  Object.assign(process.env, offlineEnvironment);
  const { folder, data, secrets } = openWorkspace(options);
  const source = { folder, cache: join(data, "cache"), record: options.record ?? null };
  const proposal = withoutSecrets(propose(await readChange(source, revisions)), secrets);
  if (options.json) printJson(proposal);
  else if (options.markdown) process.stdout.write(planReport(proposal).comment);
  else printProposal(proposal);
  if (proposal.errors.length > 0) return 1;
  return options.exitCode && proposal.moves.length + proposal.changes.length > 0 ? 3 : 0;
}

function usage(message: string): Failure {
  return new Failure("invalid", message, { reason: "Usage", hint: "stateward plan --help shows how" });
}

const namesMax = 8;
const listMax = 20;

function listed(names: readonly string[]): string {
  const more = names.length > namesMax ? ` and ${names.length - namesMax} more` : "";
  return `${names.slice(0, namesMax).join(", ")}${more}`;
}

function printProposal(proposal: Proposal): void {
  const { errors, warnings, hindrances, moves, noPaths, removed, rollouts, play, changes, owners, notes } = proposal;
  for (const problem of errors) print(paint("red", formatProblem(problem)));
  for (const problem of warnings) print(paint("yellow", formatProblem(problem)));
  for (const move of moves.slice(0, listMax)) printMove(move);
  if (moves.length > listMax) print(`and ${moves.length - listMax} more moves (--json shows them all)`);
  for (const { names, message, missing } of noPaths) {
    const entry = missing === null ? "" : `; an entry of ${missing.to} from ${missing.from} would make one`;
    print(paint("red", `${listed(names)}: ${message}${entry}`));
  }
  if (removed.hosts.length > 0) print(paint("red", `removed: ${listed(removed.hosts)}`));
  for (const { names, before, after, kind } of changes.slice(0, listMax)) {
    print(`${kind} ${listed(names)}`);
    for (const line of valueDiff({ before, after }).split("\n").slice(0, 40)) print(`    ${diffLine(line)}`);
  }
  if (changes.length > listMax) print(`and ${changes.length - listMax} more changes of values (--json shows them all)`);
  for (const { scope, hosts, waves } of rollouts)
    print(`rollout ${scope}: ${hosts} hosts, waves up to ${waves.join(", ")}`);
  if (play !== null) print(`played forward: ${play.transitions} transitions, at most ${play.peak} at once`);
  for (const { message, remedy, names } of hindrances)
    print(paint("yellow", `${names.length === 0 ? "" : `${listed(names)}: `}${message}; ${remedy}`));
  if (owners.length > 0) print(`owners: ${listed(owners)}`);
  for (const note of notes) print(paint("dim", note));
  print(paint("bold", titleOf(proposal)));
}

function printMove({ machine, from, to, names, path }: ProposedMove): void {
  print(`${paint("bold", listed(names))}  ${machine}: ${from} -> ${to}`);
  for (const { from: state, to: next, steps, effect, guard } of path) {
    const once = steps.filter(({ repeat }) => repeat === "never").map(({ title }) => title);
    const never = once.length > 0 ? `, never repeated: ${once.join("; ")}` : "";
    print(`    ${state} -> ${next}  ${steps.length === 1 ? "1 step" : `${steps.length} steps`}, ${effect}${never}`);
    if (guard !== null)
      print(paint("dim", `        ${guard.closed > 0 ? "waits for" : "allowed now by"}: ${guard.when}`));
  }
}

function diffLine(line: string): string {
  return line.startsWith("+") ? paint("green", line) : line.startsWith("-") ? paint("red", line) : line;
}
