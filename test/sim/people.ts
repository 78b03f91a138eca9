// People: they push good and bad commits, hold and release, approve, say retry and skip, move branches back, and are not always right.
import { fleetName } from "../../reconciler/model/record.ts";
import type { Stage } from "./play.ts";
import type { SimProcess } from "./process.ts";
import { Random } from "./random.ts";
import type { Act } from "./scenario.ts";
import { hasTarget } from "./scenario.ts";
import { factsOf, filesOf, type HostSketch, type RepositorySketch } from "./state-repository.ts";

const mainRef = "refs/heads/main";
/** In a calm they look after what waits for them this often. */
const tendMs = 60_000;
/** Those who help say so many words at most about one host. */
const wordsMax = 12;

export class People {
  private readonly stage: Stage;
  /** What `main` says, without the bad commits on it. */
  sketch: RepositorySketch;
  private edition = 0;
  private words = 0;
  private readonly random: Random;
  private readonly known = new Map<string, HostSketch>();

  constructor(stage: Stage) {
    this.stage = stage;
    this.sketch = stage.scenario.repository;
    this.random = new Random(`${stage.scenario.seed}/people`);
  }

  /** Whom somebody asks: who leads, or now and then another one, as a person does who has an old address. */
  private asked(): SimProcess | null {
    const leading = this.stage.leading();
    return this.random.chance(0.1) ? this.random.pick(this.stage.processes) : leading;
  }

  /** Every host that was ever on `main`, or will be. */
  everyHost(): HostSketch[] {
    for (const host of this.stage.scenario.repository.hosts) this.known.set(host.name, host);
    for (const { act } of this.stage.scenario.script) if (act.kind === "add") this.known.set(act.host.name, act.host);
    return [...this.known.values()];
  }

  begin(sketch: RepositorySketch): void {
    this.commit(sketch, "the first commit", null);
  }

  private commit(sketch: RepositorySketch, message: string, acknowledged: number | null): void {
    this.sketch = sketch;
    this.push(filesOf(sketch), message, { valid: true, acknowledged });
  }

  private push(
    files: Record<string, string>,
    subject: string,
    extra: { valid: boolean; acknowledged: number | null },
  ): void {
    const { all, server } = this.stage;
    const trailer = extra.acknowledged === null ? "" : `\n\nAcknowledge-Moves: ${extra.acknowledged}`;
    const commit = all.commit(files, server.refs.get(mainRef) ?? null, `${subject} (${++this.edition})${trailer}`);
    server.refs.set(mainRef, commit);
    this.stage.note({ kind: "commit", commit, desired: factsOf(this.sketch, extra) });
  }

  /** True when it is something that people do. */
  // oxlint-disable-next-line max-lines-per-function -- a table: a few lines a kind
  act(act: Act): boolean {
    // oxlint-disable-next-line switch-exhaustiveness-check -- the rest is no matter of people
    switch (act.kind) {
      case "retarget":
        this.retarget(act);
        return true;
      case "bad-commit":
        this.badCommit(act);
        return true;
      case "remove": {
        const hosts = this.sketch.hosts.filter(({ name }) => !act.hosts.includes(name));
        if (hosts.length > 0) this.commit({ ...this.sketch, hosts }, "remove hosts", null);
        return true;
      }
      case "add":
        if (!this.sketch.hosts.some(({ name }) => name === act.host.name))
          this.commit({ ...this.sketch, hosts: [...this.sketch.hosts, act.host] }, "add a host", null);
        return true;
      case "redefine":
        this.redefine(act);
        return true;
      case "hold":
        this.hold(act);
        return true;
      case "approve":
        this.approve(act.guess);
        return true;
      case "release-brake":
        this.releaseBrake();
        return true;
      case "verdict":
        this.verdict(act.word, act.host);
        return true;
      case "update":
        this.update(act.key, act.times);
        return true;
      case "rewind":
        this.rewind(act);
        return true;
      default:
        return false;
    }
  }

