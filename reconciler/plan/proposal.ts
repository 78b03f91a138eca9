// What a change between two commits of `main` would do, before anybody merges it. Pure, and the same for the same commits and record:
// its time is that of the newest of them, never a clock.
import { isoTime } from "../model/duration.ts";
import type { DesiredCommit } from "../model/ports.ts";
import { errorsOf, type Problem } from "../model/problem.ts";
import type { Hindrance, Named, Proposal, ProposedPlay } from "../model/proposal.ts";
import type { SubjectRecord } from "../model/record.ts";
import type { Host, Repository } from "../model/types.ts";
import { assumedRecords } from "./assumed.ts";
import { recordedParts } from "./forecast.ts";
import { hindrancesOf, playOf, rolloutsOf } from "./proposed-spread.ts";
import { editedHosts, graphsOf, type SignersChange, valuesChanged } from "./proposed-values.ts";
import { noPathsIn, type Ways, waysOf } from "./proposed-ways.ts";
import { lazyWorldOf } from "./tally.ts";
import type { World } from "./world.ts";

export interface ProposalInput {
  /** What is in force; null where there is nothing to compare with. */
  readonly base: DesiredCommit | null;
  readonly head: DesiredCommit;
  /** What is recorded, and the commit of `observed` that says it; null where nothing is known of any host. */
  readonly record: { readonly commit: string; readonly subjects: ReadonlyMap<string, SubjectRecord> } | null;
  /** Files that say who may sign commits, where the two commits have them otherwise. */
  readonly signers?: readonly SignersChange[];
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** The change is not played beyond so many transitions. */
  readonly movesMax?: number;
}

const movesMaxDefault = 20_000;

/** The proposal for a change. A commit with errors changes nothing (D4): of it, only its problems are said, and what differs. */
export function propose(input: ProposalInput): Proposal {
  const { base, record, now } = input;
  const head = withPlainHosts(input.head);
  const errors = errorsOf(head.loaded.problems);
  const records = record?.subjects ?? assumedRecords(base, now);
  const world = lazyWorldOf(recordedParts({ now, desired: head, records }));
  const isRefused = errors.length > 0;
  const ways = isRefused ? noPathsIn(head.loaded.repository) : waysOf(world, base);
  const concerned = concernedOf(base, head, { ways, isRefused });
  const play = ways.moves.length === 0 ? null : playOf(world, ways, input.movesMax ?? movesMaxDefault);
  const { hosts } = head.loaded.repository;
  return {
    base: base?.commit ?? null,
    head: head.commit,
    record: record?.commit ?? null,
    at: isoTime(now),
    notes: notesOf(input, { isRefused, play }),
    errors,
    warnings: newWarnings(base, head),
    counts: { hosts: hosts.size, ...countsOf(ways, hosts.size, isRefused) },
    moves: ways.moves,
    noPaths: ways.noPaths,
    rollouts: rolloutsOf(world, ways.moves),
    play,
    hindrances: isRefused ? [] : hindrances(world, base, ways),
    owners: concerned.owners,
    unowned: concerned.unowned,
    added: isRefused ? nobody : concerned.added,
    removed: isRefused ? nobody : concerned.removed,
    changes: valuesChanged(base?.loaded ?? null, head.loaded, input.signers ?? []),
    machines: isRefused ? [] : graphsOf(base?.loaded ?? null, head.loaded, ways.moves),
  };
}

/** A map that shares most of its entries with another one is slow to ask, and here it is asked for all hosts many times. */
function withPlainHosts(desired: DesiredCommit): DesiredCommit {
  const { loaded } = desired;
  const repository = { ...loaded.repository, hosts: new Map(loaded.repository.hosts) };
  return { ...desired, loaded: { ...loaded, repository } };
}

const nobody: Named = { hosts: [], groups: [], machines: [] };

