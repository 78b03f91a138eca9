// GitHub as a command reaches it: which repository, by which address, with whose token. None of it comes from a commit.
import { resolve } from "node:path";
import { GitHub, type GitHubCredentials } from "../forge/client.ts";
import { Failure } from "../model/failure.ts";
import { readPrivate, type Workspace } from "./workspace.ts";

export interface GitHubCommandOptions {
  /** `owner/name`; default what the remote's address says. */
  readonly github?: string;
  /** Address of the REST interface; default that of github.com. */
  readonly githubApi?: string;
  /** File with the token. */
  readonly githubTokenFile?: string;
}

/** The repository of a Git remote's address on github.com, such as `acme/fleet`; null for any other address. */
export function repositoryIn(url: string): string | null {
  const [, repository] =
    /^(?:(?:https?|ssh|git):\/\/(?:[^@/]*@)?github\.com(?::\d+)?\/|(?:[^@/:]*@)?github\.com:\/?)([^/]+\/[^/]+?)(?:\.git)?\/?$/i.exec(
      url,
    ) ?? [];
  return repository ?? null;
}

/** Throws a Failure, before anything is asked, where the repository or the token is not known. */
export function openGitHub(options: GitHubCommandOptions, workspace: Workspace, remoteUrl: string | null): GitHub {
  const repository =
    options.github ?? process.env.GITHUB_REPOSITORY ?? (remoteUrl === null ? null : repositoryIn(remoteUrl));
  if (repository === null)
    throw new Failure("invalid", "it is not known which repository on GitHub is meant", {
      reason: "NoGitHubRepository",
      hint: "name it with --github owner/name",
    });
  const api = options.githubApi ?? process.env.GITHUB_API_URL;
  const credentials = tokenOf(options, workspace);
  return new GitHub({ repository, credentials, ...(api === undefined ? {} : { api }) });
}

function tokenOf({ githubTokenFile: file }: GitHubCommandOptions, { secrets }: Workspace): GitHubCredentials {
  const token =
    file === undefined
      ? (process.env.GITHUB_TOKEN ?? process.env.GH_TOKEN ?? "")
      : readPrivate(resolve(file), "token", "give a file that holds a token and nothing else");
  if (token.trim() === "")
    throw new Failure("invalid", "there is no token for GitHub", {
      reason: "NoGitHubToken",
      hint: "set GITHUB_TOKEN or GH_TOKEN, or name a file with --github-token-file; it needs contents: write and pull requests: write",
    });
  // A2: what a library or a server says of it does not show it.
  secrets.add(token.trim());
  return { kind: "token", token: token.trim() };
}
