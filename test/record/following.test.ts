// Reading main: what changed alone, out of the cache, by processes that may die; and the same as reading all of it.
import { appendFile, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import * as assert from "uvu/assert";
import { stringify } from "yaml";
import { Failure } from "../../reconciler/model/failure.ts";
import { formatProblem } from "../../reconciler/model/problem.ts";
import { type FileChange, type LoadedRepository, RepositoryLoader } from "../../reconciler/model/repository.ts";
import type { SourceFile } from "../../reconciler/model/types.ts";
import { DocumentCache } from "../../reconciler/record/document-cache.ts";
import { DesiredMirror } from "../../reconciler/record/mirror.ts";
import { parseInProcesses } from "../../reconciler/record/parser-processes.ts";
import { clashes, isOdd } from "../../reconciler/record/paths.ts";
import { GitRemote as RemoteRefs } from "../../reconciler/record/remote.ts";
import { diffTrees } from "../../reconciler/record/tree-diff.ts";
import { desiredOf, git, openMirror, Remote } from "../support/git-remote.ts";
import { suite } from "../support/suite.ts";
import { tempFolder } from "../support/temp.ts";
import { lamp, localHost, sources } from "../support/world.ts";

const test = suite("following");
const files = { "machines/lamp.yaml": lamp, "hosts/a.yaml": localHost("a", { lamp: "on" }) };

/** Everything that a commit says, for comparison. */
function told({ repository, problems }: LoadedRepository): unknown {
  const { settings, machines, hosts, groups } = repository;
  return {
    settings,
    problems: problems.map(formatProblem),
    machines: [...machines.keys()],
    hosts: [...hosts.values()].map((host) => ({ ...host, machines: [...host.machines] })),
    groups: [...groups.values()].map((group) => ({ ...group, machines: [...group.machines] })),
  };
}

test("a commit read as a change says the same as the commit read in full, whatever changes", () => {
  const names = ["a", "b", "c", "d"];
  const host = fc.record({
    host: fc.constantFrom(...names),
    region: fc.constantFrom("east", "west"),
    target: fc.constantFrom(...Array<string>(9).fill("on"), ...Array<string>(9).fill("off"), "none"),
    address: fc.integer({ min: 1, max: 30 }).map((number) => `10.0.0.${number}`),
  });
  const text = (value: { host: string; region: string; address: string; target: string }): string =>
    stringify({
      host: value.host,
      region: value.region,
      address: value.address,
      transport: "agent",
      targets: { lamp: value.target },
    });
  const paths = [...names.map((name) => `hosts/${name}.yaml`), "hosts/g.yaml"];
  const odd = fc.constantFrom(null, "host: [", "group: g\nselect: hots.region\n", "host: a\ntransport: agent\n");
  const edit = fc.oneof(
    { weight: 12, arbitrary: host.map((value): [string, string] => [`hosts/${value.host}.yaml`, text(value)]) },
    { weight: 1, arbitrary: fc.tuple(fc.constantFrom(...paths), host.map(text)) },
    { weight: 2, arbitrary: fc.tuple(fc.constantFrom(...paths), odd) },
  );
  const commits = fc.array(fc.array(edit, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 6 });
  let quick = 0;
  fc.assert(
    fc.property(commits, (changes) => {
      const agents = names.map((name, index) => [
        `hosts/${name}.yaml`,
        stringify({
          host: name,
          region: "east",
          address: `10.1.0.${index}`,
          transport: "agent",
          targets: { lamp: "on" },
        }),
      ]);
      let now: Record<string, unknown> = {
        "machines/lamp.yaml": { ...lamp, states: { off: null, on: { enter: [{ from: "off" }] } } },
        "hosts/all.yaml": 'group: all\nselect: host.region == "east"\n',
        ...Object.fromEntries(agents),
      };
      const loader = new RepositoryLoader();
      let loaded = loader.load(sources(now));
      for (const commit of changes) {
        const next: Record<string, unknown> = { ...now, ...Object.fromEntries(commit) };
        const after = new Map(sources(next).map((source): [string, SourceFile] => [source.path, source]));
        const touched: FileChange[] = [...new Set(commit.map(([path]) => path))].map((path) => ({
          path,
          file: after.get(path) ?? null,
        }));
        const before = told(loaded);
        let changed = loader.change(loaded, touched);
        // As the mirror does it: what has no line yet is loaded again with its text.
        if (changed.unlocated.length > 0)
          changed = loader.change(loaded, [
            ...touched,
            ...changed.unlocated.flatMap((path) => ({ path, file: after.get(path) ?? null })),
          ]);
        assert.equal(told(changed), told(new RepositoryLoader().load([...after.values()])));
        assert.equal(told(loaded), before, "the commit before stays as it is");
        if (changed.delta !== null) quick++;
        // D4: a refused commit is not what the next one is compared with.
        if (changed.problems.every(({ severity }) => severity === "warning")) [loaded, now] = [changed, next];
      }
    }),
    { numRuns: 300 },
  );
  assert.ok(quick > 100, `the short way was taken ${quick} times`);
});

test("two commits differ in what git diff-tree says", async () => {
  await using dir = await tempFolder();
  const remote = await Remote.create(dir.path);
  const before = await remote.commit({
    ...files,
    "hosts/x/b.yaml": "1",
    "hosts/x/y/c.yaml": "2",
    "hosts/f": "3",
    "other/d": "4",
  });
  await remote.commit({ "hosts/f": null });
  const after = await remote.commit({
    "hosts/x/b.yaml": "9",
    "hosts/x/y/c.yaml": null,
    "hosts/f/g.yaml": "5",
    "other/d": "6",
    "hosts/z.yaml": "7",
  });
  const { git: mirror, origin } = await openMirror(remote.path, join(dir.path, "r"));
  await origin.fetch("refs/heads/main", "refs/x");
  const own = await diffTrees(
    mirror.objects,
    { before: `${before}^{tree}`, after: `${after}^{tree}` },
    (name) => name !== "other",
  );
  const theirs = (
    await remote.git("diff-tree", "-r", "--name-status", "--no-renames", before, after, "--", "hosts")
  ).split("\n");
  assert.equal(
    own.map(({ path, item }) => `${item === null ? "D" : ""}${path}`).toSorted(),
    theirs.map((line) => line.replace(/^D\t/, "D").replace(/^[AM]\t/, "")).toSorted(),
  );
  mirror.objects.close();
});

test("parsed documents are kept on the disk; a line that was damaged is parsed anew, and another version's are not taken over", async () => {
  await using dir = await tempFolder();
  const remote = await Remote.create(dir.path);
  const hosts = Object.fromEntries(
    ["b", "c", "d"].map((name) => [`hosts/${name}.yaml`, localHost(name, { lamp: "on" })]),
  );
  await remote.commit({ ...files, ...hosts });
  const { git: mirror, tips, origin } = await openMirror(remote.path, join(dir.path, "r"));
  const path = join(dir.path, "cache/documents");
  const read = async (version = "1"): Promise<unknown> => {
    const cache = new DocumentCache(path, version);
    const follower = new DesiredMirror({ git: mirror, tips, remotes: [origin], loader: new RepositoryLoader(), cache });
    const poll = await follower.poll();
    await cache.written();
    assert.ok(poll.kind === "changed");
    return told(poll.desired.loaded);
  };
  const plain = await read();
  const lines = (await readFile(path, "utf8")).split("\n");
  assert.is(lines.length, 8, "a header, six documents, and the end");
  // A value that was put in by hand, with a checksum that does not fit, is not believed.
  const [damaged = ""] = lines.filter((line) => line.includes('"host":"b"'));
  await writeFile(path, lines.join("\n").replace(damaged, damaged.replace('"host":"b"', '"host":"x"')));
  assert.equal(await read(), plain);
  await appendFile(path, "torn");
  assert.equal(await read(), plain);
  // What fits is believed: so it is the cache that was read, and not the blob.
  const [kept = ""] = (await readFile(path, "utf8")).split("\n").filter((line) => line.includes('"host":"c"'));
  assert.ok(kept.length > 0);
  assert.equal(await read("2"), plain);
  assert.match(await readFile(path, "utf8"), /^stateward documents 2\n/);
  mirror.objects.close();
});

test("a document that ends its parser gets a problem, and the others are read", async () => {
  const program = fileURLToPath(new URL("../support/dying-parser.ts", import.meta.url));
  const refs = Array.from({ length: 1200 }, (_, index) => ({ path: `hosts/h${index}.yaml`, id: "0".repeat(40) }));
  const dying = new Set(["hosts/h0.yaml", "hosts/h7.yaml", "hosts/h8.yaml", "hosts/h1199.yaml"]);
  const documents = await parseInProcesses(refs, { dir: [...dying].join(), processes: 2, program });
  assert.is(documents.length, refs.length);
  for (const [index, { path }] of refs.entries()) {
    const document = documents[index];
    if (dying.has(path)) assert.is(document && "problems" in document && document.problems[0]?.code, "SW010", path);
    else assert.equal(document, { value: path });
  }
});

test("D4: a parser that cannot do its work at all says nothing about documents: they are read again later", async () => {
  const refs = [{ path: "hosts/a.yaml", id: "0".repeat(40) }];
  const program = fileURLToPath(new URL("../support/no-such-parser.ts", import.meta.url));
  const error = await parseInProcesses(refs, { dir: "", processes: 1, program }).catch((cause: unknown) => cause);
  assert.ok(error instanceof Failure && error.kind === "transient", String(error));
});

test("what is not plain is parsed by a process, with the same outcome", async () => {
  await using dir = await tempFolder();
  const remote = await Remote.create(dir.path);
  await remote.commit({
    ...files,
    "hosts/x.yaml": 'host: "x\\x21"\n',
    "hosts/b.yaml": 'host: b\nvars: { x: "\\t" }\n',
  });
  const { git: mirror, tips, origin } = await openMirror(remote.path, join(dir.path, "r"));
  const poll = await desiredOf({ git: mirror, tips }, origin).poll();
  assert.ok(poll.kind === "changed");
  const { repository, problems } = poll.desired.loaded;
  assert.is(repository.hosts.get("b")?.vars.x, "\t");
  assert.equal(
    problems
      .filter(({ severity }) => severity === "error")
      .map(({ file, line, column, code }) => [file, line, column, code])
      .slice(0, 1),
    [["hosts/b.yaml", 1, 7, "SW106"]],
  );
  mirror.objects.close();
});

test("programs, odd names, links and paths that differ in case alone are problems", async () => {
  await using dir = await tempFolder();
  const remote = await Remote.create(dir.path);
  await remote.commit(files);
  const work = join(dir.path, "work");
  await writeFile(join(work, "hosts/B.yaml"), "host: b2\ntransport: local\n");
  await writeFile(join(work, "hosts/b.yaml"), "host: b\ntransport: local\n");
  await writeFile(join(work, "hosts/c.yaml"), "host: c\ntransport: local\n", { mode: 0o755 });
  await writeFile(join(work, "hosts/a b .yaml "), "host: d\n");
  await writeFile(join(work, "hosts/e\\f.yaml"), "host: e\n");
  await remote.commit({ "hosts/link.yaml": "link:a.yaml" });
  const { git: mirror, tips, origin } = await openMirror(remote.path, join(dir.path, "r"));
  const follower = desiredOf({ git: mirror, tips }, origin);
  const poll = await follower.poll();
  assert.ok(poll.kind === "changed");
  assert.equal(
    poll.desired.loaded.problems.map(({ file, code }) => `${file} ${code}`),
    [
      "hosts/a b .yaml  SW505",
      "hosts/b.yaml SW506",
      "hosts/c.yaml SW504",
      "hosts/e\\f.yaml SW505",
      "hosts/link.yaml SW503",
    ],
  );
  // Mended one after the other, the rest still shows.
  await git(work, "rm", "--quiet", "hosts/B.yaml", "hosts/link.yaml");
  await remote.commit({});
  const next = await follower.poll();
  assert.ok(next.kind === "changed");
  assert.equal(
    next.desired.loaded.problems.map(({ code }) => code),
    ["SW505", "SW504", "SW505"],
  );
  mirror.objects.close();
});

test("a link beside the files, and paths that clash, are seen in a change as they are in a full read", async () => {
  await using dir = await tempFolder();
  const remote = await Remote.create(dir.path);
  await remote.commit({ ...files, "hosts/A.yaml": localHost("b", { lamp: "on" }) });
  const { git: mirror, tips, origin } = await openMirror(remote.path, join(dir.path, "r"));
  const follower = desiredOf({ git: mirror, tips }, origin);
  const codes = async (): Promise<string[]> => {
    const poll = await follower.poll();
    const seen = poll.kind === "changed" ? poll.desired : null;
    const full = await desiredOf({ git: mirror, tips }, origin).at(seen?.commit ?? "");
    const found = (all: typeof full): string[] => all.loaded.problems.map(({ code }) => code);
    assert.ok(seen);
    assert.equal(found(seen), found(full));
    return found(seen);
  };
  assert.equal(await codes(), ["SW506"]);
  await remote.commit({ "hosts/a.yaml": localHost("a", { lamp: "off" }) });
  assert.equal(await codes(), ["SW506"]);
  await remote.commit({ "hosts/A.yaml": null });
  assert.equal(await codes(), []);
  await remote.commit({ "hosts/latest": "link:a.yaml" });
  assert.equal(await codes(), ["SW503"]);
  mirror.objects.close();
});

test("names that some system cannot have are found", () => {
  for (const path of [
    "a/con.yaml",
    "a/-x",
    "a/x.",
    "a/b:c",
    "a/\u0007",
    "a/ b",
    "nul",
    "x/a\u202eb",
    "aux/x.yaml",
    "~/x",
  ])
    assert.ok(isOdd(path), path);
  for (const path of [
    "hosts/a.yaml",
    "hosts/Über/x.yaml",
    "machines/git-server.yaml",
    "hosts/console.yaml",
    "stateward.yaml",
  ])
    assert.not.ok(isOdd(path), path);
  assert.equal(
    clashes(["a/B", "a/b", "c"]).map(({ code }) => code),
    ["SW506"],
  );
});

test("several remotes: the first that answers is read, and one that is behind is no rewind", async () => {
  await using dir = await tempFolder();
  const remote = await Remote.create(dir.path);
  await remote.commit(files);
  const copy = join(dir.path, "copy.git");
  await git(dir.path, "clone", "--quiet", "--mirror", remote.path, copy);
  const second = await remote.commit({ "hosts/b.yaml": localHost("b", { lamp: "on" }) });
  const { git: mirror, tips, origin } = await openMirror(remote.path, join(dir.path, "r"));
  const follower = desiredOf({ git: mirror, tips }, origin, new RemoteRefs(mirror, copy));
  assert.ok((await follower.poll()).kind === "changed");
  await rename(remote.path, `${remote.path}.away`);
  assert.is((await follower.poll()).kind, "unchanged", "the second remote is behind");
  await git(copy, "fetch", "--quiet", `${remote.path}.away`, "+refs/*:refs/*");
  assert.is((await follower.poll()).kind, "unchanged");
  // A restart while the first is down goes on from what was accepted.
  const again = await desiredOf({ git: mirror, tips }, origin, new RemoteRefs(mirror, copy)).poll();
  assert.ok(again.kind === "changed" && again.desired.commit === second);
  await rename(copy, `${copy}.away`);
  assert.is((await follower.poll()).kind, "unreachable");
  mirror.objects.close();
});

test("D6: a rewound main is followed once a person has accepted this very commit", async () => {
  await using dir = await tempFolder();
  const remote = await Remote.create(dir.path);
  await remote.commit(files);
  await remote.commit({ "hosts/b.yaml": localHost("b", { lamp: "on" }) });
  const { git: mirror, tips, origin } = await openMirror(remote.path, join(dir.path, "r"));
  const follower = desiredOf({ git: mirror, tips }, origin);
  await follower.poll();
  await remote.rewind();
  const other = await remote.commit({ "hosts/c.yaml": localHost("c", { lamp: "on" }) });
  assert.is((await follower.poll()).kind, "rewound");
  // A word for a commit that is put aside again holds no longer than the doubt.
  await tips.acceptByHand("main", other);
  await remote.git("update-ref", "refs/heads/main", tips.now.main ?? "");
  assert.is((await follower.poll()).kind, "unchanged");
  await remote.git("update-ref", "refs/heads/main", other);
  assert.is((await follower.poll()).kind, "rewound");
  await tips.acceptByHand("main", "0".repeat(40));
  assert.is((await follower.poll()).kind, "rewound", "another commit was accepted");
  // The branch goes on after the word, and before it is looked at.
  await tips.acceptByHand("main", other);
  const later = await remote.commit({ "hosts/d.yaml": localHost("d", { lamp: "on" }) });
  const poll = await follower.poll();
  assert.ok(poll.kind === "changed" && poll.desired.commit === later && poll.rewound === undefined);
  mirror.objects.close();
});

test.run();
