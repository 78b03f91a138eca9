// Values against schemas: ajv's errors become coded problems at their lines, with the nearest known key.
import { Ajv2020, type ErrorObject, type ValidateFunction } from "ajv/dist/2020.js";
import formats from "ajv-formats";
import { isTime } from "./duration.ts";
import { nearest, type Problem, type ProblemCode } from "./problem.ts";
import { redact } from "./redact.ts";
import type { JsonSchema } from "./schemas.ts";
import { isSecretName } from "./secrets.ts";
import type { ParsedYaml, YamlPath } from "./yaml.ts";

const ajv = new Ajv2020({ allErrors: true, verbose: true, strict: true, allowUnionTypes: true });
ajv.addKeyword("x-reserved");
formats.default(ajv, ["date"]);
const timeForm = new Ajv2020({ formats: { "date-time": formats.default.get("date-time") } }).compile({
  type: "string",
  format: "date-time",
});
ajv.addFormat("date-time", { validate: (text: string) => timeForm(text) && isTime(text) });
/** Problems shown for one file; mending them shows the rest. */
const problemsMax = 100;
const compiled = new Map<JsonSchema, ValidateFunction>();

/** Problems of a parsed file against a schema: all of them, each at its own line. */
export function validate(parsed: ParsedYaml, schema: JsonSchema): Problem[] {
  const check = compiled.get(schema) ?? ajv.compile(schema);
  compiled.set(schema, check);
  if (check(parsed.value)) return [];
  const errors = (check.errors ?? []).filter((error) => error.keyword !== "propertyNames");
  return errors.slice(0, problemsMax).map((error) => toProblem(parsed, error));
}

function toProblem(parsed: ParsedYaml, error: ErrorObject): Problem {
  const path = pathOf(error.instancePath);
  const word = wordOf(error);
  const place = parsed.locate(word === null ? path : [...path, word], word === null ? "value" : "key");
  return { ...place, severity: "error", ...explain(error, path) };
}

/** The key that an error is about, where it is about one that stands in the file. */
function wordOf(error: ErrorObject): string | null {
  if (error.keyword === "additionalProperties") return String(error.params.additionalProperty);
  return error.propertyName ?? null;
}

function explain(error: ErrorObject, path: YamlPath): { code: ProblemCode; message: string; remedy: string } {
  const name = path.length === 0 ? "the file" : path.join(".");
  // A2: a problem is shown to anybody.
  const isSecret = path.some((step) => isSecretName(String(step)));
  const shown = isSecret ? "***" : redact(JSON.stringify(error.data) ?? "nothing").slice(0, 60);
  switch (error.keyword) {
    case "additionalProperties":
      return unknownKey(error);
    case "type":
      return {
        code: "SW103",
        message: `${name} is ${shown}, not ${[error.params.type].flat().join(" or ")}`,
        remedy: "write a value of that type; quote text that looks like a number",
      };
    case "enum": {
      const allowed = (error.params.allowedValues as string[]).join(", ");
      return { code: "SW104", message: `${name} is ${shown}`, remedy: `use one of: ${allowed}` };
    }
    case "required":
      return {
        code: "SW106",
        message: `${name} lacks the key ${String(error.params.missingProperty)}`,
        remedy: "add it",
      };
    case "pattern":
    case "format":
      return {
        code: "SW105",
        message: `${error.propertyName === undefined ? name : `the key ${error.propertyName}`} does not have the required form (${String(error.params.pattern ?? error.params.format)})`,
        remedy: describe(error),
      };
    default:
      return {
        code: "SW107",
        message: `${name} ${error.message ?? "is out of range"}`,
        remedy: "see the format reference",
      };
  }
}

function describe(error: ErrorObject): string {
  const { description } = (error.parentSchema ?? {}) as { description?: string };
  return description === undefined ? "see the format reference" : `expected: ${description}`;
}

function unknownKey(error: ErrorObject): { code: ProblemCode; message: string; remedy: string } {
  const key = String(error.params.additionalProperty);
  const parent = (error.parentSchema ?? {}) as { properties?: object; "x-reserved"?: string[] };
  if (parent["x-reserved"]?.includes(key)) {
    return {
      code: "SW102",
      message: `the key ${key} is reserved: this version does not carry it out`,
      remedy: "leave it out until a version that does",
    };
  }
  const known = Object.keys(parent.properties ?? {});
  const near = nearest(key, known);
  return {
    code: "SW101",
    message: `unknown key ${key}`,
    remedy: near === null ? `known keys: ${known.join(", ")}` : `did you mean ${near}?`,
  };
}

function pathOf(pointer: string): YamlPath {
  const steps = pointer
    .split("/")
    .slice(1)
    .map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"));
  return steps.map((step) => (/^\d+$/.test(step) ? Number(step) : step));
}
