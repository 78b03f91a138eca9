// How a script reaches a host: on the standard input of a fixed command, over no more than one process of this machine.

import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { access, chmod, lstat, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, posix } from "node:path";
import { Failure, messageOf } from "../model/failure.ts";
import type { ProcessResult, RunProcess } from "../model/ports.ts";
import { redact } from "../model/redact.ts";
import type { Host } from "../model/types.ts";
import { quote, readScriptEnd, scriptEnd } from "./script.ts";

/** How a script ended. `exit` is null when its end was not heard of. */
export interface ScriptResult {
  readonly kind: "ended" | "timeout" | "unreachable" | "rebuilt";
  readonly exit: number | null;
  readonly output: string;
  readonly message: string;
}

export interface Transport {
  /** Runs a script of `script.ts` on the host. Never rejects. */
  script(host: Host, script: string, timeoutMs: number): Promise<ScriptResult>;
  /** True for a path that a step may write to. */
  mayWrite(path: string): boolean;
}

/** How a script ended by its own word or its time; null when there is no word of its end. */
function scriptResult(result: ProcessResult, timeoutMs: number): ScriptResult | null {
  const { kind, exit } = readScriptEnd(result.stdout);
  if (kind === "ended") return { ...ended(result), exit };
  if (kind === "rebuilt") return { kind, exit: null, output: "", message: "the host was rebuilt meanwhile" };
  if (kind === "timeout" || result.timedOut) {
    return { ...ended(result), kind: "timeout", exit: null, message: `no end within ${timeoutMs / 1000} s` };
  }
  return null;
}

function ended(result: ProcessResult): ScriptResult {
  const output = `${readScriptEnd(result.stdout).output}${result.stderr}`;
  return { kind: "ended", exit: null, output, message: "" };
}

/** Bytes kept of a step's output. */
const outputBytesMax = 65_536;

export interface ShellOrder {
  readonly host: Host;
  /** Where it starts, and its home. */
  readonly dir: string;
  /** Values that the script counts on, and the script. */
  readonly input: string;
  readonly timeoutMs: number;
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs a script in a shell of this machine. Of the environment it is given nothing but the path to programs: no secret of ours. */
export async function runShell(runProcess: RunProcess, order: ShellOrder): Promise<ScriptResult> {
  const { host, dir, input, timeoutMs } = order;
  const env = {
    PATH: process.env.PATH ?? "/usr/bin:/bin",
    HOME: dir,
    LANG: "C.UTF-8",
    STATEWARD_HOST: host.name,
    ...order.env,
  };
  const result = await runProcess({ argv: ["sh", "-s"], cwd: dir, env, input, timeoutMs, outputBytesMax });
  const message = result.exit === null ? "killed" : "";
  return scriptResult(result, timeoutMs) ?? { ...ended(result), exit: result.exit, message };
}

/** Hosts that are a folder of this machine, with real processes on loopback ports. */
export class LocalTransport implements Transport {
  private readonly root: string;
  private readonly runProcess: RunProcess;

  constructor(root: string, runProcess: RunProcess) {
    this.root = root;
    this.runProcess = runProcess;
  }

  folder(name: string): string {
    return join(this.root, name);
  }

  async script(host: Host, script: string, timeoutMs: number): Promise<ScriptResult> {
    const dir = this.folder(host.name);
    try {
      if (await isMissing(dir)) await this.build(dir);
      const env = { STATEWARD_HOST_DIR: dir };
      const input = `SW=${quote(join(dir, ".stateward"))}\nSW_GROUP=$$\nSW_JAIL=1\n${script}`;
      return await runShell(this.runProcess, { host, dir, input, timeoutMs, env });
    } catch (error) {
      return { kind: "unreachable", exit: null, output: "", message: messageOf(error) };
    }
  }

  mayWrite(path: string): boolean {
    const [first] = posix.normalize(path).split("/");
    return !path.startsWith("/") && !path.split("/").includes("..") && first !== ".stateward";
  }

  /** A new host has an empty folder, and no process of the one that had its name before. */
  private async build(dir: string): Promise<void> {
    await killProcessesOf(dir);
    await mkdir(dir, { recursive: true });
  }
}

/** True only when there is no such folder: one that cannot be looked at is not a lost host (B4). */
async function isMissing(path: string): Promise<boolean> {
  try {
    await access(path, constants.F_OK);
    return false;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return true;
    throw error;
  }
}

/** Kills every process that a local host's steps have left, told by its environment. Returns how many. Needs /proc (Linux). */
export async function killProcessesOf(dir: string): Promise<number> {
  const pids = (await readdir("/proc").catch(() => [])).filter((name) => /^\d+$/.test(name));
  const wanted = `STATEWARD_HOST_DIR=${dir}`;
  let killed = 0;
  for (const pid of pids) {
    const environment = await readFile(`/proc/${pid}/environ`, "utf8").catch(() => "");
    if (!environment.split("\0").includes(wanted)) continue;
    try {
      process.kill(Number(pid), "SIGKILL");
      killed++;
    } catch {
      // It ended by itself.
    }
  }
  return killed;
}

export interface SshOptions {
  readonly runProcess: RunProcess;
  /** Folder for known_hosts files. */
  readonly dir: string;
  readonly user: string | null;
  readonly identity: string | null;
}

/**
 * On the host: reads the limit from the first line, then has the rest run under `timeout`, since ending ssh here ends nothing there.
 * `timeout` leads a process group of its own, and ends all of it.
 */
const remoteCommand = `if [ "$(id -u)" = 0 ]; then SW=/var/lib/stateward; else SW=$HOME/.stateward; fi; export SW; command -v timeout >/dev/null || { echo 'the host has no timeout program (coreutils or busybox)' >&2; exit 127; }; IFS= read -r sw_limit; exec timeout -k 5 "$sw_limit" sh -s`;

/** A path as an option of ssh's takes it: one word, whatever is in it, and no `%h` or the like but in `more`. Source: ssh_config(5), TOKENS. */
function sshPath(path: string, more = ""): string {
  return `"${path.replaceAll("%", "%%").replaceAll(/["\\]/g, "\\$&")}${more}"`;
}

/** Hosts reached by the system's OpenSSH client: batch mode, the host's key checked, one shared connection a host. */
export class SshTransport implements Transport {
  private readonly options: SshOptions;

