// Folders of a commit as Git keeps them, in memory as they stand in their objects: 20 bytes and a name an entry. Changing a file
// writes the folders above it anew and touches no other. Format: git-cat-file(1), gitformat of trees: `mode name\0` and the id in bytes.
import { Failure } from "../model/failure.ts";
import { missing, type Objects } from "./objects.ts";
import { type NewObject, newObject } from "./pack.ts";

export interface TreeItem {
  /** As Git writes it: `100644`, `40000` for a folder. */
  readonly mode: string;
  readonly name: string;
  readonly id: string;
}

const folderMode = "40000";
/** A file that is no program, and one that is. */
export const fileMode = "100644";
export const programMode = "100755";
export const linkMode = "120000";

export function isFolder({ mode }: { readonly mode: string }): boolean {
  return mode === folderMode;
}

/** Entries of a tree object. Names that are not UTF-8 come with U+FFFD in them. */
export function parseTree(raw: Buffer): TreeItem[] {
  const items: TreeItem[] = [];
  for (let at = 0; at < raw.length; ) {
    const space = raw.indexOf(32, at);
    const zero = raw.indexOf(0, space);
    if (space < 0 || zero < 0 || zero + 21 > raw.length) throw corruptTree();
    items.push({
      mode: raw.toString("latin1", at, space),
      name: raw.toString("utf8", space + 1, zero),
      id: raw.toString("hex", zero + 1, zero + 21),
    });
    at = zero + 21;
  }
  return items;
}

function corruptTree(): Failure {
  return new Failure("stalled", "a folder in the mirror cannot be read", {
    reason: "GitCorrupt",
    hint: "start the reconciler again: it sets the mirror aside and fetches afresh",
  });
}

/** A tree object from its entries, in Git's order: by bytes, folders as if their names ended in a slash. */
export function encodeTree(items: readonly TreeItem[]): Buffer {
  const keyed = items.map((item) => ({ item, key: Buffer.from(isFolder(item) ? `${item.name}/` : item.name) }));
  keyed.sort((a, b) => Buffer.compare(a.key, b.key));
  return Buffer.concat(
    keyed.flatMap(({ item }) => [Buffer.from(`${item.mode} ${item.name}\0`), Buffer.from(item.id, "hex")]),
  );
}

/** A file to write (`id` of its blob) or to remove (null). */
export interface TreeEdit {
  readonly path: string;
  readonly id: string | null;
  /** Default that of a file that is no program. */
  readonly mode?: string;
}

export interface FoldersPlan {
  /** Id of the root: the one before, where the edits say nothing new. */
  readonly id: string;
  readonly objects: readonly NewObject[];
  /** New content by path; empty for folders that are gone. */
  readonly changed: ReadonlyMap<string, Buffer>;
}

/** The folders of one commit of `observed`, all of them read. */
export class Folders {
  private readonly raws: Map<string, Buffer>;
  /** Id of the root; empty before there is one. */
  id: string;

  private constructor(raws: Map<string, Buffer>, id: string) {
    this.raws = raws;
    this.id = id;
  }

  static empty(): Folders {
    return new Folders(new Map(), "");
  }

  /** Reads every folder of a tree, a level at a time; `take` is given every file with the id of its blob. */
  static async read(
    objects: Objects,
    root: string,
    take: (path: string, id: string) => void = () => {},
  ): Promise<Folders> {
    const raws = new Map<string, Buffer>();
    let id = "";
    let level: { path: string; id: string }[] = [{ path: "", id: root }];
    while (level.length > 0) {
      const next: { path: string; id: string }[] = [];
      const now = level;
      await objects.each(
        now.map(({ id }) => id),
        (object, index) => {
          const folder = now[index];
          if (!folder || object?.type !== "tree") throw missing(folder?.id ?? "", object);
          // A copy of its own: the answer is a part of a chunk that must not be kept.
          raws.set(folder.path, Buffer.from(object.data));
          if (folder.path === "") id = object.id;
          for (const item of parseTree(object.data)) {
            const path = joined(folder.path, item.name);
            if (isFolder(item)) next.push({ path, id: item.id });
            else take(path, item.id);
          }
        },
      );
      level = next;
    }
    return new Folders(raws, id);
  }

  /** What the edits make of the folders, and the objects that come with it. Nothing changes before `adopt`. */
  plan(edits: readonly TreeEdit[]): FoldersPlan {
    const levels: Map<string, Map<string, TreeItem | null>>[] = [];
    const inFolder = (folder: string): Map<string, TreeItem | null> => {
      const depth = folder === "" ? 0 : folder.split("/").length;
      while (levels.length <= depth) levels.push(new Map());
      const items = levels[depth]?.get(folder) ?? new Map<string, TreeItem | null>();
      levels[depth]?.set(folder, items);
      return items;
    };
    const put = (path: string, item: { mode: string; id: string } | null): void => {
      const slash = path.lastIndexOf("/");
      const name = path.slice(slash + 1);
      inFolder(path.slice(0, Math.max(slash, 0))).set(name, item === null ? null : { ...item, name });
    };
    for (const { path, id, mode = fileMode } of edits) put(path, id === null ? null : { mode, id });
    if (edits.length === 0 && this.id === "") inFolder("");
    const objects: NewObject[] = [];
    const changed = new Map<string, Buffer>();
    // The deepest first: what becomes of a folder is an edit of the one above it.
    for (const level of levels.toReversed()) {
      for (const [folder, items] of level) {
        const raw = applyEdits(this.raws.get(folder), items);
        const object = newObject("tree", raw);
        changed.set(folder, raw);
        const isKept = raw.length > 0 || folder === "";
        if (isKept) objects.push(object);
        if (folder !== "") put(folder, isKept ? { mode: folderMode, id: object.id } : null);
      }
    }
    return { id: objects.at(-1)?.id ?? this.id, objects, changed };
  }

  /** Makes what was planned the present. */
  adopt({ id, changed }: FoldersPlan): void {
    for (const [path, raw] of changed) {
      if (raw.length > 0) this.raws.set(path, raw);
      else this.raws.delete(path);
    }
    this.id = id;
  }
}

function applyEdits(raw: Buffer | undefined, edits: ReadonlyMap<string, TreeItem | null>): Buffer {
  const items = raw ? parseTree(raw).filter(({ name }) => !edits.has(name)) : [];
  for (const item of edits.values()) if (item !== null) items.push(item);
  return encodeTree(items);
}

/** A path from a folder, empty for the root, and a name in it. */
export function joined(folder: string, name: string): string {
  return folder === "" ? name : `${folder}/${name}`;
}
