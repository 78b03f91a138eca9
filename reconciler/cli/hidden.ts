// A2: a proposal without secrets: without those that are known, and without what has the form of one. Values that changed had theirs
// hidden when they were made into text, each by itself: what was and what is stay apart.
import type { Proposal } from "../model/proposal.ts";
import type { Secrets } from "../model/secrets.ts";

export type Hiding = Pick<Secrets, "hide" | "hideKnown">;

export function withoutSecrets(proposal: Proposal, secrets: Hiding): Proposal {
  const changes = visited(proposal.changes, (text) => secrets.hideKnown(text));
  return { ...visited({ ...proposal, changes: [] }, (text) => secrets.hide(text)), changes };
}

/** A copy of plain data with every text in it gone through; keys stay as they are. Equal texts are looked at once. */
function visited<T>(value: T, hide: (text: string) => string): T {
  const known = new Map<string, string>();
  const visit = (part: unknown): unknown => {
    if (typeof part === "string") {
      const found = known.get(part) ?? hide(part);
      known.set(part, found);
      return found;
    }
    if (Array.isArray(part)) return part.map(visit);
    if (typeof part !== "object" || part === null) return part;
    return Object.fromEntries(Object.entries(part).map(([key, inner]) => [key, visit(inner)]));
  };
  return visit(value) as T;
}
