// Git, as far as the record uses it: objects that everyone can make, repositories that know some of them, and a server that moves refs
// only from where a client saw them. Semantics: git-push(1), gitprotocol-pack(5): old and new id of each ref, and `atomic`.
import { Failure } from "../../reconciler/model/failure.ts";
import { commitObject } from "../../reconciler/record/commit.ts";
import { type BareRepository, parentOf } from "../../reconciler/record/git.ts";
import { type GitObject, needed, type Objects } from "../../reconciler/record/objects.ts";
import { type NewObject, newObject } from "../../reconciler/record/pack.ts";
import { type Listing, leaderRef, type PushResult, type Remote } from "../../reconciler/record/remote.ts";
import { Folders, parseTree, type TreeItem } from "../../reconciler/record/tree.ts";
import type { Random } from "./random.ts";
import { beginning, type Life, type SimTime } from "./time.ts";

/** Every object that anyone has made. Who knows which commit is kept by each repository. */
export class AllObjects {
  private readonly objects = new Map<string, NewObject>();
  /** Trees that were parsed: an object never changes. */
  private readonly trees = new Map<string, readonly TreeItem[]>();

  add(object: NewObject): void {
    this.objects.set(object.id, object);
  }

  get(id: string): NewObject | undefined {
    return this.objects.get(id);
  }

  parent(commit: string): string | null {
    return parentOf(this.objects.get(commit)?.data.toString() ?? "\n\n");
  }

  /** Id of a commit's tree. */
  tree(commit: string): string {
    return /^tree ([0-9a-f]{40})$/m.exec(this.objects.get(commit)?.data.toString() ?? "")?.[1] ?? "";
  }

  message(commit: string): string {
    const text = this.objects.get(commit)?.data.toString() ?? "";
    return text.slice(text.indexOf("\n\n") + 2);
  }

  /** Path and id of every file of a commit. */
  files(commit: string | null): Map<string, string> {
    return this.changed(null, commit);
  }

  /** Path and id of every file of a commit that another one has not. */
  changed(from: string | null, to: string | null): Map<string, string> {
    const found = new Map<string, string>();
    const walk = (before: string, tree: string, path: string): void => {
      if (before === tree) return;
      const old = new Map(this.items(before).map(({ name, id }) => [name, id]));
      for (const { mode, name, id } of this.items(tree)) {
        if (mode === "40000") walk(old.get(name) ?? "", id, `${path}${name}/`);
        else if (old.get(name) !== id) found.set(path + name, id);
      }
    };
    if (to !== null) walk(from === null ? "" : this.tree(from), this.tree(to), "");
    return found;
  }

  private items(tree: string): readonly TreeItem[] {
    const known = this.trees.get(tree) ?? parseTree(this.objects.get(tree)?.data ?? Buffer.alloc(0));
    this.trees.set(tree, known);
    return known;
  }

  text(id: string): string {
    return this.objects.get(id)?.data.toString() ?? "";
  }

  /** Makes a commit with these files. */
  commit(files: Readonly<Record<string, string>>, parent: string | null, message: string): string {
    const blobs = Object.entries(files).map(([path, text]) => ({ path, object: newObject("blob", Buffer.from(text)) }));
    const { id: tree, objects } = Folders.empty().plan(blobs.map(({ path, object }) => ({ path, id: object.id })));
    const object = commitObject(tree, { parent, message: `${message}\n`, timeSeconds: beginning / 1000 });
    for (const made of [...blobs.map((blob) => blob.object), ...objects, object]) this.add(made);
    return object.id;
  }
}

/** A mirror on a disk: it outlives the processes that use it. */
export class SimMirror {
  readonly refs = new Map<string, string>();
  readonly commits = new Set<string>();
}

/** A mirror as one life of a process uses it. */
export class SimRepository implements BareRepository {
  /** Nothing in a simulation is a file. */
  readonly dir = "/dev/null/sim";
  readonly objects: Objects;
  private readonly mirror: SimMirror;
  private readonly all: AllObjects;
  private readonly life: Life;
  private readonly random: Random;

