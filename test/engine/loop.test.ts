// The loop with hosts, record and time in memory: the same code that runs in production, with other ports.
import * as assert from "uvu/assert";
import { Fleet } from "../../reconciler/engine/fleet.ts";
import { Engine } from "../../reconciler/engine/loop.ts";
import { Failure } from "../../reconciler/model/failure.ts";
import type {
  DesiredCommit,
  DesiredReader,
  EngineEvent,
  Outcome,
  Poll,
  RecordReader,
  RecordWriter,
} from "../../reconciler/model/ports.ts";
import { FakeHosts, ManualClock, settle } from "../support/fake-hosts.ts";
import { MemoryRecord } from "../support/memory-record.ts";
import { suite } from "../support/suite.ts";
import { atOnce, chain, desired, type Files, lamp, load, localHost, noon } from "../support/world.ts";

const test = suite("loop");
const failed: Outcome = { kind: "failed", message: "exit 1", output: "" };

class Desired implements DesiredReader {
  private next: Poll | null = null;
  push(files: Files, id: string): void {
    this.next = { kind: "changed", desired: { commit: id, loaded: load(files) } };
  }
  say(poll: Poll): void {
    this.next = poll;
  }
  inForce: DesiredCommit | null = null;
  recorded(): Promise<DesiredCommit | null> {
    return Promise.resolve(this.inForce);
  }
  /** Names of commits are in their order here. */
  descends(commit: string, ancestor: string): Promise<boolean> {
    return Promise.resolve(commit > ancestor);
  }
  poll(): Promise<Poll> {
    const poll = this.next ?? { kind: "unchanged" as const };
    this.next = null;
    return Promise.resolve(poll);
  }
}

interface Rig {
  readonly engine: Engine;
  readonly fleet: Fleet;
  readonly clock: ManualClock;
  readonly hosts: FakeHosts;
  readonly record: RecordReader & RecordWriter;
  readonly main: Desired;
  readonly events: EngineEvent[];
}

/** A reconciler over these files; give it an earlier one's hosts, record and clock to take over from it. */
async function start(files: Files, from: Partial<Pick<Rig, "hosts" | "record" | "clock">> = {}): Promise<Rig> {
  const hosts = from.hosts ?? new FakeHosts();
  const record = from.record ?? new MemoryRecord();
  const clock = from.clock ?? new ManualClock(noon);
  const main = new Desired();
  main.push(files, desired(files).commit);
  const events: EngineEvent[] = [];
  const engine = new Engine({
    clock,
    desired: main,
    record,
    looker: hosts,
    actor: hosts,
    events: (event) => events.push(event),
  });
  await engine.start();
  await clock.pass(100);
  return { engine, fleet: new Fleet(engine, clock), clock, hosts, record, main, events };
}

const stateOf = ({ engine }: Rig, host: string, machine = "chain"): string | undefined =>
  engine.recordOf(host)?.machines[machine]?.state;
const reasonOf = ({ engine }: Rig, host: string, machine = "chain"): string | undefined =>
  engine.recordOf(host)?.machines[machine]?.conditions[0]?.reason;
const chainFiles = (target: string, machine: object = chain): Files => ({
  "machines/chain.yaml": machine,
  "hosts/a.yaml": localHost("a", { chain: target }),
});
/** A lamp that is turned on only when the guard holds. */
const guardedLamp = (when: string): object => ({
  ...lamp,
  states: { ...lamp.states, on: { enter: [{ from: "off", when, steps: [{ run: "x" }] }] } },
});
const never = {
  ...chain,
  states: { ...chain.states, c: { enter: [{ from: "b", steps: [{ name: "to-c", run: "step c", repeat: "never" }] }] } },
};

test("a host moves along its path, and leaves its marker after each transition", async () => {
  const rig = await start(chainFiles("d"));
  assert.equal(rig.hosts.log, ["a to-b", "a to-c", "a to-d"]);
  assert.is(stateOf(rig, "a"), "d");
  assert.is(rig.hosts.marker("a", "chain"), "d");
  assert.equal(rig.events.filter(({ kind }) => kind === "settled").length, 1);
});

