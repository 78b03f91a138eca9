// People's words about more than one host, and answers about what keeps hosts from going on.
import { isoTime, isTime } from "../model/duration.ts";
import { Failure } from "../model/failure.ts";
import type { Clock, CoordinationReader, CoordinationWriter, FleetView, WhyView } from "../model/ports.ts";
import type { FleetRecord } from "../model/record.ts";
import { redact } from "../model/redact.ts";
import { fleetView, whyView } from "../plan/fleet-view.ts";
import { covers, holdOn, parseSelector, selectorText } from "../plan/holds.ts";
import type { World } from "../plan/world.ts";
import { unknownSubject } from "./fleet.ts";
import type { Engine } from "./loop.ts";
import { mustBeWritable } from "./writable.ts";

/** Approvals that are kept; an older commit cannot be waiting any more. */
const approvalsMax = 50;
const holdsMax = 1000;
/** Hosts of a fleet for which the reconciler itself plays a what-if: so many take it up to two seconds. */
const whatIfHostsMax = 10_000;

export class Coordination implements CoordinationReader, CoordinationWriter {
  private readonly engine: Engine;
  private readonly clock: Clock;
  private readonly hide: (text: string) => string;

  /** A2: `hide` takes out of people's words what must not be recorded. */
  constructor(engine: Engine, clock: Clock, hide: (text: string) => string = redact) {
    this.engine = engine;
    this.clock = clock;
    this.hide = hide;
  }

  fleet(): FleetView {
    const world = this.world();
    return fleetView(world, this.engine.waitingCommit());
  }

  why(subject: string, word: string | null): WhyView {
    const { size } = this.world().desired.loaded.repository.hosts;
    if (word !== null && size > whatIfHostsMax) {
      throw new Failure("invalid", `a what-if over ${size} hosts would keep the reconciler from its work for seconds`, {
        reason: "TooLarge",
        hint: "ask the record instead, in a folder without a reconciler: stateward --folder DIR --repository URL why HOST --what-if ...",
      });
    }
    const view = whyView(this.world(), subject, word);
    if (view === null) throw unknownSubject(subject);
    return view;
  }

  async hold(order: Parameters<CoordinationWriter["hold"]>[0]): Promise<{ select: string; hosts: number }> {
    const world = this.writable();
    const { repository } = world.desired.loaded;
    const selector = parseSelector(order.select, repository);
    if (selector === null) throw selectsNobody(order.select);
    const select = selectorText(selector);
    const hosts = [...repository.hosts.values()].filter((host) => covers(select, host, repository.groups)).length;
    if (hosts === 0) throw selectsNobody(order.select);
    if (order.until !== null && !isTime(order.until)) {
      throw new Failure("invalid", `${order.until.slice(0, 40)} is not a time`, {
        reason: "BadTime",
        hint: "write it such as 2026-12-01T09:00:00Z",
      });
    }
    const until = order.until === null ? null : isoTime(Date.parse(order.until));
    if (until !== null && Date.parse(until) <= this.clock.now()) {
      throw new Failure("invalid", `the hold would have ended at ${until}`, {
        reason: "Past",
        hint: "give a time that is still to come",
      });
    }
    const fleet = this.engine.fleet();
    if (fleet.holds.length >= holdsMax) {
      throw new Failure("invalid", `there are ${fleet.holds.length} holds`, {
        reason: "TooMany",
        hint: "release some, or hold a group, a region or the fleet",
      });
    }
    const [reason, by] = [this.hide(order.reason), this.hide(order.by)];
    const hold = { select, reason, by, at: isoTime(this.clock.now()), until };
    // The same person's second word on the same hosts takes the place of the first.
    const others = fleet.holds.filter((other) => other.select !== select || other.by !== by);
    await this.put(
      { ...fleet, holds: [...others, hold] },
      `${nameOf(select)}: held by ${by}: ${reason}${until === null ? "" : ` (until ${until})`}`,
    );
    return { select, hosts };
  }

