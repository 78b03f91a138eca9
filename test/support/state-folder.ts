// A folder with the files of a state repository, as a person has it.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { git, Remote } from "./git-remote.ts";
import { tempFolder } from "./temp.ts";
import { atOnce, type Files, lamp, localHost, sources } from "./world.ts";

export interface StateFolder extends AsyncDisposable {
  readonly path: string;
  read(path: string): Promise<string>;
  write(files: Files): Promise<void>;
}

/** Three lamps, two of them in a group that carries a machine of its own. */
export const lampFiles: Files = {
  "stateward.yaml": atOnce,
  "machines/lamp.yaml": lamp,
  "machines/notice.yaml":
    "machine: notice\ninitial: none\nstates:\n  none: { enter: [{ from: posted }] }\n  posted: { enter: [{ from: none }] }\n",
  "hosts/a.yaml":
    "host: a   # the first\ntransport: local\nlabels: { role: web }\ntargets:\n  lamp:   off   # for now\n\n# end\n",
  "hosts/b.yaml": 'host: b\r\ntransport: local\r\nlabels: {role: web}\r\ntargets: {lamp: "off"} # b\r\n',
  "hosts/c.yaml": localHost("c", { lamp: "on" }),
  "hosts/web.yaml":
    'group: web\nselect: host.labels.role == "web"   # both\nmachines: [notice]\ntargets: { notice: none }\n',
  "hosts/nobody.yaml": 'group: nobody\nselect: host.labels.role == "none"\n',
};

export async function stateFolder(files: Files = lampFiles): Promise<StateFolder> {
  const dir = await tempFolder();
  const write = async (more: Files): Promise<void> => {
    for (const { path, text } of sources(more)) {
      if (path === "stateward.yaml" && !("stateward.yaml" in more)) continue;
      await mkdir(dirname(join(dir.path, path)), { recursive: true });
      await writeFile(join(dir.path, path), text ?? "");
    }
  };
  await write(files);
  return { ...dir, write, read: (path) => readFile(join(dir.path, path), "utf8") };
}

export interface Person extends AsyncDisposable {
  /** Where the person commits; the commands are given another clone. */
  readonly remote: Remote;
  /** The clone. */
  readonly folder: string;
  git(...args: string[]): Promise<string>;
  read(path: string): Promise<string>;
  /** Everything about the clone that a command that opens a pull request must leave alone. */
  state(): Promise<string>;
}

/** A remote with these files on main, and a person's clone of it. */
export async function person(files: Files = lampFiles): Promise<Person> {
  const dir = await tempFolder();
  const remote = await Remote.create(dir.path);
  await remote.commit(files, "first");
  const folder = join(dir.path, "clone");
  await git(dir.path, "clone", "--quiet", remote.path, folder);
  await git(folder, "config", "user.name", "Ana");
  await git(folder, "config", "user.email", "ana@example.org");
  const run = (...args: string[]): Promise<string> => git(folder, ...args);
  const state = async (): Promise<string> => {
    const index = await readFile(join(folder, ".git/index"));
    const parts = [await run("status", "--porcelain"), await run("diff"), await run("for-each-ref", "refs/heads")];
    return [...parts, await run("symbolic-ref", "HEAD"), index.toString("base64")].join("\n");
  };
  return { ...dir, remote, folder, state, git: run, read: (path) => readFile(join(folder, path), "utf8") };
}
