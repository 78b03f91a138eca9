// The loop: something changed for a subject, so it is looked at again, decided about, recorded, and acted upon.
// Every effect is a port; there is no clock, no randomness and no process in here.
import { isoTime } from "../model/duration.ts";
import { assert, messageOf } from "../model/failure.ts";
import { findTransition } from "../model/graph.ts";
import type {
  Clock,
  DesiredCommit,
  DesiredReader,
  EngineEvent,
  EventSink,
  HostActor,
  HostLooker,
  Inquiry,
  RecordReader,
  RecordStatus,
  RecordWriter,
} from "../model/ports.ts";
import type { Problem } from "../model/problem.ts";
import {
  emptyFleet,
  emptyRecord,
  type FleetRecord,
  fleetName,
  fleetSubject,
  type MachineRecord,
  recordLimits,
  type SubjectRecord,
} from "../model/record.ts";
import type { HostReport, StateClaim } from "../model/report.ts";
import { renderAction, runsOnHost } from "../model/template.ts";
import type { Check, Host, Settings, Step } from "../model/types.ts";
import { freedHolds, freedText, movesOf, needsApproval } from "../plan/brakes.ts";
import { readyOf } from "../plan/conditions.ts";
import { type Act, type Decision, decideSubject } from "../plan/decide.ts";
import { withDuration } from "../plan/durations.ts";
import { holdOn } from "../plan/holds.ts";
import { Limits } from "../plan/limits.ts";
import { Waiters } from "../plan/waiters.ts";
import { isStillWanted } from "../plan/wanted.ts";
import { type AnySubject, currentReport, guardValues, subjectNames, subjectOf, type World } from "../plan/world.ts";
import { changedSubjects, editedHosts } from "./changed.ts";
import { FollowedMain, type Trouble } from "./followed-main.ts";
import { Looks } from "./looks.ts";
import { eventsOf, merged, sameNews } from "./news.ts";
import { Progress } from "./progress.ts";
import { WakeQueue } from "./queue.ts";
import { afterInquiry, claimOf, type RunContext, runTransition } from "./runner.ts";

export interface EnginePorts {
  readonly clock: Clock;
  readonly desired: DesiredReader;
  readonly record: RecordReader & RecordWriter;
  readonly looker: HostLooker;
  readonly actor: HostActor;
  readonly events: EventSink;
}

const looksAtOnceMax = 32;
const inquireAgainMs = 1000;
/** Stands for the commit in force where there is none: a person's word can be recorded even then. */
const noCommit = "0".repeat(40);
/** Decisions about the fleet in a row; each moves a rollout on by a wave, or says that there is nothing more. */
const fleetRoundsMax = 100;
/** How long whoever stops waits for the remote. */
const stopWaitMs = 10_000;

export interface EngineState {
  /** What is wrong with the desired branch. */
  readonly trouble: Trouble | null;
  /** Its latest commit and what is wrong with it, where it was refused (D4). */
  readonly refused: { readonly commit: string; readonly problems: readonly Problem[] } | null;
  readonly fatal: string | null;
  /** The branch was rewound or rewritten: nothing is started (D6). */
  readonly rewound: boolean;
  readonly stopping: boolean;
  readonly readOnly: boolean;
}

export class Engine {
  private readonly ports: EnginePorts;
  private readonly records = new Map<string, SubjectRecord>();
  private readonly reports = new Map<string, HostReport>();
  private readonly inFlight = new Set<string>();
  private readonly backlog = new Set<string>();
  private readonly runs = new Set<Promise<void>>();
  private readonly arrived = new Progress();
  private readonly waiters = new Waiters();
  private readonly limits = new Limits();
  private readonly queue: WakeQueue;
  private readonly looks: Looks;
  private readonly main: FollowedMain;
  private polling: Promise<void> | null = null;
  private readonly appends = new Map<string, Promise<void>>();
  private listeningSince: number;
  private leading = false;
  private isRestart = false;
  /** The commit that was in force when something was recorded last, as far as is known. */
  private recorded: DesiredCommit | null = null;
  private stopping = false;
  private fatal: string | null = null;

