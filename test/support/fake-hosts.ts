// Hosts in memory: they run nothing, remember everything, and do what a test tells them.
import type {
  Clock,
  HostActor,
  HostLooker,
  InquireOrder,
  Inquiry,
  MarkOrder,
  Outcome,
  StepOrder,
} from "../../reconciler/model/ports.ts";
import type { HostReport, StateClaim } from "../../reconciler/model/report.ts";
import type { Host } from "../../reconciler/model/types.ts";

const ok: Outcome = { kind: "ok", output: "" };

export class FakeHosts implements HostLooker, HostActor {
  readonly log: string[] = [];
  private readonly lives = new Map<string, number>();
  private readonly markers = new Map<string, Map<string, StateClaim>>();
  private readonly claims = new Map<string, number | null>();
  readonly down = new Set<string>();
  /** Called for every step; what it resolves to is the outcome. */
  onStep: (order: StepOrder) => Outcome | Promise<Outcome> = () => ok;

  rebuild(name: string): void {
    this.lives.set(name, (this.lives.get(name) ?? 1) + 1);
    this.markers.delete(name);
    for (const key of this.claims.keys()) if (key.startsWith(`${name} `)) this.claims.delete(key);
  }

  /** The host's first disk is put back. */
  putBack(name: string): void {
    this.lives.set(name, 1);
    this.markers.delete(name);
  }

  /** Somebody writes a marker by hand, without a revision, or puts back one that stood there before. */
  setByHand(name: string, machine: string, state: string, revision: number | null = null): void {
    const markers = this.markers.get(name) ?? new Map<string, StateClaim>();
    this.markers.set(name, markers.set(machine, { state, revision }));
  }

  incarnation(name: string): string {
    return `${name}-life-${String(this.lives.get(name) ?? 1).padStart(4, "0")}`;
  }

  marker(name: string, machine: string): string | undefined {
    return this.markers.get(name)?.get(machine)?.state;
  }

  look(host: Host): Promise<HostReport> {
    const base = { host: host.name, at: 0, sequence: null, checks: {}, facts: {} };
    if (this.down.has(host.name))
      return Promise.resolve({ ...base, reachable: false, message: "down", incarnation: null, states: {} });
    const states = Object.fromEntries(this.markers.get(host.name) ?? []);
    return Promise.resolve({ ...base, reachable: true, message: "", incarnation: this.incarnation(host.name), states });
  }

  async run(order: StepOrder): Promise<Outcome> {
    const { host, step, claim } = order;
    if (order.incarnation !== null && order.incarnation !== this.incarnation(host.name))
      return { kind: "unreachable", message: "rebuilt", output: "" };
    const key = `${host.name} ${claim}`;
    if (claim !== null) {
      if (this.claims.has(key)) return { kind: "claimed", message: "claimed", output: "" };
      this.claims.set(key, null);
    }
    this.log.push(`${host.name} ${step.title}`);
    const outcome = await this.onStep(order);
    if (claim !== null && outcome.kind !== "unreachable") this.claims.set(key, outcome.kind === "ok" ? 0 : 1);
    return outcome;
  }

  mark({ host, incarnation, machine, claim }: MarkOrder): Promise<Outcome> {
    if (incarnation !== this.incarnation(host.name))
      return Promise.resolve({ kind: "unreachable", message: "rebuilt", output: "" });
    const markers = this.markers.get(host.name) ?? new Map<string, StateClaim>();
    this.markers.set(host.name, markers.set(machine, claim));
    return Promise.resolve(ok);
  }

  inquire({ host, claim }: InquireOrder): Promise<Inquiry> {
    const exit = this.claims.get(`${host.name} ${claim}`);
    if (exit === undefined) return Promise.resolve({ kind: "absent" });
    return Promise.resolve(exit === null ? { kind: "unknown", message: "no word" } : { kind: "ended", exit });
  }
}

/** A clock that moves only when it is told to; what is due then runs in order. */
export class ManualClock implements Clock {
  private time: number;
  private due: { at: number; wake: () => void }[] = [];

  constructor(time: number) {
    this.time = time;
  }

  now(): number {
    return this.time;
  }

  after(ms: number, wake: () => void): () => void {
    const entry = { at: this.time + ms, wake };
    this.due.push(entry);
    return () => {
      this.due = this.due.filter((other) => other !== entry);
    };
  }

  /** Lets `ms` pass, with every promise settled after each timer. */
  async pass(ms: number): Promise<void> {
    const end = this.time + ms;
    await settle();
    for (;;) {
      const [next] = this.due.filter(({ at }) => at <= end).toSorted((a, b) => a.at - b.at);
      if (!next) break;
      this.due = this.due.filter((other) => other !== next);
      this.time = Math.max(this.time, next.at);
      next.wake();
      await settle();
    }
    this.time = end;
  }
}

/** Lets promises that are ready run. */
export async function settle(): Promise<void> {
  for (let round = 0; round < 20; round++) await Promise.resolve();
  await new Promise((resolve) => setImmediate(resolve));
}
