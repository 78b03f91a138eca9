// A value with the file and line that say it, and the order in which several such count.
import type { ParsedYaml, YamlPath } from "../model/yaml.ts";

/** One value of a field. A field has several where several files speak about it. */
export interface Explained {
  /** Dotted path, such as `rollout.max_unavailable`. */
  readonly field: string;
  /** As people write it; `none` where there is none. */
  readonly value: string;
  /** Null for what no file says. */
  readonly file: string | null;
  readonly line: number | null;
  readonly why: string;
  /** False for a value that another one overrides. */
  readonly inForce: boolean;
}

/** A value and its source, still without the field that it is about. */
export type Source = Pick<Explained, "value" | "file" | "line" | "why">;

/** The first source is in force; what is unsaid counts only where no file says anything. */
export function firstOf(field: string, sources: readonly (Source | null)[], fallback: Source): Explained[] {
  const found = sources.filter((source) => source !== null);
  const [first = fallback, ...others] = found;
  return [{ field, ...first, inForce: true }, ...others.map((source) => ({ field, ...source, inForce: false }))];
}

/** Sources that hold side by side; one line that says why where there is none. */
export function all(field: string, sources: readonly Source[], why: string, value = "none"): Explained[] {
  const shown = sources.length > 0 ? sources : [unsaid(value, why)];
  return shown.map((source) => ({ field, ...source, inForce: true }));
}

export function unsaid(value: string, why: string = "default of stateward"): Source {
  return { value, file: null, line: null, why };
}

/** What a document says at a path; null where it says nothing. */
export function said(parsed: ParsedYaml | null, path: YamlPath, why: string): Source | null {
  const value = valueAt(parsed?.value, path);
  return value === undefined ? null : { ...placed(parsed, path, why), value: written(value) };
}

export function placed(parsed: ParsedYaml | null, path: YamlPath, why: string): Omit<Source, "value"> {
  if (parsed === null) return { file: null, line: null, why };
  const { file, line } = parsed.locate(path, typeof path.at(-1) === "number" ? "value" : "key");
  return { file, line, why };
}

export function valueAt(root: unknown, path: YamlPath): unknown {
  let value = root;
  for (const key of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<string | number, unknown>)[key];
  }
  return value;
}

/** A value on one line, nearly as in YAML. What would move the terminal's cursor is escaped. */
export function written(value: unknown): string {
  if (typeof value === "string") return value === "" || /\p{Cc}/u.test(value) ? JSON.stringify(value) : value;
  if (Array.isArray(value)) return value.length === 0 ? "none" : value.map(written).join(", ");
  if (typeof value !== "object" || value === null) return String(value);
  return Object.entries(value)
    .map(([key, item]) => `${key}: ${written(item)}`)
    .join(", ");
}

/** `stateward.yaml:3`, or `-` for what no file says. */
export function placeText({ file, line }: Pick<Explained, "file" | "line">): string {
  return file === null ? "-" : `${file}:${line}`;
}
