// The fleet as the HTTP interface and the command line see it: views of the world, and requests that change it.

import { isoTime } from "../model/duration.ts";
import { Failure } from "../model/failure.ts";
import { findTransition } from "../model/graph.ts";
import type { AgentReport, Clock, FleetReader, FleetWriter, Health, SubjectView } from "../model/ports.ts";
import type { Condition, SubjectRecord } from "../model/record.ts";
import { emptyRecord } from "../model/record.ts";
import type { Machine } from "../model/types.ts";
import { decideSubject } from "../plan/decide.ts";
import { heldText, holdOn } from "../plan/holds.ts";
import { replayAgain } from "../plan/observe.ts";
import { noteRecovered, outOfQuarantine } from "../plan/recovery.ts";
import { type AnySubject, currentReport, subjectNames, subjectOf, type World } from "../plan/world.ts";
import type { Engine } from "./loop.ts";
import { admitReport, applyVerdict, countUpdate } from "./requests.ts";
import { mustBeWritable } from "./writable.ts";

/** Whoever has an operator's token, and gave no name. */
const somebody = "an operator";

export class Fleet implements FleetReader, FleetWriter {
  private readonly engine: Engine;
  private readonly clock: Clock;
  private readonly hide: (text: string) => string;
  /** Sequences seen since the start: heartbeats raise them without being recorded. */
  private readonly sequences = new Map<string, number>();

  /** `hide` takes secrets out of what people write. */
  constructor(engine: Engine, clock: Clock, hide: (text: string) => string = (text) => text) {
    this.engine = engine;
    this.clock = clock;
    this.hide = hide;
  }

  subjects(): readonly SubjectView[] {
    const world = this.engine.world();
    if (!world) return [];
    return subjectNames(world).flatMap((name) => this.subject(name) ?? []);
  }

  subject(name: string): SubjectView | null {
    const world = this.engine.world();
    const subject = world && subjectOf(world, name);
    return world && subject ? viewOf(world, subject) : null;
  }

  health(): Health {
    const { trouble, fatal, readOnly } = this.engine.state();
    const { ready, total } = this.engine.progress();
    const commit = this.engine.world()?.desired.commit ?? null;
    const record = this.engine.recordStatus();
    const waits = record.role === "leading" ? "" : record.message;
    const message = fatal ?? trouble?.message ?? (waits === "" && commit === null ? "no good commit yet" : waits);
    return {
      ready: commit !== null && !readOnly,
      commit,
      message,
      record,
      problems: trouble?.problems ?? [],
      inTarget: ready,
      subjects: total,
    };
  }

  isIn(name: string | null, state: string, machine: string | null): boolean {
    const { record } = this.find(name);
    const entries = Object.entries(record.machines).filter(([key]) => machine === null || key === machine);
    return entries.some(([, entry]) => entry.state === state && entry.attempt === null);
  }

  async report(host: string, report: AgentReport): Promise<void> {
    const { world, subject, record } = this.find(host);
    if (subject.kind !== "host") throw unknownSubject(host);
    // The name as the host's file has it is the very string that is the key everywhere: the quickest to find.
    const { name } = subject;
    const sequence =
      record.incarnation === report.incarnation ? Math.max(record.sequence, this.sequences.get(name) ?? -1) : -1;
    admitReport(record, sequence, report);
    if (subject.transport !== "agent" && record.incarnation !== report.incarnation) {
      throw new Failure(
        "invalid",
        `${name} is not incarnation ${report.incarnation}, as far as was seen over ${subject.transport}`,
        {
          reason: "OtherIncarnation",
          hint: "a host that is looked at is recognised by the identity in its own folder of markers: report that one",
        },
      );
    }
    const strange = Object.entries(report.states).find(
      ([machine, { state }]) => !knows(world, subject, machine, state),
    );
    if (strange) {
      throw new Failure("invalid", `${name} does not carry ${strange[0]} with a state ${strange[1].state}`, {
        reason: "UnknownState",
        hint: "report machines that the host's file names, in states that they have",
      });
    }
    // What it says could not be taken in now, and an answer would promise that it was (D1).
    if (world.inFlight.has(name)) throw busy(name);
    mustBeWritable(this.engine);
    this.sequences.set(name, report.sequence);
    const { incarnation, sequence: number, states, facts } = report;
    this.engine.hear({
      host: name,
      at: this.clock.now(),
      reachable: true,
      message: "",
      incarnation,
      sequence: number,
      states,
      facts,
      checks: {},
    });
    await this.engine.visit(name);
    await this.engine.synced(name);
    mustBeWritable(this.engine);
  }

  async update(name: string | null, state: string, key: string | null): Promise<void> {
    const { world, subject, record } = this.find(name);
    mustBeWritable(this.engine);
    const { guards } = world.desired.loaded;
    const next = countUpdate({ record, machines: machinesOf(world, subject), guards }, state, key);
    if (next === null) return this.engine.synced(subject.name);
    const counted = this.engine.put(next, null);
    await Promise.all([counted, this.engine.visit(subject.name)]);
  }