function hindrances(world: World, base: DesiredCommit | null, ways: Ways): readonly Hindrance[] {
  return hindrancesOf(world, base, ways.moves);
}

function countsOf(ways: Ways, total: number, isRefused: boolean): Omit<Proposal["counts"], "hosts"> {
  const moved = new Set(ways.moves.flatMap(({ kind, names }) => (kind === "host" ? names : []))).size;
  return { moved, underWay: ways.underWay, unchanged: isRefused ? total : total - moved - ways.underWay };
}

function notesOf(
  { base, record }: ProposalInput,
  { isRefused, play }: { readonly isRefused: boolean; readonly play: ProposedPlay | null },
): string[] {
  const notes: string[] = [];
  if (isRefused) notes.push("HEAD has errors: it would be refused, and what is in force would stay in force.");
  if (base === null) notes.push("There is no commit to compare with: everything counts as new.");
  else if (errorsOf(base.loaded.problems).length > 0)
    notes.push("BASE has errors itself: an older commit is in force, and more may change than is said here.");
  if (record === null && !isRefused)
    notes.push(
      "No record was read: where hosts really are is not known, and each is taken to be in the target that BASE gives it.",
    );
  if (play?.isCut === true)
    notes.push(`Only the first ${play.transitions} transitions were played: how long all of it takes is not known.`);
  return notes;
}

/** Warnings of HEAD that BASE does not have, wherever they stand in their files. */
function newWarnings(base: DesiredCommit | null, head: DesiredCommit): Problem[] {
  const key = ({ file, code, message }: Problem): string => JSON.stringify([file, code, message]);
  const known = new Set(base?.loaded.problems.map(key));
  return head.loaded.problems.filter((problem) => problem.severity === "warning" && !known.has(key(problem)));
}

interface Concerned {
  readonly added: Named;
  readonly removed: Named;
  readonly owners: readonly string[];
  readonly unowned: number;
}

/** Who comes, who goes, and whose hosts these are: those that move, come, go or change, and those whose machine changes. */
function concernedOf(
  base: DesiredCommit | null,
  head: DesiredCommit,
  { ways, isRefused }: { readonly ways: Ways; readonly isRefused: boolean },
): Concerned {
  const [old, next] = [base?.loaded.repository ?? null, head.loaded.repository];
  const edited = base === null ? null : editedHosts(base.loaded, head.loaded);
  const added = edited === null ? without(next, old) : nobody;
  const removed = edited === null && old !== null ? without(old, next) : nobody;
  const machines = [...next.machines].flatMap(([name, machine]) => (old?.machines.get(name) === machine ? [] : name));
  const moving = new Set(ways.moves.flatMap(({ names }) => names));
  const concerned: Host[] = isRefused ? [] : removed.hosts.flatMap((name) => old?.hosts.get(name) ?? []);
  for (const name of edited === null ? next.hosts.keys() : new Set([...edited, ...moving])) {
    const [before, host] = [old?.hosts.get(name), next.hosts.get(name)];
    // A group that moves is no host.
    if (host === undefined) continue;
    const isConcerned = before !== host || moving.has(name) || machines.some((machine) => host.machines.has(machine));
    if (isConcerned) concerned.push(host);
    // Whoever gives a host away is told too.
    if (isConcerned && before !== undefined && before.owner !== host.owner) concerned.push(before);
  }
  const owners = new Set(concerned.flatMap(({ owner }) => owner ?? []));
  const unowned = concerned.filter(({ owner }) => owner === null).length;
  return { added, removed, owners: [...owners].toSorted(), unowned };
}

/** What one commit has and another has not, by name. */
function without(whole: Repository, other: Repository | null): Named {
  const missing = (key: "hosts" | "groups" | "machines"): string[] =>
    [...whole[key].keys()].filter((name) => other?.[key].has(name) !== true).toSorted();
  return { hosts: missing("hosts"), groups: missing("groups"), machines: missing("machines") };
}
