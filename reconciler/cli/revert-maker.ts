// Reverts that a reconciler offers by itself: made from the mirror's objects, on the remote's main as it is now.
import type { MadeRevert, RevertMaker } from "../forge/reverts.ts";
import { Failure } from "../model/failure.ts";
import { commitObject, writeTree } from "../record/commit.ts";
import type { CommitSigner } from "../record/commit-signer.ts";
import type { Git } from "../record/git.ts";
import { observedRef } from "../record/refs.ts";
import type { Remote } from "../record/remote.ts";
import { standingIn } from "../record/take-back.ts";
import { contentsOf } from "./change.ts";
import { revertChange, revertSlug } from "./revert.ts";

const mainRef = "refs/stateward/revert-onto";
const madeRef = (branch: string): string => `refs/stateward/${branch.replace("stateward/", "")}`;
/** Commits of the record in which it is looked for what was in force before. */
const looked = 2000;

export interface RevertMaking {
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Signs the commits; null leaves them unsigned. */
  readonly signer: CommitSigner | null;
}

export function createRevertMaker(git: Git, remote: Remote, { now, signer }: RevertMaking): RevertMaker {
  return {
    branchOf: (commit) => `stateward/${revertSlug(commit)}`,
    make: (commit) => make(git, remote, { commit, now: now(), signer }),
    push: async ({ head }, branch) => {
      await git.point(madeRef(branch), head);
      const result = await remote.push([`${head}:refs/heads/${branch}`]);
      // Somebody was quicker, or this one was interrupted: what is there is the one.
      if (result.kind === "accepted" || /\b(fetch first|non-fast-forward|already exists)\b/.test(result.message))
        return;
      throw new Failure("transient", `the remote refused ${branch}: ${result.message}`, {
        reason: "PushRefused",
        hint: "see that the reconciler may push branches named stateward/*",
      });
    },
  };
}

async function make(
  git: Git,
  remote: Remote,
  { commit, now, signer }: { readonly commit: string; readonly now: number; readonly signer: CommitSigner | null },
): Promise<MadeRevert | null> {
  await remote.fetch("refs/heads/main", mainRef);
  const base = (await git.objects.need(mainRef, "commit")).id;
  if (!(await git.descends(base, commit)))
    throw new Failure("invalid", "main does not have it any more", { reason: "NotOnMain" });
  const since = await inForceBefore(git, commit);
  const order = { commit, standing: standingIn(git, base), ...(since === null ? {} : { since }) };
  const change = await revertChange(git, order, base);
  if (change === null) return null;
  const tree = await writeTree(git, base, contentsOf(change));
  const message = `${change.title}\n\n${change.lines.join("\n")}\n`;
  const plain = commitObject(tree, { parent: base, message, timeSeconds: Math.floor(now / 1000) });
  const object = signer === null ? plain : await signer.sign(plain);
  await git.write([object]);
  return { base, head: object.id, title: change.title, introduction: change.introduction ?? "" };
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
