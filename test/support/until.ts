// Waiting for something to become true, without saying how long it may take: the runner ends a file that never does.
import { setTimeout as sleep } from "node:timers/promises";

export async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isSo())) await sleep(10);
}
