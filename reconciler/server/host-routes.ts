// Routes about hosts: what they report, how they are, and people's words on what is stalled.
import type { FastifyInstance } from "fastify";
import { Failure } from "../model/failure.ts";
import type { AgentReport } from "../model/ports.ts";
import type { StateClaim } from "../model/report.ts";
import { type JsonSchema, namePattern, statePattern } from "../model/schemas.ts";
import type { AppOptions } from "./app.ts";
import { person } from "./schemas.ts";

export const hostParams: JsonSchema = {
  type: "object",
  properties: { host: { type: "string", pattern: namePattern } },
  required: ["host"],
};

const claimSchema = {
  anyOf: [
    { type: "string", pattern: statePattern },
    {
      type: "object",
      additionalProperties: false,
      required: ["state"],
      properties: {
        state: { type: "string", pattern: statePattern },
        revision: { type: "integer", minimum: 0, maximum: Number.MAX_SAFE_INTEGER },
      },
    },
  ],
} as const;

export const reportSchema: JsonSchema = {
  type: "object",
  additionalProperties: false,
  required: ["incarnation", "sequence"],
  properties: {
    incarnation: { type: "string", pattern: "^[A-Za-z0-9-]{8,64}$", description: "Identity of this life of the host" },
    sequence: { type: "integer", minimum: 0, maximum: Number.MAX_SAFE_INTEGER, description: "Rises with every report" },
    states: {
      type: "object",
      maxProperties: 50,
      propertyNames: { pattern: namePattern },
      additionalProperties: claimSchema,
    },
    facts: {
      type: "object",
      maxProperties: 100,
      propertyNames: { pattern: "^[A-Za-z0-9_.-]{1,64}$" },
      additionalProperties: { type: "string", maxLength: 1000 },
    },
  },
};

const wordSchema = {
  type: "object",
  additionalProperties: false,
  required: ["word"],
  properties: { word: { enum: ["retry", "skip"] }, machine: { type: "string", pattern: namePattern }, by: person },
} as const;

const replaySchema = { type: ["object", "null"], additionalProperties: false, properties: { by: person } } as const;

interface ReportBody {
  incarnation: string;
  sequence: number;
  states?: Record<string, string | { state: string; revision?: number }>;
  facts?: Record<string, string>;
}

const secured = [{ bearer: [] }];
const operator = { policy: "operator" } as const;

export async function hostRoutes(app: FastifyInstance, { fleet }: AppOptions): Promise<void> {
  app.get("/v1/hosts", { config: operator, schema: { summary: "Every host", security: secured } }, () => ({
    hosts: fleet.subjects().filter(({ kind }) => kind === "host"),
  }));
  app.get(
    "/v1/groups",
    { config: operator, schema: { summary: "Every group with a machine of its own", security: secured } },
    () => ({
      groups: fleet.subjects().filter(({ kind }) => kind === "group"),
    }),
  );

  app.get<{ Params: { host: string } }>(
    "/v1/hosts/:host",
    { config: { policy: "subject" }, schema: { summary: "One host", params: hostParams, security: secured } },
    ({ params }) => {
      const view = fleet.subject(params.host);
      if (view === null)
        throw new Failure("invalid", `no host is called ${params.host}`, {
          reason: "UnknownSubject",
          hint: "GET /v1/hosts lists them",
        });
      return view;
    },
  );

  app.post<{ Params: { host: string }; Body: ReportBody }>(
    "/v1/hosts/:host/reports",
    {
      config: { policy: "subject" },
      schema: {
        summary: "A host reports; the answer means that it is on the disk",
        params: hostParams,
        body: reportSchema,
        security: secured,
      },
    },
    async ({ params, body }, reply) => {
      await fleet.report(params.host, toReport(body));
      return reply.code(202).send({ accepted: body.sequence });
    },
  );
  wordRoutes(app, fleet);
}

/** What people say of what is stalled, and of a host as a whole. */
function wordRoutes(app: FastifyInstance, fleet: AppOptions["fleet"]): void {
  app.post<{ Params: { host: string }; Body: { word: "retry" | "skip"; machine?: string; by?: string } }>(
    "/v1/hosts/:host/verdicts",
    {
      config: operator,
      schema: {
        summary: "A person's word on what is stalled",
        params: hostParams,
        body: wordSchema,
        security: secured,
      },
    },
    async ({ params, body }, reply) => {
      await fleet.verdict(params.host, body.machine ?? null, body.word, body.by);
      return reply.code(202).send({ accepted: body.word });
    },
  );

  app.post<{ Params: { host: string }; Body: { by?: string } | null }>(
    "/v1/hosts/:host/replays",
    {
      config: operator,
      schema: {
        summary: "Replay what was applied to a host",
        params: hostParams,
        body: replaySchema,
        security: secured,
      },
    },
    async ({ params, body }, reply) => {
      await fleet.replay(params.host, body?.by);
      return reply.code(202).send({ accepted: "replay" });
    },
  );
}

function toReport({ incarnation, sequence, states = {}, facts = {} }: ReportBody): AgentReport {
  const claims = Object.entries(states).map(([machine, claim]): [string, StateClaim] => [
    machine,
    typeof claim === "string"
      ? { state: claim, revision: null }
      : { state: claim.state, revision: claim.revision ?? null },
  ]);
  return { incarnation, sequence, states: Object.fromEntries(claims), facts };
}
