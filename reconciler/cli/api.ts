// The running reconciler, asked over HTTP by the other commands.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Failure } from "../model/failure.ts";
import { issueToken, loadTokenKey } from "../server/tokens.ts";
import { tokenKeyFile, type Workspace } from "./workspace.ts";

export interface Api {
  get<T>(path: string): Promise<T>;
  post<T = null>(path: string, body: unknown): Promise<T>;
}

/** The reconciler of this data folder, or null when none answers. */
export async function findApi(workspace: Workspace): Promise<Api | null> {
  const text = await readFile(join(workspace.data, "run.json"), "utf8").catch(() => null);
  if (text === null) return null;
  const url = urlIn(text);
  if (url === null) return null;
  const token = issueToken(await loadTokenKey(tokenKeyFile(workspace)), { kind: "operator" });
  const headers = { authorization: `Bearer ${token}` };
  const call = async (path: string, init: RequestInit): Promise<Response> =>
    fetch(new URL(path, url), {
      ...init,
      headers: { ...headers, "content-type": "application/json" },
      // An archive waits for its pushes; everything else answers at once.
      signal: AbortSignal.timeout(path.endsWith("/archives") ? 600_000 : 10_000),
    });
  // Another folder's reconciler may have come to listen there since.
  const instance = (await readFile(join(workspace.data, "instance"), "utf8").catch(() => "")).trim();
  const answering = await fetch(new URL("/healthz", url), { signal: AbortSignal.timeout(10_000) }).then(
    async (response) => ((await response.json()) as { instance?: string }).instance,
    () => undefined,
  );
  if (answering === undefined || answering !== instance) return null;
  return {
    get: async <T>(path: string) => {
      const response = await call(path, {});
      // 503 of /readyz is an answer like any other: it says why.
      const isProblem = response.headers.get("content-type")?.includes("application/problem+json") === true;
      if (!response.ok && response.status !== 503 && isProblem) throw await problemOf(response);
      if (!response.ok && response.status !== 503)
        throw new Failure("transient", `${url} answered ${response.status}`, {
          reason: "ApiRefused",
          hint: "another program, or another token key, may be behind that address",
        });
      return response.json() as Promise<T>;
    },
    post: async <T>(path: string, body: unknown) => {
      const response = await call(path, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
      });
      // What is only noted has no answer but its status.
      if (response.ok) return JSON.parse((await response.text()) || "null") as T;
      throw await problemOf(response);
    },
  };
}

/** A refusal as the interface explains it (RFC 9457). */
async function problemOf(response: Response): Promise<Failure> {
  const { detail, title, hint } = (await response.json()) as { detail: string; title: string; hint?: string };
  return new Failure("invalid", detail, { reason: title, ...(hint ? { hint } : {}) });
}

/** What run.json says, if it says anything. */
function urlIn(text: string): string | null {
  try {
    const { url } = JSON.parse(text) as { url?: unknown };
    return typeof url === "string" && URL.canParse(url) ? url : null;
  } catch {
    return null;
  }
}

/** The running reconciler, or a Failure that says how to start it. */
export async function needApi(workspace: Workspace): Promise<Api> {
  const api = await findApi(workspace);
  if (api) return api;
  throw new Failure("transient", "no reconciler runs on this folder", {
    reason: "NotRunning",
    hint: "start it with: stateward run",
  });
}