test("R2: a host in its target state costs nothing: no step, and nothing is recorded", async () => {
  const record = new MemoryRecord();
  const rig = await start(chainFiles("d"), { record });
  const before = record.changes.length;
  await rig.clock.pass(600_000);
  assert.is(record.changes.length, before);
  assert.is(rig.hosts.log.length, 3);
  const second = await start(chainFiles("d"), { hosts: rig.hosts, record, clock: rig.clock });
  await second.clock.pass(600_000);
  assert.is(record.changes.length, before, "a restart records nothing either");
});

test("S1: a step's start is recorded before it runs, its outcome before the next one starts", async () => {
  const record = new MemoryRecord();
  const hosts = new FakeHosts();
  const two = {
    ...chain,
    states: {
      a: null,
      b: {
        enter: [
          {
            from: "a",
            steps: [
              { name: "one", run: "1" },
              { name: "two", run: "2" },
            ],
          },
        ],
      },
    },
  };
  const seen: unknown[] = [];
  hosts.onStep = ({ step }) => {
    const attempt = record.changes.at(-1)?.record.machines.chain?.attempt;
    seen.push([step.key, attempt?.step, attempt?.done]);
    return { kind: "ok", output: "" };
  };
  await start({ "machines/chain.yaml": two, "hosts/a.yaml": localHost("a", { chain: "b" }) }, { hosts, record });
  assert.equal(seen, [
    ["one", "one", []],
    ["two", "two", ["one"]],
  ]);
});

test("S1: nothing runs when its start cannot be recorded", async () => {
  const hosts = new FakeHosts();
  const record = new MemoryRecord();
  record.append = () => Promise.reject(new Error("disk full"));
  const rig = await start(chainFiles("d"), { hosts, record });
  assert.equal(hosts.log, []);
  assert.ok(rig.engine.state().fatal?.includes("disk full"));
});

test("a failed step is tried again with backoff, then the host is stalled with the reason", async () => {
  const hosts = new FakeHosts();
  hosts.onStep = () => failed;
  const rig = await start(chainFiles("d"), { hosts });
  assert.is(hosts.log.length, 1);
  await rig.clock.pass(3_600_000);
  assert.is(hosts.log.length, 5);
  assert.is(reasonOf(rig, "a"), "AttemptsExhausted");
  hosts.onStep = () => ({ kind: "ok", output: "" });
  await rig.fleet.verdict("a", null, "retry");
  await rig.clock.pass(1000);
  assert.is(stateOf(rig, "a"), "d");
});

test("R3: a host that is set back by hand is brought back each time, also when that was just done", async () => {
  const rig = await start({ "machines/lamp.yaml": lamp, "hosts/a.yaml": localHost("a", { lamp: "on" }) });
  const { hosts, clock } = rig;
  const wait = (ms: number): Promise<void> => new Promise((resolve) => clock.after(ms, resolve));
  hosts.onStep = async () => {
    await wait(1000);
    return { kind: "ok", output: "" };
  };
  const [look, mark] = [hosts.look.bind(hosts), hosts.mark.bind(hosts)];
  hosts.look = async (host) => {
    await wait(100);
    return look(host);
  };
  let again = false;
  hosts.mark = async (order) => {
    const outcome = await mark(order);
    if (again) hosts.setByHand("a", "lamp", "off");
    again = false;
    return outcome;
  };
  for (const times of [2, 3]) {
    hosts.setByHand("a", "lamp", "off");
    await clock.pass(60_000);
    assert.equal([hosts.log.length, hosts.marker("a", "lamp")], [times, "on"]);
  }
  again = true;
  hosts.setByHand("a", "lamp", "off");
  await clock.pass(60_000);
  assert.equal([hosts.log.length, hosts.marker("a", "lamp")], [5, "on"]);
});

test("R3: a host whose disk was put back to what it was goes on from there", async () => {
  const rig = await start(chainFiles("d"));
  await rig.clock.pass(60_000);
  rig.hosts.setByHand("a", "chain", "b", 1);
  await rig.clock.pass(60_000);
  assert.equal([rig.hosts.log.slice(3), rig.hosts.marker("a", "chain")], [["a to-c", "a to-d"], "d"]);
});

