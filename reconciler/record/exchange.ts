// HTTP requests over a kept connection, each with an end: by size, by silence, or because it is called off. Follows no redirect,
// remembers nothing, and hands on no error of Node's: those carry raw bytes of what was received.
import { type ClientRequest, Agent as HttpAgent, type IncomingHttpHeaders, request as requestHttp } from "node:http";
import { Agent as HttpsAgent, request as requestHttps } from "node:https";
import { Failure } from "../model/failure.ts";
import { badAnswer } from "./pkt-line.ts";

export interface HttpOrder {
  readonly url: URL;
  readonly method: "GET" | "POST";
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Buffer;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface HttpLimits {
  /** Until the connection stands, TLS included. */
  readonly connectTimeoutMs: number;
  /** Between two signs of life on a connection that stands. */
  readonly stallTimeoutMs: number;
  readonly bytesMax: number;
}

/** Something was met that only Git itself handles. */
export class OnlyGit extends Error {
  override readonly name = "OnlyGit";
}

/** The server did not answer in time. */
export function remoteTimeout(message: string): Failure {
  return new Failure("transient", message, {
    reason: "GitTimeout",
    hint: "check the connection to the Git remote",
  });
}

/** A server closed a kept connection just when a request was sent on it: nothing was wrong, and the request can be made again. */
class StaleConnection extends Error {
  override readonly name = "StaleConnection";
}

/** Connections to one server. Idle ones do not keep the process alive: Node's agent unrefs them. */
export class KeptConnection {
  private readonly agent: HttpAgent;
  private readonly limits: HttpLimits;

  constructor(secure: boolean, limits: HttpLimits) {
    const options = { keepAlive: true, keepAliveMsecs: 30_000, maxFreeSockets: 1 };
    // Said outright, so that NODE_TLS_REJECT_UNAUTHORIZED turns nothing off.
    this.agent = secure ? new HttpsAgent({ ...options, rejectUnauthorized: true }) : new HttpAgent(options);
    this.limits = limits;
  }

  /** The whole answer. Throws a Failure when there is none, OnlyGit when TLS needs what only Git knows, the signal's reason. */
  async ask(order: HttpOrder, signal: AbortSignal): Promise<HttpAnswer> {
    for (;;) {
      signal.throwIfAborted();
      try {
        return await this.attempt(order, signal);
      } catch (error) {
        // Each such turn uses up a kept connection; a fresh one is never stale.
        if (!(error instanceof StaleConnection)) throw error;
      }
    }
  }

  close(): void {
    this.agent.destroy();
  }

  private attempt({ url, method, headers, body }: HttpOrder, signal: AbortSignal): Promise<HttpAnswer> {
    const secure = url.protocol === "https:";
    return new Promise((resolve, reject) => {
      const length = body === undefined ? {} : { "content-length": String(body.length) };
      const request = (secure ? requestHttps : requestHttp)(url, {
        agent: this.agent,
        method,
        headers: { ...headers, ...length },
      });
      const watch = new Watch(request, url.host, reject);
      const called = (): void => watch.fail(signal.reason as Error);
      const alive = (): void => watch.wait(this.limits.stallTimeoutMs, "did not go on");
      signal.addEventListener("abort", called, { once: true });
      request.once("close", () => {
        signal.removeEventListener("abort", called);
        watch.fail(broken(url.host, "the connection was closed"));
      });
      watch.wait(this.limits.connectTimeoutMs, "could not be reached");
      request.once("socket", (socket) => {
        if (request.reusedSocket) alive();
        else socket.once(secure ? "secureConnect" : "connect", alive);
      });
      request.on("error", (error: NodeJS.ErrnoException) => watch.fail(judge(error, request, url.host)));
      request.once("response", (response) => {
        alive();
        const chunks: Buffer[] = [];
        let size = 0;
        response.on("data", (chunk: Buffer) => {
          alive();
          size += chunk.length;
          if (size > this.limits.bytesMax) watch.fail(badAnswer(`it has more than ${this.limits.bytesMax} bytes`));
          else chunks.push(chunk);
        });
        response.once("error", () => watch.fail(broken(url.host, "the connection broke within an answer")));
        response.once("end", () => {
          if (!response.complete) return;
          watch.end();
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) });
        });
      });
      request.end(body);
    });
  }
}

/** The one timer of a request, and the first failure that ends it. */
class Watch {
  private readonly request: ClientRequest;
  private readonly host: string;
  private readonly reject: (error: Error) => void;
  private timer: NodeJS.Timeout | undefined;
  private ended = false;

  constructor(request: ClientRequest, host: string, reject: (error: Error) => void) {
    this.request = request;
    this.host = host;
    this.reject = reject;
  }

  wait(ms: number, what: string): void {
    clearTimeout(this.timer);
    if (this.ended) return;
    this.timer = setTimeout(() => this.fail(remoteTimeout(`${this.host} ${what} within ${ms / 1000} s`)), ms);
  }

  end(): void {
    this.ended = true;
    clearTimeout(this.timer);
  }

  fail(error: Error): void {
    if (this.ended) return;
    this.end();
    this.reject(error);
    this.request.destroy();
  }
}

function broken(host: string, what: string): Failure {
  return new Failure("transient", `${host}: ${what}`, {
    reason: "GitUnreachable",
    hint: "check that the Git remote is up, and the connection to it",
  });
}

/** What an error of Node's means. Its code is all that is kept of it. */
function judge(error: NodeJS.ErrnoException, request: ClientRequest, host: string): Error {
  const code = error.code ?? "unknown error";
  if (request.reusedSocket && (code === "ECONNRESET" || code === "EPIPE")) return new StaleConnection(code);
  if (isTls(code)) return new OnlyGit(`TLS: ${code}`);
  if (code.startsWith("HPE_")) return badAnswer(`it is not HTTP (${code})`);
  return broken(host, code);
}

/**
 * A certificate that Node does not accept, or a server that wants one of the client. Git has authorities and certificates of its own
 * (the system's, http.sslCAInfo, http.sslCert), and the last word: what it refuses stays refused.
 */
function isTls(code: string): boolean {
  return /^(ERR_SSL_|ERR_TLS_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|CERT_|EPROTO$|INVALID_CA$|HOSTNAME_MISMATCH$)/.test(
    code,
  );
}