  constructor(ports: EnginePorts) {
    this.ports = ports;
    this.main = new FollowedMain(ports.desired, ports.events, {
      prepare: () => this.learnLate(),
      judge: (next) => this.judge(this.main.current, next),
    });
    this.listeningSince = ports.clock.now();
    this.queue = new WakeQueue(ports.clock, (name) => void this.visit(name));
    this.looks = new Looks({
      clock: ports.clock,
      look: (name) => this.look(name),
      heard: (report) => this.hear(report),
      intervalMs: () => this.main.current?.loaded.repository.settings.lookMs ?? 10_000,
      parallelMax: looksAtOnceMax,
    });
  }

  /**
   * Loads the record: resolves when this reconciler leads. Rejects when the record cannot be read: without it nothing may be decided.
   * The desired branch is followed from the first poll on, before that too. Nothing is done before `mayAct` resolves.
   */
  async start(mayAct: Promise<unknown> = Promise.resolve()): Promise<void> {
    const { subjects } = await this.ports.record.load();
    await this.learnRecorded();
    await this.catchUp();
    await mayAct;
    for (const record of subjects) this.records.set(record.name, record);
    this.isRestart = subjects.some(({ kind }) => kind === "host");
    this.listeningSince = this.ports.clock.now();
    this.leading = true;
    this.takeUp();
  }

  /** The commit in force before can be read only once the branch that it stands on is here: a new data folder has nothing of it yet. */
  private async learnRecorded(): Promise<void> {
    const isNew = this.main.current === null && this.main.waiting === null;
    if (isNew) await this.poll();
    this.recorded = await this.ports.desired.recorded();
    if (isNew || this.recorded !== null) return;
    // One that stood by may have heard nothing of the branch for a while. A remote that does not answer is not waited for, for long.
    await this.within(this.poll()).catch(() => {});
    this.recorded = await this.ports.desired.recorded();
  }

  /** One that stood by may have missed the last good commit, where a bad one came right after it (D4). */
  private async catchUp(): Promise<void> {
    const { recorded, main } = this;
    const { current } = main;
    if (recorded === null || current === null || current.commit === recorded.commit) return;
    const isBehind = await this.ports.desired.descends(recorded.commit, current.commit);
    if (isBehind && main.current === current) main.current = recorded;
  }

  /** The branch could not be read when the record was: what was in force before is learned with the first commit that can be. */
  private async learnLate(): Promise<void> {
    if (!this.leading || this.main.current !== null || this.recorded !== null) return;
    this.recorded = await this.ports.desired.recorded();
  }

  /** Takes up the commit that was followed until now. Nobody has judged it yet (B3). */
  private takeUp(): void {
    const next = this.main.current;
    if (next === null) return;
    const message = this.judge(null, next);
    if (message === null) return this.putInForce(null, next);
    this.main.stepBack(next, message);
    this.fallBack();
  }

  /** While the only commit that is known waits for a person's word, the recorded one is in force: hosts go on being kept by it. */
  private fallBack(): void {
    const { recorded } = this;
    if (recorded === null || this.main.current !== null) return;
    this.main.current = recorded;
    this.putInForce(null, recorded);
  }

  /** B3: why a commit must not come into force without a person's word, or null. */
  private judge(current: DesiredCommit | null, next: DesiredCommit): string | null {
    if (!this.leading) return null;
    if (this.fleet().approvals.some(({ commit }) => commit === next.commit)) return null;
    // After a start it is compared with what was in force when something was recorded last, by the limits that held then.
    const before = current ?? this.recorded;
    if (before?.commit === next.commit) return null;
    const { settings, hosts } = (before ?? next).loaded.repository;
    const moves = movesOf(before, next, this.records);
    const size = Math.max(hosts.size, next.loaded.repository.hosts.size);
    const freed = before === null ? [] : freedHolds(before, next, this.fleet().holds);
    return needsApproval(moves, { settings, size }, next.acknowledged ?? null) ?? freedText(freed);
  }

  /** What is recorded of more than one host. */
  fleet(): FleetRecord {
    return this.records.get(fleetName)?.fleet ?? emptyFleet;
  }

  /** The commit that waits for a person's word, and why, or null. */
  waitingCommit(): { readonly commit: string; readonly message: string } | null {
    return this.main.waiting;
  }

