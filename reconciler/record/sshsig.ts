// Signatures of ssh-keygen, as Git puts them into commits: made and checked here for Ed25519 keys, so that a commit costs no process.
// Format: PROTOCOL.sshsig and PROTOCOL.key of OpenSSH. Whatever does not fit it is null, and left to ssh-keygen.
import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign, verify } from "node:crypto";

const magic = "SSHSIG";
const keyType = "ssh-ed25519";
const hashName = "sha512";
const lineLength = 70;

/** A pair of keys that signs. */
export interface Ed25519Key {
  readonly privateKey: KeyObject;
  /** The public key as SSH writes it. */
  readonly blob: Buffer;
}

/** Reads the fields of a message one after the other; what is not there throws. */
class Fields {
  private readonly data: Buffer;
  private at = 0;

  constructor(data: Buffer) {
    this.data = data;
  }

  raw(bytes: number): Buffer {
    if (bytes > this.data.length - this.at) throw new RangeError("the message is too short");
    this.at += bytes;
    return this.data.subarray(this.at - bytes, this.at);
  }

  number(): number {
    return this.raw(4).readUInt32BE();
  }

  string(): Buffer {
    return this.raw(this.number());
  }

  get isAtEnd(): boolean {
    return this.at === this.data.length;
  }
}

function string(value: Buffer | string): Buffer {
  const data = Buffer.from(value as string);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  return Buffer.concat([length, data]);
}

function orNull<T>(read: () => T | null): T | null {
  try {
    return read();
  } catch {
    return null;
  }
}

/** An OpenSSH private key file: `encrypted` for one with a passphrase, null for anything but an Ed25519 key. */
export function parsePrivateKey(text: string): Ed25519Key | "encrypted" | null {
  const body = /-----BEGIN OPENSSH PRIVATE KEY-----([\sA-Za-z0-9+/=]+)-----END OPENSSH PRIVATE KEY-----/.exec(
    text,
  )?.[1];
  if (body === undefined) return null;
  return orNull(() => {
    const fields = new Fields(Buffer.from(body, "base64"));
    if (fields.raw(15).toString("latin1") !== "openssh-key-v1\0") return null;
    const cipher = fields.string().toString("latin1");
    fields.string();
    fields.string();
    if (fields.number() !== 1) return null;
    const blob = fields.string();
    if (cipher !== "none") return "encrypted";
    const secret = new Fields(fields.string());
    if (secret.number() !== secret.number() || secret.string().toString("latin1") !== keyType) return null;
    const publicPart = secret.string();
    const seed = secret.string().subarray(0, 32);
    const jwk = { kty: "OKP", crv: "Ed25519", d: seed.toString("base64url"), x: publicPart.toString("base64url") };
    return { privateKey: createPrivateKey({ key: jwk, format: "jwk" }), blob: Buffer.from(blob) };
  });
}

/** Signs for a namespace; the signature in armour, as it stands in a commit, without a newline at its end. */
export function signText(text: Buffer, namespace: string, { privateKey, blob }: Ed25519Key): string {
  const signature = sign(null, signedData(text, namespace, hashName), privateKey);
  const version = Buffer.from([0, 0, 0, 1]);
  const parts = [Buffer.from(magic), version, string(blob), string(namespace), string(""), string(hashName)];
  const whole = Buffer.concat([...parts, string(Buffer.concat([string(keyType), string(signature)]))]).toString(
    "base64",
  );
  const lines = whole.match(new RegExp(`.{1,${lineLength}}`, "g")) ?? [];
  return ["-----BEGIN SSH SIGNATURE-----", ...lines, "-----END SSH SIGNATURE-----"].join("\n");
}

function signedData(text: Buffer, namespace: string, hash: string): Buffer {
  const digest = createHash(hash).update(text).digest();
  return Buffer.concat([Buffer.from(magic), string(namespace), string(""), string(hash), string(digest)]);
}

/**
 * The public key, in base64 as files have it, that has signed the text for Git; null where the signature is bad, or of another kind of
 * key. That the key may sign is not said by this.
 */
export function signerOf(text: Buffer, armour: string): string | null {
  const body = /^-----BEGIN SSH SIGNATURE-----\n([A-Za-z0-9+/=\n]+)\n-----END SSH SIGNATURE-----\s*$/.exec(armour)?.[1];
  if (body === undefined) return null;
  return orNull(() => {
    const fields = new Fields(Buffer.from(body, "base64"));
    if (fields.raw(6).toString("latin1") !== magic || fields.number() !== 1) return null;
    const blob = fields.string();
    const namespace = fields.string().toString("latin1");
    fields.string();
    const hash = fields.string().toString("latin1");
    const signature = new Fields(fields.string());
    if (!fields.isAtEnd || namespace !== "git" || !["sha256", "sha512"].includes(hash)) return null;
    const key = new Fields(blob);
    if (key.string().toString("latin1") !== keyType || signature.string().toString("latin1") !== keyType) return null;
    const jwk = { kty: "OKP", crv: "Ed25519", x: key.string().toString("base64url") };
    const publicKey = createPublicKey({ key: jwk, format: "jwk" });
    return verify(null, signedData(text, namespace, hash), publicKey, signature.string())
      ? blob.toString("base64")
      : null;
  });
}

/** A commit object without its signature, and the signature in armour; null for a commit without one. */
export function splitCommit(data: Buffer): { readonly payload: Buffer; readonly armour: string } | null {
  const end = data.indexOf("\n\n");
  const head = data.toString("latin1", 0, end + 1);
  const found = /^gpgsig (.*\n(?: .*\n)*)/m.exec(head);
  if (found === null) return null;
  const { index } = found;
  const payload = Buffer.concat([data.subarray(0, index), data.subarray(index + found[0].length)]);
  return { payload, armour: (found[1] ?? "").replaceAll("\n ", "\n").trimEnd() };
}

/** The commit object with a signature: before the empty line that ends its head. */
export function withSignature(data: Buffer, armour: string): Buffer {
  const end = data.indexOf("\n\n") + 1;
  const header = `gpgsig ${armour.replaceAll("\n", "\n ")}\n`;
  return Buffer.concat([data.subarray(0, end), Buffer.from(header), data.subarray(end)]);
}
