// stateward blame HOST.FIELD: which commit of main gave a value as it is now, who made it, and with which pull request. Values are
// compared, not lines: a file that was laid out anew has said nothing new.
import { Failure } from "../model/failure.ts";
import { nearest } from "../model/problem.ts";
import type { LoadedRepository } from "../model/repository.ts";
import { same } from "../model/same.ts";
import type { Host } from "../model/types.ts";
import { type ParsedYaml, parseYaml, type YamlPath } from "../model/yaml.ts";
import { DocumentCache } from "../record/document-cache.ts";
import { readDocuments } from "../record/documents.ts";
import { type Git, parentsIn } from "../record/git.ts";
import { DesiredMirror } from "../record/mirror.ts";
import { TipsFile } from "../record/tips.ts";
import { type AuditSource, type MainCommit, openAudit, readMainCommits } from "./audit-source.ts";
import { type Explained, placeText, valueAt } from "./explain-sources.ts";
import { explainHost, valuesOf } from "./explained.ts";
import { createLoader } from "./loader.ts";
import { paint, print, printJson } from "./output.ts";
import { version } from "./version.ts";
import type { GlobalOptions } from "./workspace.ts";

interface Blamed extends Explained {
  /** What gave the value; null for what no file says. */
  readonly commit: MainCommit | null;
  /** The merge that brought it to `main`, where it came with one. */
  readonly merge: MainCommit | null;
  readonly pullRequest: number | null;
}

/** stateward blame HOST.FIELD: of the values in force on `main`. */
export async function blame(options: GlobalOptions, what: string): Promise<number> {
  const source = await openAudit(options);
  const { git, main } = source;
  if (main === null)
    throw new Failure("invalid", "there is no branch main", { reason: "NoMain", hint: "git fetch origin main" });
  const { loaded } = await reader(git).at(main);
  const { host, field } = partsOf(loaded, what);
  const text = (await git.objects.need(`${main}:${host.file}`, "blob")).data.toString();
  const explained = explainHost(loaded, host, parseYaml(host.file, text));
  const found = valuesOf(explained, field).filter(({ inForce }) => inForce);
  if (found.length === 0) {
    const fields = [...new Set(explained.map((item) => item.field))];
    const near = nearest(field, [...fields, ...fields.map((item) => item.split(".")[0] ?? item)]);
    throw new Failure("invalid", `${host.name} has no field ${field}`, {
      reason: "UnknownField",
      hint: `${near === null ? "" : `did you mean ${host.name}.${near}? `}stateward explain ${host.name} shows all`,
    });
  }
  const blamed: Blamed[] = [];
  for (const item of found) blamed.push(await blameOne(source, main, item));
  if (options.json) printJson({ host: host.name, main, fields: blamed });
  else for (const item of blamed) printBlamed(item);
  return 0;
}

function reader(git: Git): DesiredMirror {
  const cache = new DocumentCache(null, version);
  return new DesiredMirror({ git, tips: TipsFile.forgetful(), remotes: [], loader: createLoader(), cache });
}

/** Names of hosts have dots as well: the longest one that there is counts. */
function partsOf({ repository: { hosts } }: LoadedRepository, what: string): { host: Host; field: string } {
  const parts = what.split(".");
  for (let count = parts.length - 1; count > 0; count--) {
    const host = hosts.get(parts.slice(0, count).join("."));
    if (host) return { host, field: parts.slice(count).join(".") };
  }
  const near = nearest(parts[0] ?? "", [...hosts.keys()]);
  if (hosts.has(what))
    throw new Failure("invalid", `no field of a host: ${what}`, {
      reason: "Usage",
      hint: `name a field: stateward blame ${what}.targets`,
    });
  throw new Failure("invalid", `no host is called ${parts.slice(0, -1).join(".") || what}`, {
    reason: "UnknownHost",
    hint: near === null ? "stateward at now lists them; give HOST.FIELD" : `did you mean ${near}?`,
  });
}

