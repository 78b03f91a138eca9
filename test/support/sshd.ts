// A real OpenSSH server on loopback, if one is installed.
import { execFile, spawn } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { exists } from "../../reconciler/record/disk.ts";

const run = promisify(execFile);
const candidates = ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/sbin/sshd"];

/** Path of sshd, or null. */
export async function findSshd(): Promise<string | null> {
  for (const path of candidates) if (await exists(path)) return path;
  return null;
}

export interface Sshd extends AsyncDisposable {
  readonly port: number;
  readonly hostKey: string;
  readonly identity: string;
  readonly user: string;
}

/** Starts sshd for this user, with keys of its own. */
export async function startSshd(sshd: string, dir: string): Promise<Sshd> {
  await mkdir("/run/sshd", { recursive: true }).catch(() => {});
  for (const name of ["host", "client"])
    await run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", join(dir, name)]);
  await writeFile(join(dir, "authorized"), await readFile(join(dir, "client.pub")), { mode: 0o600 });
  const port = await freePort();
  const config = [
    "Port " + port,
    "ListenAddress 127.0.0.1",
    `HostKey ${join(dir, "host")}`,
    `AuthorizedKeysFile ${join(dir, "authorized")}`,
    "PasswordAuthentication no",
    "UsePAM no",
    "StrictModes no",
    "PermitRootLogin prohibit-password",
    "PidFile none",
  ];
  await writeFile(join(dir, "sshd_config"), `${config.join("\n")}\n`);
  const child = spawn(sshd, ["-D", "-e", "-f", join(dir, "sshd_config")], { stdio: ["ignore", "ignore", "pipe"] });
  await new Promise<void>((resolve, reject) => {
    let text = "";
    child.stderr.on("data", (chunk: Buffer) => {
      text += chunk.toString();
      if (text.includes("listening")) resolve();
    });
    child.once("exit", () => reject(new Error(`sshd did not start: ${text}`)));
  });
  const hostKey = (await readFile(join(dir, "host.pub"), "utf8")).split(" ").slice(0, 2).join(" ");
  const user = (await run("id", ["-un"])).stdout.trim();
  return {
    port,
    hostKey,
    identity: join(dir, "client"),
    user,
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await new Promise((resolve) => child.once("exit", resolve));
    },
  };
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}
