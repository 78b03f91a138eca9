// Git's pkt-line format (gitprotocol-common) and the two answers of protocol v2 that are read here. Every byte of a server is data
// until it is checked, and none of its text gets into a message: it might repeat a password.
import { assert, Failure } from "../model/failure.ts";

/** gitprotocol-common: the length counts its own four digits. */
const packetBytesMax = 65_520;

/** What a server says of itself, as far as `ls-refs` needs it. */
export interface Advertisement {
  /** The server wants to be told the object format, and has a line for a client's name. */
  readonly objectFormat: boolean;
  readonly agent: boolean;
}

/** An answer that is not what the protocol says. */
export function badAnswer(what: string): Failure {
  return new Failure("transient", `the Git remote gave a wrong answer: ${what}`, {
    reason: "GitAnswer",
    hint: "look at what `git ls-remote` says of this remote; a proxy or a login page may answer in its place",
  });
}

/** The body of an `ls-refs` request for refs that begin with one of `prefixes`; none of them means all refs. */
export function encodeLsRefs(server: Advertisement, prefixes: readonly string[]): Buffer {
  const head = [
    "command=ls-refs\n",
    ...(server.agent ? ["agent=stateward\n"] : []),
    ...(server.objectFormat ? ["object-format=sha1\n"] : []),
  ];
  const refPrefixes = prefixes.map((prefix) => {
    // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
    assert(prefix !== "" && prefix.length < 4096 && !/[\0-\x20\x7f]/.test(prefix), "a prefix of refs is one word");
    return `ref-prefix ${prefix}\n`;
  });
  return Buffer.from([...head.map(encode), "0001", ...refPrefixes.map(encode), "0000"].join(""));
}

function encode(text: string): string {
  return (Buffer.byteLength(text) + 4).toString(16).padStart(4, "0") + text;
}

/** Lines (latin1, without their line feed) of the sections of an answer. Each section must be closed by a flush packet. */
function readSections(bytes: Buffer): string[][] {
  const sections: string[][] = [];
  let lines: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const digits = bytes.toString("latin1", at, at + 4);
    if (!/^[0-9a-f]{4}$/i.test(digits)) throw badAnswer("it is not in packets");
    const size = Number.parseInt(digits, 16);
    if (size === 0) {
      sections.push(lines);
      lines = [];
      at += 4;
      continue;
    }
    if (size <= 4 || size > packetBytesMax) throw badAnswer("a packet has no size that packets have");
    if (at + size > bytes.length) throw badAnswer("it is cut short");
    const line = bytes.toString("latin1", at + 4, at + size).replace(/\n$/, "");
    if (line.startsWith("ERR ")) throw badAnswer("it says that something went wrong there");
    lines.push(line);
    at += size;
  }
  if (sections.length === 0 || lines.length > 0) throw badAnswer("it is cut short");
  return sections;
}

/** Reads the answer to `info/refs`; null when it is one that only Git itself handles: an older protocol, or not SHA-1. */
export function readAdvertisement(bytes: Buffer): Advertisement | null {
  const sections = readSections(bytes);
  if (sections[0]?.length === 1 && sections[0][0] === "# service=git-upload-pack") sections.shift();
  const [lines = [], ...rest] = sections;
  const [first = "", ...capabilities] = lines;
  if (rest.length > 0) throw badAnswer("it goes on after its end");
  if (first === "version 1" || /^[0-9a-f]{40,64} [^\0]+\0/.test(first)) return null;
  if (first !== "version 2") throw badAnswer("it names no version of the protocol");
  const formats = capabilities.filter((line) => line.startsWith("object-format="));
  if (formats.some((line) => line !== "object-format=sha1")) return null;
  if (!capabilities.some((line) => line === "ls-refs" || line.startsWith("ls-refs="))) return null;
  return { objectFormat: formats.length > 0, agent: capabilities.some((line) => line.startsWith("agent=")) };
}

/** Reads the answer to `ls-refs`: full names with ids of 40 hexadecimal digits. A server may give more than it was asked for. */
export function readRefs(bytes: Buffer, prefixes: readonly string[]): Map<string, string> {
  const [lines = [], ...rest] = readSections(bytes);
  if (rest.length > 0) throw badAnswer("it goes on after its end");
  const refs = new Map<string, string>();
  for (const line of lines) {
    const [id = "", encoded = ""] = line.split(" ");
    const name = decodeName(encoded);
    if (!/^[0-9a-f]{40}$/.test(id) || /^0+$/.test(id)) throw badAnswer("an id is no object id");
    if (!isRefName(name)) throw badAnswer("a name is no name of a ref");
    if (refs.has(name)) throw badAnswer("it names a ref twice");
    refs.set(name, id);
  }
  if (prefixes.length === 0) return refs;
  return new Map([...refs].filter(([name]) => prefixes.some((prefix) => name.startsWith(prefix))));
}

function decodeName(latin1: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Buffer.from(latin1, "latin1"));
  } catch {
    throw badAnswer("a name is not UTF-8");
  }
}

/** The rules of git-check-ref-format, for full names. */
function isRefName(name: string): boolean {
  if (name === "HEAD") return true;
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  if (!name.startsWith("refs/") || name.length > 4096 || /[\0-\x20\x7f~^:?*[\\]|\.\.|@\{|\.$/.test(name)) return false;
  return name.split("/").every((part) => part !== "" && !part.startsWith(".") && !part.endsWith(".lock"));
}
