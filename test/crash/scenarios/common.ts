// What scenarios have in common.
import { type Run, type Site, svcOf } from "../site.ts";

export interface Scenario {
  readonly name: string;
  /** Data folder that goes on after the crash, unless a fresh one does. */
  readonly data: string;
  /** False where nothing but that folder has the repository. */
  readonly canLoseData?: boolean;
  readonly play: (site: Site, port: number) => Promise<void>;
}

/** Waits until a host is in a state, or its condition has that reason. */
export async function reaches(site: Site, run: Run, host: string, wanted: string): Promise<void> {
  await site.until(`${host}: ${wanted}`, async () => {
    const { state, reason } = await svcOf(site, run, host);
    return state === wanted || reason === wanted;
  });
}

/** Reports and updates, one after the other, as often as there are. */
export async function talk(site: Site, run: Run, times: number): Promise<void> {
  for (let time = 0; time < times; time++) {
    await site.until("a report is answered", async () => {
      await site.report(run, time % 2 === 0 ? "on" : "off");
      await site.update(run);
      return true;
    });
  }
}

/** Waits until a report is taken. */
export async function heard(site: Site, run: Run): Promise<void> {
  await site.until("a report is taken", async () => (await site.report(run, "on")) === "taken");
}
