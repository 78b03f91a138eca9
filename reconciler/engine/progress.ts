// How many subjects are where they are to be, without counting them all each time one changes.

export class Progress {
  private readonly ready = new Map<string, boolean>();
  private count = 0;
  private said = false;

  /** Takes over the subjects of a new commit; what was known of those that stay is kept. */
  follow(names: readonly string[]): void {
    const known = new Map(this.ready);
    this.ready.clear();
    for (const name of names) this.ready.set(name, known.get(name) ?? false);
    this.count = [...this.ready.values()].filter(Boolean).length;
    this.said = false;
  }

  /** Something is wanted anew of the same subjects: that they have all arrived is said again. */
  again(): void {
    this.said = false;
  }

  /** Notes one subject. True when with it all have arrived, once for each time that they do. */
  note(name: string, ready: boolean): boolean {
    const before = this.ready.get(name);
    if (before === undefined) return false;
    this.count += Number(ready) - Number(before);
    this.ready.set(name, ready);
    const all = this.count === this.ready.size;
    const news = all && !this.said;
    this.said = all;
    return news;
  }

  numbers(): { readonly ready: number; readonly total: number } {
    return { ready: this.count, total: this.ready.size };
  }
}
