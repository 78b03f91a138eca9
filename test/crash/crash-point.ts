// The failpoints of the crash build: that build alone has this module. A point is passed three times: before its work begins, while it
// is under way, and after it has ended. STATEWARD_CRASH=NAME[:before|:during|:after][:nth] kills the process there, as a power cut
// would; with STATEWARD_CRASH_ONCE=FILE only the first of several processes, which makes that file. STATEWARD_CRASH_LIST=FILE is given
// each name with its phase when it is first passed, and how often all were passed when the process ends.
import { appendFileSync, closeSync, openSync } from "node:fs";

type Phase = "before" | "during" | "after";

const { STATEWARD_CRASH: wanted = "", STATEWARD_CRASH_LIST: list = "", STATEWARD_CRASH_ONCE: once = "" } = process.env;
const [wantedName, wantedPhase = "before", wantedNth = "1"] = wanted.split(":");
const passed = new Map<string, number>();

if (list !== "") process.once("exit", () => note([...passed].map(([key, count]) => `${key}:${count}\n`).join("")));

function note(text: string): void {
  if (text !== "") appendFileSync(list, text);
}

function pass(name: string, phase: Phase): void {
  if (list === "" && name !== wantedName) return;
  const key = `${name}:${phase}`;
  const count = (passed.get(key) ?? 0) + 1;
  passed.set(key, count);
  if (count === 1 && list !== "") note(`${key}\n`);
  if (name === wantedName && phase === wantedPhase && count === Number(wantedNth) && isFirst())
    process.kill(process.pid, "SIGKILL");
}

/** Whether no other process was killed before this one. */
function isFirst(): boolean {
  if (once === "") return true;
  try {
    closeSync(openSync(once, "wx"));
    return true;
  } catch {
    return false;
  }
}

type Continuation = (...values: unknown[]) => unknown;

export const crashPoint = {
  before(name: string): void {
    pass(name, "before");
  },

  /** `begun` is what the work has begun with, as a rule a promise. */
  during<T>(name: string, begun: T): T {
    pass(name, "during");
    return begun;
  },

  after<T>(name: string, result: T): T {
    pass(name, "after");
    return result;
  },

  /** For `for await`. */
  async *each<T>(name: string, source: AsyncIterable<T> | Iterable<T>): AsyncGenerator<T> {
    pass(name, "before");
    for await (const item of source) {
      pass(name, "during");
      yield item;
    }
    pass(name, "after");
  },

  /** For what a promise goes on with. */
  next(name: string, work: unknown): unknown {
    if (typeof work !== "function") return work;
    return (...values: unknown[]): unknown => {
      pass(name, "before");
      const result = (work as Continuation)(...values);
      pass(name, "during");
      return result;
    };
  },
};
