// The state repository as the remote has it, without a reconciler: for commands that only look.
import { Failure } from "../model/failure.ts";
import type { RecordStatus } from "../model/ports.ts";
import { errorsOf, type Problem } from "../model/problem.ts";
import { recordedWorld } from "../plan/forecast.ts";
import type { World } from "../plan/world.ts";
import { DocumentCache } from "../record/document-cache.ts";
import { fetchSign } from "../record/leader.ts";
import { DesiredMirror } from "../record/mirror.ts";
import { readRecord } from "../record/read-record.ts";
import { TipsFile } from "../record/tips.ts";
import { createLoader } from "./loader.ts";
import { judgeOf } from "./signature-judge.ts";
import { version } from "./version.ts";
import { openRecordMirror, type Workspace } from "./workspace.ts";

/** `main` and the record of the remote, and the errors of a commit on `main` that would not be in force. */
export async function readRemote(workspace: Workspace): Promise<{
  world: World;
  problems: readonly Problem[];
  record: RecordStatus;
}> {
  const { git, remote, listing, observed } = await openRecordMirror(workspace);
  const { subjects: records, epoch } = await readRecord(git, observed);
  const leader = listing.leader === null ? null : await fetchSign(git, remote, listing.leader);
  const poll = await new DesiredMirror({
    git,
    remotes: [remote],
    tips: TipsFile.forgetful(),
    loader: createLoader(),
    cache: new DocumentCache(null, version),
    judge: judgeOf(git, remote),
  }).poll();
  if (poll.kind !== "changed") {
    const message = "message" in poll ? poll.message : "main cannot be read";
    throw new Failure("transient", message, { reason: "NoMain", hint: "check the remote" });
  }
  const { desired, refused = desired } = poll;
  return {
    world: recordedWorld({ now: Date.now(), desired, records }),
    problems: errorsOf(refused.loaded.problems),
    record: { role: "ended", epoch, leader, message: "", behindMs: 0, unpushed: 0 },
  };
}
