// Why a host is not where it is to be: the chain of reasons to its root, and what would have to change for it to go on. Pure, and made
// of the same decisions that the reconciler makes.
import { isoTime } from "../model/duration.ts";
import type { GuardValues } from "../model/guard.ts";
import type { CauseView } from "../model/ports.ts";
import { emptyRecord, type MachineRecord, upkeepOf } from "../model/record.ts";
import type { Host, Machine, Transition } from "../model/types.ts";
import { arrivalsAt } from "./barrier.ts";
import { readyOf } from "./conditions.ts";
import { decideSubject, type MachinePlan } from "./decide.ts";
import { groupLimit } from "./gates.ts";
import { heldText, holdOn } from "./holds.ts";
import { capOf, rolloutState, waveText } from "./rollout.ts";
import { scopeOfGate, specOf } from "./standing.ts";
import { type AnySubject, currentReport, guardValues, subjectOf, type World } from "./world.ts";

/** Causes listed beside one another, and how far a chain is followed. */
const besideMax = 5;
const depthMax = 12;
/** Subjects that one answer asks about. */
const askedMax = 200;

/** Why each machine of a subject that is not in its target is not; empty when all are. Null for a subject that does not exist. */
export function why(world: World, name: string): CauseView[] | null {
  const subject = subjectOf(world, name);
  return subject === null ? null : new Asking(world).about(subject, new Set());
}

type Rest = Partial<Pick<CauseView, "since" | "goesOnIf" | "because" | "more">>;

class Asking {
  private readonly world: World;
  private asked = 0;

  constructor(world: World) {
    this.world = world;
  }

  about(subject: AnySubject, above: ReadonlySet<string>): CauseView[] {
    const { world } = this;
    if (this.asked++ >= askedMax) return [];
    const heard = subject.kind === "host" ? currentReport(world, subject) : null;
    if (subject.kind === "host" && heard !== null && "reason" in heard) return [this.unheard(subject, heard)];
    const { plans } = decideSubject(world, subject);
    return plans.flatMap((plan) => this.plan(subject, plan, above) ?? []);
  }

  private cause(
    subject: string,
    machine: string | null,
    [reason, message]: readonly [string, string],
    rest: Rest = {},
  ): CauseView {
    return { subject, machine, reason, message, since: null, goesOnIf: null, because: [], more: 0, ...rest };
  }

  private unheard(host: Host, { reason, message }: { reason: string; message: string }): CauseView {
    const record = this.world.records.get(host.name) ?? emptyRecord("host", host.name);
    const held = holdOn(this.world, host);
    const { lost } = record;
    const because = held === null ? [] : [this.held(host, held)];
    if (lost?.quarantined === true) {
      const text = `${lost.failed.length} recoveries failed within a day`;
      return this.cause(host.name, null, ["Quarantined", text], {
        since: lost.failed.at(-1) ?? null,
        goesOnIf: freed("retry", host.name),
      });
    }
    const ready = Object.values(record.machines)
      .map(readyOf)
      .find((condition) => condition?.status === "Unknown");
    const since = lost?.silent === true ? lost.at : (ready?.at ?? null);
    const goesOnIf =
      reason === "OldIncarnation"
        ? `the machine that answers were the right one (stateward replay ${host.name})`
        : `${host.name} answered`;
    return this.cause(host.name, null, [lost?.silent === true ? "Lost" : reason, message], {
      since,
      goesOnIf,
      because,
    });
  }

  private plan(subject: AnySubject, plan: MachinePlan, above: ReadonlySet<string>): CauseView | null {
    const { world } = this;
    const { machine: name, next } = plan;
    const key = `${subject.name}/${name}`;
    const entry = world.records.get(subject.name)?.machines[name];
    const since = entry === undefined ? null : (readyOf(entry)?.at ?? null);
    if (next.kind === "rest") return null;
    if (above.has(key))
      return this.cause(subject.name, name, ["Circle", `waits for itself by way of others`], { since });
    if (world.inFlight.has(subject.name)) return this.running(subject, name, entry);
    if (next.kind === "go")
      return this.cause(
        subject.name,
        name,
        ["Progressing", `${next.transition.from} -> ${next.transition.to} starts now`],
        { since },
      );
    if (next.kind === "inquire")
      return this.cause(subject.name, name, ["Progressing", "asking the host how a step ended"], { since });
    const texts = [next.reason, next.message] as const;
    if (next.kind === "stalled")
      return this.cause(subject.name, name, texts, { since, ...this.stalled(subject, next.reason, entry) });
    if (above.size >= depthMax) return this.cause(subject.name, name, texts, { since });
    const machine = world.desired.loaded.repository.machines.get(name);
    const below = new Set([...above, key]);
    const rest =
      machine === undefined || entry === undefined
        ? {}
        : this.waiting(subject, { machine, entry, plan, reason: next.reason, at: next.at }, below);
    return this.cause(subject.name, name, texts, { since, ...rest });
  }

