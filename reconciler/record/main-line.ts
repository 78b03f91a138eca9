// The line of main: which commits came in with which step, so that each is judged by the signers of the version before it, however
// many of them are looked at at once. Pure: it is given the graph.

/** A commit with its parents, first parent first. */
export interface GraphCommit {
  readonly commit: string;
  readonly parents: readonly string[];
}

/** One version of main after another, and what came in between: the version itself, and what it merged. */
export interface LineStep {
  readonly before: string;
  readonly after: string;
  readonly commits: readonly string[];
}

/**
 * The steps from `base` to `tip`, oldest first. `graph` has every commit that `tip` descends from and `base` does not. At a merge the
 * line follows the first parent, or else the first one that goes on from `base`: a merge made the wrong way round is no way around the
 * versions between. A tip that does not go on from the base at all is one single step.
 */
export function stepsOf(base: string, tip: string, graph: readonly GraphCommit[]): LineStep[] {
  const parents = new Map(graph.map((item) => [item.commit, item.parents]));
  const fromBase = goingOn(base, parents);
  const line: string[] = [];
  for (let at = tip; at !== base; ) {
    line.push(at);
    const next = parents.get(at)?.find((parent) => parent === base || fromBase.has(parent));
    if (next === undefined) return [{ before: base, after: tip, commits: graph.map(({ commit }) => commit) }];
    at = next;
  }
  const seen = new Set<string>([base]);
  return line.toReversed().map((after, index, versions) => ({
    before: versions[index - 1] ?? base,
    after,
    commits: newIn(after, parents, seen),
  }));
}

/** Commits of the graph that descend from the base. */
function goingOn(base: string, parents: ReadonlyMap<string, readonly string[]>): ReadonlySet<string> {
  const children = new Map<string, string[]>();
  for (const [commit, above] of parents)
    for (const parent of above) children.set(parent, [...(children.get(parent) ?? []), commit]);
  const found = new Set<string>();
  const open = [base];
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    for (const child of children.get(at) ?? []) {
      if (found.has(child)) continue;
      found.add(child);
      open.push(child);
    }
  }
  return found;
}

/** What a version brings that no earlier one had; `seen` grows by it. */
function newIn(version: string, parents: ReadonlyMap<string, readonly string[]>, seen: Set<string>): string[] {
  const found: string[] = [];
  const open = [version];
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    const above = parents.get(at);
    if (seen.has(at) || above === undefined) continue;
    seen.add(at);
    found.push(at);
    open.push(...above);
  }
  return found;
}
