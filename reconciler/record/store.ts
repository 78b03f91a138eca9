// The record: journal first, then one commit for what changed in a window, pushed as compare-and-swap (D1, D2, D3).
import { assert, Failure, messageOf } from "../model/failure.ts";
import type { LoadedRecord, RecordChange, RecordReader, RecordWriter } from "../model/ports.ts";
import { decodeRecord, encodeRecord, recordFormat, type SubjectRecord } from "../model/record.ts";
import { recordMessage, writeCommit } from "./commit.ts";
import { checkRemote, type Git, gitFailure, withoutCredentials } from "./git.ts";
import { Journal, type JournalEntry } from "./journal.ts";
import { headFile, recordPath } from "./layout.ts";
import { fetchBranch, listRemote, observedRef } from "./mirror.ts";

/** The commit that is being pushed: it survives a crash, so that a retry pushes the same object. */
const pendingRef = "refs/stateward/pending";
/** The last commit of ours that the remote accepted. */
const pushedRef = "refs/stateward/pushed";

export interface StoreOptions {
  readonly git: Git;
  readonly remote: string;
  readonly journalDir: string;
  /** What changes within this time becomes one commit. Asked for at the start of each window. */
  readonly windowMs: () => number;
  /** Called once when someone else has written the record: nothing may be done on its ground any more (D3). */
  readonly onFenced: (message: string) => void;
  readonly onNotice: (message: string) => void;
}

export class GitRecord implements RecordReader, RecordWriter {
  private readonly options: StoreOptions;
  private journal: Journal | null = null;
  private dirty = new Map<string, RecordChange>();
  private summaries: string[] = [];
  private tip: string | null = null;
  private epoch = 0;
  private timer: NodeJS.Timeout | null = null;
  private cycle: Promise<void> = Promise.resolve();
  private next: Promise<void> | null = null;
  private failures = 0;
  private recovered = false;
  private batch: { readonly commit: string; readonly cut: number } | null = null;
  private fenced = false;

  constructor(options: StoreOptions) {
    this.options = options;
  }

  /** Reads the record from the repository, applies the journal to it, and takes the lead with a commit of its own epoch. */
  async load(): Promise<LoadedRecord> {
    const { git } = this.options;
    this.tip = await this.fetchTip();
    const mine = await this.isMine(this.tip);
    const { journal, entries } = await Journal.open(this.options.journalDir);
    this.journal = journal;
    const { subjects, epoch } = await readRecord(git, this.tip);
    this.epoch = epoch;
    if (mine) this.applyJournal(subjects, entries);
    else {
      if (entries.length > 0)
        this.options.onNotice(
          `the record was written by someone else since: our journal is kept in ${await journal.setAside()}`,
        );
      await this.takeOver();
    }
    if (this.dirty.size > 0) this.schedule();
    return { subjects: [...subjects.values()], epoch: this.epoch };
  }

  append(change: RecordChange): Promise<void> {
    if (this.fenced || !this.journal) return Promise.reject(fencedFailure());
    const { record, summary, desired } = change;
    this.dirty.set(record.name, change);
    if (summary !== null) this.summaries.push(...summary.split("\n"));
    this.schedule();
    return this.journal.append({ record, summary, desired });
  }

  /** Commits and pushes now. Rejects while the remote cannot be reached: everything stays in the journal. */
  flush(): Promise<void> {
    if (this.timer) clearTimeout(this.timer);
    this.timer = null;
    // Whoever asks before a cycle has begun shares it: many steps that wait for their push wait for one.
    if (this.next) return this.next;
    const run = this.cycle.then(() => {
      this.next = null;
      return this.commitAndPush();
    });
    this.next = run;
    this.cycle = run.catch(() => {});
    return run;
  }

  async close(): Promise<void> {
    if (this.timer) clearTimeout(this.timer);
    await this.cycle;
    await this.journal?.close();
  }

