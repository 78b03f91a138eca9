// Lists the refs of a Git remote over HTTP in this process (protocol v2, `ls-refs`), because starting `git ls-remote` for each look
// costs several times as much. What only Git itself handles is left to Git. Credentials never get into a message.
import { Failure } from "../model/failure.ts";
import { type HttpAnswer, type HttpOrder, KeptConnection, OnlyGit, remoteTimeout } from "./exchange.ts";
import { type Credentials, type HttpTarget, readTarget } from "./http-target.ts";
import { type Advertisement, badAnswer, encodeLsRefs, readAdvertisement, readRefs } from "./pkt-line.ts";

/** Full ref names that begin with one of the prefixes, with ids of 40 hexadecimal digits. */
export type ListRefs = (prefixes: readonly string[]) => Promise<Map<string, string>>;

export interface HttpRefsOptions {
  readonly url: string;
  /** Asked when the server wants credentials and the URL has none, or the last ones were refused. Null: there are none here. */
  readonly credentials: () => Promise<Credentials | null>;
  readonly connectTimeoutMs?: number;
  readonly stallTimeoutMs?: number;
  /** For a whole `list`, credentials included. */
  readonly totalTimeoutMs?: number;
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

const answerBytesMax = 16 * 1024 * 1024;
const discovery = "/info/refs?service=git-upload-pack";

/** What is known of the remote, from its advertisement until the first error. */
interface Server {
  readonly base: string;
  readonly advertisement: Advertisement;
}

/** The refs of one remote. After the first, a `list` is one request on a connection that stands. */
export class HttpRefs {
  private readonly options: HttpRefsOptions;
  private readonly target: HttpTarget | null;
  private readonly connection: KeptConnection;
  private readonly running = new Set<AbortController>();
  private server: Server | null = null;
  private credentials: Credentials | null;
  private closed = false;

  constructor(options: HttpRefsOptions) {
    this.options = options;
    this.target = readTarget(options.url, options.environment ?? process.env);
    this.credentials = this.target?.credentials ?? null;
    this.connection = new KeptConnection(this.target?.base.startsWith("https:") ?? false, {
      connectTimeoutMs: options.connectTimeoutMs ?? 10_000,
      stallTimeoutMs: options.stallTimeoutMs ?? 30_000,
      bytesMax: answerBytesMax,
    });
  }

  /**
   * All refs that begin with one of `prefixes` (none: all refs); "unsupported" where `git ls-remote` is to be asked instead. Throws
   * a transient Failure for a remote that does not answer, or not as it should: the next call begins afresh.
   */
  async list(prefixes: readonly string[]): Promise<Map<string, string> | "unsupported"> {
    if (this.closed) throw closing();
    if (this.target === null) return "unsupported";
    const end = new AbortController();
    const totalMs = this.options.totalTimeoutMs ?? 60_000;
    const late = (): void =>
      end.abort(remoteTimeout(`the Git remote did not list its refs within ${totalMs / 1000} s`));
    const timer = setTimeout(late, totalMs);
    this.running.add(end);
    try {
      this.server ??= await this.discover(this.target.base, end.signal);
      return await this.ask(this.server, prefixes, end.signal);
    } catch (error) {
      this.server = null;
      if (error instanceof OnlyGit) return "unsupported";
      throw error;
    } finally {
      clearTimeout(timer);
      this.running.delete(end);
    }
  }

  /** Ends what is under way, and all connections. */
  close(): void {
    this.closed = true;
    for (const end of this.running) end.abort(closing());
    this.connection.close();
  }

  /** Asks what the server speaks; follows one redirect that stays on the same origin, as Git does with its first request. */
  private async discover(base: string, signal: AbortSignal, redirected = false): Promise<Server> {
    const url = new URL(base + discovery);
    const answer = await this.send({ url, method: "GET", headers: { pragma: "no-cache" } }, signal);
    if (isRedirect(answer)) {
      const next = redirected ? null : redirectedBase(answer, url);
      if (next === null) throw new OnlyGit("a redirect");
      return this.discover(next, signal, true);
    }
    checkAnswer(answer, url);
    if (answer.headers["content-type"] !== "application/x-git-upload-pack-advertisement") {
      if (isDumb(answer.body)) throw new OnlyGit("a server that only has files");
      throw badAnswer("it is not Git's");
    }
    const advertisement = readAdvertisement(answer.body);
    if (advertisement === null) throw new OnlyGit("no protocol v2 with SHA-1");
    return { base, advertisement };
  }

