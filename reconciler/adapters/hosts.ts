// Looks at hosts and acts on them, over whichever transport each has.
import { messageOf } from "../model/failure.ts";
import type { HostActor, HostLooker, InquireOrder, Inquiry, MarkOrder, Outcome, StepOrder } from "../model/ports.ts";
import type { CheckResult, HostReport, StateClaim } from "../model/report.ts";
import { Secrets, secretsIn, secretsOf } from "../model/secrets.ts";
import type { Action, Check, Host, TransportName } from "../model/types.ts";
import type { Controller } from "./controller.ts";
import { probeHttp, probeTcp } from "./probe.ts";
import {
  claimBody,
  claimedExit,
  hostScript,
  inquireBody,
  leashBody,
  lookBody,
  markBody,
  runBody,
  shellBody,
  writeBody,
} from "./script.ts";
import type { ScriptResult, Transport } from "./transport.ts";

const lookTimeoutMs = 15_000;
const markTimeoutMs = 30_000;

export interface HostsOptions {
  /** Null for transports over which nothing can be run. */
  readonly transportOf: (name: TransportName) => Transport | null;
  /** For steps with `on: controller`. */
  readonly controller: Pick<Controller, "run">;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** A2: what nothing that is handed on may hold. Values of hosts and steps that are secret by their names are added. */
  readonly secrets?: Secrets;
}

interface ActOptions {
  readonly timeoutMs: number;
  /** Checks leave nothing on the host; steps leave their process group, those marked never a claim. */
  readonly kind: "check" | "step";
  readonly claim: string | null;
  readonly incarnation: string | null;
}

export class Hosts implements HostLooker, HostActor {
  private readonly options: HostsOptions;
  private readonly secrets: Secrets;

  constructor(options: HostsOptions) {
    this.options = options;
    this.secrets = options.secrets ?? new Secrets();
  }

  async look(
    host: Host,
    checkOf: (machine: string, claim: StateClaim) => Check | null,
    recorded: Readonly<Record<string, StateClaim>> = {},
  ): Promise<HostReport> {
    this.learn(secretsIn(host.vars));
    const result = await this.script(host, { body: lookBody, timeoutMs: lookTimeoutMs, incarnation: null });
    const at = this.options.now();
    const nothing = { host: host.name, at, incarnation: null, sequence: null, states: {}, checks: {}, facts: {} };
    if (result.exit !== 0)
      return {
        ...nothing,
        reachable: false,
        message:
          this.secrets.hide(result.message) || firstLine(this.secrets.hide(result.output)) || `exit ${result.exit}`,
      };
    const { incarnation, states } = parseLook(result.output);
    if (incarnation === null) return { ...nothing, reachable: false, message: "the host did not say who it is" };
    const checks = await this.check(host, { ...recorded, ...states }, checkOf);
    return {
      host: host.name,
      at,
      reachable: true,
      message: "",
      incarnation,
      sequence: null,
      states,
      checks,
      facts: {},
    };
  }

  async run(order: StepOrder): Promise<Outcome> {
    const { host, action, step } = order;
    this.learn([...secretsIn(host.vars), ...secretsOf(action)]);
    try {
      const { timeoutMs } = step;
      const isHere = step.on === "controller" && (action.kind === "run" || action.kind === "shell");
      const outcome = isHere
        ? outcomeOf(await this.options.controller.run(host, bodyOf(action), timeoutMs), null)
        : await this.act(host, action, {
            timeoutMs,
            kind: "step",
            claim: order.claim,
            incarnation: order.incarnation,
          });
      return this.hidden(outcome);
    } catch (error) {
      return this.hidden({ kind: "failed", message: messageOf(error), output: "" });
    }
  }

  async mark({ host, incarnation, machine, claim }: MarkOrder): Promise<Outcome> {
    const body = markBody(machine, claim.state, claim.revision ?? 0);
    return this.hidden(outcomeOf(await this.script(host, { body, timeoutMs: markTimeoutMs, incarnation }), null));
  }

  async inquire({ host, incarnation, claim }: InquireOrder): Promise<Inquiry> {
    const result = await this.script(host, { body: inquireBody(claim), timeoutMs: lookTimeoutMs, incarnation });
    const [word, exit] = firstLine(result.output).split(" ");
    if (result.exit !== 0) return { kind: "running" };
    if (word === "ended") return { kind: "ended", exit: Number(exit) };
    if (word === "running" || word === "absent") return { kind: word };
    return { kind: "unknown", message: "the step began on the host, and left no word of its end" };
  }

