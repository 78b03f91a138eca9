// Listing refs over HTTP against a real `git http-backend`, and against servers that answer what they should not.
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { createServer as createSilentServer } from "node:net";
import { join } from "node:path";
import { inspect, promisify } from "node:util";
import * as assert from "uvu/assert";
import { runProcess } from "../../reconciler/adapters/process.ts";
import { Failure } from "../../reconciler/model/failure.ts";
import type { RunProcess } from "../../reconciler/model/ports.ts";
import { gitCredentials, settingsNeedGit } from "../../reconciler/record/credentials.ts";
import { Git } from "../../reconciler/record/git.ts";
import { HttpRefs, type HttpRefsOptions } from "../../reconciler/record/ls-refs.ts";
import { root } from "../support/example.ts";
import { git } from "../support/git-remote.ts";
import {
  type GitFault,
  type GitServer,
  type GitServerOptions,
  initBare,
  listen,
  serveGit,
} from "../support/http-backend.ts";
import { suite } from "../support/suite.ts";
import { tempFolder } from "../support/temp.ts";

const test = suite("ls-refs");
const run = promisify(execFile);
const environment = {};
const heads = ["refs/heads/"];

interface Rig extends AsyncDisposable {
  readonly dir: string;
  readonly bare: string;
  readonly server: GitServer;
  readonly url: string;
  open(more?: Partial<HttpRefsOptions>): HttpRefs;
}

/** A served repository with a commit on main. */
async function rig(options: GitServerOptions = {}): Promise<Rig> {
  const folder = await tempFolder();
  const bare = await initBare(join(folder.path, "a.git"));
  const { stdout } = await run("git", ["--git-dir", bare, "hash-object", "-t", "tree", "-w", "/dev/null"]);
  const commit = await git(bare, "commit-tree", "-m", "first", stdout.trim());
  await git(bare, "update-ref", "refs/heads/main", commit);
  const server = await serveGit(folder.path, options);
  const opened: HttpRefs[] = [];
  const open = (more: Partial<HttpRefsOptions> = {}): HttpRefs => {
    const refs = new HttpRefs({ url: `${server.url}/a.git`, credentials: async () => null, environment, ...more });
    opened.push(refs);
    return refs;
  };
  const dispose = async (): Promise<void> => {
    for (const refs of opened) refs.close();
    await server.close();
    await folder[Symbol.asyncDispose]();
  };
  return { dir: folder.path, bare, server, url: `${server.url}/a.git`, open, [Symbol.asyncDispose]: dispose };
}

async function lsRemote(url: string, ...patterns: string[]): Promise<Map<string, string>> {
  const { stdout } = await run("git", ["ls-remote", "--refs", url, ...patterns]);
  const lines = stdout.split("\n").filter((line) => line !== "");
  return new Map(lines.map((line) => [line.split("\t")[1] ?? "", line.split("\t")[0] ?? ""]));
}

async function countOf(listing: ReturnType<HttpRefs["list"]>): Promise<number> {
  const refs = await listing;
  return refs === "unsupported" ? -1 : refs.size;
}

/** The Failure of a list that must fail. */
async function failureOf(refs: HttpRefs): Promise<Failure> {
  const error: unknown = await refs.list(heads).then(
    (answer) => new Error(`it answered ${inspect(answer)}`),
    (error: unknown) => error,
  );
  if (!(error instanceof Failure)) throw error;
  assert.is(error.kind, "transient");
  assert.ok(error.hint);
  return error;
}

/** A client of a server that answers as `handler` does. */
async function withServer<T>(
  handler: (request: IncomingMessage, response: ServerResponse) => void,
  body: (refs: HttpRefs, url: string) => Promise<T>,
  more: Partial<HttpRefsOptions> = {},
): Promise<T> {
  const server = createServer(handler);
  const url = await listen(server);
  const refs = new HttpRefs({ url: `${url}/a.git`, credentials: async () => null, environment, ...more });
  try {
    return await body(refs, url);
  } finally {
    refs.close();
    server.closeAllConnections();
    server.close();
  }
}

const packets = (...lines: string[]): string =>
  lines.map((line) => (Buffer.byteLength(line) + 4).toString(16).padStart(4, "0") + line).join("") + "0000";
const v2 = packets("version 2\n", "agent=x\n", "ls-refs=unborn\n", "object-format=sha1\n");
const id = "a".repeat(40);