test("R3: a host that was set back by hand while an attempt was left open is heard once that is over", async () => {
  const hosts = new FakeHosts();
  const first = await start(chainFiles("b"), { hosts });
  hosts.onStep = () => new Promise(() => {});
  first.main.push(chainFiles("c"), "d".repeat(40));
  await first.engine.poll();
  await first.clock.pass(100);
  assert.equal([stateOf(first, "a"), hosts.log.length], ["b", 2], "the step to c has begun, and its process is killed");
  hosts.setByHand("a", "chain", "a");
  hosts.onStep = () => ({ kind: "ok", output: "" });
  // The next one is told to leave the host where it was before.
  const second = await start(chainFiles("b"), { hosts, record: first.record, clock: first.clock });
  await second.clock.pass(60_000);
  assert.equal([stateOf(second, "a"), hosts.marker("a", "chain"), hosts.log.length], ["b", "b", 3]);
});

test("R3: what a look saw that began before a state was entered is not held against that state", async () => {
  const rig = await start(chainFiles("d"));
  const { hosts, clock } = rig;
  const look = hosts.look.bind(hosts);
  hosts.setByHand("a", "chain", "a");
  await clock.pass(60_000);
  assert.is(hosts.log.length, 6);
  const wait = (ms: number): Promise<void> => new Promise((resolve) => clock.after(ms, resolve));
  hosts.onStep = async () => {
    await wait(2000);
    return { kind: "ok", output: "" };
  };
  // Every look answers so late that the state which it saw was left meanwhile.
  hosts.look = async (host) => {
    const seen = await look(host);
    await wait(7000);
    return seen;
  };
  hosts.setByHand("a", "chain", "a");
  await clock.pass(120_000);
  assert.equal([hosts.log.length, stateOf(rig, "a")], [9, "d"]);
});

test("L1: a failed step is tried again soon though the clock was set back by a day meanwhile", async () => {
  const hosts = new FakeHosts();
  hosts.onStep = () => failed;
  const { record } = await start(chainFiles("d"), { hosts });
  assert.is(hosts.log.length, 1);
  const rig = await start(chainFiles("d"), { hosts, record, clock: new ManualClock(noon - 86_400_000) });
  await rig.clock.pass(60_000);
  assert.is(hosts.log.length, 5);
});

test("skip goes on without the step that fails", async () => {
  const hosts = new FakeHosts();
  hosts.onStep = ({ step }) => (step.key === "to-b" ? failed : { kind: "ok", output: "" });
  const rig = await start(chainFiles("d"), { hosts });
  await rig.clock.pass(3_600_000);
  await rig.fleet.verdict("a", "chain", "skip");
  await rig.clock.pass(1000);
  assert.is(stateOf(rig, "a"), "d");
});

test("a verdict where nothing is stalled is refused, and changes nothing", async () => {
  const rig = await start(chainFiles("d"));
  const before = rig.engine.recordOf("a");
  await rig.fleet.verdict("a", null, "retry").then(
    () => assert.unreachable(),
    (error: unknown) => assert.is((error as Failure).reason, "NothingStalled"),
  );
  assert.is(rig.engine.recordOf("a"), before);
});

test("R4: a rebuilt host is replayed, and a step marked never runs again in its new life", async () => {
  const rig = await start(chainFiles("d", never));
  rig.hosts.rebuild("a");
  await rig.clock.pass(60_000);
  assert.equal(rig.hosts.log, ["a to-b", "a to-c", "a to-d", "a to-b", "a to-c", "a to-d"]);
  assert.equal(rig.engine.recordOf("a")?.former, ["a-life-0001"]);
  assert.is(stateOf(rig, "a"), "d");
});

test("a host rebuilt in the middle of a transition: no step of the old life runs on the new one", async () => {
  const hosts = new FakeHosts();
  const two = {
    ...chain,
    states: {
      a: null,
      b: {
        enter: [
          {
            from: "a",
            steps: [
              { name: "one", run: "1" },
              { name: "two", run: "2" },
            ],
          },
        ],
      },
    },
  };
  let wiped = false;
  hosts.onStep = ({ host, step }) => {
    if (step.key === "one" && !wiped) {
      wiped = true;
      hosts.rebuild(host.name);
    }
    return { kind: "ok", output: "" };
  };
  const rig = await start({ "machines/chain.yaml": two, "hosts/a.yaml": localHost("a", { chain: "b" }) }, { hosts });
  await rig.clock.pass(60_000);
  assert.equal(hosts.log, ["a one", "a one", "a two"]);
  assert.is(stateOf(rig, "a"), "b");
});

