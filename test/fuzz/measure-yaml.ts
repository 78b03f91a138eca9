// Loads each file named on standard input as the reconciler does, by every path or, where it is long, by that of its kind, and says what
// it took: run by hostile.test.ts with a
// heap of 256 MiB, so that what needs more ends this process. One line of JSON a file: { file, cpuMs, rssMiB }; the last is by how
// much the process has grown at most by then, buffers outside of the heap included.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { load, yamlPaths } from "./target-yaml.ts";

const pathOf = (text: string): string =>
  text.startsWith("machine")
    ? "machines/x.yaml"
    : text.startsWith("windows")
      ? "stateward.yaml"
      : text.startsWith("holidays")
        ? "holidays.yaml"
        : "hosts/x.yaml";

const maxRssMiB = (): number => process.resourceUsage().maxRSS / 1024;
/** What the program itself takes, before it has read anything. */
const rssAtStartMiB = maxRssMiB();

for await (const file of createInterface({ input: process.stdin })) {
  const text = readFileSync(file, "utf8");
  let cpuMs = 0;
  for (const path of text.length < 16_384 ? yamlPaths : [pathOf(text)]) {
    const before = process.cpuUsage();
    load(path, text);
    const { user, system } = process.cpuUsage(before);
    cpuMs = Math.max(cpuMs, (user + system) / 1000);
  }
  const rssMiB = maxRssMiB() - rssAtStartMiB;
  process.stdout.write(`${JSON.stringify({ file, cpuMs: Math.round(cpuMs), rssMiB: Math.round(rssMiB) })}\n`);
}