  /** Judges the waiting commit again, after a person has said something about it. */
  reconsider(): void {
    const change = this.main.reconsider();
    if (change !== null) this.putInForce(change.before, change.after);
  }

  /** Replaces what is recorded of the whole fleet; resolves when that is on the disk. */
  putFleet(next: FleetRecord, summaries: readonly string[]): Promise<void> {
    const before = this.fleet();
    const written = this.put(fleetSubject(next), summaries.join("\n") || null);
    for (const message of summaries) this.ports.events({ kind: "fleet", message });
    const world = this.world();
    if (world === null) return written;
    this.limits.fleetChanged(world, before);
    if (next.holds !== before.holds || next.released !== before.released) this.wakeAll(world);
    return written;
  }

  /**
   * The clock was set, or nobody could be heard for a while: reports from before it cannot be told from old ones. What holds after a
   * start holds again.
   */
  listenAnew(): void {
    this.listeningSince = this.ports.clock.now();
    this.isRestart = true;
    this.reports.clear();
    this.limits.touchAll();
    const world = this.world();
    if (world === null) return;
    this.wakeAll(world);
    this.queue.wake(fleetName);
    for (const { name, transport } of world.desired.loaded.repository.hosts.values())
      if (transport !== "agent") this.looks.now(name);
  }

  private wakeAll({ desired }: World): void {
    for (const name of desired.loaded.repository.hosts.keys()) {
      this.limits.touch(name);
      this.queue.wake(name);
    }
  }

  /** Settings of the commit in force, whether this reconciler leads or not; null before the first good one. */
  settings(): Settings | null {
    return this.main.current?.loaded.repository.settings ?? null;
  }

  /** Looks at the desired branch once. Calls that overlap share one poll. */
  poll(): Promise<void> {
    this.polling ??= this.pollOnce().finally(() => {
      this.polling = null;
    });
    return this.polling;
  }

  /** Starts nothing new, waits for running steps, and has their outcomes recorded and pushed. */
  async stop(): Promise<void> {
    this.stopping = true;
    this.looks.close();
    this.queue.close();
    // Running steps are waited for; a remote that does not answer is not, for long: the journal has what it does not get.
    await Promise.allSettled(this.runs);
    await this.within(Promise.allSettled([this.polling, ...this.appends.values()]));
    if (this.fatal === null && this.leading) await this.within(this.ports.record.flush());
  }

  /** The work, or a rejection when it takes longer than whoever stops should wait. */
  private async within(work: Promise<unknown>): Promise<void> {
    const late = new Promise<never>((_resolve, reject) => {
      const end = this.ports.clock.after(stopWaitMs, () => reject(new Error("the remote does not answer")));
      void work.then(end, end);
    });
    await Promise.race([work, late]);
  }

  /** The world now; null before the first good commit, and before this reconciler leads. */
  world(): World | null {
    const { records, reports, inFlight, listeningSince } = this;
    const { current: desired, rewound } = this.main;
    if (desired === null || !this.leading) return null;
    const { behindMs } = this.ports.record.status();
    const hasRoom = inFlight.size < desired.loaded.repository.settings.parallel;
    const mayStart = !rewound && hasRoom && behindMs <= recordLimits.allBehindMs;
    const mayStartOnce = behindMs <= recordLimits.onceBehindMs;
    const now = this.ports.clock.now();
    const { isRestart } = this;
    const { tally } = this.limits;
    const world = {
      now,
      desired,
      records,
      reports,
      inFlight,
      listeningSince,
      mayStart,
      mayStartOnce,
      isRestart,
      fleet: this.fleet(),
      tally,
    };
    this.limits.settle(world);
    return world;
  }

  /** Decides about the fleet as a whole, as long as that leads to something new, and lets those through whose gates have opened. */
  private coordinate(isDue = false): void {
    for (let round = 0; round < fleetRoundsMax; round++) {
      const world = this.world();
      const decision = world && this.limits.decide(world, isDue && round === 0);
      if (!decision) break;
      this.queue.wakeAt(fleetName, decision.wakeAt);
      if (decision.record === null) break;
      void this.putFleet(decision.record, decision.summaries).catch(() => {});
    }
    const world = this.world();
    if (world) for (const name of this.limits.admitted(world)) this.queue.wake(name);
  }

