// Where a value comes from: the file, the line, and which of several is in force.
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import * as assert from "uvu/assert";
import { explainHost, valuesOf } from "../../reconciler/cli/explained.ts";
import { formatProblem } from "../../reconciler/model/problem.ts";
import type { Host } from "../../reconciler/model/types.ts";
import { parseYaml } from "../../reconciler/model/yaml.ts";
import { cli } from "../support/example.ts";
import { suite } from "../support/suite.ts";
import { tempFolder } from "../support/temp.ts";
import { load } from "../support/world.ts";

const test = suite("explain");

const files: Readonly<Record<string, string>> = {
  "stateward.yaml": `look: 5s
regions: [east, west]
ssh:
  user: fleet
rollout:
  canary: 2
  max_unavailable: 20%
  order: [west, east]
governors:
  disk: 3
  net: { limit: 9 }
brakes: { max_moved: 7 }
windows:
  - deny: { cron: "0 22 * * 5", for: 48h }
    reason: weekend
  - allow:
      cron: "0 9 * * *"
      for: 8h
    select: host.region == "west"
    covers: all
`,
  "machines/web.yaml": `machine: web
initial: off
drift: alert
states:
  off: { enter: [{ from: on }] }
  on:
    enter:
      - from: off
        governors: [disk]
recovery:
  lost_after: 2m
remedies:
  - name: restart
    when: report.facts.daemon == "dead"
    steps: [{ run: x }]
    limit: 2 in 30m
`,
  "machines/os.yaml":
    "machine: os\ninitial: old\nstates: { old: { enter: [{ from: new }] }, new: { enter: [{ from: old }] } }\n",
  "hosts/a.yaml": `host: a
region: east
address: 10.0.0.1
labels: { role: web }
vars:
  port: 80
  text: "two\\nlines"
targets:
  web: on
machines: [os]
ssh:
  port: 2222
hold: { reason: disk, by: ana }
`,
  "hosts/b.yaml": `host: b
transport: agent
drift: { mode: tolerate, until: 2030-01-01T00:00:00Z }
machines: [os]
`,
  "hosts/c.yaml": `host: c
address: 10.0.0.3
ssh: { user: root }
drift: adopt
targets: { web: off }
labels: { role: web, tier: gold }
`,
  "hosts/web.yaml": `group: web
max_lost: 2
select: host.labels.role == "web"
rollout:
  max_unavailable: 1
  soak: 10m
`,
  "hosts/gold.yaml": `group: gold
select: host.labels.tier == "gold"
rollout: { canary: 5, max_unavailable: 2 }
`,
  "hosts/all.yaml": 'group: everyone\nselect: host.name != ""\n',
};

/** `VALUE PLACE WHY`, with `-` before what is overridden. */
function explained(host: string, field: string): string[] {
  const loaded = load(files);
  assert.equal(loaded.problems.filter(({ severity }) => severity === "error").map(formatProblem), []);
  const value = loaded.repository.hosts.get(host) as Host;
  const lines = explainHost(loaded, value, parseYaml(value.file, files[value.file] ?? ""));
  return valuesOf(lines, field).map(
    ({ value, file, line, why, inForce }) =>
      `${inForce ? "" : "- "}${value} | ${file === null ? "" : `${file}:${line}`} | ${why}`,
  );
}

const own = "set in the host's file";
const set = "set in stateward.yaml";
const byDefault = "default of stateward";

