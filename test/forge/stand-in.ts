// A stand-in for GitHub: an HTTP server that keeps pull requests, comments, checks and statuses in memory, and holds every request and
// every answer to GitHub's published description. With a bare repository, branches and commits are those of real Git.
import { createHash, createPublicKey, generateKeyPairSync, type KeyObject, verify } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { git } from "../support/git-remote.ts";
import { listen } from "../support/http-backend.ts";
import { answerOf, type Call, findCall, problemsOfRequest, type Values } from "./description.ts";

/**
 * `down` resets every connection, `half-open` takes the request and never answers, `cut` ends within the answer, `nonsense` is JSON of
 * another form, `html` is a page, `elsewhere` leads to another host, `lost` does what is asked and answers 502. `limit` and `secondary`
 * are the two sorts of rate limit, `429` is the second one with its other status, and `crowd` says too many requests in other words.
 */
export type GitHubFault =
  | "down"
  | "half-open"
  | "cut"
  | "nonsense"
  | "html"
  | "500"
  | "502"
  | "429"
  | "crowd"
  | "lost"
  | "limit"
  | "secondary"
  | "elsewhere"
  | "forbidden";

export interface StandInOptions {
  /** Default `acme/fleet`. */
  readonly repository?: string;
  /** Folder of a bare repository. */
  readonly gitDir?: string;
}

/** `before` the request is done, or `after` it was, and nobody has heard so yet. */
export type Moment = "before" | "after";

/** A request that is kept where it is. */
export interface Held {
  readonly route: RegExp;
  readonly when: Moment;
  isReached: boolean;
  readonly end: Promise<void>;
  release(): void;
}

export interface StoredComment {
  readonly id: number;
  readonly number: number;
  readonly author: string;
  body: string;
  readonly createdAt: string;
  updatedAt: string;
  readonly reactions: { readonly author: string; readonly content: string }[];
}

export interface StoredPull {
  readonly number: number;
  readonly author: string;
  title: string;
  body: string;
  readonly branch: string;
  readonly base: string;
  /** Commits of the branch, the newest last; without Git. */
  commits: StoredCommit[];
  baseCommit: string;
  state: "open" | "closed";
  mergedAt: string | null;
  /** Commit by which it came into its base. */
  mergeCommit: string | null;
  readonly labels: Set<string>;
  readonly reviewers: Set<string>;
  readonly teams: Set<string>;
}

export interface StoredCommit {
  readonly sha: string;
  /** Login; null where the address of its author is nobody's. */
  readonly author: string | null;
  readonly parents?: readonly string[];
  readonly tree?: string;
  readonly message?: string;
}

export interface StoredCheck {
  readonly id: number;
  readonly name: string;
  readonly author: string;
  readonly commit: string;
  readonly externalId: string;
  status: string;
  conclusion: string | null;
  output: { title: string; summary: string; text: string };
  readonly annotations: Values[];
}

export interface StoredStatus {
  readonly commit: string;
  readonly context: string;
  readonly state: string;
  readonly description: string;
  readonly author: string;
}

export interface StoredDeployment {
  readonly id: number;
  readonly commit: string;
  readonly environment: string;
  readonly author: string;
  readonly payload: unknown;
  readonly statuses: { readonly state: string; readonly description: string }[];
}

/** A status code, or an object that says what went wrong with one. */
type Answered = readonly [status: number, value: unknown];
type Handler = (call: Call, who: string) => Answered | Promise<Answered>;

/** Annotations in one request, and characters of a text or bytes of one in a check run, by GitHub's limits. */
const annotationsMax = 50;
const textMax = 65_535;
const descriptionMax = 140;
const appSlug = "stateward-test";

