// stateward accept-history and stateward record archive: a person's word about the history of the branches.
import { join } from "node:path";
import { runProcess } from "../adapters/process.ts";
import { Failure } from "../model/failure.ts";
import { type Branch, goesOn } from "../record/follow.ts";
import { openBare } from "../record/mirror.ts";
import { GitRemote } from "../record/remote.ts";
import { TipsFile } from "../record/tips.ts";
import { needApi } from "./api.ts";
import { paint, print, printJson } from "./output.ts";
import { type GlobalOptions, openWorkspace } from "./workspace.ts";

export interface AcceptOptions extends GlobalOptions {
  readonly yes?: boolean;
}

/** What became of one branch since it was last followed. */
interface Doubt {
  readonly branch: Branch;
  readonly accepted: string;
  /** Null for a branch that is gone. */
  readonly tip: string | null;
  /** Commits that were followed and are not part of it any more; null where they cannot be counted. */
  readonly lost: number | null;
}

/** stateward accept-history: shows which branches were rewound or rewritten; with `--yes`, they are followed as they are now. */
export async function acceptHistory(options: AcceptOptions): Promise<number> {
  const workspace = openWorkspace(options);
  const tips = await TipsFile.open(workspace.data);
  const doubts = await findDoubts(workspace, tips);
  if (options.yes) for (const { branch, tip } of doubts) await tips.acceptByHand(branch, tip);
  if (options.json) printJson({ accepted: options.yes === true, branches: doubts });
  else printDoubts(doubts, options.yes === true);
  return 0;
}

async function findDoubts(workspace: ReturnType<typeof openWorkspace>, tips: TipsFile): Promise<Doubt[]> {
  const git = await openBare(join(workspace.data, "mirror.git"), runProcess, workspace.git);
  const remote = new GitRemote(git, workspace.remote);
  const listing = await remote.list();
  const doubts: Doubt[] = [];
  for (const branch of ["main", "observed"] as const) {
    const [accepted, tip] = [tips.now[branch], listing[branch]];
    if (accepted === null || accepted === tip) continue;
    if (tip !== null) await remote.fetch(`refs/heads/${branch}`, `refs/stateward/looked-at-${branch}`);
    if (tip !== null && (await goesOn({ git, remote }, branch, { tip, accepted }))) continue;
    const range = tip === null ? [accepted] : [accepted, `^${tip}`];
    const count = await git.try(["rev-list", "--count", ...range]);
    doubts.push({ branch, accepted, tip, lost: count.exit === 0 ? Number(count.stdout) : null });
  }
  return doubts;
}

function printDoubts(doubts: readonly Doubt[], isAccepted: boolean): void {
  if (doubts.length === 0) print("every branch goes on from what was followed: there is nothing to accept");
  for (const { branch, accepted, tip, lost } of doubts) {
    print(
      `${paint("bold", branch)}: ${accepted.slice(0, 8)} was followed, ${tip === null ? "and the branch is gone" : `${tip.slice(0, 8)} is there now`}`,
    );
    print(`    ${lost ?? "an unknown number of"} commits that were followed are not part of it`);
    print(
      `    to put it back instead: git push ${tip === null ? "" : "--force "}origin ${accepted}:refs/heads/${branch}`,
    );
  }
  if (doubts.length === 0) return;
  if (doubts.some(({ branch }) => branch === "observed"))
    print(
      "    steps http and tcp marked never leave no claim on their hosts: those that only the lost commits knew of may run again",
    );
  if (isAccepted) print("accepted, for this data folder: its reconciler follows at its next look");
  else print("nothing was changed: give --yes to follow the branches as they are now");
}

export interface ArchiveOptions extends GlobalOptions {
  readonly dryRun?: boolean;
}

/** stateward record archive: the record gets a new root, and what it was stays on a branch. The reconciler that leads does it. */
export async function archive(options: ArchiveOptions): Promise<number> {
  const workspace = openWorkspace(options);
  if (options.dryRun) {
    print(
      "the leader would push what observed is now to a branch below observed-archive/, and give observed a new root with the same files",
    );
    print("nothing was changed: --dry-run");
    return 0;
  }
  const api = await needApi(workspace);
  const answer = await api.post<{ branch?: string }>("/v1/record/archives", {});
  const { branch } = answer;
  if (branch === undefined)
    throw new Failure("transient", "the reconciler did not say where the history went", { reason: "NoAnswer" });
  if (options.json) printJson({ branch });
  else print(`observed has a new root; what it was is on ${branch}, and stateward history reads on there`);
  return 0;
}
