// Signed history, with real Git and real keys of ssh-keygen: what is not signed by whom the version before allows does not come into force.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import * as assert from "uvu/assert";
import { runProcess } from "../../reconciler/adapters/process.ts";
import type { Poll } from "../../reconciler/model/ports.ts";
import { RepositoryLoader } from "../../reconciler/model/repository.ts";
import { DocumentCache } from "../../reconciler/record/document-cache.ts";
import { type GraphCommit, stepsOf } from "../../reconciler/record/main-line.ts";
import { DesiredMirror, recordedCommit } from "../../reconciler/record/mirror.ts";
import { newObject, writePack } from "../../reconciler/record/pack.ts";
import { SignedHistory } from "../../reconciler/record/signed-history.ts";
import { git, openMirror, openStore } from "../support/git-remote.ts";
import { allowed, hasSshKeygen, makeKey, SignedRemote, type SigningKey } from "../support/signed-remote.ts";
import { suite } from "../support/suite.ts";
import { type TempFolder, tempFolder } from "../support/temp.ts";
import { record } from "../support/world.ts";

const test = suite("signatures");
const signed = (title: string, body: () => Promise<void>): void => test.needs("ssh-keygen", hasSshKeygen, title, body);

/** A remote with a commit from which on signatures count, made by ana. */
interface Setup {
  readonly remote: SignedRemote;
  readonly ana: SigningKey;
  readonly bob: SigningKey;
  /** Unsigned: before everything. */
  readonly first: string;
  /** Asks for signatures, and is signed. */
  readonly armed: string;
  /** Its files. */
  readonly files: Readonly<Record<string, string>>;
}

async function setUp(dir: TempFolder, signersOf?: (ana: SigningKey) => string): Promise<Setup> {
  const remote = await SignedRemote.create(dir.path);
  const [ana, bob] = [await makeKey(join(dir.path, "keys"), "ana"), await makeKey(join(dir.path, "keys"), "bob")];
  const first = await remote.commit({ files: { "stateward.yaml": "{}\n" }, parents: [] });
  const files = {
    "stateward.yaml": `poll: "*/15 * * * * *"\nverify:\n  signers: allowed_signers\n  since: ${first}\n`,
    allowed_signers: signersOf?.(ana) ?? allowed("ana", ana),
  };
  const armed = await remote.push(await remote.commit({ files, parents: [first], by: ana }));
  return { remote, ana, bob, first, armed, files };
}

/** A mirror as a data folder has it; the same folder again is a restart. */
async function mirrorOf(remote: SignedRemote, folder: string, env?: Record<string, string>): Promise<DesiredMirror> {
  const { git: mirror, tips, origin } = await openMirror(remote.path, folder, env ? { env } : {});
  const cache = new DocumentCache(null, "test");
  const judge = new SignedHistory({ git: mirror, cache, recorded: () => recordedCommit(mirror) });
  return new DesiredMirror({ git: mirror, tips, remotes: [origin], loader: new RepositoryLoader(), cache, judge });
}

/** What a poll puts in force, and the codes of what it refuses. */
function told(poll: Poll): { inForce: string | null; codes: string[] } {
  if (poll.kind !== "changed") return { inForce: null, codes: [poll.kind] };
  const codes = (poll.refused ?? poll.desired).loaded.problems.map(({ code }) => code);
  return { inForce: poll.refused || codes.length === 0 ? poll.desired.commit : null, codes };
}