test("S2: a reconciler that dies during a step marked never: the next one learns the outcome from the host, and does not run it again", async () => {
  const hosts = new FakeHosts();
  hosts.onStep = ({ step }) => (step.key === "to-c" ? new Promise<Outcome>(() => {}) : { kind: "ok", output: "" });
  const first = await start(chainFiles("d", never), { hosts });
  assert.equal(hosts.log, ["a to-b", "a to-c"]);
  // The step ends well on the host, while nobody listens.
  const claims = (hosts as unknown as { claims: Map<string, number | null> }).claims;
  for (const key of claims.keys()) claims.set(key, 0);
  hosts.onStep = () => ({ kind: "ok", output: "" });
  const second = await start(chainFiles("d", never), { hosts, record: first.record });
  assert.equal(hosts.log, ["a to-b", "a to-c", "a to-d"]);
  assert.is(stateOf(second, "a"), "d");
});

test("S2: when the host does not know either, it is stalled until a person says retry", async () => {
  const hosts = new FakeHosts();
  hosts.onStep = ({ step }) => (step.key === "to-c" ? new Promise<Outcome>(() => {}) : { kind: "ok", output: "" });
  const first = await start(chainFiles("d", never), { hosts });
  hosts.onStep = () => ({ kind: "ok", output: "" });
  const second = await start(chainFiles("d", never), { hosts, record: first.record });
  await second.clock.pass(3_600_000);
  assert.equal(hosts.log, ["a to-b", "a to-c"]);
  assert.is(reasonOf(second, "a"), "OutcomeUnknown");
  await second.fleet.verdict("a", null, "retry");
  await second.clock.pass(1000);
  assert.equal(hosts.log, ["a to-b", "a to-c", "a to-c", "a to-d"]);
});

test("S2: on: controller: no host is asked for a claim; when its reconciler dies, a step marked never is stalled", async () => {
  const step = { name: "to-c", run: "step c", repeat: "never", on: "controller" };
  const machine = { ...chain, states: { ...chain.states, c: { enter: [{ from: "b", steps: [step] }] } } };
  const hosts = new FakeHosts();
  const claims: (string | null)[] = [];
  hosts.onStep = ({ step, claim }) => {
    claims.push(claim);
    return step.key === "to-c" ? new Promise<Outcome>(() => {}) : { kind: "ok", output: "" };
  };
  const first = await start(chainFiles("d", machine), { hosts });
  hosts.onStep = () => ({ kind: "ok", output: "" });
  const second = await start(chainFiles("d", machine), { hosts, record: first.record });
  await second.clock.pass(3_600_000);
  assert.equal(hosts.log, ["a to-b", "a to-c"]);
  assert.equal(claims, [null, null]);
  assert.is(reasonOf(second, "a"), "OutcomeUnknown");
});

test("S2: skip leaves the step out, and goes on", async () => {
  const hosts = new FakeHosts();
  hosts.onStep = ({ step }) => (step.key === "to-c" ? failed : { kind: "ok", output: "" });
  const rig = await start(chainFiles("d", never), { hosts });
  await rig.clock.pass(3_600_000);
  assert.equal(hosts.log, ["a to-b", "a to-c"], "a failed step marked never is not tried again");
  await rig.fleet.verdict("a", null, "skip");
  await rig.clock.pass(1000);
  assert.is(stateOf(rig, "a"), "d");
  assert.equal(hosts.log, ["a to-b", "a to-c", "a to-d"]);
});

test("S2: a step marked never does not start while its start cannot be pushed", async () => {
  const hosts = new FakeHosts();
  const record = new MemoryRecord();
  let reachable = false;
  record.flush = () => (reachable ? Promise.resolve() : Promise.reject(new Error("remote down")));
  const rig = await start(chainFiles("d", never), { hosts, record });
  await rig.clock.pass(60_000);
  assert.equal(hosts.log, ["a to-b"]);
  // Who says skip wants that the step is not run: it must not be tried at once instead.
  const skip = await rig.fleet.verdict("a", null, "skip").catch((error: unknown) => (error as Failure).reason);
  assert.is(skip, "NothingToSkip");
  reachable = true;
  await rig.clock.pass(600_000);
  assert.equal(hosts.log, ["a to-b", "a to-c", "a to-d"]);
});

