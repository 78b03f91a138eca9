// The HTTP interface: reports, views, people's words, and StateService's own interface.
import type { Duplex } from "node:stream";
import swagger from "@fastify/swagger";
import fastify, { type FastifyInstance } from "fastify";
import type { FleetReader, FleetWriter } from "../model/ports.ts";
import { redact } from "../model/redact.ts";
import { type FleetRoutesOptions, fleetRoutes } from "./fleet-routes.ts";
import { type ForgeRoutesOptions, forgeRoutes } from "./forge-routes.ts";
import { hostRoutes } from "./host-routes.ts";
import { enforcePolicies, type PolicyOptions } from "./policy.ts";
import { problemSender } from "./problem-json.ts";
import { type RecordRoutesOptions, recordRoutes } from "./record-routes.ts";
import { stateRoutes } from "./state-routes.ts";

/** Bytes of a request body that are read. */
export const bodyBytesMax = 65_536;

/** What whoever connects may take of this server, whether a policy lets them in or not. */
export interface ServerLimits {
  /** Connections at once, at most; more are closed. Each takes one of the descriptors that Git and steps need as well. */
  readonly connectionsMax: number;
  /** Headers have to be here within this time. */
  readonly headersTimeoutMs: number;
  /** The whole request has to be. */
  readonly requestTimeoutMs: number;
  /** A connection without a request ends after this time. */
  readonly idleTimeoutMs: number;
  /** How often the two above are looked at. */
  readonly checkEveryMs: number;
  /** Requests on one connection, at most, so that nobody keeps others out for good. */
  readonly requestsMax: number;
}

const defaultLimits: ServerLimits = {
  connectionsMax: 2000,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
  idleTimeoutMs: 60_000,
  checkEveryMs: 2000,
  requestsMax: 1000,
};
const headerBytesMax = 16_384;
const headersMax = 100;

export interface AppOptions extends PolicyOptions, RecordRoutesOptions, FleetRoutesOptions, ForgeRoutesOptions {
  readonly fleet: FleetReader & FleetWriter;
  readonly version: string;
  /** Identity of the data folder that is served. */
  readonly instance: string;
  /** A2: takes secrets out of what is answered. Default: those that can be told by their form. */
  readonly hide?: (text: string) => string;
  readonly limits?: Partial<ServerLimits>;
}

const unreadable = {
  type: "urn:stateward:problem:BadRequest",
  title: "BadRequest",
  status: 400,
  detail: "the request cannot be read",
};

/** A server that is ready to listen, or to be asked in process. */
export async function createApp(options: AppOptions): Promise<FastifyInstance> {
  const limits = { ...defaultLimits, ...options.limits };
  const sendProblem = problemSender(options.hide ?? redact);
  const app = fastify({
    logger: false,
    bodyLimit: bodyBytesMax,
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: limits.idleTimeoutMs,
    maxRequestsPerSocket: limits.requestsMax,
    http: {
      headersTimeout: limits.headersTimeoutMs,
      connectionsCheckingInterval: limits.checkEveryMs,
      maxHeaderSize: headerBytesMax,
    },
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
  app.server.maxConnections = limits.connectionsMax;
  app.server.maxHeadersCount = headersMax;
  // Node answers each request beyond the limit, and keeps the connection.
  app.server.on("dropRequest", (_request, socket: Duplex) => socket.destroy());
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
  await app.register(forgeRoutes, options);
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
