// The record: journal first, then one commit for what changed in a window, pushed as compare-and-swap (D1, D2, D3).
import { Failure, messageOf } from "../model/failure.ts";
import type { LoadedRecord, RecordChange, RecordReader, RecordStatus, RecordWriter } from "../model/ports.ts";
import { decodeRecord, encodeRecord, recordFormat, recordLimits, type SubjectRecord } from "../model/record.ts";
import { commitObject, foldersOf, planCommit, recordMessage, writeCommit } from "./commit.ts";
import { archivePrefix, archiveRef, follow } from "./follow.ts";
import type { Git } from "./git.ts";
import { Journal, type JournalEntry } from "./journal.ts";
import { headFile, recordPath } from "./layout.ts";
import {
  defaultPace,
  fetchSign,
  type Leadership,
  type Pace,
  type SignOfLife,
  Silence,
  signsOf,
  standingBy,
} from "./leader.ts";
import { markDamaged } from "./mirror.ts";
import { missing } from "./objects.ts";
import { type NewObject, writePack } from "./pack.ts";
import { observedRef, pendingRef, writeRef } from "./refs.ts";
import { isCorrupt, type Listing, leaderRef, type Remote, unreachable } from "./remote.ts";
import { Since } from "./since.ts";
import type { TipsFile } from "./tips.ts";
import { Folders } from "./tree.ts";

export interface StoreOptions {
  readonly git: Git;
  readonly remote: Remote;
  readonly tips: TipsFile;
  readonly journalDir: string;
  readonly leadership: Leadership;
  /** What changes within this time becomes one commit. Asked for at the start of each window. */
  readonly windowMs: () => number;
  /** Called once when this one may not write the record any more: nothing may be done on its ground (D3, D6). */
  readonly onFenced: (message: string) => void;
  readonly onNotice: (message: string) => void;
  /** What whoever is on call must know; each thing once. */
  readonly onAlert: (message: string) => void;
}

/** A journal beyond this is written anew with the last word on each subject. */
const journalBytesMax = 64_000_000;
/** A remote that did not answer is not asked again for a lease within this time. */
const askAgainMs = 10_000;

/** A remote that refuses the first push this often refuses all of them. */
const startTriesMax = 5;

interface Batch {
  readonly commit: string;
  /** Last segment of the journal that the commit covers. */
  readonly cut: number;
  readonly changes: readonly RecordChange[];
}

export class GitRecord implements RecordReader, RecordWriter {
  private readonly options: StoreOptions;
  private readonly pace: Pace;
  private journal: Journal | null = null;
  private dirty = new Map<string, RecordChange>();
  private summaries: string[] = [];
  private folders = Folders.empty();
  private tip: string | null = null;
  private epoch = 0;
  private batch: Batch | null = null;
  private role: RecordStatus["role"] = "starting";
  private leader: SignOfLife | null = null;
  private message = "";
  private signs: readonly NewObject[] = [];
  private beats = 0;
  private areSignsTaken = true;
  private lastFailed = false;
  private hasToldFailure = false;
  private confirmed = new Since();
  private asked = new Since();
  private asking: Promise<void> | null = null;
  private alerted = 0;
  private timer: NodeJS.Timeout | null = null;
  private beatTimer: NodeJS.Timeout | null = null;
  private cycle: Promise<void> = Promise.resolve();
  private next: Promise<void> | null = null;
  private failures = 0;
  private isLate = false;
  private isCompacting = false;
  private wakeUp: (() => void) | null = null;
  /** Resolves when it is known that this one does not lead at once. */
  readonly waiting: Promise<void>;
  private nowWaiting: () => void = () => {};

  constructor(options: StoreOptions) {
    this.waiting = new Promise((resolve) => {
      this.nowWaiting = resolve;
    });
    this.options = options;
    this.pace = options.leadership.pace ?? defaultPace;
  }

