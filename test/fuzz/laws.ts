// Laws that hold for every target.
import * as assert from "uvu/assert";
import { Failure } from "../../reconciler/model/failure.ts";
import { type Problem, problemCodes } from "../../reconciler/model/problem.ts";

/** The value, or null where it is refused as it should be: by a Failure with a reason. Anything else thrown is a bug. */
export function orFailure<T>(make: () => T): T | null {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    assert.ok(error.reason !== "" && error.message !== "", "a failure says why");
    return null;
  }
}

/** Every problem has a code, words, and a place that the file has. */
export function checkProblems(problems: readonly Problem[], text: string, file: string): void {
  const lines = text.split("\n");
  for (const problem of problems) {
    assert.ok(problem.code in problemCodes, problem.code);
    assert.ok(problem.message !== "" && problem.remedy !== "", problem.code);
    if (problem.file !== file) continue;
    const { line, column } = problem;
    const width = lines[line - 1]?.length;
    // The end of a text is a place as well.
    assert.ok(width !== undefined && column >= 1 && column <= width + 1, `${problem.code} at ${line}:${column}`);
  }
}

/** Nothing has reached what every object inherits. */
export function checkPrototypes(): void {
  assert.equal(Object.keys(Object.prototype), []);
  assert.is(({} as { polluted?: unknown }).polluted, undefined);
  assert.equal(Object.keys(Array.prototype), []);
}
