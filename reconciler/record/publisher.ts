// Pushing the record: compare-and-swap from the tip that we know, with a sign of life that rides along, and notes of what the remote
// has taken, on the disk before anything depends on it.
import { Failure, messageOf } from "../model/failure.ts";
import { type FollowOptions, follow } from "./follow.ts";
import { type Leadership, signsOf } from "./leader.ts";
import type { NewObject } from "./pack.ts";
import { observedRef } from "./refs.ts";
import { isCorrupt, leaderRef, type PushResult } from "./remote.ts";
import { Since, type Time } from "./time.ts";

export interface PublisherOptions extends FollowOptions {
  readonly leadership: Leadership;
  readonly time: Time;
  readonly onNotice: (message: string) => void;
  /** The mirror cannot be pushed from: the next start fetches it afresh. */
  readonly onDamaged: (message: string) => Promise<void>;
}

/** `theirs`: someone else wrote. `why` says who, or that the history is in doubt (D6). */
export type Published = { readonly kind: "ours" } | { readonly kind: "theirs"; readonly why: string };

/** Another's sign may be written at the very moment: the branch and the sign are tried together this often. */
const signTriesMax = 3;
/** Signs that were refused this often in a row are left out for a while. */
const signRefusalsMax = 3;
const withoutSignsMs = 600_000;

export class Publisher {
  /** Commit that the remote is known to have. */
  tip: string | null = null;
  epoch = 0;
  /** Since the remote was last known to have what we pushed. */
  confirmed: Since;
  /** Pushes in a row of which it is not known what became of them. */
  failures = 0;
  private readonly options: PublisherOptions;
  private signs: readonly NewObject[] = [];
  private turn = 0;
  private signRefusals = 0;
  private withoutSigns: Since | null = null;

  constructor(options: PublisherOptions) {
    this.options = options;
    this.confirmed = new Since(options.time);
  }

  /** Makes the signs of life of an epoch. The first one differs from `seen`, which the remote has: a standby is to see that it changed. */
  async begin(epoch: number, seen: string | null): Promise<void> {
    const { git, leadership } = this.options;
    this.epoch = epoch;
    this.signs = signsOf(leadership, epoch);
    this.turn = this.signs[0]?.id === seen ? 1 : 0;
    await git.write(this.signs);
  }

  /** Pushes the tip once more, with the sign that says that this leader has ended in order. */
  async end(): Promise<void> {
    this.turn = this.signs.length - 1;
    if (this.tip !== null) await this.push(this.tip);
  }

  /**
   * Makes `commit`, which stands on the tip, the tip. That the push is a fast-forward would not do: it is one onto a branch that was
   * rewound as well. Throws a Failure when it is not known what became of it: the same commit is to be pushed again.
   */
  async push(commit: string): Promise<Published> {
    const { git, tips, time } = this.options;
    const began = new Since(time);
    this.failures++;
    // By this it is recognised as ours, should the answer get lost, and the mirror with it.
    if (commit !== this.tip) await tips.save({ pending: commit });
    const result = await this.send(commit);
    if (result.kind === "refused") {
      const why = await this.whoWrote(commit, result.message);
      if (why !== null) return { kind: "theirs", why };
    }
    this.failures = 0;
    this.confirmed = began;
    if (commit !== this.tip || tips.now.pushed !== commit) {
      await git.point(observedRef, commit);
      const epoch = Math.max(tips.now.epoch, this.epoch);
      await tips.save({ observed: commit, pushed: commit, pending: null, epoch });
      this.tip = commit;
    }
    return { kind: "ours" };
  }

  /** With a sign of life, where the remote takes them. */
  private async send(commit: string): Promise<PushResult> {
    const { remote } = this.options;
    const branch = `${commit}:refs/heads/observed`;
    const options = [`--force-with-lease=refs/heads/observed:${this.tip ?? ""}`];
    const sign = this.nextSign();
    const failed = (error: unknown): Promise<never> => this.failed(error);
    if (sign === null) return remote.push([branch], options).catch(failed);
    let why = "";
    for (let tries = 0; tries < signTriesMax; tries++) {
      const result = await remote.push([branch, `+${sign.id}:${leaderRef}`], options).catch(failed);
      if (result.kind === "accepted") {
        this.signRefusals = 0;
        return result;
      }
      why = result.message;
      // Which of the two is not wanted cannot always be told from the answer; and one server takes the branch all the same.
      const { observed } = await remote.list();
      if (observed === commit && commit !== this.tip) {
        this.signRefused(why);
        return { kind: "accepted" };
      }
      if (observed !== this.tip) return result;
    }
    // Without the sign of the one that leads, a beat of a deposed leader that is under way could still be accepted: this comes last.
    const alone = await remote.push([branch], options).catch(failed);
    if (alone.kind === "accepted") this.signRefused(why);
    return alone;
  }

  private nextSign(): NewObject | null {
    if (this.withoutSigns !== null && this.withoutSigns.ms() < withoutSignsMs) return null;
    this.withoutSigns = null;
    const sign = this.signs[this.turn];
    // The last sign is for the end.
    if (this.turn < this.signs.length - 1) this.turn = (this.turn + 1) % (this.signs.length - 1);
    return sign ?? null;
  }

  private signRefused(why: string): void {
    if (++this.signRefusals < signRefusalsMax) return;
    if (this.signRefusals === signRefusalsMax)
      this.options.onNotice(
        `the remote does not take ${leaderRef} (${why}): who stands by cannot see that this one lives`,
      );
    this.withoutSigns = new Since(this.options.time);
  }

  /** Why a push was refused: null when it was not, because an earlier try of this very commit is there. */
  private async whoWrote(commit: string, answer: string): Promise<string | null> {
    const { observed } = await this.options.remote.list();
    if (observed === commit) return null;
    if (observed === this.tip) {
      throw new Failure("transient", `the remote refused the push: ${answer.trim()}`, {
        reason: "PushRefused",
        hint: "check its hooks and permissions",
      });
    }
    const trouble = await follow(this.options, "observed", observed);
    return trouble ?? "another reconciler has written the record: this one steps down";
  }

  private async failed(error: unknown): Promise<never> {
    if (isCorrupt(error)) await this.options.onDamaged(`the mirror is damaged: ${messageOf(error)}`);
    throw error;
  }
}
