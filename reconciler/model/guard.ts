// Guards and selectors: CEL expressions, type-checked when a file is checked, evaluated on plain values.
import { type ASTNode, Environment, type ParseResult } from "@marcbachmann/cel-js";
import { addedLoops, registerLoops } from "./guard-macros.ts";
import { registerMatches, useOwnMatches } from "./guard-matches.ts";
import { Members } from "./members.ts";
import { isSecretName, Secrets, secretsIn } from "./secrets.ts";
import { type Quantifier, Verdicts } from "./verdicts.ts";

/** A host as an expression sees it. Missing values are absent keys, never empty ones, so that reading them fails (B4). */
export class CelHost {
  readonly name: string;
  readonly region: string;
  readonly address: string;
  readonly owner: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly vars: Readonly<Record<string, string>>;
  /**
   * Machine: state, of the machines that are not on their way between two. Undefined where nothing is known of the host now: then what
   * is asked of it cannot be evaluated, also whether a machine is not in a state.
   */
  readonly states: Readonly<Record<string, string>> | undefined;
  /** When the host was last heard of; undefined where its last answer is none. */
  readonly reported: Date | undefined;

  constructor(fields: Omit<CelHost, never>) {
    this.name = fields.name;
    this.region = fields.region;
    this.address = fields.address;
    this.owner = fields.owner;
    this.labels = fields.labels;
    this.vars = fields.vars;
    this.states = fields.states;
    this.reported = fields.reported;
  }
}

/** The last report of the host that a guard is about. */
export class CelReport {
  readonly facts: Readonly<Record<string, string>>;
  constructor(facts: Readonly<Record<string, string>>) {
    this.facts = facts;
  }
}

/** The record of the machine that a guard is about. */
export class CelRecord {
  readonly state: string;
  readonly since: Date;
  constructor(state: string, since: Date) {
    this.state = state;
    this.since = since;
  }
}

/**
 * Values that a guard may read. A group without members is absent, so a guard over it cannot be evaluated (B4). Whoever gives the same
 * array for a group a second time says that nothing in it has changed, unless `Members` keeps it and says what has.
 */
export interface GuardValues {
  readonly host: CelHost;
  readonly report: CelReport;
  readonly record: CelRecord;
  readonly group: (name: string) => readonly CelHost[] | undefined;
  readonly hosts: () => readonly CelHost[];
  readonly now: Date;
  readonly updates: number;
}

/** What an expression reads: so that the engine wakes a waiting host when, and only when, one of these changed. */
export interface GuardReads {
  readonly groups: ReadonlySet<string>;
  readonly hosts: boolean;
  /** True also when it reads when a host reported: a report that says nothing new wakes nobody, so time has to. */
  readonly now: boolean;
  readonly updates: boolean;
  /** True when it reads the report, the record, the states of a host or when it reported: what changes while a host lives. */
  readonly live: boolean;
  /** Names of secrets among the vars, labels and facts that it reads by name (A2). */
  readonly secrets: ReadonlySet<string>;
}

/** An expression that passed its check. */
export interface Guard {
  readonly text: string;
  readonly type: string;
  readonly reads: GuardReads;
  readonly evaluate: (values: GuardValues) => GuardResult;
}

/** `value` is what the expression yields; `error` says why it could not be evaluated. */
export type GuardResult =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly error: string };

export type CompileResult = { readonly guard: Guard } | { readonly error: string; readonly nesting: boolean };

/** Loops over hosts that may stand inside one another: each multiplies the work by the number of hosts. */
const nestingMax = 2;
const loops = new Set<string>(["all", "exists", "exists_one", "map", "filter", ...addedLoops]);

/** Compiles expressions for a repository with the given groups; keeps what it compiled by text. */
export class GuardCompiler {
  private readonly environment: Environment;
  private readonly groupsType: new () => object;
  private readonly compiled = new Map<string, CompileResult>();

