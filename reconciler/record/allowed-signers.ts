// Which Ed25519 keys a file of allowed signers lets sign for Git without any condition: enough to judge a long history without a process
// a commit. Whatever else a line says is ssh-keygen's to judge. Format: ssh-keygen(1), ALLOWED SIGNERS.

/** Principals by the key, in base64 as files have it. */
export function plainSigners(text: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const line of text.split("\n")) {
    const [, principal = "", options = "", key = ""] =
      /^\s*([^\s#",!*?]+)\s+(?:(namespaces="git")\s+)?ssh-ed25519\s+([A-Za-z0-9+/=]+)(?:\s|$)/.exec(line) ?? [];
    if (principal !== "" && (options === "" || options === 'namespaces="git"')) found.set(key, principal);
  }
  return found;
}
