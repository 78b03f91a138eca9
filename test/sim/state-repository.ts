// State repositories of a simulation: what they say, as files for the reconciler and as facts for the checkers.
import { stringify } from "yaml";
import type { DesiredFacts, HostFacts, MachineFacts, StepFacts, TransitionFacts } from "./history.ts";
import type { Random } from "./random.ts";

interface TransitionSketch extends TransitionFacts {
  readonly when: string | null;
}

export interface MachineSketch {
  readonly name: string;
  readonly initial: string;
  readonly states: readonly string[];
  readonly available: readonly string[];
  readonly checked: readonly string[];
  readonly transitions: readonly TransitionSketch[];
  readonly barrier: { readonly state: string; readonly group: string } | null;
  readonly recovery: "replay" | "replace" | "alert";
  readonly drift: "correct" | "adopt" | "alert";
  readonly remedy: boolean;
}

export interface HostSketch {
  readonly name: string;
  readonly region: string;
  readonly transport: "agent" | "ssh";
  readonly first: boolean;
  readonly group: string;
  readonly machine: string;
  readonly target: string;
  readonly held: boolean;
}

/** What `main` says, as plain data. */
export interface RepositorySketch {
  readonly machines: readonly MachineSketch[];
  readonly hosts: readonly HostSketch[];
  readonly groups: readonly { readonly name: string; readonly maxUnavailable: number }[];
  readonly settings: Readonly<Record<string, unknown>>;
  readonly maxMoved: number | string;
  readonly maxLost: number;
  readonly hasLight: boolean;
}

/** The counter that a group shares: it never moves, so that what was counted can be compared with what was acknowledged. */
const light = {
  machine: "light",
  initial: "red",
  states: { red: {}, green: { enter: [{ from: "red", auto: true, when: "updates >= 1000000" }] } },
};

/** A group in which nobody is: guards over it are never open (B4). */
const nobody = { group: "nobody", select: 'host.region == "atlantis"' };

export function filesOf(sketch: RepositorySketch): Record<string, string> {
  const files: Record<string, unknown> = { "stateward.yaml": sketch.settings, "hosts/nobody.yaml": nobody };
  for (const machine of sketch.machines) files[`machines/${machine.name}.yaml`] = machineFile(machine);
  for (const { name, maxUnavailable } of sketch.groups) {
    files[`hosts/group-${name}.yaml`] = {
      group: name,
      select: `host.labels.group == "${name}"`,
      rollout: { max_unavailable: maxUnavailable },
    };
  }
  for (const { name } of sketch.machines) {
    files[`hosts/first-${name}.yaml`] = {
      group: `first_${name}`,
      select: `host.labels.role == "first" && host.labels.machine == "${name}"`,
    };
    files[`hosts/all-${name}.yaml`] = { group: `all_${name}`, select: `host.labels.machine == "${name}"` };
  }
  if (sketch.hasLight) {
    files["machines/light.yaml"] = light;
    files["hosts/crossing.yaml"] = { group: "crossing", machines: ["light"] };
  }
  for (const host of sketch.hosts) {
    files[`hosts/${host.name}.yaml`] = {
      host: host.name,
      region: host.region,
      transport: host.transport,
      address: `${host.name}.example`,
      labels: { group: host.group, role: host.first ? "first" : "other", machine: host.machine },
      targets: { [host.machine]: host.target },
      ...(host.held ? { hold: { reason: "its disk is failing", by: "ana" } } : {}),
    };
  }
  return Object.fromEntries(Object.entries(files).map(([path, value]) => [path, textOf(value)]));
}

/** Texts kept at most; then it begins anew. */
const textsMax = 5000;
const texts = new Map<string, string>();

/** As YAML. Most files of a commit are those of the commit before, and many of a run those of another. */
function textOf(value: unknown): string {
  const key = JSON.stringify(value);
  const text = texts.get(key) ?? stringify(value, { lineWidth: 0 });
  if (texts.size > textsMax) texts.clear();
  texts.set(key, text);
  return text;
}

