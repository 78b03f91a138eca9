// R2: a host that is in its target state and reports it costs nothing: no step, no commit.
import { all, type Checker, type Happening } from "../history.ts";

export const r2: Checker = {
  promise: "R2",
  says: "once everything is in its target, nothing is run, marked or committed any more; and that comes about while nothing changes",
  check: (history) => {
    const [rest] = all(history, "rest");
    if (rest === undefined || !history.isLiveness) return [];
    // What comes to rest last is the note that a rollout is done.
    const since = rest.restingSince === null ? rest.at - 10 * 60_000 : rest.restingSince + 60_000;
    const late = history.events.filter(({ at }) => at > since);
    // Somebody who still has something to say is not at rest.
    if (history.events.some(({ kind, at }) => kind === "word" && at > since - 3 * 60_000)) return [];
    const isLastNote = (event: Happening): boolean =>
      event.kind === "pushed" && /^fleet: rollout of .* is (done|over)/.test(event.message);
    const acts = late.filter(
      (event) => (event.kind === "began" || event.kind === "marked" || event.kind === "pushed") && !isLastNote(event),
    );
    const [first] = acts;
    if (first === undefined) return [];
    const what =
      first.kind === "pushed" ? `commit ${first.message.split("\n")[0]}` : JSON.stringify(first).slice(0, 200);
    const rested =
      rest.restingSince === null ? "ten minutes before the end of a long calm" : "while everything is in its target";
    return [{ promise: "R2", at: first.at, message: `${acts.length} acts ${rested}, the first: ${what}` }];
  },
};
