// The key that the reconciler signs its own commits with. It is read once; no argument, log or message ever has it (A2).
import { readFile, stat } from "node:fs/promises";
import { Failure, messageOf } from "../model/failure.ts";
import type { RunProcess } from "../model/ports.ts";
import { gitEnvironment } from "./git.ts";
import { type NewObject, newObject } from "./pack.ts";
import { parsePrivateKey, signText, withSignature } from "./sshsig.ts";

export interface CommitSigner {
  /** The same commit, signed. */
  sign(commit: NewObject): Promise<NewObject>;
}

const signTimeoutMs = 30_000;

/**
 * Opens a key file: an OpenSSH private key without a passphrase, or a public key (`.pub`) whose private one an ssh-agent holds. Tries
 * it once. Throws a Failure for a file that is not one, or that others may read.
 */
export async function openSigner(file: string, runProcess: RunProcess): Promise<CommitSigner> {
  const text = await readFile(file, "utf8").catch((cause: unknown) => {
    throw badKey(`cannot read the signing key ${file}`, cause);
  });
  const isPrivate = text.startsWith("-----BEGIN");
  if (isPrivate && ((await stat(file)).mode & 0o077) !== 0) {
    throw new Failure("invalid", `others may read the signing key ${file}`, {
      reason: "SigningKeyOpen",
      hint: `chmod 600 ${file}`,
    });
  }
  const key = parsePrivateKey(text);
  if (key === "encrypted") throw badKey(`the signing key ${file} has a passphrase`);
  if (!isPrivate && !/^(ssh|ecdsa|sk)-\S+ [A-Za-z0-9+/=]+/.test(text)) throw badKey(`${file} is not a key`);
  const armour = async (data: Buffer): Promise<string> =>
    key === null ? signByProgram(file, data, runProcess) : signText(data, "git", key);
  const signer: CommitSigner = {
    sign: async (commit) => newObject("commit", withSignature(commit.data, await armour(commit.data))),
  };
  await armour(Buffer.from("a key that cannot sign is noticed at the start\n"));
  return signer;
}

/** Other keys than Ed25519, and those of an agent. */
async function signByProgram(file: string, data: Buffer, runProcess: RunProcess): Promise<string> {
  const result = await runProcess({
    argv: ["ssh-keygen", "-Y", "sign", "-n", "git", "-f", file],
    // Nobody is there to be asked for a passphrase.
    env: { ...gitEnvironment(), SSH_ASKPASS_REQUIRE: "never" },
    input: data.toString(),
    timeoutMs: signTimeoutMs,
    outputBytesMax: 100_000,
    endsWithUs: true,
  }).catch((cause: unknown) => {
    throw badKey(`ssh-keygen cannot be started: ${messageOf(cause)}`, cause);
  });
  const armour = result.stdout.trim();
  if (result.exit === 0 && armour.startsWith("-----BEGIN SSH SIGNATURE-----")) return armour;
  throw badKey(`ssh-keygen does not sign with ${file}`);
}

function badKey(message: string, cause?: unknown): Failure {
  return new Failure("invalid", message, {
    reason: "BadSigningKey",
    hint: "give an OpenSSH private key without a passphrase, or the .pub of a key that an ssh-agent holds (SSH_AUTH_SOCK)",
    cause,
  });
}
