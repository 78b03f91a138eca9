// Hosts as guards see them, in a list that is kept in place and says what has changed in it: a guard over thousands of hosts is then
// asked about the one that changed, and not about all of them.
import type { CelHost } from "./guard.ts";

const byList = new WeakMap<readonly CelHost[], Members>();

export class Members {
  readonly list: readonly CelHost[];
  private readonly hosts: CelHost[];
  /** Places that were changed after version `from`, in order. */
  private changes: number[] = [];
  private from = 0;

  constructor(hosts: readonly CelHost[]) {
    this.hosts = [...hosts];
    this.list = this.hosts;
    byList.set(this.list, this);
  }

  /** What keeps a list, or undefined for one that nobody keeps. */
  static of(list: readonly CelHost[]): Members | undefined {
    return byList.get(list);
  }

  /** Raised by each change. */
  get version(): number {
    return this.from + this.changes.length;
  }

  /** Replaces a host; one that says the same as before is no change. */
  set(place: number, host: CelHost): void {
    const before = this.hosts[place];
    if (before === host || (before !== undefined && saysTheSame(before, host))) return;
    // Who has not looked for that long looks at all of them.
    if (this.changes.length >= this.hosts.length) {
      this.from = this.version;
      this.changes = [];
    }
    this.hosts[place] = host;
    this.changes.push(place);
  }

  /** Places that have changed since a version; null where that is not known any more. */
  since(version: number): readonly number[] | null {
    return version < this.from ? null : this.changes.slice(version - this.from);
  }
}

/** What a host's file says is the same for the whole life of a list. */
function saysTheSame({ states, reported }: CelHost, other: CelHost): boolean {
  if (reported?.getTime() !== other.reported?.getTime()) return false;
  if (states === undefined || other.states === undefined) return states === other.states;
  const names = Object.keys(states);
  if (names.length !== Object.keys(other.states).length) return false;
  for (const name of names) if (states[name] !== other.states[name]) return false;
  return true;
}
