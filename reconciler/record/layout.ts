// Where things stand on the branch `observed`.
import { createHash } from "node:crypto";

/** File with the format's version and the epoch of whoever leads. */
export const headFile = "stateward.json";

/** The one file about more than one host. */
export const fleetFile = "fleet.json";

/**
 * `hosts/3/fa/git-1.json`: two levels of folders by the SHA-256 of the name, so that no folder grows beyond 3,000 entries
 * up to 500,000 hosts (16 x 256 folders hold 122 each on average).
 */
export function recordPath(kind: "host" | "group" | "fleet", name: string): string {
  if (kind === "fleet") return fleetFile;
  const hash = createHash("sha256").update(name).digest("hex");
  return `${kind}s/${hash.slice(0, 1)}/${hash.slice(1, 3)}/${name}.json`;
}
