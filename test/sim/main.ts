// npm run sim: plays seeds in processes of their own, and says which promises did not hold. See `--help`.
import { randomBytes } from "node:crypto";
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { messageOf } from "../../reconciler/model/failure.ts";
import { Bundle, type Edit } from "./bundle.ts";
import { canaries } from "./canaries/list.ts";
import type { Answer, Seed } from "./orders.ts";
import { Run } from "./run-seeds.ts";
import { Workers } from "./workers.ts";

const help = `npm run sim -- [--seeds N] [--liveness] [--from TEXT] [--minutes M] [--jobs J] [--save] [--json]
npm run sim -- --seed NAME [--liveness] [--filter REGEXP] [--json]

Plays reconcilers, hosts, a remote and people from seeds, and judges what happened by the promises of the design.
The seeds of test/sim/seeds.txt come first, then fresh ones: safety and liveness runs in turns.

  --seeds N        so many fresh seeds (100); with --minutes, at least so many (1)
  --liveness       only runs that end all faults, and then have to come to rest
  --from TEXT      names of the fresh seeds begin like this: repeats a run
  --minutes M      goes on until then, and until there were enough seeds; Ctrl-C ends it earlier
  --jobs J         processes (one a core)
  --save           appends seeds that fail to test/sim/seeds.txt
  --seed NAME      plays one, and prints its history
  --filter REGEXP  only lines of it that match
  --plant NAME     plants a bug: one of test/sim/canaries/list.ts
  --json           figures and failures as JSON

Exit: 0 no violation, 1 a violation or fewer seeds than asked for, 2 wrong usage.`;

const options = {
  seeds: { type: "string" },
  liveness: { type: "boolean", default: false },
  from: { type: "string" },
  minutes: { type: "string" },
  jobs: { type: "string" },
  save: { type: "boolean", default: false },
  seed: { type: "string" },
  filter: { type: "string", default: "" },
  plant: { type: "string" },
  json: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
} as const;

function usage(message: string): never {
  process.stderr.write(`${message}\n\n${help}\n`);
  process.exit(2);
}

function parsed(): ReturnType<typeof parseArgs<{ options: typeof options }>>["values"] {
  try {
    return parseArgs({ options }).values;
  } catch (error) {
    return usage(messageOf(error));
  }
}

/** More processes than this serve nobody, and a slip of the finger is not to start thousands. */
const jobsMax = 64;
/** A timer takes no more: about 24 days. */
const timerMsMax = 2 ** 31 - 1;

function count(name: string, text: string | undefined, byDefault: number): number {
  const value = text === undefined ? byDefault : Number(text);
  return value > 0 && Number.isFinite(value) ? value : usage(`--${name} takes a number above 0`);
}

function wholeCount(name: string, text: string | undefined, byDefault: number): number {
  const value = count(name, text, byDefault);
  return Number.isSafeInteger(value) ? value : usage(`--${name} takes a whole number above 0`);
}

function pattern(text: string): string {
  try {
    return new RegExp(text).source;
  } catch (error) {
    return usage(`--filter takes a regular expression: ${messageOf(error)}`);
  }
}

function editsOf(plant: string | undefined): readonly Edit[] {
  if (plant === undefined) return [];
  const canary = canaries.find(({ name }) => name === plant);
  return canary?.edits ?? usage(`no canary is named ${plant}: ${canaries.map(({ name }) => name).join(", ")}`);
}

/** One seed, for reading. */
async function show(
  workers: Workers,
  seed: Seed,
  { filter, json }: { filter: string; json: boolean },
): Promise<number> {
  const answer: Answer = await workers.ask({ kind: "show", seed, filter });
  if (answer.kind !== "lines") {
    process.stderr.write(`${answer.kind === "lost" ? answer.message : "no answer"}\n`);
    return 1;
  }
  const violations = answer.judged?.violations ?? [];
  if (json) console.log(JSON.stringify({ seed, ...answer.judged }, null, 2));
  else for (const line of answer.lines) console.log(line);
  if (!json) for (const { promise, at, message } of violations) console.log(`${promise} at ${at}: ${message}`);
  if (!json) console.log(`${violations.length} violations; digest ${answer.judged?.digest}`);
  return violations.length > 0 ? 1 : 0;
}

async function main(): Promise<number> {
  const { seed, seeds, minutes, liveness, filter, json, from, save, plant, jobs, help: isHelp } = parsed();
  if (isHelp) {
    console.log(help);
    return 0;
  }
  const [jobCount, fresh] = [
    Math.min(wholeCount("jobs", jobs, availableParallelism()), jobsMax),
    wholeCount("seeds", seeds, minutes === undefined ? 100 : 1),
  ];
  const endAfterMs = minutes === undefined ? null : Math.min(count("minutes", minutes, 1) * 60_000, timerMsMax);
  const lines = pattern(filter);
  await using bundle = await Bundle.make(editsOf(plant));
  await using workers = new Workers(bundle.program, jobCount);
  if (seed !== undefined) return await show(workers, { name: seed, isLiveness: liveness }, { filter: lines, json });
  const base = from ?? randomBytes(4).toString("hex");
  process.stderr.write(`fresh seeds: --from ${base}${liveness ? " --liveness" : ""}\n`);
  const run = new Run(workers, { base, fresh, isLiveness: liveness, endAfterMs, saves: save, jobs: jobCount });
  process.on("SIGINT", () => run.stop());
  process.on("SIGTERM", () => run.stop());
  const isGood = await run.play();
  console.log(json ? JSON.stringify({ base, ...run.summary.json() }, null, 2) : run.summary.lines().join("\n"));
  return isGood ? 0 : 1;
}

process.exitCode = await main().catch((error: unknown) => {
  process.stderr.write(`${messageOf(error)}\n`);
  return 1;
});
