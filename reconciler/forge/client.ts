// GitHub's REST interface for one repository, as a GitHub App or with a token. Every error is a Failure; no secret is in any of them.
import { App, Octokit, RequestError } from "octokit";
import { Failure, messageOf } from "../model/failure.ts";
import type { OpenedPullRequest, ProposedChange, PullRequestOpener } from "../model/forge.ts";
import { Answer, loginOf, type PullRequest, pullRequestOf } from "./answers.ts";
import { carefulFetch } from "./careful-fetch.ts";

export type GitHubCredentials =
  /** `privateKey` is PEM. The installation is found by the repository. */
  | { readonly kind: "app"; readonly appId: string; readonly privateKey: string }
  /** `login` where it is known whose token it is, such as `github-actions[bot]`: not every token may ask. */
  | { readonly kind: "token"; readonly token: string; readonly login?: string };

export interface GitHubOptions {
  /** `owner/name`. */
  readonly repository: string;
  /** Address of the interface; default that of github.com. */
  readonly api?: string;
  readonly credentials: GitHubCredentials;
  /** A request takes no longer; default 20 s. */
  readonly timeoutMs?: number;
  /** Off: no request is spaced, waited for or tried again. */
  readonly isPatient?: boolean;
  /** Milliseconds for each second that is waited before something is tried again; default 1000. */
  readonly waitUnitMs?: number;
}

/** Parameters of a request, those of its path and its body together. */
export type Parameters = Readonly<Record<string, unknown>>;

const githubApi = "https://api.github.com";
const timeoutDefaultMs = 20_000;
const answerBytesMax = 20_000_000;
/** Longer waits are the caller's: its other work goes on meanwhile. */
const waitMaxS = 60;
/**
 * Statuses that another try does not change: those of the library, and 429. Limits are waited for by the other plugin; what it does not
 * know for one would be asked for again at once, whatever GitHub says about when.
 */
const doNotRetry = [400, 401, 403, 404, 410, 422, 429, 451];
/** GitHub gives at most so many entries at once. */
const pageSize = 100;
const pagesMax = 30;
const repositoryPattern = /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})\/(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}$/;

export class GitHub implements PullRequestOpener {
  readonly owner: string;
  readonly repo: string;
  private readonly options: GitHubOptions;
  private readonly octokits: typeof Octokit;
  private connected: Promise<{ readonly octokit: Octokit; readonly login: string }> | null = null;

  /** Throws a Failure for a repository or an address that cannot be; makes no request. */
  constructor(options: GitHubOptions) {
    const { repository, api = githubApi, timeoutMs = timeoutDefaultMs, isPatient = true } = options;
    const { waitUnitMs: retryAfterBaseValue = 1000 } = options;
    if (!repositoryPattern.test(repository)) throw badRepository(repository);
    const [owner = "", repo = ""] = repository.split("/");
    [this.owner, this.repo] = [owner, repo];
    this.options = options;
    const baseUrl = checkApi(api);
    const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
    const mayWait = (waitS: number, request: { request: { retryCount?: number } }): boolean =>
      waitS <= waitMaxS && (request.request.retryCount ?? 0) < 2;
    this.octokits = Octokit.defaults({
      baseUrl,
      userAgent: "stateward",
      log,
      request: { fetch: carefulFetch({ api: baseUrl, timeoutMs, answerBytesMax }), log },
      retry: { enabled: isPatient, retryAfterBaseValue, doNotRetry },
      throttle: { enabled: isPatient, retryAfterBaseValue, onRateLimit: mayWait, onSecondaryRateLimit: mayWait },
    });
  }

  /** Login of whoever writes with these credentials, such as `stateward-ana[bot]`. */
  async login(): Promise<string> {
    return (await this.connection()).login;
  }

  /**
   * One request below `/repos/OWNER/NAME`, such as `GET /pulls/{pull_number}`. What makes something new is not tried again by itself: an
   * answer that was lost may have been a yes, so whoever tries again looks first.
   */
  async ask(route: string, parameters: Parameters = {}): Promise<Answer> {
    const { octokit } = await this.connection();
    return this.request(octokit, inRepository(route), { owner: this.owner, repo: this.repo, ...parameters });
  }

  /** All entries of a list, at most `max` of them, in GitHub's order; `name` is that of the list where the answer has more. */
  async list(route: string, parameters: Parameters = {}, options: ListOptions = {}): Promise<Answer[]> {
    const { max = 1000, name } = options;
    const found: Answer[] = [];
    for (let page = 1; found.length < max; page++) {
      const answer = await this.ask(route, { ...parameters, per_page: pageSize, page });
      const entries = (name === undefined ? answer : answer.at(name)).list();
      found.push(...entries);
      if (entries.length < pageSize) break;
    }
    return found.slice(0, max);
  }

