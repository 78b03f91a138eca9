// The HTTP interface: reports, views, people's words, and StateService's own interface.
import swagger from "@fastify/swagger";
import fastify, { type FastifyInstance } from "fastify";
import type { FleetReader, FleetWriter } from "../model/ports.ts";
import { type FleetRoutesOptions, fleetRoutes } from "./fleet-routes.ts";
import { hostRoutes } from "./host-routes.ts";
import { enforcePolicies, type PolicyOptions } from "./policy.ts";
import { sendProblem } from "./problem-json.ts";
import { type RecordRoutesOptions, recordRoutes } from "./record-routes.ts";
import { stateRoutes } from "./state-routes.ts";

/** Bytes of a request body that are read. */
export const bodyBytesMax = 65_536;

export interface AppOptions extends PolicyOptions, RecordRoutesOptions, FleetRoutesOptions {
  readonly fleet: FleetReader & FleetWriter;
  readonly version: string;
  /** Identity of the data folder that is served. */
  readonly instance: string;
}

const unreadable = {
  type: "urn:stateward:problem:BadRequest",
  title: "BadRequest",
  status: 400,
  detail: "the request cannot be read",
};

/** A server that is ready to listen, or to be asked in process. */
export async function createApp(options: AppOptions): Promise<FastifyInstance> {
  const app = fastify({
    logger: false,
    bodyLimit: bodyBytesMax,
    requestTimeout: 30_000,
    routerOptions: { maxParamLength: 100 },
    // A client that keeps a connection open must not keep the reconciler from stopping.
    forceCloseConnections: true,
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false, strict: false } },
    // Requests that are not HTTP, or use a method that nobody knows, never reach a route.
    clientErrorHandler: (_error, socket) => {
      if (socket.writable)
        socket.end(
          `HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: application/problem+json\r\n\r\n${JSON.stringify(unreadable)}`,
        );
      else socket.destroy();
    },
    frameworkErrors: (error, request, reply) => void sendProblem(error, request, reply),
  });
  app.setErrorHandler(sendProblem);
  enforcePolicies(app, options);
  await app.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: {
        title: "Stateward",
        version: options.version,
        description: "Reports and states of hosts. Errors are RFC 9457 problem details.",
      },
      components: { securitySchemes: { bearer: { type: "http", scheme: "bearer" } } },
    },
  });
  await app.register(healthRoutes, options);
  await app.register(hostRoutes, options);
  await app.register(fleetRoutes, options);
  await app.register(stateRoutes, options);
  await app.register(recordRoutes, options);
  return app;
}

/** Liveness, readiness, and the description of this interface. */
async function healthRoutes(app: FastifyInstance, { fleet, instance }: AppOptions): Promise<void> {
  app.get("/healthz", { config: { policy: "public" }, schema: { summary: "The process is alive" } }, () => ({
    status: "ok",
    instance,
  }));
  const schema = { summary: "Whether decisions can be made; names the problems of a commit that was refused" };
  app.get("/readyz", { config: { policy: "public" }, schema }, (_request, reply) => {
    const { ready, message, ...health } = fleet.health();
    const status = !ready ? "not ready" : message === "" ? "ok" : "degraded";
    return reply.code(ready ? 200 : 503).send({ status, message, ...health });
  });
  app.get("/openapi.json", { config: { policy: "public" }, schema: { hide: true } }, () => app.swagger());
}
