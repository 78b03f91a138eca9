// A planner process: an order on standard input, the proposal as JSON on standard output.
import { text } from "node:stream/consumers";
import { messageOf } from "../model/failure.ts";
import { redact } from "../model/redact.ts";
import { Secrets } from "../model/secrets.ts";
import { propose } from "../plan/proposal.ts";
import { type ChangeSource, offlineEnvironment, readChange } from "./change-reader.ts";
import { withoutSecrets } from "./hidden.ts";

export interface PlannerOrder extends ChangeSource {
  /** Whole names of commits. */
  readonly base: string;
  readonly head: string;
}

try {
  Object.assign(process.env, offlineEnvironment);
  const { base, head, ...source } = JSON.parse(await text(process.stdin)) as PlannerOrder;
  const proposal = propose(await readChange(source, { base, head, isSymmetric: false }));
  process.stdout.write(JSON.stringify(withoutSecrets(proposal, new Secrets())));
} catch (error) {
  process.stderr.write(`${redact(messageOf(error))}\n`);
  process.exitCode = 1;
}
