import cron from "node-cron";
import { RepositoryLoader } from "../model/repository.ts";
import { windowError } from "../plan/windows.ts";

/** A loader that also knows cron expressions and time zones. */
export function createLoader(): RepositoryLoader {
  return new RepositoryLoader({ isCron: (expression) => cron.validate(expression), windowError });
}
