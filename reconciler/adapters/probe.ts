// Steps that are made from the reconciler's machine: a TCP connection, an HTTP call.
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { messageOf } from "../model/failure.ts";
import type { Outcome } from "../model/ports.ts";
import type { Host, HttpAction, TcpAction } from "../model/types.ts";

const oneTryMs = 5000;
const betweenTriesMs = 200;
const bodyBytesMax = 65_536;

/** Accepts a TCP connection within the action's time, or the step's. */
export function probeTcp(host: Host, action: TcpAction, timeoutMs: number): Promise<Outcome> {
  const address = action.host ?? addressOf(host);
  const port = Number(action.port);
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    return Promise.resolve(failed(`not a port: ${action.port}`));
  return within(action.withinMs, timeoutMs, async (tryMs) => {
    const error = await connects(address, port, tryMs);
    return error === null ? ok(`${address}:${port} accepts connections`) : failed(`${address}:${port}: ${error}`);
  });
}

function addressOf(host: Host): string {
  const address = host.address ?? (host.transport === "local" ? "127.0.0.1" : host.name);
  return /^[^:]+:\d+$/.test(address) ? address.slice(0, address.lastIndexOf(":")) : address;
}

function connects(host: string, port: number, tryMs: number): Promise<string | null> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const end = (error: string | null): void => {
      socket.destroy();
      resolve(error);
    };
    socket.setTimeout(tryMs, () => end(`no answer within ${tryMs / 1000} s`));
    socket.once("connect", () => end(null));
    socket.once("error", (error) => end(messageOf(error) || "refused"));
  });
}

/** Calls an address and compares the status. Redirects are not followed: they would leave the address that was reviewed. */
export function probeHttp(action: HttpAction, timeoutMs: number): Promise<Outcome> {
  return within(action.withinMs, timeoutMs, async (tryMs) => {
    try {
      const response = await fetch(action.url, {
        method: action.method,
        headers: { ...action.headers },
        ...(action.body === null ? {} : { body: action.body }),
        redirect: "manual",
        signal: AbortSignal.timeout(tryMs),
      });
      const text = await bounded(response);
      return action.expect.includes(response.status)
        ? ok(text)
        : { ...failed(`${action.method} ${action.url} answered ${response.status}`), output: text };
    } catch (error) {
      if (error instanceof Error && error.name === "TimeoutError") {
        return {
          kind: "timeout",
          message: `${action.method} ${action.url}: no answer within ${tryMs / 1000} s`,
          output: "",
        };
      }
      const cause = error instanceof Error && error.cause ? `: ${messageOf(error.cause)}` : "";
      return failed(`${action.method} ${action.url}: ${messageOf(error)}${cause}`);
    }
  });
}

async function bounded(response: Response): Promise<string> {
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk as Uint8Array, { stream: true });
    if (text.length > bodyBytesMax) break;
  }
  return text.slice(0, bodyBytesMax);
}

/** Tries until it is well or the time is over. With no time given there is one try. */
async function within(
  withinMs: number,
  timeoutMs: number,
  attempt: (tryMs: number) => Promise<Outcome>,
): Promise<Outcome> {
  const end = performance.now() + Math.min(withinMs, timeoutMs);
  for (;;) {
    const outcome = await attempt(withinMs === 0 ? timeoutMs : Math.min(oneTryMs, timeoutMs));
    if (outcome.kind === "ok" || performance.now() + betweenTriesMs >= end) return outcome;
    await sleep(betweenTriesMs);
  }
}

function ok(output: string): Outcome {
  return { kind: "ok", output };
}

function failed(message: string): Outcome {
  return { kind: "failed", message, output: "" };
}
