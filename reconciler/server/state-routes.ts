// StateService's own interface: GET and PUT /state answer 200 or 406, so that a program written for it needs no change.
// Source: https://github.com/facebookarchive/StateService (README, "How StateService works").
import type { FastifyInstance } from "fastify";
import { Failure } from "../model/failure.ts";
import { namePattern, statePattern } from "../model/schemas.ts";
import type { AppOptions } from "./app.ts";

const querySchema = {
  type: "object",
  required: ["state"],
  properties: {
    state: { type: "string", pattern: statePattern, description: "The state that is asked about" },
    subject: {
      type: "string",
      pattern: namePattern,
      description: "Host or group; optional where only one shared machine exists",
    },
    machine: { type: "string", pattern: namePattern, description: "One of the subject's machines; default any" },
  },
} as const;

interface StateQuery {
  state: string;
  subject?: string;
  machine?: string;
}

export async function stateRoutes(app: FastifyInstance, { fleet }: AppOptions): Promise<void> {
  // Clients send updates with any body or none: it is read to its limit, and means nothing.
  app.addContentTypeParser("*", { parseAs: "string" }, (_request, _body, done) => done(null, undefined));
  const config = { policy: "state" } as const;

  app.get<{ Querystring: StateQuery }>(
    "/state",
    { config, schema: { summary: "200 if the subject is in the state, 406 if not", querystring: querySchema } },
    ({ query }, reply) => {
      if (fleet.isIn(query.subject ?? null, query.state, query.machine ?? null))
        return reply.type("text/plain").send(query.state);
      throw new Failure("waiting", `${query.subject ?? "the shared machine"} is not in the state ${query.state}`, {
        reason: "NotCurrent",
        hint: "ask again later",
      });
    },
  );

  app.put<{ Querystring: StateQuery }>(
    "/state",
    {
      config,
      schema: {
        summary: "Counts an update of the state; 406 if it is not the current one. Idempotency-Key: counts once",
        querystring: querySchema,
      },
    },
    async ({ query, headers }, reply) => {
      const key = headers["idempotency-key"];
      if (Array.isArray(key) || (key !== undefined && key.length > 200)) {
        throw new Failure("invalid", "Idempotency-Key has one value of at most 200 characters", { reason: "BadKey" });
      }
      await fleet.update(query.subject ?? null, query.state, key ?? null);
      return reply.type("text/plain").send(query.state);
    },
  );
}