function machineFile(machine: MachineSketch): object {
  const states = machine.states.map((state) => {
    const enter = machine.transitions.filter(({ to }) => to === state).map(transitionFile);
    return [
      state,
      {
        ...(machine.available.includes(state) ? { available: true } : {}),
        ...(machine.checked.includes(state) ? { check: { run: "true" } } : {}),
        ...(machine.barrier?.state === state ? { barrier: { group: machine.barrier.group } } : {}),
        ...(enter.length > 0 ? { enter } : {}),
      },
    ];
  });
  const repair = (what: string): object[] => [{ name: `${machine.name}.${what}.1`, run: what, on: "controller" }];
  return {
    machine: machine.name,
    initial: machine.initial,
    states: Object.fromEntries(states) as object,
    drift: machine.drift,
    recovery: {
      lost_after: "40s",
      // oxlint-disable-next-line no-thenable -- the format's own word
      then: machine.recovery,
      ...(machine.recovery === "replace" ? { replace: repair("replace") } : {}),
    },
  };
}

function transitionFile({ from, when, steps }: TransitionSketch): object {
  return {
    from,
    ...(when === null ? {} : { when }),
    steps: steps.map(({ name, repeat, on }) => ({ name, run: "act", timeout: "30s", repeat, on })),
  };
}

export function factsOf(
  sketch: RepositorySketch,
  extra: { readonly valid: boolean; readonly acknowledged: number | null },
): DesiredFacts {
  const machines = sketch.machines.map((machine): MachineFacts => {
    const { name, initial, available, transitions } = machine;
    return {
      name,
      initial,
      available,
      transitions: transitions.map(({ from, to, steps, isShut }) => ({ from, to, steps, isShut })),
    };
  });
  const hosts = sketch.hosts.map(
    ({ name, region, transport, group, first, machine, target, held }): HostFacts => ({
      name,
      region,
      transport,
      groups: first ? [group, `first_${machine}`] : [group],
      targets: { [machine]: target },
      isHeld: held,
    }),
  );
  const groups = sketch.groups.map(({ name, maxUnavailable }) => ({ name, maxUnavailable }));
  return { ...extra, machines, hosts, groups, maxMoved: sketch.maxMoved, maxLost: sketch.maxLost };
}

function stepsOf(random: Random, machine: string, way: string, mayBeOnce: boolean): StepFacts[] {
  const count = random.pick([0, 1, 1, 2, 3]);
  return Array.from({ length: count }, (_, index) => ({
    name: `${machine}.${way}.${index + 1}`,
    repeat: mayBeOnce && random.chance(0.35) ? "never" : "always",
    on: random.chance(0.15) ? "controller" : "host",
  }));
}

/** A chain of states to `up`, with `alt` and `rest` beside it, and now and then a state that nobody may enter. */
function randomMachine(random: Random, name: string): MachineSketch {
  const chain = Array.from({ length: random.whole(1, 3) }, (_, index) => `s${index}`);
  const ways: [string, string][] = [...chain, "up"].flatMap((state, index, list): [string, string][] => {
    const next = list[index + 1];
    return next === undefined ? [] : [[state, next]];
  });
  const loops: [string, string][] = [
    ["up", "rest"],
    ["rest", "up"],
    ["up", "alt"],
    ["alt", "up"],
  ];
  const last = ways.at(-1)?.[0] ?? "s0";
  const waits = random.chance(0.3)
    ? `host.labels.role == "first" || group.first_${name}.all(h, h.states["${name}"] in ["up", "alt", "rest"])`
    : null;
  const isShut = random.chance(0.4);
  const transitions = [
    ...ways.map(
      ([from, to]): TransitionSketch => ({
        from,
        to,
        steps: stepsOf(random, name, `${from}.${to}`, true),
        isShut: false,
        when: from === last ? waits : null,
      }),
    ),
    ...loops.map(
      ([from, to]): TransitionSketch => ({
        from,
        to,
        steps: stepsOf(random, name, `${from}.${to}`, false),
        isShut: false,
        when: null,
      }),
    ),
    ...(isShut
      ? [
          {
            from: "up",
            to: "shut",
            steps: [{ name: `${name}.up.shut.1`, repeat: "always", on: "host" } as const],
            isShut: true,
            when: "group.nobody.all(h, h.states.size() > 0)",
          },
        ]
      : []),
  ];
  return {
    name,
    initial: "s0",
    states: [...chain, "up", "alt", "rest", ...(isShut ? ["shut"] : [])],
    available: ["up", "alt"],
    checked: random.chance(0.5) ? ["up", "alt"] : [],
    transitions,
    barrier: random.chance(0.15) ? { state: "up", group: `all_${name}` } : null,
    recovery: random.pick(["replay", "replay", "replay", "replace", "alert"]),
    drift: random.pick(["correct", "correct", "correct", "adopt", "alert"]),
    remedy: false,
  };
}