test("S4: a hold that comes while a transition runs stops it before its next step", async () => {
  const hosts = new FakeHosts();
  const two = {
    ...chain,
    states: {
      a: null,
      b: {
        enter: [
          {
            from: "a",
            steps: [
              { name: "one", run: "1" },
              { name: "two", run: "2" },
            ],
          },
        ],
      },
    },
  };
  const files = { "machines/chain.yaml": two, "hosts/a.yaml": localHost("a", { chain: "b" }) };
  let finish: (outcome: Outcome) => void = () => {};
  hosts.onStep = ({ step }) =>
    step.key === "one" ? new Promise<Outcome>((resolve) => (finish = resolve)) : { kind: "ok", output: "" };
  const rig = await start(files, { hosts });
  rig.main.push(
    { ...files, "hosts/a.yaml": localHost("a", { chain: "b" }, { hold: { reason: "disk", by: "ana" } }) },
    "d".repeat(40),
  );
  await rig.engine.poll();
  finish({ kind: "ok", output: "" });
  await rig.clock.pass(60_000);
  assert.equal(hosts.log, ["a one"]);
  assert.is(reasonOf(rig, "a"), "Held");
  rig.main.push(files, "e".repeat(40));
  await rig.engine.poll();
  await rig.clock.pass(1000);
  assert.equal(hosts.log, ["a one", "a two"], "and what was done is not done again");
});

test("a clean stop waits for running steps, records them, and starts no other", async () => {
  const hosts = new FakeHosts();
  let finish: (outcome: Outcome) => void = () => {};
  hosts.onStep = () => new Promise<Outcome>((resolve) => (finish = resolve));
  const record = new MemoryRecord();
  const rig = await start(chainFiles("d"), { hosts, record });
  let stopped = false;
  const stop = rig.engine.stop().then(() => (stopped = true));
  await settle();
  assert.is(stopped, false);
  finish({ kind: "ok", output: "" });
  await stop;
  assert.equal(record.changes.at(-1)?.record.machines.chain?.attempt?.done, ["to-b"]);
  hosts.onStep = () => ({ kind: "ok", output: "" });
  await start(chainFiles("d"), { hosts, record });
  assert.equal(hosts.log, ["a to-b", "a to-c", "a to-d"]);
});

test("D4: a commit with a problem changes nothing: the last good one stays in force, and the failure is shown", async () => {
  const rig = await start(chainFiles("b"));
  rig.main.push(
    { ...chainFiles("d"), "hosts/b.yaml": { host: "b", transport: "local", targets: { nothing: "x" } } },
    "bad".padEnd(40, "0"),
  );
  await rig.engine.poll();
  await rig.clock.pass(60_000);
  assert.is(stateOf(rig, "a"), "b");
  const health = rig.fleet.health();
  assert.equal(
    [health.ready, health.commit, health.problems.map(({ code }) => code)],
    [true, "c".repeat(40), ["SW203"]],
  );
  rig.main.say({ kind: "unreachable", message: "no route" });
  await rig.engine.poll();
  assert.is(rig.fleet.health().message, "main cannot be followed now, and what is in force stays: no route");
  await rig.engine.poll();
  assert.is(
    rig.fleet.health().problems.length,
    1,
    "an unchanged branch keeps its problem, also after the remote was away",
  );
  rig.main.push(chainFiles("d"), "good".padEnd(40, "0"));
  await rig.engine.poll();
  await rig.clock.pass(1000);
  assert.is(stateOf(rig, "a"), "d");
  assert.equal(rig.fleet.health().problems, []);
});

test("a host that waits for a group starts when the last fact that it read comes true, and nobody else is asked", async () => {
  const guarded = guardedLamp('host.name == "a" || group.first.all(h, h.states["lamp"] == "on")');
  const files = {
    "machines/lamp.yaml": guarded,
    "hosts/a.yaml": localHost("a", { lamp: "on" }),
    "hosts/b.yaml": localHost("b", { lamp: "on" }),
    "hosts/g.yaml": { group: "first", select: 'host.name == "a"' },
  };
  const hosts = new FakeHosts();
  let finish: (outcome: Outcome) => void = () => {};
  hosts.onStep = ({ host }) =>
    host.name === "a" ? new Promise<Outcome>((resolve) => (finish = resolve)) : { kind: "ok", output: "" };
  const rig = await start(files, { hosts });
  assert.is(reasonOf(rig, "b", "lamp"), "GuardWaiting");
  finish({ kind: "ok", output: "" });
  await rig.clock.pass(0);
  assert.is(stateOf(rig, "b", "lamp"), "on", "without any time having passed");
});

