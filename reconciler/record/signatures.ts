// Who has signed commits: one `git log` for many of them, against a file of allowed signers. What this machine's or the mirror's
// settings say about keys does not count.
import { mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Failure } from "../model/failure.ts";
import type { Git } from "./git.ts";

/** What was found about the signature of one commit. */
export interface Signature {
  readonly commit: string;
  /** True for a good SSH signature, at the commit's own time, of a key that the file allows for Git. */
  readonly isGood: boolean;
  /** Whom the file names for the key; null without a good signature. */
  readonly principal: string | null;
  /** Such as `it is not signed`; empty for a good signature. */
  readonly why: string;
  /** Author as the commit says it: not checked by anything. */
  readonly author: string;
}

/** Other kinds of signatures would be checked by programs that know nothing of the allowed signers: `false` finds them all bad. */
const settings = [
  "gpg.program=false",
  "gpg.openpgp.program=false",
  "gpg.x509.program=false",
  "gpg.ssh.program=ssh-keygen",
  "gpg.minTrustLevel=fully",
  "log.showSignature=false",
].flatMap((setting) => ["-c", setting]);

const format = "%H%x1f%G?%x1f%GS%x1f%GF%x1f%an <%ae>";
/** Git starts ssh-keygen twice for each commit: about 10 ms. */
const commitTimeoutMs = 500;
/** Commits of one call. */
const atOnce = 1000;

/**
 * Checks the commits, in their order. `signersFile` has the allowed signers as ssh-keygen(1) describes them. Throws a Failure
 * `NoSshKeygen` where this machine has no ssh-keygen.
 */
export async function checkSignatures(
  git: Git,
  signersFile: string,
  commits: readonly string[],
  heard: (done: number) => void = () => {},
): Promise<Signature[]> {
  const found: Signature[] = [];
  for (let at = 0; at < commits.length; at += atOnce) {
    const part = commits.slice(at, at + atOnce);
    found.push(...(await checkPart(git, signersFile, part)));
    heard(found.length);
  }
  return found;
}

async function checkPart(git: Git, signersFile: string, commits: readonly string[]): Promise<Signature[]> {
  const options = [...settings, "-c", `gpg.ssh.allowedSignersFile=${signersFile}`];
  const args = [...options, "log", "--no-walk=unsorted", "--no-color", "--encoding=UTF-8", `--format=${format}`];
  const result = await git.try([...args, "--stdin"], {
    input: `${commits.join("\n")}\n`,
    timeoutMs: 60_000 + commits.length * commitTimeoutMs,
  });
  if (/cannot run ssh-keygen|ssh-keygen -Y find-principals\/verify is needed/.test(result.stderr)) throw noSshKeygen();
  if (result.exit !== 0) throw git.failure(["log"], result);
  const found = new Map(result.stdout.split("\n").flatMap(readLine));
  // A commit that Git says nothing about was not found good.
  return commits.map((commit) => found.get(commit) ?? unread(commit));
}

function readLine(line: string): [string, Signature][] {
  const [commit = "", mark = "", signer = "", key = "", author = ""] = line.split("\x1f");
  if (!/^[0-9a-f]{40}$/.test(commit)) return [];
  // The fingerprint of an SSH key begins so, and no other does.
  const isGood = mark === "G" && key.startsWith("SHA256:") && signer !== "";
  const principal = isGood ? signer : null;
  return [[commit, { commit, isGood, principal, why: isGood ? "" : reason(mark, key), author }]];
}

function unread(commit: string): Signature {
  return { commit, isGood: false, principal: null, why: "its signature cannot be read", author: "" };
}

/** Marks of `%G?`: git-log(1). */
function reason(mark: string, key: string): string {
  if (mark === "N") return "it is not signed";
  if (mark === "U")
    return `it is signed with ${key === "" ? "a key" : `the key ${key},`} that no allowed signer had at its time`;
  return "its signature is bad, or of another kind than SSH, or not meant for Git";
}

function noSshKeygen(): Failure {
  return new Failure("waiting", "signatures cannot be checked: ssh-keygen is missing", {
    reason: "NoSshKeygen",
    hint: "install openssh-client, 8.2 or later",
  });
}

/** Puts allowed signers where ssh-keygen can read them: a file named after its blob. Resolves to its path. */
export async function writeSigners(folder: string, id: string, content: Buffer): Promise<string> {
  await mkdir(folder, { recursive: true });
  const file = join(folder, id);
  // Several processes may do so at once: each sees a whole file.
  await writeFile(`${file}.${process.pid}`, content);
  await rename(`${file}.${process.pid}`, file);
  return file;
}
