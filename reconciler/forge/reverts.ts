// A commit whose rollout was halted is offered to be taken back: one pull request a commit, with the evidence. It is never merged by us,
// and never opened again: what people close stays closed.
import { Failure, messageOf } from "../model/failure.ts";
import type { ChangePlanner } from "../model/forge.ts";
import type { CoordinationReader, FleetReader } from "../model/ports.ts";
import { hideIn } from "../model/secrets.ts";
import { pullRequestOf } from "./answers.ts";
import { aboutText, pack } from "./block.ts";
import type { GitHub } from "./client.ts";
import { type HaltEvidence, haltedIn, haltReport } from "./revert-report.ts";

/** A commit that takes another back, made and not yet shown to anybody. */
export interface MadeRevert {
  /** The commit that it takes back. */
  readonly commit: string;
  /** The tip of main that it lies on, and itself. */
  readonly base: string;
  readonly head: string;
  readonly title: string;
  /** Markdown. */
  readonly introduction: string;
}

/** Makes and pushes reverts. What it says has no secrets. */
export interface RevertMaker {
  /** Name of the one branch for a commit. */
  branchOf(commit: string): string;
  /** Null where nothing of the commit stands any more. Throws a Failure of kind `invalid` where it cannot be taken back by itself. */
  make(commit: string): Promise<MadeRevert | null>;
  /**
   * Pushes it as a new branch. Resolves to what the remote has: one that is there already stays, where it takes back the same. Throws a
   * Failure of kind `invalid` where something else is there: whoever may push could have put it there for us to offer.
   */
  push(revert: MadeRevert): Promise<MadeRevert>;
}

export interface RevertsOptions {
  readonly github: GitHub;
  readonly maker: RevertMaker;
  readonly planner: ChangePlanner;
  readonly fleet: Pick<FleetReader, "subjects"> & Pick<CoordinationReader, "fleet">;
  readonly branch: string;
  /** A2: takes secrets out of what hosts said. */
  readonly hide: (text: string) => string;
  readonly notice: (message: string) => void;
}

export class HaltedReverts {
  private readonly options: RevertsOptions;
  /** Commits that need no more looks, by this process; GitHub knows them after a restart. */
  private readonly settled = new Set<string>();

  constructor(options: RevertsOptions) {
    this.options = options;
  }

  /** Offers what is halted now. Rejects when GitHub or the remote does not do its part; the next look goes on from there. */
  async look(): Promise<void> {
    const { fleet } = this.options;
    const view = fleet.fleet();
    if (!view.rollouts.some(({ phase, commit }) => phase === "halted" && !this.settled.has(commit))) return;
    for (const evidence of haltedIn(view, fleet.subjects())) {
      if (this.settled.has(evidence.commit)) continue;
      await this.offer(evidence);
      this.settled.add(evidence.commit);
    }
  }

  private async offer(evidence: HaltEvidence): Promise<void> {
    const { github, maker, branch: base, hide, notice } = this.options;
    const short = evidence.commit.slice(0, 8);
    const branch = maker.branchOf(evidence.commit);
    if (await this.wasOffered(branch)) return;
    try {
      const revert = await maker.make(evidence.commit);
      if (revert === null) {
        notice(`${short} is halted, and nothing of it stands any more: no revert is offered`);
        return;
      }
      const plan = await this.planOf(revert);
      const pushed = await maker.push(revert);
      const said = pushed.head === revert.head ? plan : await this.planOf(pushed);
      // A2: in each text by itself. Markdown that something is taken out of may be other Markdown.
      const body = bodyOf(pushed, hideIn(evidence, hide), said);
      const { url } = await github.open({ branch, base, title: pushed.title, body });
      notice(`${short} is halted: ${url} takes it back, once somebody merges it`);
    } catch (error) {
      if (!(error instanceof Failure) || error.kind !== "invalid" || error.reason.startsWith("GitHub")) throw error;
      notice(`${short} is halted, and cannot be taken back by itself: ${messageOf(error)}`);
    }
  }

  /** In whatever state it is: who closed it did not want it. */
  private async wasOffered(branch: string): Promise<boolean> {
    const { github, branch: base } = this.options;
    const head = `${github.owner}:${branch}`;
    const found = await github.list("GET /pulls", { state: "all", head, base }, { max: 1 });
    return found.map(pullRequestOf).length > 0;
  }

  /** Markdown. */
  private async planOf({ base, head }: MadeRevert): Promise<string> {
    const { comment, conclusion } = await this.options.planner.plan(base, head);
    if (conclusion !== "failure") return comment;
    throw new Failure("invalid", "what would come of it has problems", { reason: "Problems", hint: "mend main" });
  }
}

function bodyOf({ introduction }: MadeRevert, evidence: HaltEvidence, plan: string): string {
  const blocks = [
    { about: "introduction", text: introduction },
    ...haltReport(evidence),
    { about: "plan, which is in the comment on this pull request", text: plan.trimEnd() },
  ];
  return pack(blocks, (rest) => `*Left out for want of room: ${aboutText(rest)}.*`).text;
}