  private async fetchTip(): Promise<string | null> {
    const { git, remote } = this.options;
    const { observed } = await listRemote(git, remote);
    if (observed === null) {
      const known = (await git.resolve(pushedRef)) ?? (await git.resolve(observedRef));
      if (known === null) return null;
      throw rewound("the branch observed is gone from the remote");
    }
    if (!(await fetchBranch(git, remote, "observed"))) {
      throw rewound("the branch observed was rewound or rewritten");
    }
    return observed;
  }

  /** True when the remote's tip is the last commit that this folder pushed, or was pushing when it was interrupted. */
  private async isMine(tip: string | null): Promise<boolean> {
    const { git } = this.options;
    const pending = await git.resolve(pendingRef);
    const pushed = await git.resolve(pushedRef);
    if (tip !== null && tip === pending) {
      await git.run(["update-ref", pushedRef, tip]);
      return true;
    }
    return tip !== null && tip === pushed;
  }

  private applyJournal(subjects: Map<string, SubjectRecord>, entries: readonly JournalEntry[]): void {
    for (const { record, summary, desired } of entries) {
      const subject = decodeRecord(encodeRecord(record as SubjectRecord), "in the journal");
      subjects.set(subject.name, subject);
      this.dirty.set(subject.name, { record: subject, summary, desired });
      if (summary !== null) this.summaries.push(...summary.split("\n"));
    }
  }

  /** Raises the epoch on top of the tip. Exactly one of those who try is accepted; the others are refused, and stop. */
  private async takeOver(): Promise<void> {
    const { git } = this.options;
    this.epoch += 1;
    const message = `lead: epoch ${this.epoch}\n\nActor: reconciler\nEpoch: ${this.epoch}\n`;
    const content = `${JSON.stringify({ format: recordFormat, epoch: this.epoch }, null, 2)}\n`;
    const commit = await writeCommit(git, {
      ref: pendingRef,
      parent: this.tip,
      message,
      files: [{ path: headFile, content }],
      timeSeconds: seconds(),
    });
    await this.push(commit);
  }

  private schedule(): void {
    if (this.timer || this.fenced) return;
    const windowMs = Math.max(this.options.windowMs(), Math.min(60_000, this.failures * 1000));
    this.timer = setTimeout(() => {
      this.flush().catch((error: unknown) => {
        if (this.fenced) return;
        this.options.onNotice(
          `the record could not be pushed: ${messageOf(error)}; it is in the journal, and will be tried again`,
        );
        this.schedule();
      });
    }, windowMs);
    // The window alone keeps no process alive: whoever wants the rest pushed asks for a flush.
    this.timer.unref();
  }

  private async commitAndPush(): Promise<void> {
    if (this.fenced || !this.journal) throw fencedFailure();
    await this.retryPending();
    await this.pushBatch();
    if (this.dirty.size === 0) return;
    const cut = await this.journal.rotate();
    const changes = [...this.dirty.values()].toSorted((a, b) => (a.record.name < b.record.name ? -1 : 1));
    const { summaries, dirty } = this;
    this.dirty = new Map();
    this.summaries = [];
    try {
      this.batch = { commit: await this.write(changes, summaries), cut };
    } catch (error) {
      // What changed meanwhile is newer than what could not be written.
      this.dirty = new Map([...dirty, ...this.dirty]);
      this.summaries = [...summaries, ...this.summaries];
      throw error;
    }
    await this.pushBatch();
  }

  /** Pushes the commit that waits, if there is one; the journal is cut only when the remote has it. */
  private async pushBatch(): Promise<void> {
    const { batch } = this;
    if (batch === null) return;
    this.failures += 1;
    if (await this.saysSomething(batch.commit)) await this.push(batch.commit);
    this.batch = null;
    this.failures = 0;
    await this.journal?.cut(batch.cut);
  }

  /** False for a commit whose tree is the tip's: after a crash the journal may repeat what the tip already has. */
  private async saysSomething(commit: string): Promise<boolean> {
    if (this.tip === null) return true;
    const { git } = this.options;
    const [ours, known] = [await git.resolve(`${commit}^{tree}`), await git.resolve(`${this.tip}^{tree}`)];
    assert(ours !== null && known !== null, "both commits are in the mirror");
    return ours !== known;
  }

