// Planted bugs in what is decided from what is desired, recorded and reported.
import type { Canary } from "./list.ts";

export const reconciling: readonly Canary[] = [
  {
    name: "backoff-by-chance",
    what: "the wait before a retry is drawn by chance, and no digest",
    promises: ["R1"],
    mode: "safety",
    seedsMax: 60,
    edits: [
      {
        file: "reconciler/plan/transition.ts",
        find: "const chance = Number.parseInt(digest(seed).slice(0, 8), 16) / 0xffffffff;",
        replace: "const chance = Math.random();",
      },
    ],
  },
  {
    name: "news-at-each-look",
    what: "conditions are recorded anew at each look, with its time",
    promises: ["R2"],
    mode: "liveness",
    seedsMax: 20,
    edits: [
      { file: "reconciler/plan/conditions.ts", find: "if (unchanged) return entry;", replace: "" },
      {
        file: "reconciler/plan/conditions.ts",
        find: "at: before && saysTheSame(before, condition) ? before.at : isoTime(now)",
        replace: "at: isoTime(now)",
      },
    ],
  },
  {
    name: "record-wins",
    what: "what a host says of itself never wins over the record",
    promises: ["R3"],
    mode: "liveness",
    seedsMax: 100,
    edits: [
      {
        file: "reconciler/plan/observe.ts",
        find: "if (claim.state === entry.state) return false;",
        replace: "return false;",
      },
    ],
  },
  {
    name: "heard-it-before",
    what: "a host that is set back by hand a second time is not heard: it says what it said before",
    promises: ["R3"],
    mode: "liveness",
    seedsMax: 600,
    edits: [
      {
        file: "reconciler/plan/observe.ts",
        find: "if (!isNewer && entry.claim === null) return entry;",
        replace: "if (!isNewer) return entry;",
      },
      {
        file: "reconciler/engine/runner.ts",
        find: "const left = leavesMarker(subject) ? { ...entry, claim: null } : entry;",
        replace: "const left = entry;",
      },
    ],
  },
  {
    name: "stale-sequence",
    what: "a report is taken that is not newer than the last one",
    promises: ["R3"],
    mode: "safety",
    seedsMax: 200,
    edits: [
      {
        file: "reconciler/engine/requests.ts",
        find: "record?.incarnation === report.incarnation && report.sequence <= sequence",
        replace: "record?.incarnation === report.incarnation && report.sequence < 0",
      },
    ],
  },
  {
    name: "former-life",
    what: "a report of a life that is over is taken",
    promises: ["R3"],
    mode: "safety",
    seedsMax: 1000,
    edits: [
      {
        file: "reconciler/engine/requests.ts",
        find: "if (record?.former.includes(report.incarnation)) {",
        replace: "if (record === null) {",
      },
    ],
  },
  {
    name: "rebuilt-unnoticed",
    what: "a rebuilt host is taken for what it was",
    promises: ["R3", "R4"],
    mode: "liveness",
    seedsMax: 40,
    edits: [
      {
        file: "reconciler/plan/observe.ts",
        find: "noteRebuilt(world, subject, rebuilt(world, next, report.incarnation))",
        replace: "{ ...next, incarnation: report.incarnation }",
      },
    ],
  },
  {
    name: "incarnation-ignored",
    what: "what was decided for one life of a host is done to the next one",
    promises: ["R4"],
    mode: "safety",
    seedsMax: 1000,
    edits: [
      {
        file: "reconciler/engine/loop.ts",
        find: "incarnation: this.records.get(name)?.incarnation ?? null,\n      entry:",
        replace: "incarnation: null,\n      entry:",
      },
    ],
  },
  {
    name: "replay-skipped",
    what: "a rebuilt host goes to its target by the shortest way",
    promises: ["R4"],
    mode: "safety",
    seedsMax: 1000,
    edits: [
      {
        file: "reconciler/plan/observe.ts",
        find: "replay: replay.filter((state) => state !== initial),",
        replace: "replay: [],",
      },
    ],
  },
  {
    name: "replay-with-loops",
    what: "a rebuilt host is led through every state that it was ever in",
    promises: ["R4"],
    mode: "safety",
    seedsMax: 400,
    edits: [
      {
        file: "reconciler/plan/transition.ts",
        find: "withoutLoops([...entry.applied, step], (item) => item.state)",
        replace: "[...entry.applied, step]",
      },
      {
        file: "reconciler/plan/observe.ts",
        find: "withoutLoops([...entry.applied.map(({ state }) => state), ...entry.replay], (state) => state)",
        replace: "[...entry.applied.map(({ state }) => state), ...entry.replay]",
      },
      {
        file: "reconciler/plan/transition.ts",
        find: "entry.replay.slice(entry.replay.lastIndexOf(state) + 1)",
        replace: "entry.replay.slice(entry.replay.indexOf(state) + 1)",
      },
      {
        file: "reconciler/model/record.ts",
        find: "return replay.length === 0 ? replay : replay.slice(replay.lastIndexOf(state) + 1);",
        replace: "return replay[0] === state ? replay.slice(1) : replay;",
      },
    ],
  },
  {
    name: "backoff-without-wake-up",
    what: "nobody looks again when the wait before a retry is over",
    promises: ["L1"],
    mode: "liveness",
    seedsMax: 60,
    edits: [
      {
        file: "reconciler/plan/decide.ts",
        find: 'if (next.kind === "wait" && next.at !== null) this.wake(next.at);',
        replace: "",
      },
    ],
  },
  {
    name: "attempt-left-open",
    what: "how a step ended whose reconciler went away is never taken in",
    promises: ["L1"],
    mode: "liveness",
    seedsMax: 100,
    edits: [
      {
        file: "reconciler/engine/loop.ts",
        find: 'if (inquiry.kind === "running") {',
        replace: 'if (inquiry.kind !== "ended") {',
      },
    ],
  },
  {
    name: "agent-not-heard",
    what: "what an agent says of its states is acknowledged, and not taken in",
    promises: ["R3"],
    mode: "liveness",
    seedsMax: 300,
    edits: [
      {
        file: "reconciler/plan/observe.ts",
        find: "  const claim = report.states[machine.name];\n  if (before.attempt",
        replace:
          "  const claim = report.sequence === null ? report.states[machine.name] : undefined;\n  if (before.attempt",
      },
    ],
  },
];
