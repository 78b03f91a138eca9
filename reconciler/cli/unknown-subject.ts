import { Failure } from "../model/failure.ts";

/** For a name that neither the state repository nor the record has. `lister` is the command that shows those that there are. */
export function unknown(name: string, lister = "stateward status"): Failure {
  return new Failure("invalid", `no host or group is called ${name}`, {
    reason: "UnknownSubject",
    hint: `${lister} lists them`,
  });
}
