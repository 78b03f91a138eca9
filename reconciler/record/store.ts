// The record: journal first, then one commit for what changed in a window, pushed as compare-and-swap (D1, D2, D3).
import { Failure, messageOf } from "../model/failure.ts";
import type { LoadedRecord, RecordChange, RecordReader, RecordStatus, RecordWriter } from "../model/ports.ts";
import { pullRequestOf } from "../model/pull-request.ts";
import { decodeRecord, encodeRecord, recordFormat, recordLimits, type SubjectRecord } from "../model/record.ts";
import { commitObject, planCommit, recordMessage, Summaries, writeCommit } from "./commit.ts";
import type { CommitSigner } from "./commit-signer.ts";
import type { Disk } from "./disk.ts";
import { archivedBefore, archivePrefix, archiveRef, follow } from "./follow.ts";
import { messageIn, parentOf } from "./git.ts";
import { Journal, type JournalEntry } from "./journal.ts";
import { headFile, recordPath } from "./layout.ts";
import { defaultPace, fetchSign, type Pace, type SignOfLife, Silence, standingBy } from "./leader.ts";
import { markDamaged, recordedCommit } from "./mirror.ts";
import type { NewObject } from "./pack.ts";
import { Publisher, type PublisherOptions } from "./publisher.ts";
import { readRecord } from "./read-record.ts";
import { pendingRef } from "./refs.ts";
import { isCorrupt, type Listing, unreachable } from "./remote.ts";
import { Since, systemTime, type Time } from "./time.ts";
import { Folders } from "./tree.ts";

export interface StoreOptions extends Omit<PublisherOptions, "onDamaged" | "time"> {
  readonly journalDir: string;
  /** Default: this machine's. */
  readonly disk?: Disk;
  /** Default: this machine's. */
  readonly time?: Time;
  /** Signs the commits of the record; default nobody. */
  readonly signer?: CommitSigner;
  /** This process has led before: what fails now and then does not end it. */
  readonly isRestart?: boolean;
  /** What changes within this time becomes one commit. Asked for at the start of each window. */
  readonly windowMs: () => number;
  /** Called once when this one may not write the record any more: nothing may be done on its ground (D3, D6). */
  readonly onFenced: (message: string) => void;
  /** What whoever is on call must know; each thing once. */
  readonly onAlert: (message: string) => void;
}

/** A journal beyond this, and twice what it was when that was last done, is written anew with the last word on each subject. */
const journalBytesMax = 64_000_000;
/** A remote that did not answer is not asked again for a lease within this time. */
const askAgainMs = 10_000;
/** A remote that does not say within this time whether this one leads counts as down. */
const answerWaitMs = 5000;
const closeWaitMs = 5000;
/** A remote that refuses the first push this often refuses all of them. */
const startTriesMax = 5;
/** Records that are encoded before others have their turn. */
const encodedAtOnce = 500;

interface Batch {
  readonly commit: string;
  /** Last segment of the journal that the commit covers. */
  readonly cut: number;
  readonly changes: readonly RecordChange[];
  /** It is a new root: the one commit that a remote may refuse for good, and that can be done without. */
  readonly isRoot?: boolean;
}

export class GitRecord implements RecordReader, RecordWriter {
  /** Resolves when it is known that this one does not lead at once. */
  readonly waiting: Promise<void>;
  private readonly options: StoreOptions;
  private readonly pace: Pace;
  private readonly time: Time;
  private readonly publisher: Publisher;
  private journal: Journal | null = null;
  /** What earlier runs left in the journal. */
  private left: readonly JournalEntry[] = [];
  /** What no commit has yet, latest last. */
  private dirty = new Map<string, RecordChange>();
  /** What is being made a commit of. */
  private writing: readonly RecordChange[] = [];
  /** The commit that waits for its push. */
  private batch: Batch | null = null;
  private summaries = new Summaries();
  private folders = Folders.empty();
  /** Pull request of the commit of `main` that was written about last. */
  private request: { readonly desired: string; readonly number: number | null } = { desired: "", number: null };
  private role: RecordStatus["role"] = "starting";
  private leader: SignOfLife | null = null;
  /** Sign of life that the remote had when it was last looked at. */
  private seenSign: string | null = null;
  private message = "";
  private isClosed = false;
  private loading: Promise<unknown> = Promise.resolve();
  private asked: Since;
  private asking: Promise<void> | null = null;
  private isBeating = false;
  private alerted = 0;
  private hasToldFailure = false;
  /** Takes back the end of the window. */
  private timer: (() => void) | null = null;
  private endBeat: () => void = () => {};
  private cycle: Promise<void> = Promise.resolve();
  private next: Promise<void> | null = null;
  private isLate = false;
  private isCompacting = false;
  private compactFrom = journalBytesMax;
  private wakeUp: () => void = () => {};
  private nowWaiting: () => void = () => {};

