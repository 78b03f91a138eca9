// D2: what is pushed survives: every commit that the remote took is part of the history at the end, one behind the other, and whoever
// carries on begins where the one before it was.
import type { Checker, Happening, History, MachineInRecord, SubjectInRecord, Violation } from "../history.ts";
import { all } from "../history.ts";
import { fleetName, type Pushed, RecordNow } from "./chain.ts";

export const d2: Checker = {
  promise: "D2",
  says: "every commit of the record stands on the one before it, unless a person moved the branch between them; and from one to the next nothing that was recorded is forgotten: no file, no transition, no update, no earlier life, no word about the fleet",
  check: (history) => [...chained(history), ...forgotten(history)],
};

function chained(history: History): Violation[] {
  const violations: Violation[] = [];
  let tip: string | null = null;
  for (const event of history.events) {
    if (isMoved(event)) tip = event.to;
    if (event.kind !== "pushed") continue;
    if (event.parent !== tip)
      violations.push({
        promise: "D2",
        at: event.at,
        message: `${event.process} put ${event.commit.slice(0, 8)} on ${event.parent?.slice(0, 8)}, and ${tip?.slice(0, 8)} was there`,
      });
    tip = event.commit;
  }
  return violations;
}

type Moved = Extract<Happening, { kind: "rewound" | "restored" }>;

function isMoved(event: Happening): event is Moved & { readonly at: number } {
  return (event.kind === "rewound" || event.kind === "restored") && event.branch === "observed";
}

/** Lives and approvals that are kept at least; older ones may go. */
const keptMin = 8;

function forgotten(history: History): Violation[] {
  const violations: Violation[] = [];
  let record = new RecordNow();
  // A person who has a host replayed may put a life of before in force again.
  const replayed = new Set(all(history, "word").flatMap(({ word }) => (word.kind === "replay" ? [word.host] : [])));
  for (const event of history.events) {
    // What a person has taken off the branch is not missed.
    if (isMoved(event)) record = new RecordNow();
    if (event.kind === "pushed") {
      const lost = event.subjects.flatMap((subject) => {
        const before = record.subjects.get(subject.name);
        return before === undefined ? [] : missing(before, subject, replayed.has(subject.name));
      });
      violations.push(...[...lost, ...event.gone.map((path) => `${path} is gone`)].map((what) => fail(event, what)));
    }
    record.take(event);
  }
  return violations;
}

function fail({ at, process, commit }: Pushed, what: string): Violation {
  return { promise: "D2", at, message: `${process} wrote ${commit.slice(0, 8)}: ${what}` };
}

/** What a later version of a subject has forgotten. */
function missing(before: SubjectInRecord, after: SubjectInRecord, isReplayed: boolean): string[] {
  const { name } = before;
  const lost: string[] = [];
  const lives = before.former.slice(-keptMin + 1).filter((life) => !after.former.includes(life));
  if (!isReplayed) lost.push(...lives.map((life) => `${name} has forgotten that ${life} is over`));
  for (const [machine, old] of Object.entries(before.machines)) {
    const entry = after.machines[machine];
    if (entry === undefined) lost.push(`${name} has forgotten ${machine}`);
    else if (before.incarnation === after.incarnation) lost.push(...takenBack(name, machine, [old, entry]));
  }
  if (name !== fleetName) return lost;
  const words = (before.approvals ?? []).slice(-keptMin).map(({ commit }) => commit);
  const known = new Set(after.approvals?.map(({ commit }) => commit));
  lost.push(...words.flatMap((commit) => (known.has(commit) ? [] : [`the word for ${commit.slice(0, 8)} is gone`])));
  if (before.released != null && after.released == null) lost.push("that the brake was released is forgotten");
  return lost;
}

function takenBack(
  name: string,
  machine: string,
  [before, after]: readonly [before: MachineInRecord, after: MachineInRecord],
): string[] {
  if (after.revision < before.revision)
    return [`${name} goes from revision ${before.revision} of ${machine} back to ${after.revision}`];
  // A state that the host has reported by itself may have the revision of the one before it.
  if (after.revision > before.revision || after.state !== before.state) return [];
  const ways = [before, after].map(({ applied }) => applied.map(({ state }) => state).join(", "));
  return [
    ...(after.updates < before.updates
      ? [`${name} goes from ${before.updates} updates of ${machine} back to ${after.updates}`]
      : []),
    ...(ways[0] === ways[1] ? [] : [`${name} was brought along ${ways[0]} (${machine}), and now it is ${ways[1]}`]),
  ];
}
