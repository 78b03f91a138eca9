// Commands in comments of pull requests: what they are, whose count, and the answers. A word is kept in our own answer to it, which says
// for which commit it was given: GitHub is the only memory, so that a restart changes nothing.
import { messageOf } from "../model/failure.ts";
import type { CoordinationWriter } from "../model/ports.ts";
import { type Comment, commentOf, loginOf, type PullRequest } from "./answers.ts";
import { authorsOf } from "./authors.ts";
import type { GitHub } from "./client.ts";
import { code, oneLine } from "./escape.ts";
import { isEdited, type Marker, markerLine, markerOf } from "./marker.ts";

export type Command =
  | { readonly kind: "plan" }
  /** `commit` is what was written behind it: 7 to 40 hex digits, or null. */
  | { readonly kind: "approve"; readonly commit: string | null }
  | { readonly kind: "hold"; readonly select: string; readonly reason: string }
  | { readonly kind: "wrong"; readonly text: string };

/** Hex digits of a whole name of a commit. */
const wholeName = 40;
/** Commands of one comment that are looked at. */
const commandsMax = 5;
const commentsMax = 3000;
const reasonCharsMax = 300;
/** Older ones that were not answered are from before this reconciler was set up. */
const ageMaxMs = 86_400_000;

/** The commands of a comment: lines that begin with one, outside of blocks of code. */
export function commandsIn(body: string): Command[] {
  const found: Command[] = [];
  let fence: string | null = null;
  for (const line of body.split(/\r?\n/)) {
    const [, mark = ""] = /^ {0,3}(`{3,}|~{3,})/.exec(line) ?? [];
    if (fence === null && mark !== "") fence = mark;
    else if (fence !== null && mark.startsWith(fence) && line.trim() === mark) fence = null;
    else if (fence === null && /^\/stateward(\s|$)/.test(line)) found.push(commandOf(line));
  }
  return found.slice(0, commandsMax);
}

function commandOf(line: string): Command {
  const [, word = "", ...rest] = line.trim().split(/\s+/);
  if (word === "plan" && rest.length === 0) return { kind: "plan" };
  if (word === "approve" && rest.length === 0) return { kind: "approve", commit: null };
  if (word === "approve" && rest.length === 1 && /^[0-9a-f]{7,40}$/i.test(rest[0] ?? ""))
    return { kind: "approve", commit: (rest[0] ?? "").toLowerCase() };
  const [select = "", ...reason] = rest;
  if (word === "hold" && reason.length > 0)
    return { kind: "hold", select, reason: oneLine(reason.join(" "), reasonCharsMax) };
  return { kind: "wrong", text: line };
}

const usage =
  "commands are `/stateward plan`, `/stateward approve [COMMIT]` and `/stateward hold SELECTOR REASON`, each on a line of its own";

export interface CommandOptions {
  readonly github: GitHub;
  readonly coordination: Pick<CoordinationWriter, "hold">;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** What a pass over the comments of a pull request has found. */
export interface CommandsDone {
  /** Somebody asks for the plan anew. */
  readonly wantsPlan: boolean;
  /** Who has approved the newest commit, in the order of their words. */
  readonly approvedBy: readonly string[];
}

interface Talk {
  readonly pull: PullRequest;
  readonly comments: readonly Comment[];
  /** Our comments that are markers, with what they say. */
  readonly own: readonly { readonly comment: Comment; readonly marker: Marker }[];
}

export class CommandDesk {
  private readonly options: CommandOptions;
  /** Comments that need no further look: one request less for each. */
  private readonly settled = new Set<number>();

  constructor(options: CommandOptions) {
    this.options = options;
  }

  /** Answers what is new on a pull request. Rejects with a Failure when GitHub does not do its part; what is left is done the next time. */
  async attend(pull: PullRequest): Promise<CommandsDone> {
    const talk = await this.talk(pull);
    let wantsPlan = false;
    let hasAnswered = false;
    const strangers = new Set<string>();
    for (const comment of talk.comments) {
      if (this.settled.has(comment.id) || comment.author === null || comment.author.endsWith("[bot]")) continue;
      const commands = commandsIn(comment.body);
      // With a person's token our own comments are by a person. What data has written into them is nobody's word.
      const isDone = talk.own.some((own) => own.comment.id === comment.id || own.marker.comment === comment.id);
      if (commands.length === 0 || isDone) continue;
      const isOld = this.options.now() - comment.createdAt > ageMaxMs;
      // One reaction for many words of a stranger: they cost GitHub's limit nothing, and nobody else a wait.
      if (isOld || strangers.has(comment.author) || (await this.isReactedTo(comment))) {
        this.settle(comment);
        continue;
      }
      if (!(await this.mayWrite(comment.author))) {
        // Whoever may not write gets no words: a comment of ours for each of a stranger's is what a stranger would want.
        await this.react(comment, "confused");
        strangers.add(comment.author);
        continue;
      }
      hasAnswered = true;
      if (await this.answer(talk, comment, commands)) wantsPlan = true;
    }
    return { wantsPlan, approvedBy: await this.approvals(hasAnswered ? await this.talk(pull) : talk) };
  }

  /**
   * Logins of those whose word for the newest commit holds: kept in an answer of ours that nobody has edited, to a comment that is still
   * there as it was, by somebody who may write and is no author.
   */
  private async approvals({ pull, comments, own }: Talk): Promise<string[]> {
    const found: string[] = [];
    for (const { comment, marker } of own) {
      if (marker.kind !== "approval" || marker.head !== pull.head || isEdited(comment)) continue;
      const word = comments.find(({ id }) => id === marker.comment);
      if (word === undefined || isEdited(word) || word.author !== marker.by) continue;
      // With a person's token that person's comments look like our own: an answer alone is no word.
      if (!commandsIn(word.body).some(({ kind }) => kind === "approve")) continue;
      if ((await this.refusalOf(pull, marker.by)) === null && !found.includes(marker.by)) found.push(marker.by);
    }
    return found;
  }

  private async talk(pull: PullRequest): Promise<Talk> {
    const { github } = this.options;
    const self = await github.login();
    const listed = await github.list(
      "GET /issues/{issue_number}/comments",
      { issue_number: pull.number },
      { max: commentsMax },
    );
    const comments = listed.map(commentOf);
    const own = comments.flatMap((comment) => {
      const marker = markerOf(comment, self);
      return marker === null ? [] : [{ comment, marker }];
    });
    return { pull, comments, own };
  }

  /** Answers the commands of a comment; true when one asks for the plan. */
  private async answer(talk: Talk, comment: Comment, commands: readonly Command[]): Promise<boolean> {
    const by = comment.author ?? "";
    if (isEdited(comment)) {
      await this.reply(talk, comment, "reply", ["an edited comment does not count: write a new one"]);
      return false;
    }
    const answers: string[] = [];
    let kind: Marker["kind"] = "reply";
    for (const command of commands) {
      if (command.kind === "plan") continue;
      if (command.kind === "hold") answers.push(await this.hold(talk.pull, by, command));
      else if (command.kind === "wrong") answers.push(`${code(command.text, 100)} is no command: ${usage}`);
      else {
        const refusal = await this.approvalRefusal(talk, comment, command.commit);
        if (refusal === null) kind = "approval";
        answers.push(refusal ?? approvedText(talk.pull.head, by));
      }
    }
    if (answers.length > 0) await this.reply(talk, comment, kind, answers);
    else await this.react(comment, "eyes");
    return commands.some((command) => command.kind === "plan");
  }

  /** Why a word does not count, or null. */
  private async approvalRefusal({ pull, own }: Talk, comment: Comment, commit: string | null): Promise<string | null> {
    const head = pull.head.slice(0, 12);
    if (commit !== null && !pull.head.startsWith(commit))
      return `not approved: the newest commit is ${code(head)}, not ${code(commit)}`;
    const plan = own.find(({ marker }) => marker.kind === "plan");
    // What was pushed while somebody wrote is not what they have seen.
    const hasSeen = plan?.marker.head === pull.head && plan.comment.updatedAt < comment.createdAt;
    // Whoever pushes can make a commit whose name begins as another's: a part of a name does not say which one was meant.
    if (commit?.length !== wholeName && !hasSeen)
      return `not approved: there was no plan of ${code(head)} to be seen yet. Look at it, then write \`/stateward approve ${pull.head}\``;
    const refusal = await this.refusalOf(pull, comment.author ?? "");
    return refusal && `not approved: ${refusal}`;
  }

  /** Why somebody cannot approve a pull request, or null. */
  private async refusalOf(pull: PullRequest, by: string): Promise<string | null> {
    if (!(await this.mayWrite(by))) return `${code(by)} may not write to this repository`;
    const authors = await authorsOf(this.options.github, pull);
    if (typeof authors === "string") return `${authors}; an operator can still say \`stateward approve\``;
    return authors.has(by.toLowerCase()) ? "nobody approves a change of their own" : null;
  }

  /** Asked anew each time: rights are taken away, too. What the payload of a comment says of its author is not asked. */
  private async mayWrite(login: string): Promise<boolean> {
    if (!/^[A-Za-z0-9](?:[A-Za-z0-9_-]{0,59})$/.test(login)) return false;
    const route = "GET /collaborators/{username}/permission";
    const found = await this.options.github.orNull(this.options.github.ask(route, { username: login }));
    return found !== null && ["admin", "write"].includes(found.at("permission").text());
  }

  private async hold(
    { number }: PullRequest,
    login: string,
    { select, reason }: Command & { kind: "hold" },
  ): Promise<string> {
    try {
      const by = `${login} (pull request ${number})`;
      const held = await this.options.coordination.hold({ select, reason, by, until: null });
      const hosts = held.hosts === 1 ? "1 host" : `${held.hosts} hosts`;
      return `${code(held.select)} is held: ${hosts}. It is lifted by \`stateward release\``;
    } catch (error) {
      return `not held: ${code(messageOf(error), 300)}`;
    }
  }

  private async reply(
    { pull }: Talk,
    comment: Comment,
    kind: Marker["kind"],
    answers: readonly string[],
  ): Promise<void> {
    const marker = markerLine({ kind, head: pull.head, comment: comment.id, by: comment.author ?? "" });
    const body = `${marker}\n${answers.length === 1 ? answers.join("") : answers.map((answer) => `- ${answer}`).join("\n")}\n`;
    await this.options.github.ask("POST /issues/{issue_number}/comments", { issue_number: pull.number, body });
    this.settle(comment);
  }

  private async react(comment: Comment, content: "eyes" | "confused"): Promise<void> {
    await this.options.github.ask("POST /issues/comments/{comment_id}/reactions", { comment_id: comment.id, content });
    this.settle(comment);
  }

  private async isReactedTo({ id }: Comment): Promise<boolean> {
    const self = await this.options.github.login();
    const route = "GET /issues/comments/{comment_id}/reactions";
    return (
      (await this.options.github.find(route, { comment_id: id }, (entry) => loginOf(entry.at("user")) === self)) !==
      null
    );
  }

  private settle({ id }: Comment): void {
    if (this.settled.size >= settledMax) this.settled.clear();
    this.settled.add(id);
  }
}

const settledMax = 100_000;

function approvedText(head: string, by: string): string {
  return `${code(by)} approves ${code(head.slice(0, 12))}. The word holds until something else is pushed`;
}
