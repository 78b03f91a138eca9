// Which groups a host is in, for all who ask: limits, rollouts, holds, and whoever waits for others.
import type { Group, Repository } from "../model/types.ts";

const indexes = new WeakMap<ReadonlyMap<string, Group>, ReadonlyMap<string, readonly Group[]>>();

/** The groups that a host is in, made once for each value of the groups. */
export function groupsOf({ groups }: Pick<Repository, "groups">, host: string): readonly Group[] {
  let index = indexes.get(groups);
  if (index === undefined) {
    const made = new Map<string, Group[]>();
    for (const group of groups.values()) {
      for (const member of group.members) {
        const list = made.get(member);
        if (list === undefined) made.set(member, [group]);
        else list.push(group);
      }
    }
    index = made;
    indexes.set(groups, index);
  }
  return index.get(host) ?? noGroups;
}

const noGroups: readonly Group[] = [];
