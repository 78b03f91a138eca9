// The YAML loader: a file as settings, holidays, machine, host or group. Never throws; every problem has a code and a place.
import { isDeepStrictEqual } from "node:util";
import * as assert from "uvu/assert";
import { createLoader } from "../../reconciler/cli/loader.ts";
import { parseDocument } from "../../reconciler/model/repository.ts";
import { parseFullYaml, parseYaml } from "../../reconciler/model/yaml.ts";
import { parsePlainYaml } from "../../reconciler/model/yaml-plain.ts";
import { checkProblems, checkPrototypes } from "./laws.ts";

const loader = createLoader();

export const yamlPaths: readonly string[] = ["stateward.yaml", "holidays.yaml", "machines/x.yaml", "hosts/x.yaml"];

export function yamlTarget(input: Buffer): void {
  const text = input.toString();
  const full = parseFullYaml("x.yaml", text);
  checkProblems(full.problems, text, "x.yaml");
  assert.is(full.value === undefined, full.problems.length > 0);
  const plain = parsePlainYaml(text);
  if (plain !== null) {
    assert.equal(full.problems, []);
    assert.ok(isDeepStrictEqual(plain.value, full.value), "both parsers give the same");
  }
  if (full.value !== undefined) checkPlaces(text, full.value);
  for (const path of yamlPaths) load(path, text);
  checkPrototypes();
}

/** What the reconciler does with a file that changed. */
export function load(path: string, text: string): void {
  const parsed = parseDocument(path, text);
  if ("problems" in parsed) {
    assert.ok(parsed.problems.length > 0);
    checkProblems(parsed.problems, text, path);
  }
  const others = path === "stateward.yaml" ? [] : [{ path: "stateward.yaml", text: "{}", id: "settings" }];
  const { problems, unlocated } = loader.load([...others, { path, text, id: text, parsed }]);
  assert.equal(unlocated, []);
  checkProblems(problems, text, path);
}

/** Every key and every value is found where it stands. */
function checkPlaces(text: string, value: unknown): void {
  const { locate } = parseYaml("x.yaml", text);
  const lines = text.split("\n").length;
  const visit = (part: unknown, path: readonly (string | number)[], left: { places: number }): void => {
    if (left.places-- <= 0) return;
    const { line, column } = locate(path);
    assert.ok(line >= 1 && line <= lines && column >= 1, `${path.join(".")} at ${line}:${column}`);
    if (typeof part !== "object" || part === null) return;
    for (const [key, inner] of Object.entries(part))
      visit(inner, [...path, Array.isArray(part) ? Number(key) : key], left);
  };
  visit(value, [], { places: 50 });
}