  state(): EngineState {
    const { trouble, refusal: refused, rewound } = this.main;
    const { fatal, stopping, leading } = this;
    return { trouble, refused, fatal, rewound, stopping, readOnly: fatal !== null || stopping || rewound || !leading };
  }

  /** Who leads, and how far the record is behind. */
  recordStatus(): RecordStatus {
    return this.ports.record.status();
  }

  /** How far the fleet is: subjects in their target states, and all subjects. */
  progress(): { readonly ready: number; readonly total: number } {
    return this.main.current === null ? { ready: 0, total: 0 } : this.arrived.numbers();
  }

  /** Whether every host was heard and nothing is under way any more. Asks every host, so it is not for what happens often. */
  isQuiet(): boolean {
    const world = this.world();
    if (!world || this.inFlight.size > 0 || this.backlog.size > 0 || !this.queue.isQuiet(60_000)) return false;
    return [...world.desired.loaded.repository.hosts.values()].every((host) => {
      const report = currentReport(world, host);
      return "report" in report || report.reason !== "NoReport";
    });
  }

  recordOf(name: string): SubjectRecord | undefined {
    return this.records.get(name);
  }

  /** Replaces a record at once, and resolves when that is on the disk. Then whoever it concerns is looked at again. */
  put(record: SubjectRecord, summary: string | null): Promise<void> {
    const desired = this.main.current?.commit ?? noCommit;
    assert(
      this.main.current || record.kind === "fleet",
      "a host's record changes only while a desired commit is in force",
    );
    this.records.set(record.name, record);
    this.limits.touch(record.name);
    for (const waiter of this.waiters.of(record.name)) this.queue.wake(waiter);
    const written = this.ports.record.append({ record, summary, desired });
    this.appends.set(record.name, written);
    const end = (): void => {
      if (this.appends.get(record.name) === written) this.appends.delete(record.name);
    };
    return written.then(end, (error: unknown) => {
      end();
      this.halt(`the record cannot be written: ${messageOf(error)}`);
      throw error;
    });
  }

  /** Resolves when everything that was decided about a subject is on the disk. */
  async synced(name: string): Promise<void> {
    await this.appends.get(name);
  }

  /** Decides about a subject now; resolves when what was decided is on the disk. Acts go on after that. */
  visit(name: string): Promise<void> {
    if (this.fatal !== null || this.stopping) return Promise.resolve();
    this.queue.seen(name);
    if (name !== fleetName) this.limits.touch(name);
    this.coordinate(name === fleetName);
    const world = this.world();
    if (!world || name === fleetName) return Promise.resolve();
    const subject = subjectOf(world, name);
    const decision = subject && decideSubject(world, subject).decision;
    this.queue.wakeAt(name, decision?.wakeAt ?? null);
    this.waiters.set(name, decision?.waitsOn ?? []);
    this.backlog.delete(name);
    // Who may not start now goes to the end of the line, and wakes nobody: two that wait for the record would wake each other for ever.
    if (decision?.deferred) this.backlog.add(name);
    else if (!decision?.act) this.wakeBacklog();
    if (decision?.act) this.fly(name);
    const done = this.carryOut(name, decision, world.desired.commit).catch((error: unknown) =>
      this.halt(messageOf(error)),
    );
    if (this.limits.isPending()) this.queue.wake(fleetName);
    return done;
  }

  /** Takes a new report in, and looks again at the host and at those who wait for it. */
  hear(report: HostReport): void {
    const before = this.reports.get(report.host);
    const after = merged(report, before);
    this.reports.set(report.host, after);
    this.limits.touch(report.host);
    if (before && sameNews(before, after) && !this.isContradicted(before, after)) {
      // That it was heard again may be all that a wave waits for: what was heard before counted as older than what it is about.
      if (this.isRollingOut()) this.queue.wake(fleetName);
      return;
    }
    this.queue.wake(report.host);
    for (const waiter of this.waiters.of(report.host)) this.queue.wake(waiter);
  }

