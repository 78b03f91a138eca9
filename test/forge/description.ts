// GitHub's published description of its interface, as the stand-in holds itself and those who ask to it.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Ajv, type ValidateFunction } from "ajv";
import addFormats from "ajv-formats";
import { root } from "../support/example.ts";

interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly format?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
  readonly minItems?: number;
}

interface Operation {
  readonly parameters: readonly {
    readonly name: string;
    readonly in: "path" | "query" | "header";
    readonly required: boolean;
    readonly schema: Schema;
  }[];
  readonly body: Schema | null;
  readonly answers: Readonly<Record<string, Schema | null>>;
}

interface Description {
  readonly source: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

const description = JSON.parse(
  readFileSync(join(root, "test", "fixtures", "github-openapi.json"), "utf8"),
) as Description;
const { components } = description;
// `addFormats` is a CommonJS default, which types and Node see differently.
const ajv = new Ajv({ strict: false, allErrors: true, coerceTypes: false });
(addFormats as unknown as { default: (of: Ajv) => void }).default?.(ajv);
ajv.addSchema({ $id: "github", components });

export type Values = Readonly<Record<string, unknown>>;

/** A request as the description sees it. */
export interface Call {
  /** Such as `GET /repos/{owner}/{repo}/pulls`. */
  readonly route: string;
  readonly operation: Operation;
  readonly path: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, string>>;
  readonly body: Values;
}

const routes = Object.entries(description.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({
    route: `${method.toUpperCase()} ${path}`,
    method: method.toUpperCase(),
    pattern: new RegExp(`^${path.replaceAll(/\{(\w+)\}/g, "(?<$1>[^/]+)")}$`),
    operation,
    isPlain: path.split("{").length,
  })),
);

/** The request, or null where the description has nothing of the kind. Where two paths match, the one with fewer parameters is meant. */
export function findCall(method: string, url: URL, body: unknown): Call | null {
  const found = routes
    .filter((route) => route.method === method && route.pattern.test(url.pathname))
    .toSorted((a, b) => a.isPlain - b.isPlain)[0];
  if (!found) return null;
  const groups = Object.entries(found.pattern.exec(url.pathname)?.groups ?? {});
  return {
    route: found.route,
    operation: found.operation,
    path: Object.fromEntries(groups.map(([name, value]) => [name, decodeURIComponent(value)])),
    query: Object.fromEntries(url.searchParams),
    body: (body ?? {}) as Values,
  };
}

/** What is wrong with a request: also names that the description does not know, which GitHub would pass over in silence. */
export function problemsOfRequest({ route, operation, path, query, body }: Call): string[] {
  const problems: string[] = [];
  for (const { name, in: place, required, schema } of operation.parameters) {
    if (place === "header") continue;
    const value = (place === "path" ? path : query)[name];
    if (value === undefined) {
      if (required) problems.push(`${route}: ${name} is missing`);
      continue;
    }
    const isNumber = schema.type === "integer" && /^\d+$/.test(value);
    problems.push(...wrong(schema, isNumber ? Number(value) : value).map((each) => `${route}: ${name}${each}`));
  }
  for (const name of Object.keys(query))
    if (!operation.parameters.some((known) => known.in === "query" && known.name === name))
      problems.push(`${route}: nobody knows the parameter ${name}`);
  if (operation.body === null) {
    if (Object.keys(body).length > 0) problems.push(`${route}: it takes no body`);
    return problems;
  }
  const known = propertiesOf(operation.body);
  for (const name of Object.keys(body))
    if (!known.has(name)) problems.push(`${route}: nobody knows the property ${name}`);
  return [...problems, ...wrong(operation.body, body).map((each) => `${route}: body${each}`)];
}

function propertiesOf(schema: Schema): Set<string> {
  const { properties = {}, anyOf = [], oneOf = [], allOf = [] } = resolved(schema);
  return new Set([
    ...Object.keys(properties),
    ...[...anyOf, ...oneOf, ...allOf].flatMap((each) => [...propertiesOf(each)]),
  ]);
}

/** An answer with what the description requires beside the values that are given. Throws for one that GitHub could not give. */
export function answerOf({ route, operation }: Call, status: number, value: unknown): unknown {
  if (!(String(status) in operation.answers)) {
    // Errors are seldom described; all of them have this form.
    if (status >= 400) return value;
    throw new Error(`${route} never answers ${status}`);
  }
  const schema = operation.answers[status] ?? null;
  if (schema === null) return value;
  const answer = complete(schema, value);
  const problems = wrong(schema, answer);
  if (problems.length > 0) throw new Error(`${route} cannot answer so: ${problems.join("; ")}`);
  return answer;
}

const validators = new WeakMap<Schema, ValidateFunction>();

function wrong(schema: Schema, value: unknown): string[] {
  let validate = validators.get(schema);
  if (!validate) {
    validate = ajv.compile({ ...(JSON.parse(JSON.stringify(schema)) as object), components });
    validators.set(schema, validate);
  }
  return validate(value) ? [] : (validate.errors ?? []).map((each) => `${each.instancePath} ${each.message ?? ""}`);
}

function resolved(schema: Schema): Schema {
  if (schema.$ref === undefined) return schema;
  return resolved(components.schemas[schema.$ref.slice("#/components/schemas/".length)] ?? {});
}

const typesOf = ({ type = [] }: Schema): readonly string[] => (typeof type === "string" ? [type] : type);
const isObject = (value: unknown): value is Values =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The value with what is required of it and was not given; the least that will do. */
function complete(reference: Schema, value: unknown): unknown {
  const schema = resolved(reference);
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices && !schema.properties) {
    const fits = choices.find((choice) => value !== undefined && wrong(choice, complete(choice, value)).length === 0);
    const least = choices.find((choice) => typesOf(choice).includes("null")) ?? choices[0];
    return complete(fits ?? least ?? {}, value);
  }
  if (schema.allOf) return schema.allOf.reduce<unknown>((so, each) => complete(each, so), value);
  const types = typesOf(schema);
  if (value === undefined) {
    if (types.includes("null")) return null;
    if (schema.enum) return schema.enum[0];
    if (types.includes("object") || schema.properties) return complete(schema, {});
    if (types.includes("array"))
      return Array.from({ length: schema.minItems ?? 0 }, () => complete(schema.items ?? {}, undefined));
    if (types.includes("boolean")) return false;
    if (types.includes("integer") || types.includes("number")) return 0;
    return plainText(schema.format);
  }
  if (Array.isArray(value) && schema.items) return value.map((each) => complete(schema.items ?? {}, each));
  if (!isObject(value)) return value;
  const filled: Record<string, unknown> = { ...value };
  for (const [name, property] of Object.entries(schema.properties ?? {}))
    if (name in value || schema.required?.includes(name)) filled[name] = complete(property, value[name]);
  return filled;
}

function plainText(format: string | undefined): string {
  if (format === "uri") return "https://github.test/";
  return format === "date-time" ? "2026-11-22T00:00:00Z" : "";
}