  constructor(options: StoreOptions) {
    this.options = options;
    this.pace = options.leadership.pace ?? defaultPace;
    this.time = options.time ?? systemTime;
    this.asked = new Since(this.time);
    const onDamaged = async (message: string): Promise<void> => {
      await markDamaged(options.git);
      this.fence(message);
    };
    this.publisher = new Publisher({ ...options, time: this.time, onDamaged });
    this.waiting = new Promise((resolve) => {
      this.nowWaiting = resolve;
    });
  }

  /**
   * Takes the lead, and reads the record with the journal applied to it. While another leads, it stands by; while the history is in
   * doubt, it waits for a person. Rejects when the remote cannot be reached at first, and when it is closed meanwhile.
   */
  load(): Promise<LoadedRecord> {
    const loading = this.takeTurn();
    this.loading = loading.catch(() => {});
    return loading;
  }

  status(): RecordStatus {
    const { role, leader, message, publisher } = this;
    const behindMs = role === "leading" ? publisher.confirmed.ms() : 0;
    const unpushed = this.dirty.size + this.writing.length + (this.batch?.changes.length ?? 0);
    return { role, epoch: publisher.epoch, leader, message, behindMs, unpushed };
  }

  append(change: RecordChange): Promise<void> {
    if (this.role !== "leading" || this.journal === null) return Promise.reject(this.refusal());
    const { record, summary, desired } = change;
    // The latest last: its commit of `main` is the one that was in force.
    this.dirty.delete(record.name);
    this.dirty.set(record.name, change);
    this.summaries.add(summary);
    this.schedule();
    const written = this.journal.append({ record, summary, desired });
    if (this.journal.bytes > this.compactFrom && !this.isCompacting) void this.compact(this.journal);
    // Another may lead since the last push was accepted: nothing is acknowledged on the strength of an old lease.
    return written.then(() => (this.publisher.confirmed.ms() > this.pace.leaseMs ? this.renewLease() : undefined));
  }

  /** Commits and pushes now. Rejects while the remote cannot be reached: everything stays in the journal. */
  flush(): Promise<void> {
    this.timer?.();
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
    if (this.role !== "leading" || this.status().unpushed > 0) return;
    await this.inCycle(() => this.publisher.end()).catch(() => {});
  }

  /** Ends what is under way. Nothing is pushed that was not being pushed. */
  async close(): Promise<void> {
    this.isClosed = true;
    this.wakeUp();
    this.timer?.();
    this.endBeat();
    // A remote that does not answer is not waited for: whoever is closed begins nothing when it does.
    await this.within(this.loading, closeWaitMs);
    await this.within(this.cycle, closeWaitMs);
    this.role = "ended";
    await this.journal?.close();
    this.options.git.objects.close();
    this.options.remote.close();
  }