  private running(subject: AnySubject, machine: string, entry: MachineRecord | undefined): CauseView {
    const attempt = entry?.attempt;
    if (attempt?.status !== "running")
      return this.cause(subject.name, machine, ["Queued", "another transition of the host runs"], { since: null });
    const step = attempt.step === null ? "" : `, step ${attempt.step}`;
    return this.cause(
      subject.name,
      machine,
      ["Running", `${attempt.from} -> ${attempt.to} is running (try ${attempt.number}${step})`],
      {
        since: attempt.startedAt,
      },
    );
  }

  private stalled(subject: AnySubject, reason: string, entry: MachineRecord | undefined): Rest {
    const { name } = subject;
    switch (reason) {
      case "NoPath":
      case "UnknownState":
        return { goesOnIf: "the machine had a way to the target" };
      case "RecoveryAsks":
        return { goesOnIf: `a person asked for it (stateward replay ${name})` };
      case "BarrierAsks":
      case "BarrierFailed": {
        const to = upkeepOf(entry ?? {}).barrier?.for.replace(/^barrier /, "") ?? "";
        return { goesOnIf: `a person said go on (stateward skip ${name}) for ${to}` };
      }
      default:
        return { goesOnIf: freed("retry", name) };
    }
  }

  private waiting(
    subject: AnySubject,
    at: { machine: Machine; entry: MachineRecord; plan: MachinePlan; reason: string; at: number | null },
    below: ReadonlySet<string>,
  ): Rest {
    const { world } = this;
    const { machine, entry, plan, reason } = at;
    const to = plan.path[0] ?? "";
    const transition = machine.transitions.find((item) => item.from === entry.state && item.to === to);
    const gate = upkeepOf(entry).waiting?.for ?? "";
    switch (reason) {
      case "Held": {
        const held = subject.kind === "host" ? holdOn(world, subject) : null;
        return held === null || subject.kind !== "host"
          ? {}
          : { since: held.since, goesOnIf: releaseText(subject.name, held.select) };
      }
      case "GuardWaiting":
        return transition === undefined ? {} : this.guard(subject, { machine, entry, transition }, below);
      case "BarrierWaiting":
        return this.barrier(machine, to, below);
      case "RolloutWaiting":
      case "RolloutHalted":
        return this.rollout(scopeOfGate(gate) ?? "", below);
      case "GroupLimit":
        return subject.kind === "host" ? this.group(gate, below) : {};
      case "FleetBusy":
        return this.hosts([...world.inFlight], below, "one of those that are acted upon had ended");
      case "GovernorWaiting":
        return this.hosts(
          [...world.tally.permits(gate.replace(/^governor /, "")).keys()],
          below,
          "a permit were given back",
        );
      case "QuietStart":
      case "TooManyLost":
        // What ends by itself needs no person.
        return { goesOnIf: timeText(at.at) ?? "a person released the brake (stateward brake release)" };
      default:
        return { goesOnIf: timeText(at.at) };
    }
  }

  /** Hosts of the groups that a guard reads for which, each alone, it is not true. */
  private guard(
    subject: AnySubject,
    { machine, entry, transition }: { machine: Machine; entry: MachineRecord; transition: Transition },
    below: ReadonlySet<string>,
  ): Rest {
    const { guards, repository } = this.world.desired.loaded;
    const compiled = guards.compile(transition.when ?? "");
    if ("error" in compiled) return {};
    const { reads } = compiled.guard;
    const values = guardValues(this.world, subject, [machine.name, entry]);
    const names = new Set<string>();
    for (const group of reads.groups) {
      const members = values.group(group) ?? [];
      for (const [index, host] of members.entries()) {
        const alone: GuardValues = { ...values, group: (other) => (other === group ? [host] : values.group(other)) };
        const result = compiled.guard.evaluate(alone);
        if (!result.ok || result.value !== true) names.add(repository.groups.get(group)?.members[index] ?? host.name);
      }
      if (members.length === 0) return { goesOnIf: `the group ${group} had a host` };
    }
    names.delete(subject.name);
    if (names.size === 0)
      return reads.live && reads.groups.size === 0
        ? { goesOnIf: "what the host reports, or its record, made the guard true" }
        : {};
    return this.hosts([...names], below, null);
  }

  private barrier(machine: Machine, to: string, below: ReadonlySet<string>): Rest {
    const barrier = machine.states.get(to)?.barrier;
    if (!barrier) return {};
    const members = this.world.desired.loaded.repository.groups.get(barrier.group)?.members ?? [];
    if (members.length === 0) return { goesOnIf: `the group ${barrier.group} had a host` };
    const { arrived, missing, needed } = arrivalsAt(this.world, barrier);
    return this.hosts(missing, below, `${needed - arrived.length} more of ${barrier.group} had come`);
  }

