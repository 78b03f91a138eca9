// A client that sends bytes as it is told, at the time that it is told, and sees whatever comes back.
import { connect, type Socket } from "node:net";
import { until } from "./temp.ts";

export class RawClient {
  received = "";
  ended = false;
  private readonly socket: Socket;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => (this.received += chunk.toString("latin1")));
    socket.on("error", () => {});
    socket.once("close", () => (this.ended = true));
  }

  static async connect(port: number): Promise<RawClient> {
    const socket = connect({ host: "127.0.0.1", port });
    await new Promise((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
    });
    return new RawClient(socket);
  }

  send(bytes: string | Buffer): void {
    if (!this.ended) this.socket.write(bytes);
  }

  /** Status codes so far, those of interim answers as well. */
  statuses(): number[] {
    return [...this.received.matchAll(/HTTP\/1\.1 (\d{3})/g)].map((match) => Number(match[1]));
  }

  /** Status codes, once there are so many. */
  async answers(count = 1): Promise<number[]> {
    await until(
      `${count} answers, so far ${this.received.slice(0, 200)}`,
      () => this.statuses().length >= count,
      30_000,
    );
    return this.statuses();
  }

  /** The server has closed the connection. */
  async end(): Promise<void> {
    await until("the connection ends", () => this.ended, 30_000);
  }

  close(): void {
    this.socket.destroy();
  }
}

/** The text of a request's head. */
export function head(method: string, path: string, headers: Readonly<Record<string, string>> = {}): string {
  const lines = Object.entries({ host: "stateward", ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${path} HTTP/1.1\r\n${lines.join("")}\r\n`;
}