/** Answers discovery with `advertisement` and the rest with `body`. */
const says =
  (advertisement: string, body: string | Buffer = "0000") =>
  (request: IncomingMessage, response: ServerResponse): void => {
    request.resume();
    const [kind, content] = request.method === "GET" ? ["advertisement", advertisement] : ["result", body];
    response.writeHead(200, { "content-type": `application/x-git-upload-pack-${kind}` }).end(content);
  };

test("the answer is that of git ls-remote, for some refs, for all, and for none", async () => {
  await using it = await rig();
  const main = await git(it.bare, "rev-parse", "main");
  for (const name of ["heads/observed", "heads/mainly", "heads/höhe", "tags/v1", "stateward/x"])
    await git(it.bare, "update-ref", `refs/${name}`, main);
  await git(it.bare, "tag", "-a", "-m", "one", "v2", main);
  const refs = it.open();
  assert.equal(await refs.list(["refs/"]), await lsRemote(it.url));
  assert.equal(await refs.list(["refs/heads/"]), await lsRemote(it.url, "refs/heads/*"));
  assert.equal(await refs.list(["refs/heads/observed", "refs/tags/v1"]), await lsRemote(it.url, "observed", "v1"));
  assert.equal(await refs.list(["refs/heads/none"]), new Map());
  assert.equal(await refs.list(["HEAD"]), new Map([["HEAD", main]]));
  assert.is(await countOf(refs.list([])), 8, "with HEAD");
  await git(it.bare, "update-ref", "-d", "refs/heads/observed");
  assert.equal(await refs.list(["refs/heads/observed"]), new Map());

  await initBare(join(it.dir, "empty.git"));
  assert.equal(await it.open({ url: `${it.server.url}/empty.git/` }).list([]), new Map());
});

test("twenty lists are 21 requests on one connection", async () => {
  await using it = await rig();
  const refs = it.open();
  for (let turn = 0; turn < 20; turn++) assert.is(await countOf(refs.list(heads)), 1);
  assert.equal([it.server.connections(), it.server.requests()], [1, 21]);
});

test("lists at the same time do not disturb each other", async () => {
  await using it = await rig({ delayMs: 5 });
  const refs = it.open();
  const answers = await Promise.all(Array.from({ length: 8 }, () => refs.list(heads)));
  for (const answer of answers) assert.equal(answer, answers[0]);
});

test("credentials come from the URL, or are asked for once and remembered until they are refused", async () => {
  const options = { user: "ana", password: "p@ss/wörd" };
  await using it = await rig(options);
  const withUrl = it.open({ url: it.url.replace("://", `://ana:${encodeURIComponent(options.password)}@`) });
  assert.is(await countOf(withUrl.list(heads)), 1);
  assert.is(it.server.requests(), 2, "what the URL says is sent at once");

  let asked = 0;
  const credentials = async () => {
    asked++;
    return { username: "ana", password: options.password };
  };
  const refs = it.open({ credentials });
  for (let turn = 0; turn < 3; turn++) await refs.list(heads);
  assert.equal([asked, it.server.requests()], [1, 2 + 5]);
  options.password = "another";
  assert.is(await countOf(refs.list(heads)), 1);
  assert.is(asked, 2, "the old ones were refused, so they were asked for again");
});

test("A2: a wrong password is a Failure of its own, and right ones are taken afterwards", async () => {
  const options = { user: "ana", password: "right-secret" };
  await using it = await rig(options);
  let password = "wrong-secret";
  let asked = 0;
  const refs = it.open({
    credentials: async () => {
      asked++;
      return { username: "ana", password };
    },
  });
  for (const refused of [refs, it.open({ url: it.url.replace("://", "://ana:wrong-secret@") })]) {
    const failure = await failureOf(refused);
    assert.is(failure.reason, "GitAuth");
    assert.not.match(inspect(failure, { depth: 9 }), /wrong-secret/);
  }
  assert.is(asked, 1);
  password = options.password;
  assert.is(await countOf(refs.list(heads)), 1);
  assert.is(
    await it.open().list(heads),
    "unsupported",
    "without any, Git may know some: from .netrc, or an askpass program",
  );
});

const faults: readonly (readonly [GitFault, string])[] = [
  ["down", "GitUnreachable"],
  ["garbage", "GitAnswer"],
  ["truncate", "GitAnswer"],
  ["hang", "GitTimeout"],
  ["500", "GitStatus"],
  ["slow", "GitTimeout"],
];

