// Hostile YAML: what makes parsers slow, deep, large or wrong, beside documents of ours with something broken in them.
import { charactersMax, fill, lines, type Named, numbered, prefixes } from "./shapes.ts";

export const machineText = `machine: git-server
description: A Git server
initial: blank
states:
  blank:
    description: Nothing of ours is on the host
  serving:
    available: true
    enter:
      - from: [blank, drained]
        when: host.labels["role"] == "primary"
        steps:
          - run: systemctl start "\${host.vars.unit}"
            timeout: 10m
            repeat: never
          - write: { path: etc/motd, content: "hello \${host.name}\\n", mode: "0644" }
          - tcp: { port: 9418, within: 30s }
    check: { tcp: { port: 9418 } }
  drained:
    enter:
      - { from: serving, steps: [{ shell: "echo drained", env: { A: "1" } }] }
recovery: { lost_after: 5m, then: replay }
`;
export const hostText = `host: git-1
region: east
address: 10.0.1.11
transport: ssh
ssh: { user: git, port: 22, host_key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB }
owner: team-source
labels: { role: primary, "movable": true }
vars:
  unit: 'git-daemon'
  bundle: git-1.bundle # a comment
targets: { git-server: serving }
hold: { reason: disk is failing, by: ana, until: 2026-12-01T09:00:00Z }
drift: correct
`;
export const settingsText = `poll: "*/15 * * * * *"
look: 10s
regions: [east, west]
parallel: 50
windows:
  - allow: { cron: 0 22 * * *, for: 6h, zone: Europe/Berlin }
    reason: nights
  - deny: { holidays: true }
    select: host.region == "east"
`;
export const groupText = `group: primary
select: host.labels["role"] == "primary"
rollout: { max_unavailable: 1, order: [east, west], canary: 1, soak: 10m }
max_lost: 20%
`;
export const documents: readonly string[] = [machineText, hostText, settingsText, groupText];

const nest = (open: string, depth: number, close = ""): string => open.repeat(depth) + close.repeat(depth);
const laughs = Array.from(
  { length: 10 },
  (_, level) =>
    `a${level}: &a${level} [${level === 0 ? "lol" : `*a${level - 1}`.padEnd(5).repeat(9).trim().split(/ +/).join(", ")}]`,
);

const nested: readonly Named[] = [
  ...numbered("nested-dashes", [31, 32, 33, 500, 1000, 1750], (depth) => nest("- ", depth)),
  ...numbered("nested-flow-lists", [31, 33, 1000, 8000], (depth) => nest("[", depth)),
  ...numbered("nested-flow-lists-closed", [31, 33, 1000, 8000], (depth) => nest("[", depth, "]")),
  ...numbered("nested-flow-maps", [33, 600, 2000], (depth) => nest("{a: ", depth)),
  ...numbered("nested-flow-maps-closed", [31, 33, 1000], (depth) => nest("{a: ", depth, "}")),
  ...numbered("nested-mixed", [33, 600], (depth) => nest("[{a: ", depth, "}]")),
  ...numbered("nested-complex-keys", [33, 500, 1000], (depth) => nest("? ", depth)),
  ...numbered("nested-blocks", [31, 33, 200], (depth) =>
    Array.from({ length: depth }, (_, at) => `${" ".repeat(at)}a:`).join("\n"),
  ),
  ...numbered("nested-dashes-and-maps", [33, 300], (depth) =>
    Array.from({ length: depth }, (_, at) => `${"  ".repeat(at)}- a:`).join("\n"),
  ),
  ...numbered("nested-flow-keys", [40, 500], (depth) => `${nest("{", depth)}a${nest("}: b", depth)}`),
  ...numbered("closed-without-open", [1, 100, 3000], (depth) => `a: 1\n${nest("]", depth)}`),
];

