// stateward verify: whether the record is what it should be, from its first commit to its last, from a clone alone.
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Failure, messageOf } from "../model/failure.ts";
import { printable } from "../model/printable.ts";
import type { ProblemCode } from "../model/problem.ts";
import { decodeRecord, isCanonical } from "../model/record.ts";
import { plainSigners } from "../record/allowed-signers.ts";
import { DocumentCache } from "../record/document-cache.ts";
import { archivedBefore } from "../record/follow.ts";
import { parentOf, trailersIn } from "../record/git.ts";
import { headFile, recordPath } from "../record/layout.ts";
import { objectId } from "../record/pack.ts";
import { checkSignatures, writeSigners } from "../record/signatures.ts";
import { SignedHistory } from "../record/signed-history.ts";
import { PolicyReader } from "../record/signing-policy.ts";
import { signerOf, splitCommit } from "../record/sshsig.ts";
import { type AuditSource, openAudit } from "./audit-source.ts";
import { paint, print, printJson, shown } from "./output.ts";
import { version } from "./version.ts";
import type { GlobalOptions } from "./workspace.ts";

export interface VerifyOptions extends GlobalOptions {
  /** File with the allowed signers; default that of `main`, where its settings ask for signatures. */
  readonly signers?: string;
}

/** One thing that is not as it should be. */
interface Finding {
  readonly code: ProblemCode;
  /** Commit of the record or of `main`, 40 hexadecimal digits; empty where the message names it. */
  readonly commit: string;
  readonly message: string;
  readonly remedy: string;
}

/** What a commit of the record says of itself. */
interface RecordCommit {
  readonly id: string;
  readonly parent: string | null;
  readonly desired: string | null;
  readonly epoch: number | null;
  /** Unsigned, signed by a key that is known at once, or for ssh-keygen to judge. */
  readonly signature: "none" | "good" | "open";
}

const readAtOnce = 5000;
const diffedAtOnce = 2000;

/** stateward verify: exit status 1 with what was found, each with commit, code and remedy. */
export async function verify(options: VerifyOptions): Promise<number> {
  const source = await openAudit(options, { isLatest: true });
  const folder = await mkdtemp(join(tmpdir(), "stateward-verify-"));
  try {
    const signers = await signersFor(source, options, folder);
    const commits = await recordCommits(source, signers?.text ?? "");
    const signatures = await signatureFindings(source, commits, signers);
    const files = await fileFindings(source, commits);
    const main = await mainFindings(source, folder);
    const desired = await desiredFindings(source, commits);
    const findings = [
      ...signatures.findings,
      ...epochFindings(commits),
      ...desired,
      ...files.findings,
      ...main.findings,
    ];
    const summary = {
      commits: commits.length,
      epochs: new Set(commits.flatMap(({ epoch }) => epoch ?? [])).size,
      files: files.count,
      signed: signatures.signed,
      unsigned: signatures.unsigned,
      signers: signers?.name ?? null,
      main: main.judged,
    };
    if (options.json) printJson({ ok: findings.length === 0, ...summary, findings });
    else printVerified(summary, findings);
    return findings.length === 0 ? 0 : 1;
  } finally {
    progress(null);
    await rm(folder, { recursive: true, force: true });
  }
}

interface Signers {
  readonly file: string;
  readonly text: string;
  /** Where they are from, for people. */
  readonly name: string;
}

async function signersFor(
  { git, main }: AuditSource,
  { signers }: VerifyOptions,
  folder: string,
): Promise<Signers | null> {
  if (signers !== undefined) {
    const content = await readFile(signers).catch((cause: unknown) => {
      throw new Failure("invalid", `cannot read the signers in ${signers}`, {
        reason: "Usage",
        hint: "give a file of allowed signers, as ssh-keygen reads it",
        cause,
      });
    });
    const file = await writeSigners(folder, objectId("blob", content), content);
    return { file, text: content.toString("latin1"), name: signers };
  }
  if (main === null) return null;
  const { policy } = await new PolicyReader(git, new DocumentCache(null, version)).after(main, null);
  if (policy === null) return null;
  const { data } = await git.objects.need(policy.id, "blob");
  const file = await writeSigners(folder, policy.id, data);
  return { file, text: data.toString("latin1"), name: `${policy.signers} of main ${main.slice(0, 8)}` };
}

/** Every commit of the record, oldest first, with what was there before it was given a new root, as far as that is here. */
async function recordCommits(source: AuditSource, signers: string): Promise<RecordCommit[]> {
  const { git } = source;
  const known = plainSigners(signers);
  const ids: string[] = [];
  for (let tip: string | null = source.observed; tip !== null; ) {
    const text: string = await git.run(["rev-list", "--topo-order", tip], { timeoutMs: 600_000 });
    ids.push(...text.split("\n").filter((line) => line !== ""));
    const archived = await archivedBefore(git, tip);
    tip = archived && (await git.resolve(archived.commit));
  }
  ids.reverse();
  const commits: RecordCommit[] = [];
  for (let at = 0; at < ids.length; at += readAtOnce) {
    await git.objects.each(ids.slice(at, at + readAtOnce), (object) => {
      if (object?.type === "commit") commits.push(readCommit(object.id, object.data, known));
    });
    progress(`commits read: ${commits.length} of ${ids.length}`);
  }
  return commits;
}

