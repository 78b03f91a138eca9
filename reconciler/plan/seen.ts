// Hosts as the guards of others see them, group by group, kept while nothing about a host changes: so that looking at a whole group
// again costs as much as has changed in it.
import type { CelHost } from "../model/guard.ts";
import { Members } from "../model/members.ts";
import { Overlay } from "./overlay.ts";
import type { World } from "./world.ts";

/** How one host is seen now, and until when time alone does not change that, milliseconds since the epoch. */
export interface SeenHost {
  readonly value: CelHost;
  readonly until: number;
}

export type See = (world: World, name: string) => SeenHost;

/** One group: its hosts as they were seen last, and who has changed since. */
class SeenGroup {
  readonly dirty = new Set<string>();
  private readonly names: readonly string[];
  private readonly see: See;
  private readonly places = new Map<string, number>();
  private readonly members: Members;
  private at: number;
  private until = Number.POSITIVE_INFINITY;

  constructor(world: World, names: readonly string[], see: See) {
    this.names = names;
    this.see = see;
    this.at = world.now;
    this.members = new Members(names.map((name) => this.look(world, name)));
    for (const [place, name] of names.entries()) this.places.set(name, place);
  }

  has(name: string): boolean {
    return this.places.has(name);
  }

  list(world: World): readonly CelHost[] {
    // Time alone has changed somebody, who is not known.
    if (world.now >= this.until || world.now < this.at) {
      this.until = Number.POSITIVE_INFINITY;
      for (const name of this.names) this.dirty.add(name);
    }
    this.at = world.now;
    for (const name of this.dirty) {
      const place = this.places.get(name);
      if (place !== undefined) this.members.set(place, this.look(world, name));
    }
    this.dirty.clear();
    return this.members.list;
  }

  private look(world: World, name: string): CelHost {
    const { value, until } = this.see(world, name);
    this.until = Math.min(until, this.until);
    return value;
  }
}

const nowhere: readonly SeenGroup[] = [];

/** All groups that were asked for. Whoever changes a record or a report says so with `touch`. */
export class Seen {
  private readonly groups = new Map<string, SeenGroup>();
  private readonly byHost = new Map<string, SeenGroup[]>();
  private ground: readonly unknown[] = [];

  /** A host's record or report is another. */
  touch(name: string): void {
    for (const group of this.byHost.get(name) ?? nowhere) group.dirty.add(name);
  }

  clear(): void {
    this.groups.clear();
    this.byHost.clear();
  }

  /** The named hosts, as a list that is kept under a key. */
  list(world: World, [key, names]: readonly [string, Iterable<string>], see: See): readonly CelHost[] {
    const draft = world.records instanceof Overlay ? world.records : null;
    const { hosts, groups, machines } = world.desired.loaded.repository;
    this.follow([draft?.base ?? world.records, world.reports, hosts, groups, machines, world.listeningSince]);
    const group = this.groups.get(key) ?? this.keep(world, [key, [...names]], see);
    if (draft === null || !group.has(draft.name)) return group.list(world);
    // What is only drafted is seen by this decision, and by nobody after it.
    group.dirty.add(draft.name);
    const list = group.list(world);
    group.dirty.add(draft.name);
    return list;
  }

  private keep(world: World, [key, names]: readonly [string, readonly string[]], see: See): SeenGroup {
    const group = new SeenGroup(world, names, see);
    this.groups.set(key, group);
    for (const name of names) {
      const list = this.byHost.get(name);
      if (list === undefined) this.byHost.set(name, [group]);
      else list.push(group);
    }
    return group;
  }

  /** What a world is made of: of other values, nothing is known. */
  private follow(ground: readonly unknown[]): void {
    if (ground.every((value, index) => value === this.ground[index])) return;
    this.ground = ground;
    this.clear();
  }
}
