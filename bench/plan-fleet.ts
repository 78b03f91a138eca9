// Fleets in memory for benchmarks of the plan: a repository, a record and a report of each host, without Git and without files.
import { freshMachine, type SubjectRecord } from "../dist/model/record.js";
import type { HostReport } from "../dist/model/report.js";
import { type LoadedRepository, RepositoryLoader } from "../dist/model/repository.js";
import type { ParsedDocument, SourceFile } from "../dist/model/types.js";
import { worldOf } from "../dist/plan/tally.js";
import type { World } from "../dist/plan/world.js";
import { hostName, recordOf } from "./fleet.ts";

/** A fixed instant, so that two runs decide the same. */
export const noon: number = Date.UTC(2026, 9, 1, 12);
const commit = "3f2a9c1de0b7a65c9d3e8f7a1b2c4d5e6f708192";
const teams = 20;
const regions = ["east", "west", "north"];

/** A machine with one step on the way: a move takes time, and its start and end are decided apart. */
const lamp = `machine: lamp
initial: off
states:
  off:
    enter:
      - from: on
        steps:
          - run: turn off
  on:
    available: true
    enter:
      - from: off
        steps:
          - run: turn on
`;

/** A machine that goes on when every host of the fleet is up: what one evaluation of it reads is the whole fleet. */
const gate = `machine: gate
initial: shut
states:
  shut: {}
  open:
    enter:
      - from: shut
        when: group.every.all(h, h.states["lamp"] == "on")
        steps:
          - run: open
`;

/** A host that waits for all others. */
export const waiter = (index = 0): string => `waiter-${String(index).padStart(4, "0")}`;

export interface FleetPlan {
  readonly hosts: number;
  /** Hosts that wait for all of these. */
  readonly waiters: number;
  readonly transport: "ssh" | "agent";
  /** `stateward.yaml`. */
  readonly settings: string;
  readonly lamp: string;
}

/** Changes go region by region, in waves, as many at once as the program lets through at the most. */
const settings = `rollout:
  order: [${regions.join(", ")}]
  at_once: 1000
parallel: 1000
`;

/** `hosts` lamps in 24 groups: the fleet, its three regions, and 20 teams; each host is in three of them. */
export function loadFleet(plan: Partial<FleetPlan> & Pick<FleetPlan, "hosts">): LoadedRepository {
  const { hosts, waiters = 1, transport = "ssh" } = plan;
  const group = (name: string, select: string): SourceFile =>
    file(`hosts/groups/${name}.yaml`, `group: ${name}\nselect: '${select}'\n`);
  const files = [
    file("stateward.yaml", plan.settings ?? settings),
    file("machines/lamp.yaml", plan.lamp ?? lamp),
    file("machines/gate.yaml", gate),
    group("every", '"team" in host.labels'),
    ...regions.map((region) => group(region, `host.region == "${region}"`)),
    ...Array.from({ length: teams }, (_, team) => group(`team_${team}`, `host.labels.team == "${team}"`)),
    ...Array.from({ length: hosts }, (_, index) => hostDocument(index, transport)),
    ...Array.from({ length: waiters }, (_, index) =>
      parsed(waiter(index), { host: waiter(index), transport: "local", targets: { gate: "open" } }),
    ),
  ];
  const loaded = new RepositoryLoader().load(files);
  const [error] = loaded.problems.filter(({ severity }) => severity === "error");
  if (error) throw new Error(JSON.stringify(error));
  return loaded;
}

function hostDocument(index: number, transport: string): SourceFile {
  return parsed(hostName(index), {
    host: hostName(index),
    region: regions[index % regions.length],
    address: `10.${(index >> 16) & 255}.${(index >> 8) & 255}.${index & 255}`,
    transport,
    labels: { role: index % 10 === 0 ? "primary" : "replica", team: String(index % teams) },
    vars: { bundle: `bundle-${index}.tar` },
    targets: { lamp: "on" },
  });
}

function file(path: string, text: string): SourceFile {
  return { path, text, id: path };
}

/** A document whose text nobody needs any more. */
function parsed(name: string, value: unknown): SourceFile {
  const document: ParsedDocument = { value };
  return { path: `hosts/${name}.yaml`, text: null, id: name, parsed: document };
}

/** A world in which every lamp is at rest in `state`, and every host was heard just now. */
export function worldAt(loaded: LoadedRepository, state: "on" | "off"): World {
  const records = new Map<string, SubjectRecord>();
  const reports = new Map<string, HostReport>();
  let index = 0;
  for (const { name, machines } of loaded.repository.hosts.values()) {
    const record = machines.has("lamp") ? recordOf(index++, state) : waitingRecord(name);
    records.set(name, record);
    reports.set(name, reportOf(name, record.incarnation ?? ""));
  }
  return worldOf({ now: noon, desired: { commit, loaded }, records, reports, listeningSince: noon - 3_600_000 });
}

function waitingRecord(name: string): SubjectRecord {
  const record = recordOf(0);
  return { ...record, name, machines: { gate: freshMachine("shut", new Date(noon).toISOString(), commit) } };
}

export function reportOf(host: string, incarnation: string): HostReport {
  return {
    host,
    at: noon,
    reachable: true,
    message: "",
    incarnation,
    sequence: null,
    states: {},
    checks: {},
    facts: { kernel: "6.1.0-28" },
  };
}