  /**
   * Takes the lead, and reads the record with the journal applied to it. While another leads, it stands by; while the history is in
   * doubt, it waits for a person. Rejects when the remote cannot be reached at first, and when it is closed meanwhile.
   */
  async load(): Promise<LoadedRecord> {
    const silence = new Silence();
    for (let failures = 0; ; ) {
      try {
        const loaded = (await this.mayLead(silence)) ? await this.lead() : null;
        if (loaded !== null) return loaded;
        failures = 0;
      } catch (error) {
        // A remote that never answered, or refuses every push, needs somebody who looks at it; one that fails now and then does not.
        failures++;
        const isHopeless = this.role === "starting" && (failures >= startTriesMax || !isRefusal(error));
        if (isHopeless || !isTransient(error)) throw error;
        this.wait(this.role, unreachable(error));
      }
      await this.pause(this.pace.lookMs);
      if (this.role === "ended") throw new Failure("waiting", "the reconciler is stopping", { reason: "Stopping" });
    }
  }

  status(): RecordStatus {
    const { role, epoch, leader, message } = this;
    const behindMs = role === "leading" ? this.confirmed.ms() : 0;
    return { role, epoch, leader, message, behindMs, unpushed: this.dirty.size + (this.batch?.changes.length ?? 0) };
  }

  async append(change: RecordChange): Promise<void> {
    if (this.confirmed.ms() > this.pace.leaseMs && this.role === "leading") await this.confirm();
    const journal = this.writable();
    const { record, summary, desired } = change;
    this.dirty.set(record.name, change);
    if (summary !== null) this.summaries.push(...summary.split("\n"));
    this.schedule();
    const written = journal.append({ record, summary, desired });
    if (journal.bytes > journalBytesMax && !this.isCompacting) void this.compact(journal);
    return written;
  }

  /** Commits and pushes now. Rejects while the remote cannot be reached: everything stays in the journal. */
  flush(): Promise<void> {
    if (this.timer) clearTimeout(this.timer);
    this.timer = null;
    // Whoever asks before a cycle has begun shares it: many steps that wait for their push wait for one.
    if (this.next) return this.next;
    const run = this.inCycle(() => {
      this.next = null;
      return this.commitAndPush();
    });
    this.next = run;
    return run;
  }

  /** Says to those who stand by that this leader has ended in order. Whether they hear it changes nothing. */
  async release(): Promise<void> {
    if (this.role !== "leading" || this.dirty.size > 0) return;
    this.beats = this.signs.length - 1;
    await this.inCycle(() => this.beat()).catch(() => {});
  }

  async close(): Promise<void> {
    if (this.role !== "leading") this.role = "ended";
    this.wakeUp?.();
    for (const timer of [this.timer, this.beatTimer]) if (timer) clearTimeout(timer);
    await this.cycle;
    this.role = "ended";
    await this.journal?.close();
    this.options.git.objects.close();
    this.options.remote.close();
  }

  /** A listing that was made for something else: it may say that the record has moved under a leader's feet. */
  heard(listing: Listing): void {
    if (this.role !== "leading" || listing.observed === this.tip || listing.observed === this.batch?.commit) return;
    this.inCycle(() => this.beat()).catch(() => {});
  }

  /**
   * Gives `observed` a new root with the same files. What was there stays on a branch that the root names. Resolves to that branch.
   */
  async archive(now: Date): Promise<string> {
    await this.flush();
    return new Promise((resolve, reject) => {
      this.inCycle(() => this.startAnew(now).then(resolve)).catch(reject);
    });
  }

  private inCycle(work: () => Promise<void>): Promise<void> {
    const run = this.cycle.then(work);
    this.cycle = run.catch(() => {});
    return run;
  }

  private writable(): Journal {
    if (this.role === "leading" && this.journal) return this.journal;
    if (this.role === "standby") throw standingBy(this.leader);
    throw fencedFailure(this.message);
  }

  // Taking the lead

  /** Looks at the remote once: true when this one may lead, or try to. */
  private async mayLead(silence: Silence): Promise<boolean> {
    const { git, remote, tips, leadership } = this.options;
    const listing = await remote.list();
    const trouble = await follow({ git, remote, tips }, "observed", listing.observed);
    if (trouble !== null) {
      this.wait("history", trouble);
      return false;
    }
    this.tip = tips.now.observed;
    if (this.tip === null || leadership.takeOver || (await this.isMine())) return true;
    if (listing.leader === null) return true;
    this.leader = await fetchSign(git, remote, listing.leader);
    if (this.leader?.released || this.leader?.instance === leadership.instance) return true;
    const silentMs = silence.note(listing.leader, performance.now());
    if (silentMs >= this.pace.patienceMs) {
      this.options.onNotice(`the leader was silent for ${Math.round(silentMs / 1000)} s: taking over`);
      return true;
    }
    this.wait("standby", standingBy(this.leader).message);
    return false;
  }

