// What a reconciler does on GitHub, beside its work: plans pull requests, answers comments, carries approvals, follows rollouts. It never
// throws and never makes the reconciler wait: a GitHub that is down, slow or wrong is told once and tried again.
import { Failure, messageOf } from "../model/failure.ts";
import type { ChangePlanner, ForgeWaker, PlanReport, PullRequestSource } from "../model/forge.ts";
import type { CoordinationReader, CoordinationWriter, FleetReader } from "../model/ports.ts";
import { commentOf, type PullRequest, pullRequestOf } from "./answers.ts";
import { carryApproval } from "./approvals.ts";
import { type GitHub, GitHubBusy } from "./client.ts";
import { CommandDesk, commandsIn } from "./commands.ts";
import { oneLine } from "./escape.ts";
import { type PublishSettings, publishPlan } from "./publish.ts";
import { RolloutStatus, type RolloutStatusOptions } from "./rollout-status.ts";

export interface ForgeServiceOptions extends Pick<RolloutStatusOptions, "environmentOf" | "refused" | "now"> {
  readonly github: GitHub;
  readonly planner: ChangePlanner;
  readonly source: PullRequestSource;
  readonly fleet: FleetReader;
  readonly coordination: CoordinationReader & CoordinationWriter;
  /** Branch that is followed; pull requests to others are left alone. */
  readonly branch: string;
  /** Offers to take back what was halted; absent where nobody wants that. */
  readonly reverts?: { look(): Promise<void> };
  /** As the settings in force say. */
  readonly publish: () => Omit<PublishSettings, "notice">;
  readonly notice: (message: string) => void;
  readonly times?: Partial<ForgeTimes>;
}

/** All in milliseconds. */
export interface ForgeTimes {
  /** Between looks at the list of pull requests, where no hook says when. */
  readonly listEvery: number;
  /** Between looks at a pull request in which nothing seems to have changed: comments do not show in the list. */
  readonly visitEvery: number;
  /** Between words about rollouts. */
  readonly tellEvery: number;
  /** After a failure, doubled with each that follows. */
  readonly retryFirst: number;
  readonly retryMax: number;
  /** Between looks at the clock. */
  readonly tick: number;
}

const defaultTimes: ForgeTimes = {
  listEvery: 60_000,
  visitEvery: 300_000,
  tellEvery: 10_000,
  retryFirst: 5000,
  retryMax: 300_000,
  tick: 500,
};
/** Open pull requests that are looked at, the newest first. */
const pullsMax = 100;
/** Failures of one pull request, after which it waits for the next change or look at it. */
const triesMax = 5;

/** A plan that is to be made. */
interface Wanted {
  /** Newest commit of the branch. */
  readonly head: string;
  /** That, and the one of its base. */
  readonly planned: string;
}

/** What is known of a pull request; lost with a restart, which costs a look at each. */
interface Known {
  /** Newest commit of the branch, and that of its base, of the last plan. */
  planned: string;
  /** The plan of those, by which nothing is planned twice. */
  report: PlanReport | null;
  /** What is to be planned, also while it is; null for nothing. */
  wanted: Wanted | null;
  lookedAt: number;
  isDue: boolean;
  /** Somebody may have said a word: it is looked at before others. */
  isUrgent: boolean;
  tries: number;
  notBefore: number;
}

export class ForgeService implements ForgeWaker {
  private readonly options: ForgeServiceOptions;
  private readonly times: ForgeTimes;
  private readonly desk: CommandDesk;
  private readonly rollouts: RolloutStatus;
  private readonly pulls = new Map<number, Known>();
  private readonly told = new Set<string>();
  /** What failed by itself rests until then, however often the clock is looked at. */
  private readonly resting = new Map<string, { readonly until: number; readonly tries: number }>();
  /** Told by hooks and not looked at yet. */
  private readonly woken = new Set<number>();
  private isListDue = true;
  private isApprovalDue = true;
  /** What the lists of pull requests and of comments were when they were read last. */
  private readonly tags: Record<"pulls" | "comments", string | null> = { pulls: null, comments: null };
  /** Comments that were in the list of comments then. */
  private heard: ReadonlySet<number> = new Set();
  private listAt = 0;
  private tellAt = 0;
  private quietUntil = 0;
  private failures = 0;
  private readonly loops: Loop[] = [];
  private isStopped = true;

