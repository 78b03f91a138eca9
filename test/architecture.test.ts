// The import table of ARCHITECTURE.md against the code, and what else the repository says of itself.
import { readdir, readFile } from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import * as assert from "uvu/assert";
import { version } from "../reconciler/cli/version.ts";
import { generatedDocs } from "./docs.ts";
import { findMisuse, readResult } from "./run.ts";
import { root } from "./support/example.ts";
import { suite } from "./support/suite.ts";

const test = suite("architecture");

interface Room {
  readonly ours: readonly string[];
  readonly node: boolean;
  readonly packages: readonly string[];
}

/** Rows such as `| plan | model | no | none |`. */
async function readTable(): Promise<Map<string, Room>> {
  const text = await readFile(join(root, "ARCHITECTURE.md"), "utf8");
  const rows = [...text.matchAll(/^\| `([a-z]+)` \| ([^|]+) \| (yes|no) \| ([^|]+) \|$/gm)];
  const list = (cell = ""): string[] =>
    cell.trim() === "none" ? [] : cell.split(",").map((word) => word.trim().replaceAll("`", ""));
  return new Map(
    rows.map(([, room = "", ours, node, packages]) => [
      room,
      { ours: list(ours), node: node === "yes", packages: list(packages) },
    ]),
  );
}

const sources = (await readdir(join(root, "reconciler"), { recursive: true })).filter((name) => name.endsWith(".ts"));
const imports = (text: string): string[] =>
  [...text.matchAll(/(?:^|\n)(?:import|export)[^;]*?from "([^"]+)"|\bimport\("([^"]+)"\)/g)].map(
    (match) => match[1] ?? match[2] ?? "",
  );

test("every import is one that the table of ARCHITECTURE.md allows", async () => {
  const table = await readTable();
  assert.is(table.size, 8);
  const wrong: string[] = [];
  for (const file of sources) {
    const [name = ""] = file.split("/");
    const room = table.get(name);
    assert.ok(room, `${file} is in no room of the table`);
    for (const target of imports(await readFile(join(root, "reconciler", file), "utf8"))) {
      if (target.startsWith(".")) {
        const [other = ""] = relative(
          join(root, "reconciler"),
          resolve(join(root, "reconciler", dirname(file)), target),
        ).split("/");
        if (other !== name && !room.ours.includes(other)) wrong.push(`${file} imports ${target}`);
      } else if (target.startsWith("node:")) {
        if (!room.node) wrong.push(`${file} imports ${target}`);
      } else {
        const packageName = target.startsWith("@")
          ? target.split("/").slice(0, 2).join("/")
          : (target.split("/")[0] ?? "");
        if (!room.packages.includes(packageName)) wrong.push(`${file} imports ${target}`);
      }
    }
  }
  assert.equal(wrong, []);
});

test("model, plan and engine read no clock, no chance and no environment, and start no timer", async () => {
  const wrong: string[] = [];
  for (const file of sources.filter((name) => /^(model|plan|engine)\//.test(name))) {
    const text = (await readFile(join(root, "reconciler", file), "utf8")).replaceAll(/\/\/.*|\/\*[\s\S]*?\*\//g, "");
    const found =
      /Date\.now|new Date\(\)|Math\.random|performance\.now|setTimeout|setInterval|setImmediate|process\.|console\./.exec(
        text,
      );
    if (found) wrong.push(`${file}: ${found[0]}`);
  }
  assert.equal(wrong, []);
});

test("generated pages of docs/ are what the schemas and the code say", async () => {
  for (const [path, text] of Object.entries(generatedDocs()))
    assert.is(await readFile(join(root, path), "utf8"), text, `${path}: run npm run docs`);
});

test("the version is that of package.json, and each link of the documents leads somewhere", async () => {
  assert.is((JSON.parse(await readFile(join(root, "package.json"), "utf8")) as { version: string }).version, version);
  const pages = [
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    ...(await readdir(join(root, "docs"))).filter((name) => name.endsWith(".md")).map((name) => `docs/${name}`),
  ];
  for (const page of pages) {
    const text = await readFile(join(root, page), "utf8");
    for (const [, target = ""] of text.matchAll(/\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)/g)) {
      await readFile(join(root, dirname(page), target)).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== "EISDIR") assert.unreachable(`${page} links to ${target}`);
      });
    }
  }
});

test("the README is short, and names the two commands", async () => {
  const text = await readFile(join(root, "README.md"), "utf8");
  assert.ok(text.split("\n").length <= 125);
  for (const command of ["npm ci && npm start", "npm ci && npm test"]) assert.ok(text.includes(command), command);
});

test("the runner fails where uvu stays green", () => {
  const summary = (total: number, passed: number): string =>
    `  Total:     ${total}\n  Passed:    ${passed}\n  Skipped:   0\n  Duration:  1ms\n`;
  const failed = (exit: number | null, output: string): number => readResult("f", exit, output).failed;
  assert.is(failed(0, `${summary(3, 3)}@declared 3\n`), 0);
  assert.ok(failed(1, `${summary(3, 2)}@declared 3\n`) === 1, "a failing test");
  assert.ok(failed(0, "@declared 3\n") > 0, "run() is forgotten");
  assert.ok(failed(0, "") > 0, "nothing is printed");
  assert.ok(failed(0, `${summary(2, 2)}@declared 3\n`) > 0, "one is not run");
  assert.ok(failed(0, `${summary(0, 0)}@declared 0\n`) > 0, "there is none");
  assert.ok(failed(1, `${summary(3, 3)}@declared 3\n`) > 0, "the process fails after its tests");
  assert.ok(failed(null, summary(3, 3)) > 0, "the process is killed");
  assert.is(failed(0, `@skipped x: needs y\n${summary(0, 0)}@declared 0\n`), 0);
  assert.is(findMisuse('test("a", () => {});'), null);
  assert.ok(findMisuse(["test", 'only("a", () => {});'].join(".")));
  assert.ok(findMisuse(["test", "before(() => {});"].join(".")));
});

test.run();
