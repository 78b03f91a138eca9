// The repository itself: a Git host says that something was pushed, an operator has the record archived.
import type { FastifyInstance } from "fastify";
import type { RepositoryControl } from "../model/ports.ts";
import { hookBytesMax, isGenuine } from "./hook-signature.ts";
import { unsigned } from "./policy.ts";

export interface RecordRoutesOptions {
  readonly repository: RepositoryControl;
  /** Shared with the Git host; null where none is set up, and then no hook is answered. */
  readonly hookSecret: Buffer | null;
}

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
