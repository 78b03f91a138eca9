// Listing refs over HTTP without a process for each look, wherever Git itself would do nothing else.
import { Failure } from "../model/failure.ts";
import type { RunProcess } from "../model/ports.ts";
import { gitCredentials, settingsNeedGit } from "./credentials.ts";
import type { Git } from "./git.ts";
import { HttpRefs } from "./ls-refs.ts";
import type { QuickList } from "./remote.ts";

/** Git is asked instead for this long, once something was met that only Git handles. */
const gitForMs = 3_600_000;

/** For a remote over HTTP; null for any other. */
export function quickList(git: Git, url: string, runProcess: RunProcess): QuickList | null {
  return /^https?:\/\//i.test(url) ? new HttpQuickList(git, url, runProcess) : null;
}

class HttpQuickList implements QuickList {
  private readonly needsGit: () => Promise<boolean>;
  private readonly refs: HttpRefs;
  private gitUntil = 0;
  private isChecked = false;

  constructor(git: Git, url: string, runProcess: RunProcess) {
    this.needsGit = () => settingsNeedGit(url, runProcess, git);
    this.refs = new HttpRefs({ url, credentials: gitCredentials(url, runProcess, git) });
  }

  async list(prefixes: readonly string[]): Promise<ReadonlyMap<string, string> | "unsupported"> {
    if (performance.now() < this.gitUntil) return "unsupported";
    if (!this.isChecked && (await this.needsGit())) return this.leaveToGit();
    this.isChecked = true;
    try {
      const refs = await this.refs.list(prefixes);
      return refs === "unsupported" ? this.leaveToGit() : refs;
    } catch (error) {
      // A password that a helper keeps may have become stale: Git itself tells the helper so.
      if (error instanceof Failure && error.reason === "GitAuth") return "unsupported";
      throw error;
    }
  }

  close(): void {
    this.refs.close();
  }

  private leaveToGit(): "unsupported" {
    this.gitUntil = performance.now() + gitForMs;
    return "unsupported";
  }
}
