// What differs between two commits, read folder by folder: equal folders are not read at all.
import type { Objects } from "./objects.ts";
import { missing } from "./objects.ts";
import { isFolder, joined, parseTree, type TreeItem } from "./tree.ts";

/** A file that one commit has and the other has not, or has otherwise; null for one that is gone. */
export interface TreeChange {
  readonly path: string;
  readonly item: TreeItem | null;
  /** What the first of them has there; null for nothing, or for a folder. */
  readonly before: TreeItem | null;
}

interface Pair {
  readonly path: string;
  readonly before: string | null;
  readonly after: string | null;
}

/**
 * Files that differ between two trees, ordered by folder. `wanted` says, of the entries at the top, which are looked at. With
 * null for `before`, every file of `after`.
 */
export async function diffTrees(
  objects: Objects,
  { before, after }: { readonly before: string | null; readonly after: string },
  wanted: (name: string) => boolean,
): Promise<TreeChange[]> {
  const changes: TreeChange[] = [];
  let level: Pair[] = before === after ? [] : [{ path: "", before, after }];
  while (level.length > 0) {
    const raws = await readTrees(objects, level);
    const next: Pair[] = [];
    for (const pair of level) {
      const old = itemsOf(raws, pair.before);
      const items = itemsOf(raws, pair.after);
      for (const [name, item] of items) {
        if (pair.path === "" && !wanted(name)) continue;
        compare(joined(pair.path, name), old.get(name) ?? null, item, { changes, next });
      }
      for (const [name, item] of old) {
        if (items.has(name) || (pair.path === "" && !wanted(name))) continue;
        compare(joined(pair.path, name), item, null, { changes, next });
      }
    }
    level = next;
  }
  return changes;
}

function compare(
  path: string,
  before: TreeItem | null,
  after: TreeItem | null,
  { changes, next }: { readonly changes: TreeChange[]; readonly next: Pair[] },
): void {
  if (before?.id === after?.id && before?.mode === after?.mode) return;
  const was = before !== null && isFolder(before) ? before.id : null;
  const is = after !== null && isFolder(after) ? after.id : null;
  if (was !== null || is !== null) next.push({ path, before: was, after: is });
  const file = was === null ? before : null;
  if (file !== null && (after === null || is !== null)) changes.push({ path, item: null, before: file });
  if (after !== null && is === null) changes.push({ path, item: after, before: file });
}

async function readTrees(objects: Objects, level: readonly Pair[]): Promise<Map<string, Buffer>> {
  const ids = [...new Set(level.flatMap(({ before, after }) => [before, after]).filter((id) => id !== null))];
  const raws = new Map<string, Buffer>();
  await objects.each(ids, (object, index) => {
    if (object?.type !== "tree") throw missing(ids[index] ?? "", object);
    raws.set(ids[index] ?? "", Buffer.from(object.data));
  });
  return raws;
}

function itemsOf(raws: ReadonlyMap<string, Buffer>, id: string | null): Map<string, TreeItem> {
  const raw = id === null ? undefined : raws.get(id);
  return new Map(raw === undefined ? [] : parseTree(raw).map((item) => [item.name, item]));
}
