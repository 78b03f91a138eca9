// `matches` of guards. The one of cel-js runs JavaScript's regular expressions, which can take longer than anybody waits, and nothing
// else happens meanwhile: an expression and a text that a host reports would stop the whole reconciler.
import type { ASTNode, Environment } from "@marcbachmann/cel-js";
import { messageOf } from "./failure.ts";
import { compilePattern, type Pattern } from "./pattern.ts";

/** An overload of cel-js cannot be replaced: calls are turned to another name. */
const ownName = "matchesInTime";
const known = new Map<string, Pattern>();
const knownMax = 1000;

/** Registers what `matches` stands for. */
export function registerMatches(environment: Environment): Environment {
  return environment.registerFunction(`string.${ownName}(string): bool`, (text: string, source: string) => {
    const found = patternOf(source)(text);
    if (found === null) throw new Error(`the text is too long to be compared with ${source.slice(0, 60)}`);
    return found;
  });
}

/** Turns each call of `matches` to ours. Says what is wrong with an expression that stands in the text, or null. */
export function useOwnMatches(node: ASTNode): string | null {
  if (node.op === "rcall" && node.args[0] === "matches" && node.args[2].length === 1) {
    const [argument] = node.args[2];
    if (argument?.op === "value" && typeof argument.args === "string") {
      const wrong = problemOf(argument.args);
      if (wrong !== null) return wrong;
    }
    node.args[0] = ownName;
  }
  return visit(node.args);
}

function visit(value: unknown): string | null {
  if (Array.isArray(value)) {
    for (const item of value) {
      const wrong = visit(item);
      if (wrong !== null) return wrong;
    }
    return null;
  }
  return typeof value === "object" && value !== null && "op" in value ? useOwnMatches(value as ASTNode) : null;
}

function problemOf(source: string): string | null {
  try {
    patternOf(source);
    return null;
  } catch (error) {
    return messageOf(error);
  }
}

/** Compiled once; throws what is wrong with it. */
function patternOf(source: string): Pattern {
  const before = known.get(source);
  if (before) return before;
  let pattern: Pattern;
  try {
    pattern = compilePattern(source);
  } catch (error) {
    throw new Error(`not a regular expression: ${source.slice(0, 60)} (${messageOf(error)})`, { cause: error });
  }
  if (known.size >= knownMax) known.clear();
  known.set(source, pattern);
  return pattern;
}
