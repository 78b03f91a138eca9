// One line on a proposal, of numbers alone.
import type { Proposal } from "../model/proposal.ts";

export function titleOf({ errors, counts, added, removed, changes, moves, noPaths }: Proposal): string {
  if (errors.length > 0) return `Refused: ${errors.length === 1 ? "1 error" : `${errors.length} errors`}`;
  const groups = new Set(moves.flatMap(({ kind, names }) => (kind === "group" ? names : []))).size;
  const lost = new Set(noPaths.flatMap(({ names }) => names)).size;
  const parts = [
    ...(counts.moved > 0 ? [`${many(counts.moved, "host")} would move`] : []),
    ...(groups > 0 ? [`${many(groups, "group")} would move`] : []),
    ...(lost > 0 ? [`${lost} cannot reach ${lost === 1 ? "its target" : "their targets"}`] : []),
    ...(added.hosts.length > 0 ? [`${added.hosts.length} ${isAre(added.hosts.length)} added`] : []),
    ...(removed.hosts.length > 0 ? [`${removed.hosts.length} ${isAre(removed.hosts.length)} removed`] : []),
  ];
  if (parts.length > 0) return parts.join(", ");
  return changes.length === 0 ? "Nothing would change" : "No host would move, and values change";
}

function many(count: number, what: string): string {
  return count === 1 ? `1 ${what}` : `${count} ${what}s`;
}

function isAre(count: number): string {
  return count === 1 ? "is" : "are";
}