async function blameOne({ git }: AuditSource, main: string, item: Explained): Promise<Blamed> {
  const { file, line } = item;
  if (file === null || line === null) return { ...item, commit: null, merge: null, pullRequest: null };
  const text = (await git.objects.need(`${main}:${file}`, "blob")).data.toString();
  const path = pathAt(parseYaml(file, text), line, item.field);
  const onMain = await giver(git, { range: [main, "--first-parent"], file }, path);
  const merged = onMain === null ? [] : await parentsOf(git, onMain.commit);
  // What a merge brought was said by a commit of its branch.
  const range = merged.length > 1 && onMain !== null ? [onMain.commit, `^${merged[0]}`, "--no-merges"] : null;
  const inside = range && onMain ? await giver(git, { range, file: onMain.file }, path) : null;
  const commits = await readMainCommits(
    git,
    [onMain, inside].flatMap((found) => found?.commit ?? []),
  );
  const outer = (onMain && commits.get(onMain.commit)) ?? null;
  const commit = (inside && commits.get(inside.commit)) ?? outer;
  const merge = commit === outer ? null : outer;
  return { ...item, commit, merge, pullRequest: outer?.pullRequest ?? commit?.pullRequest ?? null };
}

async function parentsOf(git: Git, commit: string): Promise<string[]> {
  return parentsIn((await git.objects.need(commit, "commit")).data.toString());
}

/** Where in a document a line is said: the key that the field ends with, where several stand on it. */
function pathAt(parsed: ParsedYaml, line: number, field: string): YamlPath {
  const found: YamlPath[] = [];
  const open: YamlPath[] = [[]];
  for (let at = open.shift(); at !== undefined; at = open.shift()) {
    const value = valueAt(parsed.value, at);
    if (at.length > 0 && parsed.locate(at, typeof at.at(-1) === "number" ? "value" : "key").line === line)
      found.push(at);
    if (typeof value !== "object" || value === null) continue;
    const keys = Array.isArray(value) ? [...value.keys()] : Object.keys(value);
    for (const key of keys) open.push([...at, key]);
  }
  const last = field.split(".").at(-1);
  return found.find((path) => path.at(-1) === last) ?? found[0] ?? [];
}

interface Given {
  readonly commit: string;
  /** Path of the file then. */
  readonly file: string;
}

/** The oldest commit since which the file has said the same at that path; versions that could not come into force are passed over. */
async function giver(
  git: Git,
  { range, file }: { readonly range: readonly string[]; readonly file: string },
  path: YamlPath,
): Promise<Given | null> {
  const literal = ["-c", "core.quotePath=false", "--literal-pathspecs"];
  const args = [...literal, "log", "--follow", "-M", "--name-status", "--no-color", "--no-ext-diff", "--format=%x1e%H"];
  const text = await git.run([...args, ...range, "--", file], { timeoutMs: 600_000 });
  const versions = text.split("\x1e").flatMap((chunk): Given[] => {
    const [commit = "", , change = ""] = chunk.trim().split("\n");
    const then = change.split("\t").at(-1) ?? "";
    return commit === "" ? [] : [{ commit, file: then === "" || change.startsWith("D") ? file : unquoted(then) }];
  });
  let given: Given | null = null;
  let value: unknown;
  for (const found of versions) {
    const id = await git.resolve(`${found.commit}:${found.file}`);
    const [document] =
      id === null ? [] : await readDocuments(git, new DocumentCache(null, version), [{ path: found.file, id }]);
    const parsed = document?.parsed;
    if (parsed && !("value" in parsed)) continue;
    const then = parsed && valueAt(parsed.value, path);
    if (given === null) value = then;
    else if (!same(then, value)) break;
    given = found;
  }
  return given;
}

/** Git puts odd names in quotes; state files that have one are refused. */
function unquoted(path: string): string {
  return path.startsWith('"') ? path.slice(1, -1) : path;
}

function printBlamed({ field, value, file, line, why, commit, merge, pullRequest }: Blamed): void {
  print(`${paint("bold", field)}: ${value}  ${paint("dim", `${placeText({ file, line })} (${why})`)}`);
  if (commit === null) {
    print("    no file says it");
    return;
  }
  const request = pullRequest === null ? "" : `, pull request #${pullRequest}`;
  print(
    `    ${paint("yellow", commit.commit.slice(0, 8))} ${commit.at.slice(0, 19).replace("T", " ")} ${commit.author}${request}`,
  );
  print(`    ${commit.subject}`);
  if (merge !== null) print(paint("dim", `    merged as ${merge.commit.slice(0, 8)} by ${merge.author}`));
}
