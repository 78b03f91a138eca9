// A process that plays seeds for the command, one after the other. It is bundled, so that it starts fast and can carry planted bugs.
import { judge, uncaught } from "./judge.ts";
import type { Answer, Order } from "./orders.ts";
import { scenarioOf } from "./scenario.ts";
import { historyLines, shrunkLines } from "./show.ts";
import { shrink } from "./shrink.ts";

process.on("unhandledRejection", (error) => uncaught.push(error));
process.on("uncaughtException", (error) => uncaught.push(error));
// Ctrl-C goes to all processes of a terminal: the command says when it is over.
process.on("SIGINT", () => {});
process.on("disconnect", () => process.exit(0));

function answer(what: Answer): void {
  process.send?.(what);
}

async function obey(order: Order): Promise<Answer> {
  const { seed } = order;
  const scenario = scenarioOf(seed.name, seed.isLiveness);
  if (order.kind === "play") return { kind: "judged", judged: await judge(scenario, order) };
  if (order.kind === "show") {
    const judged = await judge(scenario, { isTwice: true });
    return { kind: "lines", lines: await historyLines(scenario, new RegExp(order.filter)), judged };
  }
  const { promise } = order;
  const breaks = async (candidate: typeof scenario): Promise<boolean> => {
    answer({ kind: "alive" });
    const { violations } = await judge(candidate, { isTwice: promise === "R1" });
    return violations.some((violation) => violation.promise === promise);
  };
  const shrunk = await shrink(scenario, breaks);
  const judged = await judge(shrunk.scenario, { isTwice: promise === "R1" });
  return { kind: "lines", lines: await shrunkLines(shrunk, judged, promise), judged };
}

/** What was thrown is an answer too: silence would be waited for, and then taken for a run that hangs. */
async function obeyed(order: Order): Promise<Answer> {
  try {
    return await obey(order);
  } catch (error) {
    return { kind: "lost", message: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

let last: Promise<void> = Promise.resolve();
process.on("message", (order: Order) => {
  last = last.then(async () => answer(await obeyed(order)));
});
