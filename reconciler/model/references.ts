// Checks across the files of a repository: everything that one file says about another, and every expression.

import { findPath } from "./graph.ts";
import type { GuardCompiler } from "./guard.ts";
import { staticValues } from "./guard-values.ts";
import { explainNoPath } from "./machine.ts";
import { errorAt, nearest, type Problem, type ProblemCode } from "./problem.ts";
import type { Entry, Locate } from "./repository.ts";
import {
  argumentsOf,
  checkTemplate,
  expressionsOf,
  readsHostAlone,
  renderAction,
  renderTemplate,
  runsOnHost,
  templatesOf,
} from "./template.ts";
import type { Action, Host, Machine, Repository, Subject, Template } from "./types.ts";
import type { ParsedYaml, YamlPath } from "./yaml.ts";

/** All problems between files, in no particular order. */
export function checkReferences(
  entries: Iterable<Entry>,
  repository: Repository,
  { guards, locate }: { readonly guards: GuardCompiler; readonly locate: Locate },
): Problem[] {
  const problems: Problem[] = [];
  const addresses = new Map<string, string>();
  for (const entry of entries) {
    if (entry.kind === "machine") problems.push(...checkExpressions(entry, guards), ...checkNames(entry, repository));
    if (entry.kind === "settings") problems.push(...checkFleet(entry.parsed, repository, guards));
    if (entry.kind === "host") {
      const check = new SubjectCheck(() => locate(entry), repository, guards);
      problems.push(...check.host(entry.host, addresses));
    }
    if (entry.kind === "group") {
      const check = new SubjectCheck(() => entry.parsed, repository, guards);
      problems.push(...check.targets(entry.group));
      if (entry.group.select !== null)
        problems.push(...checkBoolean(entry.parsed, ["select"], entry.group.select, guards));
      const { rollout } = entry.parsed.value as { rollout?: { order?: string[] } };
      problems.push(...checkOrder(entry.parsed, { order: rollout?.order ?? [] }, repository));
      problems.push(...checkOpposite(entry.parsed, entry.group.name, repository));
    }
  }
  return problems;
}

function report(
  parsed: ParsedYaml,
  path: YamlPath,
  code: ProblemCode,
  ...texts: [message: string, remedy: string]
): Problem {
  return errorAt(parsed.locate(path), code, ...texts);
}

type MachineEntry = Extract<Entry, { kind: "machine" }>;

/** Every guard and template of a machine, once for each place in the file, though an entry stands for several transitions. */
function checkExpressions(entry: MachineEntry, guards: GuardCompiler): Problem[] {
  const { machine, parsed, entryPath } = entry;
  const problems: Problem[] = [];
  const seen = new Set<string>();
  for (const transition of machine.transitions) {
    const path = entryPath(transition);
    if (seen.has(path.join("/"))) continue;
    seen.add(path.join("/"));
    if (transition.when !== null) problems.push(...checkBoolean(parsed, [...path, "when"], transition.when, guards));
    for (const [index, step] of transition.steps.entries())
      problems.push(...checkAction(parsed, [...path, "steps", index], step.action, guards));
  }
  for (const state of machine.states.values()) {
    if (state.check) problems.push(...checkAction(parsed, ["states", state.name, "check"], state.check.action, guards));
  }
  for (const [index, { when, steps }] of machine.remedies.entries()) {
    problems.push(...checkBoolean(parsed, ["remedies", index, "when"], when, guards));
    for (const [at, step] of steps.entries())
      problems.push(...checkAction(parsed, ["remedies", index, "steps", at], step.action, guards));
  }
  for (const rung of ["reboot", "replace"] as const) {
    for (const [at, step] of machine.recovery[rung].entries())
      problems.push(...checkAction(parsed, ["recovery", rung, at], step.action, guards));
  }
  return problems;
}

/** Names in a machine of what stands elsewhere: groups and machines of barriers, governors. */
function checkNames({ machine, parsed, entryPath }: MachineEntry, repository: Repository): Problem[] {
  const problems: Problem[] = [];
  for (const { name, barrier } of machine.states.values()) {
    if (barrier === null) continue;
    const path = ["states", name, "barrier"];
    const other = repository.machines.get(barrier.machine);
    if (!repository.groups.has(barrier.group))
      problems.push(missing(parsed, [...path, "group"], "SW211", ["group", barrier.group, repository.groups]));
    if (!other)
      problems.push(missing(parsed, [...path, "machine"], "SW203", ["machine", barrier.machine, repository.machines]));
    for (const state of barrier.states) {
      if (!other || other.states.has(state)) continue;
      const near = nearest(state, [...other.states.keys()]);
      const remedy = near === null ? `states: ${[...other.states.keys()].join(", ")}` : `did you mean ${near}?`;
      problems.push(report(parsed, [...path, "state"], "SW204", `${other.name} has no state ${state}`, remedy));
    }
  }
  const seen = new Set<string>();
  for (const transition of machine.transitions) {
    for (const governor of transition.governors) {
      const path = [...entryPath(transition), "governors"];
      if (repository.settings.governors.has(governor) || seen.has(path.join("/") + governor)) continue;
      seen.add(path.join("/") + governor);
      problems.push(missing(parsed, path, "SW212", ["governor", governor, repository.settings.governors]));
    }
  }
  return problems;
}