signed(
  "a signed commit comes into force; an unsigned one is refused with its name, and the last good one stays after a restart (D4)",
  async () => {
    await using dir = await tempFolder();
    const { remote, ana, armed, files } = await setUp(dir);
    const mirror = await mirrorOf(remote, join(dir.path, "r"));
    assert.equal(told(await mirror.poll()), { inForce: armed, codes: [] });
    const good = await remote.push(
      await remote.commit({
        files: { ...files, "hosts/a.yaml": "host: a\ntransport: local\n" },
        parents: [armed],
        by: ana,
      }),
    );
    assert.equal(told(await mirror.poll()), { inForce: good, codes: [] });
    const bad = await remote.push(await remote.commit({ files, parents: [good], author: "Eve <eve@example.org>" }));
    const poll = await mirror.poll();
    assert.ok(poll.kind === "changed");
    const [problem] = poll.desired.loaded.problems;
    assert.equal([problem?.code, problem?.file, problem?.line, problem?.column], ["SW601", "stateward.yaml", 2, 1]);
    assert.match(problem?.message ?? "", `commit ${bad.slice(0, 12)} of Eve <eve@example.org> is not in force`);
    assert.match(problem?.message ?? "", "it is not signed");
    assert.equal(told(await (await mirrorOf(remote, join(dir.path, "r"))).poll()), { inForce: good, codes: ["SW601"] });
    // What is built on it is not in force either, whoever signs it.
    await remote.push(await remote.commit({ files, parents: [bad], by: ana }));
    assert.equal(told(await mirror.poll()).codes, ["SW601"]);
  },
);

signed("a signed merge over an unsigned parent is refused; over a signed one it is not", async () => {
  await using dir = await tempFolder();
  const { remote, ana, armed, files } = await setUp(dir);
  const mirror = await mirrorOf(remote, join(dir.path, "r"));
  await mirror.poll();
  const side = await remote.commit({
    files: { ...files, "hosts/a.yaml": "host: a\ntransport: local\n" },
    parents: [armed],
  });
  const bad = await remote.push(await remote.commit({ files, parents: [armed, side], by: ana }));
  assert.equal(told(await mirror.poll()), { inForce: null, codes: ["SW601"] });
  assert.is((await git(remote.path, "log", "-1", "--format=%P", bad)).split(" ").length, 2);
  const better = await remote.commit({
    files: { ...files, "hosts/b.yaml": "host: b\ntransport: local\n" },
    parents: [armed],
    by: ana,
  });
  const merge = await remote.commit({ files, parents: [armed, better], by: ana });
  await remote.push(merge);
  // Main was put back: a person has to say so, and then the good merge is followed.
  await writeFile(join(dir.path, "r", "accepted-main"), `${merge}\n`);
  assert.equal(told(await mirror.poll()), { inForce: merge, codes: [] });
});

signed("octopus, criss-cross and foreign roots: every parent is looked at", async () => {
  await using dir = await tempFolder();
  const { remote, ana, armed, files } = await setUp(dir);
  let made = 0;
  const make = (by: SigningKey | null, ...parents: string[]): Promise<string> =>
    remote.commit({ files, parents, message: `${made++}`, ...(by ? { by } : {}) });
  const shapes: [string, () => Promise<string>, readonly string[]][] = [
    ["octopus", async () => make(ana, armed, await make(ana, armed), await make(ana, armed)), []],
    ["octopus, unsigned arm", async () => make(ana, armed, await make(ana, armed), await make(null, armed)), ["SW601"]],
    [
      "criss-cross with one unsigned",
      async () => {
        const [a, b] = [await make(ana, armed), await make(null, armed)];
        return make(ana, await make(ana, a, b), await make(ana, b, a));
      },
      ["SW601"],
    ],
    ["a root of its own, unsigned", async () => make(ana, armed, await make(null)), ["SW601"]],
    ["a root of its own, signed", async () => make(ana, armed, await make(ana)), []],
    ["a merge the wrong way round", async () => make(ana, await make(null, armed), armed), ["SW601"]],
    ["an unsigned child of a signed one", async () => make(null, await make(ana, armed)), ["SW601"]],
  ];
  for (const [index, [what, build, codes]] of shapes.entries()) {
    await remote.push(armed);
    const mirror = await mirrorOf(remote, join(dir.path, `r${index}`));
    await mirror.poll();
    await remote.push(await build());
    assert.equal(told(await mirror.poll()).codes, codes, what);
  }
});

