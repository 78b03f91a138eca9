// Signed history: a version of main comes into force only when everything that came in with it is signed by whom the version before it
// allows. Whoever is not allowed cannot add himself: what a commit says about signers counts for the next one.
import { access, constants } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { Failure } from "../model/failure.ts";
import { printable } from "../model/printable.ts";
import type { DocumentCache } from "./document-cache.ts";
import type { Git } from "./git.ts";
import { type GraphCommit, type LineStep, stepsOf } from "./main-line.ts";
import { acceptedRef, verifiedRef } from "./refs.ts";
import { checkSignatures, type Signature, writeSigners } from "./signatures.ts";
import { type HistoryFinding, PolicyReader, type SigningPolicy, type VersionPolicy } from "./signing-policy.ts";

/** Says which versions of main may be followed by who signed what is in them. */
export interface CommitJudge {
  /** What is wrong with the history up to a version; nothing where it is good, or needs no signatures. */
  judge(version: string): Promise<readonly HistoryFinding[]>;
  /** True when something was lacking to judge a version, and is there now. */
  canTryAgain(): Promise<boolean>;
}

export interface SignedHistoryOptions {
  readonly git: Git;
  readonly cache: DocumentCache;
  /** The commit that was in force when something was recorded last, or null. */
  readonly recorded: () => Promise<string | null>;
  /** Default: the mirror's own note of how far it has judged is read and kept. */
  readonly isForgetful?: boolean;
  /** Where files with signers are written; default a folder of the repository. */
  readonly folder?: string;
  /** Hears how many commits of how many were judged. */
  readonly heard?: (done: number, of: number) => void;
}

/** A version up to which everything was found good, and what it asks of what comes next. */
interface Verified {
  readonly commit: string;
  readonly policy: SigningPolicy;
}

/** Commits that are named one by one; more are counted. */
const namedMax = 20;

export class SignedHistory implements CommitJudge {
  private readonly options: SignedHistoryOptions;
  private readonly policies: PolicyReader;
  private verified: Verified | null = null;
  /** What was found about commits of a version that was refused: they are part of the next one. */
  private readonly known = new Map<string, Signature>();
  private isLacking = false;

  constructor(options: SignedHistoryOptions) {
    this.options = options;
    this.policies = new PolicyReader(options.git, options.cache);
  }

  async judge(version: string): Promise<readonly HistoryFinding[]> {
    this.isLacking = false;
    try {
      this.verified ??= await this.beginning(version);
      const findings = await this.goOn(this.verified, version);
      if (findings.length === 0) this.known.clear();
      return findings;
    } catch (error) {
      if (!(error instanceof Failure) || error.reason !== "NoSshKeygen") throw error;
      this.isLacking = true;
      return [{ code: "SW603", message: error.message, remedy: error.hint ?? "" }];
    }
  }

  async canTryAgain(): Promise<boolean> {
    return this.isLacking && (await isOnPath("ssh-keygen", this.options.git.env.PATH ?? ""));
  }

  /**
   * Where judging begins: at what this folder has judged, else what it or the record had in force. Without any of these the version
   * itself is believed about where its history begins, as the key of a host is when it is seen first.
   */
  private async beginning(version: string): Promise<Verified> {
    const { git, recorded, isForgetful } = this.options;
    const own = isForgetful ? [] : [await git.resolve(verifiedRef), await git.resolve(acceptedRef)];
    const commit = own.find((id) => id !== null) ?? (await this.there(await recorded()));
    if (commit !== null) return { commit, policy: (await this.policies.after(commit, null)).policy };
    const { policy } = await this.policies.after(version, null);
    if (policy === null) return { commit: version, policy };
    return { commit: policy.since, policy: (await this.policies.after(policy.since, null)).policy };
  }

  private async there(commit: string | null): Promise<string | null> {
    return commit === null ? null : this.options.git.resolve(`${commit}^{commit}`);
  }