  constructor(options: ForgeServiceOptions) {
    const { github, coordination, now, fleet, environmentOf, refused } = options;
    this.options = options;
    this.times = { ...defaultTimes, ...options.times };
    this.desk = new CommandDesk({ github, coordination, now });
    const both = { subjects: () => fleet.subjects(), health: () => fleet.health(), fleet: () => coordination.fleet() };
    this.rollouts = new RolloutStatus({ github, fleet: both, environmentOf, refused, now });
  }

  start(): void {
    this.isStopped = false;
    this.repeat(() => this.turn());
    // A word such as a hold must not wait for the plan of another's change, which may take minutes.
    this.repeat(() => this.work());
  }

  /** Does something again and again, which never rejects, until all is stopped. */
  private repeat(act: () => Promise<void>): void {
    const loop: Loop = { running: Promise.resolve(), timer: undefined };
    const tick = (): void => {
      loop.running = act().finally(() => {
        if (!this.isStopped) loop.timer = setTimeout(tick, this.times.tick).unref();
      });
    };
    this.loops.push(loop);
    tick();
  }

  /** Ends it without waiting for GitHub. */
  stop(): void {
    this.isStopped = true;
    for (const { timer } of this.loops) clearTimeout(timer);
  }

  /** For tests: what was going on has ended. */
  async settled(): Promise<void> {
    await Promise.all(this.loops.map(({ running }) => running));
  }

  wake(pullRequest: number | null): void {
    this.isApprovalDue = true;
    if (pullRequest === null || this.woken.size >= pullsMax) this.isListDue = true;
    else this.woken.add(pullRequest);
  }

  private get isLeading(): boolean {
    const { record, commit } = this.options.fleet.health();
    return record.role === "leading" && commit !== null;
  }

  /** Whoever stands by says nothing: another one does. */
  private get isAwake(): boolean {
    return this.options.now() >= this.quietUntil && this.isLeading;
  }

  /** One round: what is due, one thing after the other, and nothing that takes longer than GitHub's answers. Never rejects. */
  private async turn(): Promise<void> {
    const { now } = this.options;
    try {
      if (!this.isAwake) return;
      if (this.isListDue || now() - this.listAt >= this.times.listEvery) await this.list();
      // What came into force, or waits for a word, is more urgent than plans.
      await this.tellRollouts();
      await this.apart("approvals", () => this.approve());
      const visited = new Set<number>();
      for (let next = this.nextDue(visited); next !== null; next = this.nextDue(visited)) {
        if (this.isStopped || !this.isLeading) return;
        const [number, known] = next;
        visited.add(number);
        // Last in the next round: one that GitHub always fails on keeps no other waiting.
        this.pulls.delete(number);
        this.pulls.set(number, known);
        await this.visit(number, known);
        await this.tellRollouts();
      }
      this.failures = 0;
    } catch (error) {
      this.failed(error);
    }
  }

  /** What takes long, beside the rounds: reverts and plans, one at a time. Never rejects. */
  private async work(): Promise<void> {
    try {
      if (!this.isAwake) return;
      await this.apart("reverts", async () => this.options.reverts?.look());
      const wanting = [...this.pulls].filter(([, { wanted }]) => wanted !== null);
      for (const [number, known] of wanting) {
        if (this.isStopped || !this.isLeading) return;
        if (known.wanted !== null && this.options.now() >= known.notBefore)
          await this.plan(number, known, known.wanted);
      }
    } catch (error) {
      this.failed(error);
    }
  }

  /** The pull request that is to be looked at next: first those on which somebody may have said a word. */
  private nextDue(visited: ReadonlySet<number>): readonly [number, Known] | null {
    for (const number of this.woken) this.note(number, { isDue: true, isUrgent: true });
    this.woken.clear();
    const now = this.options.now();
    const due = [...this.pulls].filter(
      ([number, { isDue, lookedAt, notBefore }]) =>
        !visited.has(number) && (isDue || now - lookedAt >= this.times.visitEvery) && now >= notBefore,
    );
    return due.find(([, { isUrgent }]) => isUrgent) ?? due[0] ?? null;
  }

