// What the comments that we write say to ourselves, in a line of HTML that nobody sees. It counts only in a comment of our own.
import type { Comment } from "./answers.ts";

/** `plan`: the comment that is edited in place. `reply`: an answer to a command. `approval`: an answer that keeps a person's word. */
export interface Marker {
  readonly kind: "plan" | "reply" | "approval";
  /** Newest commit of the branch, as it was. */
  readonly head: string;
  /** The comment that is answered; 0 where none is. */
  readonly comment: number;
  /** Who said it; empty where nobody did. */
  readonly by: string;
}

const pattern =
  /^<!-- stateward:(plan|reply|approval) head=([0-9a-f]{40}) comment=(\d{1,15}) by=([A-Za-z0-9_-]{0,60}) -->$/;

export function markerLine({ kind, head, comment, by }: Marker): string {
  return `<!-- stateward:${kind} head=${head} comment=${comment} by=${by} -->`;
}

/** The marker of a comment by `self`, or null: others can write the same line. */
export function markerOf({ author, body }: Comment, self: string): Marker | null {
  if (author === null || author !== self) return null;
  const [, kind, head = "", comment, by = ""] = pattern.exec(body.split(/\r?\n/, 1)[0] ?? "") ?? [];
  if (kind !== "plan" && kind !== "reply" && kind !== "approval") return null;
  return { kind, head, comment: Number(comment), by };
}

/** GitHub dates an edit by a later time; within one second it cannot be seen, and nobody could have read the text meanwhile. */
export function isEdited({ createdAt, updatedAt }: Comment): boolean {
  return updatedAt !== createdAt;
}