export class StandIn implements AsyncDisposable {
  /** Address of the interface. */
  readonly url: string;
  readonly repository: string;
  readonly appId = "1234";
  /** PEM. */
  readonly privateKey: string;
  readonly appLogin: string = `${appSlug}[bot]`;
  readonly pulls: Map<number, StoredPull> = new Map();
  readonly comments: StoredComment[] = [];
  readonly checks: StoredCheck[] = [];
  readonly statuses: StoredStatus[] = [];
  readonly deployments: StoredDeployment[] = [];
  /** Logins of people and teams, and what they may do here. */
  readonly permissions: Map<string, "admin" | "write" | "read" | "none"> = new Map();
  readonly teams: Set<string> = new Set();
  /** Logins by the address that they commit with. */
  readonly accounts: Map<string, string> = new Map();
  /** Every request that arrived, such as `POST /repos/{owner}/{repo}/pulls`. */
  readonly requests: string[] = [];
  /** Answers that said that nothing has changed. */
  unchanged = 0;
  /** Where somebody, or the stand-in itself, broke the description. Its end fails when there is one. */
  readonly problems: string[] = [];
  /** Read anew with each request. */
  fault: GitHubFault | null = null;
  /** The fault holds for requests of this form, or with this path, alone. */
  faultOnly: RegExp | null = null;
  /** The fault ends by itself after so many answers. */
  faultTimes: number = Number.POSITIVE_INFINITY;
  delayMs = 0;
  private readonly held: Held[] = [];
  /** Seconds that a limit asks to be left alone. */
  retryAfterS = 1;
  private readonly gitDir: string | null;
  private readonly key: KeyObject;
  private readonly tokens: Map<string, string> = new Map();
  private readonly close: () => Promise<void>;
  private nextId = 100;
  private readonly handlers: Readonly<Record<string, Handler>> = this.routes();

  private constructor(url: string, { repository = "acme/fleet", gitDir }: StandInOptions, close: () => Promise<void>) {
    const pair = generateKeyPairSync("rsa", {
      modulusLength: 2048,
      publicKeyEncoding: { type: "spki", format: "pem" },
      privateKeyEncoding: { type: "pkcs1", format: "pem" },
    });
    [this.privateKey, this.key] = [pair.privateKey, createPublicKey(pair.publicKey)];
    [this.url, this.repository, this.gitDir, this.close] = [url, repository, gitDir ?? null, close];
  }

