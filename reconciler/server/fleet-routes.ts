// Routes about more than one host: holds, approvals, brakes, rollouts, and why a host does not go on.
import type { FastifyInstance } from "fastify";
import type { CoordinationReader, CoordinationWriter } from "../model/ports.ts";
import type { JsonSchema } from "../model/schemas.ts";
import { hostParams } from "./host-routes.ts";
import { line, person } from "./schemas.ts";

export interface FleetRoutesOptions {
  readonly coordination: CoordinationReader & CoordinationWriter;
}

const select = line(200);
const by = person;
const reason = line(500);

function body(properties: Record<string, JsonSchema>, required: readonly string[]): JsonSchema {
  return { type: "object", additionalProperties: false, required, properties };
}

export async function fleetRoutes(app: FastifyInstance, { coordination }: FleetRoutesOptions): Promise<void> {
  const config = { policy: "operator" } as const;
  const security = [{ bearer: [] }];

  app.get(
    "/v1/fleet",
    {
      config,
      schema: { summary: "Rollouts, governors, holds, brakes, and the commit that waits for a word", security },
    },
    () => coordination.fleet(),
  );

  app.get<{ Params: { host: string }; Querystring: { what_if?: string } }>(
    "/v1/hosts/:host/why",
    {
      config,
      schema: {
        summary: "Why a host is not in its target, to the root; with what_if, what would be if a word were said",
        params: hostParams,
        querystring: { type: "object", additionalProperties: false, properties: { what_if: line(200) } },
        security,
      },
    },
    ({ params, query }) => coordination.why(params.host, query.what_if ?? null),
  );

  app.post<{ Body: { select: string; reason: string; by: string; until?: string } }>(
    "/v1/holds",
    {
      config,
      schema: {
        summary: "Holds hosts: nothing is started on them until they are released, or the time is over",
        body: body({ select, reason, by, until: { type: "string", format: "date-time" } }, ["select", "reason", "by"]),
        security,
      },
    },
    async ({ body: { select: what, reason: why, by: who, until } }, reply) =>
      reply.code(201).send(await coordination.hold({ select: what, reason: why, by: who, until: until ?? null })),
  );

  app.post<{ Body: { select: string; by: string } }>(
    "/v1/releases",
    { config, schema: { summary: "Lifts a hold", body: body({ select, by }, ["select", "by"]), security } },
    async ({ body: { select: what, by: who } }, reply) => reply.code(201).send(await coordination.release(what, who)),
  );

  app.post<{ Body: { commit: string; by: string } }>(
    "/v1/approvals",
    {
      config,
      schema: {
        summary: "A person's word for the commit that waits because of what it moves or removes",
        body: body({ commit: { type: "string", pattern: "^[0-9a-f]{7,40}$" }, by }, ["commit", "by"]),
        security,
      },
    },
    async ({ body: { commit, by: who } }, reply) => reply.code(201).send(await coordination.approve(commit, who)),
  );

  app.post<{ Body: { by: string; reason: string } }>(
    "/v1/brake-releases",
    {
      config,
      schema: {
        summary: "A person has looked: healing goes on",
        body: body({ by, reason }, ["by", "reason"]),
        security,
      },
    },
    async ({ body: { by: who, reason: why } }, reply) => {
      await coordination.releaseBrake(who, why);
      return reply.code(201).send({ released: true });
    },
  );
}
