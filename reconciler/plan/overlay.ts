// Records with the one that is being drafted in its place.
import type { SubjectRecord } from "../model/record.ts";

/** A map with one entry replaced, without copying it: a decision for one host must not cost the whole fleet. */
export class Overlay extends Map<string, SubjectRecord> {
  readonly base: ReadonlyMap<string, SubjectRecord>;
  readonly name: string;
  private readonly record: SubjectRecord;

  constructor(base: ReadonlyMap<string, SubjectRecord>, name: string, record: SubjectRecord) {
    super();
    this.base = base;
    this.name = name;
    this.record = record;
  }

  override get(name: string): SubjectRecord | undefined {
    return name === this.name ? this.record : this.base.get(name);
  }
}
