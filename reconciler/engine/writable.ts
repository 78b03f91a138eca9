// Whether requests that change the record can be taken now.
import { Failure } from "../model/failure.ts";
import type { Engine } from "./loop.ts";

/**
 * Throws a Failure when the record cannot be written: nothing may be acknowledged then (D1). A `main` in doubt keeps from starting
 * anything (D6), and from nothing else: what hosts report and people say is recorded.
 */
export function mustBeWritable(engine: Engine): void {
  const { fatal, stopping } = engine.state();
  const { role, message, leader } = engine.recordStatus();
  if (fatal === null && role === "leading" && !stopping) return;
  throw new Failure("transient", fatal ?? (role === "leading" ? "the reconciler is stopping" : message), {
    reason: "ReadOnly",
    hint:
      role === "standby" && leader !== null
        ? `send it to the reconciler that leads, on ${leader.host}`
        : "send it again to the reconciler that takes over",
  });
}