for (const [fault, reason] of faults) {
  test(`A2: ${fault}: a Failure without credentials, before and after the first answer, and the next list is good`, async () => {
    await using it = await rig({ user: "ana", password: "hidden-secret" });
    const url = it.url.replace("://", "://ana:hidden-secret@");
    const limits = fault === "hang" ? { stallTimeoutMs: 1000 } : fault === "slow" ? { totalTimeoutMs: 1000 } : {};
    const refs = it.open({ url, ...limits });
    for (let turn = 0; turn < 2; turn++) {
      it.server.setFault(fault);
      const failure = await failureOf(refs);
      assert.is(failure.reason, reason, failure.message);
      assert.not.match(inspect(failure, { depth: 9 }), /hidden-secret|YW5hOmhpZGRlbi1zZWNyZXQ/);
      it.server.setFault(null);
      const calm = it.open({ url });
      assert.equal(await calm.list(heads), await lsRemote(url));
      // With a limit as short as a test's, a busy machine may need more than one try.
      let tries = Object.keys(limits).length === 0 ? 1 : 20;
      while (tries-- > 1 && (await refs.list(heads).catch(() => null)) === null);
      assert.is(await countOf(refs.list(heads)), 1);
    }
  });
}

test("each wait has its own limit: connecting, silence, the whole", async () => {
  await using it = await rig();
  it.server.setFault("hang");
  assert.match((await failureOf(it.open({ stallTimeoutMs: 50 }))).message, /did not go on within 0.05 s/);
  it.server.setFault("slow");
  assert.match((await failureOf(it.open({ totalTimeoutMs: 300 }))).message, /did not list its refs within 0.3 s/);
  it.server.setFault(null);
  const credentials = () => new Promise<null>(() => {});
  const unauthorized = (_request: IncomingMessage, response: ServerResponse): void => {
    response.writeHead(401, { "www-authenticate": "Basic" }).end();
  };
  const late = await withServer(unauthorized, failureOf, { credentials, totalTimeoutMs: 100 });
  assert.is(late.reason, "GitTimeout");

  // It accepts, and never says a word of TLS.
  const silent = createSilentServer();
  const url = (await listen(silent, "https")).concat("/a.git");
  const refs = it.open({ url, connectTimeoutMs: 50 });
  assert.match((await failureOf(refs)).message, /could not be reached within 0.05 s/);
  silent.close();
});

test("close ends what is under way, and nothing begins after it", async () => {
  await using it = await rig();
  it.server.setFault("hang");
  const refs = it.open();
  const running = refs.list(heads).catch((error: unknown) => error);
  refs.close();
  for (const error of [await running, await refs.list(heads).catch((error: unknown) => error)])
    assert.ok(error instanceof Failure && error.reason === "GitClosed");
});

test("an idle connection does not keep the process alive", async () => {
  await using it = await rig();
  const script = `
    import { HttpRefs } from "./reconciler/record/ls-refs.ts";
    const refs = new HttpRefs({ url: process.argv[1], credentials: async () => null, environment: {} });
    console.log((await refs.list(["refs/heads/"])).size);`;
  const args = ["--import", "tsx", "--input-type=module", "-e", script, it.url];
  const { stdout } = await run(process.execPath, args, { cwd: root, timeout: 60_000 });
  assert.is(stdout, "1\n");
});

test("a kept connection that the server has closed meanwhile is replaced without a failure", async () => {
  const served = new WeakMap<object, number>();
  let requests = 0;
  const once = (request: IncomingMessage, response: ServerResponse): void => {
    requests++;
    const turn = (served.get(request.socket) ?? 0) + 1;
    served.set(request.socket, turn);
    if (turn > 2) request.socket.destroy();
    else says(v2, packets(`${id} refs/heads/main\n`))(request, response);
  };
  await withServer(once, async (refs) => {
    for (let turn = 0; turn < 4; turn++) assert.equal(await refs.list(heads), new Map([["refs/heads/main", id]]));
    assert.is(requests, 5 + 2, "twice the third on a connection is made again on a fresh one");
  });
});