  private async goOn(from: Verified, version: string): Promise<readonly HistoryFinding[]> {
    const next = await this.policies.after(version, from.policy);
    // Most repositories ask for no signatures: then nothing is looked at but that they still do not.
    if (from.commit === version || (from.policy === null && next.policy === null)) {
      this.verified = { commit: version, policy: from.policy };
      return next.findings;
    }
    const steps = stepsOf(from.commit, version, await this.graph(version, from.commit));
    let at = from;
    let findings: readonly HistoryFinding[] = [];
    for (let done = 0; done < steps.length; ) {
      const stretch = await this.stretch(steps.slice(done), at.policy);
      const bad = await this.check(stretch, at.policy);
      if (bad.length > 0 && at.policy !== null) return bad;
      // A version that asks for signatures and has none itself asks for nothing: the next one may mend it.
      const isRefused = bad.length > 0;
      findings = isRefused ? bad : stretch.last.findings;
      at = { commit: stretch.end, policy: isRefused ? at.policy : stretch.last.policy };
      this.verified = at;
      const settled = isRefused ? null : stretch.settled;
      // What is remembered for the next start need not be waited for.
      if (settled !== null && !this.options.isForgetful)
        void this.options.git.point(verifiedRef, settled).catch(() => {});
      done += stretch.steps.length;
    }
    return findings;
  }

  /** Steps up to the first one after which other signers count: all of them are checked in one call. */
  private async stretch(steps: readonly LineStep[], before: SigningPolicy): Promise<Stretch> {
    let last: VersionPolicy = { policy: before, isOwn: false, findings: [] };
    let settled: string | null = null;
    let count = 0;
    while (count < steps.length && last.policy === before) {
      const { after = "" } = steps[count++] ?? {};
      last = await this.policies.after(after, before);
      if (last.isOwn) settled = after;
    }
    return { steps: steps.slice(0, count), end: steps[count - 1]?.after ?? "", last, settled };
  }

  /** What is wrong with the signatures of a stretch; of all since its beginning, where it is the first that needs any. */
  private async check({ steps, end, last }: Stretch, before: SigningPolicy): Promise<HistoryFinding[]> {
    const { git, heard, folder = join(git.dir, "stateward-signers") } = this.options;
    const policy = before ?? last.policy;
    if (policy === null) return [];
    const isFirst = before === null;
    const commits = isFirst
      ? (await this.graph(end, policy.since)).map(({ commit }) => commit)
      : steps.flatMap((step) => step.commits);
    const keyOf = (commit: string): string => `${policy.id} ${commit}`;
    const fresh = commits.filter((commit) => !this.known.has(keyOf(commit)));
    if (fresh.length > 0) {
      const content = await git.objects.need(policy.id, "blob");
      const file = await writeSigners(folder, policy.id, content.data);
      const signatures = await checkSignatures(git, file, fresh, (done) => heard?.(done, fresh.length));
      for (const signature of signatures) this.known.set(keyOf(signature.commit), signature);
    }
    const bad = commits.flatMap((commit) => {
      const signature = this.known.get(keyOf(commit));
      return signature === undefined || signature.isGood ? [] : [signature];
    });
    return unsigned(bad, policy.signers);
  }

  /** Commits that a version descends from and `from` does not. */
  private async graph(version: string, from: string): Promise<GraphCommit[]> {
    const text = await this.options.git.run(["rev-list", "--parents", version, `^${from}`]);
    return text.split("\n").flatMap((line) => {
      const [commit = "", ...parents] = line.split(" ");
      return commit === "" ? [] : [{ commit, parents }];
    });
  }
}

interface Stretch {
  readonly steps: readonly LineStep[];
  /** Its last version. */
  readonly end: string;
  /** What holds after it. */
  readonly last: VersionPolicy;
  /** Its last version that says itself what holds after it; null without one. */
  readonly settled: string | null;
}

function unsigned(bad: readonly Signature[], signers: string): HistoryFinding[] {
  const named = bad.slice(0, namedMax).map(({ commit, author, why }): HistoryFinding => {
    const by = author === "" ? "" : ` of ${printable(author).slice(0, 200)}`;
    return {
      code: "SW601",
      message: `commit ${commit.slice(0, 12)}${by} is not in force, nor what is built on it: ${why}`,
      remedy: `have it signed by one of ${signers} as it was before: take it off main (git push --force-with-lease), sign it (git rebase --exec 'git commit --amend --no-edit -S'), push, then stateward accept-history --yes`,
    };
  });
  const rest = bad.length - named.length;
  const more: HistoryFinding = {
    code: "SW601",
    message: `and ${rest} more commits`,
    remedy: "stateward verify names them all",
  };
  return rest > 0 ? [...named, more] : named;
}

/** Without starting a process: this is asked at every poll. */
async function isOnPath(program: string, path: string): Promise<boolean> {
  for (const folder of path.split(delimiter)) {
    if (folder === "") continue;
    const isThere = await access(join(folder, program), constants.X_OK).then(
      () => true,
      () => false,
    );
    if (isThere) return true;
  }
  return false;
}
