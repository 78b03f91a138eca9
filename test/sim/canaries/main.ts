// npm run canaries [NAME...]: every planted bug has to be found within its budget of seeds.
import { availableParallelism } from "node:os";
import { hunt, huntedLine } from "./hunt.ts";
import { canaries } from "./list.ts";

const help = `npm run canaries -- [NAME...]

Plants bugs, one after the other, and plays seeds with each until a promise that it breaks is found broken, or its budget is used up.
All of them take about four minutes on two cores.

${canaries.map(({ name, promises, seedsMax }) => `  ${name.padEnd(26)} ${promises.join(", ")}, within ${seedsMax} seeds`).join("\n")}

Exit: 0 each was found, 1 one was not, 2 wrong usage.
`;

const names = process.argv.slice(2);
if (names.includes("--help")) {
  process.stdout.write(help);
  process.exit(0);
}
const unknown = names.filter((word) => !canaries.some(({ name }) => name === word));
if (unknown.length > 0) {
  process.stderr.write(`no canary is named ${unknown.join(", ")}: npm run canaries -- --help lists them\n`);
  process.exit(2);
}
const wanted = names.length === 0 ? canaries : canaries.filter(({ name }) => names.includes(name));
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
