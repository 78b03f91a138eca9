// A reconciler for a case: the real engine over hosts, record and time in memory, begun a while before so that all is quiet.

import { Coordination } from "../../reconciler/engine/coordination.ts";
import { Fleet } from "../../reconciler/engine/fleet.ts";
import { Engine } from "../../reconciler/engine/loop.ts";
import { isoTime } from "../../reconciler/model/duration.ts";
import { Failure } from "../../reconciler/model/failure.ts";
import { findPath } from "../../reconciler/model/graph.ts";
import type {
  DesiredCommit,
  DesiredReader,
  EngineEvent,
  HostLooker,
  Outcome,
  Poll,
} from "../../reconciler/model/ports.ts";
import { formatProblem, hasErrors } from "../../reconciler/model/problem.ts";
import {
  emptyFleet,
  emptyRecord,
  fleetSubject,
  freshMachine,
  type MachineRecord,
  type SubjectRecord,
} from "../../reconciler/model/record.ts";
import type { StateClaim } from "../../reconciler/model/report.ts";
import { type LoadedRepository, RepositoryLoader } from "../../reconciler/model/repository.ts";
import { windowError } from "../../reconciler/plan/windows.ts";
import type { World } from "../../reconciler/plan/world.ts";
import {
  changedFiles,
  duration,
  type Fields,
  fields,
  groupFile,
  type HostGiven,
  hostFile,
  machineFile,
  names,
  readHost,
  slip,
  time,
} from "./case-format.ts";
import { FakeHosts, ManualClock, settle } from "./fake-hosts.ts";
import { MemoryRecord } from "./memory-record.ts";
import { type Files, sources } from "./world.ts";

/** The reconciler begins so long before a case does: longer than a start is quiet, also for agents. */
const leadMs = 180_000;
const agentMs = 60_000;
const firstCommit = "ba5e".padEnd(40, "0");

/** Commits as a case makes them, by one loader, as in production. */
class Branch implements DesiredReader {
  private readonly loader = new RepositoryLoader({ windowError });
  private next: Poll | null = null;
  private pushed: Poll | null = null;
  private last: { readonly files: Files; readonly loaded: LoadedRepository } | null = null;
  private readonly commits = new Map<string, DesiredCommit>();
  private inForce: DesiredCommit | null = null;

  load(files: Files): LoadedRepository {
    const { last } = this;
    const loaded =
      last === null
        ? this.loader.load(sources(files))
        : this.loader.change(
            last.loaded,
            changedFiles(last.files, files).map(([path, value]) => ({
              path,
              file: value === null ? null : (sources({ [path]: value }).find((source) => source.path === path) ?? null),
            })),
          );
    return loaded;
  }

  push(files: Files, commit: string, acknowledged: number | null): void {
    const loaded = this.load(files);
    if (!hasErrors(loaded.problems)) this.last = { files, loaded };
    const desired = { commit, loaded, ...(acknowledged === null ? {} : { acknowledged }) };
    this.commits.set(commit, desired);
    this.pushed = { kind: "changed", desired };
    this.next = this.pushed;
  }

  say(poll: Poll): void {
    this.next = poll;
  }

  /** Keeps which commit came into force last, as the record does. */
  note(commit: string): void {
    this.inForce = this.commits.get(commit) ?? null;
  }

  /** As a reconciler that begins anew finds the branch. */
  again(): void {
    this.next = this.pushed;
  }

  poll(): Promise<Poll> {
    const poll = this.next ?? { kind: "unchanged" as const };
    this.next = null;
    return Promise.resolve(poll);
  }

  recorded(): Promise<DesiredCommit | null> {
    return Promise.resolve(this.inForce);
  }

  descends(): Promise<boolean> {
    return Promise.resolve(false);
  }
}

/** Everything that a case can be played with and asked about. */
export class Rig {
  readonly clock: ManualClock;
  readonly hosts = new FakeHosts();
  readonly record = new MemoryRecord();
  readonly branch = new Branch();
  readonly events: EngineEvent[] = [];
  readonly given: Fields;
  readonly machines: ReadonlyMap<string, Fields>;
  readonly facts = new Map<string, Record<string, string>>();
  readonly failing = new Set<string>();
  readonly unhealthy = new Set<string>();
  /** Steps that wait for the case to end them, by host. */
  readonly open = new Map<string, (outcome: Outcome) => void>();
  files: Files;
  engine!: Engine;
  fleet!: Fleet;
  coordination!: Coordination;
  private readonly hostsGiven: readonly HostGiven[];
  private readonly sequences = new Map<string, number>();
  private commits = 0;

