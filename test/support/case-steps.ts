// What happens in a case, one thing a step: time passes, hosts report or fall silent, people push commits and say words.

import { hasErrors } from "../../reconciler/model/problem.ts";
import { type PlayedFleet, simulate } from "../../reconciler/plan/simulate.ts";
import { worldOf } from "../../reconciler/plan/tally.ts";
import {
  byName,
  duration,
  type Fields,
  fields,
  groupFile,
  laidOver,
  machineFile,
  names,
  slip,
  time,
} from "./case-format.ts";
import { type Rig, refusalOf } from "./case-rig.ts";
import type { Files } from "./world.ts";

/** A case as it is played: the rig, and what was asked of a plan. */
export interface Play {
  readonly rig: Rig;
  played: PlayedFleet | null;
  /** Events and steps before this one were expected already. */
  seen: { events: number; steps: number };
}

type Do = (play: Play, value: unknown, step: Fields) => Promise<void> | void;

const steps: Readonly<Record<string, Do>> = {
  pass: ({ rig }, value) => rig.clock.pass(duration(value, "pass")),
  until: ({ rig }, value) => rig.clock.pass(time(value, "until") - rig.clock.now()),
  commit: (play, value) => commit(play.rig, value),
  remote: (play, value) => remote(play.rig, value),
  ends: async ({ rig }, value) => {
    for (const [host, outcome] of byName(value, "ends")) await rig.end(host, String(outcome));
  },
  fails: ({ rig }, value) => names(value).forEach((host) => rig.failing.add(host)),
  works: ({ rig }, value) => names(value).forEach((host) => rig.failing.delete(host)),
  lose: ({ rig }, value) => names(value).forEach((host) => rig.hosts.down.add(host)),
  back: ({ rig }, value) => names(value).forEach((host) => rig.hosts.down.delete(host)),
  rebuild: ({ rig }, value) =>
    names(value).forEach((host) => {
      rig.hosts.down.delete(host);
      rig.hosts.rebuild(host);
    }),
  sicken: ({ rig }, value) => names(value).forEach((host) => rig.unhealthy.add(host)),
  heal: ({ rig }, value) => names(value).forEach((host) => rig.unhealthy.delete(host)),
  facts: async ({ rig }, value) => {
    for (const [host, facts] of byName(value, "facts")) {
      rig.facts.set(host, texts(facts, `facts of ${host}`));
      await rig.report(host);
    }
    await rig.clock.pass(0);
  },
  drift: async ({ rig }, value) => {
    for (const [host, states] of byName(value, "drift")) await drift(rig, host, states);
  },
  report: (play, value, step) => reports(play.rig, value, step.refused),
  say: (play, value, step) => say(play.rig, String(value), step.refused),
  restart: ({ rig }, value) => rig.restart(value),
  simulate: (play, value) => {
    play.played = simulated(play.rig, value);
  },
};

/** Plays one step. `expect` is for whoever knows what to compare. */
export async function playStep(play: Play, step: Fields, expect: (value: unknown) => void): Promise<void> {
  const [kind = "", ...more] = Object.keys(step).filter((key) => key !== "refused");
  if (more.length > 0) slip("a step", `does one thing, not ${[kind, ...more].join(" and ")}`);
  if (kind === "expect") return expect(step.expect);
  const run = steps[kind] ?? slip("a step", `nothing is called ${kind}`);
  if (step.refused !== undefined && kind !== "say" && kind !== "report") slip(kind, "cannot be refused");
  await run(play, step[kind], step);
  if (kind !== "pass" && kind !== "until") await play.rig.clock.pass(0);
}

function texts(value: unknown, where: string): Record<string, string> {
  return Object.fromEntries(Object.entries(fields(value ?? {}, where)).map(([key, item]) => [key, String(item)]));
}

const commitKeys = [
  "id",
  "targets",
  "hosts",
  "groups",
  "machines",
  "settings",
  "enter",
  "barriers",
  "remove",
  "acknowledge",
];

/** The files as they are after a commit. */
function filesAfter(rig: Rig, value: unknown): Files {
  const given = fields(value, "commit", commitKeys);
  const files: Record<string, unknown> = { ...rig.files };
  const over = (path: string, more: unknown): void => {
    if (!(path in files)) slip("commit", `there is no ${path}`);
    files[path] = laidOver(files[path], more);
  };
  const [machine = ""] = rig.machines.keys();
  for (const [host, target] of byName(given.targets, "targets"))
    over(`hosts/${host}.yaml`, { targets: typeof target === "string" ? { [machine]: target } : target });
  for (const [host, more] of byName(given.hosts, "hosts")) {
    const path = `hosts/${host}.yaml`;
    files[path] = laidOver(files[path] ?? { host, transport: "local" }, more);
  }
  for (const [group, more] of Object.entries(fields(given.groups ?? {}, "groups"))) {
    const path = `hosts/group-${group}.yaml`;
    files[path] = laidOver(files[path] ?? groupFile(group, {}), more);
  }
  if (given.settings !== undefined) over("stateward.yaml", given.settings);
  for (const [name, more] of Object.entries(fields(given.machines ?? {}, "machines")))
    over(`machines/${name}.yaml`, more);
  for (const name of rig.machines.keys()) {
    const path = `machines/${name}.yaml`;
    files[path] = machineFile(fields(files[path], path), given);
  }
  for (const host of names(given.remove ?? [])) {
    if (!(`hosts/${host}.yaml` in files)) slip("commit", `there is no ${host} to remove`);
    delete files[`hosts/${host}.yaml`];
  }
  return files;
}