function readCommit(id: string, data: Buffer, known: ReadonlyMap<string, string>): RecordCommit {
  const text = data.toString();
  const trailers = trailersIn(text);
  const desired = /^Desired: ([0-9a-f]{40})$/m.exec(trailers)?.[1] ?? null;
  const epoch = /^Epoch: (\d{1,15})$/m.exec(trailers)?.[1];
  const isNamed = desired !== null && !/^0+$/.test(desired);
  const split = splitCommit(data);
  const signer = split && signerOf(split.payload, split.armour);
  const signature = split === null ? "none" : signer !== null && known.has(signer) ? "good" : "open";
  return {
    id,
    parent: parentOf(text),
    desired: isNamed ? desired : null,
    epoch: epoch === undefined ? null : Number(epoch),
    signature,
  };
}

/** With signers: what is signed must be so by one of them, and once one commit is signed all that follow have to be. */
async function signatureFindings(
  { git }: AuditSource,
  commits: readonly RecordCommit[],
  signers: Signers | null,
): Promise<{ signed: number; unsigned: number; findings: Finding[] }> {
  const unsigned = commits.filter(({ signature }) => signature === "none").length;
  const signed = commits.length - unsigned;
  if (signers === null) return { signed, unsigned, findings: [] };
  const open = commits.filter(({ signature }) => signature === "open").map(({ id }) => id);
  const checked = await checkSignatures(git, signers.file, open, (done) =>
    progress(`signatures checked by ssh-keygen: ${done} of ${open.length}`),
  );
  const remedy = `see who could write the branch observed; what is signed by nobody in ${signers.name} was not written by a reconciler of yours`;
  const bad = checked.filter(({ isGood }) => !isGood);
  const first = commits.findIndex(({ signature }) => signature !== "none");
  const bare = first < 0 ? [] : commits.slice(first).filter(({ signature }) => signature === "none");
  const findings = [
    ...bad.map(({ commit, why }): Finding => ({ code: "SW611", commit, message: why, remedy })),
    ...bare.map(
      ({ id }): Finding => ({
        code: "SW611",
        commit: id,
        message: "it is not signed, and commits before it are",
        remedy,
      }),
    ),
  ];
  return { signed, unsigned, findings };
}

/** The epoch of whoever leads never falls from a commit to the next. */
function epochFindings(commits: readonly RecordCommit[]): Finding[] {
  const epochs = new Map<string, number>();
  const findings: Finding[] = [];
  let last = 0;
  for (const { id, parent, epoch } of commits) {
    // A new root goes on from the archive before it.
    const before = parent === null ? last : (epochs.get(parent) ?? 0);
    if (epoch !== null && epoch < before) {
      findings.push({
        code: "SW612",
        commit: id,
        message: `its epoch is ${epoch}, and that of the commit before it is ${before}`,
        remedy: "a deposed reconciler, or somebody else, has written it: see who can push to observed",
      });
    }
    last = Math.max(epoch ?? before, before);
    epochs.set(id, last);
  }
  return findings;
}

async function desiredFindings({ git, main }: AuditSource, commits: readonly RecordCommit[]): Promise<Finding[]> {
  const first = new Map<string, RecordCommit>();
  for (const commit of commits)
    if (commit.desired !== null && !first.has(commit.desired)) first.set(commit.desired, commit);
  if (first.size === 0) return [];
  const text = main === null ? "" : await git.run(["rev-list", main], { timeoutMs: 600_000 });
  const onMain = new Set(text.split("\n"));
  return [...first].flatMap(([desired, { id }]): Finding[] =>
    onMain.has(desired)
      ? []
      : [
          {
            code: "SW613",
            commit: id,
            message: `it and maybe others name ${desired.slice(0, 12)}, which is not on main${main === null ? ": there is no main" : ""}`,
            remedy:
              "fetch all of main; if it was rewritten, the commit is in a clone of somebody, or in a data folder's mirror",
          },
        ],
  );
}

