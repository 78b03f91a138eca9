// npm run bench -- record [HOSTS...] [--only=PART], -- plan [HOSTS...] [--only=PART], -- propose [HOSTS...],
// -- http [--hosts N] [--rounds N], -- audit [COMMITS]: figures, most of them beside a floor of the same run.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const [what = "", ...rest] = process.argv.slice(2);
if (!["record", "plan", "propose", "http", "audit"].includes(what)) {
  console.error("usage: npm run bench -- record [HOSTS...] [--only=tick|memory|starts|ten|commits|sustained|size]");
  console.error("       npm run bench -- plan [HOSTS...] [--only=rest|begin|line|ten|tally|why|what-if|simulate|wake]");
  console.error("       npm run bench -- propose [HOSTS...]");
  console.error("       npm run bench -- http [--hosts N] [--rounds N] [--guards] [--profile FOLDER]");
  console.error("       npm run bench -- audit [COMMITS]");
  process.exit(2);
}
const program = fileURLToPath(new URL(`${what}.ts`, import.meta.url));
const child = spawn(process.execPath, [...process.execArgv, program, ...rest], { stdio: "inherit" });
child.once("close", (code) => process.exit(code ?? 1));
