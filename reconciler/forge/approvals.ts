// A word that was given for a pull request, carried over to the merge commit that waits on the desired branch for one (B3).
import { Failure } from "../model/failure.ts";
import type { PullRequestSource } from "../model/forge.ts";
import type { CoordinationReader, CoordinationWriter } from "../model/ports.ts";
import { pullRequestOf } from "./answers.ts";
import type { GitHub } from "./client.ts";
import type { CommandDesk } from "./commands.ts";

export interface ApprovalOptions {
  readonly github: GitHub;
  readonly desk: CommandDesk;
  readonly source: Pick<PullRequestSource, "merges">;
  readonly coordination: Pick<CoordinationReader, "fleet"> & Pick<CoordinationWriter, "approve">;
  /** Branch that is followed. */
  readonly branch: string;
  /** The commit in force; null where none is. */
  readonly inForce: () => string | null;
}

/**
 * Approves the commit that waits, where it is exactly the merge of a pull request that was approved. Resolves to the number of that, or
 * to null. Commands on it are answered first: it may have been merged before anybody said a word.
 */
export async function carryApproval({
  github,
  desk,
  source,
  coordination,
  branch,
  inForce,
}: ApprovalOptions): Promise<number | null> {
  const waiting = coordination.fleet().unapproved;
  const base = inForce();
  if (waiting === null || base === null) return null;
  const route = "GET /commits/{commit_sha}/pulls";
  const found = await github.orNull(github.list(route, { commit_sha: waiting.commit }));
  for (const pull of (found ?? []).map(pullRequestOf)) {
    if (!pull.isMerged || pull.base.branch !== branch) continue;
    const { approvedBy } = await desk.attend(pull);
    const [first] = approvedBy;
    // GitHub says which pull request it was; that nothing else came in with it is seen in the commits themselves.
    if (first === undefined) continue;
    const listed = await github.list("GET /pulls/{pull_number}/commits", { pull_number: pull.number });
    const commits = listed.map((commit) => commit.at("sha").commit());
    const { number, head } = pull;
    if (!(await source.merges(waiting.commit, { number, head, commits, inForce: base }))) continue;
    try {
      await coordination.approve(waiting.commit, `${approvedBy.join(", ")} (pull request ${pull.number})`);
      return pull.number;
    } catch (error) {
      // It came into force, or a newer one took its place, meanwhile.
      if (error instanceof Failure && error.reason === "NotWaiting") return null;
      throw error;
    }
  }
  return null;
}
