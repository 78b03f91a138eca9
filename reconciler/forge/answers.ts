// What GitHub answers, read as data: only what is used, each value of the type that it is to have. Nothing else of an answer goes further.
import { Failure } from "../model/failure.ts";

/** A value of which nothing is known. */
export class Answer {
  private readonly value: unknown;
  private readonly path: string;

  constructor(value: unknown, path = "the answer") {
    this.value = value;
    this.path = path;
  }

  at(name: string): Answer {
    const isObject = typeof this.value === "object" && this.value !== null && Object.hasOwn(this.value, name);
    return new Answer(isObject ? (this.value as Record<string, unknown>)[name] : undefined, `${this.path}.${name}`);
  }

  get isMissing(): boolean {
    return this.value === undefined || this.value === null;
  }

  text(): string {
    return typeof this.value === "string" ? this.value : this.wrong("a text");
  }

  number(): number {
    return typeof this.value === "number" && Number.isSafeInteger(this.value) ? this.value : this.wrong("a number");
  }

  /** A commit, 40 hex digits: it becomes an operand of Git. */
  commit(): string {
    const text = this.text();
    return /^[0-9a-f]{40}$/.test(text) ? text : this.wrong("a commit");
  }

  /** Milliseconds since the epoch. */
  time(): number {
    const ms = Date.parse(this.text());
    return Number.isNaN(ms) ? this.wrong("a time") : ms;
  }

  list(): Answer[] {
    if (!Array.isArray(this.value)) return this.wrong("a list");
    return this.value.map((each, index) => new Answer(each, `${this.path}[${index}]`));
  }

  /** Null where there is nothing. */
  orNull<T>(read: (answer: Answer) => T): T | null {
    return this.isMissing ? null : read(this);
  }

  private wrong(wanted: string): never {
    throw new Failure("transient", `GitHub's answer makes no sense: ${this.path} is not ${wanted}`, {
      reason: "BadAnswer",
      hint: "look whether --github-api is the address of GitHub's REST interface",
    });
  }
}

export interface PullRequest {
  readonly number: number;
  readonly title: string;
  /** Login; null for an account that is gone. */
  readonly author: string | null;
  readonly isOpen: boolean;
  readonly isMerged: boolean;
  /** Newest commit of the branch. */
  readonly head: string;
  /** Branch that it is to be merged into, and the commit that this was at. */
  readonly base: { readonly branch: string; readonly commit: string };
  readonly url: string;
}

export interface Comment {
  readonly id: number;
  readonly author: string | null;
  readonly body: string;
  readonly createdAt: number;
  readonly updatedAt: number;
  /** Number of the issue or pull request that it is on. */
  readonly number: number;
}

export const loginOf = (user: Answer): string | null => user.orNull((found) => found.at("login").text());

export function pullRequestOf(answer: Answer): PullRequest {
  const [head, base] = [answer.at("head"), answer.at("base")];
  return {
    number: answer.at("number").number(),
    title: answer.at("title").text(),
    author: loginOf(answer.at("user")),
    isOpen: answer.at("state").text() === "open",
    isMerged: !answer.at("merged_at").isMissing,
    head: head.at("sha").commit(),
    base: { branch: base.at("ref").text(), commit: base.at("sha").commit() },
    url: answer.at("html_url").text(),
  };
}

export function commentOf(answer: Answer): Comment {
  return {
    id: answer.at("id").number(),
    author: loginOf(answer.at("user")),
    body: answer.at("body").orNull((body) => body.text()) ?? "",
    createdAt: answer.at("created_at").time(),
    updatedAt: answer.at("updated_at").time(),
    number: Number(/\/issues\/(\d{1,9})$/.exec(answer.at("issue_url").text())?.[1] ?? 0),
  };
}
