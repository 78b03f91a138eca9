// A TCP wire between a reconciler and its remote that can be cut, stalled, slowed or answered by something else.
import { createServer, connect as dial, type Server, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/**
 * `refuse`: nobody listens. `reset`: connections end at once. `garbage`: something else answers. `slow`: each chunk waits. `cut`: each
 * connection ends after some bytes, more for each one after it. `stall-up`, `stall-down`: half-open, nothing more comes through in that
 * direction, and nobody closes.
 */
export type WireFault = "refuse" | "reset" | "garbage" | "slow" | "cut" | "stall-up" | "stall-down";

const slowMs = 120;
/** Bytes after which connections are cut, one after the other: within a request, its answer, a pack. */
const cuts = [1, 90, 300, 700, 1500, 4000, 200, 12_000];

export class Wire implements AsyncDisposable {
  readonly port: number;
  private readonly server: Server;
  private readonly upstream: number;
  private readonly sockets = new Set<Socket>();
  private fault: WireFault | null = null;
  /** Connections that a fault has met. */
  met = 0;

  private constructor(server: Server, port: number, upstream: number) {
    this.server = server;
    this.port = port;
    this.upstream = upstream;
    server.on("connection", (socket) => this.join(socket));
  }

  static async open(upstream: number): Promise<Wire> {
    const server = createServer({ allowHalfOpen: true });
    await listenOn(server, 0);
    const address = server.address();
    return new Wire(server, typeof address === "object" && address !== null ? address.port : 0, upstream);
  }

  /** Connections that a stall has met stay as they are when it is over: only new ones come through again. */
  async set(fault: WireFault | null): Promise<void> {
    const before = this.fault;
    this.fault = fault;
    this.met = 0;
    if (fault === "refuse") {
      for (const socket of this.sockets) socket.resetAndDestroy();
      await new Promise((resolve) => this.server.close(resolve));
    }
    if (before === "refuse" && fault !== "refuse") await listenOn(this.server, this.port);
    if (fault === "reset") for (const socket of this.sockets) socket.resetAndDestroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    if (this.server.listening) await new Promise((resolve) => this.server.close(resolve));
  }

  private join(client: Socket): void {
    this.keep(client);
    if (this.fault !== null) this.met++;
    if (this.fault === "reset") {
      client.resetAndDestroy();
      return;
    }
    if (this.fault === "garbage") {
      client.end("220 mail.example.org ESMTP\r\n\0\0\0");
      return;
    }
    const server = this.keep(dial({ port: this.upstream, host: "127.0.0.1", allowHalfOpen: true }));
    const budget = this.fault === "cut" ? { bytes: cuts[this.met % cuts.length] ?? 1 } : null;
    const cut = (): void => {
      client.resetAndDestroy();
      server.resetAndDestroy();
    };
    this.forward([client, server], "stall-up", { budget, cut });
    this.forward([server, client], "stall-down", { budget, cut });
  }

  private keep(socket: Socket): Socket {
    this.sockets.add(socket);
    socket.on("error", () => {});
    socket.once("close", () => this.sockets.delete(socket));
    return socket;
  }

  private forward(
    [from, to]: [Socket, Socket],
    stall: WireFault,
    { budget, cut }: { readonly budget: { bytes: number } | null; readonly cut: () => void },
  ): void {
    let isStuck = false;
    // In their order, also those that wait.
    let last: Promise<void> = Promise.resolve();
    const then = (work: () => void): void => {
      if (this.fault === stall && !isStuck) {
        isStuck = true;
        this.met++;
      }
      if (isStuck) return;
      const waitMs = this.fault === "slow" ? slowMs : 0;
      last = last.then(() => (waitMs > 0 ? sleep(waitMs) : undefined)).then(work);
    };
    from.on("data", (chunk: Buffer) => {
      if (budget === null) {
        then(() => to.write(chunk));
        return;
      }
      const part = chunk.subarray(0, budget.bytes);
      budget.bytes -= part.length;
      to.write(part);
      if (budget.bytes <= 0) setImmediate(cut);
    });
    from.once("end", () => then(() => to.end()));
    from.once("close", () => {
      if (!isStuck) void last.then(() => to.destroy());
    });
  }
}

function listenOn(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => {
      server.off("error", reject);
      resolve();
    });
  });
}
