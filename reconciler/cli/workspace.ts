// Where things are: the folder of the state repository, the reconciler's own data, the Git remote.
import { access } from "node:fs/promises";
import { join, resolve } from "node:path";
import cron from "node-cron";
import { runProcess } from "../adapters/process.ts";
import { Failure } from "../model/failure.ts";
import { RepositoryLoader } from "../model/repository.ts";
import type { Git } from "../record/git.ts";
import { fetchBranch, listRemote, observedRef, openBare } from "../record/mirror.ts";

/** Options that every command takes. */
export interface GlobalOptions {
  readonly folder: string;
  readonly data?: string;
  readonly repository?: string;
  readonly json?: boolean;
}

export interface Workspace {
  readonly folder: string;
  readonly data: string;
  /** The Git remote; the embedded origin where none is named. */
  readonly remote: string;
  readonly embedded: boolean;
}

export function openWorkspace(options: GlobalOptions): Workspace {
  const folder = resolve(options.folder);
  const data = resolve(options.data ?? join(folder, ".stateward"));
  const named = options.repository ?? process.env.STATEWARD_REPOSITORY;
  const remote = named === undefined ? join(data, "origin.git") : /^[./]/.test(named) ? resolve(named) : named;
  return { folder, data, remote, embedded: named === undefined };
}

export const tokenKeyFile = (workspace: Workspace): string =>
  process.env.STATEWARD_TOKEN_KEY_FILE ?? join(workspace.data, "keys", "token.key");

/** A loader that also knows cron expressions. */
export function createLoader(): RepositoryLoader {
  return new RepositoryLoader({ isCron: (expression) => cron.validate(expression) });
}

/** The mirror with the latest `observed` of the remote, for commands that only read. */
export async function openRecordMirror(workspace: Workspace): Promise<{ git: Git; observed: string | null }> {
  if (workspace.embedded && !(await exists(workspace.remote))) {
    throw new Failure("invalid", `there is no repository in ${workspace.remote}`, {
      reason: "NoRepository",
      hint: "start the reconciler first (stateward run), or name one with --repository",
    });
  }
  const git = await openBare(join(workspace.data, "view.git"), runProcess);
  const { observed } = await listRemote(git, workspace.remote);
  if (observed !== null && !(await fetchBranch(git, workspace.remote, "observed"))) {
    throw new Failure("stalled", "the branch observed was rewound or rewritten", {
      reason: "RecordRewound",
      hint: "find out who did it; to accept it, remove the folder .stateward/view.git",
    });
  }
  return { git, observed: observed === null ? null : await git.resolve(observedRef) };
}

export async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
