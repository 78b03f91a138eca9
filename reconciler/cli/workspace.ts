// Where things are: the folder of the state repository, the reconciler's own data, the Git remote.
import { readFileSync, statSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { runProcess } from "../adapters/process.ts";
import { Failure } from "../model/failure.ts";
import { Secrets, secretsIn } from "../model/secrets.ts";
import { exists } from "../record/disk.ts";
import { type Git, type GitOptions, sshCommand } from "../record/git.ts";
import { openBare } from "../record/mirror.ts";
import { observedRef } from "../record/refs.ts";
import { GitRemote, type Listing, type Remote } from "../record/remote.ts";

/** Options that every command takes. */
export interface GlobalOptions {
  readonly folder: string;
  readonly data?: string;
  /** In the order of preference; the record is written to the first. */
  readonly repository?: readonly string[];
  /** File with credentials for the remote. */
  readonly credentials?: string;
  readonly json?: boolean;
}

export interface Workspace {
  readonly folder: string;
  readonly data: string;
  /** The Git remote to which the record is written; the embedded origin where none is named. */
  readonly remote: string;
  /** Remotes from which `main` is read while the first does not answer. */
  readonly fallbacks: readonly string[];
  readonly embedded: boolean;
  /** For every Git call. */
  readonly git: GitOptions;
  /** A2: what must not be printed, logged or recorded. */
  readonly secrets: Secrets;
}

export function openWorkspace(options: GlobalOptions): Workspace {
  const folder = resolve(options.folder);
  const data = resolve(options.data ?? join(folder, ".stateward"));
  const fromEnvironment = process.env.STATEWARD_REPOSITORY?.split(/\s+/).filter((url) => url !== "") ?? [];
  const named = options.repository ?? fromEnvironment;
  if (named.includes("")) {
    throw new Failure("invalid", "the address of the repository is empty", {
      reason: "BadRemote",
      hint: "give a path, or an https:// or ssh:// address, with --repository",
    });
  }
  const [remote, ...fallbacks] = named.map((url) => (/^[./]/.test(url) ? resolve(url) : url));
  const secrets = knownSecrets(options);
  const git = {
    ...credentialOptions(options.credentials ?? process.env.STATEWARD_CREDENTIALS),
    hide: (text: string) => secrets.hide(text),
  };
  const embedded = remote === undefined;
  return { folder, data, remote: remote ?? join(data, "origin.git"), fallbacks, embedded, git, secrets };
}

/** Secrets of this process: by their names in its environment, and in the file with credentials. Never throws. */
export function knownSecrets({ credentials }: Pick<GlobalOptions, "credentials">): Secrets {
  const file = credentials ?? process.env.STATEWARD_CREDENTIALS;
  return new Secrets([...secretsIn(process.env), ...(file === undefined ? [] : secretsOfFile(resolve(file)))]);
}

function secretsOfFile(file: string): string[] {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch {
    return [];
  }
  if (text.startsWith("-----BEGIN")) return [text];
  return text.split("\n").flatMap((line) => {
    const [, user = "", password = ""] = /^[a-z+]+:\/\/([^:@/]*)(?::([^@/]*))?@/i.exec(line.trim()) ?? [];
    // Without a password the name is the token.
    const secret = password === "" ? user : password;
    return secret === "" ? [] : [secret, decoded(secret)];
  });
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/**
 * A file with credentials: lines as `git credential-store` keeps them (`https://user:token@host`), or a private key for ssh. Its name
 * goes to Git, its content to nobody else.
 */
function credentialOptions(file: string | undefined): GitOptions {
  if (file === undefined) return {};
  const path = resolve(file);
  const head = readPrivate(
    path,
    "credentials",
    "give a file with lines such as https://user:token@host, or a private key for ssh",
  ).slice(0, 40);
  const quoted = `'${path.replaceAll("'", "'\\''")}'`;
  if (head.startsWith("-----BEGIN"))
    return { env: { GIT_SSH_COMMAND: `${sshCommand} -o IdentitiesOnly=yes -i ${quoted.replaceAll("%", "%%")}` } };
  // The empty one first: helpers of this machine's settings are not asked.
  const settings = ["", `store --file=${quoted}`];
  const known = Number(process.env.GIT_CONFIG_COUNT ?? 0);
  const entries = settings.flatMap((value, index) => [
    [`GIT_CONFIG_KEY_${known + index}`, "credential.helper"],
    [`GIT_CONFIG_VALUE_${known + index}`, value],
  ]);
  return { env: { ...Object.fromEntries(entries), GIT_CONFIG_COUNT: String(known + settings.length) } };
}

/** Text of a file that holds what is secret, `what` it is. Throws a Failure where others may read it, or it cannot be read. */
export function readPrivate(path: string, what: string, hint: string): string {
  try {
    if ((statSync(path).mode & 0o077) !== 0) {
      throw new Failure("invalid", `others may read the ${what} in ${path}`, {
        reason: "CredentialsOpen",
        hint: `chmod 600 ${path}`,
      });
    }
    return readFileSync(path, "utf8");
  } catch (cause) {
    if (cause instanceof Failure) throw cause;
    throw new Failure("invalid", `cannot read the ${what} in ${path}`, { reason: "NoCredentials", hint, cause });
  }
}

export const tokenKeyFile = (workspace: Workspace): string =>
  process.env.STATEWARD_TOKEN_KEY_FILE ?? join(workspace.data, "keys", "token.key");

/** What a Git host signs its hooks with; without the file, hooks are refused. */
export const hookSecretFile = (workspace: Workspace): string =>
  process.env.STATEWARD_WEBHOOK_SECRET_FILE ?? join(workspace.data, "keys", "webhook.secret");

export interface RecordMirror {
  readonly git: Git;
  readonly remote: Remote;
  readonly listing: Listing;
  readonly observed: string | null;
}

/** The mirror with the latest `observed` of the remote, for commands that only read. */
export async function openRecordMirror(workspace: Workspace): Promise<RecordMirror> {
  if (workspace.embedded && !(await exists(workspace.remote))) {
    throw new Failure("invalid", `there is no repository in ${workspace.remote}`, {
      reason: "NoRepository",
      hint: "start the reconciler first (stateward run), or name the folder with --folder or the remote with --repository",
    });
  }
  const dir = join(workspace.data, "view.git");
  try {
    return await viewRecord(workspace, dir);
  } catch (error) {
    // What it borrowed may be gone with the reconciler's mirror. It holds nothing of its own: another is made.
    if (!(error instanceof Failure) || !["GitFailed", "GitCorrupt"].includes(error.reason)) throw error;
    await rm(dir, { recursive: true, force: true });
    return viewRecord(workspace, dir);
  }
}

async function viewRecord(workspace: Workspace, dir: string): Promise<RecordMirror> {
  const git = await openBare(dir, runProcess, workspace.git);
  await borrowObjects(dir, join(workspace.data, "mirror.git", "objects"));
  const remote = new GitRemote(git, workspace.remote);
  const listing = await remote.list();
  // Whoever only looks is shown what the remote has, whatever history it has.
  if (listing.observed !== null && (await git.resolve(observedRef)) !== listing.observed)
    await remote.fetch("refs/heads/observed", observedRef);
  const observed = listing.observed === null ? null : (await git.objects.need(observedRef, "commit")).id;
  return { git, remote, listing, observed };
}

/** What a reconciler's mirror has need not be fetched again; its index of commits serves as well. */
export async function borrowObjects(dir: string, objects: string): Promise<void> {
  const file = join(dir, "objects", "info", "alternates");
  if (!(await exists(objects))) await rm(file, { force: true });
  else if (!(await exists(file))) await writeFile(file, `${objects}\n`);
}