  private retarget({ hosts, target, acknowledges }: Extract<Act, { kind: "retarget" }>): void {
    const machines = new Map(this.sketch.machines.map((machine) => [machine.name, machine]));
    let moved = 0;
    const next = this.sketch.hosts.map((host) => {
      const machine = machines.get(host.machine);
      if (!hosts.includes(host.name) || !machine || !hasTarget(machine, target) || host.target === target) return host;
      moved++;
      return { ...host, target };
    });
    if (moved > 0) this.commit({ ...this.sketch, hosts: next }, `to ${target}`, acknowledges ? moved : null);
  }

  /** The sketch stays what it was: the next good commit takes the bad one back. */
  private badCommit({ host, how }: Extract<Act, { kind: "bad-commit" }>): void {
    const files = filesOf(this.sketch);
    const path = `hosts/${host}.yaml`;
    const text = files[path];
    if (text === undefined) return;
    if (how === "state") files[path] = text.replace(/(targets:\n {2}\w+): \w+/, "$1: nowhere");
    else if (how === "key") files[path] = `${text}colour: blue\n`;
    else files["hosts/nobody.yaml"] = "group: nobody\nselect: host.nonsense ==\n";
    this.push(files, "a mistake", { valid: false, acknowledged: null });
  }

  private redefine({ machine: name, shorter }: Extract<Act, { kind: "redefine" }>): void {
    const machines = this.sketch.machines.map((machine) => {
      // An agent runs no steps of ours.
      if (machine.name !== name || name === "beacon") return machine;
      const transitions = machine.transitions.map((transition) =>
        transition.from === "rest" && transition.to === "up"
          ? {
              ...transition,
              steps: [{ name: `${name}.rest.up.${this.edition + 10}`, repeat: "always" as const, on: "host" as const }],
            }
          : transition,
      );
      const isThere = transitions.some(({ from, to }) => from === machine.initial && to === "up");
      const short = { from: machine.initial, to: "up", steps: [], isShut: false, when: null };
      return { ...machine, transitions: shorter && !isThere ? [...transitions, short] : transitions };
    });
    this.commit({ ...this.sketch, machines }, "redefine a machine", null);
  }

  private hold({ select, by, forMs }: Extract<Act, { kind: "hold" }>): void {
    const process = this.asked();
    if (process === null) return;
    const word = { kind: "hold", select, by } as const;
    const order = { select, by, reason: "a look at its disk", until: null };
    this.stage.word(process, word, ({ coordination }) => coordination.hold(order));
    this.stage.time.after(forMs, () => this.release(select));
  }

  private release(select: string): void {
    const process = this.stage.leading();
    if (process !== null)
      this.stage.word(process, { kind: "release", select }, ({ coordination }) => coordination.release(select, "ana"));
  }

  private approve(guess: boolean): void {
    const process = this.stage.leading();
    const waiting = process?.running?.engine.waitingCommit()?.commit;
    const commit = guess ? this.stage.server.refs.get(mainRef) : waiting;
    if (process === null || commit === undefined) return;
    this.stage.word(process, { kind: "approve", commit }, ({ coordination }) => coordination.approve(commit, "ana"));
  }

  private releaseBrake(): void {
    const process = this.asked();
    if (process === null) return;
    const reason = `it is known (${++this.words})`;
    this.stage.word(process, { kind: "release-brake", reason }, ({ coordination }) =>
      coordination.releaseBrake("ana", reason),
    );
  }

  /** Most such words are about a host that is stalled: who says them has looked. */
  private verdict(kind: "retry" | "skip" | "replay", named: string): void {
    const process = this.asked();
    if (process === null) return;
    const stalled = kind === "replay" ? [] : this.stalled().map(({ host }) => host);
    const host = stalled.length > 0 && this.random.chance(0.75) ? this.random.pick(stalled) : named;
    this.say(process, kind, host);
  }

  private say(process: SimProcess, kind: "retry" | "skip" | "replay", host: string): void {
    this.stage.word(process, { kind, host, machine: null }, ({ fleet }) =>
      kind === "replay" ? fleet.replay(host) : fleet.verdict(host, null, kind),
    );
  }

