// Takes the paths that we use out of GitHub's published OpenAPI description, into test/fixtures/github-openapi.json:
//   npm pack @octokit/openapi && tar xzf octokit-openapi-*.tgz && node --import tsx test/forge/extract-openapi.ts package
// The package is 385 MB when unpacked, which is why it is not depended on.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { root } from "../support/example.ts";

const repo = "/repos/{owner}/{repo}";
const used: Readonly<Record<string, readonly string[]>> = {
  "/app": ["get"],
  "/app/installations/{installation_id}/access_tokens": ["post"],
  "/user": ["get"],
  [`${repo}/installation`]: ["get"],
  [`${repo}/pulls`]: ["get", "post"],
  [`${repo}/pulls/{pull_number}`]: ["get"],
  [`${repo}/pulls/{pull_number}/commits`]: ["get"],
  [`${repo}/pulls/{pull_number}/requested_reviewers`]: ["get", "post"],
  [`${repo}/pulls/{pull_number}/reviews`]: ["get"],
  [`${repo}/issues/comments`]: ["get"],
  [`${repo}/issues/comments/{comment_id}`]: ["get", "patch"],
  [`${repo}/issues/comments/{comment_id}/reactions`]: ["get", "post"],
  [`${repo}/issues/{issue_number}/comments`]: ["get", "post"],
  [`${repo}/issues/{issue_number}/labels`]: ["get", "post"],
  [`${repo}/issues/{issue_number}/labels/{name}`]: ["delete"],
  [`${repo}/check-runs`]: ["post"],
  [`${repo}/check-runs/{check_run_id}`]: ["patch"],
  [`${repo}/commits/{ref}`]: ["get"],
  [`${repo}/commits/{ref}/check-runs`]: ["get"],
  [`${repo}/commits/{ref}/statuses`]: ["get"],
  [`${repo}/commits/{commit_sha}/pulls`]: ["get"],
  [`${repo}/statuses/{sha}`]: ["post"],
  [`${repo}/deployments`]: ["get", "post"],
  [`${repo}/deployments/{deployment_id}/statuses`]: ["get", "post"],
  [`${repo}/collaborators/{username}/permission`]: ["get"],
};

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
type Node = { [key: string]: Json };

const isNode = (value: Json | undefined): value is Node =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const node = (value: Json | undefined): Node => (isNode(value) ? value : {});

/** Words for people, and formats that no validator knows. */
const dropped: ReadonlySet<string> = new Set(
  ["description", "summary", "title", "example", "examples", "externalDocs", "deprecated", "default", "tags"].concat([
    "nullable",
    "readOnly",
  ]),
);
const formats: readonly Json[] = ["date-time", "uri"];

/** A schema of OpenAPI 3.0 as JSON Schema: `nullable` becomes a union of types. */
function schemaOf(value: Json): Json {
  if (Array.isArray(value)) return value.map(schemaOf);
  if (!isNode(value)) return value;
  const kept: Node = {};
  for (const [key, inner] of Object.entries(value)) {
    if (dropped.has(key) || key.startsWith("x-") || (key === "format" && !formats.includes(inner))) continue;
    if (key === "properties")
      kept[key] = Object.fromEntries(Object.entries(node(inner)).map(([name, schema]) => [name, schemaOf(schema)]));
    else kept[key] = key === "enum" || key === "required" ? inner : schemaOf(inner);
  }
  if (value.nullable !== true) return kept;
  if (kept.type === undefined) return { anyOf: [kept, { type: "null" }] };
  const values = Array.isArray(kept.enum) ? { enum: [...kept.enum.filter((each) => each !== null), null] } : {};
  return { ...kept, type: [kept.type, "null"], ...values };
}

function referencesOf(value: Json, found: Set<string> = new Set()): Set<string> {
  if (Array.isArray(value)) for (const each of value) referencesOf(each, found);
  else if (isNode(value)) {
    if (typeof value.$ref === "string") found.add(value.$ref);
    for (const each of Object.values(value)) referencesOf(each, found);
  }
  return found;
}

const [folder = ""] = process.argv.slice(2);
const whole = JSON.parse(await readFile(join(folder, "generated", "api.github.com.json"), "utf8")) as Node;
const { version } = JSON.parse(await readFile(join(folder, "package.json"), "utf8")) as { version: string };

function resolved(value: Json | undefined): Node {
  const found = node(value);
  if (typeof found.$ref !== "string") return found;
  let at: Json = whole;
  for (const part of found.$ref.slice(2).split("/")) at = node(at)[part] ?? null;
  return resolved(at);
}

const content = (value: Json | undefined): Json =>
  schemaOf(node(node(resolved(value).content)["application/json"]).schema ?? null);

function operationOf(path: Node, method: string): Node {
  const operation = node(path[method]);
  const parameters = [path.parameters, operation.parameters].flatMap((list) => (Array.isArray(list) ? list : []));
  return {
    parameters: parameters.map(resolved).map(({ name = null, in: place = null, required = false, schema = {} }) => ({
      name,
      in: place,
      required,
      schema: schemaOf(schema),
    })),
    body: content(operation.requestBody),
    answers: Object.fromEntries(
      Object.entries(node(operation.responses)).map(([status, answer]) => [status, content(answer)]),
    ),
  };
}

const paths: Node = {};
for (const [path, methods] of Object.entries(used)) {
  const found = node(node(whole.paths)[path]);
  for (const method of methods) if (!isNode(found[method])) throw new Error(`there is no ${method} ${path}`);
  paths[path] = Object.fromEntries(methods.map((method) => [method, operationOf(found, method)]));
}
const schemas: Node = {};
const queue = [...referencesOf(paths)];
for (let reference = queue.pop(); reference !== undefined; reference = queue.pop()) {
  const name = reference.slice("#/components/schemas/".length);
  if (name in schemas) continue;
  const schema = schemaOf(resolved({ $ref: reference }));
  schemas[name] = schema;
  queue.push(...referencesOf(schema));
}
const sorted = Object.fromEntries(Object.entries(schemas).toSorted(([a], [b]) => (a < b ? -1 : 1)));
const text = JSON.stringify({
  source: `@octokit/openapi ${version}, api.github.com`,
  paths,
  components: { schemas: sorted },
});
await writeFile(join(root, "test", "fixtures", "github-openapi.json"), `${text}\n`);
process.stdout.write(`${text.length} bytes, ${Object.keys(sorted).length} schemas\n`);
