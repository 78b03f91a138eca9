// Sums over the fleet that limits are held against: how many hosts of a group are down, how far a rollout is, who holds which permit.
// A sum is changed by what one host contributes, so a decision about one host does not ask all others.
import { emptyFleet } from "../model/record.ts";
import { groupsOf } from "./groups.ts";
import { Line, type LinePart } from "./line.ts";
import { Seen } from "./seen.ts";
import type { Stage } from "./stage.ts";
import { type Part, rolloutGate, type Standing, standingOf } from "./standing.ts";
import type { World } from "./world.ts";

export interface GroupTally {
  /** Hosts that are not available: down, acted upon, or not known. */
  readonly down: number;
  readonly acted: number;
}

export interface ScopeTally extends Readonly<Record<Stage, number>> {
  /** Identity of what is wanted. */
  readonly id: string;
  readonly failedNames: ReadonlySet<string>;
  /** Hosts of a region that have still to arrive and could. */
  readonly open: ReadonlyMap<string, number>;
}

class Scope implements ScopeTally {
  pending = 0;
  active = 0;
  done = 0;
  failed = 0;
  parked = 0;
  readonly failedNames = new Set<string>();
  readonly open = new Map<string, number>();
  private readonly wants = new Map<string, number>();
  private known: string | null = null;

  get id(): string {
    this.known ??= [...this.wants.keys()].toSorted().join(" ");
    return this.known;
  }

  get size(): number {
    return this.pending + this.active + this.done + this.failed + this.parked;
  }

  add(host: string, region: string, { stage, want }: Part, sign: 1 | -1): void {
    this[stage] += sign;
    if (stage === "failed") put(this.failedNames, host, sign);
    if (stage === "pending" || stage === "active") count(this.open, region, sign);
    if (count(this.wants, want, sign)) this.known = null;
  }
}

/** Adds to a count; keys at 0 are left out. True when a key came or went. */
function count(counts: Map<string, number>, key: string, sign: 1 | -1): boolean {
  const now = (counts.get(key) ?? 0) + sign;
  if (now === 0) counts.delete(key);
  else counts.set(key, now);
  return now === 0 || (now === 1 && sign === 1);
}

function put(names: Set<string>, name: string, sign: 1 | -1): void {
  if (sign > 0) names.add(name);
  else names.delete(name);
}

function set(values: Map<string, number>, [name, value]: readonly [string, number], sign: 1 | -1): void {
  if (sign > 0) values.set(name, value);
  else values.delete(name);
}

const noGroup: GroupTally = { down: 0, acted: 0 };

interface GroupSums {
  down: number;
  acted: number;
  /** Those at which hosts wait for others of the group. */
  readonly gates: readonly [string, string];
}

export class Tally {
  /** Hosts as guards see them. */
  readonly seen: Seen = new Seen();
  private readonly standings = new Map<string, Standing>();
  private readonly groups = new Map<string, GroupSums>();
  private readonly scopes = new Map<string, Scope>();
  private readonly holders = new Map<string, Map<string, number>>();
  private readonly lines = new Map<string, Line>();
  private readonly losses = new Map<string, number>();
  /** The same in the order of their times, so that those of the last minutes are found without asking all. */
  private readonly lossLine = new Line();
  private readonly replacements = new Map<string, number>();
  /** Hosts in all. */
  total = 0;
  /** Of these, how many have reported since the start. */
  reported = 0;
  acted = 0;

  /** The sums of a world from the beginning. */
  static of(world: Omit<World, "tally">): Tally {
    const tally = new Tally();
    const whole = { ...world, tally };
    tally.takeAll(whole, null);
    return tally;
  }

  /** Takes in how every host stands, where nothing is known yet. */
  takeAll(world: World, opened: Set<string> | null): void {
    for (const [name, host] of world.desired.loaded.repository.hosts) {
      const standing = standingOf(world, host);
      this.standings.set(name, standing);
      this.add(world, name, standing, { sign: 1, opened });
    }
  }

