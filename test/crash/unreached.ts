// Crash points that no scenario reaches, and why. Whatever else is not reached fails the test, and so does what stands here and is
// reached after all, or is gone.

export interface Unreached {
  /** A name, or what names begin with, and a `*`. */
  readonly points: string;
  readonly why: string;
  /** It depends on how quick the machine is. */
  readonly isChance?: boolean;
}

const rarely = (points: string, why: string): Unreached => ({ points, why, isChance: true });

const unsigned = (points: string): Unreached => ({
  points,
  why: "the settings of the fleet ask for no signatures: test/record/signatures.test.ts has those that do",
});

export const unreached: readonly Unreached[] = [
  {
    points: "adapters/transport.ts SshTransport.*",
    why: "a host over ssh would be this machine with its own identity; what runs there are the scripts of local hosts",
  },
  { points: "adapters/probe.ts within sleep", why: "the port that the steps look at always answers" },
  { points: "engine/fleet.ts Fleet.verdict put", why: "no host comes into quarantine: that takes three recoveries" },
  rarely("engine/loop.ts Engine.runInquiry new Promise", "the host has to be asked while its step still runs"),
  rarely("engine/runner.ts runStep edit#2", "a hold has to fall into the push of a start"),
  {
    points: "engine/runner.ts runTransition edit",
    why: "a step that was skipped is done in its attempt: a newer commit has to begin the transition anew",
  },
  rarely("record/mirror.ts DesiredMirror.poll markDamaged", "a poll has to meet a lost pack before a push does"),
  rarely("record/store.ts GitRecord.renewLease *", "a report has to come before the first sign of life after a pause"),
  rarely("record/mirror.ts removeStaleLocks sleep", "the next start has to find a lock that is still young"),
  rarely("record/mirror.ts removeStaleLocks madeAtMs*", "the next start has to find a lock"),
  rarely("record/mirror.ts madeAtMs *", "the next start has to find a lock"),
  { points: "record/refs.ts writeRef rm", why: "a ref can be written: the disk has room" },
  {
    points: "record/remote.ts GitRemote.fetch onLocked",
    why: "what is killed is the reconciler with its fetch, and not the fetch alone",
  },
  { points: "engine/runner.ts fail edit", why: "every template of the fleet can be filled in" },
  {
    points: "engine/runner.ts finish edit#2",
    why: "the marker of a local host can be written where its identity can be read",
  },
  { points: "record/commit.ts planCommit turn", why: "hundreds of changed hosts" },
  { points: "record/store.ts GitRecord.write turn", why: "hundreds of changed hosts" },
  { points: "record/pack.ts encodePack setImmediate", why: "hundreds of objects" },
  { points: "record/objects.ts ObjectReader.each readAll", why: "hundreds of objects" },
  { points: "record/objects.ts ObjectReader.each readAll finally", why: "hundreds of objects" },
  { points: "record/objects.ts BatchProcess.ask new Promise", why: "thousands of objects" },
  { points: "record/journal.ts Journal.write truncate", why: "a disk that is full: the simulator has one" },
  {
    points: "record/journal.ts Journal.write close",
    why: "a disk that is full and cannot be truncated: the simulator has one",
  },
  { points: "record/follow.ts follow dropWord", why: "a person has to accept that main is gone for good" },
  { points: "record/follow.ts follow save", why: "a person has to accept that main is gone for good" },
  { points: "record/maintenance.ts Maintenance.check recordBytes", why: "a record of more than 1.5 GB" },
  { points: "record/maintenance.ts Maintenance.check archive", why: "a record of more than 1.5 GB" },
  { points: "record/maintenance.ts recordBytes run", why: "a record of more than 1.5 GB" },
  {
    points: "record/disk.ts replaceFile chmod",
    why: "a file of a person's, in the folder: no reconciler writes there",
  },
  { points: "record/origin.ts oddEntriesIn *", why: "stateward check alone looks at a folder's entries" },
  { points: "record/origin.ts listEntries *", why: "stateward check alone looks at a folder's entries" },
  { points: "record/origin.ts modeOf *", why: "stateward check alone looks at a folder's entries" },
  { points: "record/person-repository.ts *", why: "the clone of a person who changes something: no reconciler has it" },
  { points: "record/take-back.ts *", why: "the reconcilers have no Git host on which to offer a revert" },
  { points: "record/commit.ts writeTree *", why: "the reconcilers have no Git host on which to offer a revert" },
  rarely("engine/loop.ts Engine.learnLate *", "main has to be out of reach at the start, and the record not"),
  rarely(
    "record/mirror.ts DesiredMirror.lastGood *",
    "which of the two commits is read depends on which is the later one",
  ),
  rarely("record/refs.ts lock sleep", "two that write one ref at the same moment"),
  unsigned("record/signatures.ts *"),
  unsigned("record/signing-policy.ts PolicyReader.after signersOf"),
  unsigned("record/signing-policy.ts PolicyReader.after descends"),
  unsigned("record/signing-policy.ts PolicyReader.signersOf *"),
  unsigned("record/signed-history.ts SignedHistory.canTryAgain isOnPath"),
  unsigned("record/signed-history.ts isOnPath *"),
  unsigned("record/signed-history.ts SignedHistory.beginning after#3"),
  unsigned("record/signed-history.ts SignedHistory.goOn graph"),
  unsigned("record/signed-history.ts SignedHistory.goOn stretch"),
  unsigned("record/signed-history.ts SignedHistory.goOn check"),
  unsigned("record/signed-history.ts SignedHistory.stretch after"),
  unsigned("record/signed-history.ts SignedHistory.check *"),
  unsigned("record/signed-history.ts SignedHistory.graph run"),
  {
    points: "record/commit-signer.ts *",
    why: "the reconcilers have no signing key: test/record/signing.test.ts has one that has",
  },
  {
    points: "record/commit.ts writeCommit sign",
    why: "the reconcilers have no signing key: test/record/signing.test.ts has one that has",
  },
];

/** Whether an entry speaks of a point. */
export function means({ points }: Unreached, name: string): boolean {
  return points.endsWith("*") ? name.startsWith(points.slice(0, -1)) : name === points;
}