  /** Whether what was said before a state was entered, and did not count any more, is seen again by a look after that. */
  private isContradicted(before: HostReport, after: HostReport): boolean {
    const machines = Object.entries(this.records.get(after.host)?.machines ?? {});
    return machines.some(([name, { state, since }]) => {
      if ((after.states[name]?.state ?? state) === state) return false;
      const entered = Date.parse(since);
      return before.at <= entered && entered <= after.at;
    });
  }

  private isRollingOut(): boolean {
    const { rollouts } = this.fleet();
    for (const scope in rollouts)
      if (rollouts[scope]?.phase === "running" || rollouts[scope]?.phase === "soaking") return true;
    return false;
  }

  /** Looks again at those who wait for room, as many as there is room for. */
  private wakeBacklog(): void {
    if (this.backlog.size === 0) return;
    const world = this.world();
    if (!world?.mayStart) return;
    let room = world.desired.loaded.repository.settings.parallel - this.inFlight.size;
    for (const name of this.backlog) {
      if (room-- <= 0) return;
      this.queue.wake(name);
    }
  }

  private async carryOut(name: string, decision: Decision | null, commit: string): Promise<void> {
    if (decision?.record) {
      this.announce(decision);
      await this.put(decision.record, decision.summaries.join("\n") || null);
    }
    this.count(name);
    if (!decision?.act) return;
    if (this.stopping) this.land(name);
    else this.track(this.perform(name, decision.act, commit));
  }

  private track(run: Promise<void>): void {
    this.runs.add(run);
    void run.finally(() => this.runs.delete(run));
  }

  private async perform(name: string, act: Act, commit: string): Promise<void> {
    try {
      if (act.kind === "start") await this.runStart(name, act, commit);
      else await this.runInquiry(name, act);
    } catch (error) {
      this.halt(messageOf(error));
    } finally {
      this.land(name);
      this.queue.wake(name);
      this.wakeBacklog();
    }
  }

  private fly(name: string): void {
    this.inFlight.add(name);
    this.limits.touch(name);
  }

  private land(name: string): void {
    this.inFlight.delete(name);
    this.limits.touch(name);
  }

  /** `commit`: the one that it was decided by; while that was recorded, another may have come into force. */
  private async runStart(name: string, act: Extract<Act, { kind: "start" }>, commit: string): Promise<void> {
    const world = this.world();
    const subject = world && subjectOf(world, name);
    const machine = world?.desired.loaded.repository.machines.get(act.machine);
    if (!world || !subject || !machine) return;
    const { transition, reason } = act;
    const names = { subject: name, machine: act.machine, from: transition.from, to: transition.to, reason };
    const began = world.now;
    this.ports.events({ kind: "started", ...names });
    const end = await runTransition(this.runContext(world, subject, { machine: act.machine, commit }), {
      subject,
      machine,
      transition,
      reason,
      ...(act.repair === undefined ? {} : { repair: act.repair }),
    });
    if (end === "repaired")
      this.ports.events({
        kind: "repaired",
        ...names,
        repair: act.repair ?? reason,
        ms: this.ports.clock.now() - began,
      });
    if (end === "entered") this.noteEntered(act, { ...names, ms: this.ports.clock.now() - began });
    // What became of it is seen at once: a rollout goes on only when what was entered holds.
    if (subject.kind === "host" && subject.transport !== "agent") this.looks.now(name);
  }

  private noteEntered(
    { machine, transition }: Extract<Act, { kind: "start" }>,
    entered: Omit<Extract<EngineEvent, { kind: "entered" }>, "kind">,
  ): void {
    this.ports.events({ kind: "entered", ...entered });
    const fleet = this.fleet();
    const durations = withDuration(fleet.durations, [machine, transition], entered.ms);
    if (durations !== fleet.durations) void this.putFleet({ ...fleet, durations }, []).catch(() => {});
  }

  private runContext(
    world: World,
    subject: AnySubject,
    { machine, commit }: { readonly machine: string; readonly commit: string },
  ): RunContext {
    const { actor, clock, record, events } = this.ports;
    const { name } = subject;
    return {
      now: () => clock.now(),
      actor,
      flush: () => record.flush(),
      guards: world.desired.loaded.guards,
      settings: world.desired.loaded.repository.settings,
      commit,
      incarnation: this.records.get(name)?.incarnation ?? null,
      entry: () => this.entry(name, machine),
      edit: (change, summary) => this.edit(name, machine, change, summary ?? null),
      values: () => guardValues({ ...world, now: clock.now() }, subject, [machine, this.entry(name, machine)]),
      mayGoOn: () => this.mayGoOn(name, machine, commit),
      stepFailed: (step, message) => events({ kind: "step-failed", subject: name, machine, step, message }),
    };
  }

