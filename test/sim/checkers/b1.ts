// B1: no more of a group is taken down than its limits say.
import type { Checker, DesiredFacts, History, Violation } from "../history.ts";
import { desiredOf } from "./chain.ts";

export const b1: Checker = {
  promise: "B1",
  says: "a step that takes an available host down begins only while fewer of its group than the limit are down by such a step of the same reconciler, and while fewer than that are silent: unknown counts as unavailable",
  check: (history) => [...judge(history), ...besideSilent(history)],
};

/** A commit is in force this long after it was pushed, as a rule; sooner is as well. */
const followedMs = 60_000;

function judge(history: History): Violation[] {
  const commits = desiredOf(history);
  const first = [...commits.values()][0];
  const violations: Violation[] = [];
  if (first === undefined) return violations;
  const groupsOf = new Map<string, readonly string[]>();
  /** Host and machine: who took it down, and the run that it began with. */
  const down = new Map<string, { readonly process: string; readonly at: number }>();
  const failed = new Map<number, string>();
  let epoch = 0;
  let leader: string | null = null;
  /** When a commit last wanted a host elsewhere. */
  const changedAt = new Map<string, number>();
  let facts: DesiredFacts = first;
  /** What was in force when something was recorded last. */
  let inForce: DesiredFacts = first;
  for (const event of history.events) {
    if (event.kind === "commit" && event.desired.valid) {
      for (const host of movedHosts(facts, event.desired)) changedAt.set(host, event.at);
      facts = event.desired;
    }
    for (const { name, groups, targets } of facts.hosts)
      groupsOf.set(name, [...groups, ...Object.keys(targets).map((machine) => `all_${machine}`)]);
    if (event.kind === "killed" || event.kind === "stopped") forget(down, event.process);
    // One that takes the lead, or takes it again, goes by what is recorded; nobody does whose record was moved back.
    if (event.kind === "rewound" && event.branch === "observed") down.clear();
    if (event.kind === "pushed" && event.epoch > epoch) down.clear();
    if (event.kind === "pushed" && event.epoch >= epoch) leader = event.process;
    // A commit may wait for a person's word for long before it comes into force.
    const isApproved = event.kind === "word" && event.word.kind === "approve" && event.answer === "taken";
    if (event.kind === "pushed" || isApproved) {
      if (event.kind === "pushed") epoch = Math.max(epoch, event.epoch);
      const named = event.kind === "pushed" ? event.desired : event.word.kind === "approve" ? event.word.commit : null;
      const next = commits.get(named ?? "") ?? inForce;
      for (const host of movedHosts(inForce, next)) changedAt.set(host, event.at);
      inForce = next;
      // A host that is not there any more is no member of a group.
      const there = new Set(next.hosts.map(({ name }) => name));
      for (const key of down.keys()) if (!there.has(key.split(" ")[0] ?? "")) down.delete(key);
    }
    // What a host does by itself is no step's doing any more.
    if (event.kind === "built" || event.kind === "fell" || event.kind === "down") forgetHost(down, event.host);
    if (event.kind === "marked") down.delete(`${event.host} ${event.machine}`);
    if (event.kind === "ended" && event.exit !== 0) {
      const key = failed.get(event.run);
      if (key !== undefined) down.delete(key);
    }
    if (event.kind !== "began" || event.transition === null) continue;
    const { host, machine, transition, process } = event;
    const sketch = facts.machines.find(({ name }) => name === machine);
    if (!sketch?.available.includes(transition.from)) continue;
    const key = `${host} ${machine}`;
    failed.set(event.run, key);
    // What a newer commit wants elsewhere is not tried again: its host counts as it is recorded, once that commit is in force.
    for (const [other, { at }] of down)
      if ((changedAt.get(other.split(" ")[0] ?? "") ?? -followedMs) > at - followedMs) down.delete(other);
    // One that was deposed, and cannot know it yet, goes by what it knows.
    if (!down.has(key) && process === leader) violations.push(...tooMany({ facts, groupsOf, down }, event));
    down.set(key, { process, at: event.at });
  }
  return violations;
}

/** Who has been silent for so long was missed at a look, and whoever went on after a stop has looked again. */
const missedMs = 45_000;