const references: readonly Named[] = [
  ["merge-keys", `a: &x { b: 1 }\n${lines(170, (at) => `c${at}: { <<: [*x, *x], d: 1 }\n`)}`],
  ["merge-key-chain", lines(140, (at) => (at === 0 ? "m0: &m0 { k: 1 }\n" : `m${at}: &m${at} { <<: *m${at - 1} }\n`))],
  ["merge-key-without-alias", "a:\n  <<: { b: 1 }\n  <<: { c: 1 }\n"],
  ["merge-key-nested", `${nest("<<: { ", 30)}a: 1${nest(" }", 30)}`],
  ["laughs", `${laughs.join("\n")}\n`],
  ["laughs-in-flow", `{ ${laughs.join(", ")} }\n`],
  ["alias-before-anchor", "a: *x\nb: &x 1\n"],
  ["alias-of-itself", "a: &x [*x]\n"],
  ["alias-as-key", "&a a: 1\n*a : 2\n"],
  ["anchor-with-odd-name", "a: &\u2028x 1\n"],
  ["anchor-on-nothing", "a: &x\nb: &\n"],
  ...numbered("anchors", [1, 500], (many) => lines(many, (at) => `k${at}: &n${at} v\n`)),
  ...[
    "!!js/function 'x'",
    "!!binary aGk=",
    "!!python/object:os.system x",
    "!include /etc/passwd",
    "!<tag:yaml.org,2002:str> x",
    "!",
    "!! x",
    "!e!x y",
    "!%41 x",
    "!!set {a}",
    "!!omap [a: 1]",
    "!!timestamp 2001-12-14",
    "!!merge <<",
  ].map((tag, at): Named => [`tag-${at}`, `a: ${tag}\n`]),
  ["tag-of-the-root", "!!map\na: 1\n"],
  ["tag-in-a-key", "!!str a: 1\n"],
];

const keys: readonly Named[] = [
  ["key-twice", "host: a\nhost: b\n"],
  ["key-twice-quoted", `a: 1\n"a": 2\n'a': 3\n`],
  ["key-twice-escaped", `host: 1\n"\\u0068ost": 2\n`],
  ["key-twice-in-flow", "{a: 1, a: 2}"],
  ["key-null-twice", "~: 1\nnull: 2\n: 3\n"],
  ["key-number-twice", "1: a\n1.0: b\n0x1: c\n"],
  ["key-not-a-number-twice", ".nan: 1\n.NaN: 2\n"],
  ["key-number-and-text", '1: a\n"1": b\n'],
  ["key-list", "[a, b]: c\n"],
  ["key-map", "{a: b}: c\n"],
  ["key-explicit", "? a\n: b\n? c\n"],
  ["key-proto", "__proto__: { polluted: true }\nconstructor: { prototype: { polluted: true } }\n"],
  ["key-proto-quoted", '"__proto__": { host: a }\nhost: b\n'],
  [
    "key-proto-below",
    "host: a\nlabels: { __proto__: x, constructor: y, toString: z }\nvars: { hasOwnProperty: 1, valueOf: 2 }\n",
  ],
  [
    "key-proto-machine",
    "machine: __proto__\ninitial: constructor\nstates: { constructor: null, __proto__: { available: true } }\n",
  ],
  ["key-proto-targets", "host: toString\ntargets: { __proto__: on, constructor: off }\n"],
  ["key-empty", '"": 1\n'],
  ["key-of-1025", `${"k".repeat(1025)}: 1\n`],
  ["key-of-5000-explicit", `? ${"k".repeat(5000)}\n: 1\n`],
  ["key-over-lines", "a\nb: 1\n"],
  ...numbered("keys", [4999, 5000, 5001, 20_000], (many) => lines(many, (at) => `k${at}: 1\n`)),
  ["keys-explicit-without-colon", fill((at) => `? k${at}\n`)],
  ["keys-explicit-few", lines(4000, (at) => `? k${at}\n`)],
  ["keys-in-flow-without-colon", `{${lines(6000, (at) => `k${at},`)}}`],
  ["keys-long", fill((at) => (at < 4990 ? `k${at}${"x".repeat(42)}: 1\n` : "x"))],
  ["keys-unknown-in-a-host", `host: a\n${lines(3000, (at) => `k${at}: {}\n`)}`],
  ["labels-by-thousands", `host: a\nlabels:\n${lines(4000, (at) => `  k${at}: v\n`)}`],
];