  private async tellRollouts(): Promise<void> {
    const { now } = this.options;
    if (now() < this.tellAt) return;
    const isSaid = await this.apart("the state of rollouts", () => this.rollouts.tell());
    this.tellAt = now() + (isSaid ? this.times.tellEvery : this.times.visitEvery);
  }

  /** False where something of its own is wrong, such as a permission that is missing: that rests, and keeps nothing else from being done. */
  private async apart(what: string, act: () => Promise<void>): Promise<boolean> {
    const { until = 0, tries = 0 } = this.resting.get(what) ?? {};
    if (this.options.now() < until) return false;
    try {
      await act();
      this.resting.delete(what);
      return true;
    } catch (error) {
      this.resting.set(what, { until: this.options.now() + this.delay(tries + 1), tries: tries + 1 });
      if (isOutage(error)) throw error;
      this.tellOnce(`${what} on GitHub: ${messageOf(error)}`);
      return false;
    }
  }

  private async approve(): Promise<void> {
    const { coordination, branch, github, source, notice, fleet } = this.options;
    const inForce = (): string | null => fleet.health().commit;
    if (coordination.fleet().unapproved === null) {
      this.isApprovalDue = true;
      return;
    }
    if (!this.isApprovalDue) return;
    const number = await carryApproval({ github, desk: this.desk, source, coordination, branch, inForce });
    this.isApprovalDue = false;
    if (number !== null) notice(`the word given for pull request ${number} holds for its merge`);
  }

  private async list(): Promise<void> {
    const { github, branch, now } = this.options;
    const order = { state: "open", base: branch, sort: "updated", direction: "desc" };
    const found = await github.changed("GET /pulls", order, this.tags.pulls);
    await this.apart("new comments", () => this.hear());
    this.listAt = now();
    this.isListDue = false;
    // Comments after a merge show in no list of open ones.
    this.isApprovalDue = true;
    if (found === null) return;
    const open = found.entries.slice(0, pullsMax).map(pullRequestOf);
    const numbers = new Set(open.map(({ number }) => number));
    // What is due may be a word on one that was closed since.
    for (const [number, { isDue }] of this.pulls) if (!numbers.has(number) && !isDue) this.pulls.delete(number);
    for (const { number, head, base } of open)
      this.note(number, { isDue: this.pulls.get(number)?.planned !== `${head} ${base.commit}`, isUrgent: false });
    this.tags.pulls = found.tag;
  }

  /** Looks for new commands anywhere, also where people merged already: comments show in no list of open pull requests. */
  private async hear(): Promise<void> {
    const order = { sort: "updated", direction: "desc" };
    const found = await this.options.github.changed("GET /issues/comments", order, this.tags.comments);
    if (found === null) return;
    const comments = found.entries.map(commentOf);
    for (const { id, number, body } of comments)
      if (!this.heard.has(id) && number > 0 && commandsIn(body).length > 0) this.wake(number);
    this.heard = new Set(comments.map(({ id }) => id));
    this.tags.comments = found.tag;
  }

  private note(number: number, { isDue, isUrgent }: Pick<Known, "isDue" | "isUrgent">): void {
    const known = this.pulls.get(number);
    const fresh = { planned: "", report: null, wanted: null, lookedAt: 0, tries: 0, notBefore: 0 };
    if (known === undefined) this.pulls.set(number, { ...fresh, isDue: true, isUrgent });
    else if (isDue) Object.assign(known, { isDue, isUrgent: isUrgent || known.isUrgent, tries: 0 });
  }

  /** Looks at one pull request. What fails of it alone is tried again later; what fails of GitHub is for the whole round. */
  private async visit(number: number, known: Known): Promise<void> {
    const { now } = this.options;
    const { isUrgent } = known;
    Object.assign(known, { isDue: false, isUrgent: false });
    try {
      await this.look(number, known);
      known.lookedAt = now();
    } catch (error) {
      if (isOutage(error)) {
        Object.assign(known, { isDue: true, isUrgent });
        throw error;
      }
      this.missed(number, known, error);
    }
  }

