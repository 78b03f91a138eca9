// R3: a report wins over the record only if it is not older than the last one seen, and of the host's present life; and then it does win.
import { all, type Checker, type History, type Violation } from "../history.ts";
import { desiredOf, isKept, RecordNow, wasRewound } from "./chain.ts";

export const r3: Checker = {
  promise: "R3",
  says: "no report of an earlier life or with a lower sequence is acknowledged; in the end the record says what the hosts say of themselves; what an agent said and was acknowledged is taken in",
  check: (history) => [...stale(history), ...contradicted(history), ...unheard(history)],
};

function stale(history: History): Violation[] {
  const violations: Violation[] = [];
  const seen = new Map<string, { readonly at: number; readonly sequence: number }[]>();
  const record = new RecordNow();
  let epoch = 0;
  for (const event of history.events) {
    record.take(event);
    // Who takes the lead again has forgotten what was not worth a record.
    if (event.kind === "rewound") seen.clear();
    const leads = event.kind === "pushed" && event.epoch > epoch;
    if (event.kind === "pushed") epoch = Math.max(epoch, event.epoch);
    if (event.kind === "started" || leads)
      for (const key of seen.keys()) if (key.startsWith(`${event.process} `)) seen.delete(key);
    if (event.kind !== "reported" || event.answer !== "taken") continue;
    const { at, process, host, incarnation, sequence, sentAt } = event;
    const key = `${process} ${host} ${incarnation}`;
    // Only what was sent after the other one was taken is known to have come after it.
    const later = (seen.get(key) ?? []).find((taken) => taken.at < sentAt && taken.sequence >= sequence);
    if (later !== undefined)
      violations.push({
        promise: "R3",
        at,
        message: `${process} took report ${sequence} of ${host}, after ${later.sequence}`,
      });
    seen.set(key, [...(seen.get(key) ?? []), { at, sequence }]);
    if (record.subjects.get(host)?.former.includes(incarnation) && record.tip?.process === process)
      violations.push({
        promise: "R3",
        at,
        message: `${process} took a report of ${incarnation}, which it has recorded as over`,
      });
  }
  return violations;
}

function contradicted(history: History): Violation[] {
  const [rest] = all(history, "rest");
  if (rest === undefined || rest.memory === null || !history.isLiveness || rest.restingSince === null) return [];
  const desired = all(history, "commit").findLast((commit) => commit.desired.valid)?.desired;
  // Who leads may go by an older one, where the newest has a problem and the one before it never came by.
  const last = all(history, "pushed").findLast((pushed) => pushed.desired !== null)?.desired ?? "";
  const inForce = desiredOf(history).get(last) ?? desired;
  return rest.hosts.flatMap(({ name, incarnation, states }) => {
    const record = rest.memory?.find((subject) => subject.name === name);
    const facts = desired?.hosts.find((host) => host.name === name);
    const isFollowed = inForce?.hosts.some((host) => host.name === name) === true;
    if (record === undefined || facts === undefined || !isFollowed || facts.transport === "agent" || facts.isHeld)
      return [];
    const violations: Violation[] = [];
    if (record.incarnation !== incarnation)
      violations.push({
        promise: "R3",
        at: rest.at,
        message: `${name} is ${incarnation}, and the record says ${record.incarnation}`,
      });
    for (const machine of Object.keys(facts.targets)) {
      // One that says nothing of a machine has nothing of it.
      const state = states[machine] ?? desired?.machines.find((sketch) => sketch.name === machine)?.initial;
      const entry = record.machines[machine];
      const recorded = entry?.state;
      // What became of an attempt that was left open is found out once the host is not held any more.
      const isLeftOpen = entry?.attempt != null && entry.conditions.some(({ reason }) => reason === "Held");
      // One whose service does not answer says what its marker says, and is not believed.
      const isSick =
        all(history, "fell").some(
          (fell) => fell.isSick && fell.host === name && fell.machine === machine && fell.state === state,
        ) ||
        all(history, "pushed").some(({ message }) =>
          message.includes(`${name}: ${state} -> ${recorded} (${machine} check failed`),
        );
      if (isSick || isLeftOpen) continue;
      if (recorded !== undefined && recorded !== state)
        violations.push({
          promise: "R3",
          at: rest.at,
          message: `${name} says that it is in ${state}, and the record says ${recorded} (${machine})`,
        });
    }
    return violations;
  });
}

/** What an agent said last, and was told that it is taken, is recorded as what it said, if nobody else has led since. */
function unheard(history: History): Violation[] {
  const [rest] = all(history, "rest");
  if (rest === undefined || rest.memory === null || wasRewound(history, "observed")) return [];
  const reports = all(history, "reported").filter(({ answer }) => answer !== "refused");
  const replays = all(history, "word").filter(({ word }) => word.kind === "replay");
  return rest.hosts.flatMap(({ name, incarnation }): Violation[] => {
    const last = reports.findLast(({ host }) => host === name);
    const record = rest.memory?.find((subject) => subject.name === name);
    if (last === undefined || record === undefined || last.answer !== "taken" || last.incarnation !== incarnation)
      return [];
    if (
      !isKept(history, last.process, last.at) ||
      replays.some(({ word, at }) => "host" in word && word.host === name && at >= last.sentAt)
    )
      return [];
    if (record.incarnation !== incarnation)
      return [
        {
          promise: "R3",
          at: last.at,
          message: `${name} said that it is ${incarnation}, and the record says ${record.incarnation}`,
        },
      ];
    return Object.entries(last.states).flatMap(([machine, state]) => {
      const entry = record.machines[machine];
      if (entry === undefined || entry.claim === state) return [];
      const message = `${name} said that it is in ${state}, was told that this is taken, and the record says that it said ${entry.claim} (${machine})`;
      return [{ promise: "R3", at: last.at, message }];
    });
  });
}