/** For hosts with an agent: nothing is run on them. */
function beaconOf(machine: MachineSketch): MachineSketch {
  const transitions = machine.transitions
    .filter(({ isShut }) => !isShut)
    .map((transition) => ({ ...transition, steps: [], when: null }));
  const states = machine.states.filter((state) => state !== "shut");
  return { ...machine, name: "beacon", states, transitions, checked: [], barrier: null, recovery: "replay" };
}

/** States that may be asked for. */
export function targetsOf(machine: MachineSketch): string[] {
  return machine.states.filter((state) => !state.startsWith("s") || state === "shut");
}

export function randomHost(
  random: Random,
  name: string,
  sketch: Pick<RepositorySketch, "machines" | "groups">,
): HostSketch {
  const transport = random.chance(0.15) ? "agent" : "ssh";
  const machine = random.pick(
    sketch.machines.filter((candidate) => (candidate.name === "beacon") === (transport === "agent")),
  );
  return {
    name,
    region: random.pick(["east", "west"]),
    transport,
    first: random.chance(0.3),
    group: random.pick(sketch.groups).name,
    machine: machine.name,
    target: random.chance(0.9) ? "up" : random.pick(targetsOf(machine)),
    held: random.chance(0.03),
  };
}

export function randomRepository(random: Random, hostCount: number): RepositorySketch {
  const groups = ["g0", "g1", "g2"]
    .slice(0, random.whole(1, 3))
    .map((name) => ({ name, maxUnavailable: random.whole(1, 3) }));
  const stepped = ["app", "db"].slice(0, random.whole(1, 2)).map((name) => randomMachine(random.of(name), name));
  const machines = [...stepped, ...stepped.slice(0, 1).map(beaconOf)];
  const hosts = Array.from({ length: hostCount }, (_, index) =>
    randomHost(random.of(`host-${index}`), `h${index}`, { machines, groups }),
  );
  const maxMoved = random.pick([2, 3, "30%", "30%", 1000, 1000]);
  const maxLost = random.pick([3, 3, 1000]);
  const settings = {
    look: `${random.pick([5, 10, 20])}s`,
    attempts: { limit: random.whole(2, 5), backoff: "1s", backoff_max: "20s" },
    parallel: random.pick([1, 3, 50]),
    record: { window: `${random.pick([1, 2, 5])}s` },
    rollout: {
      at_once: random.pick([1, 3, "50%", "100%"]),
      canary: random.pick([0, 1]),
      waves: [random.pick([1, "25%", "100%"])],
      soak: random.pick(["0s", "5s"]),
    },
    brakes: {
      max_moved: maxMoved,
      max_lost: maxLost,
      quiet_start: random.pick([0, 1, 2]),
      min_reported: random.pick(["50%", "80%"]),
      max_removed: random.pick([1, 5]),
    },
    http: { state_access: "open" },
  };
  return { machines, hosts, groups, settings, maxMoved, maxLost, hasLight: random.chance(0.5) };
}
