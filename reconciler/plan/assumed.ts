// What is taken for the record where none was read: every host at rest in the target that a commit gives it.
import { isoTime } from "../model/duration.ts";
import type { DesiredCommit } from "../model/ports.ts";
import { emptyRecord, freshMachine, type MachineRecord, type SubjectRecord } from "../model/record.ts";
import type { Group, Host, Machine } from "../model/types.ts";

/** Records of a fleet that is as a commit wants it; none without a commit. */
export function assumedRecords(base: DesiredCommit | null, now: number): ReadonlyMap<string, SubjectRecord> {
  const records = new Map<string, SubjectRecord>();
  if (base === null) return records;
  const { hosts, groups, machines } = base.loaded.repository;
  const at = isoTime(now);
  const entries = new Map<string, MachineRecord>();
  const entryOf = (machine: Machine, state: string): MachineRecord => {
    const key = JSON.stringify([machine.name, state]);
    const known = entries.get(key);
    if (known !== undefined) return known;
    const ready = { type: "Ready", status: "True", reason: "Assumed", message: "", at } as const;
    const entry = { ...freshMachine(state, at, base.commit), conditions: [ready] };
    entries.set(key, entry);
    return entry;
  };
  const add = (subject: Host | Group): void => {
    const carried: Record<string, MachineRecord> = {};
    for (const [name, target] of subject.machines) {
      const machine = machines.get(name);
      if (machine !== undefined) carried[name] = entryOf(machine, target ?? machine.initial);
    }
    const incarnation = subject.kind === "host" ? "assumed" : null;
    records.set(subject.name, { ...emptyRecord(subject.kind, subject.name), incarnation, machines: carried });
  };
  for (const host of hosts.values()) add(host);
  for (const group of groups.values()) if (group.machines.size > 0) add(group);
  return records;
}