  /** S4, and a clean stop: asked before every step. A newer commit that wants something else ends a transition there. */
  private mayGoOn(name: string, machine: string, commit: string): boolean {
    const world = this.world();
    const subject = world && subjectOf(world, name);
    if (!world || !subject || this.stopping || this.fatal !== null) return false;
    if (this.ports.record.status().behindMs > recordLimits.allBehindMs) return false;
    if (world.desired.commit !== commit && !isStillWanted(world, subject, [machine, this.entry(name, machine)]))
      return false;
    return subject.kind === "group" || holdOn(world, subject) === null;
  }

  private entry(name: string, machine: string): MachineRecord {
    const entry = this.records.get(name)?.machines[machine];
    assert(entry, `${name} has a record of ${machine}`);
    return entry;
  }

  private edit(
    name: string,
    machine: string,
    change: (entry: MachineRecord) => MachineRecord,
    summary: string | null,
  ): Promise<void> {
    const record = this.records.get(name) ?? emptyRecord("host", name);
    const entry = change(this.entry(name, machine));
    return this.put({ ...record, machines: { ...record.machines, [machine]: entry } }, summary);
  }

  /** S2 after a crash: the host is asked how the step ended that was running when its reconciler went away. */
  private async runInquiry(name: string, act: Extract<Act, { kind: "inquire" }>): Promise<void> {
    const world = this.world();
    const subject = world && subjectOf(world, name);
    const entry = this.entry(name, act.machine);
    const machine = world?.desired.loaded.repository.machines.get(act.machine);
    if (!world || subject?.kind !== "host") return;
    // The machine may be gone: its claim on the host is there all the same.
    const { attempt } = entry;
    const transition = machine && attempt ? findTransition(machine, attempt.from, attempt.to) : null;
    const step = transition?.steps.find(({ key }) => key === act.step);
    const inquiry = await this.inquire(subject, claimOf(act.machine, act.step, entry), step);
    const { clock } = this.ports;
    if (inquiry.kind === "running") {
      await new Promise<void>((resolve) => clock.after(inquireAgainMs, resolve));
      return;
    }
    const settings = world.desired.loaded.repository.settings.attempts;
    const title = step?.title ?? act.step;
    const change = (now: MachineRecord): MachineRecord =>
      afterInquiry(now, [act.step, title], inquiry, { settings, now: clock.now() });
    await this.edit(name, act.machine, change, null);
  }

  private async inquire(host: Host, claim: string, step: Step | undefined): Promise<Inquiry> {
    const nowhere: Inquiry = { kind: "unknown", message: "its outcome is kept nowhere" };
    // Only what runs on the host leaves a claim there.
    if (step && !runsOnHost(step)) return nowhere;
    const incarnation = this.records.get(host.name)?.incarnation ?? null;
    const answer = await this.ports.actor.inquire({ host, incarnation, claim });
    // A step that a commit has removed may have been of a sort that leaves no claim: then none says nothing.
    return answer.kind === "absent" && !step ? nowhere : answer;
  }

  private async look(name: string): Promise<HostReport | null> {
    const world = this.world();
    const host = world?.desired.loaded.repository.hosts.get(name);
    if (!world || !host || this.stopping) return null;
    const entries = Object.entries(this.records.get(name)?.machines ?? {});
    const recorded = entries.map(([machine, { state, revision }]): [string, StateClaim] => [
      machine,
      { state, revision },
    ]);
    const checkOf = (machine: string, claim: StateClaim): Check | null => this.checkOf(name, machine, claim);
    const at = this.ports.clock.now();
    const report = await this.ports.looker.look(host, checkOf, Object.fromEntries(recorded));
    return { ...report, at };
  }