signed(
  "a key that a commit adds does not count for that commit, and does for the next, however many are seen at once",
  async () => {
    await using dir = await tempFolder();
    const { remote, ana, bob, armed, files } = await setUp(dir);
    const both = { ...files, allowed_signers: allowed("ana", ana) + allowed("bob", bob) };
    const late = await mirrorOf(remote, join(dir.path, "late"));
    const third = await mirrorOf(remote, join(dir.path, "third"));
    for (const mirror of [late, third]) await mirror.poll();
    // Bob adds himself.
    await remote.push(await remote.commit({ files: both, parents: [armed], by: bob }));
    assert.equal(told(await (await mirrorOf(remote, join(dir.path, "x"))).poll()).codes, ["SW601"]);
    // Ana adds him; he signs the next; he takes ana out, who then signs nothing any more.
    const added = await remote.commit({ files: both, parents: [armed], by: ana });
    const alone = { ...files, allowed_signers: allowed("bob", bob) };
    const removed = await remote.commit({ files: alone, parents: [added], by: bob });
    await remote.push(removed);
    assert.equal(told(await late.poll()), { inForce: removed, codes: [] });
    const old = await remote.push(await remote.commit({ files: alone, parents: [removed], by: ana }));
    assert.equal(told(await late.poll()).codes, ["SW601"]);
    assert.equal(told(await third.poll()).codes, ["SW601"]);
    // Nor on a branch from before that: what counts is the version that it is merged into.
    const before = await remote.commit({ files: both, parents: [added], by: ana });
    await remote.push(await remote.commit({ files: alone, parents: [removed, before], by: bob }));
    const fresh = await mirrorOf(remote, join(dir.path, "fresh"));
    assert.match(JSON.stringify(await fresh.poll()), new RegExp(`SW601.*${before.slice(0, 12)}`));
    assert.ok(old);
  },
);

signed(
  "what signatures are not good: out of time, for something else, of an unknown key, of a changed commit, of another kind",
  async () => {
    await using dir = await tempFolder();
    const lines = (ana: SigningKey): string => allowed("ana", ana, 'namespaces="git",valid-before="20261201Z"');
    const { remote, ana, bob, armed, files } = await setUp(dir, lines);
    const text = async (id: string): Promise<string> => `${await git(remote.path, "cat-file", "commit", id)}\n`;
    /** A commit object as it stands, whoever would have signed it. */
    const put = async (content: string): Promise<string> => {
      const object = newObject("commit", Buffer.from(content));
      await writePack(remote.path, [object]);
      return object.id;
    };
    const good = await remote.commit({ files, parents: [armed], by: ana });
    const plain = await remote.commit({ files, parents: [armed], message: "plain" });
    const withSignature = async (signature: string): Promise<string> => {
      const [head = "", ...rest] = (await text(plain)).split("\n\n");
      return put(`${head}\ngpgsig ${signature.trimEnd().replaceAll("\n", "\n ")}\n\n${rest.join("\n\n")}`);
    };
    const cases: [string, string, readonly string[], string][] = [
      ["in time", good, [], ""],
      [
        "after its time",
        await remote.commit({ files, parents: [armed], by: ana, at: "2026-12-02T00:00:00Z" }),
        ["SW601"],
        "no allowed signer had at its time",
      ],
      [
        "a key that nobody allows",
        await remote.commit({ files, parents: [armed], by: bob }),
        ["SW601"],
        "no allowed signer had",
      ],
      [
        "a changed message",
        await put((await text(good)).replace(/change\n$/, "changed\n")),
        ["SW601"],
        "its signature is bad",
      ],
      [
        "a signature for files",
        await withSignature(await remote.signAs("file", ana, await text(plain))),
        ["SW601"],
        "its signature is bad",
      ],
      [
        "the signature of another commit",
        await withSignature(
          (/-----BEGIN[\s\S]*-----END SSH SIGNATURE-----/.exec(await text(good))?.[0] ?? "").replaceAll("\n ", "\n"),
        ),
        ["SW601"],
        "its signature is bad",
      ],
      [
        "OpenPGP",
        await withSignature("-----BEGIN PGP SIGNATURE-----\n\niQEzBAAB\n-----END PGP SIGNATURE-----\n"),
        ["SW601"],
        "",
      ],
    ];
    for (const [index, [what, commit, codes, why]] of cases.entries()) {
      await remote.push(armed);
      const mirror = await mirrorOf(remote, join(dir.path, `r${index}`));
      await mirror.poll();
      await remote.push(commit);
      const poll = await mirror.poll();
      assert.equal(told(poll).codes, codes, what);
      assert.ok(poll.kind === "changed");
      assert.match(poll.desired.loaded.problems[0]?.message ?? "", why, what);
    }
  },
);

