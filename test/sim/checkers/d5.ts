// D5: the state built from the repository alone equals the state in memory.
import { isDeepStrictEqual } from "node:util";
import { all, type Checker, type SubjectInRecord, type Violation } from "../history.ts";

const pushedWithinMs = 60_000;

export const d5: Checker = {
  promise: "D5",
  says: "at rest, what the leader has in memory is what the remote's record says",
  check: (history) => {
    const [rest] = all(history, "rest");
    if (rest === undefined || rest.memory === null || !history.isLiveness || rest.restingSince === null) return [];
    // A word that was just taken is on the disk, and on its way.
    if (history.events.some(({ kind, at }) => kind === "word" && at > rest.at - pushedWithinMs)) return [];
    const remote = new Map(rest.remote.map((subject) => [subject.name, subject]));
    return rest.memory.flatMap((subject): Violation[] => {
      const there = remote.get(subject.name);
      return there !== undefined && isDeepStrictEqual(plain(there), plain(subject))
        ? []
        : [
            {
              promise: "D5",
              at: rest.at,
              message: `${subject.name} differs: in memory ${text(subject)}, on the remote ${there === undefined ? "nothing" : text(there)}`,
            },
          ];
    });
  },
};

function plain(subject: SubjectInRecord): unknown {
  return JSON.parse(JSON.stringify(subject));
}

function text(subject: SubjectInRecord): string {
  return JSON.stringify(subject).slice(0, 300);
}
