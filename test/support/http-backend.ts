// A Git server over HTTP: `git http-backend` behind node:http, with faults that can be turned on and off.
import { type ChildProcessWithoutNullStreams, execFile, spawn } from "node:child_process";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Server, Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

const run = promisify(execFile);

/**
 * `down` resets every connection; `garbage` is of the right type and no packets; `truncate` ends well-formed HTTP within the last
 * packets; `hang` never answers; `slow` sends a byte every 20 ms.
 */
export type GitFault = "down" | "garbage" | "truncate" | "hang" | "500" | "slow";

/** Read anew with each request, so that a test can change them. */
export interface GitServerOptions {
  user?: string;
  /** Without one, everybody may read and write. */
  password?: string;
  delayMs?: number;
  /** The server does not hear which protocol a client speaks: it answers in version 0. */
  old?: boolean;
}

export interface GitServer extends AsyncDisposable {
  /** `http://127.0.0.1:PORT`; a repository `root/a.git` is at `/a.git`. */
  readonly url: string;
  requests(): number;
  connections(): number;
  setFault(fault: GitFault | null): void;
  close(): Promise<void>;
}

/** Serves the bare repositories below `root`. */
export async function serveGit(root: string, options: GitServerOptions = {}): Promise<GitServer> {
  const sockets = new Set<Socket>();
  const children = new Set<ChildProcessWithoutNullStreams>();
  const count = { requests: 0, connections: 0 };
  let fault: GitFault | null = null;
  const server = createServer((request, response) => {
    count.requests++;
    void answer(request, response).catch(() => response.destroy());
  });
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    if (options.delayMs !== undefined) await sleep(options.delayMs);
    if (!isAllowed(request, options)) {
      request.resume();
      response.writeHead(401, { "www-authenticate": 'Basic realm="git"' }).end("no\n");
      return;
    }
    if (fault === "hang") return;
    if (fault === "500" || fault === "garbage") {
      request.resume();
      response.writeHead(fault === "500" ? 500 : 200, { "content-type": answerType(request) });
      response.end("<html>no packets</html>");
      return;
    }
    const child = startBackend(root, request, options);
    children.add(child);
    child.once("close", () => children.delete(child));
    response.once("close", () => child.kill());
    await relay(child, response, fault);
  };
  server.on("connection", (socket) => {
    count.connections++;
    if (fault === "down") socket.destroy();
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  const close = async (): Promise<void> => {
    cut();
    await new Promise((resolve) => server.close(resolve));
    await Promise.all([...children].map((child) => new Promise((resolve) => child.once("close", resolve))));
  };
  return {
    url: await listen(server),
    requests: () => count.requests,
    connections: () => count.connections,
    setFault: (next) => {
      fault = next;
      if (next === "down") cut();
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Listens on a free port of loopback; returns the address. */
export async function listen(server: Server, scheme = "http"): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Makes a bare repository that takes pushes over HTTP. */
export async function initBare(path: string, ...options: string[]): Promise<string> {
  await run("git", ["init", "--quiet", "--bare", "--initial-branch=main", ...options, path]);
  await run("git", ["--git-dir", path, "config", "http.receivepack", "true"]);
  return path;
}

function isAllowed(request: IncomingMessage, { user = "", password }: GitServerOptions): boolean {
  const expected = `Basic ${Buffer.from(`${user}:${password ?? ""}`).toString("base64")}`;
  return password === undefined || request.headers.authorization === expected;
}

function answerType({ url = "" }: IncomingMessage): string {
  const service = /git-(?:upload|receive)-pack/.exec(url)?.[0] ?? "git-upload-pack";
  return `application/x-${service}-${url.includes("/info/refs") ? "advertisement" : "result"}`;
}

function startBackend(
  root: string,
  request: IncomingMessage,
  { user, old }: GitServerOptions,
): ChildProcessWithoutNullStreams {
  const { pathname, search } = new URL(request.url ?? "/", "http://server");
  const header = (name: string): string => String(request.headers[name] ?? "");
  const child = spawn("git", ["http-backend"], {
    env: {
      PATH: process.env.PATH ?? "",
      HOME: process.env.HOME ?? "",
      GIT_PROJECT_ROOT: root,
      GIT_HTTP_EXPORT_ALL: "1",
      REQUEST_METHOD: request.method ?? "GET",
      PATH_INFO: decodeURIComponent(pathname),
      QUERY_STRING: search.slice(1),
      CONTENT_TYPE: header("content-type"),
      // Absent for a chunked body, which then ends with the input.
      ...(header("content-length") === "" ? {} : { CONTENT_LENGTH: header("content-length") }),
      HTTP_CONTENT_ENCODING: header("content-encoding"),
      ...(old || header("git-protocol") === "" ? {} : { GIT_PROTOCOL: header("git-protocol") }),
      ...(user === undefined ? {} : { REMOTE_USER: user }),
      REMOTE_ADDR: "127.0.0.1",
    },
  });
  child.stdin.on("error", () => {});
  child.stderr.resume();
  request.pipe(child.stdin);
  return child;
}

/** Passes on what the backend says: CGI header lines, an empty line, a body. */
async function relay(
  child: ChildProcessWithoutNullStreams,
  response: ServerResponse,
  fault: GitFault | null,
): Promise<void> {
  let head: Buffer | null = Buffer.alloc(0);
  const held: Buffer[] = [];
  for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
    let body = chunk;
    if (head !== null) {
      head = Buffer.concat([head, chunk]);
      const end = head.indexOf("\r\n\r\n");
      if (end < 0) continue;
      setHead(response, head.toString("latin1", 0, end));
      body = head.subarray(end + 4);
      head = null;
    }
    if (fault === "truncate" || fault === "slow") held.push(body);
    else if (!response.write(body)) await drained(response);
  }
  const rest = Buffer.concat(held);
  if (fault === "truncate") response.write(rest.subarray(0, -7));
  else await trickle(rest, response);
  response.end();
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    response.once("drain", resolve);
    response.once("close", resolve);
  });
}

async function trickle(bytes: Buffer, response: ServerResponse): Promise<void> {
  for (const byte of bytes) {
    if (response.destroyed) return;
    response.write(Buffer.of(byte));
    await sleep(20);
  }
}

function setHead(response: ServerResponse, text: string): void {
  for (const line of text.split("\r\n")) {
    const [name = "", value = ""] = line.split(/: ?(.*)/s);
    if (name.toLowerCase() === "status") response.statusCode = Number.parseInt(value, 10);
    else response.setHeader(name, value);
  }
}
