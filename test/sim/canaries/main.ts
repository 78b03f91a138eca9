// npm run canaries [NAME...]: every planted bug has to be found within its budget of seeds.
import { availableParallelism } from "node:os";
import { hunt, huntedLine } from "./hunt.ts";
import { canaries } from "./list.ts";

const names = process.argv.slice(2);
const wanted = names.length === 0 ? canaries : canaries.filter(({ name }) => names.includes(name));
if (wanted.length < Math.max(1, names.length)) {
  process.stderr.write(`usage: npm run canaries [NAME...]: ${canaries.map(({ name }) => name).join(", ")}\n`);
  process.exit(2);
}
const began = performance.now();
// The long ones first.
const queue = wanted.toSorted((a, b) => b.seedsMax - a.seedsMax);
let missed = 0;
async function lane(): Promise<void> {
  for (let canary = queue.shift(); canary !== undefined; canary = queue.shift()) {
    const hunted = await hunt(canary);
    if (hunted.found === null) missed++;
    console.log(huntedLine(hunted));
  }
}
await Promise.all(Array.from({ length: Math.min(availableParallelism(), wanted.length) }, lane));
console.log(
  `${wanted.length - missed} of ${wanted.length} found in ${Math.round((performance.now() - began) / 1000)} s`,
);
process.exitCode = missed === 0 ? 0 : 1;
