// A2: a proposal without secrets: without those that are known, and without what has the form of one. Values that changed had theirs
// hidden when they were made into text, each by itself: what was and what is stay apart.
import type { Proposal } from "../model/proposal.ts";
import { hideIn, type Secrets } from "../model/secrets.ts";

export type Hiding = Pick<Secrets, "hide" | "hideKnown">;

export function withoutSecrets(proposal: Proposal, secrets: Hiding): Proposal {
  const changes = hideIn(proposal.changes, (text) => secrets.hideKnown(text));
  return { ...hideIn({ ...proposal, changes: [] }, (text) => secrets.hide(text)), changes };
}
