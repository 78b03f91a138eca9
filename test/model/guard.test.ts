// Guards over other hosts: what is not known is neither true nor false, and counting says what people mean.
import * as assert from "uvu/assert";
import { type Guard, GuardCompiler, type GuardResult, type GuardValues } from "../../reconciler/model/guard.ts";
import { celHost, type KnownOfHost, staticValues } from "../../reconciler/model/guard-values.ts";
import type { Host } from "../../reconciler/model/types.ts";
import { suite } from "../support/suite.ts";
import { load, noon } from "../support/world.ts";

const test = suite("guard");
const compiler = new GuardCompiler(["db", "web"]);
const { hosts } = load({ "hosts/h.yaml": { host: "h", transport: "local" } }).repository;
const h = hosts.get("h") as Host;

function guard(text: string): Guard {
  const compiled = compiler.compile(text);
  if ("error" in compiled) throw new Error(compiled.error);
  return compiled.guard;
}

function refusal(text: string): string {
  const compiled = compiler.compile(text);
  return "error" in compiled ? compiled.error : "";
}

/** A host in this state; `null` is one of which nothing is known now, `-` one whose machine is on its way. */
function seen(state: string | null, reported: KnownOfHost["reported"] = null): ReturnType<typeof celHost> {
  return celHost(h, { states: state === null ? null : state === "-" ? {} : { m: state }, reported });
}

const valuesOf = (states: readonly (string | null)[]): GuardValues => {
  const members = states.map((state) => seen(state));
  return { ...staticValues(h), group: () => members, hosts: () => members, now: new Date(noon) };
};

const ask = (text: string, ...states: (string | null)[]): GuardResult => guard(text).evaluate(valuesOf(states));

/** True, false, or why not. */
function answer(text: string, ...states: (string | null)[]): unknown {
  const result = ask(text, ...states);
  return result.ok ? result.value : result.error;
}

const up = 'h.states["m"] == "up"';

test("B4: what is asked of a host that is not known now cannot be told, also whether it is not in a state", () => {
  for (const text of [`!("m" in h.states)`, `h.states["m"] != "up"`, "size(h.states) == 0", "h.states == {}", up])
    assert.is(answer(`group.web.all(h, ${text})`, null), "No such key: states", text);
  assert.is(answer(`group.web.all(h, !("m" in h.states))`, "-"), true, "a machine on its way is in no state");
  assert.is(answer(`group.web.exists(h, ${up})`, null, "up"), true);
});

test("has(h.states) tells whether a host is known now", () => {
  assert.is(answer("group.web.exists(h, !has(h.states))", "up", null), true);
  assert.is(answer("group.web.all(h, has(h.states))", "up", "-"), true);
  assert.is(answer(`group.web.count(h, has(h.states) && ${up})`, "up", null, "down"), 1n);
});

test("reported is when a host was last heard of: its age can be asked, and is not known where it was never heard of", () => {
  const text = 'group.web.all(h, now - h.reported < duration("2m"))';
  const at = (reported: number | null): GuardResult =>
    guard(text).evaluate({ ...valuesOf([]), group: () => [seen("up", reported)] });
  assert.equal(at(noon - 119_000), { ok: true, value: true });
  assert.equal(at(noon - 121_000), { ok: true, value: false });
  assert.equal(at(null), { ok: false, error: "No such key: reported" });
});

test("what a guard reads: states and reported are live, and reported needs the time to be woken by", () => {
  const reads = (text: string): readonly boolean[] => {
    const { live, now } = guard(text).reads;
    return [live, now];
  };
  assert.equal(reads('group.web.all(h, h.region == "east")'), [false, false]);
  assert.equal(reads(`group.web.all(h, ${up})`), [true, false]);
  assert.equal(reads('group.web.all(h, h["states"]["m"] == "up")'), [true, false]);
  assert.equal(reads("group.web.all(h, h.reported > record.since)"), [true, true]);
  assert.equal([...guard('group["web"].all(h, h.name == "a")').reads.groups], ["web"]);
});

test("count is the number of those for which it holds, and is not known where one cannot be told", () => {
  assert.is(answer(`group.web.count(h, ${up})`, "up", "down", "up"), 2n);
  assert.is(answer(`hosts.count(h, ${up}) >= 2`, "up", "up"), true);
  assert.is(answer(`group.web.count(h, ${up}) >= 1`, "up", null), "No such key: states");
  assert.is(answer(`group.web.count(h, ${up}) >= 1`, "up", "-"), "No such key: m");
  assert.is(answer(`group.web.filter(h, ${up}).count(h, true)`, "down"), 0n);
});

test("quorum has three answers: enough, not enough even with the unknown ones, and not known", () => {
  const cases: readonly (readonly [string, readonly (string | null)[], unknown])[] = [
    ['"2/3"', ["up", "up", "down"], true],
    ['"2/3"', ["up", "up", null], true],
    ['"2/3"', [null, "up", "up"], true],
    ['"2/3"', ["up", "down", "down"], false],
    ['"2/3"', ["up", "down", null], "a quorum needs 2 of 3: it holds for 1, and is not known of 1"],
    ['"2/3"', ["down", "down", null], false],
    ['"2/3"', ["up", "up", "down", "down"], false],
    ['"50%"', ["up", "down", "-"], "a quorum needs 2 of 3: it holds for 1, and is not known of 1"],
    ['"50%"', ["up", "down"], true],
    ['"1%"', ["down", "down"], false],
    ['"100%"', ["up", "up", null], "a quorum needs 3 of 3: it holds for 2, and is not known of 1"],
    ['"2"', ["up", "up", "down", "down"], true],
    ["2", ["up", null, null], "a quorum needs 2 of 3: it holds for 1, and is not known of 2"],
    ["3", ["up", "up"], false],
  ];
  for (const [amount, states, expected] of cases)
    assert.is(answer(`group.web.quorum(h, ${up}, ${amount})`, ...states), expected, `${amount} of ${states.join()}`);
});

