// stateward adopt: what a host was seen to be in becomes its target, in the file that says what it is.
import { Failure } from "../model/failure.ts";
import { nearest } from "../model/problem.ts";
import { type MachineRecord, type SubjectRecord, upkeepOf } from "../model/record.ts";
import type { Subject } from "../model/types.ts";
import { readyOf } from "../plan/conditions.ts";
import { exists } from "../record/disk.ts";
import { readRecord } from "../record/read-record.ts";
import type { Change, Ground } from "./change.ts";
import { makeOrOffer, type OfferOptions, withRepository } from "./offer.ts";
import { sayNothing, wordsOf } from "./set.ts";
import { editTargets, type TargetChange } from "./target-edits.ts";
import { openRecordMirror, openWorkspace, type Workspace } from "./workspace.ts";

/** stateward adopt HOST [MACHINE]: makes the recorded states that differ from the targets, and are at rest, the targets. */
export async function adopt(options: OfferOptions, name: string, machine: string | null): Promise<number> {
  const workspace = openWorkspace(options);
  const records = await recordsOf(options, workspace);
  const make = async (ground: Ground): Promise<Change | null> => {
    const { hosts, groups } = ground.loaded.repository;
    const subject = hosts.get(name) ?? groups.get(name);
    if (!subject) throw unknownName(name, [...hosts.keys(), ...groups.keys()]);
    if (machine !== null && !subject.machines.has(machine))
      throw new Failure("invalid", `${name} does not carry ${machine}`, {
        reason: "UnknownMachine",
        hint: `it carries: ${[...subject.machines.keys()].join(", ") || "none"}`,
      });
    const record = records.get(name);
    if (!record)
      throw new Failure("invalid", `nothing was recorded of ${name} yet`, {
        reason: "NoRecord",
        hint: "the reconciler has to have seen it",
      });
    const { changes, reasons, moving } = seen(subject, record, machine);
    if (changes.length > 0) {
      const { lines, ...words } = wordsOf("adopt", name, changes);
      const told = lines.map((line, index) => `${line}  (${reasons[index]})`);
      return { ...words, lines: [...told, ...moving], files: await editTargets(ground, changes) };
    }
    sayNothing(
      options,
      ["nothing to adopt", ...(moving.length > 0 ? moving : [`${name} is in its targets`])].join(": "),
    );
    return null;
  };
  return makeOrOffer(options, workspace, { make });
}

interface Seen {
  readonly changes: readonly TargetChange[];
  /** Why each of them is so, in the same order. */
  readonly reasons: readonly string[];
  /** What is left alone because it is on its way, a line each. */
  readonly moving: readonly string[];
}

function seen({ name, file, machines }: Subject, record: SubjectRecord, only: string | null): Seen {
  const changes: TargetChange[] = [];
  const reasons: string[] = [];
  const moving: string[] = [];
  for (const [machine, target] of machines) {
    const entry = record.machines[machine];
    if (!entry || target === null || entry.state === target || (only !== null && only !== machine)) continue;
    if (entry.attempt?.status === "running" || entry.replay.length > 0)
      moving.push(`${name} ${machine} is on its way from ${entry.state}: wait until it is at rest`);
    else {
      changes.push({ subject: name, file, machine, state: entry.state, before: target });
      reasons.push(whyOf(entry, target));
    }
  }
  return { changes, reasons, moving };
}

/** A host that left its target is told from one that has not come to it. */
function whyOf(entry: MachineRecord, target: string): string {
  if (upkeepOf(entry).fellFrom === target) return `seen to have left ${target}, since ${entry.since}`;
  const ready = readyOf(entry);
  return `it has not come to ${target}${ready ? `: ${ready.reason}` : ""}, since ${entry.since}`;
}

/** The record of the remote that is named, else of the folder's own reconciler, else of the remote that the folder was cloned from. */
async function recordsOf(options: OfferOptions, workspace: Workspace): Promise<ReadonlyMap<string, SubjectRecord>> {
  if (!workspace.embedded || (await exists(workspace.remote))) {
    const { git, observed } = await openRecordMirror(workspace);
    return (await readRecord(git, observed)).subjects;
  }
  return withRepository(options, workspace, async (repository) => {
    const observed = await repository.fetch("observed");
    if (observed !== null) return (await readRecord(repository.git, observed)).subjects;
    throw new Failure("invalid", `the remote ${repository.remoteName} has no branch observed`, {
      reason: "NoRecord",
      hint: "name the repository that has the record with --repository",
    });
  });
}

function unknownName(name: string, known: readonly string[]): Failure {
  const near = nearest(name, known);
  const hint = near === null ? "stateward status lists them" : `did you mean ${near}?`;
  return new Failure("invalid", `no host or group is called ${name}`, { reason: "UnknownName", hint });
}
