// How well the effect of a step is known before it runs. Pure.
import type { Effect } from "../model/proposal.ts";
import type { Action, Step } from "../model/types.ts";

const order: readonly Effect[] = ["exact", "estimated", "opaque"];

/** No action that exists is `estimated`: that is for tools with a mode that only says what they would change. */
export function effectOf({ action }: Pick<Step, "action">): Effect {
  switch (action.kind) {
    case "tcp":
      // It only looks.
      return "exact";
    case "write":
      // The path and all of the content stand in the files.
      return "exact";
    case "http":
      return isLook(action) ? "exact" : "opaque";
    case "run":
    case "shell":
      return "opaque";
  }
}

/** RFC 9110, section 9.2.1: these ask for nothing to be changed. */
function isLook({ method }: Extract<Action, { kind: "http" }>): boolean {
  return ["GET", "HEAD", "OPTIONS"].includes(method.toUpperCase());
}

/** The least certain of several; `exact` for none, because then nothing is run. */
export function leastCertain(effects: readonly Effect[]): Effect {
  return order[Math.max(0, ...effects.map((effect) => order.indexOf(effect)))] ?? "opaque";
}