  private write(changes: readonly RecordChange[], summaries: readonly string[]): Promise<string> {
    const files = changes.map(({ record }) => ({
      path: recordPath(record.kind, record.name),
      content: encodeRecord(record),
    }));
    const subjects = changes.map(({ record }) => record.name);
    const message = recordMessage({ summaries, subjects, desired: changes.at(-1)?.desired ?? "", epoch: this.epoch });
    return writeCommit(this.options.git, { ref: pendingRef, parent: this.tip, message, files, timeSeconds: seconds() });
  }

  /** After a crash: a commit whose push was not confirmed is pushed again as the same object, so that a lost reply does no harm. */
  private async retryPending(): Promise<void> {
    if (this.recovered) return;
    const { git } = this.options;
    const pending = await git.resolve(pendingRef);
    const parent = pending === null ? null : await git.resolve(`${pending}^`);
    if (pending !== null && pending !== this.tip && parent === this.tip) await this.push(pending);
    this.recovered = true;
  }

  /** Compare-and-swap: the commit stands on the tip that we know, so it is a fast-forward only while nobody else wrote. */
  private async push(commit: string): Promise<void> {
    const { git, remote } = this.options;
    const result = await git.try(
      ["push", "--porcelain", "--no-verify", "--", checkRemote(remote), `${commit}:refs/heads/observed`],
      { timeoutMs: 120_000 },
    );
    if (result.exit !== 0) {
      if (!/^!.*\[(rejected|remote rejected)\]/m.test(result.stdout)) throw gitFailure(["push"], result);
      await this.afterRefusal(commit, withoutCredentials(result.stdout));
    }
    await git.run(["update-ref", "--stdin"], {
      input: `update ${pushedRef} ${commit}\nupdate ${observedRef} ${commit}\n`,
    });
    this.tip = commit;
  }

  /** A refused push means that someone else wrote: unless it was an earlier try of this very commit, stop. */
  private async afterRefusal(commit: string, answer: string): Promise<void> {
    const { git, remote } = this.options;
    const { observed } = await listRemote(git, remote);
    if (observed === commit) return;
    if (observed === this.tip)
      throw new Failure("transient", `the remote refused the push: ${answer.trim()}`, {
        reason: "PushRefused",
        hint: "check its hooks and permissions",
      });
    this.fenced = true;
    const message = "another reconciler has written the record: this one stops";
    this.options.onFenced(message);
    throw fencedFailure();
  }
}

function rewound(message: string): Failure {
  return new Failure("stalled", message, {
    reason: "RecordRewound",
    hint: "find out who did it, and put the branch back; to accept it as it is, remove the folders mirror.git and journal, and start again",
  });
}

function fencedFailure(): Failure {
  return new Failure("stalled", "another reconciler has written the record", {
    reason: "Fenced",
    hint: "let one lead; start this one again to take over",
  });
}

function seconds(): number {
  return Math.floor(Date.now() / 1000);
}

/** Every record at a commit of `observed`, and the epoch; nothing for a repository without a record. */
export async function readRecord(
  git: Git,
  commit: string | null,
): Promise<{ subjects: Map<string, SubjectRecord>; epoch: number }> {
  const subjects = new Map<string, SubjectRecord>();
  if (commit === null) return { subjects, epoch: 0 };
  const tree = await git.tree(commit, []);
  const texts = await git.blobs(tree.map(({ id }) => id));
  let epoch = 0;
  for (const { path, id } of tree) {
    const text = texts.get(id) ?? "";
    if (path === headFile) epoch = readHead(text);
    else if (path.startsWith("hosts/") || path.startsWith("groups/")) {
      const record = decodeRecord(text, `${path} at ${commit.slice(0, 8)}`);
      subjects.set(record.name, record);
    }
  }
  return { subjects, epoch };
}

function readHead(text: string): number {
  const { format, epoch } = JSON.parse(text) as { format: number; epoch: number };
  if (format > recordFormat) {
    throw new Failure("stalled", `the record has format ${format}; this program knows ${recordFormat}`, {
      reason: "NewerRecord",
      hint: "install a newer stateward",
    });
  }
  return epoch;
}