  /** Null in place of what GitHub does not have. */
  async orNull<T>(asked: Promise<T>): Promise<T | null> {
    try {
      return await asked;
    } catch (error) {
      if (error instanceof Failure && ["GitHubNotFound", "GitHubInvalid"].includes(error.reason)) return null;
      throw error;
    }
  }

  /** The first entry of a list that is looked for, or null; later pages are read only as far as it takes. */
  async find(route: string, parameters: Parameters, isMeant: (entry: Answer) => boolean): Promise<Answer | null> {
    for (let page = 1; page <= pagesMax; page++) {
      const entries = (await this.ask(route, { ...parameters, per_page: pageSize, page })).list();
      const found = entries.find(isMeant);
      if (found !== undefined) return found;
      if (entries.length < pageSize) break;
    }
    return null;
  }

  /** A list's first page, or null where it is what it was when GitHub gave the tag: that costs nothing of what may be asked in an hour. */
  async changed(
    route: string,
    parameters: Parameters,
    tag: string | null,
  ): Promise<{ entries: Answer[]; tag: string } | null> {
    const { octokit } = await this.connection();
    const headers = tag === null ? {} : { "if-none-match": tag };
    const where = { owner: this.owner, repo: this.repo, per_page: pageSize };
    try {
      const answer = await octokit.request(inRepository(route), { ...where, ...parameters, headers });
      return { entries: new Answer(answer.data, `the answer to ${route}`).list(), tag: answer.headers.etag ?? "" };
    } catch (error) {
      if (error instanceof RequestError && error.status === 304) return null;
      throw failureOf(error, route);
    }
  }

  /** Whether these are an app's credentials: only apps may make check runs. */
  async isApp(): Promise<boolean> {
    return (await this.login()).endsWith("[bot]");
  }

  async pull(number: number): Promise<PullRequest> {
    return pullRequestOf(await this.ask("GET /pulls/{pull_number}", { pull_number: number }));
  }

  /** The newest status of ours under a name, or null. */
  async status(ref: string, context: string): Promise<CommitStatus | null> {
    const self = await this.login();
    const isOurs = (entry: Answer): boolean =>
      entry.at("context").text() === context && loginOf(entry.at("creator")) === self;
    const found = await this.find("GET /commits/{ref}/statuses", { ref }, isOurs);
    return (
      found && {
        state: found.at("state").text(),
        description: found.at("description").orNull((text) => text.text()) ?? "",
      }
    );
  }

  /** Sets a status of a commit, unless it is that already: GitHub takes 1000 of one name. */
  async setStatus(sha: string, context: string, { state, description }: CommitStatus): Promise<void> {
    const known = await this.status(sha, context);
    if (known?.state === state && known.description === description) return;
    await this.ask("POST /statuses/{sha}", { sha, context, state, description });
  }

  async open({ branch, base, title, body }: ProposedChange): Promise<OpenedPullRequest> {
    const find = async (): Promise<PullRequest | null> => {
      const head = `${this.owner}:${branch}`;
      const [found] = await this.list("GET /pulls", { state: "open", head, base }, { max: 1 });
      return found ? pullRequestOf(found) : null;
    };
    const known = await find();
    if (known) return { ...known, isNew: false };
    try {
      const made = pullRequestOf(await this.ask("POST /pulls", { head: branch, base, title, body }));
      return { ...made, isNew: true };
    } catch (error) {
      // Another one may have been quicker, and an answer may have been lost.
      const opened = await find().catch(() => null);
      if (opened) return { ...opened, isNew: true };
      throw error;
    }
  }

  private connection(): Promise<{ readonly octokit: Octokit; readonly login: string }> {
    // What failed is tried again by the next request.
    this.connected ??= this.connect().catch((error: unknown) => {
      this.connected = null;
      throw error;
    });
    return this.connected;
  }

  private async connect(): Promise<{ readonly octokit: Octokit; readonly login: string }> {
    const { credentials } = this.options;
    const repository = { owner: this.owner, repo: this.repo };
    if (credentials.kind === "token") {
      const octokit = withoutRepeatedPosts(new this.octokits({ auth: credentials.token }));
      return { octokit, login: credentials.login ?? (await this.loginOfToken(octokit)) };
    }
    const app = new App({ ...credentials, Octokit: this.octokits });
    const about = await this.request(app.octokit, "GET /app", {});
    const route = inRepository("GET /installation");
    const installation = (await this.request(app.octokit, route, repository)).at("id").number();
    return {
      octokit: withoutRepeatedPosts(await app.getInstallationOctokit(installation)),
      login: `${about.at("slug").text()}[bot]`,
    };
  }