test("what only Git handles is left to Git", async () => {
  await using it = await rig({ old: true });
  assert.is(await it.open().list(heads), "unsupported", "version 0");
  await initBare(join(it.dir, "b.git"), "--object-format=sha256");
  await using modern = await serveGit(it.dir);
  assert.is(await it.open({ url: `${modern.url}/b.git` }).list(heads), "unsupported", "SHA-256");
  assert.is(await countOf(it.open({ url: `${modern.url}/a.git` }).list(heads)), 1);

  const type = "application/x-git-upload-pack-advertisement";
  const answers: readonly (readonly [string, number, Record<string, string>, string])[] = [
    ["a dumb server", 200, { "content-type": "text/plain" }, `${id}\trefs/heads/main\n`],
    ["version 1", 200, { "content-type": type }, packets("# service=git-upload-pack\n") + packets("version 1\n")],
    ["no ls-refs", 200, { "content-type": type }, packets("version 2\n", "fetch\n")],
    ["another host", 302, { location: "http://localhost:1/a.git/info/refs?service=git-upload-pack" }, ""],
    ["a login page", 302, { location: "/login" }, ""],
    ["Negotiate", 401, { "www-authenticate": "Negotiate" }, ""],
    ["a proxy", 407, { "proxy-authenticate": "Basic" }, ""],
    ["a client certificate", 400, {}, "<center>No required SSL certificate was sent</center>"],
    ["gzip", 200, { "content-type": type, "content-encoding": "gzip" }, "x"],
  ];
  const credentials = async () => ({ username: "a", password: "b" });
  for (const [what, status, headers, body] of answers) {
    const handler = (_request: IncomingMessage, response: ServerResponse): void => {
      response.writeHead(status, headers).end(body);
    };
    assert.is(await withServer(handler, (refs) => refs.list(heads), { credentials }), "unsupported", what);
  }
});

test("addresses and settings that only Git follows are left to Git without a request", async () => {
  await using it = await rig();
  const ask = (url: string, environment: NonNullable<HttpRefsOptions["environment"]>) =>
    it.open({ url, environment }).list(heads);
  for (const url of [
    "/srv/a.git",
    "ssh://h/a.git",
    "git@h:a.git",
    "http://",
    `${it.url}?x=1`,
    it.url.replace("//", "//a%ff:b@"),
  ])
    assert.is(await ask(url, {}), "unsupported", url);
  const proxies = [{ http_proxy: "http://p" }, { ALL_PROXY: "http://p" }, { HTTP_PROXY: "p", NO_PROXY: "1.1.1.1, x" }];
  for (const proxied of [...proxies, { GIT_SSL_CERT: "/c.pem" }])
    assert.is(await ask(it.url, proxied), "unsupported", inspect(proxied));
  assert.is(it.server.requests(), 0);
  for (const environment of [
    { https_proxy: "p" },
    { http_proxy: "p", no_proxy: "a,127.0.0.1" },
    { all_proxy: "p", NO_PROXY: "*" },
  ])
    assert.ok((await ask(it.url, environment)) instanceof Map, inspect(environment));
});

test("a redirect on the same origin is followed once and remembered", async () => {
  const paths: string[] = [];
  const moved = (request: IncomingMessage, response: ServerResponse): void => {
    const path = request.url ?? "";
    paths.push(`${request.method} ${path}`);
    if (path.startsWith("/a.git/")) response.writeHead(301, { location: path.replace("/a.git", "/new/b.git") }).end();
    else says(v2, packets(`${id} refs/heads/main`))(request, response);
  };
  await withServer(moved, async (refs) => {
    for (let turn = 0; turn < 2; turn++) assert.equal(await refs.list(heads), new Map([["refs/heads/main", id]]));
  });
  const service = "info/refs?service=git-upload-pack";
  const post = "POST /new/b.git/git-upload-pack";
  assert.equal(paths, [`GET /a.git/${service}`, `GET /new/b.git/${service}`, post, post]);

  const round = (request: IncomingMessage, response: ServerResponse): void => {
    response.writeHead(302, { location: request.url ?? "" }).end();
  };
  assert.is(await withServer(round, (refs) => refs.list(heads)), "unsupported");
});