signed("a key that may sign for files alone signs no commit", async () => {
  await using dir = await tempFolder();
  const { remote, ana, bob, armed, files } = await setUp(dir);
  const filesOnly = { ...files, allowed_signers: allowed("ana", ana) + allowed("bob", bob, 'namespaces="file"') };
  const next = await remote.commit({ files: filesOnly, parents: [armed], by: ana });
  await remote.push(await remote.commit({ files: filesOnly, parents: [next], by: bob }));
  assert.equal(told(await (await mirrorOf(remote, join(dir.path, "ns"))).poll()).codes, ["SW601"]);
});

signed(
  "signatures are given up by a signed commit alone, and asked for only by one that fulfils its own wish",
  async () => {
    await using dir = await tempFolder();
    const { remote, ana, bob, armed, first, files } = await setUp(dir);
    const mirror = await mirrorOf(remote, join(dir.path, "r"));
    await mirror.poll();
    const without = { "stateward.yaml": "{}\n" };
    const stranger = await remote.push(await remote.commit({ files: without, parents: [armed] }));
    const poll = await mirror.poll();
    assert.equal(told(poll).codes, ["SW601"]);
    assert.ok(poll.kind === "changed" && poll.desired.loaded.problems[0]?.line === 1, stranger);
    const ended = await remote.commit({ files: without, parents: [armed], by: ana });
    const free = await remote.push(await remote.commit({ files: without, parents: [ended] }));
    assert.equal(told(await (await mirrorOf(remote, join(dir.path, "free"))).poll()), { inForce: free, codes: [] });
    const cases: [string, Readonly<Record<string, string>>, SigningKey | undefined, readonly string[]][] = [
      ["unsigned", files, undefined, ["SW601"]],
      ["signed by somebody else", files, bob, ["SW601"]],
      ["no file with signers", { "stateward.yaml": files["stateward.yaml"] ?? "" }, ana, ["SW602"]],
      ["nobody in the file", { ...files, allowed_signers: "# nobody\n" }, ana, ["SW602"]],
      [
        "since a commit of elsewhere",
        { ...files, "stateward.yaml": (files["stateward.yaml"] ?? "").replace(first, stranger) },
        ana,
        ["SW604"],
      ],
      ["as it should be", files, ana, []],
    ];
    for (const [index, [what, content, by, codes]] of cases.entries()) {
      await remote.push(first);
      const asked = await mirrorOf(remote, join(dir.path, `a${index}`));
      assert.equal(told(await asked.poll()).codes, [], what);
      const wish = await remote.push(await remote.commit({ files: content, parents: [first], ...(by ? { by } : {}) }));
      assert.equal(told(await asked.poll()).codes, codes, what);
      // Nobody is locked out: the next one may mend it, and its own history is judged.
      const mended = await remote.push(
        await remote.commit({
          files: { ...files, "stateward.yaml": (files["stateward.yaml"] ?? "").replace(first, wish) },
          parents: [wish],
          by: ana,
        }),
      );
      assert.equal(told(await asked.poll()), { inForce: mended, codes: [] }, what);
    }
  },
);

