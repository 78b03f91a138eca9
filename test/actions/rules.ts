// What must hold of every workflow and action that is written here, and that a linter for their syntax does not know.
import { isMap, isScalar, parseDocument, visit } from "yaml";

interface Step {
  readonly uses?: string;
  readonly run?: string;
  readonly with?: Readonly<Record<string, unknown>>;
}
interface Job {
  readonly permissions?: unknown;
  readonly steps?: readonly Step[];
}
interface Workflow {
  readonly on?: unknown;
  readonly permissions?: unknown;
  readonly jobs?: Readonly<Record<string, Job>>;
  readonly runs?: { readonly steps?: readonly Step[] };
}

/** What a job for a pull request may write. */
const writable: ReadonlySet<string> = new Set(["pull-requests", "checks"]);

/** Everything that is against the rules in one file, each as one sentence; empty where all is well. */
export function findingsIn(text: string): string[] {
  const workflow = parseDocument(text).toJS() as Workflow;
  const found = [...pinFindings(text), ...triggerFindings(workflow)];
  if (workflow.jobs !== undefined && workflow.permissions === undefined)
    found.push("the workflow leaves permissions to the repository's settings");
  if (writes(workflow.permissions).length > 0) found.push("permissions to write belong to a job");
  for (const [name, job] of Object.entries(workflow.jobs ?? {})) {
    const written = writes(job.permissions);
    if (job.permissions === undefined) found.push(`${name}: the job says no permissions`);
    for (const each of written) if (!writable.has(each)) found.push(`${name}: may write ${each}`);
    if (written.length > 0) found.push(...foreignCode(job).map((what) => `${name}: ${what}`));
  }
  const steps = [
    ...Object.values(workflow.jobs ?? {}).flatMap((job) => job.steps ?? []),
    ...(workflow.runs?.steps ?? []),
  ];
  return [...found, ...steps.flatMap(stepFindings)];
}

/** Actions of others by whole commits, with the version for people beside them: `owner/name@40 digits # v1.2.3`. */
function pinFindings(text: string): string[] {
  const found: string[] = [];
  visit(parseDocument(text), {
    Pair: (_key, { key, value }) => {
      if (!isScalar(key) || key.value !== "uses" || isMap(value) || !isScalar(value)) return;
      const uses = String(value.value);
      if (uses.startsWith("./")) return;
      if (!/^[\w.-]+\/[\w./-]+@[0-9a-f]{40}$/.test(uses)) found.push(`${uses} is not pinned to a whole commit`);
      else if (!/^ ?v\d+\.\d+\.\d+$/.test(value.comment ?? "")) found.push(`${uses} does not say its version`);
    },
  });
  return found;
}

/** These run with secrets and a token that may write, for a branch that anybody may have made. */
function triggerFindings({ on }: Workflow): string[] {
  const names =
    typeof on === "string" ? [on] : Array.isArray(on) ? (on as string[]) : Object.keys((on as object) ?? {});
  return names
    .filter((name) => ["pull_request_target", "workflow_run", "issue_comment"].includes(name))
    .map((name) => `it is triggered by ${name}`);
}

function writes(permissions: unknown): string[] {
  if (typeof permissions === "string") return permissions.includes("write") ? ["everything"] : [];
  return Object.entries((permissions ?? {}) as Record<string, string>).flatMap(([name, may]) =>
    may === "write" ? [name] : [],
  );
}

/** Where a job may write, no code comes from the branch: neither an action in its checkout nor a package's scripts. */
function foreignCode({ steps = [] }: Job): string[] {
  const fromBase = new Set(
    steps.flatMap((step) => {
      const { ref, path } = step.with ?? {};
      const isBase = ref === "${{ github.event.pull_request.base.sha }}" && typeof path === "string";
      return step.uses?.startsWith("actions/checkout@") && isBase ? [`./${path}`] : [];
    }),
  );
  return steps.flatMap(({ uses, run }) => {
    if (uses?.startsWith("./") && !fromBase.has(uses)) return [`runs ${uses} of the branch`];
    const hasOwnFolder = /^cd "\$RUNNER_TEMP/m.test(run ?? "");
    return run !== undefined && /\b(npm|npx|yarn|pnpm|make)\b/.test(run) && !hasOwnFolder
      ? ["runs a package of the branch"]
      : [];
  });
}

function stepFindings({ uses, run, with: inputs = {} }: Step): string[] {
  const found: string[] = [];
  const script = [run, inputs.script].filter((text) => typeof text === "string").join("\n");
  if (script.includes("${{")) found.push("an expression stands in the text of a script");
  if (uses?.startsWith("actions/checkout@") && inputs["persist-credentials"] !== false)
    found.push("a checkout leaves the token on the disk");
  if (/\bsecrets\./.test(JSON.stringify([run, inputs]))) found.push("a step is given a secret");
  return found;
}
