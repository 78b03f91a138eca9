// Guards: a text is refused with words, or it is an expression that gives a value or says why not, and the same each time.
import * as assert from "uvu/assert";
import {
  CelHost,
  CelRecord,
  CelReport,
  type Guard,
  GuardCompiler,
  type GuardValues,
} from "../../reconciler/model/guard.ts";
import { checkTemplate, parseTemplate, renderTemplate } from "../../reconciler/model/template.ts";
import { noon } from "../support/world.ts";
import { checkPrototypes } from "./laws.ts";

let compiler = new GuardCompiler(["web", "empty"]);
let compiled = 0;

const host = (name: string, states: CelHost["states"]): CelHost =>
  new CelHost({
    name,
    region: "east",
    address: "",
    owner: "team",
    labels: { role: "primary", long: `${"a".repeat(200)}!`, zero: "\u0000", odd: "\ud800\u2028" },
    vars: Object.fromEntries([["__proto__", "x"]]),
    states,
    reported: states && new Date(noon),
  });

function valuesOf(...states: readonly CelHost["states"][]): GuardValues {
  const members = states.map((state, index) => host(`h${index}`, state));
  return {
    host: members[0] ?? host("none", undefined),
    report: new CelReport({ pattern: "(x+x+)+y", a: "x".repeat(1000) }),
    record: new CelRecord("on", new Date(noon)),
    group: (name) => (name === "web" ? members : undefined),
    hosts: () => members,
    now: new Date(noon),
    updates: 3,
  };
}

const worlds: readonly GuardValues[] = [
  valuesOf({ m: "up" }, { m: "up" }, { m: "down" }),
  valuesOf(undefined, { m: "up" }, {}),
  valuesOf(undefined, undefined),
  valuesOf(),
];

export function guardTarget(input: Buffer): void {
  // What was compiled is kept: a new compiler keeps the search from filling the memory.
  if (++compiled % 2000 === 0) compiler = new GuardCompiler(["web", "empty"]);
  const text = input.toString();
  const result = compiler.compile(text);
  if ("error" in result) assert.ok(result.error !== "" && typeof result.error === "string");
  else evaluateAll(result.guard);
  checkTemplates(text);
  checkPrototypes();
}

function evaluateAll({ evaluate, type }: Guard): void {
  for (const values of worlds) {
    const result = evaluate(values);
    assert.equal(evaluate(values), result);
    if (!result.ok) assert.ok(typeof result.error === "string" && result.error !== "", "an error says why");
    else if (type === "bool") assert.type(result.value, "boolean");
  }
}

function checkTemplates(text: string): void {
  for (const template of [text, `\${${text}}`]) {
    parseTemplate(template);
    const errors = checkTemplate(template, compiler);
    for (const values of worlds) {
      const rendered = renderTemplate(template, compiler, values);
      if (errors.length > 0) continue;
      assert.type(rendered.ok ? rendered.value : rendered.error, "string");
    }
  }
}