  async verdict(name: string, machine: string | null, word: "retry" | "skip", by: string = somebody): Promise<void> {
    const { world, subject, record } = this.find(name);
    mustBeWritable(this.engine);
    if (word === "retry" && record.lost?.quarantined === true) {
      await this.engine.put(outOfQuarantine(record), `${name}: retry out of quarantine by ${this.hide(by)}`);
      return this.engine.visit(name);
    }
    const plans = decideSubject(world, subject).plans.filter((plan) => machine === null || plan.machine === machine);
    const blocked = plans.filter(
      ({ next }) => next.kind === "stalled" || (next.kind === "wait" && next.reason === "Backoff"),
    );
    const [first] = blocked.length > 0 ? blocked : plans;
    const entry = first && record.machines[first.machine];
    if (!first || !entry) throw nothingToFree(world, subject, machine);
    const definition = world.desired.loaded.repository.machines.get(first.machine);
    const transition = definition && findTransition(definition, entry.state, first.path[0] ?? entry.attempt?.to ?? "");
    const steps = new Set([
      ...(transition?.steps ?? []).map(({ key }) => key),
      ...(entry.attempt?.step ? [entry.attempt.step] : []),
    ]);
    const freed = applyVerdict(entry, { word, steps, at: isoTime(world.now) });
    await this.engine.put(
      { ...record, machines: { ...record.machines, [first.machine]: freed } },
      `${name}: ${word} of ${first.machine} by ${this.hide(by)}`,
    );
    await this.engine.visit(name);
  }

  async replay(name: string, by: string = somebody): Promise<void> {
    const { world, subject, record } = this.find(name);
    mustBeWritable(this.engine);
    if (world.inFlight.has(name)) throw busy(name);
    if (subject.kind !== "host") throw unknownSubject(name);
    const answering = world.reports.get(name)?.incarnation ?? null;
    await this.engine.put(noteRecovered(replayAgain(world, record, answering)), `${name}: replay by ${this.hide(by)}`);
    await this.engine.visit(name);
  }

  /** A subject by name; without a name, the one shared machine's group, if there is exactly one. */
  private find(name: string | null): { world: World; subject: AnySubject; record: SubjectRecord } {
    const world = this.engine.world();
    if (!world) {
      mustBeWritable(this.engine);
      throw new Failure("transient", "no good commit yet", {
        reason: "NotReady",
        hint: "see /readyz for the problems",
      });
    }
    const subject = name === null ? onlyShared(world) : subjectOf(world, name);
    if (!subject) throw unknownSubject(name ?? "");
    return { world, subject, record: world.records.get(subject.name) ?? emptyRecord(subject.kind, subject.name) };
  }
}

function nothingToFree(world: World, subject: AnySubject, machine: string | null): Failure {
  const heard = subject.kind === "host" ? currentReport(world, subject) : null;
  if (heard !== null && "reason" in heard) {
    return new Failure("invalid", `${subject.name}: ${heard.reason}: ${heard.message}`, {
      reason: "NothingStalled",
      hint: "no word frees a host that cannot be heard; of two machines with one name, stateward replay takes the one that answers",
    });
  }
  const which = machine === null ? "no machine" : `no machine ${machine}`;
  return new Failure("invalid", `${subject.name} carries ${which}`, {
    reason: "UnknownMachine",
    hint: "stateward status shows the machines of a host",
  });
}

function busy(name: string): Failure {
  return new Failure("waiting", `a transition of ${name} is running`, {
    reason: "Busy",
    hint: "send it again when it has ended",
  });
}

function onlyShared(world: World): AnySubject {
  const shared = [...world.desired.loaded.repository.groups.values()].filter(({ machines }) => machines.size > 0);
  const [only] = shared;
  if (only && shared.length === 1) return only;
  throw new Failure("invalid", `there are ${shared.length} shared machines`, {
    reason: "SubjectNeeded",
    hint: "name one: /state?state=S&subject=NAME",
  });
}

/** A name that nobody has. */
export function unknownSubject(name: string): Failure {
  return new Failure("invalid", `no host or group is called ${name}`, {
    reason: "UnknownSubject",
    hint: "add it under hosts/, or mend the name",
  });
}

function knows(world: World, subject: AnySubject, machine: string, state: string): boolean {
  return (
    subject.machines.has(machine) && world.desired.loaded.repository.machines.get(machine)?.states.has(state) === true
  );
}

function machinesOf(world: World, subject: AnySubject): Machine[] {
  return [...subject.machines.keys()].flatMap((name) => world.desired.loaded.repository.machines.get(name) ?? []);
}

/** Why nothing is recorded of a host yet. */
function unseen(world: World, subject: AnySubject): Condition[] {
  const heard = subject.kind === "host" ? currentReport(world, subject) : null;
  if (heard === null || "report" in heard) return [];
  return [{ type: "Ready", status: "Unknown", ...heard, at: isoTime(world.now) }];
}

/** One subject for people and programs: what is recorded, what is heard, and what would come next. Pure. */
export function viewOf(world: World, subject: AnySubject): SubjectView {
  const record = world.records.get(subject.name) ?? emptyRecord(subject.kind, subject.name);
  const { plans } = decideSubject(world, subject);
  const isHost = subject.kind === "host";
  const held = isHost ? holdOn(world, subject) : null;
  const machines = [...subject.machines].map(([machine, target]) => {
    const entry = record.machines[machine];
    const definition = world.desired.loaded.repository.machines.get(machine);
    const state = entry?.state ?? "unknown";
    return {
      machine,
      state,
      target,
      since: entry?.since ?? "",
      available: definition?.states.get(state)?.available ?? false,
      path: plans.find((plan) => plan.machine === machine)?.path ?? [],
      attempt: entry?.attempt ?? null,
      conditions: entry?.conditions ?? unseen(world, subject),
    };
  });
  return {
    kind: subject.kind,
    name: subject.name,
    region: isHost ? subject.region : null,
    owner: isHost ? subject.owner : null,
    address: record.address,
    incarnation: record.incarnation,
    reachable: isHost ? (world.reports.get(subject.name)?.reachable ?? null) : null,
    held: held === null ? null : heldText(held),
    machines,
  };
}