const cases: readonly (readonly [host: string, field: string, lines: readonly string[]])[] = [
  ["a", "region", [`east | hosts/a.yaml:2 | ${own}`]],
  ["b", "region", [`none |  | ${byDefault}`]],
  ["a", "transport", [`ssh |  | ${byDefault}`]],
  ["b", "transport", [`agent | hosts/b.yaml:2 | ${own}`]],
  ["a", "labels.role", [`web | hosts/a.yaml:4 | ${own}`]],
  ["a", "vars", [`80 | hosts/a.yaml:6 | ${own}`, `"two\\nlines" | hosts/a.yaml:7 | ${own}`]],
  ["b", "vars", ["none |  | not set"]],
  ["a", "targets.web", [`on | hosts/a.yaml:9 | ${own}`]],
  ["a", "target", [`on | hosts/a.yaml:9 | ${own}`, "none | hosts/a.yaml:10 | carried without a target"]],
  ["a", "ssh.port", [`2222 | hosts/a.yaml:12 | ${own}`]],
  ["a", "ssh.user", [`fleet | stateward.yaml:4 | ${set}`]],
  ["c", "ssh.user", [`root | hosts/c.yaml:3 | ${own}`, `- fleet | stateward.yaml:4 | ${set}`]],
  ["a", "hold", [`reason: disk, by: ana | hosts/a.yaml:13 | ${own}`]],
  ["a", "drift", ["alert | machines/web.yaml:3 | from machine web", `correct |  | ${byDefault}, for machine os`]],
  ["b", "drift", [`mode: tolerate, until: 2030-01-01T00:00:00Z | hosts/b.yaml:3 | ${own}`]],
  ["c", "drift", [`adopt | hosts/c.yaml:4 | ${own}`, "- alert | machines/web.yaml:3 | from machine web"]],
  [
    "c",
    "groups",
    [
      'everyone | hosts/all.yaml:2 | it selects the host: host.name != ""',
      'gold | hosts/gold.yaml:2 | it selects the host: host.labels.tier == "gold"',
      'web | hosts/web.yaml:3 | it selects the host: host.labels.role == "web"',
    ],
  ],
  ["b", "rollout.max_unavailable", [`20% | stateward.yaml:7 | ${set}`]],
  ["b", "rollout.soak", [`0s |  | ${byDefault}`]],
  ["b", "rollout.order", [`west, east | stateward.yaml:8 | ${set}`]],
  [
    "c",
    "rollout.max_unavailable",
    [
      "2 | hosts/gold.yaml:3 | from group gold",
      "1 | hosts/web.yaml:5 | from group web",
      `- 20% | stateward.yaml:7 | ${set}`,
    ],
  ],
  [
    "c",
    "rollout.canary",
    ["5 | hosts/gold.yaml:3 | from group gold", `2 | stateward.yaml:6 | ${set}, which group web follows`],
  ],
  ["a", "rollout.soak", ["10m | hosts/web.yaml:6 | from group web"]],
  ["a", "rollout.paused", [`false |  | ${byDefault}, which group web follows`]],
  ["a", "governors", ["disk: 3 | stateward.yaml:10 | named by web: off -> on, machines/web.yaml:9"]],
  ["b", "governors", ["none |  | no transition of its machines names one"]],
  ["b", "windows", ["deny cron: 0 22 * * 5, for: 48h; covers changes; weekend | stateward.yaml:14 | for every host"]],
  [
    "a",
    "recovery.lost_after",
    ["2m | machines/web.yaml:11 | from machine web", `5m |  | ${byDefault}, for machine os`],
  ],
  [
    "b",
    "recovery",
    [
      `5m |  | ${byDefault}, for machine os`,
      `replay |  | ${byDefault}, for machine os`,
      `3 |  | ${byDefault}, for machine os`,
    ],
  ],
  ["a", "remedies", ['report.facts.daemon == "dead"; for 5m; 2 in 30m | machines/web.yaml:13 | from machine web']],
  ["b", "remedies", ["none |  | its machines have none"]],
  ["a", "look", [`5s | stateward.yaml:1 | ${set}`]],
  ["b", "look", ["none |  | its agent reports by itself"]],
  ["a", "attempts.limit", [`5 |  | ${byDefault}`]],
  ["a", "parallel", [`50 |  | ${byDefault}`]],
  ["a", "brakes.max_moved", [`7 | stateward.yaml:12 | ${set}`]],
  ["a", "brakes.max_lost", [`10%, at least 3 |  | ${byDefault}`]],
  [
    "a",
    "max_lost",
    [
      `20%, at least 3 |  | ${byDefault}, for group everyone`,
      "2 | hosts/web.yaml:2 | from group web",
      `10%, at least 3 |  | ${byDefault}, for the whole fleet`,
    ],
  ],
  ["a", "region.x", []],
  ["a", "reg", []],
];

for (const [host, field, lines] of cases)
  test(`explain ${host} ${field}: ${lines.length} lines`, () => assert.equal(explained(host, field), lines));

test("windows that select a host are those that apply to it", () => {
  const inWest = { ...files, "hosts/w.yaml": "host: w\nregion: west\ntransport: agent\n" };
  const loaded = load(inWest);
  const host = loaded.repository.hosts.get("w") as Host;
  const values = valuesOf(explainHost(loaded, host, parseYaml(host.file, inWest["hosts/w.yaml"])), "windows");
  assert.equal(
    values.map(({ line, value, why }) => [line, value, why]),
    [
      [14, "deny cron: 0 22 * * 5, for: 48h; covers changes; weekend", "for every host"],
      [16, "allow cron: 0 9 * * *, for: 8h; covers all", 'it selects the host: host.region == "west"'],
    ],
  );
});

test("explain prints what is in force, marks it where something is overridden, and names what is near", async () => {
  await using dir = await tempFolder();
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(dir.path, path)), { recursive: true });
    await writeFile(join(dir.path, path), text);
  }
  const explain = async (...args: string[]): Promise<string> => {
    const { exit, stdout, stderr } = await cli(dir.path, "explain", ...args);
    assert.is(exit, stderr === "" ? 0 : 1);
    return stdout + stderr;
  };
  assert.is(await explain("a", "region"), "east  hosts/a.yaml:2  (set in the host's file)\n");
  assert.is(
    await explain("c", "ssh.user"),
    "*  root   hosts/c.yaml:3    (set in the host's file)\n   fleet  stateward.yaml:4  (set in stateward.yaml; overridden)\n",
  );
  assert.match(await explain("a", "ssh"), /ssh\.user +fleet +stateward\.yaml:4/);
  const list = await explain("c");
  assert.match(list, /^FIELD +VALUE +PLACE +WHY\nregion +none +- +\(default of stateward\)\n/);
  assert.not.match(list, "overridden");
  const { fields } = JSON.parse(await explain("c", "ssh.user", "--json")) as { fields: { inForce: boolean }[] };
  assert.equal(fields, [
    { field: "ssh.user", value: "root", file: "hosts/c.yaml", line: 3, why: own, inForce: true },
    { field: "ssh.user", value: "fleet", file: "stateward.yaml", line: 4, why: set, inForce: false },
  ]);
  assert.match(
    await explain("a", "regoin"),
    /a has no field regoin\n {2}did you mean region\? fields: region, address, /,
  );
  assert.match(await explain("a", "max_unavailable"), /did you mean rollout\.max_unavailable\?/);
  assert.match(await explain("web", "region"), /web is a group: name one of its hosts/);
  await writeFile(join(dir.path, "hosts/git-1.yaml"), "host: git-1\ntransport: agent\n");
  assert.match(await explain("git1"), /no host is called git1\n {2}did you mean git-1\?/);
  await writeFile(join(dir.path, "hosts/b.yaml"), "host: b\ntransprot: agent\n");
  assert.match(await explain("a", "region"), /hosts\/b\.yaml:2:1 SW101[\s\S]*the folder has 1 problem\n/);
});

test.run();
