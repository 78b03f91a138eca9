// Planted bugs in what hosts share: limits, brakes, approvals, selectors and holds.
import type { Canary } from "./list.ts";

const brakes = "reconciler/plan/brakes.ts";

export const fleet: readonly Canary[] = [
  {
    name: "one-too-many",
    what: "one more of a group is taken down than may be",
    promises: ["B1"],
    mode: "liveness",
    seedsMax: 600,
    edits: [
      {
        file: "reconciler/plan/gates.ts",
        find: "return limitOf([(group?.rollout ?? settings.rollout).maxUnavailable], group?.members.length ?? 0);",
        replace:
          "return 1 + limitOf([(group?.rollout ?? settings.rollout).maxUnavailable], group?.members.length ?? 0);",
      },
    ],
  },
  {
    name: "no-brake",
    what: "however many are lost at once, they are healed",
    promises: ["B2"],
    mode: "safety",
    seedsMax: 1000,
    edits: [
      { file: brakes, find: "if (lost > limit) return", replace: "if (lost < 0) return" },
      { file: brakes, find: "if (count > most) return", replace: "if (count < 0) return" },
    ],
  },
  {
    name: "brake-lifts-itself",
    what: "a brake is off when time has passed",
    promises: ["B2"],
    mode: "liveness",
    seedsMax: 200,
    edits: [
      {
        file: "reconciler/plan/fleet.ts",
        find: "const braked = losses === null ? fleet.braked :",
        replace: "const braked = losses === null ? (tooManyLost(world) === null ? null : fleet.braked) :",
      },
    ],
  },
  {
    name: "moves-unlimited",
    what: "a commit may move as many hosts as it likes",
    promises: ["B3"],
    mode: "safety",
    seedsMax: 100,
    edits: [{ file: brakes, find: "...(moved > limit ?", replace: "...(moved < 0 ?" }],
  },
  {
    name: "approval-of-another",
    what: "a person's word about one commit is good for all",
    promises: ["B3"],
    mode: "safety",
    seedsMax: 1000,
    edits: [
      {
        file: "reconciler/engine/loop.ts",
        find: "if (this.fleet().approvals.some(({ commit }) => commit === next.commit)) return null;",
        replace: "if (this.fleet().approvals.length > 0) return null;",
      },
    ],
  },
  {
    name: "number-not-compared",
    what: "a trailer with any number acknowledges everything",
    promises: ["B3"],
    mode: "safety",
    seedsMax: 1000,
    edits: [
      {
        file: brakes,
        find: "return acknowledged !== null && acknowledged >= real && acknowledged <= real + Math.max(1, Math.floor(real / 10));",
        replace: "return acknowledged !== null && real > 0;",
      },
    ],
  },
  {
    name: "rounds-up",
    what: "a limit that is a share of the fleet is rounded up",
    promises: ["B3"],
    mode: "safety",
    seedsMax: 1000,
    edits: [
      {
        file: "reconciler/model/amount.ts",
        find: "return of === null ? value : Math.floor((total * value) / of);",
        replace: "return of === null ? value : Math.ceil((total * value) / of);",
      },
    ],
  },
  {
    name: "nobody-is-held",
    what: "a hold on nobody is acknowledged",
    promises: ["B4"],
    mode: "safety",
    seedsMax: 60,
    edits: [
      {
        file: "reconciler/engine/coordination.ts",
        find: "if (hosts === 0) throw selectsNobody(order.select);",
        replace: "",
      },
    ],
  },
  {
    name: "nobody-is-everybody",
    what: "a selector that selects nobody selects everybody",
    promises: ["B4"],
    mode: "safety",
    seedsMax: 200,
    edits: [
      {
        file: "reconciler/model/repository.ts",
        find: "return members.toSorted();",
        replace: "return members.length === 0 ? [...hosts.keys()] : members.toSorted();",
      },
    ],
  },
  {
    name: "empty-guard-opens",
    what: "a guard over all of nobody holds",
    promises: ["B4"],
    mode: "safety",
    seedsMax: 200,
    edits: [
      {
        file: "reconciler/model/guard.ts",
        find: "if (members !== undefined && members.length > 0) groups[name] = members;",
        replace: "groups[name] = members ?? [];",
      },
    ],
  },
  {
    name: "holds-forgotten",
    what: "holds are gone after a restart",
    promises: ["B5", "D1"],
    mode: "safety",
    seedsMax: 1000,
    edits: [
      {
        file: "reconciler/engine/loop.ts",
        find: "for (const record of subjects) this.records.set(record.name, record);",
        replace:
          "for (const record of subjects) this.records.set(record.name, record.fleet ? { ...record, fleet: { ...record.fleet, holds: [] } } : record);",
      },
    ],
  },
  {
    name: "holds-not-handed-over",
    what: "who takes over starts without the holds that another has recorded",
    promises: ["B5"],
    mode: "safety",
    seedsMax: 1500,
    edits: [
      {
        file: "reconciler/record/store.ts",
        find: "const journal = (this.journal ??= await this.openJournal());",
        replace:
          'const journal = (this.journal ??= await this.openJournal()); const all = subjects.get("@fleet"); if (!isMine && all?.fleet) subjects.set("@fleet", { ...all, fleet: { ...all.fleet, holds: [] } });',
      },
    ],
  },
  {
    name: "approval-forgotten",
    what: "a person's word for a commit is acknowledged, and not recorded",
    promises: ["D1", "D4"],
    mode: "safety",
    seedsMax: 200,
    edits: [
      {
        file: "reconciler/engine/coordination.ts",
        find: "{ ...fleet, approvals: [...fleet.approvals, approval].slice(-approvalsMax) },",
        replace: "{ ...fleet },",
      },
    ],
  },
  {
    name: "brake-release-forgotten",
    what: "the release of the brake is acknowledged, and not recorded",
    promises: ["D1"],
    mode: "safety",
    seedsMax: 100,
    edits: [
      {
        file: "reconciler/engine/coordination.ts",
        find: "{ ...fleet, braked: null, released }",
        replace: "{ ...fleet }",
      },
    ],
  },
  {
    name: "silent-is-up",
    what: "a host that does not answer counts as available",
    promises: ["B1"],
    mode: "safety",
    seedsMax: 1500,
    edits: [
      {
        file: "reconciler/plan/standing.ts",
        find: "let available = heard && said.report.incarnation === record.incarnation && !flying;",
        replace: "let available = !flying;",
      },
    ],
  },
  {
    name: "silent-are-replaced",
    what: "however many are silent, they are replaced",
    promises: ["B2"],
    mode: "safety",
    seedsMax: 600,
    edits: [
      {
        file: "reconciler/plan/replace.ts",
        find: "const braked = quietStart(world, host) ?? lostBrake(world, record);",
        replace: "const braked = null as ReturnType<typeof lostBrake>;",
      },
      {
        file: "reconciler/plan/replace.ts",
        find: "if (losses !== null)\n",
        replace: "if (losses !== null && losses.lost < 0)\n",
      },
    ],
  },
  {
    name: "release-wakes-nobody",
    what: "whoever was held is not looked at again when the hold is lifted",
    promises: ["L1"],
    mode: "liveness",
    seedsMax: 400,
    edits: [
      {
        file: "reconciler/engine/loop.ts",
        find: "if (next.holds !== before.holds || next.released",
        replace: "if (next.holds.length > before.holds.length || next.released",
      },
    ],
  },
];