  constructor(groupNames: readonly string[]) {
    // oxlint-disable-next-line typescript/no-extraneous-class -- CEL tells types by their constructors
    this.groupsType = class Groups {};
    const strings = "map<string,string>";
    const host = {
      name: "string",
      region: "string",
      address: "string",
      owner: "string",
      labels: strings,
      vars: strings,
      states: strings,
      reported: "google.protobuf.Timestamp",
    };
    this.environment = registerMatches(registerLoops(new Environment({ limits: { maxDepth: 32, maxAstNodes: 500 } })))
      .registerType("Host", { ctor: CelHost, fields: host })
      .registerType("Report", { ctor: CelReport, fields: { facts: strings } })
      .registerType("Record", { ctor: CelRecord, fields: { state: "string", since: "google.protobuf.Timestamp" } })
      .registerType("Groups", {
        ctor: this.groupsType,
        fields: Object.fromEntries(groupNames.map((name) => [name, "list<Host>"])),
      })
      .registerVariable("host", "Host")
      .registerVariable("report", "Report")
      .registerVariable("record", "Record")
      .registerVariable("group", "Groups")
      .registerVariable("hosts", "list<Host>")
      .registerVariable("now", "google.protobuf.Timestamp")
      .registerVariable("updates", "int");
  }

  /** The checked expression, or why there is none. Never throws. */
  compile(text: string): CompileResult {
    const known = this.compiled.get(text);
    if (known) return known;
    const result = this.build(text);
    this.compiled.set(text, result);
    return result;
  }

  private build(text: string): CompileResult {
    let parsed: ParseResult;
    try {
      parsed = this.environment.parse(text);
    } catch (error) {
      return { error: summary(error), nesting: false };
    }
    const wrong = useOwnMatches(parsed.ast);
    if (wrong !== null) return { error: wrong, nesting: false };
    const checked = parsed.check();
    if (!checked.valid) return { error: summary(checked.error), nesting: false };
    if (loopDepth(parsed.ast) > nestingMax) {
      return { error: `loops over hosts are nested more than ${nestingMax} deep`, nesting: true };
    }
    const division = divisionBesideCount(parsed.ast);
    if (division !== null) {
      const why = `${division} divides whole numbers and drops the rest`;
      return {
        error: `${why}: instead of comparing a count with it, ask quorum(h, ..., "${division}")`,
        nesting: false,
      };
    }
    const { reads, group } = readsOf(parsed.ast);
    const evaluate: Guard["evaluate"] = (values) => this.evaluate(parsed, reads, values);
    const guard = { text, type: String(checked.type), reads };
    if (group === null) return { guard: { ...guard, evaluate } };
    return { guard: { ...guard, evaluate: rememberedFor(group, evaluate, quantifierOf(parsed.ast)) } };
  }

  private evaluate(parsed: ParseResult, reads: GuardReads, values: GuardValues): GuardResult {
    const groups: Record<string, unknown> = new this.groupsType() as Record<string, unknown>;
    for (const name of reads.groups) {
      const members = values.group(name);
      if (members !== undefined && members.length > 0) groups[name] = members;
    }
    const { host, report, record, now } = values;
    const hosts = reads.hosts ? values.hosts() : [];
    // What cannot be evaluated is an error a host, and where it was thrown is of no use to anybody: looking that up takes most of the time.
    const depth = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    try {
      return {
        ok: true,
        value: parsed({ host, report, record, now, group: groups, hosts, updates: BigInt(values.updates) }),
      };
    } catch (error) {
      // CEL's errors quote values (A2).
      return { ok: false, error: new Secrets(secretsIn(host.vars)).hide(summary(error)) };
    } finally {
      Error.stackTraceLimit = depth;
    }
  }
}

function summary(error: unknown): string {
  if (error instanceof Error && "summary" in error && typeof error.summary === "string") return error.summary;
  return error instanceof Error ? (error.message.split("\n")[0] ?? error.name) : String(error);
}

/** The nodes directly under a node. */
function children(node: ASTNode): ASTNode[] {
  const found: ASTNode[] = [];
  const visit = (value: unknown): void => {
    if (Array.isArray(value)) for (const item of value) visit(item);
    else if (typeof value === "object" && value !== null && "op" in value) found.push(value as ASTNode);
  };
  visit(node.args);
  return found;
}

function loopDepth(node: ASTNode): number {
  const inner = Math.max(0, ...children(node).map(loopDepth));
  return node.op === "rcall" && loops.has(node.args[0]) ? inner + 1 : inner;
}

