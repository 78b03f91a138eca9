// What Git is set up with for a remote over HTTP: its credentials, and settings that only Git itself follows. It never prompts, and
// secrets go through pipes, never through arguments.
import { Failure } from "../model/failure.ts";
import type { ProcessResult, RunProcess } from "../model/ports.ts";
import { type Git, gitEnvironment } from "./git.ts";
import type { Credentials } from "./http-target.ts";

const timeoutMs = 15_000;

/**
 * Asks Git's credential helpers (`git credential fill`) with each call; null when they know none. `git` is the repository whose
 * settings count besides the user's and the machine's.
 */
export function gitCredentials(url: string, runProcess: RunProcess, git?: Git): () => Promise<Credentials | null> {
  return async () => {
    const input = describe(url);
    if (input === null) return null;
    const args = ["-c", "credential.interactive=false", "credential", "fill"];
    const result = await runGit(runProcess, git, args, input);
    if (result.exit !== 0) return null;
    const fields = new Map(
      result.stdout.split("\n").map((line) => [line.split("=", 1)[0] ?? "", line.slice(line.indexOf("=") + 1)]),
    );
    const [username, password] = [fields.get("username"), fields.get("password")];
    return username === undefined || password === undefined ? null : { username, password };
  };
}

/** Settings of `http.*` that change nothing for a list of refs. */
const harmless =
  /^http\.(lowspeedlimit|lowspeedtime|postbuffer|maxrequests|minsessions|receivepack|uploadpack|getanyfile|version)$/;

/** True when Git has settings for this remote that `HttpRefs` does not follow, such as `http.proxy` or `url.*.insteadOf`. */
export async function settingsNeedGit(url: string, runProcess: RunProcess, git?: Git): Promise<boolean> {
  if (!URL.canParse(url)) return true;
  const { origin, pathname } = new URL(url);
  const http = await runGit(runProcess, git, ["config", "-z", "--get-urlmatch", "http", origin + pathname]);
  const rewrites = await runGit(runProcess, git, ["config", "-z", "--get-regexp", "^url\\..*\\.insteadof$"]);
  // 1 says that there are none; anything else, that the settings cannot be read.
  if ([http, rewrites].some(({ exit }) => exit !== 0 && exit !== 1)) return true;
  const entries = ({ stdout }: ProcessResult): string[] => stdout.split("\0").filter((entry) => entry !== "");
  return (
    entries(http).some((entry) => !harmless.test(entry.split("\n", 1)[0] ?? "")) ||
    entries(rewrites).some((entry) => url.startsWith(entry.slice(entry.indexOf("\n") + 1)))
  );
}

/** The remote in the words of git-credential; null when a part of it cannot be said in one line. */
function describe(url: string): string | null {
  if (!URL.canParse(url)) return null;
  const { protocol, host, pathname, username } = new URL(url);
  try {
    const fields = {
      protocol: protocol.slice(0, -1),
      host,
      path: decodeURIComponent(pathname).replaceAll(/^\/+|\/+$/g, ""),
      username: decodeURIComponent(username),
    };
    const known = Object.entries(fields).filter(([, value]) => value !== "");
    // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
    if (known.some(([, value]) => /[\0\r\n]/.test(value))) return null;
    return `${known.map(([name, value]) => `${name}=${value}\n`).join("")}\n`;
  } catch {
    return null;
  }
}

async function runGit(
  runProcess: RunProcess,
  git: Git | undefined,
  args: readonly string[],
  input = "",
): Promise<ProcessResult> {
  const result = await runProcess({
    argv: ["git", ...(git === undefined ? [] : ["--git-dir", git.dir]), ...args],
    // Empty, not unset: unset ones fall back to one another, and to core.askPass.
    env: { ...(git?.env ?? gitEnvironment()), GIT_ASKPASS: "", SSH_ASKPASS: "", GCM_INTERACTIVE: "never" },
    input,
    timeoutMs,
    outputBytesMax: 1_000_000,
  }).catch(() => {
    throw new Failure("transient", "git cannot be started", {
      reason: "GitMissing",
      hint: "install git 2.34 or later",
    });
  });
  if (!result.timedOut) return result;
  throw new Failure("transient", `git did not say its settings within ${timeoutMs / 1000} s`, {
    reason: "GitTimeout",
    hint: "a credential helper may be waiting for a person: run `git credential fill` by hand",
  });
}
