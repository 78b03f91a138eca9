// What reaches programs: words of `run`, scripts, paths to write, addresses of Git, ssh. Data stays data (A3): no option, no path outside.
import { posix } from "node:path";
import * as assert from "uvu/assert";
import { quote, runBody } from "../../reconciler/adapters/script.ts";
import { LocalTransport } from "../../reconciler/adapters/transport.ts";
import { GuardCompiler } from "../../reconciler/model/guard.ts";
import { staticValues } from "../../reconciler/model/guard-values.ts";
import { parseHost } from "../../reconciler/model/subject.ts";
import { parseTemplate, renderAction } from "../../reconciler/model/template.ts";
import type { Host, RunAction, WriteAction } from "../../reconciler/model/types.ts";
import { checkRemote, withoutCredentials } from "../../reconciler/record/git.ts";
import { orFailure } from "./laws.ts";
import { shellCommands } from "./shell-words.ts";

let compiler = new GuardCompiler([]);
let runs = 0;
const local = new LocalTransport("/srv/hosts", () => Promise.reject(new Error("nothing is run")));

/** Fields between U+001E: a value for templates, a path, content, mode, an address of Git, then the words of a `run`. */
export function argumentTarget(input: Buffer): void {
  if (++runs % 2000 === 0) compiler = new GuardCompiler([]);
  const [value = "", path = "", content = "", mode = "", address = "", ...words] = input.toString().split("\u001e");
  const host = parseHost("hosts/a.yaml", { host: "a", transport: "local", vars: { v: value } });
  checkQuote(value);
  checkRun(host, words.length === 0 ? ["run"] : words, value);
  checkWrite(host, { kind: "write", path, content, mode });
  checkAddress(address);
}

/** A quoted text is one word, and it is that text; what no shell can be told is refused. */
function checkQuote(text: string): void {
  const word = orFailure(() => quote(text));
  if (word !== null) assert.equal(shellCommands(`x ${word}`), [["x", text]]);
}

function checkRun(host: Host, argv: readonly string[], value: string): void {
  const action: RunAction = { kind: "run", argv, env: { V: "${host.vars.v}" } };
  const rendered = renderAction(action, compiler, staticValues(host));
  if (!rendered.ok) {
    assert.ok(rendered.error !== "");
    return;
  }
  assert.is(rendered.value.kind, "run");
  const run = rendered.value as RunAction;
  assert.is(run.argv.length, argv.length, "data makes no words");
  const body = orFailure(() => runBody(run.argv, run.env));
  if (body !== null)
    assert.equal(shellCommands(body), [
      ["export", `V=${value}`],
      ["exec", ...run.argv],
    ]);
  for (const [index, word] of run.argv.entries()) {
    if (argv[index] === "--") break;
    const [first] = parseTemplate(argv[index] ?? "");
    // A word that the file itself begins with a dash is an option that was reviewed.
    if (word.startsWith("-"))
      assert.ok(first !== undefined && "text" in first && first.text.startsWith("-"), `${word} is an option`);
  }
}

function checkWrite(host: Host, action: WriteAction): void {
  const rendered = renderAction(action, compiler, staticValues(host));
  if (!rendered.ok) return;
  const { path } = rendered.value as WriteAction;
  if (!local.mayWrite(path) || orFailure(() => quote(path)) === null) return;
  // As a shell reads it, and as the system resolves it.
  const end = posix.join("/host", path.replaceAll("\0", ""));
  assert.ok(end === "/host" || end.startsWith("/host/"), `${path} leads to ${end}`);
  assert.ok(end !== "/host/.stateward" && !end.startsWith("/host/.stateward/"), `${path} leads to our own folder`);
}

/** What Git is given as an address is no option and no program, and shows no secret. */
function checkAddress(text: string): void {
  const shown = withoutCredentials(text);
  assert.ok(!/^https?:\/\/[^/@\s]*:[^/@\s]*@/i.test(shown), shown);
  const address = orFailure(() => checkRemote(text));
  if (address === null) return;
  assert.is(address, text);
  // Source: transport_get in Git's transport.c. Letters, digits, +, - and . before :: name a program.
  assert.ok(!/^[a-z0-9+.-]*::/i.test(address) && !address.startsWith("-") && !/[\0\n]/.test(address), address);
}
