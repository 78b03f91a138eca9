// Build step: puts the schemas and the agent beside the compiled program. Not part of the command line.
import { chmod, copyFile, mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { publishedSchemas } from "../model/schemas.ts";

const dist = join(dirname(fileURLToPath(import.meta.url)), "..");
const source = join(dist, "..", "reconciler");

await mkdir(join(dist, "schemas"), { recursive: true });
for (const [name, schema] of Object.entries(publishedSchemas)) {
  await writeFile(join(dist, "schemas", name), `${JSON.stringify(schema, null, 2)}\n`);
}
await mkdir(join(dist, "agent"), { recursive: true });
await copyFile(join(source, "agent", "stateward-agent"), join(dist, "agent", "stateward-agent"));
await chmod(join(dist, "agent", "stateward-agent"), 0o755);
await chmod(join(dist, "cli", "main.js"), 0o755);
