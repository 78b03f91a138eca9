// Hostile records: what a broken disk, a person's edit or a merge could leave on the branch `observed`.
import { emptyFleet, emptyRecord, encodeRecord, fleetSubject, freshMachine } from "../../reconciler/model/record.ts";
import { type Named, nestedJson, numbered, prefixes } from "./shapes.ts";

const at = "2026-01-01T12:00:00.000Z";
const commit = "c".repeat(40);
const machine = {
  ...freshMachine("on", at, commit),
  revision: 4,
  applied: [{ state: "on", at, desired: commit }],
  once: { "k-1": { status: "done" as const, at, round: 0 } },
  conditions: [{ type: "Ready" as const, status: "True" as const, reason: "InSync", message: "", at }],
};

export const hostRecordText: string = encodeRecord({
  ...emptyRecord("host", "a"),
  incarnation: "life-one-0001",
  sequence: 3,
  address: "10.0.0.1",
  machines: { lamp: machine },
});
export const fleetRecordText: string = encodeRecord(
  fleetSubject({
    ...emptyFleet,
    holds: [{ select: "a", reason: "disk", by: "ana", at, until: null }],
    approvals: [{ commit, by: "ana", at }],
    durations: { "lamp/on": 1200 },
  }),
);

const host = (more: object): string => JSON.stringify({ host: "a", machines: {}, ...more });
const lamp = (more: object): string => host({ machines: { lamp: { ...machine, ...more } } });
const odd: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  1.5,
  "x",
  "",
  [],
  {},
  [null],
  [[]],
  { a: null },
  "\u0000",
  "__proto__",
];
const parts = [
  "state",
  "revision",
  "applied",
  "replay",
  "attempt",
  "once",
  "unsteady",
  "claim",
  "updates",
  "updateKeys",
  "conditions",
  "upkeep",
  "since",
] as const;
/** For each part of a machine's record two values that it cannot have. */
const wrongParts = parts.flatMap((part, index) =>
  [0, 1].map(
    (shift): Named => [`machine-${part}-${shift}`, lamp({ [part]: odd[(index * 3 + shift * 5) % odd.length] })],
  ),
);
const wrongKeys = ["former", "sequence", "address", "incarnation", "lost", "removed"].flatMap((key, index) =>
  [2, 9].map((shift): Named => [`host-${key}-${shift}`, host({ [key]: odd[(index + shift) % odd.length] })]),
);

