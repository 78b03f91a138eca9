// Writes test/fixtures/hostile/: inputs that are meant to break each parser. The same files each time; a test compares them with the
// folder. Run it when an input is added: node --import tsx test/fuzz/make-hostile.ts
import { mkdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Random } from "../support/random.ts";
import { hostileReports, hostileStates, hostileWebhooks, reportText, stateText, webhookText } from "./hostile-http.ts";
import { fleetRecordText, hostileRecords, hostRecordText } from "./hostile-record.ts";
import {
  argumentText,
  guardText,
  hostileArguments,
  hostileGuards,
  hostileWindows,
  windowText,
} from "./hostile-text.ts";
import { documents, hostileYaml } from "./hostile-yaml.ts";
import { mutate } from "./mutations.ts";
import type { Named } from "./shapes.ts";

export const hostileFolder: string = fileURLToPath(new URL("../fixtures/hostile/", import.meta.url));
const seed = 20_261_122;

interface Source {
  readonly named: readonly Named[];
  /** Valid inputs, from which mutated ones are made. */
  readonly valid: readonly string[];
  readonly mutated: number;
  /** Words that mean something to the target. */
  readonly words: readonly string[];
}

const sources: Readonly<Record<string, Source>> = {
  yaml: {
    named: hostileYaml,
    valid: documents,
    mutated: 40,
    words: ["<<: ", "? ", "- ", "{", "[", "&a", "*a", "!!str ", "|\n", "host: ", "machine: "],
  },
  report: {
    named: hostileReports,
    valid: [reportText],
    mutated: 25,
    words: ['"__proto__":', '"states":{', '"facts":{', "1e999", "\\ud800"],
  },
  state: {
    named: hostileStates,
    valid: [stateText],
    mutated: 15,
    words: ["state=", "subject=", "machine=", "%00", "&", "[]"],
  },
  webhook: {
    named: hostileWebhooks,
    valid: [webhookText],
    mutated: 15,
    words: ["SIGNED", "x-gitlab-token: ", "x-gitea-signature: "],
  },
  record: {
    named: hostileRecords,
    valid: [hostRecordText, fleetRecordText],
    mutated: 30,
    words: ['"applied": []', "null", '"group"', '"fleet"', "[null]", "-1"],
  },
  guard: {
    named: hostileGuards,
    valid: [guardText, 'hosts.count(h, h.region == "east") > 1'],
    mutated: 25,
    words: [".all(h, ", ".matches(", " && ", "group.web", "has(", '["m"]', '.quorum(h, true, "2/3")'],
  },
  argument: {
    named: hostileArguments,
    valid: [argumentText],
    mutated: 20,
    words: ["${host.vars.v}", "--", "\u001e", "'", "../", "\u0000"],
  },
  window: {
    named: hostileWindows,
    valid: [windowText],
    mutated: 20,
    words: ["*/", "L", "W", "#", "29 2", "Europe/Berlin", "24h"],
  },
};

/** Every input by its path in the folder. */
export function hostileInputs(): Map<string, Buffer> {
  const inputs = new Map<string, Buffer>();
  for (const [target, { named, valid, mutated, words }] of Object.entries(sources)) {
    const random = new Random(seed);
    const others = valid.map((text) => Buffer.from(text));
    const add = (name: string, content: string | Buffer): void => {
      const path = `${target}/${name}.in`;
      if (inputs.has(path)) throw new Error(`two inputs are called ${path}`);
      inputs.set(path, Buffer.from(content));
    };
    for (const [name, content] of named) add(name, content);
    for (let at = 0; at < mutated; at++)
      add(`mutated-${at}`, mutate(random.pick(others), random, { words, others, bytesMax: 8192 }));
  }
  return inputs;
}

/** What the coverage-guided search mixes into the inputs of a target. */
export function wordsOf(target: string): readonly string[] {
  return sources[target]?.words ?? [];
}

async function main(): Promise<void> {
  await rm(hostileFolder, { recursive: true, force: true });
  const inputs = hostileInputs();
  let bytes = 0;
  for (const [path, content] of inputs) {
    await mkdir(dirname(join(hostileFolder, path)), { recursive: true });
    await writeFile(join(hostileFolder, path), content);
    bytes += content.length;
  }
  process.stdout.write(`${inputs.size} inputs, ${bytes} bytes, in ${hostileFolder}\n`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
