// Planted bugs in how steps are run.
import type { Canary } from "./list.ts";

export const steps: readonly Canary[] = [
  {
    name: "intent-after-act",
    what: "a step's start is recorded when it has begun",
    promises: ["S1"],
    mode: "safety",
    seedsMax: 10,
    edits: [
      {
        file: "reconciler/engine/runner.ts",
        find: "await context.edit((entry) => stepStarted(entry, step, context.now()));",
        replace: 'if (step.repeat === "never") await context.edit((entry) => stepStarted(entry, step, context.now()));',
      },
    ],
  },
  {
    name: "failure-is-success",
    what: "a step that failed counts as done",
    promises: ["S1"],
    mode: "safety",
    seedsMax: 60,
    edits: [
      {
        file: "reconciler/engine/runner.ts",
        find: 'if (outcome.kind === "ok") {',
        replace: 'if (outcome.kind === "ok" || outcome.kind === "failed") {',
      },
    ],
  },
  {
    name: "unheard-is-success",
    what: "a step of which nobody heard how it ended counts as done",
    promises: ["S1"],
    mode: "safety",
    seedsMax: 600,
    edits: [
      {
        file: "reconciler/engine/runner.ts",
        find: 'if (outcome.kind === "ok") {',
        replace: 'if (outcome.kind === "ok" || (outcome.kind === "unreachable" && step.repeat === "always")) {',
      },
    ],
  },
  {
    name: "unknown-is-done",
    what: "a step marked never of which the host does not know how it ended counts as done",
    promises: ["S1"],
    mode: "safety",
    seedsMax: 600,
    edits: [
      {
        file: "reconciler/engine/runner.ts",
        find: 'return { ...entry, once: setOnce(entry, key, "unknown", context.now) };',
        replace: "return stepDone(entry, key, context.now);",
      },
    ],
  },
  {
    name: "last-step-left-out",
    what: "the third step of a transition is not run",
    promises: ["S1"],
    mode: "safety",
    seedsMax: 60,
    edits: [
      {
        file: "reconciler/engine/runner.ts",
        find: "for (const step of order.transition.steps) {",
        replace: "for (const step of order.transition.steps.slice(0, 2)) {",
      },
    ],
  },
  {
    name: "outcome-not-recorded",
    what: "the next step begins, and that the one before it ended well is not recorded",
    promises: ["S1"],
    mode: "safety",
    seedsMax: 60,
    edits: [
      {
        file: "reconciler/engine/runner.ts",
        find: "await context.edit((entry) => stepDone(entry, step.key, context.now()));\n    return true;",
        replace: "return true;",
      },
    ],
  },
  {
    name: "never-runs-again",
    what: "a step marked never whose outcome is unknown is run again",
    promises: ["S2"],
    mode: "safety",
    seedsMax: 1000,
    edits: [
      {
        file: "reconciler/engine/runner.ts",
        find: 'return { ...entry, once: setOnce(entry, key, "unknown", context.now) };',
        replace:
          'return { ...entry, attempt: entry.attempt && { ...entry.attempt, step: null }, once: setOnce(entry, key, "free", context.now) };',
      },
    ],
  },
  {
    name: "once-forgotten",
    what: "it is not recorded that a step marked never was started",
    promises: ["S2"],
    mode: "safety",
    seedsMax: 1000,
    edits: [
      {
        file: "reconciler/plan/transition.ts",
        find: 'once: step.repeat === "never" ? setOnce(entry, step.key, "started", now) : entry.once',
        replace: "once: entry.once",
      },
    ],
  },
  {
    name: "no-claims",
    what: "a step marked never leaves no claim on its host",
    promises: ["S2"],
    mode: "safety",
    seedsMax: 1000,
    edits: [
      {
        file: "reconciler/engine/runner.ts",
        find: 'step.repeat === "never" && runsOnHost(step);',
        replace: 'step.repeat === "always" && false;',
      },
    ],
  },
  {
    name: "unfenced-never",
    what: "a step marked never begins before its start is pushed",
    promises: ["D3"],
    mode: "safety",
    seedsMax: 40,
    edits: [
      {
        file: "reconciler/engine/runner.ts",
        find: 'if (step.repeat === "never" && !(await pushed(context, step))) return false;',
        replace: 'if (step.repeat === "never") void pushed(context, step);',
      },
    ],
  },
  {
    name: "two-at-once",
    what: "a transition begins while another one of the same host runs",
    promises: ["S4"],
    mode: "safety",
    seedsMax: 40,
    edits: [{ file: "reconciler/engine/loop.ts", find: "if (decision?.act) this.fly(name);", replace: "" }],
  },
  {
    name: "hold-not-checked",
    what: "what a person holds is acted upon",
    promises: ["S4"],
    mode: "safety",
    seedsMax: 100,
    edits: [
      {
        file: "reconciler/plan/holds.ts",
        find: "for (const hold of fleet.holds) if (covers(hold.select, host, groups)) consider(inForce(hold));",
        replace: "",
      },
    ],
  },
  {
    name: "held-by-file",
    what: "a host that its file holds is acted upon",
    promises: ["S4"],
    mode: "safety",
    seedsMax: 60,
    edits: [
      {
        file: "reconciler/plan/holds.ts",
        find: "if (host.hold !== null) consider({ ...host.hold, since: null, select: null });",
        replace: "",
      },
    ],
  },
  {
    name: "old-holds-not-honoured",
    what: "who takes over does not honour the holds of before, and leaves them in the record",
    promises: ["S4"],
    mode: "safety",
    seedsMax: 1000,
    edits: [
      {
        file: "reconciler/plan/holds.ts",
        find: "export function holdOn({ now, fleet, desired }: HoldWorld, host: Host)",
        replace:
          "export function holdOn({ now, fleet, desired, listeningSince = 0 }: HoldWorld & { listeningSince?: number }, host: Host)",
      },
      {
        file: "reconciler/plan/holds.ts",
        find: "for (const hold of fleet.holds) if (covers(",
        replace: "for (const hold of fleet.holds) if (Date.parse(hold.at) >= listeningSince && covers(",
      },
    ],
  },
  {
    name: "skip-forgotten",
    what: "the word to skip a step is acknowledged, and nothing follows",
    promises: ["L1"],
    mode: "liveness",
    seedsMax: 600,
    edits: [
      {
        file: "reconciler/engine/fleet.ts",
        find: "const freed = applyVerdict(entry, { word, steps, at: isoTime(world.now) });",
        replace:
          'const freed = word === "skip" ? entry : applyVerdict(entry, { word, steps, at: isoTime(world.now) });',
      },
    ],
  },
  {
    name: "retry-forgotten",
    what: "the word to try again is acknowledged, and nothing follows",
    promises: ["L1"],
    mode: "liveness",
    seedsMax: 300,
    edits: [
      {
        file: "reconciler/engine/fleet.ts",
        find: "const freed = applyVerdict(entry, { word, steps, at: isoTime(world.now) });",
        replace:
          'const freed = word === "retry" ? entry : applyVerdict(entry, { word, steps, at: isoTime(world.now) });',
      },
    ],
  },
];