test("B4: a quorum of nobody cannot be told", () => {
  assert.is(answer(`group.web.quorum(h, ${up}, 1)`), "No such key: web");
  assert.is(answer(`group.web.filter(h, ${up}).quorum(h, true, 1)`, "down"), "a quorum of nobody: the list is empty");
});

test("quorum takes an amount that somebody can reach, as a literal", () => {
  const quorum = (amount: string): string => refusal(`group.web.quorum(h, true, ${amount})`);
  for (const amount of ["2/3", '"two"', '"-1"', "-1", "1.5", "host.name", '"2 / 3"', '"1/0"', "3u", '""'])
    assert.match(quorum(amount), /third argument of quorum is an amount: 3, "60%" or "2\/3"/, amount);
  for (const amount of ["0", '"0"', '"0%"', '"0/3"']) assert.match(quorum(amount), /needs nobody/, amount);
  for (const amount of ['"101%"', '"4/3"']) assert.match(quorum(amount), /can never be reached/, amount);
  for (const amount of ["1", '"1"', '"100%"', '"3/3"', '"1%"']) assert.is(quorum(amount), "", amount);
});

test("count and quorum are checked like the other loops", () => {
  assert.match(refusal('group.web.count("h", true) > 1'), /count\(h, condition\): h has to be a name/);
  assert.match(refusal("group.web.count(h, h.name) > 1"), /the condition yields string, not true or false/);
  assert.match(refusal('"text".count(h, true) > 1'), /asked of a list, not of string/);
  assert.match(refusal("group.web.count(h, h.nmae == 'a') > 1"), /No such key: nmae/);
  assert.match(refusal("group.nobody.quorum(h, true, 1)"), /No such key: nobody/);
  assert.is(guard("group.web.count(h, true)").type, "int");
  assert.is(guard("group.web.quorum(h, true, 1)").type, "bool");
});

test("count and quorum are loops over hosts: three of them do not stand inside one another", () => {
  const nested = "group.web.all(a, group.web.count(b, group.web.quorum(c, c.name == a.name, 1)) > 0)";
  assert.match(refusal(nested), /nested more than 2 deep/);
  const pair = "group.web.all(a, group.db.quorum(b, b.name == a.name, 1))";
  assert.is(answer(pair, "up", "up"), true);
});

test("a division of whole numbers beside a count is refused, because it drops the rest", () => {
  const refused = [
    `group.web.count(h, ${up}) >= 2/3`,
    `2/3 <= group.web.count(h, ${up})`,
    `host.region == "east" && !(group.web.count(h, ${up}) * 1 < (1 + 1/2))`,
    `group.web.count(h, ${up}) / size(group.web) >= 2/3`,
    `group.web.filter(h, ${up}).size() > 1/2`,
  ];
  for (const text of refused) assert.match(refusal(text), /drops the rest: .* ask quorum\(h, \.\.\., "\d\/\d"\)/, text);
  for (const text of [`group.web.count(h, ${up}) * 3 >= size(group.web) * 2`, "updates > 10/2", `host.name == "2/3"`])
    assert.is(refusal(text), "", text);
});

test("a guard over one group and nothing else is evaluated once for one list, whoever asks", () => {
  const evaluations = (text: string, ...changes: Partial<GuardValues>[]): number => {
    let reads = 0;
    const members = [Object.defineProperty(seen("up"), "name", { get: () => (reads++, "h") })];
    const fresh = new GuardCompiler(["db", "web"]).compile(text);
    for (const change of changes) {
      const result = "guard" in fresh && fresh.guard.evaluate({ ...valuesOf([]), group: () => members, ...change });
      assert.equal(result, { ok: true, value: true });
    }
    return reads;
  };
  const twice = [{}, { now: new Date(0), updates: 3 }];
  assert.is(evaluations('group.web.all(x, x.name == "h")', ...twice), 1);
  assert.is(evaluations('group.web.all(x, x.name == "h" && now != timestamp("2000-01-01T00:00:00Z"))', ...twice), 2);
  assert.is(evaluations('group.web.all(x, x.name == "h" && host.region == "")', ...twice), 2);
  assert.is(evaluations('group.web.all(x, x.name == "h" && updates >= 0)', ...twice), 2);
  assert.is(evaluations('group.web.all(x, x.name == "h") || group.db.all(x, true)', ...twice), 2);
});

test("another list of the same group is evaluated anew, also after one that could not be", () => {
  const text = `group.web.quorum(h, ${up}, 1)`;
  assert.is(answer(text, "up"), true);
  assert.is(answer(text, "down"), false);
  assert.is(answer(text, null), "a quorum needs 1 of 1: it holds for 0, and is not known of 1");
  assert.is(answer(text), "No such key: web");
  assert.is(answer(text, "up"), true);
});

test.run();
