// Bearer tokens: `sw1.KIND.NAME.MAC`. They are derived from one key, so any reconciler that has the key can check them, and none is stored.
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { mkdir, open, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { Failure } from "../model/failure.ts";

/** Who a token speaks for: one subject (a host, or a group with a machine of its own), or the people who operate the fleet. */
export type Bearer = { readonly kind: "subject"; readonly name: string } | { readonly kind: "operator" };

/** Reads the key, or makes one that only this user can read. At least 32 bytes, as hexadecimal digits. */
export async function loadTokenKey(file: string): Promise<Buffer> {
  const text = await readFile(file, "utf8").catch(() => null);
  if (text !== null) {
    const key = Buffer.from(text.trim(), "hex");
    if (key.length >= 32) return key;
    throw new Failure("invalid", `${file} holds no key`, {
      reason: "BadKey",
      hint: "write at least 64 hexadecimal digits into it, or remove it: a new one is made, and every token has to be issued again",
    });
  }
  await mkdir(dirname(file), { recursive: true });
  const key = randomBytes(32);
  try {
    const handle = await open(file, "wx", 0o600);
    await handle.writeFile(`${key.toString("hex")}\n`);
    await handle.sync();
    await handle.close();
  } catch (error) {
    // Another process was faster: its key is the key.
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return loadTokenKey(file);
    throw error;
  }
  return key;
}

/** The token of a bearer. */
export function issueToken(key: Buffer, bearer: Bearer): string {
  const claim = bearer.kind === "operator" ? "operator." : `subject.${bearer.name}`;
  return `sw1.${claim}.${mac(key, claim)}`;
}

const tokenForm = /^Bearer (sw1\.(operator|subject)\.([a-z0-9._-]{0,64})\.([A-Za-z0-9_-]{43}))$/;

/** Who an `Authorization` header speaks for, or null. Takes the same time whatever is wrong with it. */
export function readBearer(key: Buffer, header: string | undefined): Bearer | null {
  const token = tokenForm.exec(header ?? "");
  const [, , kind = "", name = "", given = ""] = token ?? [];
  const wanted = Buffer.from(mac(key, `${kind}.${name}`));
  const found = Buffer.alloc(wanted.length);
  found.write(given);
  if (!timingSafeEqual(wanted, found) || token === null) return null;
  return kind === "operator" ? { kind } : { kind: "subject", name };
}

/** Tokens that are remembered, at most; then it begins anew. */
const rememberedMax = 100_000;
/** Characters of a token's code. */
const codeLength = 43;
const nobody = { code: Buffer.alloc(codeLength), bearer: null };

/**
 * Like `readBearer`, and remembers the codes of good tokens, since agents send the same one again and again. A remembered code is
 * compared in constant time too, and whatever differs from it is checked like any other: a refusal takes the same time as before.
 */
export function rememberingReader(key: Buffer): (header: string | undefined) => Bearer | null {
  const remembered = new Map<string, { readonly code: Buffer; readonly bearer: Bearer }>();
  const found = Buffer.alloc(codeLength);
  return (header = "") => {
    const claim = header.slice(0, -codeLength);
    const { code, bearer } = remembered.get(claim) ?? nobody;
    found.fill(0).write(header.slice(-codeLength), "latin1");
    if (timingSafeEqual(found, code) && bearer !== null) return bearer;
    const read = readBearer(key, header);
    if (read === null) return null;
    if (remembered.size >= rememberedMax) remembered.clear();
    remembered.set(claim, { code: Buffer.from(found), bearer: read });
    return read;
  };
}

function mac(key: Buffer, claim: string): string {
  return createHmac("sha256", key).update(`stateward token 1 ${claim}`).digest("base64url");
}