  async release(select: string, by: string): Promise<{ select: string }> {
    const world = this.writable();
    const { repository } = world.desired.loaded;
    const fleet = this.engine.fleet();
    const selector = parseSelector(select, repository);
    // What was held may be gone from the repository since: its hold is lifted all the same.
    const text = selector === null ? select : selectorText(selector);
    const left = fleet.holds.filter((hold) => hold.select !== text && hold.select !== select);
    if (left.length === fleet.holds.length) throw this.notHeld(world, select);
    await this.put({ ...fleet, holds: left }, `${nameOf(text)}: released by ${this.hide(by)}`);
    return { select: text };
  }

  async approve(commit: string, who: string): Promise<{ commit: string; inForce: boolean }> {
    this.writable(false);
    if (this.engine.state().rewound) {
      throw new Failure("transient", "main was rewound or rewritten: what waited is not on it any more", {
        reason: "Rewound",
        hint: "stateward accept-history shows what was followed and what is there now",
      });
    }
    const waiting = this.engine.waitingCommit();
    if (waiting === null || commit.length < 7 || !waiting.commit.startsWith(commit)) {
      const which =
        waiting === null ? "no commit waits for a word" : `the commit that waits is ${waiting.commit.slice(0, 8)}`;
      throw new Failure("invalid", `${commit.slice(0, 40)} cannot be approved: ${which}`, {
        reason: "NotWaiting",
        hint: "a word is good for one commit, by at least 7 of its digits: stateward status shows the one that waits",
      });
    }
    const fleet = this.engine.fleet();
    const by = this.hide(who);
    const approval = { commit: waiting.commit, by, at: isoTime(this.clock.now()) };
    await this.put(
      { ...fleet, approvals: [...fleet.approvals, approval].slice(-approvalsMax) },
      `fleet: ${waiting.commit.slice(0, 8)} approved by ${by}`,
    );
    this.engine.reconsider();
    const inForce = this.engine.world()?.desired.commit === waiting.commit;
    return { commit: waiting.commit, inForce };
  }

  async releaseBrake(who: string, why: string): Promise<void> {
    this.writable();
    const fleet = this.engine.fleet();
    const [by, reason] = [this.hide(who), this.hide(why)];
    const released = { at: isoTime(this.clock.now()), by, reason };
    await this.put({ ...fleet, braked: null, released }, `fleet: brake released by ${by}: ${reason}`);
  }

  private put(fleet: FleetRecord, summary: string): Promise<void> {
    return this.engine.putFleet(fleet, [summary]);
  }

  private notHeld(world: World, select: string): Failure {
    const host = world.desired.loaded.repository.hosts.get(select);
    const hold = host === undefined ? null : holdOn(world, host);
    const held = world.fleet.holds.map((item) => item.select).join(", ");
    const hint =
      hold === null
        ? held === ""
          ? "nothing is held by command: a hold in a host's file is lifted there"
          : `held are: ${held}`
        : hold.select === null
          ? "its own file holds it: remove hold there"
          : `it is held by ${hold.select}: release that`;
    return new Failure("invalid", `${select} is not held by command`, { reason: "NotHeld", hint });
  }

  private world(): World {
    const world = this.engine.world();
    if (world) return world;
    throw new Failure("transient", "no good commit yet, or another reconciler leads", {
      reason: "NotReady",
      hint: "see /readyz",
    });
  }

  /** Words need a record that can be written, and most of them a commit in force. */
  private writable(needsWorld?: true): World;
  private writable(needsWorld: false): null;
  private writable(needsWorld = true): World | null {
    mustBeWritable(this.engine);
    return needsWorld ? this.world() : null;
  }
}

function nameOf(select: string): string {
  return select.replace(/^host\//, "");
}

function selectsNobody(select: string): Failure {
  return new Failure("invalid", `${select} names no host`, {
    reason: "UnknownSelector",
    hint: "give a host's name, group/NAME, region/NAME or fleet",
  });
}
