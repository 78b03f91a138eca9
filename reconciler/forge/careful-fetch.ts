// HTTP to one origin alone: no redirect leads elsewhere with the token, and no answer is waited for or read without end.
import { Failure } from "../model/failure.ts";

export interface CarefulFetchOptions {
  /** Address of the interface; requests go to its origin and nowhere else. */
  readonly api: string;
  /** A request, its answer's body included, takes no longer. */
  readonly timeoutMs: number;
  /** Bytes of an answer, at most. */
  readonly answerBytesMax: number;
}

const redirectsMax = 3;
/** Answers that have no body, by HTTP. */
const bodiless: ReadonlySet<number> = new Set([101, 204, 205, 304]);

/** What GitHub's library is given in place of `fetch`. Rejects with a Failure for another origin, and for an answer that is too long. */
export function carefulFetch({ api, timeoutMs, answerBytesMax }: CarefulFetchOptions): typeof fetch {
  const { origin } = new URL(api);
  return async (input, init = {}) => {
    const within = AbortSignal.timeout(timeoutMs);
    const signal = init.signal ? AbortSignal.any([init.signal, within]) : within;
    let url = new URL(input instanceof Request ? input.url : input);
    for (let redirects = 0; ; redirects++) {
      if (url.origin !== origin) throw elsewhere(url.origin);
      const response = await fetch(url, { ...init, signal, redirect: "manual" });
      const target = response.headers.get("location");
      // 301 to 303 turn other methods into GET; GitHub sends 307 and 308 for what was renamed, which keep them.
      const keeps = response.status >= 307 || (init.method ?? "GET") === "GET";
      if (response.status < 300 || response.status > 308 || target === null || !keeps)
        return whole(response, answerBytesMax);
      await response.body?.cancel();
      if (redirects >= redirectsMax) throw new TypeError("too many redirects");
      url = new URL(target, url);
    }
  };
}

function elsewhere(origin: string): Failure {
  return new Failure("invalid", `GitHub's answer leads to ${origin}, which is not followed`, {
    reason: "ForeignAddress",
    hint: "give the address of the interface itself with --github-api",
  });
}

async function whole(response: Response, bytesMax: number): Promise<Response> {
  const { status, statusText, headers } = response;
  if (bodiless.has(status) || response.body === null) return new Response(null, { status, statusText, headers });
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
    bytes += chunk.length;
    if (bytes > bytesMax) throw new TypeError(`an answer of more than ${bytesMax} bytes`);
    chunks.push(chunk);
  }
  return new Response(Buffer.concat(chunks), { status, statusText, headers });
}
