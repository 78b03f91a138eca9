// A2: what is kept of output and errors holds no credentials of the kinds that can be told by their form.

const patterns: readonly (readonly [RegExp, string])[] = [
  [/\b(AKIA|ASIA)[A-Z0-9]{16}\b/g, "$1***"],
  [/\bsw1\.[A-Za-z0-9_.-]+/g, "sw1.***"],
  [/\b(authorization|proxy-authorization)\s*[:=]\s*\S+(\s+\S+)?/gi, "$1: ***"],
  [/\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}/gi, "$1 ***"],
  [/([a-z][a-z0-9+.-]*:\/\/)[^/@\s:]*:[^/@\s]*@/gi, "$1***@"],
  // `PASSWORD=x`, `"token": "x"`; and after an option, also behind a space: `--password x`. Plain prose stays.
  [
    /([\w-]*(?:password|passwd|passphrase|secret|token|api[_-]?key|access[_-]?key|credential)[\w-]*["']?\s*[:=]\s*)("[^"]*"|'[^']*'|\S+)/gi,
    "$1***",
  ],
  [
    /(--?[\w-]*(?:password|passwd|passphrase|secret|token|api[_-]?key|access[_-]?key|credential)[\w-]*\s+)("[^"]*"|'[^']*'|\S+)/gi,
    "$1***",
  ],
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(-----END [A-Z ]*PRIVATE KEY-----|$)/g, "*** private key ***"],
];

/** The text with credentials replaced by `***`. */
export function redact(text: string): string {
  return patterns.reduce((kept, [pattern, put]) => kept.replace(pattern, put), text);
}
