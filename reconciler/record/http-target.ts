// Where a remote over HTTP is asked, and whether anybody but Git itself gets there.
export interface Credentials {
  readonly username: string;
  readonly password: string;
}

export interface HttpTarget {
  /** Without credentials, and without a slash at its end. */
  readonly base: string;
  readonly credentials: Credentials | null;
}

/** The address to ask; null when only Git itself gets there. */
export function readTarget(text: string, environment: Readonly<Record<string, string | undefined>>): HttpTarget | null {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !/^https?:$/.test(url.protocol) || url.search !== "" || url.hash !== "") return null;
  if (isProxied(url, environment) || Object.keys(environment).some((name) => name.startsWith("GIT_SSL_"))) return null;
  try {
    const [username, password] = [decodeURIComponent(url.username), decodeURIComponent(url.password)];
    const base = url.origin + url.pathname.replace(/\/+$/, "");
    return { base, credentials: url.password === "" ? null : { username, password } };
  } catch {
    return null;
  }
}

/** True when curl, and so Git, might take a proxy. In doubt it might. */
function isProxied(url: URL, environment: Readonly<Record<string, string | undefined>>): boolean {
  const names = [url.protocol === "https:" ? "https_proxy" : "http_proxy", "all_proxy"];
  const value = (name: string): string => environment[name] || environment[name.toUpperCase()] || "";
  if (names.every((name) => value(name) === "")) return false;
  const host = url.hostname.replace(/^\[|\]$/g, "").toLowerCase();
  return !value("no_proxy")
    .toLowerCase()
    .split(/[\s,]+/)
    .map((entry) => entry.replace(/^\./, ""))
    .some((entry) => entry === "*" || (entry !== "" && (host === entry || host.endsWith(`.${entry}`))));
}
