// A quantifier over a group, worked out from what it says of each host alone: a host that changes is asked again, and no other.
import type { CelHost, GuardResult } from "./guard.ts";
import type { Members } from "./members.ts";

/** Loops whose verdict on one host is that of their condition. */
export type Quantifier = "all" | "exists";

const verdict = { no: 0, yes: 1, unknown: 2 } as const;

export class Verdicts {
  private readonly members: Members;
  private readonly quantifier: Quantifier;
  private readonly verdicts: Uint8Array;
  /** How many hosts have each verdict. */
  private readonly counts: [number, number, number];
  private version = -1;

  constructor(members: Members, quantifier: Quantifier) {
    this.members = members;
    this.quantifier = quantifier;
    this.verdicts = new Uint8Array(members.list.length);
    this.counts = [members.list.length, 0, 0];
  }

  /**
   * The result for all members. `over` evaluates for those that it is given. As CEL has it, one host decides whatever is not known of
   * others, and where none does, the first of which it is not known says why.
   */
  result(over: (some: readonly CelHost[]) => GuardResult): GuardResult {
    this.follow(over);
    const { list } = this.members;
    const [no, yes, unknown] = this.counts;
    if (this.quantifier === "all" ? no > 0 : yes > 0) return { ok: true, value: this.quantifier !== "all" };
    if (unknown === 0) return { ok: true, value: this.quantifier === "all" };
    const first = list[this.verdicts.indexOf(verdict.unknown)];
    return over(first === undefined ? list : [first]);
  }

  private follow(over: (some: readonly CelHost[]) => GuardResult): void {
    const { list, version } = this.members;
    const changed = this.version < 0 ? null : this.members.since(this.version);
    for (const place of changed ?? list.keys()) {
      const host = list[place];
      if (host === undefined) continue;
      const result = over([host]);
      const now = result.ok ? (result.value === true ? verdict.yes : verdict.no) : verdict.unknown;
      this.counts[(this.verdicts[place] ?? verdict.no) as 0 | 1 | 2]--;
      this.counts[now]++;
      this.verdicts[place] = now;
    }
    this.version = version;
  }
}
