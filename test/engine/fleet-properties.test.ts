// What the loop promises whatever is committed and whenever it dies: no way around a person's word (B2, B3, B5), and nothing changed by
// a commit that is not good.
import * as fc from "fast-check";
import * as assert from "uvu/assert";
import { Coordination } from "../../reconciler/engine/coordination.ts";
import { Engine } from "../../reconciler/engine/loop.ts";
import type { DesiredCommit, DesiredReader, Outcome, Poll, StepOrder } from "../../reconciler/model/ports.ts";
import type { FleetRecord } from "../../reconciler/model/record.ts";
import { type FileChange, type LoadedRepository, RepositoryLoader } from "../../reconciler/model/repository.ts";
import { same } from "../../reconciler/model/same.ts";
import { FakeHosts, ManualClock } from "../support/fake-hosts.ts";
import { type FleetSketch, filesOf, fleetSketch, hostName, sourcesOf } from "../support/fleets.ts";
import { MemoryRecord } from "../support/memory-record.ts";
import { suite } from "../support/suite.ts";
import { lamp, localHost, noon } from "../support/world.ts";

const test = suite("fleet properties of the loop");
const runs = { numRuns: Number(process.env.FLEETS ?? 1000), includeErrorInReport: true };

type Values = Readonly<Record<string, unknown>>;

/** A branch whose commits are read as the mirror does it: each as what differs from the one that was read before. */
class Branch implements DesiredReader {
  readonly commits = new Map<string, { readonly desired: DesiredCommit; readonly files: Values }>();
  private readonly loader = new RepositoryLoader();
  private readonly record: MemoryRecord;
  private base: { readonly loaded: LoadedRepository; readonly files: Values } | null = null;
  private tip = "";
  private next: Poll | null = null;

  constructor(record: MemoryRecord) {
    this.record = record;
  }

  push(files: Values): string {
    const before = this.base;
    const loaded =
      before === null
        ? this.loader.load(sourcesOf(files))
        : this.loader.change(before.loaded, changes(before.files, files));
    this.base = { loaded, files };
    const id = String(this.commits.size + 1).padStart(40, "c");
    this.commits.set(id, { desired: { commit: id, loaded }, files });
    this.tip = id;
    this.again();
    return id;
  }

  say(poll: Poll): void {
    this.next = poll;
  }

  /** Whoever starts anew reads the tip. */
  again(): void {
    const tip = this.commits.get(this.tip);
    if (tip) this.next = { kind: "changed", desired: tip.desired };
  }

  poll(): Promise<Poll> {
    const poll = this.next ?? { kind: "unchanged" as const };
    this.next = null;
    return Promise.resolve(poll);
  }

  recorded(): Promise<DesiredCommit | null> {
    return Promise.resolve(this.commits.get(this.record.changes.at(-1)?.desired ?? "")?.desired ?? null);
  }

  descends(): Promise<boolean> {
    return Promise.resolve(false);
  }
}

function changes(before: Values, after: Values): FileChange[] {
  const texts = (files: Values): Map<string, string> =>
    new Map(Object.entries(files).map(([path, value]) => [path, JSON.stringify(value)]));
  const [old, next] = [texts(before), texts(after)];
  const paths = [...new Set([...old.keys(), ...next.keys()])].filter((path) => old.get(path) !== next.get(path));
  return paths.map((path) => {
    const [file = null] = path in after ? sourcesOf({ [path]: after[path] }) : [];
    return { path, file };
  });
}

function engineOf(desired: Branch, record: MemoryRecord, hosts: FakeHosts, clock: ManualClock): Engine {
  return new Engine({ clock, desired, record, looker: hosts, actor: hosts, events: () => {} });
}

/** One thing that happens to a branch, or to the reconciler that follows it. */
type Event =
  | { readonly kind: "remove" | "retarget" | "add"; readonly hosts: readonly number[] }
  /** The commit raises its own limits. */
  | { readonly kind: "greedy"; readonly hosts: readonly number[] }
  | { readonly kind: "broken"; readonly hosts: readonly number[] }
  | { readonly kind: "unreachable" | "rewound" | "restart" | "restart unpolled" };

const some = fc.array(fc.nat({ max: 9 }), { minLength: 1, maxLength: 6 });
const event: fc.Arbitrary<Event> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom("remove", "retarget", "add"), hosts: some }) },
  fc.record({ kind: fc.constantFrom("greedy", "broken"), hosts: some }),
  fc.record({ kind: fc.constantFrom("unreachable", "rewound", "restart", "restart unpolled") }),
);