  constructor(given: Fields, machines: ReadonlyMap<string, Fields>) {
    this.given = given;
    this.machines = machines;
    this.clock = new ManualClock(time(given.at ?? "12:00", "at") - leadMs);
    const byHost = new Map<string, unknown>();
    for (const [key, value] of Object.entries(fields(given.hosts, "hosts")))
      for (const name of names(key)) byHost.set(name, value);
    this.hostsGiven = [...byHost].map(([name, value]) => readHost(name, value, [...machines.keys()]));
    this.files = this.filesWith((host) => [...host.machines].map(([machine, { state }]) => [machine, state]));
    for (const name of given.fails === undefined ? [] : names(given.fails)) this.failing.add(name);
    for (const { name, isDown } of this.hostsGiven) if (isDown) this.hosts.down.add(name);
    this.hosts.onStep = (order) => this.step(order.host.name);
  }

  private filesWith(targets: (host: HostGiven) => [string, string | null][]): Files {
    const groups = new Set(this.hostsGiven.flatMap((host) => host.groups));
    const given = fields(this.given.groups ?? {}, "groups");
    const all = [...new Set([...groups, ...Object.keys(given)])];
    return {
      "stateward.yaml": this.given.settings ?? {},
      ...Object.fromEntries(
        [...this.machines].map(([name, file]) => [`machines/${name}.yaml`, machineFile(file, this.given)]),
      ),
      ...Object.fromEntries(all.map((name) => [`hosts/group-${name}.yaml`, groupFile(name, given[name])])),
      ...Object.fromEntries(
        this.hostsGiven.map((host) => [`hosts/${host.name}.yaml`, hostFile(host, new Map(targets(host)))]),
      ),
    };
  }

  /** A fleet at rest, then the commit that the case begins with. */
  async begin(): Promise<void> {
    this.branch.push(this.files, firstCommit, null);
    const { loaded } = this.loadedNow();
    for (const host of this.hostsGiven) if (!host.isUnseen) await this.seed(host, loaded);
    await this.seedDurations();
    await this.start(true);
    this.beat();
    await this.clock.pass(leadMs);
    const wanted = this.filesWith((host) => [...host.machines].map(([machine, { target }]) => [machine, target]));
    this.events.length = 0;
    this.hosts.log.length = 0;
    if (changedFiles(this.files, wanted).length > 0) await this.commit(wanted, { acknowledge: this.moved() });
  }

  private moved(): number {
    const isMoved = ({ machines }: HostGiven): boolean =>
      [...machines.values()].some((way) => way.state !== way.target);
    return this.hostsGiven.filter(isMoved).length;
  }

  private loadedNow(): { loaded: LoadedRepository } {
    const loaded = this.branch.load(this.files);
    if (hasErrors(loaded.problems)) throw new Error(loaded.problems.map(formatProblem).join("\n"));
    return { loaded };
  }

  private async seed(host: HostGiven, { repository }: LoadedRepository): Promise<void> {
    const at = isoTime(this.clock.now() - 3_600_000);
    const machines: Record<string, MachineRecord> = {};
    const incarnation = this.hosts.incarnation(host.name);
    const file = repository.hosts.get(host.name);
    for (const [name, { state }] of host.machines) {
      const machine = repository.machines.get(name);
      if (machine === undefined || file === undefined) continue;
      const path = findPath(machine, machine.initial, state) ?? slip(host.name, `no way leads to ${state}`);
      const applied = path.map(({ to }) => ({ state: to, at, desired: firstCommit }));
      machines[name] = { ...freshMachine(state, at, firstCommit), revision: 1, applied };
      if (file.transport !== "agent")
        await this.hosts.mark({ host: file, incarnation, machine: name, claim: { state, revision: 1 } });
    }
    const record: SubjectRecord = { ...emptyRecord("host", host.name), incarnation, machines };
    await this.record.append({ record, summary: null, desired: firstCommit });
  }

  /** How long transitions took until now, as it is recorded of the fleet. */
  private async seedDurations(): Promise<void> {
    const took = Object.entries(fields(this.given.took ?? {}, "took"));
    if (took.length === 0) return;
    const durations = Object.fromEntries(took.map(([key, value]) => [key, duration(value, "took")]));
    const record = fleetSubject({ ...emptyFleet, durations });
    await this.record.append({ record, summary: null, desired: firstCommit });
  }