/** Every version of every file of the record: that it can be read, stands where it should, and has its canonical bytes. */
async function fileFindings(
  { git }: AuditSource,
  commits: readonly RecordCommit[],
): Promise<{ count: number; findings: Finding[] }> {
  const seen = new Set<string>();
  const findings: Finding[] = [];
  for (let at = 0; at < commits.length; at += diffedAtOnce) {
    const part = commits.slice(at, at + diffedAtOnce);
    const args = [
      "diff-tree",
      "--stdin",
      "-r",
      "--root",
      "--raw",
      "--no-abbrev",
      "--no-renames",
      "--no-ext-diff",
      "-z",
    ];
    const text = await git.run(args, { input: part.map(({ id }) => `${id}\n`).join(""), timeoutMs: 600_000 });
    const files = changedFiles(text).filter(({ path, id }) => !seen.has(`${id} ${path}`));
    for (const { path, id } of files) seen.add(`${id} ${path}`);
    await git.objects.each(
      files.map(({ id }) => id),
      (object, index) => {
        const { path = "", commit = "" } = files[index] ?? {};
        const wrong = object?.type === "blob" ? wrongWith(path, object.data.toString()) : "it is missing";
        if (wrong !== null) findings.push(fileFinding(commit, path, wrong));
      },
    );
    progress(
      `files read: ${seen.size}, of ${Math.min(at + diffedAtOnce, commits.length)} of ${commits.length} commits`,
    );
  }
  return { count: seen.size, findings };
}

/** `diff-tree -z`: a commit, or `:mode mode id id letter` and then the path. */
function changedFiles(text: string): { commit: string; path: string; id: string }[] {
  const found: { commit: string; path: string; id: string }[] = [];
  const parts = text.split("\0");
  let commit = "";
  for (let at = 0; at < parts.length; at++) {
    const part = parts[at] ?? "";
    if (!part.startsWith(":")) {
      commit = part.trim();
      continue;
    }
    const id = part.split(" ")[3] ?? "";
    const path = parts[++at] ?? "";
    if (!/^0+$/.test(id)) found.push({ commit, path, id });
  }
  return found;
}

function wrongWith(path: string, text: string): { code: "SW614" | "SW615"; why: string } | string | null {
  try {
    if (path === headFile) {
      const { format, epoch } = (JSON.parse(text) ?? {}) as { format?: unknown; epoch?: unknown };
      return Number.isSafeInteger(format) && Number.isSafeInteger(epoch) ? null : "it names no format and epoch";
    }
    const { kind, name } = decodeRecord(text, path);
    if (recordPath(kind, name) !== path) return { code: "SW615", why: `it is about ${name}, which belongs elsewhere` };
    return isCanonical(text) ? null : { code: "SW615", why: "its keys or its layout are not what a reconciler writes" };
  } catch (error) {
    return messageOf(error);
  }
}

function fileFinding(commit: string, path: string, wrong: { code: "SW614" | "SW615"; why: string } | string): Finding {
  const { code, why } = typeof wrong === "string" ? ({ code: "SW614", why: wrong } as const) : wrong;
  const message = `${printable(path)}: ${why}`;
  return {
    code,
    commit,
    message,
    remedy: "restore the file from an earlier commit of observed; see who has written it",
  };
}

/** The signatures of `main`, from `since` on, where its settings ask for them. */
async function mainFindings(
  { git, main }: AuditSource,
  folder: string,
): Promise<{ judged: number | null; findings: Finding[] }> {
  if (main === null) return { judged: null, findings: [] };
  let judged = 0;
  const heard = (done: number, of: number): void => {
    judged = Math.max(judged, of);
    progress(`signatures of main checked: ${done} of ${of}`);
  };
  const cache = new DocumentCache(null, version);
  const recorded = (): Promise<null> => Promise.resolve(null);
  const history = new SignedHistory({ git, cache, recorded, isForgetful: true, folder, heard });
  const found = await history.judge(main);
  const findings = found.map((item): Finding => ({ ...item, commit: main }));
  return { judged: judged === 0 && findings.length === 0 ? null : judged, findings };
}

/** On a terminal, in one line that is written over; null ends it. */
function progress(text: string | null): void {
  if (!process.stderr.isTTY) return;
  process.stderr.write(text === null ? "\r\u001b[K" : `\r\u001b[K${shown(text)}`);
}

interface Summary {
  readonly commits: number;
  readonly epochs: number;
  readonly files: number;
  readonly signed: number;
  readonly unsigned: number;
  readonly signers: string | null;
  readonly main: number | null;
}

function printVerified(summary: Summary, findings: readonly Finding[]): void {
  progress(null);
  const { commits, epochs, files, signed, unsigned, signers, main } = summary;
  for (const { code, commit, message, remedy } of findings)
    print(`${paint("red", code)} ${commit.slice(0, 12)} ${message}; ${remedy}`);
  print(`record: ${commits} commits in ${epochs === 1 ? "1 epoch" : `${epochs} epochs`}, ${files} versions of files`);
  const by = signers === null ? "nobody says who may sign them (--signers FILE)" : `judged by ${signers}`;
  print(`signatures: ${signed} commits signed, ${unsigned} not; ${by}`);
  print(`main: ${main === null ? "its settings ask for no signatures" : `${main} commits judged`}`);
  print(findings.length === 0 ? paint("green", "nothing is wrong") : paint("red", `${findings.length} findings`));
}