  private async loginOfToken(octokit: Octokit): Promise<string> {
    try {
      return loginOf(await this.request(octokit, "GET /user", {})) ?? "";
    } catch (error) {
      // The token that a workflow is given may not ask: it is the one of an app.
      if (error instanceof Failure && error.reason === "GitHubForbidden") return "github-actions[bot]";
      throw error;
    }
  }

  private async request(octokit: Octokit, route: string, parameters: Parameters): Promise<Answer> {
    try {
      return new Answer((await octokit.request(route, { ...parameters })).data, `the answer to ${route}`);
    } catch (error) {
      throw failureOf(error, route);
    }
  }
}

/** GitHub keeps descriptions of statuses and deployments to this. */
export const descriptionCharsMax = 140;

export interface CommitStatus {
  readonly state: string;
  /** At most `descriptionCharsMax` characters. */
  readonly description: string;
}

interface ListOptions {
  readonly max?: number;
  readonly name?: string;
}

const inRepository = (route: string): string => route.replace(" /", " /repos/{owner}/{repo}/");

/** Limits are waited for: what was refused because of them was not done. */
function withoutRepeatedPosts(octokit: Octokit): Octokit {
  octokit.hook.before("request", ({ method, request }) => {
    if (request && method === "POST") request.retries = 0;
  });
  return octokit;
}

function badRepository(repository: string): Failure {
  return new Failure("invalid", `${JSON.stringify(repository)} is no repository on GitHub`, {
    reason: "BadRepository",
    hint: "give OWNER/NAME, as in the address of its page",
  });
}

/** The address without a slash at its end. A token goes over TLS, but for this machine itself. */
function checkApi(api: string): string {
  const url = URL.canParse(api) ? new URL(api) : null;
  const isLocal = url !== null && ["127.0.0.1", "[::1]", "localhost"].includes(url.hostname);
  const isSound = url !== null && (url.protocol === "https:" || (url.protocol === "http:" && isLocal));
  if (isSound && url.username === "" && url.search === "" && url.hash === "") return url.href.replace(/\/+$/, "");
  throw new Failure("invalid", `${JSON.stringify(api)} is no address of GitHub's interface`, {
    reason: "BadGitHubApi",
    hint: "give such as https://github.example.org/api/v3, without user, query or fragment",
  });
}

/** A refusal for now: how long GitHub wants to be left alone, 0 where it did not say. */
export class GitHubBusy extends Failure {
  readonly retryAfterMs: number;

  constructor(message: string, retryAfterMs: number, cause: unknown) {
    super("transient", message, { reason: "GitHubBusy", hint: "nothing is lost: it is tried again", cause });
    this.retryAfterMs = retryAfterMs;
  }
}

function failureOf(error: unknown, route: string): Failure {
  if (error instanceof Failure) return error;
  const foreign = innerFailure(error);
  if (foreign) return foreign;
  // A library's error carries the request with its headers: only its words go on.
  const said = `GitHub, asked ${route}: ${messageOf(error).slice(0, 500)}`;
  if (!(error instanceof RequestError) || error.response === undefined)
    return new Failure("transient", said, { reason: "GitHubUnreachable", hint: "it is tried again" });
  const { status } = error;
  const waitMs = waitOf(error.response.headers);
  const isLimited = status === 429 || (status === 403 && (waitMs > 0 || /rate limit/i.test(error.message)));
  if (isLimited || status >= 500) return new GitHubBusy(said, waitMs, undefined);
  const [reason, hint] = refusals[status] ?? ["GitHubRefused", "look at what GitHub says"];
  return new Failure("invalid", said, { reason, hint });
}

const refusals: Readonly<Record<number, readonly [string, string]>> = {
  401: ["GitHubUnauthorized", "give a token, or the id and the private key of an app, that is valid"],
  403: ["GitHubForbidden", "give the app or the token the permissions that docs/pull-requests.md lists"],
  404: ["GitHubNotFound", "look whether the app is installed on the repository, or the token may see it"],
  422: ["GitHubInvalid", "look at what GitHub says"],
};

/** The library wraps what `fetch` throws, once or twice. */
function innerFailure(error: unknown): Failure | null {
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 4; at = at.cause, depth++)
    if (at instanceof Failure) return at;
  return null;
}

/** Milliseconds that GitHub wants to be left alone for, at most an hour, which is how long its longest limit lasts. */
function waitOf(headers: Readonly<Record<string, string | number | undefined>>): number {
  const after = Number(headers["retry-after"] ?? 0);
  const reset = headers["x-ratelimit-remaining"] === "0" ? Number(headers["x-ratelimit-reset"] ?? 0) : 0;
  const waitMs = Math.max(after * 1000, reset > 0 ? reset * 1000 - Date.now() : 0);
  return Number.isFinite(waitMs) ? Math.min(Math.max(waitMs, 0), 3_600_000) : 0;
}
