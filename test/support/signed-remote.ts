// A bare remote whose commits are made one by one, each with the parents, the signer and the time that a test wants.
import { execFile, spawnSync } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { newObject, writePack } from "../../reconciler/record/pack.ts";
import { Folders } from "../../reconciler/record/tree.ts";
import { git } from "./git-remote.ts";

const run = promisify(execFile);
const keygen = "ssh-keygen";

/** True where ssh-keygen can sign. */
export const hasSshKeygen: boolean = spawnSync(keygen, ["-Y", "sign"]).error === undefined;

export interface SigningKey {
  /** File with the private key. */
  readonly file: string;
  /** Type and base64, as in `authorized_keys`. */
  readonly publicKey: string;
}

/** Makes a key pair without a passphrase. */
export async function makeKey(folder: string, name: string, type = "ed25519"): Promise<SigningKey> {
  await mkdir(folder, { recursive: true });
  const file = join(folder, name);
  await run(keygen, ["-q", "-t", type, "-N", "", "-C", name, "-f", file]);
  const [kind = "", base64 = ""] = (await readFile(`${file}.pub`, "utf8")).split(" ");
  return { file, publicKey: `${kind} ${base64}` };
}

/** A line of allowed signers. */
export function allowed(name: string, key: SigningKey, options = 'namespaces="git"'): string {
  return `${name}@example.org ${options} ${key.publicKey}\n`;
}

export interface CommitOrder {
  readonly files: Readonly<Record<string, string>>;
  readonly parents: readonly string[];
  /** Signs it; nobody by default. */
  readonly by?: SigningKey;
  /** Such as `2026-11-01T12:00:00Z`. */
  readonly at?: string;
  readonly message?: string;
  readonly author?: string;
}

export class SignedRemote {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  static async create(base: string): Promise<SignedRemote> {
    const remote = new SignedRemote(join(base, "remote.git"));
    await run("git", ["init", "--quiet", "--bare", "--initial-branch=main", remote.path]);
    return remote;
  }

  /** Makes a commit with exactly these files; no branch points to it yet. */
  async commit({ files, parents, by, at = "2026-11-20T12:00:00Z", ...more }: CommitOrder): Promise<string> {
    const blobs = Object.entries(files).map(([path, text]) => ({ path, object: newObject("blob", Buffer.from(text)) }));
    const { id, objects } = Folders.empty().plan(blobs.map(({ path, object }) => ({ path, id: object.id })));
    await writePack(this.path, [...blobs.map(({ object }) => object), ...objects]);
    const { message = "change", author = "Ana <ana@example.org>" } = more;
    const [, name = "", email = ""] = /^(.*) <(.*)>$/.exec(author) ?? [];
    const env = {
      ...process.env,
      GIT_AUTHOR_NAME: name,
      GIT_AUTHOR_EMAIL: email,
      GIT_COMMITTER_NAME: name,
      GIT_COMMITTER_EMAIL: email,
      GIT_AUTHOR_DATE: at,
      GIT_COMMITTER_DATE: at,
    };
    const signing = by === undefined ? [] : ["-c", "gpg.format=ssh", "-c", `user.signingKey=${by.file}`];
    const tree = [
      ...parents.flatMap((parent) => ["-p", parent]),
      ...(by === undefined ? [] : ["-S"]),
      "-m",
      message,
      id,
    ];
    const { stdout } = await run("git", [...signing, "--git-dir", this.path, "commit-tree", ...tree], { env });
    return stdout.trim();
  }

  /** Points main there, wherever it was. */
  async push(commit: string): Promise<string> {
    await git(this.path, "update-ref", "refs/heads/main", commit);
    return commit;
  }

  /** Signs a text as another namespace than Git's: the signature, in PEM. */
  async signAs(namespace: string, key: SigningKey, text: string): Promise<string> {
    const file = join(this.path, "payload");
    await writeFile(file, text);
    await run(keygen, ["-Y", "sign", "-n", namespace, "-f", key.file, file]);
    const signature = await readFile(`${file}.sig`, "utf8");
    await run("rm", ["-f", "--", file, `${file}.sig`]);
    return signature;
  }
}
