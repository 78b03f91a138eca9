// By whom commits are signed, judged from where the record says that `main` was accepted last.
import { setTimeout as sleep } from "node:timers/promises";
import { Failure } from "../model/failure.ts";
import { DocumentCache } from "../record/document-cache.ts";
import type { Git } from "../record/git.ts";
import { recordedCommit } from "../record/mirror.ts";
import { observedRef } from "../record/refs.ts";
import type { Remote } from "../record/remote.ts";
import { SignedHistory } from "../record/signed-history.ts";
import { version } from "./version.ts";

const recordLookMs = 50;
const recordWaitMs = 30_000;

/** Judges by whom the commits of a mirror are signed. */
export function judgeOf(git: Git, remote: Remote): SignedHistory {
  const recorded = async (): Promise<string | null> => {
    // A folder that knows nothing yet needs the record's word, which is being fetched while main is.
    if ((await remote.list()).observed === null) return null;
    for (let waited = 0; (await git.resolve(observedRef)) === null; waited += recordLookMs) {
      if (waited > recordWaitMs) {
        throw new Failure("transient", "the record is not here yet: it says from where on signatures are judged", {
          reason: "RecordMissing",
          hint: "look again; if it stays so, see whether the branch observed can be fetched",
        });
      }
      await sleep(recordLookMs);
    }
    return recordedCommit(git);
  };
  return new SignedHistory({ git, cache: new DocumentCache(null, version), recorded });
}