function missing(
  parsed: ParsedYaml,
  path: YamlPath,
  code: ProblemCode,
  ...[[what, name, known]]: [[what: string, name: string, known: ReadonlyMap<string, unknown>]]
): Problem {
  const near = nearest(name, [...known.keys()]);
  return report(parsed, path, code, `no ${what} is called ${name}`, near === null ? "add it" : `did you mean ${near}?`);
}

/** What stateward.yaml says about hosts: selectors of windows, regions in order. */
function checkFleet(parsed: ParsedYaml, repository: Repository, guards: GuardCompiler): Problem[] {
  const { windows = [] } = (parsed.value ?? {}) as { windows?: { select?: string }[] };
  const selectors = windows.flatMap(({ select }, index) =>
    select === undefined ? [] : checkBoolean(parsed, ["windows", index, "select"], select, guards),
  );
  return [...selectors, ...checkOrder(parsed, repository.settings.rollout, repository)];
}

/** Two groups that share a host and name regions in opposite orders would wait for each other for ever. */
function checkOpposite(parsed: ParsedYaml, name: string, { groups }: Repository): Problem[] {
  const own = groups.get(name);
  const order = own?.rollout?.order ?? [];
  if (own === undefined || order.length < 2) return [];
  return [...groups.values()].flatMap((other) => {
    const places = order.map((region) => other.rollout?.order.indexOf(region) ?? -1).filter((at) => at >= 0);
    const isOpposite = places.some((at, index) => index > 0 && at < (places[index - 1] ?? 0));
    if (other.name >= name || !isOpposite || !own.members.some((member) => other.members.includes(member))) return [];
    const message = `${other.name} shares hosts with ${name}, and names the regions in another order`;
    return [report(parsed, ["rollout", "order"], "SW213", message, "give both the same order")];
  });
}

function checkOrder(parsed: ParsedYaml, { order }: { order: readonly string[] }, repository: Repository): Problem[] {
  const { regions } = repository.settings;
  if (regions === null) return [];
  return order.flatMap((region, index) => {
    if (regions.includes(region)) return [];
    const near = nearest(region, regions);
    const remedy = near === null ? `regions: ${regions.join(", ")}` : `did you mean ${near}?`;
    const message = `stateward.yaml lists no region ${region}`;
    return [report(parsed, ["rollout", "order", index], "SW206", message, remedy)];
  });
}

function checkAction(parsed: ParsedYaml, path: YamlPath, action: Action, guards: GuardCompiler): Problem[] {
  return [...checkTemplates(parsed, path, templatesOf(action), guards), ...checkSecrets(parsed, path, action, guards)];
}

/** A2: every account of a host can read the arguments of its programs, and paths are such arguments as well. */
function checkSecrets(parsed: ParsedYaml, path: YamlPath, action: Action, guards: GuardCompiler): Problem[] {
  return argumentsOf(action)
    .flatMap(expressionsOf)
    .flatMap((expression) => {
      const compiled = guards.compile(expression);
      const [secret] = "guard" in compiled ? compiled.guard.reads.secrets : [];
      if (secret === undefined) return [];
      const message = `\${${expression}} would stand in a list of arguments, and ${secret} is the name of a secret`;
      return [
        report(
          parsed,
          path,
          "SW404",
          message,
          'pass it in env, and use it in a script as "$NAME"; or write it to a file',
        ),
      ];
    });
}

function checkTemplates(
  parsed: ParsedYaml,
  path: YamlPath,
  templates: readonly Template[],
  guards: GuardCompiler,
): Problem[] {
  return templates.flatMap((template) =>
    checkTemplate(template, guards).map((error) =>
      report(parsed, path, "SW401", error, "mend the expression between ${ and }"),
    ),
  );
}

function checkBoolean(parsed: ParsedYaml, path: YamlPath, text: string, guards: GuardCompiler): Problem[] {
  const compiled = guards.compile(text);
  if ("error" in compiled) {
    const remedy = compiled.nesting
      ? "select the hosts with a group, and loop over that"
      : "known: host, report, record, group.NAME, hosts, now, updates";
    return [report(parsed, path, compiled.nesting ? "SW403" : "SW401", compiled.error, remedy)];
  }
  return compiled.guard.type === "bool"
    ? []
    : [report(parsed, path, "SW402", `the expression yields ${compiled.guard.type}`, "compare it with something")];
}

/** What no two hosts may share; null for a host without an address. */
export function addressKey({ address, transport, ssh }: Host): string | null {
  return address === null ? null : `${address.toLowerCase()} ${transport === "ssh" ? ssh.port : ""}`;
}

/** Checks of one host or group against the rest of the repository. */
class SubjectCheck {
  private readonly source: () => ParsedYaml;
  private readonly repository: Repository;
  private readonly guards: GuardCompiler;