  /**
   * Takes in how a host stands now, and adds the gates that this may have opened to those given; null where nobody waits. True when it
   * stands otherwise than before.
   */
  update(world: World, name: string, opened: Set<string> | null): boolean {
    this.seen.touch(name);
    const { repository } = world.desired.loaded;
    const host = repository.hosts.get(name);
    const before = this.standings.get(name);
    const after = host && standingOf(world, host);
    if (before !== undefined && after !== undefined && sameStanding(before, after)) return false;
    if (before !== undefined) this.add(world, name, before, { sign: -1, opened });
    if (after === undefined) this.standings.delete(name);
    else {
      this.standings.set(name, after);
      this.add(world, name, after, { sign: 1, opened });
    }
    return true;
  }

  /** Forgets everything: groups, or the repository as a whole, are not what they were. */
  clear(): void {
    this.seen.clear();
    for (const part of [
      this.standings,
      this.groups,
      this.scopes,
      this.holders,
      this.lines,
      this.losses,
      this.lossLine,
      this.replacements,
    ])
      part.clear();
    this.total = 0;
    this.reported = 0;
    this.acted = 0;
  }

  standing(name: string): Standing | undefined {
    return this.standings.get(name);
  }

  group(name: string): GroupTally {
    return this.groups.get(name) ?? noGroup;
  }

  scope(name: string): ScopeTally & { readonly size: number } {
    return this.scopes.get(name) ?? new Scope();
  }

  scopeNames(): string[] {
    return [...this.scopes.keys()].toSorted();
  }

  /** Who holds a permit of a governor, and until when at the latest, milliseconds since the epoch. */
  permits(governor: string): ReadonlyMap<string, number> {
    return this.holders.get(governor) ?? noHolders;
  }

  /** The same, of those whose permit still counts at a time. */
  permitsAt(governor: string, now: number): (readonly [host: string, until: number])[] {
    return [...this.permits(governor)].filter(([, until]) => until > now);
  }

  /** Hosts before this place in a gate's line. */
  ahead(gate: string, rank: string): number {
    return this.lines.get(gate)?.ahead(rank) ?? 0;
  }

  waitingAt(gate: string): number {
    return this.lines.get(gate)?.length ?? 0;
  }

  /** The first hosts in a gate's line, but for those up to the place `after`; `last` is the place of the last one, also of those. */
  firstIn(gate: string, part: LinePart): { readonly names: readonly string[]; readonly last: string | null } {
    return this.lines.get(gate)?.first(part) ?? nobody;
  }

  /** When each host was lost that is known to have been, milliseconds since the epoch. */
  lost(): ReadonlyMap<string, number> {
    return this.losses;
  }

  /** Hosts that were lost after a time, milliseconds since the epoch, the one that was lost first before the others. */
  lostSince(from: number): readonly string[] {
    return this.lossLine.first({ most: this.losses.size, end: null, after: `${timeRank(from)}\uffff` }).names;
  }

  /** When each host was replaced that was, milliseconds since the epoch. */
  replaced(): ReadonlyMap<string, number> {
    return this.replacements;
  }