signed(
  "a fresh data folder goes on from what the record names: an unsigned commit since then is refused, what was before is not judged",
  async () => {
    await using dir = await tempFolder();
    const { remote, ana, armed, files } = await setUp(dir);
    const without = { "stateward.yaml": "{}\n" };
    const good = await remote.push(await remote.commit({ files, parents: [armed], by: ana }));
    {
      await using opened = await openStore(remote.path, join(dir.path, "writer"));
      await opened.store.load();
      await opened.store.append({ record: record("a", "lamp", { state: "on" }), summary: null, desired: good });
      await opened.store.flush();
    }
    await remote.push(await remote.commit({ files: without, parents: [good], author: "Eve <eve@example.org>" }));
    const folder = join(dir.path, "fresh");
    const { git: mirror, origin } = await openMirror(remote.path, folder);
    await origin.fetch("refs/heads/observed", "refs/stateward/observed");
    mirror.objects.close();
    assert.equal(told(await (await mirrorOf(remote, folder)).poll()), { inForce: good, codes: ["SW601"] });
  },
);

signed("nothing is judged twice, and one call judges many commits", async () => {
  await using dir = await tempFolder();
  const { remote, ana, armed, files } = await setUp(dir);
  const folder = join(dir.path, "r");
  await (await mirrorOf(remote, folder)).poll();
  let tip = armed;
  for (let index = 0; index < 5; index++)
    tip = await remote.commit({ files, parents: [tip], by: ana, message: `${index}` });
  await remote.push(tip);
  const judged: string[] = [];
  const { git: mirror, tips, origin } = await openMirror(remote.path, folder);
  const cache = new DocumentCache(null, "test");
  const heard = (done: number, of: number): number => judged.push(`${done}/${of}`);
  const judge = new SignedHistory({ git: mirror, cache, recorded: () => recordedCommit(mirror), heard });
  const follower = new DesiredMirror({
    git: mirror,
    tips,
    remotes: [origin],
    loader: new RepositoryLoader(),
    cache,
    judge,
  });
  assert.equal(told(await follower.poll()), { inForce: tip, codes: [] });
  const bad = await remote.push(await remote.commit({ files, parents: [tip] }));
  assert.equal(told(await follower.poll()).codes, ["SW601"]);
  await remote.push(await remote.commit({ files, parents: [bad], by: ana }));
  assert.equal(told(await follower.poll()).codes, ["SW601"]);
  assert.equal(judged, ["5/5", "1/1", "1/1"]);
});

signed(
  "without ssh-keygen nothing is accepted and that is said; once it is there the commit is judged again",
  async () => {
    await using dir = await tempFolder();
    const { remote, ana, armed, files } = await setUp(dir);
    const folder = join(dir.path, "r");
    await (await mirrorOf(remote, folder)).poll();
    const good = await remote.push(await remote.commit({ files, parents: [armed], by: ana }));
    // A folder of programs with Git and `false` alone.
    const bin = join(dir.path, "bin");
    await mkdir(bin);
    for (const name of ["git", "false"]) await link(bin, name);
    const mirror = await mirrorOf(remote, folder, { PATH: bin });
    const poll = await mirror.poll();
    assert.equal(told(poll), { inForce: armed, codes: ["SW603"] });
    assert.is((await mirror.poll()).kind, "unchanged");
    await link(bin, "ssh-keygen");
    assert.equal(told(await mirror.poll()), { inForce: good, codes: [] });
  },
);

async function link(bin: string, name: string): Promise<void> {
  const order = { timeoutMs: 10_000, outputBytesMax: 1000, env: process.env as Record<string, string> };
  const { stdout } = await runProcess({ ...order, argv: ["sh", "-c", `command -v ${name}`] });
  await runProcess({ ...order, argv: ["ln", "-s", stdout.trim(), join(bin, name)] });
}