const many: readonly Named[] = [
  ["many-closing-brackets", fill(() => "]\n")],
  ["many-list-items", `a:\n${fill(() => "- \n", charactersMax - 3)}`],
  ["many-list-scalars", fill(() => "- 1\n")],
  ["many-empty-lists", `[${fill(() => "[]\n", charactersMax - 2)}]`],
  ["many-directives", fill(() => "%X\n")],
  ["many-documents", fill(() => "---\n")],
  ["many-quotes", fill(() => '"\n')],
  ["many-folded-lines", `a: >\n${fill((at) => (at % 2 ? " b\n" : "  a\n"), charactersMax - 5)}`],
  ["larger-than-may-be", `a: ${"x".repeat(charactersMax)}`],
  ...[
    "#\n",
    "|\n",
    ": ",
    "- |\n",
    "@",
    "%\n",
    "...\n",
    "?",
    "{}\n",
    "'\n",
    "\\",
    '"\\x',
    "\r",
    "&",
    "*",
    "a\n:\n",
    "- a: b: c\n",
    "[a] b\n",
    "\t",
    ",",
    "!",
  ].map((text, at): Named => [`row-${at}`, text.repeat(1500)]),
];

const texts: readonly Named[] = [
  ["empty", ""],
  ["newline", "\n"],
  ["comment", "# nothing here"],
  ["space", " "],
  ["bom", "\ufeffhost: a\n"],
  ["bom-alone", "\ufeff"],
  ["bom-twice", "\ufeff\ufeffhost: a\n"],
  ["bom-inside", "host: \ufeffa\n\ufeffregion: b\n"],
  ["bom-utf16", Buffer.from("\ufeffhost: a\n", "utf16le")],
  ["nul", "host: a\0b\n"],
  ["nul-first", "\0host: a\n"],
  ["nul-escaped", 'host: a\nvars: { v: "x\\0y", w: "\\x00" }\n'],
  ["control-escaped", 'host: a\nvars: { v: "\\e\\a\\b\\x7f\\u009b" }\n'],
  ["escape-beyond-unicode", 'a: "\\U00110000 \\Uffffffff \\ud800 \\U0000d800"\n'],
  ["surrogate-escaped", 'host: a\nvars: { v: "\\ud800", w: "\\udc00\\ud800" }\n'],
  ["escape-unknown", 'a: "\\q"\n'],
  ["escape-cut", 'a: "\\u12'],
  ["bytes-cut", Buffer.concat([Buffer.from("host: "), Buffer.from([0xe2, 0x82])])],
  ["bytes-overlong", Buffer.concat([Buffer.from("host: "), Buffer.from([0xc0, 0xae, 0xc0, 0xae, 0x2f])])],
  ["bytes-surrogate", Buffer.concat([Buffer.from("host: "), Buffer.from([0xed, 0xa0, 0x80])])],
  ["bytes-all", Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))],
  ["lines-by-cr", "host: a\rregion: b\r"],
  ["lines-by-crlf", "host: a\r\nregion: b\r\n"],
  ["lines-by-nel", "host: a\u0085region: b\n"],
  ["lines-by-ls-and-ps", "host: a\u2028region: b\u2029owner: c\n"],
  ["lines-mixed", "host: a\r\nregion: b\rowner: c\n\rlabels: {}\n"],
  ["tabs", "host:\ta\nlabels:\n\trole: x\n"],
  ["tab-indent", "\thost: a\n"],
  ["directive-version", "%YAML 1.1\n---\na: yes\n"],
  ["directive-version-9", "%YAML 9.9\n---\na: yes\n"],
  ["directive-tag", "%TAG ! tag:x,2000:\n---\na: !y 1\n"],
  ["directive-unknown", "%FOO bar\n---\na: 1\n"],
  ["directive-inside", "a: 1\n%YAML 1.2\nb: 2\n"],
  ["documents", "a: 1\n---\nb: 2\n"],
  ["document-end", "a: 1\n...\nb: 2\n"],
  ["document-marks", "---\n...\n---\n...\n"],
  ["scalar", "just text\n"],
  ["scalar-number", "42\n"],
  ["scalar-null", "null\n"],
  ["list-of-nothing", "-\n-\n"],
  ["scalar-huge", `host: ${"a".repeat(20_000)}\n`],
  ["scalar-huge-quoted", `host: "${"\\u00e9".repeat(5000)}"\n`],
  ["number-huge", `a: ${"9".repeat(400)}\nb: 1e999\nc: -1e999\nd: 0x${"f".repeat(300)}\ne: 0o${"7".repeat(300)}\n`],
  ["number-odd", "a: .inf\nb: -.INF\nc: .nan\nd: +1\ne: 1_000\nf: 0b1\ng: 1e\nh: .e1\n"],
  ["time-odd", "host: a\nhold: { reason: x, by: y, until: 2026-02-30T25:61:61Z }\n"],
  [
    "duration-huge",
    `machine: m\ninitial: a\nstates: { a: null }\nrecovery: { lost_after: ${"999999999d".repeat(50)} }\n`,
  ],
  ["block-indent-9", "a: |9\n x\n"],
  ["block-indent-0", "a: |0\n x\n"],
  ["block-odd-header", "a: |+-2 x\n"],
  ["block-less-indent", "a: |\n   \n x\n"],
  ["flow-unclosed", "a: [1, 2\n"],
  ["flow-comma", "a: [,]\nb: {,}\n"],
  ["flow-on-lines", "a: [\n1\n,\n2\n]\n"],
  ["flow-dash", "a: [-, - b]\n"],
  ["colon-only", ":\n"],
  ["colons", "a: b: c: d\n"],
  ["dash-text", "-a\n--\n---a\n"],
  ["quote-in-text", "a: it's\nb: 'it''s'\nc: \"\n"],
  ["percent", "a: %x\n%: 1\n"],
  ["backtick", "a: `x`\nb: @x\n"],
  ["name-option", "host: -oProxyCommand=x\naddress: -x\n"],
  ["name-path", "host: ../../etc/passwd\ntargets: { ../m: on }\n"],
  ["name-odd", 'host: "a\\nb"\naddress: "10.0.0.1\\n"\n'],
  [
    "template-broken",
    "machine: m\ninitial: a\nstates: { a: { enter: [{ from: b, steps: [{ run: 'x ${host.name' }, { run: '${' }, { run: '${}' }] }] }, b: null }\n",
  ],
  ["guard-broken", "machine: m\ninitial: a\nstates: { a: { enter: [{ from: b, when: '((((' }] }, b: null }\n"],
  ["graph-of-itself", "machine: m\ninitial: a\nstates: { a: { enter: [{ from: a, auto: true, when: 'true' }] } }\n"],
  [
    "graph-dense",
    `machine: m\ninitial: s0\nstates:\n${lines(30, (to) => `  s${to}: { enter: [{ from: [${Array.from({ length: 30 }, (_, at) => `s${at}`).join(", ")}], steps: [] }] }\n`)}`,
  ],
  ["pattern-steps", `host: a\naddress: ${"a.".repeat(300)}!\n`],
  [
    "pattern-zone",
    `windows: [{ allow: { cron: "${"0 ".repeat(3000)}", for: ${"1m".repeat(3000)}!, zone: ${"a/".repeat(2000)} } }]\n`,
  ],
];

export const hostileYaml: readonly Named[] = [
  ...nested,
  ...references,
  ...keys,
  ...many,
  ...texts,
  ...documents.flatMap((text, at) => prefixes(`prefix-${at}`, text, 6)),
];
