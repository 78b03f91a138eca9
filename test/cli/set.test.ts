// stateward set in a folder: which file says what, what is refused, and that nothing else of a file changes.
import { chmod, stat } from "node:fs/promises";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { cli } from "../support/example.ts";
import { lampFiles, stateFolder } from "../support/state-folder.ts";
import { suite } from "../support/suite.ts";

const test = suite("set");

test("set changes the value in the host's file and leaves every other byte, whatever the layout", async () => {
  await using folder = await stateFolder();
  const result = await cli(folder.path, "set", "a", "lamp=on");
  assert.is(result.exit, 0, result.stderr);
  assert.match(result.stdout, /^a {2}lamp: off -> on\n--- a\/hosts\/a\.yaml\n/);
  assert.match(result.stdout, /\n- {2}lamp: {3}off {3}# for now\n\+ {2}lamp: {3}on {3}# for now\n/);
  assert.is(
    await folder.read("hosts/a.yaml"),
    "host: a   # the first\ntransport: local\nlabels: { role: web }\ntargets:\n  lamp:   on   # for now\n\n# end\n",
  );
  assert.is((await cli(folder.path, "set", "b", "lamp=busy")).exit, 0);
  assert.is(
    await folder.read("hosts/b.yaml"),
    'host: b\r\ntransport: local\r\nlabels: {role: web}\r\ntargets: {lamp: "busy"} # b\r\n',
  );
});

test("set keeps who may read, write and run a file", async () => {
  await using folder = await stateFolder();
  const path = join(folder.path, "hosts/a.yaml");
  for (const [mode, state] of [
    [0o600, "on"],
    [0o664, "busy"],
  ] as const) {
    await chmod(path, mode);
    const result = await cli(folder.path, "set", "a", `lamp=${state}`);
    assert.is(result.exit, 0, result.stderr);
    assert.is((await stat(path)).mode & 0o777, mode);
  }
});

test("set on group/NAME sets the targets of each of its hosts, and of no other; what is so already stays untouched", async () => {
  await using folder = await stateFolder();
  await folder.write({ "hosts/b.yaml": "host: b\ntransport: local\nlabels: { role: web }\ntargets: { lamp: on }\n" });
  const result = await cli(folder.path, "set", "group/web", "lamp=on", "--json");
  const { files, lines, written } = JSON.parse(result.stdout) as Record<string, unknown>;
  assert.equal([files, lines, written], [["hosts/a.yaml"], ["a  lamp: off -> on"], true]);
  assert.is(
    await folder.read("hosts/b.yaml"),
    "host: b\ntransport: local\nlabels: { role: web }\ntargets: { lamp: on }\n",
  );
  const again = await cli(folder.path, "set", "group/web", "lamp=on");
  assert.match(again.stdout, /^nothing to change: group\/web has lamp=on already/);
});

test("B4: a group that selects no host is refused, and sets nothing", async () => {
  await using folder = await stateFolder();
  const result = await cli(folder.path, "set", "group/nobody", "lamp=on");
  assert.is(result.exit, 1);
  assert.match(result.stderr, /the group nobody selects no host/);
});

test("a machine that a group carries for its hosts is set there, with a word for it", async () => {
  await using folder = await stateFolder();
  const refused = await cli(folder.path, "set", "a", "notice=posted");
  assert.is(refused.exit, 1);
  assert.match(refused.stderr, /a has notice from the group web \(hosts\/web\.yaml\)\n.*--group.* all 2 of them/);
  for (const args of [
    ["a", "notice=posted", "--group"],
    ["web", "notice=none"],
    ["group/web", "notice=posted", "--group"],
  ])
    assert.is((await cli(folder.path, "set", ...args)).exit, 0, args.join(" "));
  assert.is(
    await folder.read("hosts/web.yaml"),
    'group: web\nselect: host.labels.role == "web"   # both\nmachines: [notice]\ntargets: { notice: posted }\n',
  );
});

test("a machine that the host did not carry is added, and said to be new", async () => {
  await using folder = await stateFolder();
  const result = await cli(folder.path, "set", "c", "notice=posted");
  assert.match(result.stdout, /c {2}notice: none -> posted \(it had no such target before\)/);
  assert.match(await folder.read("hosts/c.yaml"), /targets:\n {2}lamp: on\n {2}notice: posted\n/);
});

test("names that do not exist are refused with the nearest one, and wrong usage with status 2", async () => {
  await using folder = await stateFolder({
    ...lampFiles,
    "hosts/lantern.yaml": "host: lantern\ntransport: local\ntargets: { lamp: on }\n",
  });
  const said = async (...args: string[]): Promise<[number, string]> => {
    const { exit, stderr } = await cli(folder.path, "set", ...args);
    return [exit, stderr];
  };
  for (const [args, status, words] of [
    [["lantrn", "lamp=on"], 1, /no host or group is called lantrn\n.*did you mean lantern\?/],
    [["a", "lmap=on"], 1, /no machine is called lmap\n.*did you mean lamp\?/],
    [["a", "lamp=buzy"], 1, /lamp has no state buzy\n.*did you mean busy\?/],
    [["a", "lamp=x"], 1, /its states: off, on, busy/],
    [["group/wbe", "lamp=on"], 1, /no group is called wbe\n.*did you mean web\?/],
    [["a", "lamp"], 2, /such as git-server=drained/],
    [["a", "lamp=on", "lamp=off"], 2, /lamp is set twice/],
    [["a"], 2, /missing required argument/],
  ] as const) {
    const [exit, stderr] = await said(...args);
    assert.is(exit, status, args.join(" "));
    assert.match(stderr, words);
  }
});

test("D4: a result that check would refuse is not written", async () => {
  await using folder = await stateFolder({
    ...lampFiles,
    "machines/trap.yaml":
      "machine: trap\ninitial: in\nstates:\n  in: {}\n  way: { transient: true, enter: [{ from: in }] }\n  out: { enter: [{ from: way }] }\n",
    "hosts/d.yaml": "host: d\ntransport: local\ntargets: { trap: out }\n",
  });
  const result = await cli(folder.path, "set", "d", "trap=way");
  assert.is(result.exit, 1);
  assert.match(result.stderr, /hosts\/d\.yaml:3:18 SW209[\s\S]*nothing was changed/);
  assert.is(await folder.read("hosts/d.yaml"), "host: d\ntransport: local\ntargets: { trap: out }\n");
});

test("--dry-run changes nothing; secrets in the lines around a change are not shown", async () => {
  await using folder = await stateFolder();
  const text = "host: s\ntransport: local\nvars:\n  db_password: hunter2hunter2\ntargets:\n  lamp: off\n";
  await folder.write({ "hosts/s.yaml": text });
  const result = await cli(folder.path, "set", "s", "lamp=on", "--dry-run");
  assert.match(result.stdout, /\+ {2}lamp: on\n[\s\S]*nothing was changed: --dry-run/);
  assert.not.match(result.stdout, "hunter2");
  assert.is(await folder.read("hosts/s.yaml"), text);
});

test.run();
