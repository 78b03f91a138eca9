// Reading what `main` says is the same work for each process of a run, and much of it for each run: it is done once. What comes out is
// never changed by those who get it, so they can share it.
import { type FileChange, type LoadedRepository, RepositoryLoader } from "../../reconciler/model/repository.ts";
import type { SourceFile } from "../../reconciler/model/types.ts";
import { DocumentCache } from "../../reconciler/record/document-cache.ts";
import type { DocumentRef } from "../../reconciler/record/documents.ts";

/** Of one run: the same files give the same value. */
export class SharedLoader extends RepositoryLoader {
  private readonly whole = new Map<string, LoadedRepository>();
  private readonly changed = new WeakMap<LoadedRepository, Map<string, LoadedRepository>>();

  override load(files: readonly SourceFile[]): LoadedRepository {
    return once(this.whole, files.map(keyOf).join("\n"), () => super.load(files));
  }

  override change(base: LoadedRepository, changes: readonly FileChange[]): LoadedRepository {
    const known = this.changed.get(base) ?? new Map<string, LoadedRepository>();
    this.changed.set(base, known);
    const key = changes.map(({ path, file }) => (file === null ? `-${path}` : keyOf(file))).join("\n");
    return once(known, key, () => super.change(base, changes));
  }
}

function keyOf({ path, id, text }: SourceFile): string {
  return `${text === null ? "=" : "+"}${path} ${id}`;
}

function once<T>(known: Map<string, T>, key: string, make: () => T): T {
  const there = known.get(key);
  if (there !== undefined) return there;
  const made = make();
  known.set(key, made);
  return made;
}

/** Documents kept at most; then it begins anew. */
const documentsMax = 5000;
const documents = new Map<string, unknown>();

/** Parsed documents of all runs: what a blob says does not depend on them. */
export class SharedDocuments extends DocumentCache {
  constructor() {
    super(null, "sim");
  }

  override get(ref: DocumentRef): unknown {
    return documents.get(documentKey(ref));
  }

  override keep(fresh: readonly SourceFile[]): void {
    if (documents.size > documentsMax) documents.clear();
    for (const { path, id, parsed } of fresh)
      if (parsed !== undefined && "value" in parsed) documents.set(documentKey({ path, id }), parsed.value);
  }
}

function documentKey({ path, id }: DocumentRef): string {
  return `${path} ${id}`;
}
