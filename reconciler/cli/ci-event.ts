// What a GitHub Actions job is told of the pull request that it runs for. It comes from whoever opened that: nothing of it is believed
// before its form was checked.
import { readFileSync, statSync } from "node:fs";
import { Failure } from "../model/failure.ts";

export interface CiEvent {
  /** Number of the pull request; null where the job runs for something else. */
  readonly number: number | null;
  /** Commit that it is to be merged into, and its newest commit, 40 hex digits each. */
  readonly commits: { readonly base: string; readonly head: string } | null;
  /** True unless the branch is known to be in this very repository: a fork's job may not write, and is not trusted with anything. */
  readonly isForeign: boolean;
}

const eventBytesMax = 10_000_000;

/** From `GITHUB_EVENT_PATH`, `GITHUB_REF` and `GITHUB_REPOSITORY`; nothing is known without them. Throws a Failure for a file that cannot be read. */
export function readCiEvent(env: Readonly<Record<string, string | undefined>>): CiEvent {
  const path = env.GITHUB_EVENT_PATH ?? "";
  const pull = at(path === "" ? null : parse(path), "pull_request");
  const [base, head] = [at(at(pull, "base"), "sha"), at(at(pull, "head"), "sha")];
  const [, inRef] = /^refs\/pull\/([1-9]\d{0,8})\/(?:merge|head)$/.exec(env.GITHUB_REF ?? "") ?? [];
  const number = at(pull, "number");
  const from = at(at(at(pull, "head"), "repo"), "full_name");
  const here = env.GITHUB_REPOSITORY ?? "";
  return {
    number: isPullNumber(number) ? number : inRef === undefined ? null : Number(inRef),
    commits: isCommit(base) && isCommit(head) ? { base, head } : null,
    isForeign: pull !== undefined && (typeof from !== "string" || from.toLowerCase() !== here.toLowerCase()),
  };
}

function parse(path: string): unknown {
  try {
    if (statSync(path).size > eventBytesMax) throw new RangeError("it is too large");
    return JSON.parse(readFileSync(path, "utf8"));
  } catch (cause) {
    throw new Failure("invalid", "GITHUB_EVENT_PATH names no event", {
      reason: "BadEvent",
      hint: "outside of GitHub Actions, give BASE..HEAD and --pull-request",
      cause,
    });
  }
}

function at(value: unknown, name: string): unknown {
  const isObject = typeof value === "object" && value !== null && Object.hasOwn(value, name);
  return isObject ? (value as Record<string, unknown>)[name] : undefined;
}

export function isPullNumber(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) > 0 && Number(value) < 1e9;
}

function isCommit(value: unknown): value is string {
  return typeof value === "string" && /^[0-9a-f]{40}$/.test(value);
}
