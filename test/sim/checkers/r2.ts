// R2: a host that is in its target state and reports it costs nothing: no step, no commit.
import { all, type Checker, type Happening, type History } from "../history.ts";

export const r2: Checker = {
  promise: "R2",
  says: "once everything is in its target, nothing is run, marked or committed any more; and that comes about while nothing changes",
  check: (history) => {
    const [rest] = all(history, "rest");
    if (rest === undefined || !history.isLiveness) return [];
    // What comes to rest last is the note that a rollout is done.
    const since =
      rest.restingSince === null ? rest.at - 10 * 60_000 : Math.max(rest.restingSince, lastNews(history)) + 60_000;
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
    // A large fleet takes its time, wave by wave: it comes to rest as long as nothing goes round in a circle.
    if (rest.restingSince === null && rest.hosts.length > smallMax && !isCircle(late)) return [];
    const what =
      first.kind === "pushed" ? `commit ${first.message.split("\n")[0]}` : JSON.stringify(first).slice(0, 200);
    const rested =
      rest.restingSince === null ? "ten minutes before the end of a long calm" : "while everything is in its target";
    return [{ promise: "R2", at: first.at, message: `${acts.length} acts ${rested}, the first: ${what}` }];
  },
};

const smallMax = 20;
/** A step that fails is tried so often, and not again. */
const triesMax = 5;

function isCircle(events: readonly Happening[]): boolean {
  const began = new Map<string, number>();
  for (const event of events) {
    if (event.kind !== "began") continue;
    const key = `${event.host} ${event.incarnation} ${event.step.name}`;
    began.set(key, (began.get(key) ?? 0) + 1);
  }
  return [...began.values()].some((times) => times > triesMax);
}

/** When something last came about that is recorded though no host moves: a new leader, another commit, a branch that is followed again. */
function lastNews(history: History): number {
  const isNews = (event: Happening): boolean =>
    event.kind === "started" ||
    event.kind === "restored" ||
    event.kind === "accepted-history" ||
    event.kind === "commit" ||
    (event.kind === "pushed" && event.message.startsWith("lead: "));
  let inForce: string | null = null;
  let at = history.events.findLast(isNews)?.at ?? 0;
  for (const { desired, at: pushedAt } of all(history, "pushed")) {
    if (desired !== null && inForce !== null && desired !== inForce) at = Math.max(at, pushedAt);
    inForce = desired ?? inForce;
  }
  return at;
}
