// The record as it went over the remote: which commit followed which, and what stood in it.
import { all, type DesiredFacts, type Happening, type History, type SubjectInRecord, type What } from "../history.ts";

export type Pushed = Extract<What, { kind: "pushed" }> & { readonly at: number };
export type Began = Extract<What, { kind: "began" }> & { readonly at: number };

/** True when a person has moved `observed`: what was on it may be gone. */
export function wasRewound(history: History, branch: "main" | "observed"): boolean {
  return all(history, "rewound").some((event) => event.branch === branch);
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