  /** `isFollowing`: it looks at the branch before it leads, as it does in production. */
  private async start(isFollowing: boolean): Promise<void> {
    this.engine = new Engine({
      clock: this.clock,
      desired: this.branch,
      record: this.record,
      looker: this.looker(),
      actor: this.hosts,
      events: (event) => this.note(event),
    });
    this.fleet = new Fleet(this.engine, this.clock);
    this.coordination = new Coordination(this.engine, this.clock);
    if (isFollowing) await this.engine.poll();
    await this.engine.start();
    await this.clock.pass(0);
  }

  private note(event: EngineEvent): void {
    // For whoever writes a case: what happens, as it happens.
    if (process.env.CASE_EVENTS !== undefined)
      process.stdout.write(`${isoTime(this.clock.now())} ${JSON.stringify(event)}\n`);
    this.events.push(event);
    if (event.kind === "desired") this.branch.note(event.commit);
  }

  /** Another reconciler takes over; whatever was running stays behind. */
  async restart(how: unknown): Promise<void> {
    this.engine.halt("taken over");
    this.open.clear();
    if (how === "without the remote") this.branch.say({ kind: "unreachable", message: "no route to the remote" });
    else if (how === true) this.branch.again();
    else slip("restart", "true, or without the remote");
    await this.start(how === true);
    if (how === true) return;
    this.branch.again();
    await this.engine.poll();
  }

  private looker(): HostLooker {
    const look: HostLooker["look"] = async (host) => {
      const report = await this.hosts.look(host);
      const checks = Object.fromEntries(
        Object.entries(report.states).flatMap(([machine, { state }]) =>
          this.unhealthy.has(host.name) ? [[machine, { state, ok: false, message: "refused", failures: 1 }]] : [],
        ),
      );
      return { ...report, at: this.clock.now(), checks };
    };
    return { look };
  }

  private step(host: string): Outcome | Promise<Outcome> {
    const outcome = (): Outcome =>
      this.failing.has(host) ? { kind: "failed", message: "exit 1", output: "" } : { kind: "ok", output: "" };
    const how = this.given.steps ?? "at once";
    if (how === "at once") return outcome();
    if (how === "by hand") return new Promise((resolve) => this.open.set(host, resolve));
    const ms = duration(how, "steps");
    return new Promise((resolve) => this.clock.after(ms, () => resolve(outcome())));
  }

  /** What agents report by themselves, each minute. */
  private beat(): void {
    const world = this.world();
    for (const host of world.desired.loaded.repository.hosts.values())
      if (host.transport === "agent" && !this.hosts.down.has(host.name)) void this.report(host.name).catch(() => {});
    this.clock.after(agentMs, () => this.beat());
  }

  /** A report of a host, with what it says besides that it lives. */
  async report(host: string, states: Readonly<Record<string, StateClaim>> = {}, incarnation?: string): Promise<void> {
    const sequence = (this.sequences.get(host) ?? 0) + 1;
    this.sequences.set(host, sequence);
    const life = incarnation ?? this.hosts.incarnation(host);
    await this.fleet.report(host, { incarnation: life, sequence, states, facts: this.facts.get(host) ?? {} });
  }

  async commit(files: Files, more: { readonly acknowledge?: number | null; readonly id?: string } = {}): Promise<void> {
    const id = more.id ?? `${++this.commits}f`;
    this.files = files;
    this.branch.push(files, id.padEnd(40, "0"), more.acknowledge ?? null);
    await this.engine.poll();
    await this.clock.pass(0);
  }

  world(): World {
    return this.engine.world() ?? slip("the case", "no commit is in force");
  }

  revision(host: string, machine: string): number {
    return this.engine.recordOf(host)?.machines[machine]?.revision ?? 0;
  }

  async end(host: string, outcome: string): Promise<void> {
    const resolve = this.open.get(host) ?? slip(host, "has no step that runs");
    this.open.delete(host);
    resolve(outcomeOf(outcome));
    await settle();
    await this.clock.pass(0);
  }
}

function outcomeOf(text: string): Outcome {
  switch (text) {
    case "ok":
      return { kind: "ok", output: "" };
    case "failed":
      return { kind: "failed", message: "exit 1", output: "" };
    case "unreachable":
      return { kind: "unreachable", message: "no route", output: "" };
    default:
      return slip("ends", `ok, failed or unreachable, not ${text}`);
  }
}

/** The word that a failure says, or null where there is none. */
export async function refusalOf(work: Promise<unknown>): Promise<string | null> {
  try {
    await work;
    return null;
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return `${error.reason}: ${error.message}`;
  }
}