  private async check(
    host: Host,
    states: HostReport["states"],
    checkOf: (machine: string, claim: StateClaim) => Check | null,
  ): Promise<Record<string, CheckResult>> {
    const checks: Record<string, CheckResult> = {};
    for (const [machine, claim] of Object.entries(states)) {
      const check = checkOf(machine, claim);
      if (check === null) continue;
      this.learn(secretsOf(check.action));
      const how = { timeoutMs: check.timeoutMs, kind: "check", claim: null, incarnation: null } as const;
      const outcome = this.hidden(await this.act(host, check.action, how));
      const message = outcome.kind === "ok" ? "" : outcome.message || firstLine(outcome.output);
      checks[machine] = {
        state: claim.state,
        ok: outcome.kind === "ok",
        message,
        failures: outcome.kind === "ok" ? 0 : 1,
      };
    }
    return checks;
  }

  private async act(host: Host, action: Action, how: ActOptions): Promise<Outcome> {
    if (action.kind === "tcp") return probeTcp(host, action, how.timeoutMs);
    if (action.kind === "http") return probeHttp(action, how.timeoutMs);
    if (action.kind === "write" && !this.transport(host)?.mayWrite(action.path)) {
      return { kind: "failed", message: `the path leaves the host's folder: ${action.path}`, output: "" };
    }
    const plain = bodyOf(action);
    const step = how.claim === null ? leashBody(plain) : claimBody(how.claim, plain);
    const body = how.kind === "check" ? plain : step;
    return outcomeOf(
      await this.script(host, { body, timeoutMs: how.timeoutMs, incarnation: how.incarnation }),
      how.claim,
    );
  }

  private learn(values: readonly string[]): void {
    for (const value of values) this.secrets.add(value);
  }

  private hidden(outcome: Outcome): Outcome {
    const output = this.secrets.hide(outcome.output);
    return outcome.kind === "ok"
      ? { ...outcome, output }
      : { ...outcome, output, message: this.secrets.hide(outcome.message) };
  }

  private transport(host: Host): Transport | null {
    return this.options.transportOf(host.transport);
  }

  private script(
    host: Host,
    call: { body: string; timeoutMs: number; incarnation: string | null },
  ): Promise<ScriptResult> {
    const transport = this.transport(host);
    if (!transport)
      return Promise.resolve({
        kind: "unreachable",
        exit: null,
        output: "",
        message: `no transport ${host.transport}`,
      });
    const { incarnation, body } = call;
    return transport.script(host, hostScript({ incarnation, body }), call.timeoutMs);
  }
}

function bodyOf(action: Exclude<Action, { kind: "tcp" | "http" }>): string {
  switch (action.kind) {
    case "run":
      return runBody(action.argv, action.env);
    case "shell":
      return shellBody(action.script, action.env);
    case "write":
      return writeBody(action.path, action.content, action.mode);
  }
}

function outcomeOf({ kind, exit, output, message }: ScriptResult, claim: string | null): Outcome {
  if (kind === "unreachable" || kind === "timeout") return { kind, message, output };
  // Nothing was run: to the attempt it is as if the host had not been there.
  if (kind === "rebuilt") return { kind: "unreachable", message, output };
  if (exit === 0) return { kind: "ok", output };
  if (claim !== null && exit === claimedExit)
    return { kind: "claimed", message: "the step was started before", output };
  return { kind: "failed", message: message || `exit ${exit}`, output };
}

/** Reads the lines of `lookBody`. Lines of any other form are passed over: a host's text is data. */
export function parseLook(output: string): { incarnation: string | null; states: Record<string, StateClaim> } {
  const states: Record<string, StateClaim> = {};
  let incarnation: string | null = null;
  for (const line of output.split("\n")) {
    const identity = /^incarnation ([A-Za-z0-9-]{8,64})$/.exec(line);
    const state = /^state ([a-z0-9][a-z0-9._-]{0,62}) ([A-Za-z0-9][A-Za-z0-9_.-]{0,62})(?: (\d{1,15}))?$/.exec(line);
    if (identity) incarnation = identity[1] ?? null;
    if (state?.[1] && state[2])
      states[state[1]] = { state: state[2], revision: state[3] === undefined ? null : Number(state[3]) };
  }
  return { incarnation, states };
}

function firstLine(text: string): string {
  return text.trim().split("\n")[0] ?? "";
}
