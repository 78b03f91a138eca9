// Every scenario. Each brings the reconciler by crash points that the others leave out.
import type { Scenario } from "./common.ts";
import { outage, wreck } from "./faults.ts";
import { inquiry, returned, silence, takeover } from "./leaders.ts";
import { branches, life, words } from "./life.ts";
import { embedded, overHttp } from "./remotes.ts";

export const scenarios: readonly Scenario[] = [
  life,
  words,
  branches,
  takeover,
  inquiry,
  silence,
  returned,
  outage,
  wreck,
  embedded,
  overHttp,
];
