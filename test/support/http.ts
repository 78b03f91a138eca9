// The HTTP interface over an engine in memory, asked in process.
import type { FastifyInstance } from "fastify";
import { Coordination } from "../../reconciler/engine/coordination.ts";
import { Fleet } from "../../reconciler/engine/fleet.ts";
import { Engine } from "../../reconciler/engine/loop.ts";
import { createApp, type ServerLimits } from "../../reconciler/server/app.ts";
import { issueToken } from "../../reconciler/server/tokens.ts";
import { FakeHosts, ManualClock } from "./fake-hosts.ts";
import { MemoryRecord } from "./memory-record.ts";
import { desired, type Files, noon } from "./world.ts";

export const key: Buffer = Buffer.alloc(32, 7);
export const operator: string = issueToken(key, { kind: "operator" });

export interface HttpRig extends AsyncDisposable {
  readonly app: FastifyInstance;
  readonly engine: Engine;
  readonly clock: ManualClock;
  readonly record: MemoryRecord;
  readonly hosts: FakeHosts;
  /** What was asked of the repository. */
  readonly calls: readonly string[];
}

export interface ServeOptions {
  readonly open?: boolean;
  readonly record?: MemoryRecord;
  readonly hookSecret?: string;
  readonly key?: Buffer;
  readonly limits?: Partial<ServerLimits>;
}

export async function serve(files: Files, options: ServeOptions = {}): Promise<HttpRig> {
  const record = options.record ?? new MemoryRecord();
  const hosts = new FakeHosts();
  const clock = new ManualClock(noon);
  const calls: string[] = [];
  let polled = false;
  const poll = () => {
    const first = !polled;
    polled = true;
    return Promise.resolve(
      first ? ({ kind: "changed", desired: desired(files) } as const) : ({ kind: "unchanged" } as const),
    );
  };
  const engine = new Engine({
    clock,
    desired: { poll, recorded: () => Promise.resolve(null), descends: () => Promise.resolve(false) },
    record,
    looker: hosts,
    actor: hosts,
    events: () => {},
  });
  await engine.start();
  await clock.pass(10);
  const app = await createApp({
    fleet: new Fleet(engine, clock),
    coordination: new Coordination(engine, clock),
    key: options.key ?? key,
    limits: options.limits ?? {},
    repository: { wake: () => void calls.push("wake"), archive: () => Promise.resolve("observed-archive/x") },
    forge: { wake: (number) => void calls.push(`pull request ${number ?? "all"}`) },
    hookSecret: options.hookSecret === undefined ? null : Buffer.from(options.hookSecret),
    stateAccess: () => (options.open ? "open" : "token"),
    version: "test",
    instance: "test",
  });
  return { app, engine, clock, record, hosts, calls, [Symbol.asyncDispose]: () => app.close().then(() => {}) };
}

export const bearer = (name: string): { authorization: string } => ({
  authorization: `Bearer ${issueToken(key, { kind: "subject", name })}`,
});
export const asOperator: { authorization: string } = { authorization: `Bearer ${operator}` };