const host = (name: string, target: string): object => localHost(name, { lamp: target });
const pathOf = (name: string): string => `hosts/${name}.yaml`;

/** The files after an event; the same value where it is not a commit. */
function committed(files: Values, item: Event): Values {
  if (!("hosts" in item)) return files;
  const next: Record<string, unknown> = { ...files };
  for (const name of item.hosts.map(hostName)) {
    const old = next[pathOf(name)] as { targets: { lamp: string } } | undefined;
    if (item.kind === "remove" || item.kind === "greedy" || item.kind === "broken") delete next[pathOf(name)];
    else if (item.kind === "add") next[pathOf(name)] ??= host(name, "on");
    else if (old) next[pathOf(name)] = host(name, old.targets.lamp === "on" ? "busy" : "on");
  }
  if (item.kind === "greedy") next["stateward.yaml"] = { ...settings(1000, 1000), look: "2h" };
  if (item.kind === "broken") next["hosts/broken.yaml"] = { host: "broken", targets: { nothing: "x" } };
  else delete next["hosts/broken.yaml"];
  return next;
}

const settings = (moved: number, removed: number): object => ({
  look: "1h",
  rollout: { at_once: 100, canary: 0, waves: ["100%"], max_unavailable: "100%" },
  brakes: { max_moved: moved, max_removed: removed, quiet_start: 0 },
});

const targets = (files: Values): Map<string, string> =>
  new Map(
    Object.entries(files).flatMap(([path, value]): [string, string][] =>
      path.startsWith("hosts/") ? [[path, (value as { targets: { lamp: string } }).targets.lamp]] : [],
    ),
  );

interface InForce {
  readonly id: string | undefined;
  readonly files: Values;
}

/** Throws if what came into force takes more hosts away, or to other targets, than may be without a word. */
function checkStep(before: InForce, after: InForce, item: Event): void {
  const [old, next] = [targets(before.files), targets(after.files)];
  const { max_moved, max_removed } = (before.files["stateward.yaml"] as { brakes: Record<string, number> }).brakes;
  const removed = [...old.keys()].filter((path) => !next.has(path)).length;
  const moved = [...old].filter(([path, target]) => next.has(path) && next.get(path) !== target).length;
  const what = JSON.stringify(item);
  assert.ok(removed <= (max_removed ?? 0), `${what} removed ${removed} hosts of at most ${max_removed}`);
  assert.ok(moved <= Math.max(1, max_moved ?? 0), `${what} moved ${moved} hosts of at most ${max_moved}`);
  if (!["broken", "unreachable", "rewound"].includes(item.kind)) return;
  assert.is(after.id, before.id, `${what} changed the commit in force`);
}

test("B3, D4: without a word no commit removes or moves more hosts than it may, whatever comes before it and whoever restarts", async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat({ max: 3 }), fc.nat({ max: 3 }), fc.array(event, { maxLength: 8 }), async (...drawn) => {
      const [maxMoved, maxRemoved, events] = drawn;
      const [record, hosts] = [new MemoryRecord(), new FakeHosts()];
      const branch = new Branch(record);
      let files: Values = { "stateward.yaml": settings(maxMoved, maxRemoved), "machines/lamp.yaml": lamp };
      for (let index = 0; index < 8; index++)
        files = { ...files, [pathOf(hostName(index))]: host(hostName(index), "on") };
      let clock = new ManualClock(noon);
      let engine = engineOf(branch, record, hosts, clock);
      let inForce: InForce = { id: branch.push(files), files };
      await engine.start();
      await clock.pass(300);
      for (const item of events) {
        files = committed(files, item);
        if ("hosts" in item) branch.push(files);
        if (item.kind === "unreachable" || item.kind === "rewound") branch.say({ kind: item.kind, message: "no" });
        if (item.kind === "restart" || item.kind === "restart unpolled") {
          clock = new ManualClock(clock.now());
          engine = engineOf(branch, record, hosts, clock);
          branch.again();
          if (item.kind === "restart") await engine.poll();
          await engine.start();
        } else await engine.poll();
        await clock.pass(300);
        const id = engine.world()?.desired.commit;
        const next = branch.commits.get(id ?? "");
        const after = next === undefined ? inForce : { id, files: next.files };
        checkStep(inForce, after, item);
        inForce = after;
      }
    }),
    runs,
  );
});

type Word =
  | { readonly kind: "hold" | "release"; readonly select: string }
  | { readonly kind: "brake" | "wait"; readonly ms: number };

