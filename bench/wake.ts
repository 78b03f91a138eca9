// Hosts that wait for all others: how soon the engine begins with them once the last of those has reported what they wait for.

import { Fleet } from "../dist/engine/fleet.js";
import { Engine } from "../dist/engine/loop.js";
import type { Clock, DesiredReader, HostActor, HostLooker, RecordReader, RecordWriter } from "../dist/model/ports.js";
import type { LoadedRepository } from "../dist/model/repository.js";
import { hostName } from "./fleet.ts";
import { ms } from "./measure.ts";
import { loadFleet, reportOf, waiter } from "./plan-fleet.ts";

/** A host's own agent switches it: we wait for its word. */
const lamp = `machine: lamp
initial: off
states:
  off: {}
  on:
    available: true
    enter:
      - from: off
        when: report.facts.go == "yes"
`;
/** No limit stands in the way: what is measured is the wake-up. */
const settings = `rollout:
  canary: 0
  waves: ["100%"]
  max_unavailable: "100%"
  at_once: "100%"
parallel: 10000
`;

const clock: Clock = {
  now: () => Date.now(),
  after: (wait, wake) => {
    const timer = setTimeout(wake, Math.min(wait, 2 ** 31 - 1));
    return () => clearTimeout(timer);
  },
};

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A record that is kept nowhere: what is measured is not the disk. */
const nowhere: RecordReader & RecordWriter = {
  load: () => Promise.resolve({ subjects: [], epoch: 1 }),
  append: () => Promise.resolve(),
  status: () => ({ role: "leading", epoch: 1, leader: null, message: "", behindMs: 0, unpushed: 0 }),
  flush: () => Promise.resolve(),
};

function following(loaded: LoadedRepository): DesiredReader {
  const desired = { commit: "c".repeat(40), loaded };
  let given = false;
  return {
    recorded: () => Promise.resolve(null),
    descends: () => Promise.resolve(false),
    poll: () => {
      if (given) return Promise.resolve({ kind: "unchanged" });
      given = true;
      return Promise.resolve({ kind: "changed", desired });
    },
  };
}

/** Hosts that answer at once and do what they are told at once. */
const obedient: HostLooker & HostActor = {
  look: (host) => Promise.resolve(reportOf(host.name, `life-of-${host.name}`)),
  run: () => Promise.resolve({ kind: "ok", output: "" }),
  mark: () => Promise.resolve({ kind: "ok", output: "" }),
  inquire: () => Promise.resolve({ kind: "absent" }),
};

interface Site {
  readonly engine: Engine;
  readonly fleet: Fleet;
  /** When each waiting host began, on the clock of `performance`. */
  readonly began: Map<string, number>;
}

async function start(hosts: number, waiters: number): Promise<Site> {
  const loaded = loadFleet({ hosts, waiters, transport: "agent", settings, lamp });
  const began = new Map<string, number>();
  const engine = new Engine({
    clock,
    desired: following(loaded),
    record: nowhere,
    looker: obedient,
    actor: obedient,
    events: (event) => {
      if (event.kind === "started") began.set(event.subject, performance.now());
    },
  });
  await engine.start();
  const site = { engine, fleet: new Fleet(engine, clock), began };
  for (let index = 0; index < hosts; index++) await report(site, index, { state: "off", sequence: 1 });
  const isWaiting = (index: number): boolean =>
    engine.recordOf(waiter(index))?.machines.gate?.conditions.some(({ reason }) => reason === "GuardWaiting") ?? false;
  while (!Array.from({ length: waiters }, (_, index) => isWaiting(index)).every(Boolean)) await turn();
  return site;
}

async function report(
  site: Site,
  index: number,
  { state, sequence }: { state: string; sequence: number },
): Promise<void> {
  const host = hostName(index);
  await site.fleet.report(host, {
    incarnation: `life-of-${host}`,
    sequence,
    states: { lamp: { state, revision: null } },
    facts: { kernel: "6.1.0-28" },
  });
  // As between two requests: what is due runs.
  await turn();
}

async function wakeUp(hosts: number, waiters: number): Promise<string> {
  const site = await start(hosts, waiters);
  const from = performance.now();
  for (let index = 0; index < hosts - 1; index++) await report(site, index, { state: "on", sequence: 2 });
  const took = performance.now() - from;
  if (site.began.size > 0) throw new Error("somebody has not waited");
  const last = performance.now();
  await report(site, hosts - 1, { state: "on", sequence: 2 });
  while (site.began.size < waiters) await turn();
  const times = [...site.began.values()].map((at) => at - last);
  await site.engine.stop();
  const ended = Math.max(...times);
  const [each, until] = [`${Math.round((took * 1000) / hosts)} us a report, ${ms(took)} in all`, ms(ended)];
  const met = ended < 1000 && took < hosts;
  return `| ${waiters} waiting for ${hosts}: reports one after the other; after the last one, until all have begun | | ${each}; ${until} | | at most 1 ms a report; at most 1000 ms | ${met ? "met" : "missed"} |`;
}

/** Rows of one waiting host and of a thousand. */
export async function wakeUps(hosts: number): Promise<string[]> {
  const rows: string[] = [];
  for (const waiters of [1, 1000]) {
    const row = await wakeUp(hosts, waiters);
    console.error(`  ${row}`);
    rows.push(row);
  }
  return rows;
}
