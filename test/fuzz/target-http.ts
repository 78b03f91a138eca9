// HTTP: any request is answered, with a status that is meant and an error that says why; what is refused changes nothing.
import { createHmac } from "node:crypto";
import { METHODS } from "node:http";
import { Ajv2020 } from "ajv/dist/2020.js";
import type { InjectOptions } from "fastify";
import * as assert from "uvu/assert";
import { reportSchema } from "../../reconciler/server/host-routes.ts";
import { bearer, type HttpRig, serve } from "../support/http.ts";
import { checkPrototypes } from "./laws.ts";
import type { Target } from "./targets.ts";

const machine = {
  machine: "lamp",
  initial: "off",
  states: { off: { enter: [{ from: "on" }] }, on: { enter: [{ from: "off" }] } },
};
const files = {
  "machines/lamp.yaml": machine,
  "hosts/a.yaml": { host: "a", transport: "agent", machines: ["lamp"] },
  "hosts/b.yaml": { host: "b", transport: "agent", machines: ["lamp"] },
  "hosts/site.yaml": { group: "site", machines: ["lamp"] },
};
const hookSecret = "not a password";
/** A sequence number that is the last one stops what can be found: a new server takes over after so many requests. */
const requestsMax = 500;

interface Asked {
  readonly status: number;
  readonly rig: HttpRig;
  /** Names of what was recorded because of the request. */
  readonly recorded: readonly string[];
  readonly woken: number;
}

/** A server that is asked again and again. */
class Asker implements AsyncDisposable {
  private rig: HttpRig | null = null;
  private requests = 0;

  async ask(options: InjectOptions): Promise<Asked> {
    if (this.requests++ % requestsMax === 0) await this[Symbol.asyncDispose]();
    this.rig ??= await serve(files, { open: true, hookSecret });
    const { rig } = this;
    const [changes, calls] = [rig.record.changes.length, rig.calls.length];
    const answer = await rig.app.inject(options);
    await rig.clock.pass(1);
    checkAnswer(answer);
    checkPrototypes();
    const recorded = rig.record.changes.slice(changes).map(({ record }) => record.name);
    return { status: answer.statusCode, rig, recorded, woken: rig.calls.length - calls };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.rig?.[Symbol.asyncDispose]();
    this.rig = null;
  }
}

type Answer = Awaited<ReturnType<HttpRig["app"]["inject"]>>;

const meant = [200, 202, 400, 401, 403, 404, 406, 409, 413, 414, 415, 422];

function checkAnswer(answer: Answer): void {
  const { statusCode, headers, body } = answer;
  assert.ok(meant.includes(statusCode), `${statusCode}: ${body.slice(0, 200)}`);
  assert.is(headers["set-cookie"], undefined);
  if (statusCode < 400 || body === "") return;
  assert.match(String(headers["content-type"]), "application/problem+json");
  const problem = answer.json<Record<string, unknown>>();
  assert.is(problem.status, statusCode);
  for (const key of ["type", "title", "detail"])
    assert.ok(typeof problem[key] === "string" && problem[key] !== "", key);
}

function target(run: (asker: Asker, input: Buffer) => Promise<void>): Promise<Target> {
  const asker = new Asker();
  return Promise.resolve({
    run: (input) => run(asker, input),
    [Symbol.asyncDispose]: () => asker[Symbol.asyncDispose](),
  });
}

const isReport = new Ajv2020({ strict: false }).compile(reportSchema);

/** Bodies of reports, sent by the host `a`. What is taken keeps to the schema and is about `a` alone (A1). */
export function reportTarget(): Promise<Target> {
  return target(async (asker, payload) => {
    const headers = { ...bearer("a"), "content-type": "application/json" };
    const { status, recorded } = await asker.ask({ method: "POST", url: "/v1/hosts/a/reports", headers, payload });
    for (const name of recorded) assert.ok(["a", "@fleet"].includes(name), `a report of a changed ${name}`);
    if (status === 202) assert.ok(isReport(JSON.parse(payload.toString())), "what is taken keeps to the schema");
    else assert.equal(recorded, []);
  });
}

/** A method and a query, headers, an empty line, a body. */
export function stateTarget(): Promise<Target> {
  return target(async (asker, input) => {
    const { lines, payload } = split(input);
    const [first = "", ...rest] = lines;
    const [method = "", ...query] = first.split(" ");
    const known = METHODS.includes(method) ? method : "PROPFIND";
    const url = `/state?${query.join(" ")}`;
    const { status, recorded } = await asker.ask({ method: known, url, headers: headersOf(rest), payload });
    if (known !== "PUT" || status !== 200) assert.equal(recorded, []);
    for (const name of recorded) assert.ok(["a", "b", "site", "@fleet"].includes(name), name);
  });
}

/** Headers, an empty line, a body. A hook is heard when it is signed, and in no other case. */
export function webhookTarget(): Promise<Target> {
  return target(async (asker, input) => {
    const { lines, payload } = split(input);
    const digest = createHmac("sha256", hookSecret).update(payload).digest("hex");
    const headers = headersOf(lines.map((line) => line.replaceAll("SIGNED", `sha256=${digest}`)));
    const { status, woken } = await asker.ask({ method: "POST", url: "/v1/hooks/git", headers, payload });
    const isSigned =
      headers["x-hub-signature-256"] === `sha256=${digest}` ||
      headers["x-gitea-signature"] === digest ||
      headers["x-gitlab-token"] === hookSecret;
    assert.is(status === 202, woken === 1);
    assert.ok(status !== 202 || isSigned, "heard without a signature");
  });
}

function split(input: Buffer): { readonly lines: readonly string[]; readonly payload: Buffer } {
  const end = input.indexOf("\n\n");
  const head = end < 0 ? input : input.subarray(0, end);
  return { lines: head.toString("latin1").split("\n"), payload: end < 0 ? Buffer.alloc(0) : input.subarray(end + 2) };
}

/** Headers as Node's own parser would hand them on: it refuses names and values of any other form, and joins what comes twice. */
function headersOf(lines: readonly string[]): Record<string, string> {
  const headers = new Map<string, string>();
  for (const line of lines) {
    const [, name = "", value = ""] =
      // oxlint-disable-next-line no-control-regex -- what the parser refuses
      /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\0-\x08\x0a-\x1f\x7f]*)$/.exec(line) ?? [];
    if (name === "") continue;
    const key = name.toLowerCase();
    const before = headers.get(key);
    headers.set(key, before === undefined ? value.trim() : `${before}, ${value.trim()}`);
  }
  return Object.fromEntries(headers);
}
