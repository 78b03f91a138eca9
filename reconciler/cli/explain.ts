// stateward explain: where a value comes from that applies to a host.
import { Failure } from "../model/failure.ts";
import { nearest } from "../model/problem.ts";
import type { LoadedRepository } from "../model/repository.ts";
import type { Host } from "../model/types.ts";
import { parseYaml } from "../model/yaml.ts";
import { type Explained, placeText } from "./explain-sources.ts";
import { explainHost, valuesOf } from "./explained.ts";
import { loadFolder } from "./inspect.ts";
import { paint, print, printJson, table } from "./output.ts";
import { type GlobalOptions, openWorkspace } from "./workspace.ts";

/** stateward explain HOST [FIELD]: values with file and line; without a field, those in force of all fields. */
export async function explain(options: GlobalOptions, name: string, field: string | null): Promise<number> {
  const { files, loaded } = await loadFolder(openWorkspace(options).folder);
  const host = loaded.repository.hosts.get(name);
  if (!host) throw noHost(loaded, name);
  const text = files.find(({ path }) => path === host.file)?.text ?? "";
  const explained = explainHost(loaded, host, parseYaml(host.file, text));
  const shown = field === null ? explained : valuesOf(explained, field);
  if (field !== null && shown.length === 0) throw noField(host, explained, field);
  if (options.json) printJson({ host: name, fields: shown });
  else print(table(field === null ? listed(shown) : answered(shown)));
  return 0;
}

const listedMax = 60;

function listed(explained: readonly Explained[]): string[][] {
  const rows = explained
    .filter(({ inForce }) => inForce)
    .map((item) => {
      const value = item.value.length > listedMax ? `${item.value.slice(0, listedMax)}...` : item.value;
      return [item.field, value, placeText(item), paint("dim", `(${item.why})`)];
    });
  return [["FIELD", "VALUE", "PLACE", "WHY"], ...rows];
}

/** The field is named only where there are several; what is in force is marked only where something else is not. */
function answered(explained: readonly Explained[]): string[][] {
  const isMarked = explained.some(({ inForce }) => !inForce);
  const isNamed = new Set(explained.map(({ field }) => field)).size > 1;
  return explained.map((item) => {
    const row = [item.value, placeText(item), `(${item.why}${item.inForce ? "" : "; overridden"})`];
    const mark = isMarked ? [item.inForce ? "*" : " "] : [];
    return [...mark, ...(isNamed ? [item.field] : []), ...row].map((cell) =>
      item.inForce ? cell : paint("dim", cell),
    );
  });
}

function noHost({ repository: { hosts, groups } }: LoadedRepository, name: string): Failure {
  const near = nearest(name, [...hosts.keys()]);
  const other = near === null ? "see hosts/" : `did you mean ${near}?`;
  const hint = groups.has(name) ? `${name} is a group: name one of its hosts` : other;
  return new Failure("invalid", `no host is called ${name}`, { reason: "UnknownHost", hint });
}

function noField({ name }: Host, explained: readonly Explained[], field: string): Failure {
  const fields = [...new Set(explained.map((item) => item.field))];
  const tops = [...new Set(fields.map((item) => item.split(".")[0] ?? item))];
  const near = fields.find((item) => item.endsWith(`.${field}`)) ?? nearest(field, [...fields, ...tops]);
  const hint = `${near === null ? "" : `did you mean ${near}? `}fields: ${tops.join(", ")}; stateward explain ${name} shows all`;
  return new Failure("invalid", `${name} has no field ${field}`, { reason: "UnknownField", hint });
}