test("nothing that a server says is trusted", async () => {
  const ref = (line: string): string => packets(`${line}\n`);
  const bodies = {
    "no packets": "hello",
    nothing: "",
    "no end": ref(`${id} refs/heads/main`).slice(0, -4),
    "an end within a packet": `00ff${id} refs/heads/main`,
    "an empty packet": `0004${packets()}`,
    "too large a packet": `ffff${"x".repeat(70_000)}`,
    "a sign for a size": `-00a${"x".repeat(6)}0000`,
    "a delimiter": `0001${packets()}`,
    "bytes after the end": `${ref(`${id} refs/heads/main`)}0000`,
    "an error": ref("ERR the password is hunter2"),
    "a short id": ref("abc refs/heads/main"),
    "an id in capitals": ref(`${"A".repeat(40)} refs/heads/main`),
    "an id of zeros": ref(`${"0".repeat(40)} refs/heads/main`),
    "an unborn ref": ref("unborn HEAD"),
    "no name": ref(id),
    "a name without refs/": ref(`${id} heads/main`),
    "a name that climbs": ref(`${id} refs/heads/../x`),
    "a name with a control character": ref(`${id} refs/heads/a\u0007`),
    "a name with an option's sign": ref(`${id} --upload-pack=x`),
    "a lock": ref(`${id} refs/heads/main.lock`),
    "a ref twice": packets(`${id} refs/heads/main\n`, `${id} refs/heads/main\n`),
    "bytes that are not UTF-8": Buffer.concat([
      Buffer.from(`0034${id} refs/hea`),
      Buffer.of(0xff),
      Buffer.from("0000"),
    ]),
  };
  for (const [what, body] of Object.entries(bodies)) {
    const failure = await withServer(says(v2, body), failureOf);
    assert.is(failure.reason, "GitAnswer", what);
    assert.not.match(inspect(failure), /hunter2/);
    if (what !== "an unborn ref")
      assert.is((await withServer(says(body.toString()), failureOf)).reason, "GitAnswer", what);
  }
  const more = packets(`${id} refs/heads/main symref-target:x\n`, `${id} refs/tags/v1\n`);
  const kept = await withServer(says(v2, more), (refs) => refs.list(heads));
  assert.equal(kept, new Map([["refs/heads/main", id]]), "what was not asked for is left out");
  const page = (_request: IncomingMessage, response: ServerResponse): void => {
    response.writeHead(200, { "content-type": "text/html" }).end("<html>log in</html>");
  };
  assert.is((await withServer(page, failureOf)).reason, "GitAnswer");
  const noHttp = (request: IncomingMessage): void => void request.socket.end("SSH-2.0-x\r\n");
  assert.is((await withServer(noHttp, failureOf)).reason, "GitAnswer");
});

test("an answer without end is cut off at 16 MB", async () => {
  const endless = (request: IncomingMessage, response: ServerResponse): void => {
    if (request.method === "GET") return says(v2)(request, response);
    request.resume();
    response.writeHead(200, { "content-type": "application/x-git-upload-pack-result" });
    const line = packets(`${id} refs/heads/main\n`).slice(0, -4).repeat(1000);
    const pour = (): void => {
      while (!response.destroyed && response.write(line));
    };
    response.on("drain", pour);
    pour();
  };
  assert.match((await withServer(endless, failureOf)).message, /more than 16777216 bytes/);
});

const hasOpenssl = await run("openssl", ["version"]).then(
  () => true,
  () => false,
);