  private wait(role: RecordStatus["role"], message: string): void {
    if (this.role === "ended") return;
    if (message !== this.message) (role === "history" ? this.options.onAlert : this.options.onNotice)(message);
    this.role = role;
    this.message = message;
    if (role !== "starting") this.nowWaiting();
  }

  private pause(ms: number): Promise<void> {
    if (this.role === "ended") return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.wakeUp = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Reads the record at the tip and leads on top of it; null when another was quicker. */
  private async lead(): Promise<LoadedRecord | null> {
    const { git, journalDir, onNotice } = this.options;
    const isMine = await this.isMine();
    // Before the next commit takes the place of the one by which it was recognised.
    if (isMine) await this.options.tips.save({ pushed: this.tip });
    const base = isMine ? await this.interrupted() : this.tip;
    const { subjects, epoch, folders } = await readRecord(git, base);
    this.folders = folders;
    this.epoch = epoch;
    const opened = this.journal ? null : await Journal.open(journalDir);
    this.journal ??= opened?.journal ?? null;
    const entries = opened?.entries ?? [];
    if (isMine) this.applyJournal(subjects, entries);
    else if (entries.length > 0 && this.journal) {
      onNotice(`the record was written by someone else since: our journal is kept in ${await this.journal.setAside()}`);
    }
    if (!isMine && !(await this.takeOver())) return null;
    await this.begin(isMine && base !== this.tip ? base : null);
    return { subjects: [...subjects.values()], epoch: this.epoch };
  }

  /** True when the remote's tip is the last commit that this folder pushed, or was pushing when it was interrupted. */
  private async isMine(): Promise<boolean> {
    if (this.tip === null) return false;
    return this.tip === this.options.tips.now.pushed || this.tip === (await this.options.git.resolve(pendingRef));
  }

  /** After a crash: a commit on the tip whose push was not confirmed. It is pushed again as the same object, so a lost reply does no harm. */
  private async interrupted(): Promise<string | null> {
    const { git } = this.options;
    const pending = await git.objects.read(pendingRef);
    const parent = /^parent ([0-9a-f]{40})$/m.exec(pending?.data.toString() ?? "")?.[1];
    return pending !== null && parent === this.tip ? pending.id : this.tip;
  }

  private applyJournal(subjects: Map<string, SubjectRecord>, entries: readonly JournalEntry[]): void {
    for (const { record, summary, desired } of entries) {
      const subject = decodeRecord(encodeRecord(record as SubjectRecord), "in the journal");
      subjects.set(subject.name, subject);
      this.dirty.set(subject.name, { record: subject, summary, desired });
      if (summary !== null) this.summaries.push(...summary.split("\n"));
    }
  }

  /** Raises the epoch on top of the tip. Exactly one of those who try is accepted; false for the others. */
  private async takeOver(): Promise<boolean> {
    const { git, tips, leadership } = this.options;
    const epoch = Math.max(this.epoch, tips.now.epoch) + 1;
    const message = `lead: epoch ${epoch}\n\nActor: reconciler\nLeader: ${leadership.host}\nEpoch: ${epoch}\n`;
    const content = `${JSON.stringify({ format: recordFormat, epoch }, null, 2)}\n`;
    const files = [{ path: headFile, content }];
    const parts = { parent: this.tip, message, timeSeconds: seconds() };
    const commit = await writeCommit(git, this.folders, { ref: pendingRef, files, ...parts });
    await this.prepareSigns(epoch);
    this.epoch = epoch;
    return this.push(commit);
  }

  private async prepareSigns(epoch: number): Promise<void> {
    if (!this.areSignsTaken) return;
    this.signs = signsOf(this.options.leadership, epoch);
    await writePack(this.options.git.dir, this.signs);
  }

  private async begin(interrupted: string | null): Promise<void> {
    if (this.role === "ended") return;
    const { leadership } = this.options;
    if (this.signs.length === 0) await this.prepareSigns(this.epoch);
    this.role = "leading";
    this.message = "";
    this.leader = { ...leadership, epoch: this.epoch, beat: 0, released: false };
    this.confirmed = new Since();
    if (interrupted !== null) this.batch = { commit: interrupted, cut: 0, changes: [] };
    if (this.dirty.size > 0 || this.batch !== null) this.schedule();
    this.beatTimer = setInterval(() => this.tick(), Math.min(1000, this.pace.beatMs)).unref();
  }

  // While leading

  /** Tells what is late, and pushes a sign of life when nothing else was pushed for a while. */
  private tick(): void {
    const behindMs = this.confirmed.ms();
    // A leader that was stopped for a while has tried nothing yet.
    if (this.lastFailed || behindMs < this.pace.beatMs) this.tellBrakes(behindMs);
    if (behindMs < this.pace.beatMs || this.asked.ms() < this.pace.beatMs / 2) return;
    this.asked = new Since();
    this.inCycle(() => this.beat()).catch(() => {});
  }

  private tellBrakes(behindMs: number): void {
    const { onAlert, onNotice } = this.options;
    const level = behindMs > recordLimits.allBehindMs ? 2 : behindMs > recordLimits.onceBehindMs ? 1 : 0;
    if (level > this.alerted) {
      const what = level === 2 ? "no step is started" : "no step marked never is started";
      onAlert(
        `the record could not be pushed for ${Math.round(behindMs / 1000)} s: ${what} until it is; ${this.status().unpushed} changes wait in the journal`,
      );
    }
    if (level === 0 && (this.alerted > 0 || (this.hasToldFailure && !this.lastFailed))) {
      onNotice("the record is pushed again");
      this.hasToldFailure = false;
    }
    this.alerted = level;
  }

  /** Pushes the tip, which is there already, with a new sign of life: refused when someone else leads. */
  private async beat(): Promise<void> {
    if (this.role !== "leading" || this.tip === null) return;
    if (this.batch !== null) return this.pushBatch();
    if (!(await this.push(this.tip))) throw fencedFailure(this.message);
  }

  /** Asks the remote whether this one still leads: it may have been stopped for a while, and another may have taken over. */
  private confirm(): Promise<void> {
    // A remote that is down lets nobody take over either: then reconciling goes on, and the journal keeps what happens.
    if (this.asking === null && this.failures > 0 && this.asked.ms() < askAgainMs) return Promise.resolve();
    this.asking ??= this.inCycle(() => this.beat())
      .catch(() => {})
      .finally(() => {
        this.asked = new Since();
        this.asking = null;
      });
    return this.asking;
  }

  private schedule(): void {
    if (this.timer || this.role !== "leading") return;
    const windowMs = Math.max(this.options.windowMs(), Math.min(60_000, this.failures * 1000));
    this.timer = setTimeout(() => {
      this.flush().catch((error: unknown) => {
        if (this.role !== "leading") return;
        if (!this.hasToldFailure)
          this.options.onNotice(
            `the record could not be pushed: ${unreachable(error)}; it is in the journal, and is tried again until it is`,
          );
        this.hasToldFailure = true;
        this.schedule();
      });
    }, windowMs);
    // The window alone keeps no process alive: whoever wants the rest pushed asks for a flush.
    this.timer.unref();
  }

  private async commitAndPush(): Promise<void> {
    const journal = this.writable();
    const began = new Since();
    await this.pushBatch();
    if (this.dirty.size > 0) {
      const cut = await journal.rotate();
      const { summaries, dirty } = this;
      this.dirty = new Map();
      this.summaries = [];
      try {
        this.batch = await this.write([...dirty.values()], summaries, cut);
      } catch (error) {
        // What changed meanwhile is newer than what could not be written.
        this.dirty = new Map([...dirty, ...this.dirty]);
        this.summaries = [...summaries, ...this.summaries];
        throw error;
      }
      await this.pushBatch();
    }
    this.tellLate(began.ms());
  }

  /** Says, once, that changes come faster than they can be pushed: each subject waits once, with its latest record. */
  private tellLate(tookMs: number): void {
    const isLate = tookMs > Math.max(this.options.windowMs(), 1000) && this.dirty.size > 0;
    if (isLate && !this.isLate) {
      this.options.onNotice(
        `the record is behind: a push took ${(tookMs / 1000).toFixed(1)} s, and ${this.dirty.size} subjects wait for the next one`,
      );
    }
    this.isLate = isLate;
  }

  /** Pushes the commit that waits, if there is one; the journal is cut only when the remote has it. */
  private async pushBatch(): Promise<void> {
    const { batch } = this;
    if (batch === null) return;
    if (batch.commit !== this.tip && !(await this.push(batch.commit))) throw fencedFailure(this.message);
    this.batch = null;
    if (batch.cut > 0) await this.journal?.cut(batch.cut);
  }

  /** One commit on the tip; the tip itself when the changes say nothing new, as after a crash. */
  private async write(changes: readonly RecordChange[], summaries: readonly string[], cut: number): Promise<Batch> {
    const { git } = this.options;
    const { folders, tip: parent, epoch } = this;
    const files = changes.map(({ record }) => ({
      path: recordPath(record.kind, record.name),
      content: encodeRecord(record),
    }));
    const { plan, objects } = planCommit(folders, { files });
    if (plan.id === folders.id && parent !== null) return { commit: parent, cut, changes };
    const subjects = changes.map(({ record }) => record.name).toSorted();
    const desired = changes.at(-1)?.desired ?? "";
    const message = recordMessage({ summaries, subjects, desired, epoch });
    const commit = commitObject(plan.id, { parent, message, timeSeconds: seconds() });
    await writePack(git.dir, [...objects, commit]);
    await writeRef(git.dir, pendingRef, commit.id);
    folders.adopt(plan);
    return { commit: commit.id, cut, changes };
  }

  /**
   * Compare-and-swap: only from the tip that we know, on which the commit stands. That it is a fast-forward would not do: it is one
   * from a branch that was rewound as well. False when someone else wrote. Throws a Failure when it is not known what became of it: the same commit is to be pushed again.
   */
  private async push(commit: string): Promise<boolean> {
    const { git, remote, tips } = this.options;
    const began = new Since();
    this.failures++;
    const sign = this.signs[this.beats];
    // The last sign is for the end.
    if (this.beats < this.signs.length - 1) this.beats = (this.beats + 1) % (this.signs.length - 1);
    const branch = `${commit}:refs/heads/observed`;
    const from = `--force-with-lease=refs/heads/observed:${this.tip ?? ""}`;
    const refspecs = [branch, ...(sign ? [`+${sign.id}:${leaderRef}`] : [])];
    const result = await remote.push(refspecs, [from]).catch((error: unknown) => this.pushFailed(error));
    if (result.kind === "refused" && result.ref === leaderRef) {
      this.options.onNotice(
        `the remote does not take ${leaderRef} (${result.message}): who stands by cannot see that this one lives`,
      );
      this.signs = [];
      this.areSignsTaken = false;
      return this.push(commit);
    }
    if (result.kind === "refused" && !(await this.isThere(commit, result.message))) return false;
    this.succeeded(began);
    if (commit === this.tip && tips.now.pushed === commit) return true;
    await writeRef(git.dir, observedRef, commit);
    await tips.save({ observed: commit, pushed: commit, epoch: Math.max(tips.now.epoch, this.epoch) });
    this.tip = commit;
    return true;
  }

  private succeeded(began: Since): void {
    const wasDown = this.lastFailed;
    this.failures = 0;
    this.lastFailed = false;
    this.confirmed = began;
    if (!wasDown || !this.timer) return;
    // What waits for a distant try goes at the pace of the window again.
    clearTimeout(this.timer);
    this.timer = null;
    this.schedule();
  }

  private async pushFailed(error: unknown): Promise<never> {
    this.lastFailed = true;
    if (isCorrupt(error)) {
      // The next start fetches it afresh, and the journal has what was not pushed.
      await markDamaged(this.options.git);
      this.fence(`the mirror is damaged: ${messageOf(error)}`);
    }
    throw error;
  }

  /** A refused push means that someone else wrote: unless it was an earlier try of this very commit, step down. */
  private async isThere(commit: string, answer: string): Promise<boolean> {
    const { git, remote, tips } = this.options;
    const { observed } = await remote.list();
    if (observed === commit) return true;
    if (observed === this.tip) {
      throw new Failure("transient", `the remote refused the push: ${answer.trim()}`, {
        reason: "PushRefused",
        hint: "check its hooks and permissions",
      });
    }
    const trouble = await follow({ git, remote, tips }, "observed", observed);
    if (this.role === "leading")
      this.fence(trouble ?? "another reconciler has written the record: this one steps down");
    return false;
  }

  private fence(message: string): void {
    if (this.role === "ended") return;
    this.role = "ended";
    this.message = message;
    if (this.beatTimer) clearInterval(this.beatTimer);
    this.options.onFenced(message);
  }

  private async compact(journal: Journal): Promise<void> {
    this.isCompacting = true;
    const latest = (): JournalEntry[] =>
      [...(this.batch?.changes ?? []), ...this.dirty.values()].map(({ record, desired }) => ({
        record,
        summary: null,
        desired,
      }));
    await journal.compact(latest).catch((error: unknown) => this.options.onNotice(messageOf(error)));
    this.isCompacting = false;
  }

  private async startAnew(now: Date): Promise<string> {
    const { git, remote } = this.options;
    const old = this.tip;
    if (old === null || this.role !== "leading") throw fencedFailure(this.message);
    const branch = `${archivePrefix}${now.toISOString().slice(0, 10)}-${old.slice(0, 12)}`;
    const kept = await remote.push([`${old}:refs/heads/${branch}`]);
    if (kept.kind === "refused") {
      throw new Failure("stalled", `the remote does not take the branch ${branch}: ${kept.message}`, {
        reason: "ArchiveRefused",
        hint: "allow this reconciler to make branches below observed-archive/",
      });
    }
    await writeRef(git.dir, archiveRef(branch), old);
    const message = `archive: a new root with the same files\n\nActor: reconciler\nArchived: ${old}\nArchive-branch: ${branch}\nEpoch: ${this.epoch}\n`;
    const root = commitObject(this.folders.id, { parent: null, message, timeSeconds: seconds() });
    await writePack(git.dir, [root]);
    await writeRef(git.dir, pendingRef, root.id);
    // The one push there is that is no fast-forward: like every other, only from exactly the tip that we know.
    if (!(await this.push(root.id))) throw fencedFailure(this.message);
    return branch;
  }
}

/** A push that the remote refused though nobody else wrote: another push may have held a lock there. */
function isRefusal(error: unknown): boolean {
  return error instanceof Failure && error.reason === "PushRefused";
}

function isTransient(error: unknown): boolean {
  return error instanceof Failure && (error.kind === "transient" || error.kind === "waiting");
}

function fencedFailure(message: string): Failure {
  return new Failure("stalled", message === "" ? "this reconciler does not lead" : message, {
    reason: "Fenced",
    hint: "send it again to the reconciler that leads",
  });
}

function seconds(): number {
  return Math.floor(Date.now() / 1000);
}

/** Every record at a commit of `observed`, its folders, and the epoch; nothing for a repository without a record. */
export async function readRecord(
  git: Git,
  commit: string | null,
): Promise<{ subjects: Map<string, SubjectRecord>; epoch: number; folders: Folders }> {
  const subjects = new Map<string, SubjectRecord>();
  const folders = await foldersOf(git, commit);
  if (commit === null) return { subjects, epoch: 0, folders };
  const files = [...folders.files()].filter(({ path }) => path === headFile || /^(hosts|groups)\//.test(path));
  let epoch = 0;
  await git.objects.each(
    files.map(({ id }) => id),
    (object, index) => {
      const { path = "", id = "" } = files[index] ?? {};
      if (object?.type !== "blob") throw missing(id, object);
      const text = object.data.toString();
      if (path === headFile) epoch = readHead(text);
      else {
        const record = decodeRecord(text, `${path} at ${commit.slice(0, 8)}`);
        subjects.set(record.name, record);
      }
    },
  );
  return { subjects, epoch, folders };
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
