// Fleets for benchmarks: a bare repository whose branch `main` has so many host files, and records for all of them.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import { emptyRecord, freshMachine, type SubjectRecord } from "../dist/model/record.js";

export const machineFile = `machine: lamp
initial: off
states:
  off: {}
  on:
    available: true
    enter:
      - from: off
  busy:
    enter:
      - from: on
`;

export const hostName = (index: number): string => `host-${String(index).padStart(6, "0")}`;

/** A host file of about 300 bytes, as fleets have them. */
export function hostFile(index: number, target = "on"): string {
  return `host: ${hostName(index)}
region: ${index % 3 === 0 ? "east" : index % 3 === 1 ? "west" : "north"}
address: 10.${(index >> 16) & 255}.${(index >> 8) & 255}.${index & 255}
transport: agent
owner: team-${index % 40}
labels:
  role: ${index % 10 === 0 ? "primary" : "replica"}
  rack: r${index % 500}
  tier: "${index % 4}"
vars:
  bundle: bundle-${index}.tar
  port: ${8000 + (index % 1000)}
targets:
  lamp: ${target}
`;
}

export function hostPath(index: number): string {
  const hash = createHash("sha256").update(hostName(index)).digest("hex");
  return `hosts/${hash.slice(0, 2)}/${hostName(index)}.yaml`;
}

/** Runs Git to its end and gives back its standard output. */
export async function git(dir: string, args: readonly string[], input?: string | Buffer): Promise<string> {
  const child = spawn("git", ["-C", dir, ...args], { stdio: ["pipe", "pipe", "pipe"] });
  const out: Buffer[] = [];
  const errors: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => out.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => errors.push(chunk));
  child.stdin.on("error", () => {});
  child.stdin.end(input ?? "");
  const [code] = (await once(child, "close")) as [number];
  if (code !== 0) throw new Error(`git ${args.join(" ").slice(0, 200)}: ${Buffer.concat(errors).toString()}`);
  return Buffer.concat(out).toString();
}

/** A bare repository at `dir` with `count` hosts on `main`. */
export async function makeFleet(dir: string, count: number): Promise<void> {
  await mkdir(dir, { recursive: true });
  await git(dir, ["init", "--quiet", "--bare", "--initial-branch=main", "."]);
  const files: [string, string][] = [
    ["stateward.yaml", 'poll: "*/15 * * * * *"\n'],
    ["machines/lamp.yaml", machineFile],
  ];
  for (let index = 0; index < count; index++) files.push([hostPath(index), hostFile(index)]);
  await git(dir, ["fast-import", "--quiet", "--done"], stream("refs/heads/main", "A fleet", files, null));
}

/** A fast-import stream of one commit. */
export function stream(ref: string, message: string, files: readonly [string, string][], from: string | null): string {
  const data = (text: string): string => `data ${Buffer.byteLength(text)}\n${text}\n`;
  return [
    `commit ${ref}\ncommitter B <b@example.org> ${Math.floor(Date.now() / 1000)} +0000\n${data(message)}`,
    from === null ? "" : `from ${from}\n`,
    ...files.map(([path, text]) => `M 100644 inline ${path}\n${data(text)}`),
    "done\n",
  ].join("");
}

const commit = "3f2a9c1de0b7a65c9d3e8f7a1b2c4d5e6f708192";

/** A record as a host has it that went through two states. */
export function recordOf(index: number, state = "on", revision = 2): SubjectRecord {
  const name = hostName(index);
  const at = new Date(1_790_000_000_000 + index * 1000 + revision).toISOString();
  const entry = {
    ...freshMachine(state, at, commit),
    revision,
    applied: [{ state, at, desired: commit }],
    conditions: [{ type: "Ready" as const, status: "True" as const, reason: "InSync", message: `in ${state}`, at }],
  };
  const incarnation = createHash("sha256").update(name).digest("hex").slice(0, 32);
  return { ...emptyRecord("host", name), incarnation, sequence: revision, machines: { lamp: entry } };
}