async function commit(rig: Rig, value: unknown): Promise<void> {
  const given = fields(value, "commit", commitKeys);
  const files = filesAfter(rig, value);
  const acknowledge = given.acknowledge === undefined ? null : Number(given.acknowledge);
  await rig.commit(files, { acknowledge, ...(given.id === undefined ? {} : { id: given.id as string }) });
}

async function remote(rig: Rig, value: unknown): Promise<void> {
  switch (value) {
    case "down":
      rig.branch.say({ kind: "unreachable", message: "no route to the remote" });
      break;
    case "rewound":
      rig.branch.say({ kind: "rewound", message: "main was rewound" });
      break;
    case "broken":
      // A commit of which one file cannot be parsed, and in which most others are missing.
      rig.branch.push({ "stateward.yaml": {}, "hosts/x.yaml": "host: [" }, "b".repeat(40), null);
      break;
    default:
      slip("remote", "down, rewound or broken");
  }
  await rig.engine.poll();
}

/** The host itself is in another state, as its marker says. */
async function drift(rig: Rig, name: string, states: unknown): Promise<void> {
  const [first = ""] = rig.machines.keys();
  const claims = typeof states === "string" ? { [first]: states } : texts(states, `drift of ${name}`);
  const host = rig.world().desired.loaded.repository.hosts.get(name) ?? slip("drift", `no host is called ${name}`);
  for (const [machine, state] of Object.entries(claims)) {
    const claim = { state, revision: rig.revision(name, machine) };
    if (host.transport === "agent") await rig.report(name, { [machine]: { state, revision: null } });
    else await rig.hosts.mark({ host, incarnation: rig.hosts.incarnation(name), machine, claim });
  }
}

async function reports(rig: Rig, value: unknown, refused: unknown): Promise<void> {
  for (const [host, says] of byName(value, "report")) {
    const { incarnation, ...states } = texts(says, `report of ${host}`);
    const claims = Object.fromEntries(
      Object.entries(states).map(([machine, state]) => [machine, { state, revision: null }]),
    );
    const life = incarnation === undefined ? undefined : `${host}-life-${incarnation.padStart(4, "0")}`;
    expectRefusal(`report of ${host}`, await refusalOf(rig.report(host, claims, life)), refused);
  }
}

function expectRefusal(what: string, said: string | null, refused: unknown): void {
  if (refused !== undefined && typeof refused !== "string") slip(what, "refused is to be a text");
  if (refused === undefined && said !== null) throw new Error(`${what} was refused: ${said}`);
  if (refused !== undefined && said?.includes(refused) !== true)
    throw new Error(`${what} was to be refused with "${refused}", and was ${said ?? "taken"}`);
}

/** A person's word, as it is given on the command line: `hold group/web until 13:00`, `retry web-1`, `approve 1234567`. */
async function say(rig: Rig, text: string, refused: unknown): Promise<void> {
  const [verb = "", what = "", ...rest] = text.split(" ");
  const { fleet, coordination } = rig;
  const by = "ana";
  const until = rest[0] === "until" ? new Date(time(rest[1], text)).toISOString() : null;
  const words: Readonly<Record<string, () => Promise<unknown>>> = {
    hold: () => coordination.hold({ select: what, reason: "looking at it", by, until }),
    release: () => coordination.release(what, by),
    approve: () => coordination.approve(what, by),
    brake: () => coordination.releaseBrake(by, "looked at it"),
    retry: () => fleet.verdict(what, rest[0] ?? null, "retry"),
    skip: () => fleet.verdict(what, rest[0] ?? null, "skip"),
    replay: () => fleet.replay(what),
  };
  const word = words[verb] ?? slip("say", `nobody knows the word ${verb}`);
  expectRefusal(text, await refusalOf(word()), refused);
}

/** The plan of a commit that is not in force, played forward. */
function simulated(rig: Rig, value: unknown): PlayedFleet {
  const { fails = [], ...rest } = fields(value ?? {}, "simulate", [...commitKeys, "fails"]);
  const failing = new Set(names(fails));
  const world = rig.world();
  const loaded = rig.branch.load(filesAfter(rig, rest));
  if (hasErrors(loaded.problems)) slip("simulate", loaded.problems.map(({ message }) => message).join("; "));
  const next = worldOf({ ...world, desired: { commit: "5".repeat(40), loaded } });
  return simulate(next, { outcome: (host) => (failing.has(host) ? "failed" : "ok") });
}
