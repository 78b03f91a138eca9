// What a change makes of the values in the files, and the machines concerned as graphs. Pure.
import type { ProposedMachine, ProposedMove, ValueChange } from "../model/proposal.ts";
import type { Entry, LoadedRepository } from "../model/repository.ts";
import type { Group, Host, Machine } from "../model/types.ts";
import { changedTexts, hostDocument, sameValue, textsOf } from "../model/value-text.ts";

type Kind = ValueChange["kind"];

/** The file that says who may sign commits of main, as two commits have it. */
export interface SignersChange {
  readonly path: string;
  readonly before: string;
  readonly after: string;
}

/** Values that differ, hosts that change alike together; the fleet's own first, then machines, groups and hosts. */
export function valuesChanged(
  base: LoadedRepository | null,
  head: LoadedRepository,
  signers: readonly SignersChange[],
): ValueChange[] {
  const changes = new Changes();
  for (const { path, before, after } of signers) changes.put("signers", path, [before, after]);
  for (const path of ["stateward.yaml", "holidays.yaml"]) {
    const kind = path === "stateward.yaml" ? "settings" : "holidays";
    if (head.entries.get(path)?.kind !== "invalid") changes.add(kind, path, valueAt(base, path), valueAt(head, path));
  }
  const [old, next] = [base?.repository, head.repository];
  // What cannot be read any more is not removed.
  const isUnread = (item: { readonly file: string } | undefined): boolean =>
    item !== undefined && head.entries.get(item.file)?.kind === "invalid";
  for (const kind of ["machine", "group"] as const) {
    const [before, after] = [old?.[`${kind}s`] ?? new Map<string, Machine | Group>(), next[`${kind}s`]];
    for (const name of new Set([...before.keys(), ...after.keys()]))
      if (after.has(name) || !isUnread(before.get(name)))
        changes.add(kind, name, valueOf(base, before.get(name)), valueOf(head, after.get(name)));
  }
  const edited = editedHosts(base, head);
  for (const name of edited ?? next.hosts.keys()) {
    const [before, after] = [old?.hosts.get(name), next.hosts.get(name)];
    if (before !== after) changes.addHost(name, before, after);
  }
  for (const [name, host] of edited === null ? (old?.hosts ?? []) : [])
    if (!next.hosts.has(name) && !isUnread(host)) changes.addHost(name, host, undefined);
  return changes.sorted();
}

/**
 * The hosts in which two commits differ, where that is known and all else is the same: no other host, group or machine then differs,
 * and no host comes or goes. Null where all of them have to be compared.
 */
export function editedHosts(base: LoadedRepository | null, { delta }: LoadedRepository): readonly string[] | null {
  return base !== null && delta?.since === base.key ? delta.hosts : null;
}

const kinds: readonly Kind[] = ["signers", "settings", "holidays", "machine", "group", "host"];

class Changes {
  private readonly found = new Map<string, { kind: Kind; names: string[]; before: string; after: string }>();

  // oxlint-disable-next-line max-params -- whose value, what it was, what it is
  add(kind: Kind, name: string, before: unknown, after: unknown): void {
    if (sameValue(before, after)) return;
    const [a, b] = textsOf(before, after);
    this.put(kind, name, [a, b]);
  }

  /** Of a host that comes or goes, all of it; of any other, what differs. */
  addHost(name: string, before: Host | undefined, after: Host | undefined): void {
    if (before === undefined || after === undefined) {
      this.add("host", name, before && hostDocument(before), after && hostDocument(after));
      return;
    }
    const [a, b] = [hostDocument(before), hostDocument(after)];
    if (!sameValue(a, b)) this.put("host", name, changedTexts(a, b));
  }

  put(kind: Kind, name: string, [before, after]: readonly [string, string]): void {
    const key = JSON.stringify([kind, before, after]);
    const change = this.found.get(key) ?? { kind, names: [], before, after };
    this.found.set(key, change);
    change.names.push(name);
  }

  sorted(): ValueChange[] {
    const changes = [...this.found.values()].map((change) => ({ ...change, names: change.names.toSorted() }));
    const first = ({ names }: ValueChange): string => names[0] ?? "";
    return changes.toSorted(
      (a, b) =>
        kinds.indexOf(a.kind) - kinds.indexOf(b.kind) || (first(a) < first(b) ? -1 : first(a) > first(b) ? 1 : 0),
    );
  }
}

function valueAt(loaded: LoadedRepository | null, path: string): unknown {
  const entry: Entry | undefined = loaded?.entries.get(path);
  return entry !== undefined && "parsed" in entry ? entry.parsed.value : undefined;
}

function valueOf(loaded: LoadedRepository | null, item: Machine | Group | undefined): unknown {
  return item === undefined ? undefined : valueAt(loaded, item.file);
}

/** The machines that change, and those along which something moves, in name order. */
export function graphsOf(
  base: LoadedRepository | null,
  head: LoadedRepository,
  moves: readonly ProposedMove[],
): ProposedMachine[] {
  const [old, next] = [base?.repository, head.repository];
  const moving = new Set(moves.map(({ machine }) => machine));
  const names = [...new Set([...(old?.machines.keys() ?? []), ...next.machines.keys()])].toSorted();
  const carriers = carriersOf(head);
  return names.flatMap((name): ProposedMachine[] => {
    const change = changeOf(old?.machines.get(name), next.machines.get(name), () =>
      sameValue(valueOf(base, old?.machines.get(name)), valueOf(head, next.machines.get(name))),
    );
    const machine = next.machines.get(name);
    if (change === null && !moving.has(name)) return [];
    if (machine === undefined) return [{ name, change, carriers: 0, initial: "", states: [], transitions: [] }];
    return [graphOf(machine, { change, carriers: carriers.get(name) ?? 0, moves })];
  });
}

function changeOf(
  before: Machine | undefined,
  after: Machine | undefined,
  isSame: () => boolean,
): ProposedMachine["change"] {
  if (after === undefined) return "removed";
  if (before === undefined) return "added";
  return before === after || isSame() ? null : "changed";
}

function carriersOf({ repository }: LoadedRepository): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { machines } of [...repository.hosts.values(), ...repository.groups.values()])
    for (const name of machines.keys()) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}

function graphOf(
  machine: Machine,
  {
    change,
    carriers,
    moves,
  }: Pick<ProposedMachine, "change" | "carriers"> & { readonly moves: readonly ProposedMove[] },
): ProposedMachine {
  const taken = new Map<string, number>();
  for (const { machine: name, path, names } of moves) {
    if (name !== machine.name) continue;
    for (const { from, to } of path) {
      const key = JSON.stringify([from, to]);
      taken.set(key, (taken.get(key) ?? 0) + names.length);
    }
  }
  return {
    name: machine.name,
    change,
    carriers,
    initial: machine.initial,
    states: [...machine.states.values()].map(({ name, available }) => ({ name, available })),
    transitions: machine.transitions.map(({ from, to, auto, when, steps }) => ({
      from,
      to,
      auto,
      guarded: when !== null,
      steps: steps.length,
      taken: taken.get(JSON.stringify([from, to])) ?? 0,
    })),
  };
}