  constructor(options: SshOptions) {
    this.options = options;
  }

  async script(host: Host, script: string, timeoutMs: number): Promise<ScriptResult> {
    try {
      const argv = await this.command(host);
      const input = `${Math.max(1, Math.ceil(timeoutMs / 1000))}\nSW_GROUP=$PPID\n${script}`;
      // The host ends the script at its time; ten seconds more are for the connection.
      const result = await this.options.runProcess({
        argv,
        input,
        timeoutMs: timeoutMs + 10_000,
        outputBytesMax,
        endsWith: scriptEnd,
      });
      // `timeout` itself ends with one of these where the script could not say so any more.
      const timedOut = result.timedOut || result.exit === 124 || result.exit === 137;
      const known = scriptResult({ ...result, timedOut }, timeoutMs);
      if (known) return known;
      // As a whole: a line of a key by itself has not its form any more.
      const line = redact(result.stderr).trim().split("\n").at(-1) ?? "";
      return {
        kind: "unreachable",
        exit: null,
        output: "",
        message: line.startsWith("ssh: ") ? line : `ssh: ${line || "the connection ended early"}`,
      };
    } catch (error) {
      return { kind: "unreachable", exit: null, output: "", message: messageOf(error) };
    }
  }

  mayWrite(path: string): boolean {
    return !path.split("/").includes("..");
  }

  /** Ends the shared connections. */
  async close(): Promise<void> {
    const folder = this.controlDir();
    for (const name of await readdir(folder).catch(() => [])) {
      await this.options
        .runProcess({
          argv: ["ssh", "-O", "exit", "-o", `ControlPath=${sshPath(join(folder, name))}`, "--", "none"],
          timeoutMs: 5000,
          outputBytesMax: 1000,
        })
        .catch(() => {});
    }
  }

  private async command(host: Host): Promise<[string, ...string[]]> {
    const known = await this.knownHosts(host);
    await this.openControlDir();
    const user = host.ssh.user ?? this.options.user;
    const options = {
      BatchMode: "yes",
      StrictHostKeyChecking: "yes",
      UserKnownHostsFile: sshPath(known),
      GlobalKnownHostsFile: "/dev/null",
      HostKeyAlias: host.name,
      UpdateHostKeys: "no",
      ConnectTimeout: "10",
      ServerAliveInterval: "5",
      ServerAliveCountMax: "3",
      ControlMaster: "auto",
      ControlPersist: "60",
      ControlPath: sshPath(this.controlDir(), "/%C"),
      Port: String(host.ssh.port),
      ...(user === null ? {} : { User: user }),
      ...(this.options.identity === null
        ? {}
        : { IdentityFile: sshPath(this.options.identity), IdentitiesOnly: "yes" }),
    };
    const flags = Object.entries(options).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
    return ["ssh", "-T", ...flags, "--", host.address ?? host.name, remoteCommand];
  }

  /** The key in the host's own file wins; without one, the person's list beside it is asked. */
  private async knownHosts(host: Host): Promise<string> {
    await mkdir(this.options.dir, { recursive: true });
    if (host.ssh.hostKey === null) return join(this.options.dir, "known_hosts");
    const file = join(this.options.dir, `${host.name}.known_hosts`);
    await writeFile(file, `${host.name} ${host.ssh.hostKey}\n`);
    await chmod(file, 0o600);
    return file;
  }

  /** The folder stands where others may write too: one that is not ours alone is not used. */
  private async openControlDir(): Promise<void> {
    const dir = this.controlDir();
    await mkdir(dir, { recursive: true, mode: 0o700 });
    const { uid, mode } = await lstat(dir);
    if (uid !== (process.getuid?.() ?? uid) || (mode & 0o077) !== 0) {
      throw new Failure("stalled", `${dir} is open to others`, {
        reason: "UnsafeFolder",
        hint: "remove it, and find out who made it",
      });
    }
  }

  /** Control sockets have short paths: about 100 bytes are allowed. */
  private controlDir(): string {
    const hash = createHash("sha256").update(this.options.dir).digest("hex").slice(0, 8);
    return join(tmpdir(), `stateward-${process.getuid?.() ?? 0}-${hash}`);
  }
}
