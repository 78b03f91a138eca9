// Reverts that a reconciler offers by itself: made from the mirror's objects, on the remote's main as it is now.
import type { MadeRevert, RevertMaker } from "../forge/reverts.ts";
import { Failure } from "../model/failure.ts";
import { commitObject, writeTree } from "../record/commit.ts";
import type { CommitSigner } from "../record/commit-signer.ts";
import { type Git, parentsIn } from "../record/git.ts";
import { observedRef } from "../record/refs.ts";
import type { Remote } from "../record/remote.ts";
import { standingIn } from "../record/take-back.ts";
import { type Change, contentsOf } from "./change.ts";
import { revertChange, revertSlug } from "./revert.ts";

const mainRef = "refs/stateward/revert-onto";
const madeRef = (branch: string): string => `refs/stateward/${branch.replace("stateward/", "")}`;
const branchOf = (commit: string): string => `stateward/${revertSlug(commit)}`;
/** Commits of the record in which it is looked for what was in force before. */
const looked = 2000;

export interface RevertMakerOptions {
  readonly git: Git;
  readonly remote: Remote;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** A2: takes secrets out of what commits say of themselves. */
  readonly hide: (text: string) => string;
  /** Signs what is made; absent where nobody does. */
  readonly signer?: CommitSigner;
}

export function createRevertMaker(options: RevertMakerOptions): RevertMaker {
  return {
    branchOf,
    make: (commit) => make(options, commit),
    push: (revert) => push(options, revert),
  };
}

async function make(options: RevertMakerOptions, commit: string): Promise<MadeRevert | null> {
  const { git, remote, now, signer } = options;
  await remote.fetch("refs/heads/main", mainRef);
  const base = (await git.objects.need(mainRef, "commit")).id;
  if (!(await git.descends(base, commit)))
    throw new Failure("invalid", "main does not have it any more", { reason: "NotOnMain" });
  const change = await changeOnto(options, commit, base);
  if (change === null) return null;
  const tree = await writeTree(git, base, contentsOf(change));
  const message = `${change.title}\n\n${change.lines.join("\n")}\n`;
  const plain = commitObject(tree, { parent: base, message, timeSeconds: Math.floor(now() / 1000) });
  const object = signer === undefined ? plain : await signer.sign(plain);
  await git.write([object]);
  return { commit, base, head: object.id, title: change.title, introduction: change.introduction ?? "" };
}

async function changeOnto({ git, hide }: RevertMakerOptions, commit: string, base: string): Promise<Change | null> {
  const since = await inForceBefore(git, commit);
  const order = { commit, standing: standingIn(git, base), ...(since === null ? {} : { since }) };
  return revertChange(git, order, base, hide);
}

async function push(options: RevertMakerOptions, revert: MadeRevert): Promise<MadeRevert> {
  const { git, remote } = options;
  const branch = branchOf(revert.commit);
  await git.point(madeRef(branch), revert.head);
  const result = await remote.push([`${revert.head}:refs/heads/${branch}`]);
  if (result.kind === "accepted") return revert;
  if (!/\b(fetch first|non-fast-forward|already exists)\b/.test(result.message))
    throw new Failure("transient", `the remote refused ${branch}: ${result.message}`, {
      reason: "PushRefused",
      hint: "see that the reconciler may push branches named stateward/*",
    });
  // Somebody was quicker, or this one was interrupted: what is there is the one, if it is what this would have made there.
  await remote.fetch(`refs/heads/${branch}`, madeRef(branch));
  const there = (await git.objects.need(madeRef(branch), "commit")).id;
  const base = await baseOf(options, revert, there);
  if (base !== null) return { ...revert, base, head: there };
  throw new Failure("invalid", `the remote has a branch ${branch} with something else on it`, {
    reason: "BranchExists",
    hint: "see who has pushed it, and remove it",
  });
}

/** The commit of main that a commit lies on, where it does nothing but take the same commit back there; else null. */
async function baseOf(
  options: RevertMakerOptions,
  { commit, base: main }: MadeRevert,
  there: string,
): Promise<string | null> {
  const { git } = options;
  const [base, ...others] = parentsIn((await git.objects.need(there, "commit")).data.toString());
  if (base === undefined || others.length > 0 || !(await git.descends(main, base))) return null;
  const change = await changeOnto(options, commit, base);
  if (change === null) return null;
  const tree = await writeTree(git, base, contentsOf(change));
  return tree === (await git.objects.need(`${there}^{tree}`, "tree")).id ? base : null;
}

/**
 * The commit in force before this one was, by the record: several may have come at once, and it is not known which of them is at fault.
 * Null where the record does not say; then the commit's parent is meant.
 */
async function inForceBefore(git: Git, commit: string): Promise<string | null> {
  const named = (await git.trailers(observedRef, "Desired", looked)).filter((id) => /^[0-9a-f]{40}$/.test(id));
  const before = named.slice(named.lastIndexOf(commit) + 1)[0];
  if (!named.includes(commit) || before === undefined || before === commit) return null;
  return (await git.descends(commit, before)) ? before : null;
}