  private checkOf(name: string, machine: string, claim: StateClaim): Check | null {
    const world = this.world();
    const subject = world && subjectOf(world, name);
    const entry = this.records.get(name)?.machines[machine];
    const check = world?.desired.loaded.repository.machines.get(machine)?.states.get(claim.state)?.check;
    if (!world || !subject || !check || !entry) return null;
    const rendered = renderAction(
      check.action,
      world.desired.loaded.guards,
      guardValues(world, subject, [machine, entry]),
    );
    return rendered.ok ? { ...check, action: rendered.value } : null;
  }

  private async pollOnce(): Promise<void> {
    const change = await this.main.poll();
    if (this.stopping) return;
    if (change && this.leading) this.putInForce(change.before, change.after);
    else if (this.leading && this.main.current === null && this.main.waiting !== null) this.fallBack();
    // A branch that is followed again lets those go on that waited.
    this.wakeBacklog();
  }

  private putInForce(before: DesiredCommit | null, after: DesiredCommit): void {
    const { hosts, machines } = after.loaded.repository;
    this.ports.events({ kind: "desired", commit: after.commit, hosts: hosts.size, machines: machines.size });
    const edited = editedHosts(before, after);
    if (edited !== null) {
      for (const name of edited) this.limits.touch(name);
      // The fleet is the one that it was: only they are looked at, and whoever waits for something.
      this.arrived.again();
      for (const name of [...edited, ...this.waiters.all()]) this.queue.wake(name);
      return;
    }
    this.waiters.setRepository(after.loaded.repository);
    this.limits.touchAll();
    const world = this.world();
    assert(world, "a desired commit is in force");
    this.noteRemoved(world);
    const names = subjectNames(world);
    this.arrived.follow(names);
    // Whoever waits may wait for something that the new commit has changed or taken away.
    for (const name of [...changedSubjects(before, after, names), ...this.waiters.all()]) this.queue.wake(name);
    this.looks.follow([...hosts.values()].filter(({ transport }) => transport !== "agent").map(({ name }) => name));
  }

  /** What became of hosts whose file was removed stands in the record, and that they were is recorded once. */
  private noteRemoved({ desired, now }: World): void {
    const { hosts } = desired.loaded.repository;
    for (const record of this.records.values()) {
      if (record.kind !== "host" || hosts.has(record.name) === (record.removed === undefined)) continue;
      const { removed, ...rest } = record;
      const next = removed === undefined ? { ...record, removed: isoTime(now) } : rest;
      const word = removed === undefined ? "removed from the repository" : "back in the repository";
      void this.put(next, `${record.name}: ${word}`).catch(() => {});
    }
  }

  private announce({ subject, record, summaries }: Decision): void {
    const before = this.records.get(subject);
    if (record?.incarnation && before?.incarnation && record.incarnation !== before.incarnation) {
      this.ports.events({ kind: "rebuilt", subject, incarnation: record.incarnation });
    }
    for (const [machine, entry] of Object.entries(record?.machines ?? {})) {
      const old = before?.machines[machine];
      if (old === entry) continue;
      for (const event of eventsOf(subject, machine, { old, entry, why: summaries.at(-1) ?? "" }))
        this.ports.events(event);
    }
  }

  private count(name: string): void {
    // Asked at each visit: what it needs of the world is the subject alone.
    const { current: desired } = this.main;
    const subject = desired !== null && this.leading ? subjectOf({ desired }, name) : null;
    if (!subject) return;
    const record = this.records.get(name);
    // What the record says of a host that was not heard yet is hope.
    const heard = subject.kind === "group" || this.reports.has(name);
    const checks = this.reports.get(name)?.checks ?? {};
    const isReady = (machine: string): boolean => {
      const entry = record?.machines[machine];
      const failing = checks[machine]?.ok === false && checks[machine].state === entry?.state;
      return readyOf(entry)?.status === "True" && !failing;
    };
    if (this.arrived.note(name, heard && [...subject.machines.keys()].every(isReady))) {
      this.ports.events({ kind: "settled", ...this.arrived.numbers() });
    }
  }

  /** Does nothing any more: the ground of every decision is gone. What was running is not waited for. */
  halt(message: string): void {
    if (this.fatal !== null) return;
    this.fatal = message;
    this.ports.events({ kind: "fatal", message: `${message} (${isoTime(this.ports.clock.now())})` });
  }
}
