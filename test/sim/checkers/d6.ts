// D6: tips only move forward: who has followed a branch, and is told that it was moved back, starts nothing until a person accepts it.
import { all, type Checker, type Happening, type History, type Violation } from "../history.ts";

/** What was decided, or asked of the remote, before the listing was taken in may still begin. */
const slackMs = { main: 30_000, observed: 200_000 } as const;

export const d6: Checker = {
  promise: "D6",
  says: "a reconciler that was told of a branch that does not go on from what it has followed begins no transition until a person accepts it or puts it back",
  check: (history) => [...judge(history, "main"), ...judge(history, "observed")],
};

/** Which commits a commit stands on, as far as they were seen. */
function ancestry(history: History, branch: "main" | "observed"): (commit: string) => Set<string> {
  const parents = new Map<string, string | null>();
  if (branch === "observed") for (const { commit, parent } of all(history, "pushed")) parents.set(commit, parent);
  else {
    let tip: string | null = null;
    for (const event of history.events) {
      if (event.kind === "rewound" && event.branch === "main") tip = event.to;
      if (event.kind === "restored" && event.branch === "main") tip = event.to;
      if (event.kind !== "commit") continue;
      parents.set(event.commit, tip);
      tip = event.commit;
    }
  }
  return (commit) => {
    const found = new Set<string>();
    for (let at: string | null = commit; at !== null && !found.has(at); at = parents.get(at) ?? null) found.add(at);
    return found;
  };
}

function judge(history: History, branch: "main" | "observed"): Violation[] {
  if (!all(history, "rewound").some((event) => event.branch === branch)) return [];
  const above = ancestry(history, branch);
  const violations: Violation[] = [];
  const followed = new Map<string, string>();
  const doubted = new Map<string, number>();
  const listed = new Map<string, string>();
  const open = new Set<string>();
  /** Whether a tip goes on from the one before is known once it was fetched: who waits for that, until when. */
  const waiting = new Map<string, number>();
  let isBack = false;
  /** What a process had followed before its last push. */
  const pushedOn = new Map<string, string | null>();
  for (const event of history.events) {
    if ((event.kind === "rewound" || event.kind === "restored") && event.branch === branch)
      isBack = event.kind === "rewound";
    if (event.kind === "waits") waiting.set(event.process, event.until);
    if (event.kind === "listed" && event[branch] !== null) listed.set(event.process, event[branch]);
    // An answer that comes after the branch was put back may be contradicted by what is fetched next.
    if (event.kind === "listed" && isBack) note(event, event[branch], { above, followed, doubted });
    forget(event, branch, { followed, doubted, listed });
    // What it has written, or written under, it has followed.
    const tip = event.kind !== "pushed" ? null : branch === "main" ? event.desired : event.commit;
    if (event.kind === "pushed" && event.process !== null && tip !== null && !doubted.has(event.process)) {
      // What was accepted may wait for a word, with what was in force before it still in force.
      const told = listed.get(event.process);
      if (branch === "observed" || (told !== undefined && above(told).has(tip))) {
        pushedOn.set(event.process, followed.get(event.process) ?? null);
        followed.set(event.process, tip);
      }
    }
    // Nor does it know of what it has written, when it got no answer.
    if (event.kind === "unheard" && branch === "observed") {
      const before = pushedOn.get(event.process) ?? null;
      if (before === null) followed.delete(event.process);
      else followed.set(event.process, before);
    }
    if (event.kind === "began" && event.transition !== null) {
      const key = `${event.process} ${event.host} ${event.machine} ${event.transition.from} ${event.transition.to}`;
      const since = doubted.get(event.process);
      const known = Math.max(since ?? 0, waiting.get(event.process) ?? 0);
      // What has begun ends.
      if (since !== undefined && event.at - known > slackMs[branch] && !open.has(key))
        violations.push({
          promise: "D6",
          at: event.at,
          message: `${event.process} was told ${event.at - since} ms ago that ${branch} was moved back, and begins ${event.step.name} on ${event.host}`,
        });
      open.add(key);
    }
  }
  return violations;
}

interface Known {
  readonly followed: Map<string, string>;
  readonly doubted: Map<string, number>;
}

function note(
  { process, at }: Extract<Happening, { kind: "listed" }>,
  tip: string | null,
  { above, followed, doubted }: Known & { readonly above: (commit: string) => Set<string> },
): void {
  const before = followed.get(process);
  if (tip === null || before === undefined) return;
  if (above(tip).has(before)) doubted.delete(process);
  else if (!doubted.has(process)) doubted.set(process, at);
}

/** A person's word, or a new disk: what is there is taken as it is. */
function forget(
  event: Happening,
  branch: string,
  { followed, doubted, listed }: Known & { readonly listed: Map<string, string> },
): void {
  const drop = (process: string): void => {
    followed.delete(process);
    listed.delete(process);
    doubted.delete(process);
  };
  if (event.kind === "started" && event.fresh) drop(event.process);
  // The answer that told it may never have come, and the next one says that all is well.
  if (event.kind === "restored" && event.branch === branch) doubted.clear();
  if (event.kind === "accepted-history" && event.branch === branch)
    drop(event.folder.slice(event.folder.lastIndexOf("/") + 1));
}