  static async start(options: StandInOptions = {}): Promise<StandIn> {
    const sockets = new Set<Socket>();
    const server = createServer((request, response) => {
      void standIn.answer(request, response).catch((error: unknown) => {
        standIn.problems.push(String(error));
        response.destroy();
      });
    });
    server.on("connection", (socket) => {
      if (standIn.fault === "down" && standIn.faultOnly === null) socket.destroy();
      sockets.add(socket);
      socket.once("close", () => sockets.delete(socket));
    });
    const url = await listen(server);
    const standIn: StandIn = new StandIn(url, options, async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    });
    return standIn;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
    if (this.problems.length > 0) throw new Error(`against GitHub's description:\n  ${this.problems.join("\n  ")}`);
  }

  /** A personal token of a user. */
  tokenOf(login: string): string {
    const token = `ghp_${createHash("sha256").update(login).digest("hex").slice(0, 36)}`;
    this.tokens.set(token, login);
    return token;
  }

  addPull(pull: Partial<StoredPull> & Pick<StoredPull, "author" | "branch">): StoredPull {
    const number = this.pulls.size + 1;
    const added: StoredPull = {
      number,
      title: `change ${number}`,
      body: "",
      base: "main",
      commits: [],
      baseCommit: fakeCommit(`base ${number}`),
      state: "open",
      mergedAt: null,
      mergeCommit: null,
      labels: new Set(),
      reviewers: new Set(),
      teams: new Set(),
      ...pull,
    };
    this.pulls.set(number, added);
    return added;
  }

  /** `at` is milliseconds since the epoch. */
  addComment(number: number, author: string, body: string, at: number = Date.now()): StoredComment {
    const time = new Date(at).toISOString();
    const comment = { id: this.nextId++, number, author, body, createdAt: time, updatedAt: time, reactions: [] };
    this.comments.push(comment);
    return comment;
  }

  /** What a person who merges leaves behind; without Git. */
  merge(number: number, commit: string): void {
    const pull = this.pulls.get(number);
    if (pull) Object.assign(pull, { state: "closed", mergedAt: new Date().toISOString(), mergeCommit: commit });
  }

  /** What was asked of a kind, such as `POST`. */
  asked(pattern: RegExp): string[] {
    return this.requests.filter((request) => pattern.test(request));
  }

  /** Keeps the next request of a form at a moment until `release`. */
  hold(route: RegExp, when: Moment): Held {
    let release = (): void => {};
    const end = new Promise<void>((resolve) => (release = resolve));
    const held: Held = { route, when, isReached: false, end, release: () => release() };
    this.held.push(held);
    return held;
  }

  private async pass(route: string, when: Moment): Promise<void> {
    const held = this.held.find((each) => !each.isReached && each.when === when && each.route.test(route));
    if (held === undefined) return;
    held.isReached = true;
    await held.end;
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString();
    const method = request.method ?? "GET";
    const url = new URL(request.url ?? "/", this.url);
    const call = findCall(method, url, text === "" ? null : JSON.parse(text));
    this.requests.push(call?.route ?? `${method} ${url.pathname}`);
    if (this.delayMs > 0) await sleep(this.delayMs);
    await this.pass(this.requests.at(-1) ?? "", "before");
    if (request.socket.destroyed) return;
    const isFaulty =
      this.fault !== null && [call?.route ?? "", url.pathname].some((asked) => this.faultOnly?.test(asked) ?? true);
    const { fault } = this;
    if (isFaulty && --this.faultTimes <= 0) this.fault = null;
    if (isFaulty && fault !== "lost") return this.fail(response, fault);
    const [status, value] = await this.valueOf(call, `${method} ${url.pathname}`, request);
    await this.pass(call?.route ?? "", "after");
    if (isFaulty) return send(response, 502, { message: "Bad gateway" });
    const body = JSON.stringify(call === null ? value : answerOf(call, status, value));
    const etag = `"${createHash("sha256").update(body).digest("hex")}"`;
    if (method === "GET" && request.headers["if-none-match"] === etag) {
      this.unchanged++;
      response.writeHead(304, { etag }).end();
    } else {
      const headers = { "content-type": "application/json; charset=utf-8", "x-ratelimit-remaining": "4999", etag };
      response.writeHead(status, headers).end(status === 204 ? undefined : body);
    }
  }

  private async valueOf(call: Call | null, asked: string, request: IncomingMessage): Promise<Answered> {
    if (call === null) {
      this.problems.push(`nothing of the description answers ${asked}`);
      return refused(404, "Not Found");
    }
    const found = problemsOfRequest(call);
    this.problems.push(...found);
    if (found.length > 0) return refused(422, found.join("; "));
    const who = this.whoAsks(request.headers.authorization ?? "", call.route);
    if (who === null) return refused(401, "Bad credentials");
    const { owner, repo } = call.path;
    if (owner !== undefined && `${owner}/${repo}` !== this.repository) return refused(404, "Not Found");
    return (await this.handlers[call.route]?.(call, who)) ?? refused(404, "Not Found");
  }

  /** The app itself speaks with a signed claim, its installation and people with tokens. */
  private whoAsks(authorization: string, route: string): string | null {
    const [, token = ""] = /^(?:token|bearer) (.+)$/i.exec(authorization) ?? [];
    const isForApp = /\/installation$|^GET \/app$|access_tokens$/.test(route);
    if (!isForApp) return this.tokens.get(token) ?? null;
    const [head = "", claims = "", signature = ""] = token.split(".");
    const isSigned = verify("sha256", Buffer.from(`${head}.${claims}`), this.key, Buffer.from(signature, "base64url"));
    if (!isSigned) return null;
    const { iss } = JSON.parse(Buffer.from(claims, "base64url").toString()) as { iss?: unknown };
    return String(iss) === this.appId ? this.appLogin : null;
  }

  private fail(response: ServerResponse, fault: GitHubFault | null): void {
    switch (fault) {
      case "half-open":
        return;
      case "down":
        response.destroy();
        return;
      case "cut":
        response.writeHead(200, { "content-type": "application/json", "content-length": "100" });
        response.write('{"id": 1, ');
        setTimeout(() => response.destroy(), 20);
        return;
      case "nonsense":
        return send(response, 200, { hello: ["world"] });
      case "html":
        response.writeHead(200, { "content-type": "text/html" }).end("<html>a unicorn</html>");
        return;
      case "elsewhere":
        response.writeHead(302, { location: "http://198.51.100.1/repos" }).end();
        return;
      case "forbidden":
        return send(response, 403, { message: "Resource not accessible by integration" });
      case "limit":
        return send(
          response,
          403,
          { message: "API rate limit exceeded for installation" },
          {
            "x-ratelimit-remaining": "0",
            "x-ratelimit-reset": String(Math.ceil(Date.now() / 1000) + this.retryAfterS),
          },
        );
      case "secondary":
      case "429":
      case "crowd":
        return send(
          response,
          fault === "secondary" ? 403 : 429,
          { message: fault === "crowd" ? "Too many requests" : "You have exceeded a secondary rate limit" },
          { "retry-after": String(this.retryAfterS) },
        );
      case "502":
        response.writeHead(502, { "content-type": "text/html" }).end("<html>Bad Gateway</html>");
        return;
      case "500":
      case "lost":
      case null:
        return send(response, 500, { message: "Server Error" });
    }
  }

  private routes(): Readonly<Record<string, Handler>> {
    const repo = "/repos/{owner}/{repo}";
    return {
      "GET /app": () => [
        200,
        { id: Number(this.appId), slug: appSlug, name: "stateward", permissions: {}, events: [] },
      ],
      [`GET ${repo}/installation`]: () => [
        200,
        { id: 77, app_id: Number(this.appId), app_slug: appSlug, account: user("acme") },
      ],
      "POST /app/installations/{installation_id}/access_tokens": () => [201, this.installationToken()],
      "GET /user": (_call, who) =>
        who.endsWith("[bot]") ? refused(403, "Resource not accessible by integration") : [200, user(who)],
      ...this.pullRoutes(repo),
      ...this.commentRoutes(repo),
      ...this.labelRoutes(repo),
      ...this.checkRoutes(repo),
      ...this.statusRoutes(repo),
      [`GET ${repo}/commits/{ref}`]: async ({ path }) => {
        const found = await this.commit(path.ref ?? "");
        return found ? [200, commitAnswer(found)] : refused(422, `No commit found for SHA: ${path.ref}`);
      },
      [`GET ${repo}/collaborators/{username}/permission`]: ({ path }) => {
        const permission = this.permissions.get(path.username ?? "");
        return permission === undefined
          ? refused(404, `${path.username} is not a user`)
          : [200, { permission, role_name: permission, user: { ...user(path.username ?? ""), role_name: permission } }];
      },
    };
  }

  private installationToken(): Values {
    const token = `ghs_${createHash("sha256")
      .update(String(this.nextId++))
      .digest("hex")
      .slice(0, 36)}`;
    this.tokens.set(token, this.appLogin);
    return { token, expires_at: new Date(Date.now() + 3_600_000).toISOString(), permissions: {} };
  }

  private pullRoutes(repo: string): Readonly<Record<string, Handler>> {
    const need = ({ path }: Call): StoredPull | undefined => this.pulls.get(Number(path.pull_number));
    return {
      [`GET ${repo}/pulls`]: async ({ query }) => {
        const { state = "open", head, base } = query;
        const found = [...this.pulls.values()].filter(
          (pull) =>
            (state === "all" || pull.state === state) &&
            (head === undefined || `${this.repository.split("/")[0]}:${pull.branch}` === head) &&
            (base === undefined || pull.base === base),
        );
        return [200, await Promise.all(page(found.toReversed(), query).map((pull) => this.pullAnswer(pull)))];
      },
      [`POST ${repo}/pulls`]: async ({ body }, who) => {
        const { head = "", base = "", title = "" } = body as Record<string, string>;
        const isKnown = [...this.pulls.values()].some((pull) => pull.branch === head && pull.state === "open");
        if (isKnown) return refused(422, `A pull request already exists for ${head}.`);
        for (const branch of this.gitDir === null ? [] : [head, base])
          if ((await this.resolve(`refs/heads/${branch}`)) === null) return refused(422, "Validation Failed");
        const added = this.addPull({
          author: who,
          branch: head,
          base,
          title,
          body: (body as Record<string, string>).body ?? "",
        });
        return [201, await this.pullAnswer(added)];
      },
      [`GET ${repo}/pulls/{pull_number}`]: async (call) => {
        const pull = need(call);
        return pull ? [200, await this.pullAnswer(pull)] : refused(404, "Not Found");
      },
      [`GET ${repo}/pulls/{pull_number}/commits`]: async (call) => {
        const pull = need(call);
        // GitHub lists 250, however many there are.
        const commits = pull ? (await this.commitsOf(pull)).slice(0, 250) : [];
        return pull ? [200, page(commits, call.query).map(commitAnswer)] : refused(404, "Not Found");
      },
      [`GET ${repo}/pulls/{pull_number}/requested_reviewers`]: (call) => [200, reviewers(need(call))],
      [`POST ${repo}/pulls/{pull_number}/requested_reviewers`]: async (call) => {
        const pull = need(call);
        const people = (call.body.reviewers ?? []) as string[];
        const teams = (call.body.team_reviewers ?? []) as string[];
        if (!pull) return refused(404, "Not Found");
        if (people.includes(pull.author)) return refused(422, "Review cannot be requested from pull request author.");
        const isKnown =
          people.every((name) => this.permissions.has(name)) && teams.every((name) => this.teams.has(name));
        if (!isKnown) return refused(422, "Reviews may only be requested from collaborators.");
        for (const name of people) pull.reviewers.add(name);
        for (const name of teams) pull.teams.add(name);
        return [201, await this.pullAnswer(pull)];
      },
      [`GET ${repo}/pulls/{pull_number}/reviews`]: () => [200, []],
      [`GET ${repo}/commits/{commit_sha}/pulls`]: async ({ path }) => {
        const found: StoredPull[] = [];
        for (const pull of this.pulls.values())
          if (
            pull.mergeCommit === path.commit_sha ||
            (await this.commitsOf(pull)).some(({ sha }) => sha === path.commit_sha)
          )
            found.push(pull);
        return [200, await Promise.all(found.map((pull) => this.pullAnswer(pull)))];
      },
    };
  }

  private commentRoutes(repo: string): Readonly<Record<string, Handler>> {
    const byId = ({ path }: Call): StoredComment | undefined =>
      this.comments.find(({ id }) => id === Number(path.comment_id));
    const answer = (comment: StoredComment): Values => this.commentAnswer(comment);
    return {
      [`GET ${repo}/issues/comments`]: ({ query }) => {
        const since = Date.parse(query.since ?? "1970-01-01T00:00:00Z");
        const found = this.comments.filter(({ updatedAt }) => Date.parse(updatedAt) >= since);
        const sorted = found.toSorted((a, b) => Date.parse(a.updatedAt) - Date.parse(b.updatedAt));
        return [200, page(query.direction === "desc" ? sorted.toReversed() : sorted, query).map(answer)];
      },
      [`GET ${repo}/issues/comments/{comment_id}`]: (call) => {
        const found = byId(call);
        return found ? [200, answer(found)] : refused(404, "Not Found");
      },
      [`PATCH ${repo}/issues/comments/{comment_id}`]: (call, who) => {
        const found = byId(call);
        if (!found) return refused(404, "Not Found");
        // Whoever may write to the repository may edit everybody's comments: GitHub does not keep us from it.
        if (found.author !== who && who !== this.appLogin) return refused(403, "Must have admin rights to Repository.");
        if (String(call.body.body).length > textMax + 1) return refused(422, "body is too long");
        found.body = String(call.body.body);
        found.updatedAt = new Date().toISOString();
        return [200, answer(found)];
      },
      [`GET ${repo}/issues/{issue_number}/comments`]: ({ path, query }) => [
        200,
        page(
          this.comments.filter(({ number }) => number === Number(path.issue_number)),
          query,
        ).map(answer),
      ],
      [`POST ${repo}/issues/{issue_number}/comments`]: ({ path, body }, who) => {
        if (!this.pulls.has(Number(path.issue_number))) return refused(404, "Not Found");
        if (String(body.body).length > textMax + 1) return refused(422, "body is too long");
        return [201, answer(this.addComment(Number(path.issue_number), who, String(body.body)))];
      },
      [`GET ${repo}/issues/comments/{comment_id}/reactions`]: (call) => [
        200,
        page(byId(call)?.reactions ?? [], call.query).map(({ author, content }) => ({ user: user(author), content })),
      ],
      [`POST ${repo}/issues/comments/{comment_id}/reactions`]: (call, who) => {
        const content = String(call.body.content);
        byId(call)?.reactions.push({ author: who, content });
        return [201, { id: this.nextId++, content, user: user(who) }];
      },
    };
  }

  private labelRoutes(repo: string): Readonly<Record<string, Handler>> {
    const labels = (call: Call): Set<string> => this.pulls.get(Number(call.path.issue_number))?.labels ?? new Set();
    const answer = (names: Iterable<string>): Values[] => [...names].map((name) => ({ name, color: "ededed" }));
    return {
      [`GET ${repo}/issues/{issue_number}/labels`]: (call) => [200, page(answer(labels(call)), call.query)],
      [`POST ${repo}/issues/{issue_number}/labels`]: (call) => {
        const known = labels(call);
        for (const name of call.body.labels as string[]) known.add(name);
        return [200, answer(known)];
      },
      [`DELETE ${repo}/issues/{issue_number}/labels/{name}`]: (call) => {
        const known = labels(call);
        return known.delete(call.path.name ?? "") ? [200, answer(known)] : refused(404, "Label does not exist");
      },
    };
  }

  private checkRoutes(repo: string): Readonly<Record<string, Handler>> {
    const output = ({ body }: Call): { title: string; summary: string; text?: string; annotations?: Values[] } =>
      (body.output ?? { title: "", summary: "" }) as { title: string; summary: string };
    const tooMuch = (call: Call): boolean => {
      const { annotations = [], text = "", summary, title } = output(call);
      if (/[\u{10000}-\u{10ffff}]/u.test(title + JSON.stringify(annotations))) return true;
      return annotations.length > annotationsMax || [text, summary].some((each) => Buffer.byteLength(each) > textMax);
    };
    const change = (check: StoredCheck, call: Call): void => {
      const { annotations = [], text = "", title, summary } = output(call);
      if (call.body.output !== undefined) check.output = { title, summary, text };
      check.annotations.push(...annotations);
      const { status, conclusion } = call.body as Record<string, string>;
      if (status !== undefined) check.status = status;
      if (conclusion !== undefined) [check.status, check.conclusion] = ["completed", conclusion];
    };
    return {
      [`POST ${repo}/check-runs`]: (call, who) => {
        if (!who.endsWith("[bot]")) return refused(403, "You must authenticate via a GitHub App.");
        if (tooMuch(call)) return refused(422, "output is too long, or has 4-byte Unicode");
        const { name = "", head_sha: commit = "", external_id: externalId = "" } = call.body as Record<string, string>;
        const empty = { title: "", summary: "", text: "" };
        const kept = { id: this.nextId++, name, commit, externalId, author: who, output: empty, annotations: [] };
        const check: StoredCheck = { ...kept, status: "queued", conclusion: null };
        change(check, call);
        this.checks.push(check);
        return [201, checkAnswer(check)];
      },
      [`PATCH ${repo}/check-runs/{check_run_id}`]: (call, who) => {
        const found = this.checks.find(({ id }) => id === Number(call.path.check_run_id));
        if (found?.author !== who) return refused(404, "Not Found");
        if (tooMuch(call)) return refused(422, "output is too long");
        change(found, call);
        return [200, checkAnswer(found)];
      },
      [`GET ${repo}/commits/{ref}/check-runs`]: ({ path, query }) => {
        const found = this.checks.filter(
          ({ commit, name }) => commit === path.ref && (query.check_name === undefined || query.check_name === name),
        );
        return [200, { total_count: found.length, check_runs: page(found.toReversed(), query).map(checkAnswer) }];
      },
    };
  }

  private statusRoutes(repo: string): Readonly<Record<string, Handler>> {
    const byId = ({ path }: Call): StoredDeployment | undefined =>
      this.deployments.find(({ id }) => id === Number(path.deployment_id));
    return {
      [`POST ${repo}/statuses/{sha}`]: ({ path, body }, who) => {
        const { state, context = "default", description = "" } = body as Record<string, string>;
        if (description.length > descriptionMax) return refused(422, "description is too long");
        if (/[\u{10000}-\u{10ffff}]/u.test(description))
          return refused(422, "description doesn't accept 4-byte Unicode");
        const status = { commit: path.sha ?? "", state: state ?? "", context, description, author: who };
        this.statuses.push(status);
        return [201, statusAnswer(status)];
      },
      [`GET ${repo}/commits/{ref}/statuses`]: ({ path, query }) => [
        200,
        page(this.statuses.filter(({ commit }) => commit === path.ref).toReversed(), query).map(statusAnswer),
      ],
      [`POST ${repo}/deployments`]: ({ body }, who) => {
        // Without this GitHub may merge the base into what is deployed, and refuses while any check is open.
        if (body.auto_merge !== false || !Array.isArray(body.required_contexts)) return refused(409, "Conflict");
        const { ref = "", environment = "production" } = body as Record<string, string>;
        const made = { id: this.nextId++, commit: ref, environment, author: who, payload: body.payload, statuses: [] };
        this.deployments.push(made);
        return [201, deploymentAnswer(made)];
      },
      [`GET ${repo}/deployments`]: ({ query }) => {
        const found = this.deployments.filter(
          ({ commit, environment }) =>
            (query.sha === undefined || query.sha === commit) &&
            (query.environment === undefined || query.environment === environment),
        );
        return [200, page(found.toReversed(), query).map(deploymentAnswer)];
      },
      [`POST ${repo}/deployments/{deployment_id}/statuses`]: (call) => {
        const { state = "", description = "" } = call.body as Record<string, string>;
        const found = byId(call);
        if (!found) return refused(404, "Not Found");
        if (description.length > descriptionMax) return refused(422, "description is too long");
        if (/[\u{10000}-\u{10ffff}]/u.test(description))
          return refused(422, "description doesn't accept 4-byte Unicode");
        found.statuses.push({ state, description });
        return [201, { state, description }];
      },
      [`GET ${repo}/deployments/{deployment_id}/statuses`]: (call) => [
        200,
        page(byId(call)?.statuses.toReversed() ?? [], call.query),
      ],
    };
  }

  private async resolve(name: string): Promise<string | null> {
    if (this.gitDir === null) return null;
    return git(this.gitDir, "rev-parse", "--verify", "--quiet", `${name}^{commit}`).catch(() => null);
  }

  private async commitsOf(pull: StoredPull): Promise<StoredCommit[]> {
    if (this.gitDir === null) return pull.commits;
    const head = await this.resolve(`refs/heads/${pull.branch}`);
    if (head === null || pull.state === "closed") return pull.commits;
    const ids = await git(this.gitDir, "rev-list", "--reverse", head, "--not", `refs/heads/${pull.base}`);
    const named = ids.split("\n").filter((id) => id !== "");
    const found = await Promise.all(named.map((id) => this.commit(id)));
    // What was merged goes beyond nothing any more, and keeps the commits that it had.
    if (found.length > 0) pull.commits = found.filter((commit) => commit !== null);
    return pull.commits;
  }

  private async commit(ref: string): Promise<StoredCommit | null> {
    const kept = [...this.pulls.values()].flatMap(({ commits }) => commits).find(({ sha }) => sha === ref);
    const id = await this.resolve(ref);
    if (id === null || this.gitDir === null) return kept ?? null;
    const text = await git(this.gitDir, "show", "--no-patch", "--format=%T%n%P%n%ae%n%B", id);
    const [tree = "", parents = "", email = "", ...message] = text.split("\n");
    const author = this.accounts.get(email) ?? null;
    const isRoot = parents === "";
    return { sha: id, tree, parents: isRoot ? [] : parents.split(" "), author, message: message.join("\n").trim() };
  }

  private async pullAnswer(pull: StoredPull): Promise<Values> {
    const commits = await this.commitsOf(pull);
    const base = (pull.state === "open" ? await this.resolve(`refs/heads/${pull.base}`) : null) ?? pull.baseCommit;
    pull.baseCommit = base;
    const head = commits.at(-1)?.sha ?? (await this.resolve(`refs/heads/${pull.branch}`)) ?? base;
    // What GitHub keeps for everybody who wants to look at a pull request.
    if (this.gitDir !== null) await git(this.gitDir, "update-ref", `refs/pull/${pull.number}/head`, head);
    const page = `https://github.test/${this.repository}/pull/${pull.number}`;
    return {
      id: pull.number,
      number: pull.number,
      title: pull.title,
      body: pull.body,
      state: pull.state,
      merged_at: pull.mergedAt,
      merge_commit_sha: pull.mergeCommit,
      user: user(pull.author),
      html_url: page,
      head: { ref: pull.branch, sha: head },
      base: { ref: pull.base, sha: base },
      labels: [...pull.labels].map((name) => ({ name, color: "ededed" })),
      commits: commits.length,
    };
  }

  private commentAnswer({ id, number, author, body, createdAt, updatedAt }: StoredComment): Values {
    const page = `https://github.test/${this.repository}/pull/${number}#issuecomment-${id}`;
    const issue = `https://api.github.test/repos/${this.repository}/issues/${number}`;
    const times = { created_at: createdAt, updated_at: updatedAt };
    return { id, body, user: user(author), html_url: page, issue_url: issue, author_association: "MEMBER", ...times };
  }
}

