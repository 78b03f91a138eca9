// The repository itself: a Git host says that something was pushed, an operator has the record archived.
import { createHmac, timingSafeEqual } from "node:crypto";
import type { FastifyInstance, FastifyRequest } from "fastify";
import type { RepositoryControl } from "../model/ports.ts";
import { unsigned } from "./policy.ts";

export interface RecordRoutesOptions {
  readonly repository: RepositoryControl;
  /** Shared with the Git host; null where none is set up, and then no hook is answered. */
  readonly hookSecret: Buffer | null;
}

/** A Git host sends the commits along; the hook only needs to be genuine. */
const hookBytesMax = 1_048_576;

export async function recordRoutes(
  app: FastifyInstance,
  { repository, hookSecret }: RecordRoutesOptions,
): Promise<void> {
  // A signature is over the bytes as they came.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", { parseAs: "buffer" }, (_request, body, done) => done(null, body));

  app.post(
    "/v1/record/archives",
    {
      config: { policy: "operator" },
      schema: { summary: "Gives the branch observed a new root; what it was stays on a branch that the answer names" },
    },
    async (_request, reply) => reply.code(201).send({ branch: await repository.archive() }),
  );

  app.post(
    "/v1/hooks/git",
    {
      config: { policy: "hook" },
      bodyLimit: hookBytesMax,
      schema: {
        summary: "Something was pushed: the repository is looked at now. Signed as GitHub, Gitea or GitLab do",
      },
    },
    (request, reply) => {
      if (hookSecret === null || !isGenuine(request, hookSecret)) throw unsigned();
      repository.wake();
      return reply.code(202).send({ status: "looking" });
    },
  );
}

/**
 * GitHub: https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries; Gitea sends the same digest without its
 * prefix; GitLab sends the secret itself.
 */
function isGenuine({ headers, body }: FastifyRequest, secret: Buffer): boolean {
  const digest = createHmac("sha256", secret)
    .update(Buffer.isBuffer(body) ? body : "")
    .digest("hex");
  return (
    isSame(headers["x-hub-signature-256"], `sha256=${digest}`) ||
    isSame(headers["x-gitea-signature"], digest) ||
    isSame(headers["x-gitlab-token"], secret.toString())
  );
}

function isSame(header: string | string[] | undefined, expected: string): boolean {
  if (typeof header !== "string") return false;
  const [a, b] = [Buffer.from(header), Buffer.from(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}