  /** Who gets no answer asks again with the same key. */
  private update(key: string, times: number): void {
    const process = this.stage.leading();
    if (process === null || !this.sketch.hasLight) return;
    const word = { kind: "update", subject: "crossing", machine: "light", state: "red", key } as const;
    for (let time = 0; time < times; time++)
      this.stage.time.after(time * 500, () =>
        this.stage.word(process, word, ({ fleet }) => fleet.update("crossing", "red", key)),
      );
  }

  /** A branch is moved back. Then it is put back, or a person accepts it on every machine. */
  private rewind({ branch, back, forMs, accepts }: Extract<Act, { kind: "rewind" }>): void {
    const { server, all } = this.stage;
    const ref = `refs/heads/${branch}`;
    const from = server.refs.get(ref);
    let to = from ?? null;
    for (let step = 0; step < back && to !== null; step++) to = all.parent(to);
    if (from === undefined || to === null || to === from) return;
    server.refs.set(ref, to);
    this.stage.note({ kind: "rewound", branch, from, to });
    this.stage.time.after(forMs, () => (accepts ? this.accept(branch) : this.restore(branch, from)));
  }

  private restore(branch: "main" | "observed", commit: string): void {
    const { server, all } = this.stage;
    const ref = `refs/heads/${branch}`;
    // Somebody may have pushed on top of what was put in its place: then that is what holds.
    const now = server.refs.get(ref) ?? null;
    let at: string | null = commit;
    while (at !== null && at !== now) at = all.parent(at);
    if (at === null || now === commit) return this.accept(branch);
    server.refs.set(ref, commit);
    this.stage.note({ kind: "restored", branch, to: commit });
  }

  private accept(branch: "main" | "observed"): void {
    const commit = this.stage.server.refs.get(`refs/heads/${branch}`) ?? null;
    for (const { running, folder } of this.stage.processes) {
      if (running === null || running.tips.now[branch] === commit) continue;
      running.tips.acceptByHand(branch, commit).catch(() => {});
      this.stage.note({ kind: "accepted-history", folder: folder.name, branch });
    }
  }

  /** Hosts that are stalled, as the one that leads says, and why. */
  private stalled(): { readonly host: string; readonly message: string }[] {
    const engine = this.stage.leading()?.running?.engine;
    return this.sketch.hosts.flatMap(({ name }) =>
      Object.values(engine?.recordOf(name)?.machines ?? {}).flatMap(({ conditions }) => {
        const found = conditions.find(({ type, status }) => type === "Stalled" && status === "True");
        return found === undefined ? [] : [{ host: name, message: found.message }];
      }),
    );
  }

  /** From now on they change nothing, and look after what waits for a word. `helps`: they say every word that a reason asks for. */
  calm(helps: boolean): void {
    const { time } = this.stage;
    const said = new Map<string, number>();
    const tend = (): void => {
      for (const branch of ["main", "observed"] as const) this.accept(branch);
      this.approve(false);
      if (helps) this.help(said);
      time.after(tendMs, tend);
    };
    tend();
  }

  private help(said: Map<string, number>): void {
    const process = this.stage.leading();
    const engine = process?.running?.engine;
    if (process === null || engine === undefined) return;
    const isEnough = (about: string): boolean => {
      said.set(about, (said.get(about) ?? 0) + 1);
      return (said.get(about) ?? 0) > wordsMax;
    };
    const fleet = engine.recordOf(fleetName)?.fleet;
    for (const { select } of fleet?.holds ?? []) if (!isEnough(select)) this.release(select);
    const messages = this.sketch.hosts.flatMap(({ name }) =>
      Object.values(engine.recordOf(name)?.machines ?? {}).flatMap(({ conditions }) =>
        conditions.map(({ message }) => message),
      ),
    );
    const isBraked = fleet?.braked != null || messages.some((message) => message.includes("stateward brake release"));
    if (isBraked && !isEnough("the brake")) this.releaseBrake();
    for (const { host, message } of this.stalled()) {
      const asked = (["retry", "skip", "replay"] as const).filter((word) => message.includes(`stateward ${word}`));
      // Of words that are each enough, everybody has one that they prefer.
      const word = asked[this.edition % asked.length];
      // Who says so has mended the cause.
      this.stage.hosts.of(host).sick.clear();
      if (word !== undefined && !isEnough(host)) this.say(process, word, host);
    }
  }
}
