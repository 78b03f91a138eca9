// What a version of main says about signatures: whether commits need any, and whose. It counts for what comes after that version.
import { posix } from "node:path";
import type { ProblemCode } from "../model/problem.ts";
import { parseSettings } from "../model/subject.ts";
import type { Verify } from "../model/types.ts";
import type { DocumentCache } from "./document-cache.ts";
import { readDocuments } from "./documents.ts";
import type { Git } from "./git.ts";
import { parseTree } from "./tree.ts";

/** Who may sign; null where commits need no signature. */
export type SigningPolicy = (Verify & { /** Blob of the file with the allowed signers. */ readonly id: string }) | null;

/** What is wrong with a version, or with a commit in its history; where it stands is for others to say. */
export interface HistoryFinding {
  readonly code: ProblemCode;
  readonly message: string;
  readonly remedy: string;
}

/** `own` is false where the version cannot be read, or does not do as one: then what held before goes on to hold. */
export interface VersionPolicy {
  readonly policy: SigningPolicy;
  readonly isOwn: boolean;
  readonly findings: readonly HistoryFinding[];
}

const signersBytesMax = 1_048_576;

/** Reads the policies of versions; each stateward.yaml once. */
export class PolicyReader {
  private readonly git: Git;
  private readonly cache: DocumentCache;
  /** By the blob of stateward.yaml; undefined for one that has problems. */
  private readonly known = new Map<string, Verify | null | undefined>();

  constructor(git: Git, cache: DocumentCache) {
    this.git = git;
    this.cache = cache;
  }

  /** The policy that holds after a version, where `before` held until it. */
  async after(version: string, before: SigningPolicy): Promise<VersionPolicy> {
    const verify = await this.verifyOf(version);
    if (verify === undefined) return { policy: before, isOwn: false, findings: [] };
    if (verify === null) return { policy: null, isOwn: true, findings: [] };
    const { signers, since } = verify;
    const found = await this.signersOf(version, signers);
    if ("finding" in found) return { policy: before, isOwn: false, findings: [found.finding] };
    if (since !== before?.since && !(await this.git.descends(version, since)))
      return { policy: before, isOwn: false, findings: [notInHistory(version, since)] };
    const policy = { signers, since, id: found.id };
    const isSame = before?.id === policy.id && before.since === since && before.signers === signers;
    return { policy: isSame ? before : policy, isOwn: true, findings: [] };
  }

  private async verifyOf(version: string): Promise<Verify | null | undefined> {
    const id = await this.git.resolve(`${version}:stateward.yaml`);
    if (id === null) return undefined;
    if (!this.known.has(id)) {
      const [file] = await readDocuments(this.git, this.cache, [{ path: "stateward.yaml", id }]);
      const { parsed } = file ?? {};
      this.known.set(id, parsed && "value" in parsed ? parseSettings(parsed.value).verify : undefined);
    }
    return this.known.get(id);
  }

  /** The blob of the signers: a regular file that names at least one. A link would be read as what it points to, which nobody signed. */
  private async signersOf(
    version: string,
    path: string,
  ): Promise<{ readonly id: string } | { readonly finding: HistoryFinding }> {
    const { dir, base } = posix.parse(path);
    const folder = await this.git.objects.read(dir === "" ? `${version}^{tree}` : `${version}:${dir}`);
    const item = folder?.type === "tree" ? parseTree(folder.data).find(({ name }) => name === base) : undefined;
    if (item === undefined || !item.mode.startsWith("100")) return { finding: unusable(version, path, "is not there") };
    const blob = await this.git.objects.need(item.id, "blob");
    if (blob.size > signersBytesMax) return { finding: unusable(version, path, `has ${blob.size} bytes`) };
    const isEmpty = !blob.data
      .toString("latin1")
      .split("\n")
      .some((line) => /^\s*[^#\s]/.test(line));
    return isEmpty ? { finding: unusable(version, path, "names nobody") } : { id: item.id };
  }
}

function unusable(version: string, path: string, why: string): HistoryFinding {
  return {
    code: "SW602",
    message: `${path} of commit ${version.slice(0, 8)} ${why}: nobody could sign what comes after`,
    remedy: `add it: lines such as ana@example.org namespaces="git" ssh-ed25519 AAAA...`,
  };
}

function notInHistory(version: string, since: string): HistoryFinding {
  return {
    code: "SW604",
    message: `verify.since ${since.slice(0, 8)} is not part of the history of ${version.slice(0, 8)}`,
    remedy: "name a commit that main descends from, in full: git rev-parse HEAD",
  };
}
