// Ten thousand agents fall silent at once, as when a switch dies or a certificate ends: the loop in memory, on a clock that is told
// what time it is; with STATEWARD_LONG=1 the real command as well, over HTTP, in real time.

import { mkdir, readFile, writeFile } from "node:fs/promises";
import { Agent, request } from "node:http";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { Coordination } from "../../reconciler/engine/coordination.ts";
import { Fleet } from "../../reconciler/engine/fleet.ts";
import { Engine } from "../../reconciler/engine/loop.ts";
import type { Clock, EngineEvent, FleetView } from "../../reconciler/model/ports.ts";
import { readyOf } from "../../reconciler/plan/conditions.ts";
import { issueToken, loadTokenKey } from "../../reconciler/server/tokens.ts";
import { FakeHosts, settle } from "../support/fake-hosts.ts";
import { MemoryRecord } from "../support/memory-record.ts";
import { suite } from "../support/suite.ts";
import { until } from "../support/temp.ts";
import { desired, type Files, noon } from "../support/world.ts";
import { type Running, Site } from "./site.ts";

const long = process.env.STATEWARD_LONG === "1";
const test = suite("silence", { limitMs: 290_000 });
const size = 10_000;
const names = Array.from({ length: size }, (_, index) => `seat-${String(index).padStart(5, "0")}`);

/** Lost after five minutes, and replaced at once by a step of the controller. */
function seatMachine(make: string, lostAfter = "5m"): object {
  const replace = [{ name: "make", shell: make, on: "controller" }];
  // oxlint-disable-next-line unicorn/no-thenable -- the format's own word
  const recovery = { lost_after: lostAfter, then: "replace", replace };
  return { machine: "seat", initial: "ready", states: { ready: { available: true } }, recovery };
}

const seat = (name: string): object => ({ host: name, transport: "agent", targets: { seat: "ready" } });

/** A clock for many timers: those of one instant wake together. */
class ManyTimers implements Clock {
  private time = noon;
  private readonly due = new Set<{ readonly at: number; readonly wake: () => void }>();

  now(): number {
    return this.time;
  }

  after(ms: number, wake: () => void): () => void {
    const entry = { at: this.time + ms, wake };
    this.due.add(entry);
    return () => this.due.delete(entry);
  }

  async pass(ms: number): Promise<void> {
    const end = this.time + ms;
    await settle();
    for (;;) {
      let next = Number.POSITIVE_INFINITY;
      for (const { at } of this.due) next = Math.min(next, at);
      if (next > end) break;
      this.time = Math.max(this.time, next);
      const woken = [...this.due].filter(({ at }) => at <= next);
      for (const entry of woken) if (this.due.delete(entry)) entry.wake();
      await settle();
    }
    this.time = end;
  }
}

interface Rig {
  readonly engine: Engine;
  readonly fleet: Fleet;
  readonly clock: ManyTimers;
  readonly hosts: FakeHosts;
  readonly record: MemoryRecord;
  readonly events: EngineEvent[];
  /** Everybody but these reports once. */
  report(...silent: readonly string[]): Promise<void>;
}

async function openRig(): Promise<Rig> {
  const files: Files = {
    "machines/seat.yaml": seatMachine("make"),
    ...Object.fromEntries(names.map((name) => [`hosts/${name}.yaml`, seat(name)])),
  };
  const main = desired(files);
  const [clock, hosts, record] = [new ManyTimers(), new FakeHosts(), new MemoryRecord()];
  const events: EngineEvent[] = [];
  const poll = () => Promise.resolve({ kind: "changed", desired: main } as const);
  const reader = { poll, recorded: () => Promise.resolve(null), descends: () => Promise.resolve(false) };
  const ports = { clock, desired: reader, record, looker: hosts, actor: hosts };
  const engine = new Engine({ ...ports, events: (event) => events.push(event) });
  await engine.start();
  await clock.pass(100);
  const fleet = new Fleet(engine, clock);
  let sequence = 0;
  const report = async (...silent: readonly string[]): Promise<void> => {
    sequence++;
    const heard = names.filter((name) => !silent.includes(name));
    const body = { sequence, states: { seat: { state: "ready", revision: null } }, facts: {} };
    await Promise.all(heard.map((name) => fleet.report(name, { ...body, incarnation: `${name}-life-1` })));
    await clock.pass(1000);
  };
  return { engine, fleet, clock, hosts, record, events, report };
}

const brakesOf = ({ events }: Rig): string[] =>
  events.flatMap((event) => (event.kind === "fleet" && /lost at once/.test(event.message) ? [event.message] : []));

