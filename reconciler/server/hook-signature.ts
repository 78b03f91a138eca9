// Who sent a hook: a digest with the shared secret over the bytes as they came, compared in constant time.
import { createHmac, timingSafeEqual } from "node:crypto";
import type { FastifyRequest } from "fastify";

/** A Git host sends the commits along; the hook only needs to be genuine. */
export const hookBytesMax = 1_048_576;

/**
 * GitHub: https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries; Gitea sends the same digest without its
 * prefix; GitLab sends the secret itself.
 */
export function isGenuine(request: FastifyRequest, secret: Buffer): boolean {
  const { headers } = request;
  return (
    isSignedLikeGitHub(request, secret) ||
    isSame(headers["x-gitea-signature"], digestOf(request, secret)) ||
    isSame(headers["x-gitlab-token"], secret.toString())
  );
}

export function isSignedLikeGitHub(request: FastifyRequest, secret: Buffer): boolean {
  return isSame(request.headers["x-hub-signature-256"], `sha256=${digestOf(request, secret)}`);
}

function digestOf({ body }: FastifyRequest, secret: Buffer): string {
  return createHmac("sha256", secret)
    .update(Buffer.isBuffer(body) ? body : "")
    .digest("hex");
}

function isSame(header: string | string[] | undefined, expected: string): boolean {
  if (typeof header !== "string") return false;
  const [a, b] = [Buffer.from(header), Buffer.from(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}
