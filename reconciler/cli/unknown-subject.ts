import { Failure } from "../model/failure.ts";

/** For a name that neither the state repository nor the record has. */
export function unknown(name: string): Failure {
  return new Failure("invalid", `no host or group is called ${name}`, {
    reason: "UnknownSubject",
    hint: "stateward status lists them",
  });
}