  private rollout(scope: string, below: ReadonlySet<string>): Rest {
    const { world } = this;
    const spec = specOf(world.desired.loaded.repository, scope);
    if (spec.paused)
      return { goesOnIf: "the rollout were not paused (rollout.paused in its group or in stateward.yaml)" };
    const tally = world.tally.scope(scope);
    const { phase, wave } = rolloutState(world, scope);
    if (phase === "halted") {
      const rest = this.hosts([...tally.failedNames].toSorted(), below, null);
      return { ...rest, goesOnIf: "a newer commit mended it, or the failed hosts came through (stateward retry)" };
    }
    if (phase === "soaking") return { goesOnIf: `${waveText(wave)} had soaked` };
    const active = this.inStage(scope, "active");
    const cap = capOf(spec, wave, tally.size);
    return this.hosts(active, below, `${waveText(wave)} (${tally.done} of ${cap} done) were done`);
  }

  private inStage(scope: string, stage: string): string[] {
    const { world } = this;
    const names: string[] = [];
    for (const name of world.desired.loaded.repository.hosts.keys()) {
      const standing = world.tally.standing(name);
      if (standing?.parts.some((part) => part.scope === scope && part.stage === stage)) names.push(name);
    }
    return names;
  }

  private group(gate: string, below: ReadonlySet<string>): Rest {
    const { world } = this;
    const name = gate.replace(/^(group|acting) /, "");
    const members = world.desired.loaded.repository.groups.get(name)?.members ?? [];
    const isDown = (host: string): boolean => {
      const standing = world.tally.standing(host);
      return gate.startsWith("group ") ? standing?.available === false : standing?.acted === true;
    };
    const down = members.filter(isDown);
    const word = gate.startsWith("group ") ? "unavailable" : "acted upon";
    return this.hosts(
      down,
      below,
      `fewer than ${groupLimit(world, name)} of ${name} were ${word} (${down.length} are)`,
    );
  }

  /** The reasons of others, the first few of them. */
  private hosts(names: readonly string[], below: ReadonlySet<string>, goesOnIf: string | null): Rest {
    const because: CauseView[] = [];
    for (const name of names.slice(0, besideMax)) {
      const subject = subjectOf(this.world, name);
      if (subject === null) continue;
      const causes = this.about(subject, below);
      because.push(...(causes.length > 0 ? causes : [this.atRest(subject)]));
    }
    const [only] = because;
    return {
      because,
      more: names.length - Math.min(names.length, besideMax),
      goesOnIf: goesOnIf ?? (because.length === 1 ? (only?.goesOnIf ?? null) : null),
    };
  }

  /** A host that is where it is to be, and yet not where others need it. */
  private atRest(subject: AnySubject): CauseView {
    const { name } = subject;
    const held = subject.kind === "host" ? holdOn(this.world, subject) : null;
    if (held !== null && subject.kind === "host") return this.held(subject, held);
    const states = Object.entries(this.world.records.get(name)?.machines ?? {}).map(
      ([machine, { state }]) => `${machine} ${state}`,
    );
    const where = states.length === 0 ? "nothing is known of it" : `is at rest in ${states.join(", ")}`;
    return this.cause(name, null, ["AtRest", where], {
      goesOnIf: `the target of ${name} were another`,
    });
  }

  private held(host: Host, held: NonNullable<ReturnType<typeof holdOn>>): CauseView {
    return this.cause(host.name, null, ["Held", heldText(held)], {
      since: held.since,
      goesOnIf: releaseText(host.name, held.select),
    });
  }
}

function timeText(at: number | null): string | null {
  return at === null ? null : `it is ${isoTime(at)}`;
}

function freed(word: string, name: string): string {
  return `its cause were mended, and a person said so (stateward ${word} ${name})`;
}

function releaseText(name: string, select: string | null): string {
  if (select === null) return `${name} were released (remove hold from its file)`;
  const given = select.replace(/^host\//, "");
  return `${given} were released (stateward release ${given})`;
}

/** The chain as indented lines, for people. */
export function whyLines(causes: readonly CauseView[], indent = ""): string[] {
  return causes.flatMap(({ subject, machine, reason, message, since, goesOnIf, because, more }) => {
    const who = machine === null ? subject : `${subject} (${machine})`;
    const from = since === null || message.includes(since) ? "" : ` since ${since}`;
    const line = `${indent}${who}: ${reason}${from}: ${message}`;
    const rest = whyLines(because, `${indent}  `);
    const others = more > 0 ? [`${indent}  and ${more} more`] : [];
    const onward = goesOnIf === null ? [] : [`${indent}  would go on if ${goesOnIf}`];
    // What the only reason behind it says already, need not be said again.
    const [only] = because;
    const isSaid = because.length === 1 && only?.goesOnIf === goesOnIf;
    return [line, ...rest, ...others, ...(isSaid ? [] : onward)];
  });
}
