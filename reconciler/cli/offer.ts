// A change that a command offers as a pull request: made from the remote's main, in objects alone, so that the folder stays as it is.
import { join } from "node:path";
import { runProcess } from "../adapters/process.ts";
import { fits } from "../forge/block.ts";
import { cut } from "../forge/escape.ts";
import type { ChangePlanner, PullRequestOpener } from "../model/forge.ts";
import { printable } from "../model/printable.ts";
import { writeTree } from "../record/commit.ts";
import { exists } from "../record/disk.ts";
import { DocumentCache } from "../record/document-cache.ts";
import { DesiredMirror } from "../record/mirror.ts";
import { objectId } from "../record/pack.ts";
import { PersonRepository } from "../record/person-repository.ts";
import { TipsFile } from "../record/tips.ts";
import {
  type Change,
  type ChangeOptions,
  contentsOf,
  diffText,
  editFolder,
  type Ground,
  type MakeChange,
  printChange,
  refuseErrors,
} from "./change.ts";
import { createChangePlanner } from "./change-planner.ts";
import { documentVersion } from "./document-version.ts";
import { type GitHubCommandOptions, openGitHub } from "./github.ts";
import { createLoader } from "./loader.ts";
import { print, printJson } from "./output.ts";
import type { Workspace } from "./workspace.ts";

export interface OfferOptions extends ChangeOptions, GitHubCommandOptions {
  /** Open a pull request in place of editing the folder. */
  readonly pr?: boolean;
  readonly message?: string;
  /** Name of the remote in the folder's own repository. */
  readonly remote?: string;
}

/** Makes a change in the folder, or with `--pr` offers it. */
export async function makeOrOffer(options: OfferOptions, workspace: Workspace, change: MakeChange): Promise<number> {
  return options.pr
    ? withRepository(options, workspace, (repository) => offer(options, { workspace, repository }, change))
    : editFolder(options, workspace, change);
}

/** The repository that the folder is the top of, for as long as `use` takes. */
export async function withRepository<T>(
  { remote = "origin" }: Pick<OfferOptions, "remote">,
  { folder, git }: Workspace,
  use: (repository: PersonRepository) => Promise<T>,
): Promise<T> {
  const repository = await PersonRepository.open(folder, { runProcess, remote, ...git });
  try {
    return await use(repository);
  } finally {
    repository.close();
  }
}

export interface Place {
  readonly workspace: Workspace;
  readonly repository: PersonRepository;
}

/** Offers a change from the remote's main as a pull request, or with `--dry-run` says how. */
export async function offer(options: OfferOptions, place: Place, { make, mends = false }: MakeChange): Promise<number> {
  const { workspace, repository } = place;
  // Whoever may not open a pull request is told before a branch is pushed. Without one, a dry run needs no token.
  const github = options.dryRun ? null : openGitHub(options, workspace, await repository.url());
  const base = await repository.fetchMain();
  const mirror = commitsOf(repository);
  const ground = await groundAt(repository, mirror, base);
  if (!mends) refuseErrors(ground.loaded.problems);
  const change = await make(ground);
  if (change === null) return 0;
  const tree = await writeTree(repository.git, base, contentsOf(change));
  const { title, text } = wordsFor(workspace, change, options);
  const commit = await repository.commit(tree, base, text);
  refuseErrors((await mirror.at(commit)).loaded.problems);
  const branch = `stateward/${change.slug}${change.isOnly ? "" : `-${digestOf(change)}`}`;
  const diff = diffText(workspace, ground, change);
  const planner = await plannerOf(place);
  // A2: each part has lost its secrets by itself. Markdown that something is taken out of may be other Markdown.
  const message = printable(workspace.secrets.hide(options.message ?? ""));
  const body = await bodyOf(change, { planner, commits: [base, commit], message });
  const request = { branch, base: "main", title, body };
  if (github === null) return told(options, { change, diff, request });
  return opened(options, { change, diff, request }, { opener: github, repository, commit });
}

interface Prepared {
  readonly change: Change;
  readonly diff: string;
  readonly request: Parameters<PullRequestOpener["open"]>[0];
}

function told({ json }: OfferOptions, { change, diff, request }: Prepared): number {
  if (json) printJson({ ...request, lines: change.lines, diff, pushed: false, opened: false });
  else {
    printChange(change, diff);
    print(
      `would push ${request.branch}, and open: ${request.title}\n\n${request.body}\n\nnothing was changed: --dry-run`,
    );
  }
  return 0;
}

async function opened(
  { json }: OfferOptions,
  { change, diff, request }: Prepared,
  { opener, repository, commit }: { opener: PullRequestOpener; repository: PersonRepository; commit: string },
): Promise<number> {
  const pushed = await repository.push(commit, request.branch);
  const { branch } = pushed;
  const { number, url, isNew } = await opener.open({ ...request, branch });
  if (json) {
    const done = { pushed: pushed.isNew, opened: isNew, commit: pushed.commit, number, url };
    printJson({ ...request, branch, lines: change.lines, diff, ...done });
    return 0;
  }
  printChange(change, diff);
  if (pushed.isNew) print(`pushed ${branch}, and opened: ${url}`);
  else if (isNew) print(`the branch ${branch} was there already; opened: ${url}`);
  else print(`nothing new: the branch ${branch} and its pull request are there already: ${url}`);
  return 0;
}

/** The same for the same change, wherever main has gone meanwhile. */
function digestOf({ files }: Change): string {
  return objectId("blob", Buffer.from(JSON.stringify(files))).slice(0, 8);
}

function commitsOf({ git }: PersonRepository): DesiredMirror {
  const cache = new DocumentCache(null, documentVersion);
  return new DesiredMirror({ git, remotes: [], tips: TipsFile.forgetful(), loader: createLoader(), cache });
}

async function groundAt({ git }: PersonRepository, mirror: DesiredMirror, commit: string): Promise<Ground> {
  const { loaded } = await mirror.at(commit);
  const textOf = async (path: string): Promise<string> =>
    (await git.objects.need(`${commit}:${path}`, "blob")).data.toString();
  return { loaded, commit, textOf };
}

/** With the record as the clone has it; what was parsed is kept where there is a data folder already. */
async function plannerOf({ workspace, repository }: Place): Promise<ChangePlanner> {
  const { data, secrets } = workspace;
  return createChangePlanner({
    runProcess,
    dir: repository.git.dir,
    recordRef: () => Promise.resolve(null),
    cache: (await exists(data)) ? join(data, "cache") : null,
    secrets,
  });
}

const titleMax = 200;

/** The first line of what the person says is the title. */
function wordsFor(
  { secrets }: Workspace,
  { title: ours, lines }: Change,
  { message = "" }: OfferOptions,
): { readonly title: string; readonly text: string } {
  const [first = "", ...rest] = printable(secrets.hide(message)).trim().split("\n");
  const title = cut(first.trim() || ours, titleMax);
  const body = rest.join("\n").trim() || lines.join("\n");
  return { title, text: `${title}\n\n${body}\n` };
}

async function bodyOf(
  { introduction = "" }: Change,
  how: {
    readonly planner: ChangePlanner;
    readonly commits: readonly [base: string, head: string];
    readonly message: string;
  },
): Promise<string> {
  const said = how.message.trim().split("\n").slice(1).join("\n").trim();
  const { comment } = await how.planner.plan(...how.commits);
  // The plan may fill a body by itself; what the person said is in the commit as well.
  const choices = [[said, introduction, comment], [introduction, comment], [comment]];
  const bodies = choices.map((parts) => parts.filter((part) => part !== "").join("\n\n"));
  return bodies.find(fits) ?? "";
}