  /** A listing that was made for something else: it may say that the record has moved under a leader's feet. */
  heard({ observed }: Listing): void {
    const isKnown = observed === this.publisher.tip || observed === this.batch?.commit;
    if (this.role === "leading" && !isKnown) this.beat();
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

  private refusal(): Failure {
    return this.role === "standby" ? standingBy(this.leader) : notLeading(this.message);
  }

  // Taking the lead

  private async takeTurn(): Promise<LoadedRecord> {
    const silence = new Silence();
    for (let failures = 0; ; ) {
      try {
        const loaded = await this.look(silence);
        if (loaded !== null) return loaded;
        failures = 0;
      } catch (error) {
        // A remote that never answered, or refuses every push, needs somebody who looks at it; one that fails now and then does not.
        failures++;
        const isFirst = this.role === "starting" && this.options.isRestart !== true;
        if (!isTransient(error) || isCorrupt(error) || (isFirst && (failures >= startTriesMax || !isRefusal(error))))
          throw error;
        this.wait(this.role, unreachable(error));
      }
      await this.pause(this.pace.lookMs);
    }
  }

  /** Looks at the remote once, and leads if it may; null when it is to look again later. */
  private async look(silence: Silence): Promise<LoadedRecord | null> {
    if (!(await this.mayLead(silence))) return null;
    this.mustBeOpen();
    return this.lead();
  }

  private async mayLead(silence: Silence): Promise<boolean> {
    const { git, remote, tips, leadership } = this.options;
    const listing = await remote.list();
    const trouble = await follow({ git, remote, tips }, "observed", listing.observed);
    if (trouble !== null) {
      this.wait("history", trouble);
      return false;
    }
    this.publisher.tip = tips.now.observed;
    this.seenSign = listing.leader;
    if (leadership.takeOver || listing.leader === null || this.publisher.tip === null || this.isMine()) return true;
    this.leader = await fetchSign(git, remote, listing.leader);
    if (this.leader !== null) await tips.save({ epoch: Math.max(tips.now.epoch, this.leader.epoch) });
    if (this.leader?.released || this.leader?.instance === leadership.instance) return true;
    const silentMs = silence.note(listing.leader, this.time.monotonic());
    if (silentMs >= this.pace.patienceMs) {
      this.options.onNotice(`the leader was silent for ${Math.round(silentMs / 1000)} s: taking over`);
      return true;
    }
    this.wait("standby", standingBy(this.leader).message);
    return false;
  }

  private wait(role: RecordStatus["role"], message: string): void {
    if (message !== this.message) (role === "history" ? this.options.onAlert : this.options.onNotice)(message);
    this.role = role;
    this.message = message;
    if (role !== "starting") this.nowWaiting();
  }

  private async pause(ms: number): Promise<void> {
    this.mustBeOpen();
    await new Promise<void>((resolve) => {
      const end = this.time.after(ms, resolve);
      this.wakeUp = () => {
        end();
        resolve();
      };
    });
    this.mustBeOpen();
  }

  private mustBeOpen(): void {
    if (this.isClosed) throw new Failure("stalled", "the reconciler is stopping", { reason: "Stopping" });
  }

  /** Reads the record at the tip and leads on top of it; null when another was quicker. */
  private async lead(): Promise<LoadedRecord | null> {
    const { git, tips, onNotice } = this.options;
    const isMine = this.isMine();
    // Before the next commit takes the place of the one by which it was recognised.
    if (isMine) await tips.save({ pushed: this.publisher.tip });
    const base = isMine ? await this.interrupted() : this.publisher.tip;
    const { subjects, epoch, folders } = await readRecord(git, base);
    this.folders = folders;
    const journal = (this.journal ??= await this.openJournal());
    // A try before this one may have applied it: the remote did not answer then, or somebody has written the record since.
    this.dirty.clear();
    this.summaries = new Summaries();
    if (isMine) this.applyJournal(subjects);
    else if (this.left.length > 0) {
      onNotice(`the record was written by someone else since: our journal is kept in ${await journal.setAside()}`);
      this.left = [];
    }
    this.mustBeOpen();
    if (!isMine && !(await this.takeOver(epoch))) return null;
    if (isMine) {
      await this.publisher.begin(epoch, this.seenSign);
      // A standby may be about to take over: it sees this, or this one sees that it has.
      if (base === null || (await this.publisher.push(base)).kind === "theirs") return null;
    }
    this.mustBeOpen();
    this.begin();
    return { subjects: [...subjects.values()], epoch: this.publisher.epoch };
  }

  /** True when the remote's tip is the last commit that this folder pushed, or was pushing when it was interrupted. */
  private isMine(): boolean {
    const { tip } = this.publisher;
    const { pushed, pending } = this.options.tips.now;
    return tip !== null && (tip === pushed || tip === pending);
  }

  /** After a crash: a commit on the tip whose push was not confirmed. It is pushed again as the same object, so a lost reply does no harm. */
  private async interrupted(): Promise<string | null> {
    const { tip } = this.publisher;
    const pending = await this.options.git.objects.read(pendingRef);
    return pending !== null && parentOf(pending.data.toString()) === tip ? pending.id : tip;
  }

  private async openJournal(): Promise<Journal> {
    const { journal, entries, damaged } = await Journal.open(this.options.journalDir, this.options);
    this.left = entries;
    for (const file of damaged)
      this.options.onAlert(
        `the journal was damaged: what could be read of it was taken over, a copy is kept in ${file}`,
      );
    return journal;
  }

  private applyJournal(subjects: Map<string, SubjectRecord>): void {
    for (const { record, summary, desired } of this.left) {
      const subject = decodeRecord(encodeRecord(record as SubjectRecord), "in the journal");
      subjects.set(subject.name, subject);
      this.dirty.delete(subject.name);
      this.dirty.set(subject.name, { record: subject, summary, desired });
      this.summaries.add(summary);
    }
  }

  /** Raises the epoch on top of the tip. Exactly one of those who try is accepted; false for the others. */
  private async takeOver(before: number): Promise<boolean> {
    const { git, tips, leadership } = this.options;
    const epoch = Math.max(before, tips.now.epoch) + 1;
    const message = `lead: epoch ${epoch}\n\nActor: reconciler\nLeader: ${leadership.host}\nTerm: ${this.term}\nEpoch: ${epoch}\n`;
    const content = `${JSON.stringify({ format: recordFormat, epoch }, null, 2)}\n`;
    const files = [{ path: headFile, content }];
    const parts = { parent: this.publisher.tip, message, timeSeconds: this.seconds(), signer: this.options.signer };
    const commit = await writeCommit(git, this.folders, { ref: pendingRef, files, ...parts });
    await this.publisher.begin(epoch, this.seenSign);
    return (await this.publisher.push(commit)).kind === "ours";
  }

  private begin(): void {
    const { leadership } = this.options;
    this.role = "leading";
    this.left = [];
    this.message = "";
    this.leader = { ...leadership, epoch: this.publisher.epoch, beat: 0, released: false };
    if (this.dirty.size > 0) this.schedule();
    const everyMs = Math.min(1000, this.pace.beatMs);
    const again = (): void => {
      this.endBeat = this.time.after(everyMs, again, "idle");
      this.tick();
    };
    this.endBeat = this.time.after(everyMs, again, "idle");
  }

  // While leading

  /** Tells what is late, and pushes a sign of life when nothing else was pushed for a while. */
  private tick(): void {
    const behindMs = this.publisher.confirmed.ms();
    // A leader that was stopped for a while has tried nothing yet.
    const isFailing = this.publisher.failures > (this.asked.ms() > askAgainMs ? 0 : 1);
    if (isFailing || behindMs < this.pace.beatMs) this.tellBrakes(behindMs);
    if (behindMs >= this.pace.beatMs && this.asked.ms() >= this.pace.beatMs / 2) this.beat();
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
    if (level === 0 && (this.alerted > 0 || (this.hasToldFailure && this.publisher.failures === 0))) {
      onNotice("the record is pushed again");
      this.hasToldFailure = false;
    }
    this.alerted = level;
  }

  /** Pushes what waits, or the tip, which is there already, with a new sign of life: refused when someone else leads. One at a time. */
  private beat(): void {
    if (this.isBeating) return;
    this.isBeating = true;
    this.asked = new Since(this.time);
    this.inCycle(() => this.askRemote())
      .catch(() => {})
      .finally(() => {
        this.isBeating = false;
      });
  }

  private async askRemote(): Promise<void> {
    if (this.role !== "leading" || this.publisher.tip === null) return;
    if (this.batch !== null) await this.pushBatch();
    else await this.publish(this.publisher.tip);
  }

  /** Resolves when the remote says that this one leads, or cannot be asked; rejects when it does not lead any more. */
  private async renewLease(): Promise<void> {
    // A remote that is down lets nobody take over either: then reconciling goes on, and the journal keeps what happens.
    const isDown = this.publisher.failures > 0 && this.asked.ms() < askAgainMs;
    if (this.asking === null && !isDown) {
      this.asking = this.inCycle(() =>
        this.publisher.confirmed.ms() > this.pace.leaseMs ? this.askRemote() : Promise.resolve(),
      )
        .catch(() => {})
        .finally(() => {
          this.asked = new Since(this.time);
          this.asking = null;
        });
    }
    // One that takes its time is not waited for either.
    if (this.asking !== null) await this.within(this.asking, answerWaitMs);
    if (this.role !== "leading") throw this.refusal();
  }

  private schedule(): void {
    if (this.timer || this.role !== "leading") return;
    const windowMs = Math.max(this.options.windowMs(), Math.min(60_000, this.publisher.failures * 1000));
    // The window alone keeps no process alive: whoever wants the rest pushed asks for a flush.
    const end = (): void => {
      this.flush().catch((error: unknown) => {
        if (this.role !== "leading") return;
        if (!this.hasToldFailure)
          this.options.onNotice(
            `the record could not be pushed: ${unreachable(error)}; it is in the journal, and is tried again until it is`,
          );
        this.hasToldFailure = true;
        this.schedule();
      });
    };
    this.timer = this.time.after(windowMs, end, "idle");
  }

  private async commitAndPush(): Promise<void> {
    if (this.role !== "leading" || this.journal === null) throw this.refusal();
    const began = new Since(this.time);
    await this.pushBatch();
    if (this.dirty.size > 0) {
      const cut = await this.journal.rotate();
      const { summaries, dirty } = this;
      this.writing = [...dirty.values()];
      this.dirty = new Map();
      this.summaries = new Summaries();
      try {
        this.batch = await this.write(this.writing, summaries, cut);
      } catch (error) {
        // What changed meanwhile is newer than what could not be written.
        this.dirty = new Map([...dirty, ...this.dirty]);
        this.summaries = summaries.and(this.summaries);
        throw error;
      } finally {
        this.writing = [];
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
    try {
      if (batch.commit !== this.publisher.tip) await this.publish(batch.commit);
    } catch (error) {
      throw this.withoutRoot(batch, error);
    }
    this.batch = null;
    if (batch.cut > 0) await this.journal?.cut(batch.cut);
  }

  /** A root that the remote refuses is given up: everything that is recorded after it would wait behind it for ever. */
  private withoutRoot({ isRoot = false }: Batch, error: unknown): unknown {
    if (!isRoot || !isRefusal(error)) return error;
    this.batch = null;
    return new Failure("stalled", `the record was not archived, and goes on as it was: ${messageOf(error)}`, {
      reason: "ArchiveRefused",
      hint: "allow this reconciler a forced push to observed (receive.denyNonFastForwards, rules of the branch)",
    });
  }

  /** Rejects when someone else leads, after which nothing is written any more. */
  private async publish(commit: string): Promise<void> {
    const wasDown = this.publisher.failures > 0;
    const published = await this.publisher.push(commit);
    if (published.kind === "theirs") {
      this.fence(published.why);
      throw notLeading(published.why);
    }
    if (!wasDown || !this.timer) return;
    // What waits for a distant try goes at the pace of the window again.
    this.timer();
    this.timer = null;
    this.schedule();
  }

  /** One commit on the tip; the tip itself when the changes say nothing new, as after a crash. */
  private async write(changes: readonly RecordChange[], summaries: Summaries, cut: number): Promise<Batch> {
    const { git } = this.options;
    const { folders } = this;
    const { tip: parent, epoch } = this.publisher;
    const files: { path: string; content: string }[] = [];
    for (const [index, { record }] of changes.entries()) {
      files.push({ path: recordPath(record.kind, record.name), content: encodeRecord(record) });
      // The first window of a large fleet has all of it: others have their turn in between.
      if (index % encodedAtOnce === encodedAtOnce - 1) await this.time.turn();
    }
    const { plan, objects } = await planCommit(folders, { files }, this.time);
    if (plan.id === folders.id && parent !== null) return { commit: parent, cut, changes };
    const subjects = changes.map(({ record }) => record.name).toSorted();
    const desired = changes.at(-1)?.desired ?? "";
    const pullRequest = await this.pullRequestOf(desired);
    const message = recordMessage({ summaries, subjects, desired, epoch, run: this.term, pullRequest });
    const commit = await this.signed(commitObject(plan.id, { parent, message, timeSeconds: this.seconds() }));
    await git.write([...objects, commit]);
    await git.point(pendingRef, commit.id);
    folders.adopt(plan);
    return { commit: commit.id, cut, changes };
  }

  private fence(message: string): void {
    if (this.role !== "leading") return;
    this.role = "ended";
    this.message = message;
    this.endBeat();
    this.options.onFenced(message);
  }

  /** A remote that is down for long must not fill the disk: the latest record of each subject is all that the journal has to keep. */
  private async compact(journal: Journal): Promise<void> {
    this.isCompacting = true;
    const latest = (): JournalEntry[] =>
      [...(this.batch?.changes ?? []), ...this.writing, ...this.dirty.values()].map(({ record, desired }) => ({
        record,
        summary: null,
        desired,
      }));
    await journal.compact(latest).catch((error: unknown) => this.options.onNotice(messageOf(error)));
    this.compactFrom = Math.max(journalBytesMax, 2 * journal.bytes);
    this.isCompacting = false;
  }

  private async startAnew(now: Date): Promise<string> {
    const { git, remote } = this.options;
    await this.pushBatch();
    const { tip: old, epoch } = this.publisher;
    if (old === null || this.role !== "leading") throw this.refusal();
    const known = await archivedBefore(git, old);
    // Asked for twice at once: there is nothing to archive yet.
    if (known?.root === old) return known.branch;
    const branch = `${archivePrefix}${now.toISOString().slice(0, 10)}-${old.slice(0, 12)}`;
    const kept = await remote.push([`${old}:refs/heads/${branch}`]);
    if (kept.kind === "refused") {
      throw new Failure("stalled", `the remote does not take the branch ${branch}: ${kept.message}`, {
        reason: "ArchiveRefused",
        hint: "allow this reconciler to make branches below observed-archive/",
      });
    }
    await git.point(archiveRef(branch), old);
    // Whoever has the remote alone goes by what the record names as in force, also where nothing was recorded since.
    const desired = await recordedCommit(git, old);
    const inForce = desired === null ? "" : `Desired: ${desired}\n`;
    const message = `archive: a new root with the same files\n\n${inForce}Actor: reconciler\nArchived: ${old}\nArchive-branch: ${branch}\nEpoch: ${epoch}\n`;
    const root = await this.signed(
      commitObject(this.folders.id, { parent: null, message, timeSeconds: this.seconds() }),
    );
    await git.write([root]);
    await git.point(pendingRef, root.id);
    // The one push there is that is no fast-forward. Like every other it is made from exactly the tip that we know, and again if need be.
    this.batch = { commit: root.id, cut: 0, changes: [], isRoot: true };
    await this.pushBatch();
    return branch;
  }

  /** Waits for the work, and not for longer. */
  private async within(work: Promise<unknown>, ms: number): Promise<void> {
    let end = (): void => {};
    const late = new Promise<void>((resolve) => {
      end = this.time.after(ms, resolve);
    });
    await Promise.race([work, late]).finally(end);
  }

  /** Name of this run, as the commit with which it took the lead has it. */
  private get term(): string {
    const { term, instance } = this.options.leadership;
    return term ?? instance;
  }

  /** Asked once for each commit of `main`; null also where it is not in the mirror. */
  private async pullRequestOf(desired: string): Promise<number | null> {
    if (this.request.desired !== desired) {
      const object = await this.options.git.objects.read(desired).catch(() => null);
      const text = object?.type === "commit" ? object.data.toString() : "";
      this.request = { desired, number: pullRequestOf(messageIn(text)) };
    }
    return this.request.number;
  }

  private async signed(commit: NewObject): Promise<NewObject> {
    return (await this.options.signer?.sign(commit)) ?? commit;
  }

  private seconds(): number {
    return Math.floor(this.time.wall() / 1000);
  }
}

/** A push that the remote refused though nobody else wrote: another push may have held a lock there. */
function isRefusal(error: unknown): boolean {
  return error instanceof Failure && error.reason === "PushRefused";
}

function isTransient(error: unknown): boolean {
  return error instanceof Failure && (error.kind === "transient" || error.kind === "waiting");
}

function notLeading(message: string): Failure {
  return new Failure("stalled", message === "" ? "this reconciler does not lead" : message, {
    reason: "Fenced",
    hint: "send it again to the reconciler that leads",
  });
}