test("no more transitions run at once than the settings allow", async () => {
  const files: Record<string, unknown> = { "stateward.yaml": { parallel: 3, ...atOnce }, "machines/chain.yaml": chain };
  for (let index = 0; index < 10; index++) files[`hosts/h${index}.yaml`] = localHost(`h${index}`, { chain: "d" });
  const hosts = new FakeHosts();
  let running = 0;
  let most = 0;
  hosts.onStep = async () => {
    most = Math.max(most, ++running);
    await settle();
    running--;
    return { kind: "ok", output: "" };
  };
  const rig = await start(files, { hosts });
  await rig.clock.pass(10_000);
  for (let round = 0; round < 50; round++) await rig.clock.pass(10);
  assert.is(most, 3);
  assert.is(rig.engine.progress().ready, 10);
});

test("L1: whoever waits for room gets it, also when the one before it does not want it any more", async () => {
  const files: Record<string, unknown> = { "stateward.yaml": { parallel: 1 }, "machines/chain.yaml": chain };
  for (const name of ["a", "b", "c"]) files[`hosts/${name}.yaml`] = localHost(name, { chain: "b" });
  const hosts = new FakeHosts();
  let finish: (outcome: Outcome) => void = () => {};
  hosts.onStep = ({ host }) =>
    host.name === "a" ? new Promise<Outcome>((resolve) => (finish = resolve)) : { kind: "ok", output: "" };
  const rig = await start(files, { hosts });
  rig.main.push({ ...files, "hosts/b.yaml": localHost("b", { chain: "a" }) }, "d".repeat(40));
  await rig.engine.poll();
  finish({ kind: "ok", output: "" });
  await rig.clock.pass(1000);
  assert.equal([stateOf(rig, "a"), stateOf(rig, "b"), stateOf(rig, "c")], ["b", "a", "b"]);
});

test("a marker that cannot be left counts as a failed try", async () => {
  const hosts = new FakeHosts();
  hosts.mark = () => Promise.resolve({ kind: "failed", message: "disk full", output: "" });
  const rig = await start(chainFiles("b"), { hosts });
  await rig.clock.pass(3_600_000);
  assert.is(hosts.log.length, 5);
  assert.is(reasonOf(rig, "a"), "AttemptsExhausted");
});

test("nobody is said to be in target before it was heard of", async () => {
  const first = await start(chainFiles("b"));
  first.hosts.down.add("a");
  first.hosts.look = () => new Promise(() => {});
  const second = await start(chainFiles("b"), { hosts: first.hosts, record: first.record, clock: first.clock });
  await second.clock.pass(5000);
  assert.is(second.engine.progress().ready, 0);
});

test("D6: while main is rewound, nothing is started", async () => {
  const rig = await start(chainFiles("b"));
  rig.main.say({ kind: "rewound", message: "main was rewound" });
  await rig.engine.poll();
  rig.hosts.rebuild("a");
  await rig.clock.pass(60_000);
  assert.is(rig.hosts.log.length, 1, "the rebuilt host is seen, and not acted upon");
  assert.is(rig.fleet.health().ready, false);
  await rig.engine.poll();
  await rig.clock.pass(60_000);
  assert.is(rig.hosts.log.length, 2);
});

test("a host that waits is woken by a commit that takes away what it waited for", async () => {
  const guarded = guardedLamp('host.name != "b" || hosts.all(h, h.name == "b" || h.labels.quiet == "yes")');
  const files = {
    "machines/lamp.yaml": guarded,
    "hosts/a.yaml": localHost("a", { lamp: "off" }, { labels: { quiet: "no" } }),
    "hosts/b.yaml": localHost("b", { lamp: "on" }),
  };
  const rig = await start(files);
  assert.is(reasonOf(rig, "b", "lamp"), "GuardWaiting");
  rig.main.push(
    { ...files, "hosts/a.yaml": localHost("a", { lamp: "off" }, { labels: { quiet: "yes" } }) },
    "d".repeat(40),
  );
  await rig.engine.poll();
  await rig.clock.pass(10);
  assert.is(stateOf(rig, "b", "lamp"), "on");
});

