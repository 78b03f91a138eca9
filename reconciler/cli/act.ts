// Commands that change something: replay, retry, skip, token, import, outage.
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { stringify } from "yaml";
import { killProcessesOf } from "../adapters/transport.ts";
import { Failure } from "../model/failure.ts";
import { emptyRecord } from "../model/record.ts";
import { namePattern } from "../model/schemas.ts";
import { importStateService } from "../model/stateservice.ts";
import { forecast, recordedWorld } from "../plan/forecast.ts";
import { replayAgain } from "../plan/observe.ts";
import { subjectOf } from "../plan/world.ts";
import { exists } from "../record/disk.ts";
import { readStateFolder } from "../record/origin.ts";
import { issueToken, loadTokenKey } from "../server/tokens.ts";
import { needApi } from "./api.ts";
import { type ByOptions, nameOf } from "./coordinate.ts";
import { createLoader } from "./loader.ts";
import { print, printJson } from "./output.ts";
import { readRemote } from "./recorded.ts";
import { unknown } from "./unknown-subject.ts";
import { localRoot } from "./wire.ts";
import { type GlobalOptions, openWorkspace, tokenKeyFile } from "./workspace.ts";

export interface ReplayOptions extends ByOptions {
  readonly dryRun?: boolean;
}

/** stateward replay HOST: from the initial states along what was applied. With `--dry-run` only says how. */
export async function replay(options: ReplayOptions, name: string): Promise<number> {
  const workspace = openWorkspace(options);
  if (!options.dryRun) {
    await (await needApi(workspace)).post(`/v1/hosts/${encodeURIComponent(name)}/replays`, { by: nameOf(options) });
    print(`${name} is being replayed; follow it with: stateward status ${name}`);
    return 0;
  }
  const { world } = await readRemote(workspace);
  if (!subjectOf(world, name)) throw unknown(name);
  const record = replayAgain(world, world.records.get(name) ?? emptyRecord("host", name));
  const replayed = recordedWorld({ ...world, records: new Map([...world.records, [name, record]]) });
  const forecasts = forecast(replayed, [name]);
  if (options.json) printJson(forecasts);
  else {
    for (const { machine, state, path, target, verdict, message } of forecasts) {
      const way = [state, ...path.map(({ to }) => to)].join(" -> ");
      print(
        `${name}  ${machine}: ${way}${target === null ? "" : `  (target ${target})`}${verdict === "move" ? "" : `  ${verdict}: ${message}`}`,
      );
    }
    print("nothing was changed: --dry-run");
  }
  return 0;
}

export interface VerdictOptions extends ByOptions {
  readonly machine?: string;
}

/** stateward retry / skip HOST: a person's word on what is stalled. */
export async function verdict(options: VerdictOptions, word: "retry" | "skip", name: string): Promise<number> {
  const api = await needApi(openWorkspace(options));
  await api.post(`/v1/hosts/${encodeURIComponent(name)}/verdicts`, {
    word,
    by: nameOf(options),
    ...(options.machine ? { machine: options.machine } : {}),
  });
  print(`${name}: ${word} is recorded; follow it with: stateward status ${name}`);
  return 0;
}

export interface TokenOptions extends GlobalOptions {
  readonly operator?: boolean;
}

/** stateward token HOST: a bearer token on standard output, and nothing else there. */
export async function token(options: TokenOptions, name: string | null): Promise<number> {
  if ((name === null) === !options.operator)
    throw new Failure("invalid", "give either the name of a host or group, or --operator", {
      reason: "Usage",
      hint: "stateward token HOST",
    });
  if (name !== null && !new RegExp(namePattern).test(name))
    throw new Failure("invalid", `not a host's name: ${name}`, { reason: "BadName" });
  const workspace = openWorkspace(options);
  const text = issueToken(
    await loadTokenKey(tokenKeyFile(workspace)),
    name === null ? { kind: "operator" } : { kind: "subject", name },
  );
  if (name !== null) await warnIfUnknown(workspace.folder, name);
  if (options.json) printJson({ subject: name ?? "operator", token: text });
  else print(text);
  return 0;
}

