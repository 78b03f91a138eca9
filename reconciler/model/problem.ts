// Problems found in the files of a state repository. A problem is data: the model never throws because of what a person wrote.

/** Position of a problem: repository path, and line and column counted from 1. */
export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** One coded problem. Errors keep a commit from being accepted (D4); warnings do not. */
export interface Problem extends Place {
  readonly severity: "error" | "warning";
  /** Stable code such as `SW101`; `docs/problems.md` lists them all. */
  readonly code: ProblemCode;
  readonly message: string;
  /** What a person can do about it, in one sentence. */
  readonly remedy: string;
}

/** Every problem code with its one-line meaning. `docs/problems.md` is generated from this table. */
export const problemCodes = {
  SW001: "the file is too large",
  SW002: "the document is nested too deeply",
  SW003: "the document has too many keys",
  SW004: "anchors and aliases are not accepted",
  SW005: "tags are not accepted",
  SW006: "the YAML does not parse",
  SW007: "a key stands twice",
  SW008: "the file holds more than one document, or none",
  SW009: "the file is not valid UTF-8 text",
  SW010: "the YAML parser did not survive the file",
  SW101: "unknown key",
  SW102: "a key that the format reserves and this version does not carry out",
  SW103: "wrong type",
  SW104: "not one of the accepted values",
  SW105: "the value does not have the required form",
  SW106: "a required key is missing",
  SW107: "too few or too many entries, or a number out of range",
  SW108: "a step or check must name exactly one action",
  SW201: "a name is used twice",
  SW202: "two hosts have one address",
  SW203: "no such machine",
  SW204: "no such state in that machine",
  SW205: "no path leads to the target state",
  SW206: "no such region in stateward.yaml",
  SW207: "a template cannot be filled in for this host",
  SW208: "the host's transport cannot run this step",
  SW209: "the target is a state that is only passed through",
  SW210: "a machine is carried twice",
  SW211: "no such group",
  SW212: "no such governor in stateward.yaml",
  SW213: "two groups that share hosts order regions otherwise",
  SW301: "the machine has no such state",
  SW302: "the state cannot be reached from the initial state",
  SW303: "no way leads back from the state to the initial state",
  SW304: "two entries for the same pair of states",
  SW305: "automatic transitions without a guard form a loop",
  SW306: "a state that is only passed through has no way out",
  SW401: "the expression does not parse or does not type-check",
  SW402: "the expression does not yield true or false",
  SW403: "the expression nests too many loops over hosts",
  SW404: "a secret would stand in a list of arguments",
  SW501: "stateward.yaml is missing",
  SW502: "the branch was rewound or rewritten",
  SW503: "not a regular file",
  SW504: "the file is executable",
  SW505: "the path has a name that not every system can have",
  SW506: "two paths differ in case alone",
  SW601: "a commit is not signed by an allowed signer",
  SW602: "the file with the allowed signers cannot be used",
  SW603: "this machine cannot check signatures",
  SW604: "verify.since is not part of the history",
  SW611: "record: a commit is not signed by an allowed signer",
  SW612: "record: the epoch falls",
  SW613: "record: a commit names one of main that is not there",
  SW614: "record: a file cannot be read",
  SW615: "record: a file is not in its canonical form",
} as const;

export type ProblemCode = keyof typeof problemCodes;

/** An error at a place. */
export function errorAt(place: Place, code: ProblemCode, ...[message, remedy]: [string, string]): Problem {
  return { ...place, severity: "error", code, message, remedy };
}

/** An error of a file as a whole. */
export function errorIn(file: string, code: ProblemCode, ...[message, remedy]: [string, string]): Problem {
  return errorAt({ file, line: 1, column: 1 }, code, message, remedy);
}

/** Problems in file, line, column, code order, so that one input always prints the same bytes (R1). */
export function sortProblems(problems: readonly Problem[]): Problem[] {
  return problems.toSorted(
    (a, b) => compare(a.file, b.file) || a.line - b.line || a.column - b.column || compare(a.code, b.code),
  );
}

/** The problems that keep a commit from being accepted. */
export function errorsOf(problems: readonly Problem[]): Problem[] {
  return problems.filter(({ severity }) => severity === "error");
}

export function hasErrors(problems: readonly Problem[]): boolean {
  return errorsOf(problems).length > 0;
}

/** `hosts/a.yaml:3:1 SW101 unknown key: tragets (did you mean targets?)`, one line. */
export function formatProblem(problem: Problem): string {
  const { file, line, column, code, message, remedy, severity } = problem;
  const mark = severity === "warning" ? " (warning)" : "";
  return `${file}:${line}:${column} ${code}${mark} ${message}; ${remedy}`;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/**
 * The known word nearest to `word` by edit distance, or null when none is near enough to be a likely slip.
 * Distance: Wagner and Fischer, "The string-to-string correction problem", 1974; accepted up to a third of the length.
 */
export function nearest(word: string, known: readonly string[]): string | null {
  let best: string | null = null;
  let bestDistance = Math.min(word.length, Math.max(2, Math.floor(word.length / 3)) + 1);
  for (const candidate of known) {
    const distance = editDistance(word, candidate);
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

function editDistance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > 20) return 20;
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
