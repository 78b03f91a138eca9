// Planted bugs in the record: its journal, its pushes, and who may write it.
import type { Canary } from "./list.ts";

const store = "reconciler/record/store.ts";

export const durability: readonly Canary[] = [
  {
    name: "no-sync",
    what: "a change is acknowledged before it is synced",
    promises: ["S1", "D1"],
    mode: "safety",
    seedsMax: 10,
    edits: [{ file: "reconciler/record/journal.ts", find: "await file.sync();", replace: "" }],
  },
  {
    name: "journal-not-read",
    what: "who leads on drops what its own journal has",
    promises: ["D1"],
    mode: "safety",
    seedsMax: 1000,
    edits: [
      {
        file: store,
        find: "if (isMine) this.applyJournal(subjects);",
        replace: "if (isMine) this.left = [];",
      },
    ],
  },
  {
    name: "key-ignored",
    what: "an update that is sent again is counted again",
    promises: ["D1"],
    mode: "safety",
    seedsMax: 60,
    edits: [
      {
        file: "reconciler/engine/requests.ts",
        find: "if (print !== null && carried.some(({ name }) => record.machines[name]?.updateKeys.includes(print))) return null;",
        replace: "",
      },
    ],
  },
  {
    name: "redone-with-a-new-commit",
    what: "a push whose answer was lost is made again with another commit",
    promises: ["D1"],
    mode: "safety",
    seedsMax: 1000,
    edits: [
      {
        file: store,
        find: "if (batch.commit !== this.publisher.tip) await this.publish(batch.commit);",
        replace: `if (batch.commit !== this.publisher.tip) {
      let commit = batch.commit;
      if (this.publisher.failures > 0) {
        const message = "again\\n\\nEpoch: " + this.publisher.epoch + "\\n";
        const again = commitObject(this.folders.id, { parent: this.publisher.tip, message, timeSeconds: this.seconds() });
        await this.options.git.write([again]);
        commit = again.id;
      }
      await this.publish(commit);
    }`,
      },
    ],
  },
  {
    name: "push-without-lease",
    what: "the record is pushed over whatever is there",
    promises: ["D2", "D3"],
    mode: "safety",
    seedsMax: 60,
    edits: [
      { file: "reconciler/record/publisher.ts", find: "const branch = `", replace: "const branch = `+" },
      { file: "reconciler/record/publisher.ts", find: 'this.tip ?? ""}`];', replace: 'this.tip ?? ""}`].slice(1);' },
    ],
  },
  {
    name: "epoch-not-raised",
    what: "who takes over writes in the epoch of the one before",
    promises: ["D3"],
    mode: "safety",
    seedsMax: 60,
    edits: [
      {
        file: store,
        find: "const epoch = Math.max(before, tips.now.epoch) + 1;",
        replace: "const epoch = Math.max(before, tips.now.epoch, 1);",
      },
    ],
  },
  {
    name: "mistake-in-force",
    what: "a commit with problems comes into force",
    promises: ["D4"],
    mode: "safety",
    seedsMax: 100,
    edits: [
      {
        file: "reconciler/engine/followed-main.ts",
        find: "if (hasErrors(next.loaded.problems)) {",
        replace: "if (next === undefined) {",
      },
    ],
  },
  {
    name: "good-commit-missed",
    what: "after a commit with problems no other one comes into force",
    promises: ["D4"],
    mode: "liveness",
    seedsMax: 60,
    edits: [
      {
        file: "reconciler/engine/followed-main.ts",
        find: "if (hasErrors(next.loaded.problems)) {",
        replace: "if (hasErrors(next.loaded.problems) || this.refused !== null) {",
      },
    ],
  },
  {
    name: "not-pushed",
    what: "a change that has no line of its own is never pushed",
    promises: ["D5"],
    mode: "liveness",
    seedsMax: 40,
    edits: [
      {
        file: store,
        find: "this.dirty.set(record.name, change);\n    this.summaries",
        replace: "if (summary !== null) this.dirty.set(record.name, change);\n    this.summaries",
      },
    ],
  },
  {
    name: "rewound-followed",
    what: "a branch that was moved back is followed",
    promises: ["D6"],
    mode: "safety",
    seedsMax: 1000,
    edits: [
      {
        file: "reconciler/record/follow.ts",
        find: "if (word === null || !(await git.descends(tip.tip, word))) return false;",
        replace: "if (word === tip.tip) return false;",
      },
    ],
  },
  {
    name: "updates-lost",
    what: "who takes over begins to count anew",
    promises: ["D1", "D2"],
    mode: "liveness",
    seedsMax: 300,
    edits: [
      {
        file: "reconciler/engine/loop.ts",
        find: "for (const record of subjects) this.records.set(record.name, record);",
        replace:
          'for (const record of subjects) this.records.set(record.name, record.kind !== "group" ? record : { ...record, machines: Object.fromEntries(Object.entries(record.machines).map(([name, entry]) => [name, { ...entry, updates: 0, updateKeys: [] }])) });',
      },
    ],
  },
  {
    name: "mistake-not-shown",
    what: "that a commit has problems is not said",
    promises: ["D4"],
    mode: "liveness",
    seedsMax: 300,
    edits: [
      {
        file: "reconciler/engine/followed-main.ts",
        find: "return this.notFollowed ?? this.refused ?? this.unapproved;",
        replace: "return this.notFollowed ?? this.unapproved;",
      },
    ],
  },
  {
    name: "acts-on-alone",
    what: "who cannot push goes on for ever",
    promises: ["D3"],
    mode: "safety",
    seedsMax: 1000,
    edits: [
      {
        file: "reconciler/engine/loop.ts",
        find: "const mayStart = !rewound && hasRoom && behindMs <= recordLimits.allBehindMs;",
        replace: "const mayStart = !rewound && hasRoom;",
      },
      {
        file: "reconciler/engine/loop.ts",
        find: "if (this.ports.record.status().behindMs > recordLimits.allBehindMs) return false;",
        replace: "",
      },
    ],
  },
];
