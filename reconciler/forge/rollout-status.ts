// The rollout of a commit as GitHub shows it: a status of the commit, and a deployment for each environment, followed to their ends.
// What was said already is read there, so that a restart neither repeats nor forgets anything.
import type { RefusedCommit } from "../model/forge.ts";
import type { CoordinationReader, FleetReader, RolloutView, SubjectView } from "../model/ports.ts";
import { type Answer, loginOf } from "./answers.ts";
import { type CommitStatus, descriptionCharsMax, type GitHub } from "./client.ts";
import { plainLine } from "./escape.ts";

export const statusName = "stateward/rollout";
const task = "stateward";
/** Deployments of ours that may still be open are among so many. */
const deploymentsLooked = 100;
/** Larger fleets are counted by environment this seldom: it takes a look at every host. */
const largeFleet = 5000;
const largeEveryMs = 60_000;

export interface RolloutStatusOptions {
  readonly github: GitHub;
  readonly fleet: Pick<FleetReader, "subjects" | "health"> & Pick<CoordinationReader, "fleet">;
  /** Name of the environment of a region; null for hosts without one. */
  readonly environmentOf: (region: string | null) => string;
  /** The latest commit of the branch, where it was refused; else null. */
  readonly refused: () => RefusedCommit | null;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** How a commit stands, or one environment of it. */
export interface Standing {
  readonly state: "pending" | "success" | "failure" | "error";
  /** Such as `37/40 hosts, 1 halted`. */
  readonly description: string;
}

export class RolloutStatus {
  private readonly options: RolloutStatusOptions;
  /** What GitHub is known to show, by commit, or commit and environment. */
  private readonly shown = new Map<string, string>();
  private readonly deployments = new Map<string, number>();
  /** Commits whose rollouts have not ended. */
  private followed: readonly string[] = [];
  /** The commit that was said to wait for a word. */
  private waiting: string | null = null;
  /** What was the case when everything was said. */
  private told = "";
  private newest = "";
  private hasBegun = false;
  private countedAt = Number.NEGATIVE_INFINITY;

  constructor(options: RolloutStatusOptions) {
    this.options = options;
  }

  /** Says what has changed. Rejects with a Failure when GitHub does not do its part; the rest is said the next time. */
  async tell(): Promise<void> {
    const { fleet } = this.options;
    const { commit, subjects } = fleet.health();
    if (commit === null) return;
    const { rollouts, unapproved } = fleet.fleet();
    const refused = this.options.refused();
    const print = JSON.stringify([commit, unapproved, refused, rollouts.map((each) => ({ ...each, since: "" }))]);
    if (print === this.told) return;
    // What has a rollout came into force after all.
    if (rollouts.some((rollout) => rollout.commit === this.waiting)) this.waiting = null;
    await this.tellHeldBack(commit, unapproved, refused);
    const open = rollouts.filter(isOpen).map((rollout) => rollout.commit);
    const standings = new Map<string, Standing>();
    for (const each of new Set([commit, ...open, ...this.followed])) {
      const standing = await this.standing(each, rollouts, commit);
      if (standing !== null) standings.set(each, standing);
    }
    for (const [each, standing] of standings) await this.tellCommit(each, standing);
    const isCounted = await this.tellEnvironments(standings, rollouts, subjects);
    if (!this.hasBegun) await this.endAbandoned(new Set([commit, ...standings.keys()]));
    this.hasBegun = true;
    // What has ended is not looked at again.
    this.followed = [...standings].flatMap(([each, { state }]) => (state === "pending" ? [each] : []));
    this.told = isCounted && standings.has(commit) ? print : "";
  }

  /** Says of commits that are not in force why they are not. */
  private async tellHeldBack(
    inForce: string,
    unapproved: { readonly commit: string; readonly message: string } | null,
    refused: RefusedCommit | null,
  ): Promise<void> {
    if (refused !== null) await this.tellCommit(refused.commit, refusal(refused));
    const before = this.waiting;
    const next = unapproved?.commit ?? inForce;
    if (before !== null && before !== next) await this.tellCommit(before, superseded(next));
    if (unapproved !== null) await this.tellCommit(unapproved.commit, waiting(unapproved.message));
    this.waiting = unapproved?.commit ?? null;
  }