signed(
  "settings of the mirror and of a person do not matter: no other signers, no other program, no refs that replace commits",
  async () => {
    await using dir = await tempFolder();
    const { remote, ana, bob, armed, files } = await setUp(dir);
    const folder = join(dir.path, "r");
    await (await mirrorOf(remote, folder)).poll();
    const mirror = join(folder, "mirror.git");
    const lie = join(dir.path, "lie");
    await writeFile(lie, `#!/bin/sh\necho 'Good "git" signature for eve@example.org with ED25519 key SHA256:xxx'\n`, {
      mode: 0o755,
    });
    await writeFile(join(dir.path, "theirs"), allowed("bob", bob));
    await git(mirror, "config", "gpg.ssh.allowedSignersFile", join(dir.path, "theirs"));
    for (const name of ["gpg.ssh.program", "gpg.program"]) await git(mirror, "config", name, lie);
    await git(mirror, "config", "log.showSignature", "true");
    const bad = await remote.push(await remote.commit({ files, parents: [armed], by: bob }));
    assert.equal(told(await (await mirrorOf(remote, folder)).poll()).codes, ["SW601"]);
    const good = await remote.commit({ files, parents: [armed], by: ana });
    await git(mirror, "fetch", "--quiet", remote.path, "main");
    await git(mirror, "fetch", "--quiet", remote.path, `${armed}:refs/keep`);
    await remote.push(good);
    await git(mirror, "fetch", "--quiet", remote.path, "main");
    await git(mirror, "replace", bad, good);
    await remote.push(bad);
    assert.equal(told(await (await mirrorOf(remote, folder)).poll()).codes, ["SW601"]);
    assert.match(await readFile(join(mirror, "config"), "utf8"), "showSignature");
  },
);

test("every commit between two versions comes in with exactly one step, and the line never leaves the base", () => {
  // Commits 0..n, each with parents among the earlier ones.
  const shape = fc.array(fc.tuple(fc.nat(), fc.nat(), fc.nat({ max: 3 })), { minLength: 1, maxLength: 14 });
  fc.assert(
    fc.property(shape, fc.nat(), (picks, pick) => {
      const parents: string[][] = [[]];
      for (const [index, [a, b, kind]] of picks.entries()) {
        const [one, two] = [`${a % (index + 1)}`, `${b % (index + 1)}`];
        parents.push(kind === 0 ? [one, two] : kind === 1 && index > 2 ? [] : [`${index}`]);
      }
      const base = pick % parents.length;
      const tip = parents.length - 1;
      const reach = (from: number): Set<number> => {
        const seen = new Set<number>();
        const open = [from];
        for (let at = open.pop(); at !== undefined; at = open.pop()) {
          if (seen.has(at)) continue;
          seen.add(at);
          open.push(...(parents[at] ?? []).map(Number));
        }
        return seen;
      };
      const before = reach(base);
      const fresh = [...reach(tip)].filter((commit) => !before.has(commit));
      const graph: GraphCommit[] = fresh.map((commit) => ({ commit: `${commit}`, parents: parents[commit] ?? [] }));
      if (base === tip) return;
      const steps = stepsOf(`${base}`, `${tip}`, graph);
      const all = steps.flatMap(({ commits }) => commits).map(Number);
      assert.equal(
        all.toSorted((a, b) => a - b),
        fresh.toSorted((a, b) => a - b),
      );
      assert.is(steps.at(-1)?.after, `${tip}`);
      for (const [index, step] of steps.entries()) {
        assert.is(step.before, steps[index - 1]?.after ?? `${base}`);
        if (reach(tip).has(base)) assert.ok(reach(Number(step.after)).has(base));
      }
    }),
    { numRuns: 500 },
  );
});

test.run();