/** A name for a commit that is in no repository. */
export function fakeCommit(name: string): string {
  return createHash("sha1").update(name).digest("hex");
}

function send(response: ServerResponse, status: number, value: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(value));
}

function refused(status: number, message: string): Answered {
  return [status, { message, documentation_url: "https://docs.github.com/rest", status: String(status) }];
}

function page<T>(
  entries: readonly T[],
  { per_page = "30", page: number = "1" }: Readonly<Record<string, string>>,
): T[] {
  const [size, from] = [Number(per_page), Number(number) - 1];
  return entries.slice(from * size, (from + 1) * size);
}

function user(login: string): Values {
  const id = Number.parseInt(fakeCommit(login).slice(0, 6), 16);
  return { login, id, type: login.endsWith("[bot]") ? "Bot" : "User" };
}

function reviewers(pull: StoredPull | undefined): Values {
  return {
    users: [...(pull?.reviewers ?? [])].map(user),
    teams: [...(pull?.teams ?? [])].map((slug) => ({ slug, name: slug })),
  };
}

function commitAnswer({
  sha,
  author,
  parents = [],
  tree = fakeCommit("tree"),
  message = "change",
}: StoredCommit): Values {
  return {
    sha,
    author: author === null ? null : user(author),
    committer: author === null ? null : user(author),
    commit: { message, tree: { sha: tree } },
    parents: parents.map((parent) => ({ sha: parent })),
  };
}

function checkAnswer({ id, name, commit, externalId, status, conclusion, output, annotations }: StoredCheck): Values {
  const said = { ...output, annotations_count: annotations.length, annotations_url: "https://api.github.test/a" };
  return {
    id,
    name,
    external_id: externalId,
    head_sha: commit,
    status,
    conclusion,
    output: said,
    app: { slug: appSlug },
  };
}

function statusAnswer({ context, state, description, author }: StoredStatus): Values {
  return { context, state, description, creator: user(author) };
}

function deploymentAnswer({ id, commit, environment, author, payload = "" }: StoredDeployment): Values {
  return { id, sha: commit, ref: commit, environment, payload, creator: user(author) };
}