test(`B2, L1: ${size} agents are silent at once: one brake with its reason, nothing is remediated; they come back, and a word releases it`, async () => {
  const rig = await openRig();
  const { engine, clock, hosts, record } = rig;
  await rig.report();
  assert.equal(engine.progress(), { ready: size, total: size });
  const before = process.memoryUsage().rss;
  await clock.pass(3_600_000);
  assert.equal(hosts.log, [], "B2: nothing is done");
  assert.is(brakesOf(rig).length, 1, "one brake, told once");
  assert.match(engine.fleet().braked?.message ?? "", /hosts .*lost at once, more than/);
  const messages = names.map((name) => readyOf(engine.recordOf(name)?.machines.seat)?.message ?? "");
  const mute = messages.filter((message) => !/stateward brake release/.test(message));
  assert.equal(mute, [], "L1: each says what it waits for, and who can free it");
  const written = record.changes.length;
  await clock.pass(3_600_000);
  assert.ok(record.changes.length < written + 100, "an hour of silence is not recorded again and again");
  await rig.report();
  assert.ok(process.memoryUsage().rss < before + 1_000_000_000, "memory is bounded");
  assert.equal(
    [hosts.log, engine.progress()],
    [[], { ready: size, total: size }],
    "they are back, and were left alone",
  );
  assert.ok(engine.fleet().braked, "nobody but a person releases the brake");
  await new Coordination(engine, clock).releaseBrake("ana", "the switch is back");
  await clock.pass(1000);
  // What is lost from now on is healed again.
  for (let minute = 0; minute < 7; minute++) {
    await rig.report("seat-00007");
    await clock.pass(59_000);
  }
  assert.equal(hosts.log, ["seat-00007 make"]);
});

/** Everybody reports over a few connections; resolves to how many were acknowledged. */
async function reportAll(site: Site, running: Running, sequence: number): Promise<number> {
  const key = await loadTokenKey(join(site.data(running.name), "keys", "token.key"));
  const agent = new Agent({ keepAlive: true, maxSockets: 32 });
  const report = (name: string): Promise<boolean> =>
    new Promise((resolve) => {
      const authorization = `Bearer ${issueToken(key, { kind: "subject", name })}`;
      const headers = { authorization, "content-type": "application/json" };
      const url = new URL(`/v1/hosts/${name}/reports`, running.url);
      const call = request(url, { agent, method: "POST", headers }, (response) => {
        response.resume();
        response.once("close", () => resolve(response.statusCode === 202));
      });
      call.once("error", () => resolve(false));
      call.end(JSON.stringify({ incarnation: `${name}-life-1`, sequence, states: { seat: "ready" } }));
    });
  const answers = await Promise.all(names.map(report));
  agent.destroy();
  return answers.filter(Boolean).length;
}

test.needs(
  "STATEWARD_LONG=1 (five minutes)",
  long,
  `B2: ${size} agents of the real command are silent at once, over HTTP and in real time`,
  async () => {
    // Half a minute between silent and lost: who is lost first is not replaced when all others are silent already.
    await using site = await Site.open({
      machines: (effects) => ({ seat: seatMachine(`echo replaced >> ${effects}`, "3m30s") }),
    });
    await writeFile(join(site.folder, "stateward.yaml"), 'poll: "*/5 * * * * *"\nrecord: { window: 1s }\n');
    await mkdir(join(site.folder, "hosts/seats"));
    for (const name of names)
      await writeFile(join(site.folder, `hosts/seats/${name}.yaml`), JSON.stringify(seat(name)));
    await site.aim("s0");
    const running = await site.start("r1", { direct: true });
    assert.is(await reportAll(site, running, 1), size);
    const view = async (): Promise<FleetView> => JSON.parse((await site.call(running, "/v1/fleet")).text) as FleetView;
    await until("the brake", async () => /lost at once/.test(JSON.stringify(await view())), 240_000);
    assert.equal(await site.effects(), []);
    assert.is(await reportAll(site, running, 2), size, "they are back");
    const memory = /^VmHWM:\s+(\d+) kB$/m.exec(
      await readFile(`/proc/${running.reconciler.child.pid}/status`, "utf8"),
    )?.[1];
    process.stdout.write(`${size} agents: ${Math.round(Number(memory) / 1024)} MB at most\n`);
    assert.ok(Number(memory) < 1_500_000);
    assert.is(
      (await site.call(running, "/v1/brake-releases", { by: "ana", reason: "the switch is back" })).status,
      201,
    );
    await site.judge();
    assert.equal(await site.effects(), [], "nothing was remediated");
  },
);

test.run();
