// What the tests of this room share: clients of a stand-in that do not wait, and reports.
import { GitHub } from "../../reconciler/forge/client.ts";
import type { Annotation, PlanReport } from "../../reconciler/model/forge.ts";
import { fakeCommit, type StandIn } from "./stand-in.ts";

/** A client that neither spaces requests nor waits. */
export function appOf({ repository, url: api, appId, privateKey }: StandIn): GitHub {
  const credentials = { kind: "app", appId, privateKey } as const;
  return new GitHub({ repository, api, credentials, isPatient: false });
}

export function tokenOf(standIn: StandIn, login = "robot"): GitHub {
  const credentials = { kind: "token", token: standIn.tokenOf(login) } as const;
  return new GitHub({
    repository: standIn.repository,
    api: standIn.url,
    credentials,
    isPatient: false,
  });
}

export const head: string = fakeCommit("head");

export function report(change: Partial<PlanReport> = {}): PlanReport {
  return {
    head,
    title: "12 hosts would move",
    conclusion: "success",
    comment: "## 12 hosts would move\n",
    details: "",
    annotations: [],
    owners: [],
    ...change,
  };
}

export function annotations(count: number): Annotation[] {
  return Array.from({ length: count }, (_each, index) => ({
    path: `hosts/git-${index}.yaml`,
    line: index + 1,
    column: 1,
    level: "warning",
    title: "SW204",
    message: `remark ${index}`,
  }));
}
