// What all crashes of one run share: the crash build, the template of their sites, and a server that steps call.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tempFolder } from "../support/temp.ts";
import type { Ground } from "./crash.ts";
import { buildWithPoints } from "./instrument.ts";
import { makeTemplate } from "./site.ts";

export interface OpenGround extends Ground, AsyncDisposable {
  /** Names of all crash points. */
  readonly points: readonly string[];
}

export async function openGround(): Promise<OpenGround> {
  const points = await buildWithPoints();
  const dir = await tempFolder();
  const server = createServer((_request, response) => response.end("ok\n"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await makeTemplate(dir.path, port);
  return {
    points,
    template: dir.path,
    port,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await dir[Symbol.asyncDispose]();
    },
  };
}
