// Loops over hosts that CEL does not have: `count` and `quorum`. Unknown is never true (B4), and never false either.
import type { ASTNode, Environment, TypeDeclaration } from "@marcbachmann/cel-js";
import { type Amount, amountPattern, atLeast, parseAmount } from "./amount.ts";

/** Names of the loops that are added to CEL's own. */
export const addedLoops = ["count", "quorum"] as const;

/** Parts of cel-js that its types leave open; see `lib/macros.js` there. */
interface Scope {
  readonly forkWithVariable: (name: string, type: TypeDeclaration) => LoopScope;
}
interface LoopScope extends Scope {
  readonly reuse: (parent: Scope) => LoopScope;
  readonly setIterValue: (value: unknown, evaluator: Evaluator) => LoopScope;
}
interface Failing {
  readonly createError: (code: string, message: string, node: ASTNode) => Error;
}
interface Checker extends Failing {
  readonly check: (node: ASTNode, scope: Scope) => TypeDeclaration;
  readonly getType: (name: string) => TypeDeclaration;
}
interface Evaluator extends Failing {
  readonly run: (node: ASTNode, scope: Scope) => unknown;
  /** The value, or the error why there is none. */
  readonly tryEval: (node: ASTNode, scope: Scope) => unknown;
}
interface Call {
  readonly ast: ASTNode;
  readonly args: readonly ASTNode[];
  readonly receiver: ASTNode;
}

/** Registers `list.count(h, condition)` and `list.quorum(h, condition, amount)`. */
export function registerLoops(environment: Environment): Environment {
  return environment
    .registerFunction("list.count(ast, ast): int", countMacro)
    .registerFunction("list.quorum(ast, ast, ast): bool", quorumMacro);
}

/** How many elements the condition holds for; an error if it cannot be evaluated for one of them. */
function countMacro(call: Call): object {
  const loop = new Loop("count", call);
  return {
    async: false,
    typeCheck: (checker: Checker, _macro: unknown, scope: Scope) => {
      loop.check(checker, scope);
      return checker.getType("int");
    },
    evaluate: (evaluator: Evaluator, _macro: unknown, scope: Scope) => {
      let holds = 0n;
      for (const result of loop.results(evaluator, scope, loop.list(evaluator, scope))) {
        if (result instanceof Error) throw result;
        if (result) holds++;
      }
      return holds;
    },
  };
}

/** Whether the condition holds for so many; an error where that depends on those for which it cannot be evaluated. */
function quorumMacro(call: Call): object {
  const loop = new Loop("quorum", call);
  let amount: Amount | null = null;
  return {
    async: false,
    typeCheck: (checker: Checker, _macro: unknown, scope: Scope) => {
      loop.check(checker, scope);
      amount = checkAmount(checker, call.args[2] ?? call.ast);
      return checker.getType("bool");
    },
    evaluate: (evaluator: Evaluator, _macro: unknown, scope: Scope) => {
      const list = loop.list(evaluator, scope);
      if (list.length === 0)
        throw evaluator.createError("empty_list", "a quorum of nobody: the list is empty", call.ast);
      const needed = atLeast(amount as Amount, list.length);
      let [holds, unknown] = [0, 0];
      for (const result of loop.results(evaluator, scope, list)) {
        if (result === true) holds++;
        else if (result !== false) unknown++;
        if (holds >= needed) return true;
      }
      if (holds + unknown < needed) return false;
      const message = `a quorum needs ${needed} of ${list.length}: it holds for ${holds}, and is not known of ${unknown}`;
      throw evaluator.createError("unknown_quorum", message, call.ast);
    },
  };
}

/** The amount that a literal stands for. */
function checkAmount(checker: Checker, node: ASTNode): Amount {
  const wrong = (message: string): Error => checker.createError("invalid_macro_argument", message, node);
  const literal = node.op === "value" ? node.args : null;
  const text = typeof literal === "string" || typeof literal === "bigint" ? String(literal) : "";
  if (!new RegExp(amountPattern).test(text))
    throw wrong('the third argument of quorum is an amount: 3, "60%" or "2/3", with its quotes');
  const amount = parseAmount(text);
  if (amount.value === 0) throw wrong(`a quorum of ${text} needs nobody, and would always hold`);
  if (amount.of !== null && amount.value > amount.of) throw wrong(`a quorum of ${text} can never be reached`);
  return amount;
}

/** A list, a name for each of its elements, and what is asked of each. */
class Loop {
  private readonly name: string;
  private readonly call: Call;
  private inner: LoopScope | null = null;

  constructor(name: string, call: Call) {
    this.name = name;
    this.call = call;
  }

  private get condition(): ASTNode {
    return this.call.args[1] ?? this.call.ast;
  }

  check(checker: Checker, scope: Scope): void {
    const { args, ast, receiver } = this.call;
    const wrong = (message: string, node: ASTNode): Error =>
      checker.createError("invalid_macro_argument", `${this.name}(h, condition): ${message}`, node);
    const [variable] = args;
    if (variable?.op !== "id") throw wrong("h has to be a name", variable ?? ast);
    const type = checker.check(receiver, scope);
    if (type.kind !== "list" && type.kind !== "dyn")
      throw wrong(`it is asked of a list, not of ${type.name}`, receiver);
    this.inner = scope.forkWithVariable(variable.args, type.valueType ?? type);
    const result = checker.check(this.condition, this.inner);
    if (!result.isDynOrBool()) throw wrong(`the condition yields ${result.name}, not true or false`, this.condition);
  }

  list(evaluator: Evaluator, scope: Scope): readonly unknown[] {
    const list = evaluator.run(this.call.receiver, scope);
    if (Array.isArray(list)) return list;
    throw evaluator.createError("no_such_overload", `${this.name} is asked of what is no list`, this.call.receiver);
  }

  /** For each element true, false, or the error why it cannot be told. */
  *results(evaluator: Evaluator, scope: Scope, list: readonly unknown[]): Generator<boolean | Error> {
    const inner = (this.inner as LoopScope).reuse(scope);
    for (const element of list) {
      const result = evaluator.tryEval(this.condition, inner.setIterValue(element, evaluator));
      if (typeof result === "boolean" || result instanceof Error) yield result;
      else
        yield evaluator.createError("no_such_overload", `${this.name}: the condition is not a boolean`, this.condition);
    }
  }
}
