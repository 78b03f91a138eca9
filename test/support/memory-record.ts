// The record in memory. It passes the same suite as the one in Git, and promises nothing beyond the life of the process.
import type {
  LoadedRecord,
  RecordChange,
  RecordReader,
  RecordStatus,
  RecordWriter,
} from "../../reconciler/model/ports.ts";
import { decodeRecord, encodeRecord } from "../../reconciler/model/record.ts";

export class MemoryRecord implements RecordReader, RecordWriter {
  readonly changes: RecordChange[] = [];
  behindMs = 0;
  private readonly texts = new Map<string, string>();

  load(): Promise<LoadedRecord> {
    const subjects = [...this.texts.values()].map((text) => decodeRecord(text, "in memory"));
    return Promise.resolve({ subjects, epoch: 1 });
  }

  append(change: RecordChange): Promise<void> {
    this.changes.push(change);
    this.texts.set(change.record.name, encodeRecord(change.record));
    return Promise.resolve();
  }

  status(): RecordStatus {
    return { role: "leading", epoch: 1, leader: null, message: "", behindMs: this.behindMs, unpushed: 0 };
  }

  flush(): Promise<void> {
    return Promise.resolve();
  }
}