  /** What failed of one pull request is tried again, later each time. */
  private missed(number: number, known: Known, error: unknown): void {
    const { now } = this.options;
    known.tries++;
    known.isDue = known.tries < triesMax;
    known.lookedAt = now();
    known.notBefore = now() + this.delay(known.tries);
    this.tellOnce(`pull request ${number}: ${messageOf(error)}`);
  }

  private async look(number: number, known: Known): Promise<void> {
    const { github, branch, publish } = this.options;
    const pull = await github.orNull(github.pull(number));
    if (pull === null || pull.base.branch !== branch) {
      this.pulls.delete(number);
      return;
    }
    // First the words, then the plan that may be another one: a word is about what could be seen when it was said.
    const { wantsPlan, approvedBy } = await this.desk.attend(pull);
    if (!pull.isOpen) {
      this.pulls.delete(number);
      return;
    }
    const report = this.planOf(pull, known, wantsPlan);
    if (report === null) return;
    const notice = (message: string): void => this.tellOnce(message);
    await publishPlan(github, number, approved(report, approvedBy), { ...publish(), notice });
    known.tries = 0;
  }

  /** The plan of a pull request as it is now; null where it is to be made, or made anew. */
  private planOf({ head, base }: PullRequest, known: Known, isAsked: boolean): PlanReport | null {
    const planned = `${head} ${base.commit}`;
    if (!isAsked && known.planned === planned) return known.report;
    // One that is being made already is not made twice, but for whoever asks for it meanwhile.
    if (isAsked || known.wanted?.planned !== planned) known.wanted = { head, planned };
    return null;
  }

  /** Makes a plan; the next look publishes it. */
  private async plan(number: number, known: Known, wanted: Wanted): Promise<void> {
    const { source, planner, now } = this.options;
    try {
      const { base, head } = await source.fetch(number);
      if (head === wanted.head)
        Object.assign(known, { report: await planner.plan(base, head), planned: wanted.planned });
      // Somebody has just pushed, and GitHub does not say so everywhere yet.
      else known.notBefore = now() + this.times.retryFirst;
      known.isDue = true;
    } catch (error) {
      this.missed(number, known, error);
    }
    if (known.wanted === wanted) known.wanted = null;
  }

  private failed(error: unknown): void {
    this.failures++;
    const asked = error instanceof GitHubBusy ? error.retryAfterMs : 0;
    this.quietUntil = this.options.now() + Math.max(asked, this.delay(this.failures));
    this.tellOnce(
      `pull requests on GitHub: ${messageOf(error)}${error instanceof Failure && error.hint !== null ? `; ${error.hint}` : ""}`,
    );
  }

  private delay(failures: number): number {
    return Math.min(this.times.retryMax, this.times.retryFirst * 2 ** Math.min(failures - 1, 20));
  }

  /** The same words once a day, or so: whoever reads them knows. */
  private tellOnce(message: string): void {
    const text = oneLine(message, 500);
    if (this.told.has(text)) return;
    if (this.told.size >= toldMax) this.told.clear();
    this.told.add(text);
    this.options.notice(text);
  }
}

interface Loop {
  running: Promise<void>;
  timer: NodeJS.Timeout | undefined;
}

const toldMax = 1000;

/**
 * Failures that anything else would meet as well. A refusal is no such: GitHub takes no more comments on a pull request that has 2500,
 * which anybody can see to.
 */
function isOutage(error: unknown): boolean {
  return error instanceof Failure && outages.has(error.reason);
}

const outages: ReadonlySet<string> = new Set(["GitHubBusy", "GitHubUnreachable", "GitHubUnauthorized"]);

/** Where it only waited for a person's word, the word was said; hosts that have no way to their targets still need another commit. */
function approved(report: PlanReport, by: readonly string[]): PlanReport {
  if (report.conclusion !== "action_required" || by.length === 0) return report;
  const conclusion = report.lacksWay === true ? report.conclusion : "success";
  return { ...report, conclusion, title: `${report.title}; approved by ${by.join(", ")}` };
}
