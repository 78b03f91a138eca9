// Errors as RFC 9457 problem details: https://www.rfc-editor.org/rfc/rfc9457
import type { FastifyError, FastifyReply, FastifyRequest } from "fastify";
import { Failure, isDiskFull } from "../model/failure.ts";

export interface ProblemDetails {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly hint?: string;
}

const statusOfReason: Readonly<Record<string, number>> = {
  Unauthorized: 401,
  Forbidden: 403,
  UnknownRoute: 404,
  UnknownSubject: 404,
  UnknownMachine: 404,
  NotCurrent: 406,
  OldIncarnation: 409,
  StaleSequence: 409,
  Busy: 409,
  NothingStalled: 409,
  ReplayedDelivery: 409,
  SubjectNeeded: 400,
  InvalidBody: 400,
};

/** Stable words for what the framework refuses by itself. */
const words: Readonly<Record<number, string>> = {
  400: "InvalidBody",
  413: "BodyTooLarge",
  414: "AddressTooLong",
  415: "UnsupportedType",
};

function statusOf(failure: Failure): number {
  const known = statusOfReason[failure.reason];
  if (known !== undefined) return known;
  switch (failure.kind) {
    case "invalid":
      return 422;
    case "waiting":
      return 409;
    case "transient":
    case "stalled":
      return 503;
  }
}

const room = "make room on the disk of its data folder, start it, and send this again";

/** The answer to anything thrown while a request was handled. What is not ours to explain stays inside. */
function problemOf(error: unknown): ProblemDetails {
  if (error instanceof Failure) {
    const status = statusOf(error);
    return details(error.reason, status, error.message, error.hint);
  }
  if (isDiskFull(error)) return details("DiskFull", 503, "the disk of the reconciler is full: nothing was kept", room);
  const { statusCode = 500, code = "Error", message, validation } = error as Partial<FastifyError>;
  if (validation)
    return details(
      "InvalidBody",
      400,
      message ?? "the request does not fit its schema",
      "GET /openapi.json has the schema",
    );
  if (statusCode < 500)
    return details(words[statusCode] ?? code, statusCode, message ?? "the request cannot be read", null);
  return details("Internal", 500, "the request could not be handled", "see the log of the reconciler");
}

function details(reason: string, status: number, ...[detail, hint]: [string, string | null]): ProblemDetails {
  return {
    type: `urn:stateward:problem:${reason}`,
    title: reason,
    status,
    detail,
    ...(hint === null ? {} : { hint }),
  };
}

/** Answers what was thrown; `hide` takes secrets out of what is said (A2). */
export type SendProblem = (error: unknown, request: FastifyRequest, reply: FastifyReply) => FastifyReply;

export function problemSender(hide: (text: string) => string): SendProblem {
  return (error, _request, reply) => {
    const problem = problemOf(error);
    if (problem.status === 401) void reply.header("www-authenticate", 'Bearer realm="stateward"');
    return reply
      .code(problem.status)
      .type("application/problem+json")
      .send({ ...problem, detail: hide(problem.detail) });
  };
}
