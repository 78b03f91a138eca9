// stateward run: the reconciler, with an embedded default for everything.
import { rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { pino } from "pino";
import { runProcess } from "../adapters/process.ts";
import { isoTime } from "../model/duration.ts";
import { Failure, messageOf } from "../model/failure.ts";
import type { EngineEvent } from "../model/ports.ts";
import { formatProblem } from "../model/problem.ts";
import { readyOf } from "../plan/conditions.ts";
import { exists } from "../record/disk.ts";
import { Git } from "../record/git.ts";
import { removeStaleLocks } from "../record/mirror.ts";
import { syncOrigin } from "../record/origin.ts";
import { isCorrupt } from "../record/remote.ts";
import type { ForgeOptions } from "./forge.ts";
import { takeLock } from "./lock.ts";
import { bar, eventLine, gathered, paint, print, shown } from "./output.ts";
import { version } from "./version.ts";
import { type Reconciler, startReconciler } from "./wire.ts";
import { type GlobalOptions, openWorkspace, type Workspace } from "./workspace.ts";

export interface RunOptions extends GlobalOptions, ForgeOptions {
  readonly once?: boolean;
  readonly listen?: string;
  readonly takeOver?: boolean;
  /** File with the key that signs the commits of the record. */
  readonly signingKey?: string;
  /** Seconds after which `--once` gives up. */
  readonly timeout?: string;
}

/** Runs until a signal, or with `--once` until the fleet is at rest. Resolves to the exit status. */
export async function run(options: RunOptions): Promise<number> {
  const workspace = openWorkspace(options);
  if (workspace.embedded) await mustBeStateFolder(workspace);
  const unlock = await takeLock(workspace.data);
  try {
    if (workspace.embedded) await prepareOrigin(workspace);
    const report = createReporter(workspace, options);
    const signal = signalled(report);
    // A mirror that is damaged is set aside by the next start; one that is damaged again comes from a damaged remote.
    for (let repairs = 0, isRestart = false; ; isRestart = true) {
      // A person's word to take over holds once: whoever was deposed since stands by.
      const now = isRestart ? { ...options, takeOver: false } : options;
      const end = await runOnce(workspace, now, { report, signal, isRestart }).catch((error: unknown) => {
        if (repairs++ > 0 || !isCorrupt(error)) throw error;
        return "repaired" as const;
      });
      if (typeof end === "number") return end;
      if (end === "again") repairs = 0;
      if (end === "damaged" && repairs++ > 0) return 1;
    }
  } finally {
    await rm(join(workspace.data, "run.json"), { force: true });
    await unlock();
  }
}

/** A mistyped folder must not become a repository of its own, with a reconciler that has nothing to do. */
async function mustBeStateFolder({ folder, remote }: Workspace): Promise<void> {
  if ((await exists(join(folder, "stateward.yaml"))) || (await exists(remote))) return;
  throw new Failure("invalid", `${folder} is no state repository: it has no stateward.yaml`, {
    reason: "NoFolder",
    hint: "name its folder with --folder, or make a new one there: stateward init",
  });
}

/** From a start to its end: an exit status, or that another is to be started, because this one does not lead any more. */
async function runOnce(
  workspace: Workspace,
  options: RunOptions,
  { report, signal, isRestart }: { readonly report: Reporter; readonly signal: Promise<number>; isRestart: boolean },
): Promise<End> {
  const starting = startReconciler({
    workspace,
    events: report.event,
    notice: report.notice,
    alert: report.alert,
    isRestart,
    forge: options,
    ...(options.listen ? { listen: options.listen } : {}),
    ...(options.takeOver ? { takeOver: true } : {}),
    ...signingKeyOf(options),
  });
  const reconciler = await Promise.race([starting, signal]);
  // Nothing of it has to be ended in order: whoever is killed while it starts loses nothing either.
  if (typeof reconciler === "number") return reconciler;
  report.started(reconciler);
  await writeFile(join(workspace.data, "run.json"), `${JSON.stringify({ url: reconciler.url, pid: process.pid })}\n`);
  return untilEnd(reconciler, options, { report, signal });
}

function signingKeyOf({ signingKey = process.env.STATEWARD_SIGNING_KEY_FILE }: RunOptions): { signingKey?: string } {
  return signingKey === undefined || signingKey === "" ? {} : { signingKey: resolve(signingKey) };
}

async function prepareOrigin(workspace: Workspace): Promise<void> {
  if (await exists(workspace.remote)) await removeStaleLocks(new Git(workspace.remote, runProcess));
  const state = await syncOrigin(workspace.remote, workspace.folder, runProcess);
  if (state.kind === "committed") print(`the folder's changed files are commit ${state.commit.slice(0, 8)} of main`);
  if (state.kind === "diverged") {
    print(
      paint(
        "yellow",
        `the folder's files differ from main, which was pushed to meanwhile: main ${state.commit.slice(0, 8)} is in force`,
      ),
    );
    print(`  to bring the folder's files in: git clone ${workspace.remote}, copy them there, commit, push`);
  }
}

interface Reporter {
  readonly event: (event: EngineEvent) => void;
  readonly notice: (message: string) => void;
  readonly alert: (message: string) => void;
  readonly started: (reconciler: Reconciler) => void;
}

const logBytesKept = 1_000_000;

/** People read lines on standard output; programs read JSON lines there (`--json`), and always in `stateward.log`. */
function createReporter(workspace: Workspace, options: RunOptions): Reporter {
  const destination = pino.destination({
    dest: options.json ? 1 : join(workspace.data, "stateward.log"),
    sync: true,
    mkdir: true,
    // What a full disk does not take is kept for a while.
    maxLength: logBytesKept,
  });
  const log = pino(
    { base: null, timestamp: () => `,"time":"${isoTime(Date.now())}"` },
    { write: gathered((text) => destination.write(text)) },
  );
  const hide = (text: string): string => workspace.secrets.hide(text);
  const sayLine = gathered((text) => process.stdout.write(text));
  let reconciler: Reconciler | null = null;
  let hasToldLog = false;
  // A log that cannot be written ends nothing: what must be kept is in the journal, which does.
  destination.on("error", (error: Error) => {
    if (!hasToldLog) say(paint("red", `the log cannot be written: ${error.message}`));
    hasToldLog = true;
  });
  const say = (text: string): void => {
    if (options.json) return;
    const progress = reconciler?.engine.progress();
    const fleet = progress && progress.total > 0 ? `  ${paint("dim", bar(progress.ready, progress.total))}` : "";
    sayLine(shown(`${paint("dim", isoTime(Date.now()).slice(11, 19))} ${text}${fleet}\n`));
  };
  return {
    event: (happened) => {
      const event = withoutSecrets(happened, hide);
      const { kind, ...fields } = event;
      log[kind === "fatal" ? "fatal" : kind === "step-failed" || kind === "refused" ? "warn" : "info"](fields, kind);
      const line = eventLine(event);
      if (line !== null) say(line);
    },
    notice: (message) => {
      log.warn({ message: hide(message) }, "notice");
      say(paint("yellow", hide(message)));
    },
    alert: (message) => {
      log.error({ message: hide(message) }, "alert");
      say(paint("red", hide(message)));
    },
    started: (started) => {
      reconciler = started;
      log.info({ url: started.url, remote: workspace.embedded ? "embedded" : "named", version }, "started");
      say(`stateward ${version} serves ${started.url}, log in ${join(workspace.data, "stateward.log")}`);
    },
  };
}

/** A2: whatever an event was made of, its texts are gone through once more on their way out. */
function withoutSecrets<T extends EngineEvent>(event: T, hide: (text: string) => string): T {
  const texts = Object.entries(event).filter(([name]) => ["message", "why", "step"].includes(name));
  return { ...event, ...Object.fromEntries(texts.map(([name, text]) => [name, hide(String(text))])) };
}

/** How often `--once` looks whether the fleet is at rest. */
const onceEveryMs = 200;
/** At rest for this many looks in a row means that nothing will move any more. */
const quietLooks = 10;

/** An exit status, or why another is started in its place: it does not lead any more, or its mirror cannot be read. */
type End = number | "again" | "damaged";

async function untilEnd(
  reconciler: Reconciler,
  options: RunOptions,
  { report, signal }: { readonly report: Reporter; readonly signal: Promise<number> },
): Promise<End> {
  const watching = watch(reconciler, options);
  const failed = reconciler.leading.then(() => new Promise<never>(() => {}));
  let status: End;
  try {
    status = await Promise.race([signal, watching.status, failed]);
  } catch (error) {
    watching.end();
    await reconciler.stop().catch(() => {});
    throw error;
  }
  watching.end();
  try {
    await reconciler.stop();
  } catch (error) {
    // Nothing is lost: the journal has it, and the next start pushes it.
    report.notice(`the record could not be pushed: ${messageOf(error)}; it is in the journal`);
  }
  return status;
}

/** Further signals within this time are one Ctrl-C that npm has passed on as well. */
const sameSignalMs = 1000;

/** Resolves at the first TERM or INT; a later one ends the process at once. */
function signalled(report: Reporter): Promise<number> {
  return new Promise((resolve) => {
    let first: number | null = null;
    for (const name of ["SIGTERM", "SIGINT"] as const) {
      process.on(name, () => {
        if (first !== null && performance.now() - first > sameSignalMs) process.exit(1);
        if (first !== null) return;
        first = performance.now();
        report.notice(`${name}: waiting for running steps, then recording them (again: end at once)`);
        resolve(0);
      });
    }
  });
}

function nextAfter(reconciler: Reconciler, { once }: RunOptions): End {
  if (once) return 1;
  if (reconciler.isDeposed()) return "again";
  return reconciler.isDamaged() ? "damaged" : 1;
}

/** Resolves when the reconciler cannot go on, or when `--once` has its answer. */
function watch(
  reconciler: Reconciler,
  options: RunOptions,
): { readonly status: Promise<End>; readonly end: () => void } {
  const deadline = performance.now() + Number(options.timeout ?? 600) * 1000;
  let quiet = 0;
  let timer: NodeJS.Timeout | undefined;
  const status = new Promise<End>((resolve) => {
    timer = setInterval(() => {
      const { ready, total } = reconciler.engine.progress();
      const { fatal, trouble } = reconciler.engine.state();
      quiet = options.once && reconciler.engine.isQuiet() ? quiet + 1 : 0;
      const started = reconciler.engine.world() !== null;
      const first = trouble !== null && !started && reconciler.engine.recordStatus().role !== "standby";
      if (fatal !== null) finish(nextAfter(reconciler, options));
      else if (!options.once) return;
      else if (started && ready === total && trouble === null) finish(0);
      else if (first || quiet >= quietLooks || performance.now() > deadline) {
        if (performance.now() > deadline) process.stderr.write(`not at rest after ${options.timeout} s (--timeout)\n`);
        explain(reconciler);
        finish(1);
      }
    }, onceEveryMs);
    const finish = (status: End): void => {
      clearInterval(timer);
      resolve(status);
    };
  });
  return { status, end: () => clearInterval(timer) };
}

/** Why not all hosts are in their target states: to standard error, one reason a line. */
function explain(reconciler: Reconciler): void {
  const { trouble } = reconciler.engine.state();
  if (trouble) {
    const problems = trouble.problems.map((problem) => `  ${formatProblem(problem)}\n`).join("");
    process.stderr.write(shown(`${trouble.message}\n${problems}`));
  }
  const { role, leader } = reconciler.engine.recordStatus();
  if (role === "standby") {
    const who = leader === null ? "another reconciler" : leader.host;
    process.stderr.write(shown(`this reconciler stands by while ${who} leads: stateward status shows the record\n`));
  }
  for (const view of reconciler.fleet.subjects()) {
    for (const { machine, state, target, conditions } of view.machines) {
      const ready = readyOf({ conditions });
      if (ready?.status === "True") continue;
      const why = ready ? `${ready.reason}: ${ready.message}` : "nothing was decided yet";
      process.stderr.write(shown(`${view.name} ${machine}: ${state}, target ${target ?? "none"}: ${why}\n`));
    }
  }
}
