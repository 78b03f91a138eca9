// What happens after a crash: the program is started again, as a service manager or a person would, and left alone until it is at rest.
import type { CoordinationReader, FleetReader, Health, SubjectView } from "../../reconciler/model/ports.ts";
import type { Answer } from "../sim/history.ts";
import type { Run, Site } from "./site.ts";

type FleetAnswer = ReturnType<CoordinationReader["fleet"]>;

/** What it says just after its start, before anybody has said anything to it. */
export interface FirstWords {
  readonly hosts: readonly SubjectView[];
  readonly fleet: FleetAnswer | null;
}

export interface Recovered {
  readonly run: Run;
  readonly first: FirstWords;
  /** What it says at rest. */
  readonly hosts: readonly SubjectView[];
  readonly health: Health;
}

/** Reasons for which a machine may rest where it is: each names who or what can free it. */
const parked = ["Held", "OutcomeUnknown", "RepeatNever", "NoTarget"];

/** Starts on that data folder, waits until the fleet is at rest, and ends it in order. */
export async function recover(site: Site, data: string, args: readonly string[]): Promise<Recovered> {
  await site.mend();
  const run = await site.start({ data, args, isArmed: false });
  const first = {
    hosts: await hostsOf(site, run),
    fleet: (await site.get(run, "/v1/fleet")) as FleetAnswer | null,
  };
  // A word that was said before may have been lost with the crash: then a person says it again.
  if ((await healthOf(site, run)).message.includes("accept-history")) await site.acceptHistory(data, false);
  await site.until("the agent is heard", async () => {
    const answer: Answer = await site.report(run, "on");
    return answer === "taken";
  });
  const main = await site.head();
  site.noteMain(main);
  let seen = "";
  let hosts: readonly SubjectView[] = [];
  let quiet = 0;
  const rest = async (): Promise<boolean> => {
    hosts = await hostsOf(site, run);
    const text = JSON.stringify(hosts);
    quiet = text === seen && hosts.every(isAtRest) ? quiet + 1 : 0;
    seen = text;
    const { commit, message } = await healthOf(site, run);
    // A commit that is not in force has to be said to be, with who or what can change that.
    return quiet >= 3 && (commit === main || message !== "");
  };
  await site.until("every host is at rest", rest).catch((error: unknown) => {
    throw new Error(`L1: ${String(error)}: ${seen}\n${run.output}`);
  });
  const health = await healthOf(site, run);
  const status = await site.stop(run);
  if (status !== "0") throw new Error(`it ended with ${status} after the recovery\n${run.output}`);
  return { run, first, hosts, health };
}

function isAtRest({ machines, reachable }: SubjectView): boolean {
  if (reachable !== true) return false;
  return machines.every(({ conditions, attempt }) => {
    const ready = conditions.find(({ type }) => type === "Ready");
    return (ready?.status === "True" && attempt === null) || parked.includes(ready?.reason ?? "");
  });
}

async function hostsOf(site: Site, run: Run): Promise<readonly SubjectView[]> {
  const answer = (await site.get(run, "/v1/hosts")) as { hosts?: ReturnType<FleetReader["subjects"]> } | null;
  return answer?.hosts ?? [];
}

async function healthOf(site: Site, run: Run): Promise<Health> {
  return (await site.get(run, "/readyz")) as Health;
}
