// A4: every route names its policy, and everything else is refused before its body is read.
import type { FastifyInstance, FastifyRequest } from "fastify";
import { Failure } from "../model/failure.ts";
import { type Bearer, rememberingReader } from "./tokens.ts";

/**
 * `public`: anyone who can connect. `subject`: the token of the host in the path, or an operator's. `operator`: an operator's.
 * `state`: the token of the subject that is asked about, or an operator's; anyone where the settings say `state_access: open`.
 * `hook`: whoever signs with the secret of the Git host; the signature is over the body, so the route checks it, before all else.
 */
export type Policy = "public" | "subject" | "operator" | "state" | "hook";

declare module "fastify" {
  interface FastifyContextConfig {
    policy?: Policy;
  }
}

export interface PolicyOptions {
  readonly key: Buffer;
  /** Null where no hook is set up. */
  readonly hookSecret: Buffer | null;
  readonly stateAccess: () => "token" | "open";
}

/** Adds the checks to a server. A route without a policy is a bug, and keeps the server from starting. */
export function enforcePolicies(app: FastifyInstance, options: PolicyOptions): void {
  app.addHook("onRoute", (route) => {
    if (route.config?.policy === undefined)
      throw new Error(`the route ${String(route.method)} ${route.url} names no policy`);
  });
  const bearerOf = rememberingReader(options.key);
  const { stateAccess, hookSecret } = options;
  app.addHook("onRequest", (request, reply, done) => {
    const refusal = refusalOf(request, { bearerOf, stateAccess, isHooked: hookSecret !== null });
    // What is left of its body is nobody's: the connection is not kept for it.
    if (refusal !== null && hasLongBody(request)) void reply.header("connection", "close");
    done(refusal ?? undefined);
  });
  // Whoever asks before sending a body is told to go on only here: Node by itself says so before any policy is asked.
  app.server.on("checkContinue", (request, response) => app.server.emit("request", request, response));
  app.addHook("preParsing", (request, reply, payload, done) => {
    const { bodyLimit } = request.routeOptions;
    const isShort = Number(request.headers["content-length"] ?? 0) <= bodyLimit;
    if (request.headers.expect !== undefined && isShort) reply.raw.writeContinue();
    done(null, payload);
  });
}

/** Bytes of a refused request's body that are read and dropped, so that its connection can be used again. */
const droppedBytesMax = 65_536;

function hasLongBody({ headers }: FastifyRequest): boolean {
  return headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > droppedBytesMax;
}

interface Access {
  readonly bearerOf: (header: string | undefined) => Bearer | null;
  readonly stateAccess: PolicyOptions["stateAccess"];
  /** Whether there is a secret with which hooks are signed. */
  readonly isHooked: boolean;
}

/** Why a request is refused, or null. */
function refusalOf(request: FastifyRequest, { bearerOf, stateAccess, isHooked }: Access): Failure | null {
  const { policy } = request.routeOptions.config;
  if (request.is404 || policy === undefined) {
    return new Failure("invalid", `nothing answers ${request.method} here`, {
      reason: "UnknownRoute",
      hint: "GET /openapi.json lists what there is",
    });
  }
  if (policy === "hook") return isHooked && isSigned(request) ? null : unsigned();
  if (policy === "public" || (policy === "state" && stateAccess() === "open")) return null;
  return refusalOfBearer(policy, request, bearerOf(request.headers.authorization));
}

function refusalOfBearer(
  policy: "subject" | "operator" | "state",
  request: FastifyRequest,
  bearer: Bearer | null,
): Failure | null {
  if (bearer === null) {
    return new Failure("invalid", "a valid bearer token is needed", {
      reason: "Unauthorized",
      hint: "stateward token HOST issues one; send it as Authorization: Bearer TOKEN",
    });
  }
  if (bearer.kind === "operator") return null;
  const asked =
    policy === "subject"
      ? (request.params as { host?: string }).host
      : policy === "state"
        ? subjectParameter(request)
        : null;
  // A1: a subject's token is good for that subject alone, and the request has to name it.
  if (asked === bearer.name) return null;
  return new Failure("invalid", `this token speaks for ${bearer.name} alone`, {
    reason: "Forbidden",
    hint: "use the token of the host that is asked about, or an operator's",
  });
}

/** Headers in which Git hosts sign what they send. */
const signatures = ["x-hub-signature-256", "x-gitea-signature", "x-gitlab-token"] as const;

function isSigned({ headers }: FastifyRequest): boolean {
  return signatures.some((name) => headers[name] !== undefined);
}

/** A hook that nobody has signed; one that is signed wrongly is told so by its route, in the same words. */
export function unsigned(): Failure {
  return new Failure("invalid", "the hook is not signed with the secret that was set up", {
    reason: "Unauthorized",
    hint: "give the Git host the content of the file keys/webhook.secret in the data folder",
  });
}

function subjectParameter(request: FastifyRequest): string | null {
  const { subject } = request.query as { subject?: string | string[] };
  return typeof subject === "string" ? subject : null;
}
