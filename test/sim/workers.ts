// Processes that play seeds. One that gives no sign for long is ended, and its seed counts as hung.
import { type ChildProcess, fork } from "node:child_process";
import type { Answer, Order } from "./orders.ts";

/** Far beyond what any seed takes, also where others use the machine. */
const silenceMaxMsDefault = 120_000;
const watchMs = 2000;
const errorsMax = 4000;
/** What a seed makes is gone with it: a large young generation is swept less often. */
const execArgv = ["--enable-source-maps", "--max-semi-space-size=64"];

interface Task {
  readonly order: Order;
  readonly done: (answer: Answer) => void;
}

interface Worker {
  readonly child: ChildProcess;
  task: Task;
  isSilent: boolean;
  heardAt: number;
  errors: string;
}

export class Workers implements AsyncDisposable {
  private readonly program: string;
  private readonly jobs: number;
  private readonly waiting: Task[] = [];
  private readonly busy = new Set<Worker>();
  private readonly idle: ChildProcess[] = [];
  private readonly watch: NodeJS.Timeout;

  private readonly silenceMaxMs: number;

  /** `program`: a bundle of `worker.ts`. */
  constructor(program: string, jobs: number, silenceMaxMs: number = silenceMaxMsDefault) {
    this.program = program;
    this.jobs = jobs;
    this.silenceMaxMs = silenceMaxMs;
    this.watch = setInterval(() => this.endSilentOnes(), watchMs);
  }

  ask(order: Order): Promise<Answer> {
    return new Promise((done) => {
      this.waiting.push({ order, done });
      this.next();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.watch);
    const children = [...this.idle, ...[...this.busy].map(({ child }) => child)];
    const ended = children.map((child) => new Promise((resolve) => child.once("exit", resolve)));
    for (const child of children) child.kill("SIGKILL");
    await Promise.all(ended);
  }

  private next(): void {
    while (this.busy.size < this.jobs) {
      const task = this.waiting.shift();
      if (task === undefined) return;
      const child = this.idle.pop() ?? this.start();
      const worker: Worker = { child, task, isSilent: false, heardAt: performance.now(), errors: "" };
      this.busy.add(worker);
      this.listen(worker);
      child.send(task.order);
    }
  }

  private start(): ChildProcess {
    return fork(this.program, { stdio: ["ignore", "inherit", "pipe", "ipc"], execArgv });
  }

  private listen(worker: Worker): void {
    const { child, task } = worker;
    const end = (answer: Answer, stays: boolean): void => {
      child.removeAllListeners();
      child.stderr?.removeAllListeners("data");
      this.busy.delete(worker);
      if (stays) this.idle.push(child);
      task.done(answer);
      this.next();
    };
    child.stderr?.on("data", (chunk: Buffer) => (worker.errors = (worker.errors + chunk.toString()).slice(-errorsMax)));
    child.on("message", (answer: Answer) => {
      worker.heardAt = performance.now();
      if (answer.kind !== "alive") end(answer, true);
    });
    child.once("error", (error) => end({ kind: "lost", message: String(error) }, false));
    child.once("exit", (code, signal) => {
      const how = worker.isSilent
        ? `no sign for ${this.silenceMaxMs / 1000} s`
        : `its process ended: ${signal ?? code}`;
      end({ kind: "lost", message: `${how}${worker.errors === "" ? "" : `: ${worker.errors}`}` }, false);
    });
  }

  private endSilentOnes(): void {
    for (const worker of this.busy) {
      if (performance.now() - worker.heardAt <= this.silenceMaxMs) continue;
      worker.isSilent = true;
      worker.child.kill("SIGKILL");
    }
  }
}