/** B4: a host that does not answer takes its place in its groups, whatever is recorded of it. */
function besideSilent(history: History): Violation[] {
  const violations: Violation[] = [];
  const silent = new Map<string, number>();
  const goesOn = new Map<string, number>();
  /** What was begun before goes on: host and machine, while nobody has told the host that it has arrived. */
  const open = new Set<string>();
  let facts: DesiredFacts | null = null;
  let changedAt = 0;
  for (const event of history.events) {
    if (event.kind === "commit" && event.desired.valid) {
      const names = ({ hosts }: DesiredFacts): string => hosts.map(({ name }) => name).join(" ");
      if (facts === null || names(facts) !== names(event.desired)) changedAt = event.at;
      facts = event.desired;
    }
    if (event.kind === "down") silent.set(event.host, event.at);
    if (event.kind === "up") silent.delete(event.host);
    if (event.kind === "resumed" || event.kind === "started") goesOn.set(event.process, event.at);
    if (event.kind === "marked") open.delete(`${event.host} ${event.machine}`);
    if (event.kind !== "began" || event.transition === null || facts === null) continue;
    const { at, host, machine, transition, process, step } = event;
    const key = `${host} ${machine}`;
    const isNew = !open.has(key);
    open.add(key);
    const desired = facts;
    const isUp = desired.machines.find(({ name }) => name === machine)?.available.includes(transition.from) === true;
    // A commit that came just now may have taken hosts out of their groups.
    if (!isNew || !isUp || at - changedAt < missedMs || at - (goesOn.get(process) ?? 0) < missedMs) continue;
    const own = membershipOf(desired, host);
    for (const group of own) {
      const limit = limitOf(desired, group);
      const gone = desired.hosts.filter(
        ({ name, transport }) =>
          name !== host &&
          transport !== "agent" &&
          membershipOf(desired, name).includes(group) &&
          at - (silent.get(name) ?? at) > missedMs,
      );
      if (limit !== null && gone.length >= limit)
        violations.push({
          promise: "B1",
          at,
          message: `${step.name} takes ${host} down while ${gone.map(({ name }) => name).join(", ")} of ${group} are silent, and ${limit} may be down`,
        });
    }
  }
  return violations;
}

function membershipOf({ hosts }: DesiredFacts, host: string): string[] {
  const facts = hosts.find(({ name }) => name === host);
  return facts === undefined ? [] : [...facts.groups, ...Object.keys(facts.targets).map((machine) => `all_${machine}`)];
}

/** Where a group says nothing, a tenth of it may be down, and at least one host: so it is for the hosts of a machine. */
function limitOf({ groups, hosts }: DesiredFacts, group: string): number | null {
  const stated = groups.find(({ name }) => name === group);
  if (stated !== undefined) return stated.maxUnavailable;
  const members = hosts.filter(
    ({ groups: names, targets }) =>
      names.includes(group) || Object.keys(targets).some((machine) => `all_${machine}` === group),
  );
  return members.length === 0 ? null : Math.max(1, Math.floor(members.length / 10));
}

function tooMany(
  {
    facts,
    groupsOf,
    down,
  }: {
    readonly facts: DesiredFacts;
    readonly groupsOf: ReadonlyMap<string, readonly string[]>;
    readonly down: ReadonlyMap<string, { readonly process: string }>;
  },
  {
    at,
    host,
    process,
    step,
  }: { readonly at: number; readonly host: string; readonly process: string; readonly step: { readonly name: string } },
): Violation[] {
  return (groupsOf.get(host) ?? []).flatMap((group) => {
    const limit = limitOf(facts, group);
    if (limit === null) return [];
    const others = [...down].filter(
      ([key, by]) =>
        by.process === process && !key.startsWith(`${host} `) && groupsOf.get(key.split(" ")[0] ?? "")?.includes(group),
    );
    return others.length < limit
      ? []
      : [
          {
            promise: "B1",
            at,
            message: `${step.name} takes ${host} down while ${others.length} of ${group} are, of which ${limit} may be`,
          },
        ];
  });
}

function forget(down: Map<string, { readonly process: string }>, process: string): void {
  for (const [key, by] of down) if (by.process === process) down.delete(key);
}

function forgetHost(down: Map<string, unknown>, host: string): void {
  for (const key of down.keys()) if (key.startsWith(`${host} `)) down.delete(key);
}

/** Those that a commit wants elsewhere, that it adds, and that it takes away. */
function movedHosts(before: DesiredFacts, after: DesiredFacts): string[] {
  const targetsOf = ({ hosts }: DesiredFacts): Map<string, string> =>
    new Map(hosts.map(({ name, targets }) => [name, JSON.stringify(targets)]));
  const [old, wanted] = [targetsOf(before), targetsOf(after)];
  return [...new Set([...old.keys(), ...wanted.keys()])].filter((name) => old.get(name) !== wanted.get(name));
}