test("an earlier life that answers is left alone, until a person takes it for the host", async () => {
  const rig = await start(chainFiles("b"));
  rig.hosts.rebuild("a");
  await rig.clock.pass(20_000);
  rig.hosts.putBack("a");
  await rig.clock.pass(60_000);
  assert.is(reasonOf(rig, "a"), "OldIncarnation");
  assert.is(rig.hosts.log.length, 2);
  await rig.fleet.replay("a");
  await rig.clock.pass(60_000);
  assert.equal(
    [stateOf(rig, "a"), rig.engine.recordOf("a")?.incarnation, rig.engine.recordOf("a")?.former],
    ["b", "a-life-0001", ["a-life-0002"]],
  );
});

test("a check that fails at the first look keeps the fleet from being called settled", async () => {
  const first = await start(chainFiles("b"));
  const { hosts } = first;
  const look = hosts.look.bind(hosts);
  hosts.look = async (host) => {
    const report = await look(host);
    return { ...report, checks: { chain: { state: "b", ok: false, message: "refused", failures: 1 } } };
  };
  const second = await start(chainFiles("b"), { hosts, record: first.record, clock: first.clock });
  assert.equal([second.engine.progress().ready, second.events.filter(({ kind }) => kind === "settled").length], [0, 0]);
});

test("a look keeps the facts of the agent on the same host, and a report keeps what looks have counted", async () => {
  const files = { "machines/chain.yaml": chain, "hosts/a.yaml": localHost("a", { chain: "b" }) };
  const rig = await start(files);
  const report = { incarnation: "a-life-0001", states: { chain: { state: "b", revision: 1 } }, facts: { ok: "yes" } };
  await rig.fleet.report("a", { ...report, sequence: 1 });
  await rig.clock.pass(30_000);
  assert.equal(rig.engine.world()?.reports.get("a")?.facts, { ok: "yes" });
  const look = rig.hosts.look.bind(rig.hosts);
  rig.hosts.look = async (host) => ({
    ...(await look(host)),
    checks: { chain: { state: "b", ok: false, message: "x", failures: 1 } },
  });
  await rig.clock.pass(10_000);
  await rig.fleet.report("a", { ...report, sequence: 2 });
  rig.hosts.look = look;
  assert.is(rig.engine.world()?.reports.get("a")?.checks.chain?.failures, 1);
});

test("a state that dies each time soon after it was entered is stalled, not started for ever", async () => {
  const rig = await start(chainFiles("b"));
  const look = rig.hosts.look.bind(rig.hosts);
  rig.hosts.look = async (host) => {
    const report = await look(host);
    const claim = report.states.chain;
    return claim?.state === "b"
      ? { ...report, checks: { chain: { state: "b", ok: false, message: "dead", failures: 1 } } }
      : report;
  };
  await rig.clock.pass(3_600_000);
  assert.is(reasonOf(rig, "a"), "DoesNotHold");
  assert.is(rig.hosts.log.length, 5);
  await rig.fleet.verdict("a", null, "retry");
  await rig.clock.pass(1);
  assert.ok(rig.hosts.log.length > 5, "it is tried again");
});

test("a template that cannot be filled in counts as a failed try, and can be skipped", async () => {
  const odd = {
    ...chain,
    states: {
      ...chain.states,
      b: { enter: [{ from: "a", steps: [{ name: "odd", run: "x ${report.facts.zone}", repeat: "never" }] }] },
    },
  };
  const rig = await start(chainFiles("c", odd));
  await rig.clock.pass(3_600_000);
  assert.is(reasonOf(rig, "a"), "AttemptsExhausted");
  await rig.fleet.verdict("a", null, "skip");
  await rig.clock.pass(1000);
  assert.equal([stateOf(rig, "a"), rig.hosts.log], ["c", ["a to-c"]]);
});