  // oxlint-disable-next-line max-params -- what a repository is made of
  constructor(mirror: SimMirror, all: AllObjects, life: Life, random: Random) {
    this.mirror = mirror;
    this.all = all;
    this.life = life;
    this.random = random;
    const read = async (name: string): Promise<GitObject | null> => this.read(name);
    this.objects = {
      read,
      each: async (names, take) => {
        for (const [index, name] of names.entries()) take(this.read(name), index);
      },
      need: async (name, type) => needed(name, type, this.read(name)),
      close: () => {},
    };
  }

  private read(name: string): GitObject | null {
    const peeled = name.replace(/\^\{(tree|commit)\}$/, "");
    const id = /^[0-9a-f]{40}$/.test(peeled) ? peeled : this.mirror.refs.get(peeled);
    let object = id === undefined ? undefined : this.all.get(id);
    if (object === undefined || (object.type === "commit" && !this.mirror.commits.has(object.id))) return null;
    if (name.endsWith("^{tree}")) object = this.all.get(this.all.tree(object.id));
    return object === undefined ? null : { ...object, size: object.data.length };
  }

  async resolve(name: string): Promise<string | null> {
    return this.read(name)?.id ?? null;
  }

  async descends(commit: string, ancestor: string): Promise<boolean> {
    for (let at: string | null = commit; at !== null && this.mirror.commits.has(at); at = this.all.parent(at))
      if (at === ancestor) return true;
    return false;
  }

  async roots(commit: string): Promise<string[]> {
    let at = commit;
    for (let above = this.all.parent(at); above !== null; above = this.all.parent(at)) at = above;
    return [at];
  }

  async trailers(ref: string, key: string, commitsMax: number): Promise<string[]> {
    const found: string[] = [];
    let at: string | null = this.mirror.refs.get(ref) ?? null;
    for (let count = 0; at !== null && count < commitsMax; count++, at = this.all.parent(at)) {
      const value = new RegExp(`^${key}: (.*)$`, "m").exec(this.all.message(at))?.[1];
      if (value !== undefined) found.push(value);
    }
    return found;
  }

  async write(objects: readonly NewObject[]): Promise<void> {
    await this.life.sleep(this.random.around(3));
    for (const object of objects) {
      this.all.add(object);
      if (object.type === "commit") this.mirror.commits.add(object.id);
    }
  }

  async point(ref: string, id: string): Promise<void> {
    await this.life.sleep(this.random.around(1));
    this.mirror.refs.set(ref, id);
  }

  /** What a fetch brings. */
  take(ref: string, commit: string): void {
    for (let at: string | null = commit; at !== null && !this.mirror.commits.has(at); at = this.all.parent(at))
      this.mirror.commits.add(at);
    this.mirror.refs.set(ref, commit);
  }
}

interface Command {
  readonly ref: string;
  readonly from: string | null;
  readonly to: string;
}

/** The remote: refs that move atomically, from where the client saw them. */
export class SimServer {
  readonly refs = new Map<string, string>();
  /** Called for each move of a branch by a push. */
  onPush: (command: Command, process: string) => void = () => {};

  apply(commands: readonly Command[], process: string): boolean {
    if (!commands.every(({ ref, from }) => (this.refs.get(ref) ?? null) === from)) return false;
    for (const command of commands) {
      this.refs.set(command.ref, command.to);
      this.onPush(command, process);
    }
    return true;
  }
}

/** How a process is connected: `down` refuses at once, `silent` gives no answer. */
export interface Link {
  state: "up" | "down" | "silent";
  /** Mean of the time that one way takes, in milliseconds. */
  meanMs: number;
  /** Chances that an answer is lost, and that a push arrives a second time. */
  lost: number;
  twice: number;
}

const listTimeoutMs = 30_000;
const longTimeoutMs = 120_000;

export class SimRemote implements Remote {
  private readonly world: { readonly time: SimTime; readonly all: AllObjects; readonly server: SimServer };
  private readonly process: string;
  private readonly life: Life;
  private readonly repository: SimRepository;
  private readonly link: Link;
  private readonly random: Random;
  private readonly heard: (listing: Listing) => void;
  private readonly waits: (until: number) => void;
  private readonly unheard: () => void;

