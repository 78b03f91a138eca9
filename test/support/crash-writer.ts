// A process that records as fast as it can until it is killed. Standard output: what it found in the record, then each change once it
// was acknowledged. Arguments: remote, data folder.
import { join } from "node:path";
import { runProcess } from "../../reconciler/adapters/process.ts";
import { Maintenance } from "../../reconciler/record/maintenance.ts";
import { openMirror } from "../../reconciler/record/mirror.ts";
import { GitRemote } from "../../reconciler/record/remote.ts";
import { GitRecord } from "../../reconciler/record/store.ts";
import { TipsFile } from "../../reconciler/record/tips.ts";
import { commit, record } from "./world.ts";

const [, , url = "", data = ""] = process.argv;
const say = (line: string): void => void process.stdout.write(`${line}\n`);
const git = await openMirror(data, runProcess, { notice: (text) => say(`notice ${text}`) });
const store = new GitRecord({
  git,
  remote: new GitRemote(git, url),
  tips: await TipsFile.open(data),
  journalDir: join(data, "journal"),
  leadership: { instance: data, host: "crash", takeOver: true },
  windowMs: () => 20,
  onFenced: (message) => say(`fenced ${message}`),
  onNotice: (message) => say(`notice ${message}`),
  onAlert: (message) => say(`alert ${message}`),
});
const { subjects } = await store.load();
const revisions = new Map(subjects.map(({ name, machines }) => [name, machines.lamp?.revision ?? 0]));
for (const [name, revision] of revisions) say(`found ${name} ${revision}`);
say("loaded");
const archive = (): Promise<void> => Promise.resolve();
const maintenance = new Maintenance({ git, onNotice: (text) => say(`notice ${text}`), archive, packsMax: 8 });
void (async () => {
  for (;;) {
    await maintenance.runIfNeeded();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
})();
for (let round = 0; ; round++) {
  const name = `h${round % 7}`;
  const revision = (revisions.get(name) ?? 0) + 1;
  revisions.set(name, revision);
  const next = record(name, "lamp", { state: round % 2 === 0 ? "on" : "busy", revision });
  await store.append({ record: next, summary: `${name}: revision ${revision}`, desired: commit });
  say(`acked ${name} ${revision}`);
  await new Promise((resolve) => setTimeout(resolve, 2));
}
