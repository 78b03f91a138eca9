// Plans pull requests for a reconciler: in a process of its own with a time limit, without its secrets. Whatever a branch says, the
// reconciler itself neither parses nor plays it.
import { fileURLToPath } from "node:url";
import { planReport } from "../forge/plan-report.ts";
import { Failure } from "../model/failure.ts";
import type { ChangePlanner } from "../model/forge.ts";
import type { RunProcess } from "../model/ports.ts";
import { printable } from "../model/printable.ts";
import type { Proposal } from "../model/proposal.ts";
import { type Hiding, withoutSecrets } from "./hidden.ts";
import type { PlannerOrder } from "./planner-main.ts";

export interface ChangePlannerOptions {
  readonly runProcess: RunProcess;
  /** Bare repository that has the commits. */
  readonly dir: string;
  /** Commit-ish of the record, such as a ref of the mirror; null where there is none. Asked at each plan. */
  readonly recordRef: () => Promise<string | null>;
  /** Folder for parsed documents. */
  readonly cache: string | null;
  /** A2: the reconciler's secrets are taken out of what a branch says. */
  readonly secrets: Hiding;
  readonly timeoutMs?: number;
}

const timeoutDefaultMs = 120_000;
const outputBytesMax = 400_000_000;
const plannerProgram: string = fileURLToPath(new URL(`./planner-main${import.meta.url.slice(-3)}`, import.meta.url));

/** `plan` rejects with a Failure when the commits are not there, or the plan does not end in time. */
export function createChangePlanner(options: ChangePlannerOptions): ChangePlanner {
  return {
    plan: async (base, head) => {
      const { dir, cache, secrets } = options;
      for (const commit of [base, head]) if (!/^[0-9a-f]{40}$/.test(commit)) throw notCommit(commit);
      const order: PlannerOrder = { folder: dir, cache, record: await options.recordRef(), base, head };
      return planReport(withoutSecrets(await run(options, order), secrets));
    },
  };
}

async function run(
  { runProcess, timeoutMs = timeoutDefaultMs }: ChangePlannerOptions,
  order: PlannerOrder,
): Promise<Proposal> {
  const { exit, timedOut, stdout, stderr } = await runProcess({
    argv: [process.execPath, ...process.execArgv, plannerProgram],
    env: bareEnvironment(),
    input: JSON.stringify(order),
    timeoutMs,
    outputBytesMax,
    endsWithUs: true,
  });
  if (exit === 0) return JSON.parse(stdout) as Proposal;
  const why = timedOut ? `it did not end within ${timeoutMs / 1000} s` : printable(stderr.trim().slice(-500));
  throw new Failure("transient", `the change cannot be planned: ${why}`, {
    reason: "PlanFailed",
    hint: `run stateward plan ${order.base.slice(0, 12)}..${order.head.slice(0, 12)} in a clone to see why`,
  });
}

/** What Git and Node need to run, and nothing that a secret could stand in. */
function bareEnvironment(): Record<string, string> {
  const names = ["PATH", "HOME", "TMPDIR", "NODE_OPTIONS"];
  return Object.fromEntries(
    names.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
  );
}

function notCommit(name: string): Failure {
  return new Failure("invalid", `not a commit: ${printable(name.slice(0, 60))}`, { reason: "UnknownRevision" });
}