  constructor(options: {
    readonly world: { readonly time: SimTime; readonly all: AllObjects; readonly server: SimServer };
    readonly process: string;
    readonly life: Life;
    readonly repository: SimRepository;
    readonly link: Link;
    readonly random: Random;
    /** Told of each listing that the process gets. */
    readonly heard: (listing: Listing) => void;
    /** Told of each fetch that waits for an answer which never comes, and until when. */
    readonly waits: (until: number) => void;
    /** Told of each push that was done, and whose answer is lost. */
    readonly unheard: () => void;
  }) {
    this.world = options.world;
    this.process = options.process;
    this.life = options.life;
    this.repository = options.repository;
    this.link = options.link;
    this.random = options.random;
    this.heard = options.heard;
    this.waits = options.waits;
    this.unheard = options.unheard;
  }

  async list(): Promise<Listing> {
    const listing = await this.ask(listTimeoutMs, "ls-remote", async () => this.refs());
    this.heard(listing);
    return listing;
  }

  private refs(): Listing {
    const of = (ref: string): string | null => this.world.server.refs.get(ref) ?? null;
    return { main: of("refs/heads/main"), observed: of("refs/heads/observed"), leader: of(leaderRef) };
  }

  async fetch(ref: string, into: string): Promise<void> {
    const id = await this.ask(longTimeoutMs, "fetch", async () => this.world.server.refs.get(ref) ?? null);
    if (id === null) throw broken(`git fetch failed (exit 128): fatal: couldn't find remote ref ${ref}`);
    this.repository.take(into, id);
  }

  push(refspecs: readonly string[], options: readonly string[] = []): Promise<PushResult> {
    const { server, time } = this.world;
    return this.ask(longTimeoutMs, "push", async () => {
      const commands: Command[] = [];
      for (const refspec of refspecs) {
        const [, force = "", to = "", ref = ""] = /^(\+?)([0-9a-f]{40}):(.+)$/.exec(refspec) ?? [];
        const from = server.refs.get(ref) ?? null;
        const lease = options.find((option) => option.startsWith(`--force-with-lease=${ref}:`));
        const leased = lease?.slice(lease.lastIndexOf(":") + 1);
        if (leased !== undefined && leased !== (from ?? ""))
          return { kind: "refused", ref, message: "[rejected] (stale info)" };
        const isForced = force === "+" || leased !== undefined;
        if (!isForced && from !== null && !(await this.repository.descends(to, from)))
          return { kind: "refused", ref, message: "[rejected] (fetch first)" };
        // What is there already is not sent.
        if (from !== to) commands.push({ ref, from, to });
      }
      await time.sleep(this.random.around(this.link.meanMs));
      if (this.random.chance(this.link.twice))
        time.after(this.random.around(10_000), () => server.apply(commands, this.process));
      const isTaken = server.apply(commands, this.process);
      return isTaken
        ? { kind: "accepted" }
        : { kind: "refused", ref: commands[0]?.ref ?? "", message: "[remote rejected] (failed to update ref)" };
    });
  }

  close(): void {}

  /** One exchange with the server. What the server does, it does whether anyone still listens or not. */
  private ask<T>(timeoutMs: number, what: string, work: () => Promise<T>): Promise<T> {
    const { time } = this.world;
    const { link, random } = this;
    const late = (): Failure => broken(`git ${what} did not end within ${timeoutMs / 1000} s`);
    const answer = async (): Promise<T> => {
      if (link.state === "down") {
        await time.sleep(random.around(50));
        throw broken(`git ${what} failed (exit 128): fatal: unable to access the remote`);
      }
      if (link.state === "silent") {
        if (what === "fetch") this.waits(time.now + timeoutMs);
        await time.sleep(timeoutMs);
        throw late();
      }
      await time.sleep(random.around(link.meanMs));
      const result = await work();
      await time.sleep(random.around(link.meanMs));
      if ((link.state as Link["state"]) !== "up" || random.chance(link.lost)) {
        const ms = random.chance(0.5) ? 50 : timeoutMs;
        if (what === "fetch") this.waits(time.now + ms);
        if (what === "push") this.unheard();
        await time.sleep(ms);
        throw late();
      }
      return result;
    };
    return this.life.hears(answer());
  }
}

function broken(message: string): Failure {
  return new Failure("transient", message, { reason: "GitFailed", hint: "check the connection to the Git remote" });
}
