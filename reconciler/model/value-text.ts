// Values of files as canonical YAML, for people who compare them: secrets are hidden (A2), and what a secret was and is are told apart
// without being shown.
import { stringify } from "yaml";
import { redact } from "./redact.ts";
import { isSecretName } from "./secrets.ts";
import type { Host } from "./types.ts";

/** A host in the words of its file, without what it says only by default. */
export function hostDocument(host: Host): Record<string, unknown> {
  const { ssh, hold, drift, machines } = host;
  const targets = [...machines].filter(([, target]) => target !== null);
  const free = [...machines].filter(([, target]) => target === null).map(([machine]) => machine);
  const access = { user: ssh.user, port: ssh.port === 22 ? null : ssh.port, host_key: ssh.hostKey };
  return present({
    host: host.name,
    region: host.region,
    address: host.address,
    transport: host.transport === "ssh" ? null : host.transport,
    ssh: present(access),
    owner: host.owner,
    labels: sorted(host.labels),
    vars: sorted(host.vars),
    targets: sorted(Object.fromEntries(targets)),
    machines: free.toSorted(),
    hold: hold && present({ reason: hold.reason, by: hold.by, until: timeOf(hold.untilMs) }),
    drift: drift && (drift.untilMs === null ? drift.mode : { mode: drift.mode, until: timeOf(drift.untilMs) }),
  });
}

function timeOf(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}

/** Without keys that say nothing. */
function present(value: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).filter(([, part]) => part !== null && !isEmpty(part)));
}

function isEmpty(value: unknown): boolean {
  return typeof value === "object" && value !== null && Object.keys(value).length === 0;
}

function sorted(value: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/** Both values as text; an empty text for one that is not there. */
export function textsOf(before: unknown, after: unknown): readonly [before: string, after: string] {
  const [a, b] = hidden(before, after, false);
  return [textOf(a), textOf(b)];
}

/** The same of what differs alone, with the keys above it: equal changes of many hosts are equal texts. */
export function changedTexts(before: object, after: object): readonly [before: string, after: string] {
  const [a, b] = differing(before, after);
  return textsOf(a, b);
}

function textOf(value: unknown): string {
  return value === undefined ? "" : stringify(value, { lineWidth: 0, aliasDuplicateObjects: false });
}

/** Characters of one text that are shown. */
const textMax = 2000;
/** What stands for a secret, and for the one that takes its place. */
const hiddenText = "***";
const otherText = "(another value)";

function hidden(before: unknown, after: unknown, isSecret: boolean): readonly [unknown, unknown] {
  if (isMap(before) || isMap(after)) {
    const [a, b] = [mapOf(before), mapOf(after)];
    const pairs = [...new Set([...Object.keys(a), ...Object.keys(b)])].map(
      (key) => [key, hidden(own(a, key), own(b, key), isSecret || isSecretKey(key))] as const,
    );
    const side = (index: 0 | 1, whole: Readonly<Record<string, unknown>>): unknown => {
      const values = new Map(pairs.map(([key, pair]) => [key, pair[index]]));
      return new Map(Object.keys(whole).map((key) => [key, values.get(key)]));
    };
    return [isMap(before) ? side(0, a) : leaf(before, isSecret), isMap(after) ? side(1, b) : leaf(after, isSecret)];
  }
  if (Array.isArray(before) || Array.isArray(after)) {
    const [a, b] = [wordsOf(before), wordsOf(after)];
    if (typeof a === "string" || typeof b === "string") return hidden(textIn(a), textIn(b), isSecret);
    const pairs = Array.from({ length: Math.max(a.length, b.length) }, (_, index) =>
      hidden(a[index], b[index], isSecret),
    );
    return [
      Array.isArray(before) ? pairs.slice(0, a.length).map(([x]) => x) : leaf(before, isSecret),
      Array.isArray(after) ? pairs.slice(0, b.length).map(([, x]) => x) : leaf(after, isSecret),
    ];
  }
  const shown = [leaf(before, isSecret), leaf(after, isSecret)] as const;
  const isTold = before === after || shown[0] !== shown[1];
  return isTold ? shown : [shown[0], `${String(shown[1])} ${otherText}`];
}

function isSecretKey(key: string): boolean {
  return isSecretName(key) || /^(proxy-)?authorization$/i.test(key);
}

function leaf(value: unknown, isSecret: boolean): unknown {
  if (value === undefined || value === null) return value;
  if (isSecret) return hiddenText;
  if (typeof value !== "string") return value;
  const text = redact(value);
  return text.length <= textMax ? text : `${text.slice(0, textMax)}... (${text.length} characters)`;
}

/** Both sides without what is equal in them. Lists are taken as a whole. */
function differing(before: unknown, after: unknown): readonly [unknown, unknown] {
  if (!isMap(before) || !isMap(after)) return [before, after];
  const sides: [Map<string, unknown>, Map<string, unknown>] = [new Map(), new Map()];
  for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const [a, b] = [own(before, key), own(after, key)];
    if (sameValue(a, b)) continue;
    const parts = differing(a, b);
    for (const index of [0, 1] as const) if (parts[index] !== undefined) sides[index].set(key, parts[index]);
  }
  return [Object.fromEntries(sides[0]), Object.fromEntries(sides[1])];
}

/** Whether two values of files say the same. */
export function sameValue(a: unknown, b: unknown): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function own(map: Readonly<Record<string, unknown>>, key: string): unknown {
  return Object.hasOwn(map, key) ? map[key] : undefined;
}

const mapOf = (value: unknown): Readonly<Record<string, unknown>> => (isMap(value) ? value : {});

/** A list; one of words in which a secret is told by the word before it, such as `-u`, as one text. */
function wordsOf(value: unknown): readonly unknown[] | string {
  if (!Array.isArray(value)) return [];
  const text = value.filter((word) => typeof word === "string").join(" ");
  const isTold = value.every((word) => typeof word === "string" && redact(word) === word) && redact(text) !== text;
  return isTold ? text : value;
}

function textIn(words: readonly unknown[] | string): unknown {
  return typeof words === "string" ? words : words.length === 0 ? undefined : words.join(" ");
}
