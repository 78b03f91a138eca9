// A2: what is known to be secret by the name that it is given, found again wherever it stands: as it is, or as programs write it
// (base64, percent signs, JSON, hexadecimal digits). What only has the form of a secret is `redact.ts`'s.
import { redact } from "./redact.ts";
import type { Action } from "./types.ts";

const secretName =
  /pass(word|wd|phrase|code)|secret|token|credential|cookie|connection_?string|(^|[_.-])(pass|pwd|pin|dsn|auth)$|(api|access|account|private|signing|encryption|master|license|shared)[_.-]?key$/i;
/** Names that tell where a secret is, or of what sort: their values are none. */
const aboutSecrets =
  /[_.-](file|files|path|dir|folder|name|names|id|length|size|ttl|type|policy|expiry|expires|count|max|limit|command|askpass)$/i;
/** Working folders, which shells keep under names like a password's. */
const folderNames: ReadonlySet<string> = new Set(["PWD", "OLDPWD", "INIT_CWD"]);

/** True for the name of a variable whose value is a secret, such as `DB_PASSWORD`, `api_key` and `github-token`. */
export function isSecretName(name: string): boolean {
  return secretName.test(name) && !aboutSecrets.test(name) && !folderNames.has(name);
}

/** Shorter values are not looked for: they would be found in every other word. */
export const secretLengthMin = 6;
/** Lines of a longer secret that are looked for by themselves, because programs indent and cut what they print. */
const lineLengthMin = 16;
/** Values that are known at once, at most; then only the lasting ones stay, and the others come again with their hosts. */
const knownMax = 100_000;

/** Values under names of secrets. */
export function secretsIn(values: Readonly<Record<string, string | undefined>>): string[] {
  const found: string[] = [];
  for (const name in values) {
    const value = values[name];
    if (value !== undefined && value.length >= secretLengthMin && isSecretName(name)) found.push(value);
  }
  return found;
}

/** What of an action is secret, its templates filled in: by the names of its environment and of its headers. */
export function secretsOf(action: Action): string[] {
  if (action.kind === "run" || action.kind === "shell") return secretsIn(action.env);
  if (action.kind !== "http") return [];
  const bearers = Object.entries(action.headers).flatMap(([name, value]) =>
    /^(proxy-)?authorization$/i.test(name) ? value.replace(/^(bearer|basic|token)\s+/i, "") : [],
  );
  return [...secretsIn(action.headers), ...bearers];
}

export class Secrets {
  private readonly lasting: readonly string[];
  private readonly known = new Set<string>();
  /** What is looked for, by its first characters and its length: values that begin alike are many. */
  private readonly sought = new Map<string, Map<number, Set<string>>>();
  /** Pairs of characters with which something that is looked for begins: what makes a long text quick to go through. */
  private readonly beginnings = new Set<number>();

  /** `lasting` values are never forgotten. */
  constructor(lasting: Iterable<string> = []) {
    this.lasting = [...lasting];
    for (const value of this.lasting) this.add(value);
  }

  add(value: string): void {
    if (value.length < secretLengthMin || this.known.has(value)) return;
    if (this.known.size >= knownMax) this.forget();
    this.known.add(value);
    for (const form of formsOf(value)) this.seek(form);
  }

  /** The text without what is known, and without what has the form of a secret. */
  hide(text: string): string {
    return redact(this.hideKnown(text));
  }

  /** True where something that is known stands in the text. */
  isIn(text: string): boolean {
    return this.hideKnown(text) !== text;
  }

  /** The text without what is known: what only has the form of a secret stays. */
  hideKnown(text: string): string {
    if (this.known.size === 0) return text;
    let kept = "";
    let done = 0;
    for (let at = 0; at + secretLengthMin <= text.length; at++) {
      if (!this.beginnings.has(pair(text, at))) continue;
      let end = this.endOf(text, at);
      if (end === at) continue;
      // Another one may begin before this one ends.
      for (let next = at + 1; next < end; next++) end = Math.max(end, this.endOf(text, next));
      kept += `${text.slice(done, at)}***`;
      done = end;
      at = end - 1;
    }
    return done === 0 ? text : kept + text.slice(done);
  }

  /** Where the longest one that begins here ends; where it begins, if none does. */
  private endOf(text: string, at: number): number {
    let length = 0;
    for (const [candidate, forms] of this.sought.get(text.slice(at, at + secretLengthMin)) ?? [])
      if (candidate > length && forms.has(text.slice(at, at + candidate))) length = candidate;
    return at + length;
  }

  private seek(form: string): void {
    const head = form.slice(0, secretLengthMin);
    const lengths = this.sought.get(head) ?? new Map<number, Set<string>>();
    const forms = lengths.get(form.length) ?? new Set<string>();
    this.beginnings.add(pair(form, 0));
    this.sought.set(head, lengths.set(form.length, forms.add(form)));
  }

  private forget(): void {
    this.known.clear();
    this.sought.clear();
    this.beginnings.clear();
    for (const value of this.lasting) this.add(value);
  }
}

/** A copy of plain data with each text in it hidden by itself; keys stay as they are. Equal texts are looked at once. */
export function hideIn<T>(value: T, hide: (text: string) => string): T {
  const known = new Map<string, string>();
  const visit = (part: unknown): unknown => {
    if (typeof part === "string") {
      const found = known.get(part) ?? hide(part);
      known.set(part, found);
      return found;
    }
    if (Array.isArray(part)) return part.map(visit);
    if (typeof part !== "object" || part === null) return part;
    return Object.fromEntries(Object.entries(part).map(([key, inner]) => [key, visit(inner)]));
  };
  return visit(value) as T;
}

function pair(text: string, at: number): number {
  return text.charCodeAt(at) * 65_536 + text.charCodeAt(at + 1);
}

/** The ways in which a value is written. */
function formsOf(value: string): Set<string> {
  const forms = new Set<string>();
  const lines = value.split(/\r?\n/).map((line) => line.trim());
  const parts = lines.length > 1 ? lines.filter((line) => line.length >= lineLengthMin) : [];
  for (const part of [value, value.trim(), ...parts]) {
    const bytes = new TextEncoder().encode(part);
    const percent = percentOf(part);
    const plain = [
      part,
      percent,
      percent.replaceAll("%20", "+"),
      percent.toLowerCase(),
      JSON.stringify(part).slice(1, -1),
    ];
    const quoted = [part.replaceAll("'", `'\\''`), part.replaceAll(/\s+/g, " ")];
    for (const form of [...plain, ...quoted, hexOf(bytes), ...base64Of(bytes)])
      if (form.length >= secretLengthMin) forms.add(form);
  }
  return forms;
}

function percentOf(text: string): string {
  try {
    return encodeURIComponent(text);
  } catch {
    // Half of a surrogate pair has no UTF-8.
    return text;
  }
}

function hexOf(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** What of base64 is certain, wherever in a longer text the value stood: `user:password` encodes a password otherwise than alone. */
function base64Of(bytes: Uint8Array): string[] {
  return [0, 1, 2].flatMap((shift) => {
    const shifted = String.fromCharCode(...new Uint8Array(shift), ...bytes);
    const whole = btoa(shifted).replace(/=+$/, "");
    const certain = whole.slice([0, 2, 3][shift], Math.floor((shifted.length * 8) / 6));
    if (certain.length < secretLengthMin + 2) return [];
    return [certain, certain.replaceAll("+", "-").replaceAll("/", "_")];
  });
}
