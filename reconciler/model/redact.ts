// A2: what is kept of output and errors holds no credentials of the kinds that can be told by their form. A host may print anything:
// every part of a pattern that repeats has a bound or an end of its own, so that the time grows with the length alone.

const named =
  "(?:password|passwd|passphrase|[;_-] ?pwd|secret|token|(?:api|access|account|private|signing|encryption)[_-]?key|credential)[\\w.-]{0,64}";
/** What is assigned: a text in quotes, to the end of its line where they are not closed, or a word. */
const assigned = `(?:"[^"]*"|"[^\\n]*|'[^']*'|'[^\\n]*|\\S+)`;

const patterns: readonly (readonly [RegExp, string])[] = [
  [
    /-----BEGIN [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----[\s\S]*?(?:-----END [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----|$)/g,
    "*** private key ***",
  ],
  // The beginning of a key may have been left out.
  [/^[\s\S]*-----END [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----/, "*** private key ***"],
  [/\b(AKIA|ASIA)[A-Z0-9]{16}\b/g, "$1***"],
  [/\bsw1\.[A-Za-z0-9_.-]+/g, "sw1.***"],
  [/(?<![\w-])eyJ[\w-]{8,}\.[\w-]{2,}(?:\.[\w-]*)*/g, "***"],
  [
    /\b(gh[opsur]_|github_pat_|gl[a-z]{2,6}-|npm_|pypi-|xox[a-z]-|xapp-|[rs]k_(?:live|test)_|sk-|hvs\.|hf_|dop_v1_|shp[a-z]{2}_|SG\.|AIza|ya29\.|AGE-SECRET-KEY-1)[\w.-]{16,}/g,
    "$1***",
  ],
  [/(hooks\.slack\.com\/(?:services|workflows)\/)[\w/-]+/g, "$1***"],
  [/\b((?:proxy-)?authorization\\?["']?\s*[:=]\s*)(?:\\?["'])?\S+(?:[ \t]+\S+)?/gi, "$1***"],
  [/\b((?:set-)?cookie\s*:)[^\n]+/gi, "$1 ***"],
  [/\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}/gi, "$1 ***"],
  [/(:\/\/)[^/\s:@]{0,200}:[^/\s]{0,1000}@/g, "$1***@"],
  // A name alone is no secret, unless it is as long as tokens are.
  [/(:\/\/)[\w.~%+-]{20,1000}@/g, "$1***@"],
  // `PASSWORD=x`, `"token": "x"`; and after an option, also behind a space: `--password x`. Plain prose stays.
  [new RegExp(`(${named}\\\\{0,4}["']?\\s*(?:=>|[:=])\\s*)${assigned}`, "gi"), "$1***"],
  [new RegExp(`(--?[\\w-]{0,40}${named}\\s+)${assigned}`, "gi"), "$1***"],
  [/(["']auth["']\s*:\s*|\b_auth\s*=\s*)(?:"[^"]*"|\S+)/gi, "$1***"],
  [/(\s(?:-u|--user|--proxy-user)[ =])[^\s:]{1,200}:\S+/g, "$1***"],
  [/(\bsshpass\s+-p\s*)\S+/g, "$1***"],
  [/(\bidentified by\s+)(?:'[^']*'|"[^"]*"|\S+)/gi, "$1***"],
  [/([?&](?:sig|signature|code|key)=)[^&\s]+/gi, "$1***"],
];

/** The text with credentials replaced by `***`. */
export function redact(text: string): string {
  return patterns.reduce((kept, [pattern, put]) => kept.replace(pattern, put), text);
}