const comparisons = new Set<string>(["==", "!=", "<", "<=", ">", ">="]);

/** A division of two whole numbers in a comparison with a number of hosts, such as `2/3`, which is 0; null where there is none. */
function divisionBesideCount(root: ASTNode): string | null {
  const nodes = [...nodesOf(root)];
  for (const node of nodes) {
    if (!comparisons.has(node.op)) continue;
    const parts = [...nodesOf(node)];
    if (!parts.some(({ op, args }) => (op === "rcall" || op === "call") && ["count", "size"].includes(args[0])))
      continue;
    for (const { op, args } of parts) {
      if (op !== "/") continue;
      const [left, right] = args.map((side) =>
        side.op === "value" && typeof side.args === "bigint" ? side.args : null,
      );
      if (left != null && right != null) return `${left}/${right}`;
    }
  }
  return null;
}

function* nodesOf(node: ASTNode): Generator<ASTNode> {
  yield node;
  for (const next of children(node)) yield* nodesOf(next);
}

/** What an expression reads; `group` where that is the members of one group and nothing else. */
function readsOf(root: ASTNode): { reads: GuardReads; group: string | null } {
  const groups = new Set<string>();
  const names = new Set<string>();
  const fields = new Set<string>();
  const secrets = new Set<string>();
  for (const node of nodesOf(root)) {
    if (node.op === "id") names.add(node.args);
    const field = fieldOf(node);
    if (field === null) continue;
    fields.add(field.name);
    const of = field.of.op === "id" ? field.of.args : fieldOf(field.of)?.name;
    if (["vars", "labels", "facts"].includes(of ?? "") && isSecretName(field.name)) secrets.add(field.name);
    if (field.of.op === "id" && field.of.args === "group") groups.add(field.name);
  }
  const live = ["report", "record"].some((name) => names.has(name)) || fields.has("states") || fields.has("reported");
  const now = names.has("now") || fields.has("reported");
  const reads = { groups, hosts: names.has("hosts"), now, updates: names.has("updates"), live, secrets };
  const others = ["host", "report", "record", "hosts", "now", "updates"].some((name) => names.has(name));
  const [group = null] = groups;
  return { reads, group: groups.size === 1 && !others ? group : null };
}

/** `a.name` or `a["name"]`. */
function fieldOf(node: ASTNode): { of: ASTNode; name: string } | null {
  if (node.op === ".") return { of: node.args[0], name: node.args[1] };
  if (node.op !== "[]") return null;
  const [of, key] = node.args;
  return key.op === "value" && typeof key.args === "string" ? { of, name: key.args } : null;
}

/** Evaluates once for each list of the group's members, whoever asks: what many hosts wait for is worked out once. */
function rememberedFor(group: string, evaluate: Guard["evaluate"], quantifier: Quantifier | null): Guard["evaluate"] {
  const known = new WeakMap<readonly CelHost[], Remembered>();
  return (values) => {
    const list = values.group(group);
    if (list === undefined) return evaluate(values);
    const over = (some: readonly CelHost[]): GuardResult => evaluate({ ...values, group: () => some });
    const members = Members.of(list);
    const version = members?.version ?? 0;
    let remembered = known.get(list);
    if (remembered !== undefined && remembered.version === version) return remembered.result;
    const isKept = members !== undefined && quantifier !== null && list.length > 0;
    const tally = isKept ? (remembered?.tally ?? new Verdicts(members, quantifier)) : null;
    remembered = { version, tally, result: tally?.result(over) ?? over(list) };
    known.set(list, remembered);
    return remembered.result;
  };
}

interface Remembered {
  readonly version: number;
  readonly result: GuardResult;
  /** What it is for each host alone, where the whole follows from that. */
  readonly tally: Verdicts | null;
}

/** The quantifier that an expression consists of, where what it asks of one host is about no other; null for any other expression. */
function quantifierOf(root: ASTNode): Quantifier | null {
  if (root.op !== "rcall" || (root.args[0] !== "all" && root.args[0] !== "exists")) return null;
  if (fieldOf(root.args[1])?.of.op !== "id") return null;
  let groups = 0;
  for (const node of nodesOf(root)) if (node.op === "id" && node.args === "group") groups++;
  return groups === 1 ? root.args[0] : null;
}
