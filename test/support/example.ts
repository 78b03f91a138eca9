// The worked example in a folder of its own, on ports of its own, run by the built program as people run it.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { cp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { killProcessesOf } from "../../reconciler/adapters/transport.ts";
import { freePort } from "./sshd.ts";
import { tempFolder, until } from "./temp.ts";

const run = promisify(execFile);
export const root: string = fileURLToPath(new URL("../..", import.meta.url));
export const program: string = join(root, "dist/cli/main.js");

export interface CliResult {
  readonly exit: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the built program to its end. */
export async function cli(folder: string, ...args: string[]): Promise<CliResult> {
  try {
    const { stdout, stderr } = await run(process.execPath, [program, "--folder", folder, ...args], {
      maxBuffer: 50_000_000,
    });
    return { exit: 0, stdout, stderr };
  } catch (error) {
    const { code, stdout = "", stderr = "" } = error as { code?: number; stdout?: string; stderr?: string };
    return { exit: typeof code === "number" ? code : -1, stdout, stderr };
  }
}

export class Reconciler {
  readonly child: ChildProcess;
  output = "";
  private readonly ended: Promise<number>;

  /** `node`: options of Node itself, such as a module that is loaded first. */
  constructor(folder: string, listen: string, more: readonly string[] = [], node: readonly string[] = []) {
    const args = [...node, program, "--folder", folder, "run", "--listen", listen, ...more];
    this.child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [this.child.stdout, this.child.stderr])
      stream?.on("data", (chunk: Buffer) => (this.output += chunk.toString()));
    this.ended = new Promise((resolve) => this.child.once("close", (code) => resolve(code ?? -1)));
  }

  async says(text: string | RegExp, since = 0): Promise<void> {
    const found = (): boolean =>
      typeof text === "string" ? this.output.slice(since).includes(text) : text.test(this.output.slice(since));
    await until(`"${String(text)}" in the output`, found).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${this.output}`);
    });
  }

  /** Resolves to the exit status. */
  stop(signal: NodeJS.Signals): Promise<number> {
    this.child.kill(signal);
    return this.ended;
  }
}

export interface Example extends AsyncDisposable {
  readonly folder: string;
  readonly ports: readonly [number, number];
  readonly listen: string;
  start(...more: string[]): Reconciler;
  origin(...args: string[]): Promise<string>;
}

/** Copies the repository's own stateward.yaml, machines/ and hosts/, with free ports in place of the example's. */
export async function openExample(
  edit: (path: string, text: string) => string = (_path, text) => text,
): Promise<Example> {
  const dir = await tempFolder();
  const folder = dir.path;
  for (const name of ["stateward.yaml", "machines", "hosts"])
    await cp(join(root, name), join(folder, name), { recursive: true });
  const ports = [await freePort(), await freePort()] as const;
  for (const path of [
    ...(await readdir(join(folder, "hosts"))).map((name) => `hosts/${name}`),
    ...(await readdir(join(folder, "machines"))).map((name) => `machines/${name}`),
  ]) {
    if (!path.endsWith(".yaml")) continue;
    const text = (await readFile(join(folder, path), "utf8"))
      .replaceAll("8641", String(ports[0]))
      .replaceAll("8642", String(ports[1]));
    await writeFile(join(folder, path), edit(path, text));
  }
  const listen = `127.0.0.1:${await freePort()}`;
  const running: Reconciler[] = [];
  return {
    folder,
    ports,
    listen,
    start: (...more) => {
      const reconciler = new Reconciler(folder, listen, more);
      running.push(reconciler);
      return reconciler;
    },
    origin: async (...args) =>
      (await run("git", ["--git-dir", join(folder, ".stateward/origin.git"), ...args])).stdout.trim(),
    async [Symbol.asyncDispose]() {
      for (const { child } of running) child.kill("SIGKILL");
      for (const name of ["git-1", "git-2", "web-1"]) await killProcessesOf(join(folder, ".stateward-hosts", name));
      await rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
    },
  };
}

/** Ids of a repository's refs, as anyone sees them from outside. */
export async function refs(port: number): Promise<string> {
  return (await run("git", ["ls-remote", `git://127.0.0.1:${port}/site.git`])).stdout;
}