async function warnIfUnknown(folder: string, name: string): Promise<void> {
  const { hosts, groups } = createLoader().load(await readStateFolder(folder)).repository;
  if (!hosts.has(name) && !groups.has(name))
    process.stderr.write(`warning: no host or group is called ${name} in this folder\n`);
}

export interface ImportOptions extends GlobalOptions {
  readonly name?: string;
  readonly offset: string;
  readonly dryRun?: boolean;
}

/** stateward import stateservice FILE: writes a machine and the group that shares it. */
export async function importCommand(options: ImportOptions, format: string, file: string): Promise<number> {
  if (format !== "stateservice")
    throw new Failure("invalid", `unknown format ${format}`, {
      reason: "Usage",
      hint: "stateward import stateservice FILE",
    });
  if (!/^(Z|[+-]\d\d:\d\d)$/.test(options.offset))
    throw new Failure("invalid", `not an offset: ${options.offset}`, { reason: "Usage", hint: "Z, or such as +02:00" });
  const name =
    options.name ??
    basename(file)
      .replace(/\.ya?ml$/, "")
      .toLowerCase()
      .replaceAll(/[^a-z0-9-]+/g, "-");
  if (!new RegExp(namePattern).test(name))
    throw new Failure("invalid", `not a machine's name: ${name}`, { reason: "BadName", hint: "give one with --name" });
  const text = await readFile(file, "utf8").catch((cause: unknown) => {
    throw new Failure("invalid", `cannot read ${file}`, { reason: "NoFile", cause });
  });
  const { machine, group } = importStateService(file, text, { name, offset: options.offset });
  const { folder } = openWorkspace(options);
  const outputs = [
    { path: join("machines", `${name}.yaml`), text: stringify(machine) },
    { path: join("hosts", `${String(group.group)}.yaml`), text: stringify(group) },
  ];
  for (const { path } of outputs) {
    if (!options.dryRun && (await exists(join(folder, path))))
      throw new Failure("invalid", `${path} exists already`, {
        reason: "Exists",
        hint: "remove it, or import under another name with --name",
      });
  }
  for (const { path, text: content } of outputs) {
    if (options.dryRun) print(`# ${path}\n${content}`);
    else {
      await mkdir(join(folder, path, ".."), { recursive: true });
      await writeFile(join(folder, path), content);
      print(`wrote ${path}`);
    }
  }
  if (!options.dryRun)
    print(
      `programs written for StateService send no token: to let them in, set http.state_access: open in stateward.yaml`,
    );
  return 0;
}

export interface OutageOptions extends GlobalOptions {
  readonly region: string;
  readonly yes?: boolean;
}

/** stateward outage: destroys the local hosts of a region, as the loss of a data centre would. Nothing but local hosts is touched. */
export async function outage(options: OutageOptions): Promise<number> {
  const workspace = openWorkspace(options);
  const { repository } = createLoader().load(await readStateFolder(workspace.folder));
  const hosts = [...repository.hosts.values()].filter(
    ({ region, transport }) => region === options.region && transport === "local",
  );
  if (hosts.length === 0)
    throw new Failure("invalid", `no local host is in the region ${options.region}`, {
      reason: "NothingToDo",
      hint: "an outage is played on hosts with transport local alone",
    });
  for (const { name } of hosts) {
    const folder = join(localRoot(workspace, repository.settings.local.root), name);
    if (!options.yes) {
      print(`would kill the processes of ${name} and wipe ${folder}`);
      continue;
    }
    let killed = await killProcessesOf(folder);
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    // A process that was starting while the folder went away goes with it.
    killed += await killProcessesOf(folder);
    print(`${name}: ${killed} processes killed, ${folder} wiped`);
  }
  if (!options.yes) print("nothing was changed: give --yes");
  return 0;
}