const word: fc.Arbitrary<Word> = fc.oneof(
  fc.record({
    kind: fc.constantFrom("hold", "release"),
    select: fc.constantFrom("h00", "h01", "group/g0", "region/east", "fleet"),
  }),
  fc.record({ kind: fc.constantFrom("wait", "brake"), ms: fc.nat({ max: 40_000 }) }),
);

/** Whether a host of a sketch is held by what was recorded. */
function isHeld({ hosts }: FleetSketch, name: string, selects: readonly string[]): boolean {
  const host = hosts[Number(name.slice(1))];
  return selects.some((select) => {
    const group = /^group\/g(\d)$/.exec(select)?.[1];
    if (group !== undefined) return host?.groups[Number(group)] === true;
    return select === "fleet" || select === `host/${name}` || select === `region/${host?.region}`;
  });
}

/** What was recorded of a fleet before a reconciler died has to be in force under the next one. */
function checkKept(before: FleetRecord, after: FleetRecord): void {
  assert.ok(
    same(after.holds, before.holds),
    `held: ${JSON.stringify(after.holds)}, not ${JSON.stringify(before.holds)}`,
  );
  assert.ok(same(after.braked, before.braked), `the brake is ${JSON.stringify(after.braked)}`);
  for (const [scope, { phase, since, wave }] of Object.entries(before.rollouts)) {
    const now = after.rollouts[scope];
    if (phase === "done") continue;
    assert.is(now?.since, since, `${scope} begins anew`);
    assert.ok(now !== undefined && now.wave >= wave, `${scope} goes back from wave ${wave} to ${now?.wave}`);
    if (phase === "halted") assert.is(now.phase, "halted", `${scope} goes on`);
  }
}

const scene = fc.record({
  drawn: fleetSketch({ heard: [], troubles: [], held: [], hostsMax: 8 }),
  words: fc.array(word, { maxLength: 4 }),
  failures: fc.array(fc.nat({ max: 7 }), { maxLength: 3 }),
});

test("B2, B5: whenever a reconciler dies, holds, brakes and rollouts are in force under the next one", async () => {
  await fc.assert(
    fc.asyncProperty(scene, async ({ drawn, words, failures }) => {
      const sketch = { ...drawn, barrier: null, hosts: drawn.hosts.map((item) => ({ ...item, agent: false })) };
      const files = {
        ...filesOf(sketch),
        "stateward.yaml": { ...(filesOf(sketch)["stateward.yaml"] as object), look: "5s" },
      };
      const record = new MemoryRecord();
      const hosts = new FakeHosts();
      const branch = new Branch(record);
      branch.push(files);
      const failing = new Set(failures.map(hostName));
      let clock = new ManualClock(noon);
      let held: readonly string[] = [];
      hosts.onStep = ({ host: { name } }: StepOrder): Promise<Outcome> => {
        assert.ok(!isHeld(sketch, name, held), `a step begins on ${name}, which is held`);
        const outcome: Outcome = failing.has(name)
          ? { kind: "failed", message: "exit 1", output: "" }
          : { kind: "ok", output: "" };
        return new Promise((resolve) => clock.after(5000, () => resolve(outcome)));
      };
      const first = engineOf(branch, record, hosts, clock);
      await first.start();
      await clock.pass(100);
      for (const item of words) {
        await say(first, clock, item);
        held = first.fleet().holds.map(({ select }) => select);
      }
      const before = first.fleet();
      assert.is(first.state().fatal, null);
      // The first one's clock stands still from here on: nothing that it waited for ever comes.
      clock = new ManualClock(clock.now() + 1);
      branch.again();
      const second = engineOf(branch, record, hosts, clock);
      await second.start();
      checkKept(before, second.fleet());
      for (let round = 0; round < 3; round++) {
        await clock.pass(9000);
        assert.is(second.state().fatal, null);
        checkKept(before, second.fleet());
      }
    }),
    runs,
  );
});

async function say(engine: Engine, clock: ManualClock, item: Word): Promise<void> {
  const coordination = new Coordination(engine, clock);
  if ("ms" in item && item.kind === "wait") await clock.pass(item.ms);
  else if ("ms" in item) {
    const braked = { at: new Date(clock.now()).toISOString(), message: "too many were lost" };
    await engine.putFleet({ ...engine.fleet(), braked }, ["fleet: brake"]);
  } else {
    const order = { select: item.select, reason: "disk", by: "ana", until: null };
    const said = item.kind === "hold" ? coordination.hold(order) : coordination.release(item.select, "ana");
    // A selector may name nobody: then nothing is held.
    await said.catch(() => {});
  }
}

test.run();
