// The record as it went over the remote: which commit followed which, and what stood in it.
import { all, type DesiredFacts, type Happening, type History, type SubjectInRecord, type What } from "../history.ts";

export type Pushed = Extract<What, { kind: "pushed" }> & { readonly at: number };
export type Began = Extract<What, { kind: "began" }> & { readonly at: number };

/** True when a person has moved `observed`: what was on it may be gone. */
export function wasRewound(history: History, branch: "main" | "observed"): boolean {
  return all(history, "rewound").some((event) => event.branch === branch);
}

/** Name of what is recorded of the whole fleet. */
export const fleetName = "@fleet";

/** True when a reconciler kept its disk, and nobody else wrote the record, from a moment to the end; or until its own next push. */
export function isKept(history: History, process: string, from: number): boolean {
  // One that has been deposed, and cannot know it because the remote does not answer, keeps what it takes in a journal set aside.
  const before = all(history, "pushed").findLast(({ at }) => at <= from);
  if (before !== undefined && before.process !== process) return false;
  for (const event of history.events) {
    if (event.at < from) continue;
    if (event.kind === "started" && event.process === process && event.fresh) return false;
    if (event.kind === "pushed" && event.process !== process) return false;
    // One that started, and was not answered yet, has no commit in force, and has not read what it has kept.
    if (event.kind === "rest") return event.leader === process && event.inForce !== null;
  }
  return false;
}

/** The commits of `main`, by id. */
export function desiredOf(history: History): ReadonlyMap<string, DesiredFacts> {
  return new Map(all(history, "commit").map(({ commit, desired }) => [commit, desired]));
}

/** The record that stood on the remote at each moment, subject by subject. */
export class RecordNow {
  readonly subjects = new Map<string, SubjectInRecord>();
  tip: Pushed | null = null;

  take(event: Happening): void {
    if (event.kind !== "pushed") return;
    this.tip = event;
    for (const subject of event.subjects) this.subjects.set(subject.name, subject);
  }
}

/** Whether a selector of a person's word covers a host, by the facts of a commit. */
export function covers(select: string, host: string, { hosts }: DesiredFacts): boolean {
  const facts = hosts.find(({ name }) => name === host);
  if (facts === undefined) return false;
  if (select === "fleet") return true;
  const [kind = "", name = ""] = select.includes("/") ? select.split("/") : ["host", select];
  if (kind === "host") return name === host;
  return kind === "region" ? facts.region === name : facts.groups.includes(name);
}

/** Whether two selectors of people's words are the same: a name alone is a host's. */
export function sameSelector(a: string, b: string): boolean {
  const whole = (text: string): string => (text === "fleet" || text.includes("/") ? text : `host/${text}`);
  return whole(a) === whole(b);
}