  private add(
    world: World,
    name: string,
    standing: Standing,
    { sign, opened }: { readonly sign: 1 | -1; readonly opened: Set<string> | null },
  ): void {
    const { available, acted, reported, region, lostAt, replacedAt, parts, permits, waiting } = standing;
    this.total += sign;
    if (reported) this.reported += sign;
    if (acted) this.acted += sign;
    if (lostAt !== null) this.addLoss(name, lostAt, sign);
    if (replacedAt !== null) set(this.replacements, [name, replacedAt], sign);
    if (acted || reported) opened?.add("fleet").add("quiet");
    for (const group of groupsOf(world.desired.loaded.repository, name)) {
      const sums = this.groupSums(group.name);
      if (!available) sums.down += sign;
      if (acted) sums.acted += sign;
      opened?.add(sums.gates[0]).add(sums.gates[1]);
    }
    for (const part of parts) {
      const scope = this.scopes.get(part.scope) ?? new Scope();
      this.scopes.set(part.scope, scope);
      scope.add(name, region, part, sign);
      if (scope.size === 0) this.scopes.delete(part.scope);
      opened?.add(rolloutGate(part.scope));
    }
    for (const [governor, until] of permits) {
      const held = this.holders.get(governor) ?? new Map<string, number>();
      this.holders.set(governor, held);
      set(held, [name, until], sign);
      opened?.add(`governor ${governor}`);
    }
    for (const { gate, rank } of waiting) {
      const line = this.lines.get(gate) ?? new Line();
      this.lines.set(gate, line);
      if (sign > 0) line.add(rank, name);
      else line.remove(rank, name);
      if (line.length === 0) this.lines.delete(gate);
      opened?.add(gate);
    }
  }

  private addLoss(name: string, at: number, sign: 1 | -1): void {
    if (sign > 0) {
      this.losses.set(name, at);
      this.lossLine.add(`${timeRank(at)} ${name}`, name);
    } else {
      this.losses.delete(name);
      this.lossLine.remove(`${timeRank(at)} ${name}`, name);
    }
  }

  private groupSums(name: string): GroupSums {
    const known = this.groups.get(name);
    if (known !== undefined) return known;
    const made: GroupSums = { down: 0, acted: 0, gates: [`group ${name}`, `acting ${name}`] };
    this.groups.set(name, made);
    return made;
  }
}

/** A time as text that sorts as times do. */
function timeRank(at: number): string {
  return String(Math.max(0, Math.floor(at))).padStart(15, "0");
}

const nobody = { names: [], last: null };
const noHolders: ReadonlyMap<string, number> = new Map();

function sameStanding(a: Standing, b: Standing): boolean {
  return (
    a.available === b.available &&
    a.leaving === b.leaving &&
    a.acted === b.acted &&
    a.reported === b.reported &&
    a.region === b.region &&
    a.lostAt === b.lostAt &&
    a.replacedAt === b.replacedAt &&
    sameParts(a.parts, b.parts) &&
    samePermits(a.permits, b.permits) &&
    sameWaiting(a.waiting, b.waiting)
  );
}

function sameParts(a: Standing["parts"], b: Standing["parts"]): boolean {
  return (
    a === b ||
    (a.length === b.length &&
      a.every((part, index) => {
        const other = b[index];
        return part.scope === other?.scope && part.stage === other.stage && part.want === other.want;
      }))
  );
}

function sameWaiting(a: Standing["waiting"], b: Standing["waiting"]): boolean {
  return (
    a === b || (a.length === b.length && a.every((w, index) => w.gate === b[index]?.gate && w.rank === b[index]?.rank))
  );
}

function samePermits(a: Standing["permits"], b: Standing["permits"]): boolean {
  return a === b || (a.size === b.size && [...a].every(([name, until]) => b.get(name) === until));
}

/** A world whose sums are made from the beginning; what is left out is as in a reconciler that has just started. */
export function worldOf(parts: WorldParts): World {
  const whole = wholeOf(parts);
  return { ...whole, tally: Tally.of(whole) };
}

/** The same with sums that are made when somebody asks for them: for whoever may not. */
export function lazyWorldOf(parts: WorldParts): World {
  const whole = wholeOf(parts);
  let made: Tally | null = null;
  return {
    ...whole,
    get tally() {
      return (made ??= Tally.of(whole));
    },
  };
}

type WorldParts = Pick<World, "now" | "desired" | "records" | "reports"> & Partial<Omit<World, "tally">>;

function wholeOf(parts: WorldParts): Omit<World, "tally"> {
  return {
    inFlight: new Set<string>(),
    listeningSince: parts.now,
    mayStart: true,
    mayStartOnce: true,
    isRestart: false,
    fleet: emptyFleet,
    ...parts,
  };
}
