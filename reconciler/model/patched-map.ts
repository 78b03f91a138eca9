// A map with a few values replaced, which shares all others with the map before it: so that ten changed files of a hundred thousand
// cost ten entries. Keys and their order stay those of the base.

/** Beyond this many replacements a map of its own is made. */
const patchMax = 4096;

/** `base` with the values of `changes`, whose keys must all be in it. The base stays as it is. */
export function patched<K, V>(base: ReadonlyMap<K, V>, changes: ReadonlyMap<K, V>): ReadonlyMap<K, V> {
  if (changes.size === 0) return base;
  const [root, patch] =
    base instanceof PatchedMap
      ? [(base as PatchedMap<K, V>).root, new Map([...(base as PatchedMap<K, V>).patch, ...changes])]
      : [base, new Map(changes)];
  const map = new PatchedMap(root, patch);
  return patch.size > patchMax ? new Map(map) : map;
}

class PatchedMap<K, V> implements ReadonlyMap<K, V> {
  readonly root: ReadonlyMap<K, V>;
  readonly patch: ReadonlyMap<K, V>;

  constructor(root: ReadonlyMap<K, V>, patch: ReadonlyMap<K, V>) {
    this.root = root;
    this.patch = patch;
  }

  get size(): number {
    return this.root.size;
  }

  get(key: K): V | undefined {
    return this.patch.has(key) ? this.patch.get(key) : this.root.get(key);
  }

  has(key: K): boolean {
    return this.root.has(key);
  }

  forEach(work: (value: V, key: K, map: ReadonlyMap<K, V>) => void): void {
    for (const [key, value] of this.entries()) work(value, key, this);
  }

  keys(): MapIterator<K> {
    return this.root.keys();
  }

  *values(): MapIterator<V> {
    for (const [, value] of this.entries()) yield value;
  }

  *entries(): MapIterator<[K, V]> {
    for (const [key, value] of this.root) yield [key, this.patch.has(key) ? (this.patch.get(key) as V) : value];
  }

  [Symbol.iterator](): MapIterator<[K, V]> {
    return this.entries();
  }
}
