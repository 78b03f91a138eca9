// Templates: texts with `${expression}` in them. A value is put in as it is and never becomes syntax: what receives the text decides
// how it is quoted (argument vectors need no quoting, scripts get values through their environment).
import type { GuardCompiler, GuardReads, GuardValues } from "./guard.ts";
import { Secrets, secretsIn } from "./secrets.ts";
import type { Action, Step, Template } from "./types.ts";

type Part = { readonly text: string } | { readonly expression: string };

/** Splits a template; `$${` stands for a literal `${`. An expression ends at the first `}` outside quotes. */
export function parseTemplate(template: Template): Part[] {
  const parts: Part[] = [];
  let text = "";
  let rest = template;
  for (let at = rest.indexOf("${"); at >= 0; at = rest.indexOf("${")) {
    if (rest[at - 1] === "$") {
      text += `${rest.slice(0, at - 1)}\${`;
      rest = rest.slice(at + 2);
      continue;
    }
    const end = endOfExpression(rest, at + 2);
    if (end < 0) break;
    parts.push({ text: text + rest.slice(0, at) }, { expression: rest.slice(at + 2, end) });
    text = "";
    rest = rest.slice(end + 1);
  }
  return [...parts, { text: text + rest }].filter((part) => !("text" in part) || part.text !== "");
}

function endOfExpression(text: string, from: number): number {
  let quote: string | null = null;
  for (let index = from; index < text.length; index++) {
    const character = text[index] ?? "";
    if (quote !== null) quote = character === quote ? null : quote;
    else if (character === '"' || character === "'") quote = character;
    else if (character === "}") return index;
  }
  return -1;
}

/** Every expression in a template that does not check, with why. */
export function checkTemplate(template: Template, compiler: GuardCompiler): string[] {
  return expressionsOf(template).flatMap((expression) => {
    const compiled = compiler.compile(expression);
    if ("error" in compiled) return [`\${${expression}}: ${compiled.error}`];
    const { type } = compiled.guard;
    return ["string", "int", "bool", "double", "dyn"].includes(type)
      ? []
      : [`\${${expression}} yields ${type}, which is not text`];
  });
}

export function expressionsOf(template: Template): string[] {
  return parseTemplate(template).flatMap((part) => ("expression" in part ? [part.expression] : []));
}

export type RenderResult<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: string };

/** The text of a template with its expressions evaluated. */
export function renderTemplate(template: Template, compiler: GuardCompiler, values: GuardValues): RenderResult<string> {
  let text = "";
  for (const part of parseTemplate(template)) {
    if ("text" in part) {
      text += part.text;
      continue;
    }
    const compiled = compiler.compile(part.expression);
    if ("error" in compiled) return { ok: false, error: `\${${part.expression}}: ${compiled.error}` };
    const result = compiled.guard.evaluate(values);
    if (!result.ok) return { ok: false, error: `\${${part.expression}}: ${result.error}` };
    text += String(result.value);
  }
  return { ok: true, value: text };
}

/** True for steps that run on the host itself; the others are made from the reconciler's machine. */
export function runsOnHost({ on, action }: Pick<Step, "on" | "action">): boolean {
  return on === "host" && ["run", "shell", "write"].includes(action.kind);
}

/** Every template of an action, in a fixed order. */
export function templatesOf(action: Action): Template[] {
  switch (action.kind) {
    case "run":
      return [...action.argv, ...Object.values(action.env)];
    case "shell":
      return Object.values(action.env);
    case "http":
      return [action.url, ...Object.values(action.headers), ...(action.body === null ? [] : [action.body])];
    case "tcp":
      return [...(action.host === null ? [] : [action.host]), action.port];
    case "write":
      return [action.path, action.content];
  }
}

/** The templates of an action that become arguments of programs. */
export function argumentsOf(action: Action): readonly Template[] {
  if (action.kind === "run") return action.argv;
  return action.kind === "write" ? [action.path] : [];
}

/** The action with every template filled in, or the first reason why one cannot be. */
export function renderAction(action: Action, compiler: GuardCompiler, values: GuardValues): RenderResult<Action> {
  let error: string | null = null;
  const fill = (template: Template): string => {
    const result = renderTemplate(template, compiler, values);
    if (result.ok && !result.value.includes("\0")) return result.value;
    // A3: programs cannot be given it, and shells leave it out: what is checked here would not be what they get.
    error ??= result.ok ? `${template} holds a NUL character` : result.error;
    return "";
  };
  const fillAll = (map: Readonly<Record<string, Template>>): Record<string, string> =>
    Object.fromEntries(Object.entries(map).map(([key, value]) => [key, fill(value)]));
  const value = mapAction(action, fill, fillAll);
  if (error === null && action.kind === "run" && value.kind === "run") error = optionFromData(action.argv, value.argv);
  error ??= secretInArguments(action, value, values);
  // A3: no argument, environment or path can hold it: what came after it would be lost.
  error ??= templatesOf(value).some((text) => text.includes("\0")) ? "a value holds the character NUL" : null;
  return error === null ? { ok: true, value } : { ok: false, error };
}

/** A2: what the check of a file finds by name is found here by value, whichever way it came in. */
function secretInArguments(action: Action, filled: Action, { host }: GuardValues): string | null {
  const found = secretsIn(host.vars);
  if (found.length === 0) return null;
  const secrets = new Secrets(found);
  const templates = argumentsOf(action);
  const index = argumentsOf(filled).findIndex((word, at) => word !== templates[at] && secrets.isIn(word));
  return index < 0
    ? null
    : `${templates[index]} holds a secret, which others could read in the arguments: pass it in env`;
}

/** A3: a word that begins with data must not become an option; behind `--` it cannot. */
function optionFromData(templates: readonly Template[], words: readonly string[]): string | null {
  for (const [index, template] of templates.entries()) {
    const word = words[index] ?? "";
    if (template === "--") return null;
    if (template.startsWith("${") && word.startsWith("-"))
      return `${template} begins with -, and would be read as an option: put -- before it`;
  }
  return null;
}

function mapAction(
  action: Action,
  fill: (template: Template) => string,
  fillAll: (map: Readonly<Record<string, Template>>) => Record<string, string>,
): Action {
  switch (action.kind) {
    case "run":
      return { ...action, argv: action.argv.map(fill), env: fillAll(action.env) };
    case "shell":
      return { ...action, env: fillAll(action.env) };
    case "http":
      return {
        ...action,
        url: fill(action.url),
        headers: fillAll(action.headers),
        body: action.body === null ? null : fill(action.body),
      };
    case "tcp":
      return { ...action, host: action.host === null ? null : fill(action.host), port: fill(action.port) };
    case "write":
      return { ...action, path: fill(action.path), content: fill(action.content) };
  }
}

/** True when an expression reads the host alone, so that it can be evaluated when the file is checked. */
export function readsHostAlone(reads: GuardReads): boolean {
  return reads.groups.size === 0 && !reads.hosts && !reads.now && !reads.updates && !reads.live;
}