  /** Null where it cannot be said yet. */
  private async standing(commit: string, rollouts: readonly RolloutView[], inForce: string): Promise<Standing | null> {
    const of = rollouts.filter((rollout) => rollout.commit === commit);
    const known = this.shown.get(commit) ?? textOf(await this.options.github.status(commit, statusName));
    const size = Number(/\b\d+\/(\d+) hosts?\b/.exec(known)?.[1] ?? 0);
    if (of.length > 0) return standingOf(of, size > 0 ? size : this.sizeOf(of));
    if (commit !== inForce) return superseded(inForce);
    if (size > 0) return { state: "success", description: `${size}/${hostsText(size)}` };
    // A rollout begins a moment after its commit has come into force.
    const isNew = this.newest !== commit;
    this.newest = commit;
    return isNew && known === "" ? null : { state: "success", description: "no host had to move" };
  }

  /** Hosts of rollouts that were over before anything was said of them; 0 for those that are still counted. */
  private sizeOf(rollouts: readonly RolloutView[]): number {
    if (rollouts.some(({ phase }) => phase !== "done")) return 0;
    const counts = this.counts(this.options.fleet.subjects(), new Set(rollouts.map(({ scope }) => wantedIn(scope))));
    return [...counts.values()].reduce((total, count) => total + count.total, 0);
  }

  private async tellCommit(commit: string, standing: Standing): Promise<void> {
    const said = { ...standing, description: plainLine(standing.description, descriptionCharsMax) };
    if (this.shown.get(commit) === textOf(said)) return;
    await this.options.github.setStatus(commit, statusName, said);
    this.keep(commit, textOf(said));
  }

  /** False where it was put off. */
  private async tellEnvironments(
    standings: ReadonlyMap<string, Standing>,
    rollouts: readonly RolloutView[],
    size: number,
  ): Promise<boolean> {
    for (const [commit, standing] of standings)
      if (standing.state === "error")
        for (const key of this.deployments.keys())
          if (key.startsWith(`${commit} `)) await this.tellEnvironment(commit, key.slice(commit.length + 1), standing);
    const concerned = rollouts.filter(({ commit }) => standings.has(commit));
    if (concerned.length === 0) return true;
    const isEnd = this.followed.some((commit) => standings.get(commit)?.state !== "pending");
    const { now } = this.options;
    if (size > largeFleet && !isEnd && now() - this.countedAt < largeEveryMs) return false;
    this.countedAt = now();
    const subjects = this.options.fleet.subjects();
    for (const [commit, standing] of standings) {
      const wanted = new Set(concerned.filter((each) => each.commit === commit).map(({ scope }) => wantedIn(scope)));
      for (const [environment, count] of this.counts(subjects, wanted))
        await this.tellEnvironment(commit, environment, standingIn(count, standing));
    }
    return true;
  }

  private counts(subjects: readonly SubjectView[], wanted: ReadonlySet<string>): Map<string, Count> {
    const counts = new Map<string, Count>();
    for (const { kind, region, machines: carried } of subjects) {
      const meant = carried.filter(({ machine, target }) => target !== null && wanted.has(`${machine}=${target}`));
      if (kind !== "host" || meant.length === 0) continue;
      const environment = this.options.environmentOf(region);
      const { done = 0, total = 0 } = counts.get(environment) ?? {};
      const isDone = meant.every(({ state, target, attempt }) => state === target && attempt === null);
      counts.set(environment, { done: done + (isDone ? 1 : 0), total: total + 1 });
    }
    return counts;
  }

  private async tellEnvironment(commit: string, environment: string, standing: Standing): Promise<void> {
    const { github } = this.options;
    const key = `${commit} ${environment}`;
    const said = {
      state: deploymentStates[standing.state],
      description: plainLine(standing.description, descriptionCharsMax),
    };
    if (this.shown.get(key) === textOf(said)) return;
    const deployment = this.deployments.get(key) ?? (await this.deployment(commit, environment));
    this.deployments.set(key, deployment);
    const newest = await this.deploymentStatus(deployment);
    if (textOf(newest) !== textOf(said))
      await github.ask("POST /deployments/{deployment_id}/statuses", { deployment_id: deployment, ...said });
    this.keep(key, textOf(said));
  }

  private async deployment(ref: string, environment: string): Promise<number> {
    const { github } = this.options;
    const self = await github.login();
    const at = { sha: ref, environment, task };
    const isOurs = (entry: Answer): boolean => loginOf(entry.at("creator")) === self;
    const known = await github.find("GET /deployments", at, isOurs);
    if (known !== null) return known.at("id").number();
    // Nothing is merged into what is deployed, and no check has to be green: it is in force already.
    const order = {
      ref,
      environment,
      task,
      auto_merge: false,
      required_contexts: [],
      description: "rollout by stateward",
    };
    return (await github.ask("POST /deployments", order)).at("id").number();
  }

