// Who waits for what: from a changed host to the subjects whose guards read it, without asking the whole fleet.
import type { GuardReads } from "../model/guard.ts";
import type { Repository } from "../model/types.ts";
import { groupsOf } from "./groups.ts";

const nobody: ReadonlySet<string> = new Set();

export class Waiters {
  private byGroup = new Map<string, Set<string>>();
  private onAllHosts = new Set<string>();
  private repository: Repository | null = null;
  private readonly registered = new Map<string, readonly string[]>();

  /** Takes over the groups of a newly accepted repository. */
  setRepository(repository: Repository): void {
    this.repository = repository;
  }

  /** Replaces what a subject waits for. */
  set(subject: string, reads: readonly GuardReads[]): void {
    if (reads.length === 0 && !this.registered.has(subject) && !this.onAllHosts.has(subject)) return;
    for (const group of this.registered.get(subject) ?? []) this.byGroup.get(group)?.delete(subject);
    this.onAllHosts.delete(subject);
    this.registered.delete(subject);
    if (reads.length === 0) return;
    if (reads.some(({ hosts }) => hosts)) this.onAllHosts.add(subject);
    const groups = [...new Set(reads.flatMap((read) => [...read.groups]))];
    for (const group of groups) this.byGroup.set(group, (this.byGroup.get(group) ?? new Set()).add(subject));
    if (groups.length > 0) this.registered.set(subject, groups);
  }

  /** Subjects whose guards read this host. */
  of(host: string): ReadonlySet<string> {
    if (this.onAllHosts.size === 0 && this.registered.size === 0) return nobody;
    const found = new Set(this.onAllHosts);
    for (const { name } of this.repository === null ? [] : groupsOf(this.repository, host))
      for (const subject of this.byGroup.get(name) ?? []) found.add(subject);
    found.delete(host);
    return found;
  }

  /** Every subject that waits for any host. */
  all(): Set<string> {
    return new Set([...this.onAllHosts, ...this.registered.keys()]);
  }
}
