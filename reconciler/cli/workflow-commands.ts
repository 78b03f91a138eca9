// Problems as GitHub Actions reads them from a log: one line each, at file, line and column.
// https://docs.github.com/actions/reference/workflow-commands-for-github-actions
import { printable } from "../model/printable.ts";
import { type Problem, problemCodes } from "../model/problem.ts";

/** `::error file=hosts/a.yaml,line=3,col=1,title=SW204 ...::message`. Nothing in a problem can end the line or begin another property. */
export function workflowCommand({ severity, file, line, column, code, message, remedy }: Problem): string {
  const properties = { file, line, col: column, title: `${code} ${problemCodes[code]}` };
  const list = Object.entries(properties).map(([key, value]) => `${key}=${property(String(value))}`);
  return `::${severity} ${list.join(",")}::${data(`${message}; ${remedy}`)}`;
}

function data(text: string): string {
  return kept(text).replaceAll("%", "%25").replaceAll("\r", "%0D").replaceAll("\n", "%0A");
}

function property(text: string): string {
  return data(text).replaceAll(":", "%3A").replaceAll(",", "%2C");
}

/** Line feeds stay: they are written by their number. */
function kept(text: string): string {
  return text
    .split(/(\r?\n)/)
    .map((part) => (/^\r?\n$/.test(part) ? part : printable(part)))
    .join("");
}