  private async deploymentStatus(deployment: number): Promise<CommitStatus | null> {
    const route = "GET /deployments/{deployment_id}/statuses";
    const [newest] = await this.options.github.list(route, { deployment_id: deployment }, { max: 1 });
    if (newest === undefined) return null;
    return {
      state: newest.at("state").text(),
      description: newest.at("description").orNull((text) => text.text()) ?? "",
    };
  }

  /** Deployments of ours that were open when an earlier reconciler ended, of commits that nobody follows any more. */
  private async endAbandoned(commits: ReadonlySet<string>): Promise<void> {
    const { github, fleet } = this.options;
    const self = await github.login();
    const inForce = fleet.health().commit ?? "";
    const { description } = superseded(inForce);
    const ended = new Set<string>();
    for (const entry of await github.list("GET /deployments", { task }, { max: deploymentsLooked })) {
      const commit = entry.at("sha").commit();
      if (commits.has(commit) || loginOf(entry.at("creator")) !== self) continue;
      const deployment = entry.at("id").number();
      const state = (await this.deploymentStatus(deployment))?.state ?? "pending";
      if (state !== "pending" && state !== "in_progress") continue;
      await github.ask("POST /deployments/{deployment_id}/statuses", {
        deployment_id: deployment,
        state: "inactive",
        description,
      });
      if (!ended.has(commit)) await this.tellCommit(commit, { state: "error", description });
      ended.add(commit);
    }
  }

  private keep(key: string, text: string): void {
    if (this.shown.size >= shownMax) this.shown.clear();
    this.shown.set(key, text);
  }
}

const shownMax = 10_000;

interface Count {
  readonly done: number;
  readonly total: number;
}

const deploymentStates = { pending: "in_progress", success: "success", failure: "failure", error: "inactive" } as const;

const textOf = (status: CommitStatus | null): string =>
  status === null ? "" : `${status.state} ${status.description}`;

const isOpen = ({ phase, hosts }: RolloutView): boolean =>
  phase === "halted" || (phase !== "done" && hosts.pending + hosts.active > 0);

/** `MACHINE=TARGET` of a scope, which may stand behind the name of a group. */
function wantedIn(scope: string): string {
  return scope.slice(scope.indexOf("/") + 1);
}

function superseded(by: string): Standing {
  return { state: "error", description: `superseded by ${by.slice(0, 8)} before its end` };
}

function refusal({ problems, first }: RefusedCommit): Standing {
  const count = problems === 1 ? "1 problem" : `${problems} problems`;
  return { state: "failure", description: `not in force, ${count}: ${first}` };
}

function waiting(message: string): Standing {
  return { state: "pending", description: `waits for a word, stateward approve: ${message}` };
}

/** How the rollouts of one commit stand together. `known` is the number of hosts that was told last, 0 for none. */
export function standingOf(rollouts: readonly RolloutView[], known: number): Standing {
  const sum = (count: (hosts: RolloutView["hosts"]) => number): number =>
    rollouts.reduce((total, { hosts }) => total + count(hosts), 0);
  const [failed, parked] = [sum((hosts) => hosts.failed), sum((hosts) => hosts.parked)];
  const left = failed + parked + sum(({ pending, active }) => pending + active);
  const counted = left + sum((hosts) => hosts.done);
  // What is over is not counted any more.
  const size = rollouts.some(({ phase }) => phase === "done") ? Math.max(counted, known) : counted;
  const halted = rollouts.filter(({ phase }) => phase === "halted");
  const parts = [
    size > 0 ? `${size - left}/${hostsText(size)}` : "done",
    ...(halted.length > 0 ? [`${halted.length} halted`] : []),
    ...(failed > 0 ? [`${failed} failed`] : []),
    ...(parked > 0 ? [`${parked} parked`] : []),
  ];
  const why = halted.map(({ scope, message }) => `${scope}: ${message}`).join("; ");
  const description = `${parts.join(", ")}${why === "" ? "" : ` (${why})`}`;
  if (halted.length > 0) return { state: "failure", description };
  if (rollouts.some(isOpen)) return { state: "pending", description };
  return { state: failed > 0 ? "failure" : "success", description };
}

function standingIn({ done, total }: Count, whole: Standing): Standing {
  const description = `${done}/${hostsText(total)}`;
  if (whole.state === "error") return { state: "error", description: whole.description };
  if (done === total) return { state: "success", description };
  return { state: whole.state, description };
}

function hostsText(count: number): string {
  return count === 1 ? "1 host" : `${count} hosts`;
}
