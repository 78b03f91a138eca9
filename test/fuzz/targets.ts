// What is fuzzed: each target takes any bytes, and throws when a law of it is broken. Nothing but a Failure may come out of ours.
import { argumentTarget } from "./target-argument.ts";
import { guardTarget } from "./target-guard.ts";
import { reportTarget, stateTarget, webhookTarget } from "./target-http.ts";
import { recordTarget } from "./target-record.ts";
import { windowTarget } from "./target-window.ts";
import { yamlTarget } from "./target-yaml.ts";

export interface Target extends AsyncDisposable {
  run(input: Buffer): void | Promise<void>;
}

/** Names are those of the folders in test/fixtures/hostile/. */
export const targets: Readonly<Record<string, () => Promise<Target>>> = {
  yaml: () => Promise.resolve(plain(yamlTarget)),
  report: reportTarget,
  state: stateTarget,
  webhook: webhookTarget,
  record: () => Promise.resolve(plain(recordTarget)),
  guard: () => Promise.resolve(plain(guardTarget)),
  argument: () => Promise.resolve(plain(argumentTarget)),
  window: () => Promise.resolve(plain(windowTarget)),
};

function plain(run: Target["run"]): Target {
  return { run, [Symbol.asyncDispose]: () => Promise.resolve() };
}
