// Report bodies, /state and webhooks: every request gets an answer that is meant, and what is refused changes nothing (A1, A4).
import * as fc from "fast-check";
import { suite } from "../support/suite.ts";
import { oddText, runs } from "./runs.ts";
import { reportTarget, stateTarget, webhookTarget } from "./target-http.ts";
import type { Target } from "./targets.ts";

const test = suite("fuzz http");
const words = [
  "state=",
  "subject=",
  "on",
  "site",
  "a",
  "&",
  "=",
  "%00",
  "%0d%0a",
  "%",
  "lamp",
  "machine=",
  ":",
  " ",
  "SIGNED",
];
const odd = oddText(words, 8);

async function keeps(open: () => Promise<Target>, input: fc.Arbitrary<string>, usual: number): Promise<void> {
  await using target = await open();
  await fc.assert(
    fc.asyncProperty(input, async (text) => target.run(Buffer.from(text))),
    runs(usual),
  );
}

const claim = fc.oneof(
  fc.constantFrom<unknown>("on", "off", { state: "on", revision: 1 }),
  odd,
  fc.record({ state: odd, revision: fc.oneof(fc.integer(), fc.double(), fc.string()) }),
);
const anyReport = fc.record(
  {
    incarnation: fc.oneof(fc.constant("life-one-0001"), fc.stringMatching(/^[a-z-]{6,12}$/), odd),
    sequence: fc.oneof(fc.nat(), fc.maxSafeInteger(), fc.double(), fc.string()),
    states: fc.oneof(
      fc.dictionary(fc.constantFrom("lamp", "__proto__", "other"), claim),
      fc.jsonValue({ maxDepth: 2 }),
    ),
    facts: fc.oneof(
      fc.dictionary(fc.oneof(fc.constantFrom("load", "__proto__"), odd), odd, { maxKeys: 4 }),
      fc.jsonValue({ maxDepth: 2 }),
    ),
    other: fc.jsonValue({ maxDepth: 1 }),
  },
  { requiredKeys: [] },
);

test("A1: a report of any shape is taken when it keeps to the schema, changes its own host alone, and breaks nothing", () =>
  keeps(
    reportTarget,
    fc.oneof({ weight: 5, arbitrary: anyReport.map((body) => JSON.stringify(body)) }, { weight: 1, arbitrary: odd }),
    500,
  ));

test("A4: /state answers any method, query, header and body, and only an update that is answered 200 changes anything", () => {
  const line = fc.tuple(fc.constantFrom("GET", "PUT", "HEAD", "POST", "OPTIONS"), odd).map((parts) => parts.join(" "));
  const query = fc
    .tuple(
      fc.constantFrom("GET", "PUT"),
      fc.constantFrom("on", "off", "no", "%6fn"),
      fc.constantFrom("&subject=site", "&subject=a", "", "&machine=lamp&subject=site"),
    )
    .map(([method, state, rest]) => `${method} state=${state}${rest}`);
  const header = fc
    .tuple(fc.constantFrom("idempotency-key", "content-type", "x-y", "accept"), odd)
    .map((parts) => parts.join(": "));
  const request = fc.tuple(fc.oneof(line, query), fc.array(header, { maxLength: 2 }), odd);
  return keeps(
    stateTarget,
    request.map(([first, headers, body]) => `${[first, ...headers].join("\n")}\n\n${body}`),
    400,
  );
});

test("A4: a hook is heard when it is signed over the bytes that came, and in no other case", () => {
  const name = fc.constantFrom(
    "x-hub-signature-256",
    "x-gitea-signature",
    "x-gitlab-token",
    "content-type",
    "authorization",
  );
  const value = fc.oneof(fc.constantFrom("SIGNED", "sha256=", "not a password", "application/json", ""), odd);
  const request = fc.tuple(fc.array(fc.tuple(name, value), { maxLength: 3 }), odd);
  return keeps(
    webhookTarget,
    request.map(([headers, body]) => `${headers.map((parts) => parts.join(": ")).join("\n")}\n\n${body}`),
    400,
  );
});

test.run();