  private async ask(server: Server, prefixes: readonly string[], signal: AbortSignal): Promise<Map<string, string>> {
    const url = new URL(`${server.base}/git-upload-pack`);
    const headers = {
      "content-type": "application/x-git-upload-pack-request",
      accept: "application/x-git-upload-pack-result",
    };
    const body = encodeLsRefs(server.advertisement, prefixes);
    const answer = await this.send({ url, method: "POST", headers, body }, signal);
    checkAnswer(answer, url);
    if (answer.headers["content-type"] !== "application/x-git-upload-pack-result") throw badAnswer("it is not Git's");
    return readRefs(answer.body, prefixes);
  }

  /** Sends with the credentials that are known; where they are refused or missing, once more with those that are asked for. */
  private async send(order: HttpOrder, signal: AbortSignal): Promise<HttpAnswer> {
    const known = this.credentials;
    const answer = await this.connection.ask(withHeaders(order, known), signal);
    if (answer.status !== 401) return answer;
    checkScheme(answer, known !== null);
    if (known !== null && known === this.target?.credentials) throw refused(order.url);
    if (this.credentials === known) this.credentials = null;
    const asked = await orAborted(this.askCredentials(), signal);
    // Git may still know some: from ~/.netrc, or from a program that asks a person.
    if (asked === null) throw new OnlyGit("no credentials");
    const second = await this.connection.ask(withHeaders(order, asked), signal);
    if (second.status === 401) throw refused(order.url);
    if (second.status === 200) this.credentials = asked;
    return second;
  }

  private async askCredentials(): Promise<Credentials | null> {
    try {
      return await this.options.credentials();
    } catch (error) {
      if (error instanceof Failure) throw error;
      // Without its cause, which may hold anything.
      throw new Failure("transient", "the credentials for the Git remote cannot be read", {
        reason: "GitCredentials",
        hint: "run `git credential fill` by hand to see why",
      });
    }
  }
}

function withHeaders(order: HttpOrder, credentials: Credentials | null): HttpOrder {
  const headers: Record<string, string> = {
    accept: "*/*",
    "accept-encoding": "identity",
    "git-protocol": "version=2",
    // Some servers give Git's answers only to what calls itself git.
    "user-agent": "git/2 (stateward)",
    ...order.headers,
  };
  if (credentials !== null) {
    const { username, password } = credentials;
    headers.authorization = `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
  }
  return { ...order, headers };
}

function isRedirect({ status }: HttpAnswer): boolean {
  return [301, 302, 303, 307, 308].includes(status);
}

/** The address of the repository that a redirect leads to, if it stays on the same origin; null otherwise. */
function redirectedBase({ headers }: HttpAnswer, from: URL): string | null {
  if (headers.location === undefined || !URL.canParse(headers.location, from.href)) return null;
  const to = new URL(headers.location, from);
  const address = to.origin + to.pathname + to.search;
  return to.origin === from.origin && address.endsWith(discovery) ? address.slice(0, -discovery.length) : null;
}

/** Only 200 in plain bytes is an answer. */
function checkAnswer(answer: HttpAnswer, url: URL): void {
  const { status, headers, body } = answer;
  // 495 and 496 are nginx's words for a client certificate that is wrong or missing; by default it says them in a 400.
  const wantsCertificate = status === 495 || status === 496 || (status === 400 && body.includes("SSL certificate"));
  if (status === 407 || wantsCertificate) throw new OnlyGit(`HTTP ${status}`);
  if (status !== 200) {
    throw new Failure("transient", `${url.origin}${url.pathname} answered with HTTP ${status}`, {
      reason: "GitStatus",
      hint: "check that the repository exists, and that this machine may read it",
    });
  }
  if ((headers["content-encoding"] ?? "identity") !== "identity") throw new OnlyGit("an encoded answer");
}

/** Node joins several `WWW-Authenticate` headers by commas. */
function checkScheme({ headers }: HttpAnswer, sent: boolean): void {
  const schemes = headers["www-authenticate"];
  if (schemes === undefined ? sent : /(^|,)\s*basic(\s|,|$)/i.test(schemes)) return;
  throw new OnlyGit("not Basic authentication");
}

function refused(url: URL): Failure {
  return new Failure("transient", `${url.host} refused the credentials (HTTP 401)`, {
    reason: "GitAuth",
    hint: "check the user name and the password or token for the Git remote",
  });
}

/** `info/refs` as a plain file, as servers give it that know nothing of Git: lines of an id, a tab and a name. */
function isDumb(body: Buffer): boolean {
  return /^([0-9a-f]{40,64}\t\S+\n)*$/.test(body.toString("latin1"));
}

function closing(): Failure {
  return new Failure("transient", "the connection to the Git remote is closed", { reason: "GitClosed" });
}

function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) reject(signal.reason as Error);
    signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
    promise.then(resolve, reject);
  });
}