export const hostileRecords: readonly Named[] = [
  ["valid-host", hostRecordText],
  ["valid-fleet", fleetRecordText],
  ["empty", ""],
  ["bom", `\ufeff${hostRecordText}`],
  ["crlf", hostRecordText.replaceAll("\n", "\r\n")],
  ["bytes", Buffer.from([0x7b, 0xff, 0xfe, 0x7d])],
  ["conflict", `<<<<<<< ours\n${hostRecordText}=======\n${hostRecordText}>>>>>>> theirs\n`],
  ["lfs-pointer", "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"],
  ["torn", `${hostRecordText.slice(0, 90)}${"\0".repeat(200)}`],
  ["zeros", Buffer.alloc(512)],
  ["yaml", "host: a\nmachines: {}\n"],
  ["twice", `${hostRecordText}${hostRecordText}`],
  ["nan", '{"host":"a","machines":{},"sequence":NaN}'],
  ...["null", "1", '"host"', "[]", "{}", "true"].map((text, index): Named => [`kind-${index}`, text]),
  ...numbered("deep", [30, 1000, 50_000], (depth) => nestedJson("[", depth, "]")),
  ...numbered(
    "deep-machines",
    [30, 2000, 20_000],
    (depth) => `{"host":"a","machines":${nestedJson('{"a":', depth, "")}1${"}".repeat(depth)}}`,
  ),
  ...numbered(
    "deep-in-machine",
    [30, 2000, 20_000],
    (depth) =>
      `{"host":"a","machines":{"lamp":{"state":"on","revision":1,"replay":[],"applied":${nestedJson("[", depth, "]")}}}}`,
  ),
  ["proto", '{"host":"a","__proto__":{"machines":{}}}'],
  ["proto-machine", '{"host":"a","machines":{"__proto__":{"state":"on","revision":1,"applied":[],"replay":[]}}}'],
  ["proto-host", '{"host":"__proto__","machines":{}}'],
  ["constructor", '{"constructor":{"prototype":{"host":"a"}},"machines":{}}'],
  ["host-and-group", '{"host":"a","group":"b","machines":{}}'],
  ["host-and-fleet", '{"host":"a","fleet":"@fleet","machines":{}}'],
  ["host-of-fleet", '{"host":"@fleet","machines":{}}'],
  ["host-null-and-group", '{"host":null,"group":"b","machines":{}}'],
  ["host-path", '{"host":"../../etc/passwd","machines":{}}'],
  ["host-empty", '{"host":"","machines":{}}'],
  ["host-lines", '{"host":"a\\nb\\u0000c","machines":{}}'],
  ["host-surrogate", '{"host":"\\ud800","machines":{}}'],
  ["host-twice", '{"host":"a","host":"b","machines":{}}'],
  ["machines-list", '{"host":"a","machines":[]}'],
  ["machines-full-list", `{"host":"a","machines":[${JSON.stringify(machine)}]}`],
  ["machines-null", '{"host":"a","machines":null}'],
  ["machine-null", '{"host":"a","machines":{"lamp":null}}'],
  ["machine-number", '{"host":"a","machines":{"lamp":7}}'],
  ["machine-empty", '{"host":"a","machines":{"lamp":{}}}'],
  [
    "machine-minimal",
    `{"host":"a","machines":{"lamp":{"state":"on","since":"${at}","desired":"c","revision":1,"applied":[],"replay":[]}}}`,
  ],
  ["machine-state-unknown", lamp({ state: "nowhere" })],
  ["machine-state-proto", lamp({ state: "__proto__" })],
  ["machine-applied-of-nothing", lamp({ applied: [null, 1, "x", {}] })],
  ["machine-replay-of-nothing", lamp({ replay: [null, {}, "nowhere"] })],
  ["machine-revision-huge", lamp({ revision: 1e300 })],
  [
    "machine-time-odd",
    lamp({ since: "yesterday", conditions: [{ type: "Ready", status: "Perhaps", reason: 1, message: null, at: "x" }] }),
  ],
  ["machine-attempt-half", lamp({ attempt: { from: "off", to: "on" } })],
  ["machine-once-odd", lamp({ once: { k: null, l: { status: "maybe" } } })],
  ["machine-key-unknown", lamp({ surprise: true })],
  ["machine-key-unknown-for-another", lamp({ surprise: true, once: undefined })],
  ...wrongParts,
  ...wrongKeys,
  ["fleet-other", '{"fleet":"@other"}'],
  ["fleet-holds-null", '{"fleet":"@fleet","holds":null}'],
  ["fleet-holds-map", '{"fleet":"@fleet","holds":{}}'],
  ["fleet-hold-half", '{"fleet":"@fleet","holds":[{"select":"a"}]}'],
  ["fleet-hold-null", '{"fleet":"@fleet","holds":[null]}'],
  ["fleet-approvals-null", '{"fleet":"@fleet","approvals":null}'],
  ["fleet-approvals-odd", '{"fleet":"@fleet","approvals":[null,1]}'],
  ["fleet-rollouts-list", '{"fleet":"@fleet","rollouts":[]}'],
  ["fleet-rollout-null", '{"fleet":"@fleet","rollouts":{"fleet/lamp=on":null}}'],
  ["fleet-durations-text", '{"fleet":"@fleet","durations":{"lamp/on":"long"}}'],
  ["fleet-braked-odd", '{"fleet":"@fleet","braked":true,"released":[]}'],
  ["fleet-braked-false", '{"fleet":"@fleet","braked":false}'],
  ...prefixes("prefix-host", hostRecordText, 6),
  ...prefixes("prefix-fleet", fleetRecordText, 6),
];