  constructor(source: () => ParsedYaml, repository: Repository, guards: GuardCompiler) {
    this.source = source;
    this.repository = repository;
    this.guards = guards;
  }

  host(host: Host, addresses: Map<string, string>): Problem[] {
    return [...this.targets(host), ...this.region(host), ...this.address(host, addresses), ...this.steps(host)];
  }

  targets(subject: Subject): Problem[] {
    const problems: Problem[] = [];
    for (const [name, target] of subject.machines) {
      const machine = this.repository.machines.get(name);
      const path = target === null ? ["machines"] : ["targets", name];
      if (!machine) {
        const near = nearest(name, [...this.repository.machines.keys()]);
        const remedy = near === null ? "add it under machines/" : `did you mean ${near}?`;
        problems.push(report(this.source(), path, "SW203", `no machine is called ${name}`, remedy));
      } else if (target !== null) problems.push(...this.target(machine, target, path));
    }
    return problems;
  }

  private target(machine: Machine, target: string, path: YamlPath): Problem[] {
    const state = machine.states.get(target);
    if (!state) {
      const near = nearest(target, [...machine.states.keys()]);
      const remedy = near === null ? `states: ${[...machine.states.keys()].join(", ")}` : `did you mean ${near}?`;
      return [report(this.source(), path, "SW204", `${machine.name} has no state ${target}`, remedy)];
    }
    if (state.transient)
      return [
        report(this.source(), path, "SW209", `${target} is only passed through`, "choose a state that follows it"),
      ];
    if (findPath(machine, machine.initial, target) !== null) return [];
    return [
      report(
        this.source(),
        path,
        "SW205",
        explainNoPath(machine, machine.initial, target),
        "add an entry to the machine that leads there",
      ),
    ];
  }

  private region(host: Host): Problem[] {
    const { regions } = this.repository.settings;
    if (host.region === null || regions === null || regions.includes(host.region)) return [];
    const near = nearest(host.region, regions);
    return [
      report(
        this.source(),
        ["region"],
        "SW206",
        `stateward.yaml lists no region ${host.region}`,
        near === null ? `regions: ${regions.join(", ")}` : `did you mean ${near}?`,
      ),
    ];
  }

  private address(host: Host, addresses: Map<string, string>): Problem[] {
    if (host.address === null) {
      if (host.transport !== "ssh") return [];
      return [
        report(
          this.source(),
          ["host"],
          "SW106",
          "a host reached over ssh needs an address",
          "add address, or choose another transport",
        ),
      ];
    }
    if (host.transport === "ssh" && /^[^:]+:\d+$/.test(host.address)) {
      return [
        report(
          this.source(),
          ["address"],
          "SW105",
          "an address for ssh has no port",
          "put the port into ssh: { port: N }",
        ),
      ];
    }
    const key = addressKey(host) ?? "";
    const other = addresses.get(key);
    addresses.set(key, other ?? host.name);
    if (other === undefined || other === host.name) return [];
    return [
      report(
        this.source(),
        ["address"],
        "SW202",
        `${other} has the address ${host.address} too`,
        "give each host its own",
      ),
    ];
  }

  /** Fills in, for this host, every template that needs nothing but the host: so a missing value is found before the night. */
  private steps(host: Host): Problem[] {
    const problems: Problem[] = [];
    for (const [name, target] of host.machines) {
      const machine = this.repository.machines.get(name);
      if (!machine) continue;
      const path = target === null ? ["machines"] : ["targets", name];
      const failed = new Set<string>();
      const { transitions, remedies, recovery } = machine;
      const repairs = [...remedies.flatMap(({ steps }) => steps), ...recovery.reboot, ...recovery.replace];
      for (const step of new Set([...transitions.flatMap(({ steps }) => steps), ...repairs])) {
        if (host.transport === "agent" && runsOnHost(step))
          failed.add(`transport|the step "${step.title}" needs ssh or local`);
        for (const error of this.unfilled(host, step.action)) failed.add(`template|${step.title}: ${error}`);
      }
      for (const failure of failed) {
        const [what, message = ""] = failure.split(/\|(.*)/s);
        problems.push(
          what === "transport"
            ? report(this.source(), path, "SW208", message, "an agent reports and waits; it runs no steps of ours")
            : report(this.source(), path, "SW207", message, "add the value to the host's vars or labels"),
        );
      }
    }
    return problems;
  }

  private unfilled(host: Host, action: Action): string[] {
    const values = staticValues(host);
    const templates = templatesOf(action).filter((template) => this.isStatic(template));
    const errors = templates.flatMap((template) => {
      const result = renderTemplate(template, this.guards, values);
      return result.ok ? [] : [result.error];
    });
    if (errors.length > 0 || templates.length < templatesOf(action).length) return errors;
    const whole = renderAction(action, this.guards, values);
    return whole.ok ? [] : [whole.error];
  }

  /** True for a template that can be filled in from the host's file alone. */
  private isStatic(template: Template): boolean {
    return expressionsOf(template).every((expression) => {
      const compiled = this.guards.compile(expression);
      return "guard" in compiled && readsHostAlone(compiled.guard.reads);
    });
  }
}
