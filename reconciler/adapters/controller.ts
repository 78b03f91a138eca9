// Steps with `on: controller`: on the reconciler's own machine, in a work folder of its data. No host is spoken to, so none can be
// unreachable, and nothing is left on one: whether such a step ran is known from the record alone.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { messageOf } from "../model/failure.ts";
import type { RunProcess } from "../model/ports.ts";
import type { Host } from "../model/types.ts";
import { hostScript, leashBody, quote } from "./script.ts";
import { runShell, type ScriptResult } from "./transport.ts";

export class Controller {
  private readonly dir: string;
  private readonly runProcess: RunProcess;

  /** `dir` is made when the first step runs. */
  constructor(dir: string, runProcess: RunProcess) {
    this.dir = dir;
    this.runProcess = runProcess;
  }

  /** Runs the body of a step that is about a host. Never rejects, and never says unreachable: what cannot be started has failed. */
  async run(host: Host, body: string, timeoutMs: number): Promise<ScriptResult> {
    try {
      // Whoever else has an account here has no business with it.
      await mkdir(this.dir, { recursive: true, mode: 0o700 });
      const script = hostScript({ incarnation: null, body: leashBody(body, host.name) });
      const input = `SW=${quote(join(this.dir, ".stateward"))}\nSW_GROUP=$$\n${script}`;
      const result = await runShell(this.runProcess, { host, dir: this.dir, input, timeoutMs });
      return result.kind === "timeout" ? result : { ...result, kind: "ended" };
    } catch (error) {
      return { kind: "ended", exit: null, output: "", message: messageOf(error) };
    }
  }
}
