// Hooks of GitHub: genuine by their signature over the bytes as they came, heard once. They only say where to look.
import { createHash } from "node:crypto";
import type { FastifyInstance } from "fastify";
import { Failure } from "../model/failure.ts";
import type { ForgeWaker } from "../model/forge.ts";
import type { RepositoryControl } from "../model/ports.ts";
import { hookBytesMax, isSignedLikeGitHub } from "./hook-signature.ts";
import { unsigned } from "./policy.ts";

export interface ForgeRoutesOptions {
  readonly repository: RepositoryControl;
  /** Null where none is set up, and then no hook is answered. */
  readonly hookSecret: Buffer | null;
  /** Null where pull requests are not looked at. */
  readonly forge?: ForgeWaker | null;
}

export async function forgeRoutes(
  app: FastifyInstance,
  { repository, hookSecret, forge = null }: ForgeRoutesOptions,
): Promise<void> {
  // A signature is over the bytes as they came.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", { parseAs: "buffer" }, (_request, body, done) => done(null, body));
  const deliveries = new Deliveries();

  app.post(
    "/v1/hooks/github",
    {
      config: { policy: "hook" },
      bodyLimit: hookBytesMax,
      schema: { summary: "Something happened on GitHub: what it says was pushed or changed is looked at there" },
    },
    (request, reply) => {
      const { body, headers } = request;
      if (hookSecret === null || !Buffer.isBuffer(body) || !isSignedLikeGitHub(request, hookSecret)) throw unsigned();
      const payload = payloadOf(body);
      const delivery = headers["x-github-delivery"];
      if (!deliveries.isNew(typeof delivery === "string" ? delivery : "", body)) throw replayed();
      const woken = wokenBy(String(headers["x-github-event"]), payload);
      if (woken === null) return reply.code(202).send({ status: "ignored" });
      if (woken.repository) repository.wake();
      forge?.wake(woken.pullRequest);
      return reply.code(202).send({ status: "looking" });
    },
  );
}

/** Deliveries that are remembered: replays within that many are refused; older ones, and those before a restart, only cause a look. */
const deliveriesMax = 10_000;

/** What was heard: a signature covers the body and no header, so that the body is remembered beside the delivery's name. */
class Deliveries {
  private readonly seen = new Set<string>();

  isNew(name: string, body: Buffer): boolean {
    const digest = createHash("sha256").update(body).digest("base64");
    const names = name === "" ? [digest] : [digest, `name ${name.slice(0, 100)}`];
    if (names.some((each) => this.seen.has(each))) return false;
    for (const each of names) this.seen.add(each);
    for (const oldest of this.seen) {
      if (this.seen.size <= deliveriesMax) break;
      this.seen.delete(oldest);
    }
    return true;
  }
}

function payloadOf(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString());
  } catch (cause) {
    throw new Failure("invalid", "the hook is not JSON", {
      reason: "InvalidBody",
      hint: "choose the content type application/json where the hook is set up",
      cause,
    });
  }
}

function replayed(): Failure {
  return new Failure("invalid", "this delivery was heard before", {
    reason: "ReplayedDelivery",
    hint: "nothing is lost: what it was about was looked at then, and is looked at again from time to time",
  });
}

interface Woken {
  /** The branches are to be looked at. */
  readonly repository: boolean;
  /** The pull request that is; null for all. */
  readonly pullRequest: number | null;
}

/** Where to look, or null where an event concerns nothing here. A number is all that is taken from a payload. */
function wokenBy(event: string, payload: unknown): Woken | null {
  switch (event) {
    case "push":
      return { repository: true, pullRequest: null };
    case "pull_request":
      return { repository: true, pullRequest: numberIn(payload, "pull_request") };
    case "pull_request_review":
      return { repository: false, pullRequest: numberIn(payload, "pull_request") };
    case "issue_comment":
      return { repository: false, pullRequest: numberIn(payload, "issue") };
    case "check_run":
    case "check_suite":
      return { repository: false, pullRequest: null };
    default:
      // Among them `ping`, by which GitHub tries a new hook.
      return null;
  }
}

function numberIn(payload: unknown, name: string): number | null {
  const { number } = ((payload as Record<string, unknown> | null)?.[name] ?? {}) as { number?: unknown };
  return typeof number === "number" && Number.isSafeInteger(number) && number > 0 ? number : null;
}