test.needs("openssl", hasOpenssl, "a certificate that Node does not know is never accepted: Git decides", async () => {
  await using dir = await tempFolder();
  const [key, cert] = [join(dir.path, "key.pem"), join(dir.path, "cert.pem")];
  const subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"];
  await run("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, ...subject]);
  let requests = 0;
  const server = createTlsServer({ key: await readFile(key), cert: await readFile(cert) }, (request, response) => {
    requests++;
    says(v2)(request, response);
  });
  const url = await listen(server, "https");
  const refs = new HttpRefs({ url: `${url}/a.git`, credentials: async () => null, environment });
  assert.is(await refs.list(heads), "unsupported");
  assert.is(requests, 0);
  refs.close();
  server.close();
});

/** A repository whose only credential helper is this shell text; and what Git is started with. */
async function withHelper(
  dir: string,
  helper: string,
): Promise<{ settings: Git; gitDir: string; spy: RunProcess; started: string[] }> {
  const gitDir = await initBare(join(dir, "settings.git"));
  await git(gitDir, "config", "--add", "credential.helper", "");
  await git(gitDir, "config", "--add", "credential.helper", helper);
  const started: string[] = [];
  const spy: RunProcess = (order) => {
    started.push(order.argv.join(" "));
    return runProcess(order);
  };
  return { settings: new Git(gitDir, runProcess), gitDir, spy, started };
}

test("A2: credentials come from Git's helpers, through pipes alone", async () => {
  await using dir = await tempFolder();
  const told = join(dir.path, "told");
  const helper = `!f() { cat > '${told}'; echo username=ana; echo password=from=helper; }; f`;
  const { settings: repository, gitDir, spy, started } = await withHelper(dir.path, helper);
  await git(gitDir, "config", "credential.useHttpPath", "true");
  const ask = gitCredentials("https://ana:not-this@example.org:8443/team/a.git", spy, repository);
  assert.equal(await ask(), { username: "ana", password: "from=helper" });
  assert.is(await readFile(told, "utf8"), "protocol=https\nhost=example.org:8443\npath=team/a.git\nusername=ana\n");
  assert.not.match(started.join("\n"), /not-this|from=helper|example/);
  assert.is(await gitCredentials("https://h/a%0apassword=x", spy, repository)(), null);
  assert.is(started.length, 1, "an address with a line feed is not even said to Git");
});

test("without a helper's answer there are no credentials, and nobody is prompted", async () => {
  await using dir = await tempFolder();
  const { settings: repository, gitDir, spy } = await withHelper(dir.path, "!true");
  const prompt = join(dir.path, "prompt");
  await writeFile(prompt, `#!/bin/sh\ntouch '${dir.path}/prompted'\necho x\n`, { mode: 0o700 });
  await git(gitDir, "config", "core.askPass", prompt);
  assert.is(await gitCredentials("https://example.org/a.git", spy, repository)(), null);
  assert.not.ok(existsSync(join(dir.path, "prompted")));
});

test("settings of Git's that are not followed here are noticed", async () => {
  await using dir = await tempFolder();
  const { settings: repository, gitDir, spy, started } = await withHelper(dir.path, "!true");
  const url = "https://ana:hidden@example.org/a.git";
  const needed = () => settingsNeedGit(url, spy, repository);
  assert.is(await needed(), false, "http.receivepack changes nothing here");
  const settings = [
    ["http.proxy", "http://p"],
    ["http.https://example.org.sslCert", "/c.pem"],
    ["url.ssh://git@example.org/.insteadOf", "https://ana:hidden@example.org/"],
  ] as const;
  for (const [name, value] of settings) {
    await git(gitDir, "config", name, value);
    assert.is(await needed(), true, name);
    await git(gitDir, "config", "--unset", name);
  }
  await git(gitDir, "config", "http.https://elsewhere.org.proxy", "http://p");
  await git(gitDir, "config", "url.ssh://x/.insteadOf", "https://elsewhere.org/");
  assert.is(await needed(), false);
  assert.not.match(started.join("\n"), /hidden/);
});

test("the server of these tests takes clones and pushes: small, chunked and compressed", async () => {
  await using it = await rig({ user: "ana", password: "pw" });
  const url = it.url.replace("://", "://ana:pw@");
  const work = join(it.dir, "work");
  await run("git", ["clone", "--quiet", url, work]);
  await writeFile(join(work, "big"), Buffer.from(Array.from({ length: 300_000 }, (_, at) => (at * at * 31) % 251)));
  await git(work, "add", "--all");
  await git(work, "commit", "--quiet", "-m", "big");
  await git(work, "-c", "http.postBuffer=4096", "push", "--quiet", "origin", "HEAD:main");
  // A fetch with many refs in common sends more than 1 KB, which Git compresses.
  const head = await git(work, "rev-parse", "HEAD");
  const tree = await git(work, "rev-parse", "HEAD^{tree}");
  for (let at = 0; at < 40; at++) {
    const side = await git(work, "commit-tree", "-m", `side ${at}`, tree);
    await git(work, "update-ref", `refs/heads/side-${at}`, side);
  }
  await git(work, "push", "--quiet", "--all", "origin");
  const next = await git(it.bare, "commit-tree", "-m", "next", "-p", head, tree);
  await git(it.bare, "update-ref", "refs/heads/main", next);
  await git(work, "fetch", "--quiet", "origin");
  assert.is(await git(work, "rev-parse", "origin/main"), next);
  assert.is(await countOf(it.open({ url }).list(["refs/heads/side-"])), 40);
});

test.run();
