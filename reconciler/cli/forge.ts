// GitHub as a reconciler reaches it: which repository, by which address, as whom. None of it comes from a commit, or whoever may change a
// file could send the token elsewhere.
import { join, resolve } from "node:path";
import { runProcess } from "../adapters/process.ts";
import { GitHub, type GitHubCredentials } from "../forge/client.ts";
import { HaltedReverts } from "../forge/reverts.ts";
import { ForgeService } from "../forge/service.ts";
import { Failure } from "../model/failure.ts";
import type { RefusedCommit } from "../model/forge.ts";
import type { CoordinationReader, CoordinationWriter, FleetReader } from "../model/ports.ts";
import type { Problem } from "../model/problem.ts";
import type { GitHubSettings } from "../model/types.ts";
import type { CommitSigner } from "../record/commit-signer.ts";
import type { Git } from "../record/git.ts";
import { observedRef } from "../record/refs.ts";
import { GitRemote } from "../record/remote.ts";
import { createChangePlanner } from "./change-planner.ts";
import { PullRequestMirror } from "./pull-request-source.ts";
import { createRevertMaker } from "./revert-maker.ts";
import { readPrivate, type Workspace } from "./workspace.ts";

export interface ForgeOptions {
  /** `owner/name`; pull requests are looked after only where it is given. */
  readonly github?: string;
  /** Address of the REST interface; default that of github.com. */
  readonly githubApi?: string;
  /** File with a token; default the variable `STATEWARD_GITHUB_TOKEN`. */
  readonly githubTokenFile?: string;
  readonly githubAppId?: string;
  /** File with the private key of the app. */
  readonly githubAppKeyFile?: string;
  /** False where halted commits are not offered to be taken back. */
  readonly revert?: boolean;
}

/** Null where no repository on GitHub is named. Throws a Failure for credentials that cannot be used; asks nothing. */
function gitHubOf(options: ForgeOptions, workspace: Workspace): GitHub | null {
  const { env } = process;
  const repository = options.github ?? env.STATEWARD_GITHUB ?? "";
  if (repository === "") return null;
  if (workspace.embedded)
    throw new Failure("invalid", "pull requests are of a repository on GitHub, and this one is in the data folder", {
      reason: "Usage",
      hint: "name the Git remote as well: --repository https://github.com/owner/name.git",
    });
  const api = options.githubApi ?? env.STATEWARD_GITHUB_API;
  const credentials = credentialsOf(options, workspace);
  return new GitHub({ repository, credentials, ...(api === undefined ? {} : { api }) });
}

function credentialsOf(options: ForgeOptions, { secrets }: Workspace): GitHubCredentials {
  const { env } = process;
  const appId = options.githubAppId ?? env.STATEWARD_GITHUB_APP_ID;
  const keyFile = options.githubAppKeyFile ?? env.STATEWARD_GITHUB_APP_KEY_FILE;
  const tokenFile = options.githubTokenFile ?? env.STATEWARD_GITHUB_TOKEN_FILE;
  if (appId !== undefined && keyFile !== undefined) {
    const privateKey = secretIn(keyFile);
    secrets.add(privateKey);
    return { kind: "app", appId, privateKey };
  }
  const token = tokenFile === undefined ? (env.STATEWARD_GITHUB_TOKEN ?? "").trim() : secretIn(tokenFile);
  if (token === "")
    throw new Failure("invalid", "there are no credentials for GitHub", {
      reason: "NoGitHubCredentials",
      hint: "give --github-app-id with --github-app-key-file, or --github-token-file",
    });
  secrets.add(token);
  return { kind: "token", token };
}

function secretIn(file: string): string {
  const path = resolve(file);
  const hint = "give a file that holds a token, or the private key of the app, and nothing else";
  const secret = readPrivate(path, "credentials", hint).trim();
  if (secret !== "") return secret;
  throw new Failure("invalid", `the credentials in ${path} are empty`, { reason: "NoCredentials", hint });
}

export interface Forge {
  /** Null where no repository on GitHub is named. */
  readonly service: ForgeService | null;
  start(): void;
  /** Ends it without waiting for GitHub. */
  stop(): void;
}

/** What a reconciler has for it. */
interface ForgeParts {
  /** The mirror. */
  readonly git: Git;
  readonly fleet: FleetReader;
  readonly coordination: CoordinationReader & CoordinationWriter;
  /** In force; null before there are any. */
  readonly settings: () => GitHubSettings | null;
  readonly now: () => number;
  /** The latest commit of main, where it was refused. */
  readonly refused: () => { readonly commit: string; readonly problems: readonly Problem[] } | null;
  readonly notice: (message: string) => void;
  /** Signs commits of ours; null where no key was given. */
  readonly signer: CommitSigner | null;
}

/** What looks after pull requests; it asks nothing before it is started. Throws as `gitHubOf` does. */
export function createForge(
  options: ForgeOptions,
  workspace: Workspace,
  { git, settings, refused, ...parts }: ForgeParts,
): Forge {
  const github = gitHubOf(options, workspace);
  if (github === null) return { service: null, start: () => {}, stop: () => {} };
  const source = new PullRequestMirror(workspace);
  const planner = createChangePlanner({
    runProcess,
    dir: source.dir,
    recordRef: () => git.resolve(observedRef),
    cache: join(workspace.data, "cache", "pull-requests"),
    secrets: workspace.secrets,
  });
  const reverts = options.revert === false ? null : revertsOf(workspace, github, { git, ...parts });
  const service = new ForgeService({
    ...parts,
    ...(reverts === null ? {} : { reverts }),
    github,
    planner,
    source,
    branch: "main",
    publish: () => settings() ?? { owners: {}, labels: false, reviews: false },
    environmentOf: (region) => environmentIn(settings(), region),
    refused: () => refusedIn(refused(), (text) => workspace.secrets.hide(text)),
  });
  const stop = (): void => {
    service.stop();
    source.close();
  };
  return { service, start: () => service.start(), stop };
}

/** What offers to take halted commits back. Its planner reads the mirror, where the commits that it makes are. */
function revertsOf(
  workspace: Workspace,
  github: GitHub,
  { git, fleet, coordination, now, notice, signer: given }: Omit<ForgeParts, "settings" | "refused">,
): HaltedReverts {
  const { secrets, remote } = workspace;
  const hide = (text: string): string => secrets.hide(text);
  const signer = given === null ? {} : { signer: given };
  return new HaltedReverts({
    github,
    notice,
    branch: "main",
    maker: createRevertMaker({ git, remote: new GitRemote(git, remote), now, hide, ...signer }),
    planner: createChangePlanner({
      runProcess,
      dir: git.dir,
      recordRef: () => git.resolve(observedRef),
      cache: null,
      secrets,
    }),
    fleet: { subjects: () => fleet.subjects(), fleet: () => coordination.fleet() },
    hide,
  });
}

function refusedIn(refused: ReturnType<ForgeParts["refused"]>, hide: (text: string) => string): RefusedCommit | null {
  const [first] = refused?.problems ?? [];
  if (refused === null || first === undefined) return null;
  const { file, line, code, message } = first;
  const said = hide(`${file}:${line} ${code} ${message}`);
  return { commit: refused.commit, problems: refused.problems.length, first: said };
}

/** Hosts without a region are all in one. */
function environmentIn(settings: GitHubSettings | null, region: string | null): string {
  if (region === null) return "production";
  const { environments = {} } = settings ?? {};
  return Object.hasOwn(environments, region) ? (environments[region] ?? region) : region;
}
