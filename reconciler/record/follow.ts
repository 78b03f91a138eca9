// Following a branch of the remote forward, and only forward (D6): a tip that does not descend from the last accepted one is not
// followed before a person says so. The one exception names what it replaces: a record that was given a new root.
import { Failure } from "../model/failure.ts";
import type { BareRepository } from "./git.ts";
import { observedRef } from "./refs.ts";
import type { Remote } from "./remote.ts";
import type { TipsFile } from "./tips.ts";

export type Branch = "main" | "observed";

const incomingRef = (branch: Branch): string => `refs/stateward/incoming-${branch}`;

export interface FollowOptions {
  readonly git: BareRepository;
  readonly remote: Remote;
  readonly tips: TipsFile;
}

/**
 * Makes `id`, which the remote says its branch points to, the tip that is followed. Resolves to null when it is, or to why it is not.
 * Throws a Failure when the remote does not give what it has listed.
 */
export async function follow(options: FollowOptions, branch: Branch, id: string | null): Promise<string | null> {
  const { git, remote, tips } = options;
  const accepted = tips.now[branch];
  if (id === null) {
    if (accepted === null) return null;
    if ((await tips.word(branch)) !== "gone") return goneText(branch, accepted);
    await tips.dropWord(branch);
    await tips.save({ [branch]: null });
    return null;
  }
  if (id === accepted && (await git.resolve(id)) === id) {
    await tips.dropWord(branch);
    return null;
  }
  await remote.fetch(`refs/heads/${branch}`, incomingRef(branch));
  // Somebody may have pushed since the listing: what was fetched is what is judged.
  const tip = await git.resolve(incomingRef(branch));
  if (tip === null) throw new Failure("transient", `${branch} was fetched, and is not there`, { reason: "GitFailed" });
  if (!(await mayFollow(options, branch, { tip, accepted }))) return rewoundText(branch, tip, accepted ?? "");
  const saved = tips.save({ [branch]: tip });
  // A crash before a tip of main is remembered is harmless: it descends from the one that is.
  if (branch === "main") void saved.catch(() => {});
  else await Promise.all([saved, git.point(observedRef, tip)]);
  return null;
}

interface Tip {
  /** Commit that the branch points to; it is in the mirror. */
  readonly tip: string;
  /** Commit that was followed last; null before the first. */
  readonly accepted: string | null;
}

/** True when a tip goes on from what was followed: then it needs no word of a person. */
export async function goesOn(
  { git, remote }: Pick<FollowOptions, "git" | "remote">,
  branch: Branch,
  { tip, accepted }: Tip,
): Promise<boolean> {
  if (accepted === null || (await git.descends(tip, accepted))) return true;
  return branch === "observed" && continues({ git, remote }, tip, accepted);
}

async function mayFollow(options: FollowOptions, branch: Branch, tip: Tip): Promise<boolean> {
  const { git, tips } = options;
  if (!(await goesOn(options, branch, tip))) {
    // The branch may have gone on since a person accepted it.
    const word = await tips.word(branch);
    if (word === null || !(await git.descends(tip.tip, word))) return false;
  }
  await tips.dropWord(branch);
  return true;
}

/** What a root says that was put in the place of a longer history. */
export interface ArchivedHistory {
  /** The root itself. */
  readonly root: string;
  /** Last commit of the history before it. */
  readonly commit: string;
  /** Branch of the remote that keeps it. */
  readonly branch: string;
}

/** Branches that hold what the record was before it was given a new root. */
export const archivePrefix = "observed-archive/";

/** What the root below a commit says about the history before it, or null. */
export async function archivedBefore(git: BareRepository, tip: string): Promise<ArchivedHistory | null> {
  const roots = await git.roots(tip);
  const [root = ""] = roots;
  const text = (await git.objects.need(root, "commit")).data.toString();
  const commit = /^Archived: ([0-9a-f]{40})$/m.exec(text)?.[1];
  const branch = /^Archive-branch: (observed-archive\/[A-Za-z0-9._-]{1,100})$/m.exec(text)?.[1];
  return commit === undefined || branch === undefined || roots.length > 1 ? null : { root, commit, branch };
}

/** Ref in the mirror for a history that was archived. */
export function archiveRef(branch: string): string {
  return `refs/stateward/${branch}`;
}

/** Archives that a reconciler may have been away for. */
const seamsMax = 100;

/**
 * True when `tip` stands on a new root that names a history with the accepted commit in it, and began with the same files; or on one
 * that names such a one.
 */
async function continues(
  { git, remote }: Pick<FollowOptions, "git" | "remote">,
  tip: string,
  accepted: string,
): Promise<boolean> {
  let at = tip;
  for (let seam = 0; seam < seamsMax; seam++) {
    const archived = await archivedBefore(git, at);
    if (archived === null) return false;
    await fetchArchive({ git, remote }, archived);
    const before = await git.resolve(`${archived.commit}^{tree}`);
    if (before === null || before !== (await git.resolve(`${archived.root}^{tree}`))) return false;
    if (await git.descends(archived.commit, accepted)) return true;
    at = archived.commit;
  }
  return false;
}

/** Brings an archived history into the mirror, if the remote still has it. */
export async function fetchArchive(
  { git, remote }: Pick<FollowOptions, "git" | "remote">,
  { commit, branch }: ArchivedHistory,
): Promise<void> {
  if ((await git.resolve(commit)) !== null) return;
  await remote.fetch(`refs/heads/${branch}`, archiveRef(branch));
}

const advice = "to accept it as it is: stateward accept-history";

function rewoundText(branch: Branch, tip: string, accepted: string): string {
  return `${branch} was rewound or rewritten to ${tip.slice(0, 8)}: nothing is started until ${accepted.slice(0, 8)} is part of it again (git push origin +${accepted}:refs/heads/${branch}); ${advice}`;
}

function goneText(branch: Branch, accepted: string): string {
  return `the branch ${branch} is gone from the remote: nothing is started until it is back (git push origin ${accepted}:refs/heads/${branch}); ${advice}`;
}
