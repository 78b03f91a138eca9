// The state repository that is played in: two local hosts with a machine of ordinary steps, one marked never, a check, and a step on
// the controller; one host that reports by itself. Each step says in a log outside of the hosts what it did, and what the remote had then.
import type { DesiredFacts, MachineFacts, StepFacts } from "../sim/history.ts";
import type { Files } from "../support/world.ts";

/** Below the site, seen from a host's folder, and from the work folder of a reconciler's data. */
const fromHost = "../../..";
const fromController = "../..";

function script(name: string, base: string, work: string): object {
  const note = (word: string): string =>
    `echo "$(date +%s%3N) ${word} $STATEWARD_HOST $(cat .stateward/incarnation 2>/dev/null || echo -) ${name} $$ $(cat ${base}/remote.git/refs/heads/observed 2>/dev/null || echo -)" >>${base}/steps.log`;
  // A file of the site makes the step fail on that host, or last for as long as it is there.
  const fails = `test ! -e "${base}/fail-${name}-$STATEWARD_HOST"`;
  const waits = `while test -e "${base}/slow-${name}-$STATEWARD_HOST"; do sleep 0.05; done`;
  return { name, shell: `${note("begin")}\n${fails}\n${waits}\n${work}\n${note("end")}` };
}

const step = (name: string, work: string): object => script(name, fromHost, work);

/** The step of `svc` that is marked never. */
export const onceStep = "restore";

function svc(port: number): object {
  const states = {
    blank: null,
    installed: {
      enter: [
        {
          from: "blank",
          steps: [
            step("install", "sleep 0.05"),
            { name: "settings", write: { path: "etc/svc.conf", content: "host = ${host.name}\n" } },
          ],
        },
      ],
    },
    restored: {
      enter: [
        { from: "installed", steps: [{ ...step(onceStep, "sleep 0.2"), repeat: "never" }, step("verify", "true")] },
      ],
    },
    serving: {
      available: true,
      enter: [
        {
          from: "restored",
          steps: [step("up", "touch up"), { name: "port", tcp: { host: "127.0.0.1", port } }],
        },
        { from: "drained", steps: [step("back", "touch up")] },
      ],
      check: { run: "test -f up" },
    },
    drained: {
      enter: [
        {
          from: "serving",
          steps: [
            step("down", "rm -f up"),
            { name: "page", http: { url: `http://127.0.0.1:${port}/drained`, method: "POST" } },
            { ...script("tell", fromController, "sleep 0.05"), on: "controller" },
          ],
        },
      ],
    },
  };
  return { machine: "svc", initial: "blank", states };
}

const lamp = {
  machine: "lamp",
  initial: "off",
  states: { off: { enter: [{ from: "on" }] }, on: { enter: [{ from: "off" }] } },
  remedies: [
    {
      name: "relight",
      when: 'report.facts.lamp == "dim"',
      for: "1ms",
      steps: [{ ...script("relight", fromController, "sleep 0.05"), on: "controller" }],
    },
  ],
};

/** Moves on a number of updates that never comes, so that they are counted. */
const door = {
  machine: "door",
  initial: "shut",
  states: {
    shut: { enter: [{ from: "open" }] },
    open: { enter: [{ from: "shut", when: "updates >= 1000000", auto: true }] },
  },
};

const settings = {
  poll: "* * * * * *",
  look: "300ms",
  record: { window: "100ms" },
  attempts: { limit: 5, backoff: "200ms", backoff_max: "500ms" },
  rollout: { at_once: "100%", canary: 0, waves: ["100%"], max_unavailable: "100%" },
  brakes: { max_lost: "100%", quiet_start: 0, min_reported: 0 },
};

export type Targets = Readonly<Record<"a" | "b", "serving" | "drained">>;

export interface FleetOptions {
  /** Hosts that a commit may move without a word. */
  readonly maxMoved?: string;
}

/** Files of `main`; `port` is answered on loopback. */
export function fleetFiles(port: number, targets: Targets, { maxMoved = "100%" }: FleetOptions = {}): Files {
  const local = (host: "a" | "b"): object => ({ host, transport: "local", targets: { svc: targets[host] } });
  return {
    "stateward.yaml": { ...settings, brakes: { ...settings.brakes, max_moved: maxMoved } },
    "machines/svc.yaml": svc(port),
    "machines/lamp.yaml": lamp,
    "machines/door.yaml": door,
    "hosts/a.yaml": local("a"),
    "hosts/b.yaml": local("b"),
    "hosts/agent-1.yaml": { host: "agent-1", transport: "agent", machines: ["lamp", "door"] },
  };
}

const fact = (name: string, more: Partial<StepFacts> = {}): StepFacts => ({
  name,
  repeat: "always",
  on: "host",
  ...more,
});

/** The steps of each transition of `svc`, in order. */
const svcSteps: readonly (readonly [string, string, readonly StepFacts[]])[] = [
  ["blank", "installed", [fact("install"), fact("settings")]],
  ["installed", "restored", [fact(onceStep, { repeat: "never" }), fact("verify")]],
  ["restored", "serving", [fact("up"), fact("port")]],
  ["drained", "serving", [fact("back")]],
  ["serving", "drained", [fact("down"), fact("page"), fact("tell", { on: "controller" })]],
];

function passive(name: string, one: string, other: string): MachineFacts {
  const transitions = [
    { from: one, to: other, steps: [], isShut: false },
    { from: other, to: one, steps: [], isShut: false },
  ];
  return { name, initial: one, available: [], transitions };
}

/** What such a commit says, for those who judge. */
export function fleetFacts(targets: Targets): DesiredFacts {
  const transitions = svcSteps.map(([from, to, steps]) => ({ from, to, steps, isShut: false }));
  const common = { region: "", groups: [], isHeld: false };
  return {
    valid: true,
    machines: [
      { name: "svc", initial: "blank", available: ["serving"], transitions },
      passive("lamp", "off", "on"),
      passive("door", "shut", "open"),
    ],
    hosts: [
      // Looked at, like those over ssh.
      ...(["a", "b"] as const).map(
        (name) => ({ name, transport: "ssh", targets: { svc: targets[name] }, ...common }) as const,
      ),
      { name: "agent-1", transport: "agent", targets: {}, ...common },
    ],
    groups: [],
    maxMoved: 1000,
    maxLost: 1000,
    acknowledged: null,
  };
}

/** The step of that name, and the transition that it is in. */
export function stepNamed(name: string): {
  readonly machine: string;
  readonly step: StepFacts;
  readonly transition: { readonly from: string; readonly to: string } | null;
} {
  if (name === "relight") return { machine: "lamp", step: fact(name, { on: "controller" }), transition: null };

  for (const [from, to, steps] of svcSteps) {
    const step = steps.find((candidate) => candidate.name === name);
    if (step) return { machine: "svc", step, transition: { from, to } };
  }
  throw new Error(`no step is called ${name}`);
}