test("1,000 hosts arrive, and at rest none of them is looked at for nothing", async () => {
  const files: Record<string, unknown> = { "machines/chain.yaml": chain };
  for (let index = 0; index < 1000; index++) files[`hosts/h${index}.yaml`] = localHost(`h${index}`, { chain: "b" });
  const record = new MemoryRecord();
  const rig = await start(files, { record });
  for (let round = 0; round < 100 && rig.engine.progress().ready < 1000; round++) await rig.clock.pass(100);
  assert.is(rig.engine.progress().ready, 1000);
  const before = record.changes.length;
  await rig.clock.pass(20_000);
  assert.is(record.changes.length, before);
});

test("five minutes without a push: nothing is started; when the record is pushed again, it goes on", async () => {
  const memory = new MemoryRecord();
  memory.behindMs = 301_000;
  const rig = await start(
    { "machines/lamp.yaml": lamp, "hosts/a.yaml": localHost("a", { lamp: "on" }) },
    { record: memory },
  );
  await rig.clock.pass(60_000);
  assert.equal([rig.hosts.log, stateOf(rig, "a", "lamp")], [[], "off"]);
  memory.behindMs = 0;
  await rig.engine.poll();
  await rig.clock.pass(60_000);
  assert.is(stateOf(rig, "a", "lamp"), "on");
});

test("L1: hosts whose steps wait for a push do not wake each other for ever", async () => {
  const b = { enter: [{ from: "a", steps: [{ name: "to-b", run: "step b", repeat: "never" }] }] };
  const once = { ...chain, states: { ...chain.states, b } };
  const memory = new MemoryRecord();
  // Beyond the minute after which no step marked never is started, within the five in which others are.
  memory.behindMs = 100_000;
  const names = ["a", "b", "c"].map((name) => [`hosts/${name}.yaml`, localHost(name, { chain: "b" })]);
  const files: Files = {
    "stateward.yaml": atOnce,
    "machines/chain.yaml": once,
    ...(Object.fromEntries(names) as Files),
  };
  const rig = await start(files, { record: memory });
  let visits = 0;
  const visit = rig.engine.visit.bind(rig.engine);
  rig.engine.visit = (name) => {
    visits++;
    // A test that never ended would say nothing.
    return visits > 1000 ? Promise.reject(new Error("they wake each other")) : visit(name);
  };
  await rig.clock.pass(60_000);
  assert.ok(visits < 100, `${visits} visits in a minute`);
  memory.behindMs = 0;
  await rig.engine.poll();
  await rig.clock.pass(60_000);
  assert.equal(
    ["a", "b", "c"].map((name) => stateOf(rig, name)),
    ["b", "b", "b"],
  );
});

test("B3: in a new data folder, what was in force is known before a commit is judged", async () => {
  const hosts = ["a", "b", "c", "d"];
  const filesFor = (target: string): Files => ({
    "stateward.yaml": { brakes: { max_moved: 1 } },
    "machines/lamp.yaml": lamp,
    ...(Object.fromEntries(hosts.map((name) => [`hosts/${name}.yaml`, localHost(name, { lamp: target })])) as Files),
  });
  const before = await start(filesFor("on"));
  await before.clock.pass(300_000);
  // The branch is fetched with the first poll: before that, nothing is known of any commit on it.
  let isFetched = false;
  const main = new Desired();
  main.push(filesFor("off"), "d".repeat(40));
  const poll = main.poll.bind(main);
  main.poll = async () => {
    isFetched = true;
    return poll();
  };
  main.recorded = async () => (isFetched ? desired(filesFor("on")) : null);
  const { clock, record, hosts: fakes } = before;
  const engine = new Engine({ clock, desired: main, record, looker: fakes, actor: fakes, events: () => {} });
  await engine.start();
  assert.is(engine.waitingCommit()?.commit, "d".repeat(40));
});

test("D4: one that stood by goes on from the commit that is recorded, where it has missed it and cannot read a newer one", async () => {
  const before = await start(chainFiles("c"));
  const main = new Desired();
  main.push(chainFiles("b"), "b".repeat(40));
  const { clock, record, hosts } = before;
  const engine = new Engine({ clock, desired: main, record, looker: hosts, actor: hosts, events: () => {} });
  await engine.poll();
  main.inForce = { ...desired(chainFiles("c")), commit: "c".repeat(40) };
  await engine.start();
  assert.is(engine.world()?.desired.commit, "c".repeat(40));
});

test.run();
