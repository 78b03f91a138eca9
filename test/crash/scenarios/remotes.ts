// Other remotes than a folder: the embedded one, and one over HTTP that asks for a password.
import { rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { git } from "../../support/git-remote.ts";
import { serveGit } from "../../support/http-backend.ts";
import { heard, reaches, type Scenario, talk } from "./common.ts";

/** Without a remote the folder's files are taken over; then they change. */
export const embedded: Scenario = {
  name: "embedded",
  data: "a",
  canLoseData: false,
  play: async (site, port) => {
    await rm(site.record, { recursive: true });
    // Where steps look for what the remote has.
    await symlink(join(site.path, "a/origin.git"), site.record);
    site.remote = "";
    site.record = join(site.path, "a/origin.git");
    const first = await site.start({ data: "a" });
    await talk(site, first, 2);
    await reaches(site, first, "a", "serving");
    await site.stop(first);
    await site.aim({ a: "drained", b: "serving" }, port);
    const second = await site.start({ data: "a" });
    await reaches(site, second, "a", "drained");
    await talk(site, second, 2);
    await site.stop(second);
    const third = await site.start({ data: "a" });
    await heard(site, third);
    await site.stop(third);
  },
};

/** Over HTTP, with credentials from a file. */
export const overHttp: Scenario = {
  name: "http",
  data: "a",
  play: async (site, port) => {
    const server = await serveGit(site.path, { user: "ana", password: "secret" });
    site.defer(() => server.close());
    await git(site.record, "config", "http.receivepack", "true");
    const { host } = new URL(server.url);
    const credentials = join(site.path, "credentials");
    await writeFile(credentials, `http://ana:secret@${host}\n`, { mode: 0o600 });
    site.options = ["--credentials", credentials];
    site.remote = `http://${host}/remote.git`;
    const run = await site.start({ data: "a" });
    await heard(site, run);
    await talk(site, run, 2);
    await reaches(site, run, "a", "serving");
    await site.commit({ a: "drained", b: "serving" }, port);
    await reaches(site, run, "a", "drained");
    await site.stop(run);
  },
};
