/**
 * What a dirty log's records amount to: for each shard its term and what is still live. Pure: fed with records in
 * any order of logs and in the order of each log, used for recovery and for compaction alike.
 */

import type { LogRecord } from "./log_records.ts";
import { compareVersions, type DirtyRange, type MarkOwner, type RowKey, type Version } from "./records.ts";

type RecordOf<Type extends LogRecord["type"]> = Extract<LogRecord, { readonly type: Type }>;

export interface RecoveredShard {
  /** The highest term whose start is logged; 0: the log knows nothing of this shard. */
  readonly shardTerm: number;
  readonly marks: readonly { readonly key: RowKey; readonly version: Version; readonly owner: MarkOwner }[];
  readonly ranges: readonly DirtyRange[];
  readonly perror: readonly RecordOf<"perror">[];
  readonly held: readonly { readonly key: RowKey; readonly decision: string }[];
}

interface ShardImage {
  term: number;
  /** That term's start was read from another thread's log, which holds the shard's account. */
  elsewhere: boolean;
  readonly marks: Map<RowKey, RecordOf<"mark">>;
  readonly ranges: Map<string, RecordOf<"range">>;
  readonly perror: Map<RowKey, RecordOf<"perror">>;
  readonly held: Map<RowKey, RecordOf<"held">>;
}

export class LogImage {
  readonly #shards = new Map<number, ShardImage>();

  /** `own`: the record is from the log that this image is compacted into. */
  apply(record: LogRecord, { own } = { own: true }): void {
    const image = this.#imageOf(record.shard);
    if (record.shardTerm < image.term) return;
    switch (record.type) {
      case "start":
        image.elsewhere = !own && (image.elsewhere || record.shardTerm > image.term);
        image.term = record.shardTerm;
        forget(image);
        return;
      case "mark":
        image.marks.set(record.key, record);
        return;
      case "clear": {
        const mark = image.marks.get(record.key);
        if (mark !== undefined && compareVersions(mark.version, record.version) === 0)
          image.marks.delete(record.key);
        return;
      }
      case "range":
        image.ranges.set(record.range.id, record);
        return;
      case "range_removed":
        image.ranges.delete(record.id);
        return;
      case "cursor": {
        const held = image.ranges.get(record.id);
        if (held === undefined) return;
        image.ranges.set(record.id, { ...held, range: { ...held.range, cursor: record.cursor } });
        return;
      }
      case "perror":
        image.perror.set(record.key, record);
        return;
      case "perror_resolved":
        image.perror.delete(record.key);
        return;
      case "held":
        if (record.decision === "") image.held.delete(record.key);
        else image.held.set(record.key, record);
        return;
    }
  }

  recover(shard: number): RecoveredShard {
    const image = this.#imageOf(shard);
    return {
      shardTerm: image.term,
      marks: [...image.marks.values()].map(({ key, version, owner }) => ({ key, version, owner })),
      ranges: [...image.ranges.values()].map(({ range }) => range),
      perror: [...image.perror.values()],
      held: [...image.held.values()].map(({ key, decision }) => ({ key, decision })),
    };
  }

  /**
   * Everything that is live and this log's, as records: what a compacted log begins with. A shard's start comes last.
   * A copy of another log's shard would grow old beside the original, and hide that the original was lost.
   */
  *records(): IterableIterator<LogRecord> {
    for (const [shard, image] of this.#shards) {
      if (image.elsewhere) continue;
      yield* image.marks.values();
      yield* image.ranges.values();
      yield* image.perror.values();
      yield* image.held.values();
      if (image.term > 0) yield { type: "start", shard, shardTerm: image.term };
    }
  }

  #imageOf(shard: number): ShardImage {
    let image = this.#shards.get(shard);
    if (image === undefined) {
      image = {
        term: 0,
        elsewhere: false,
        marks: new Map(),
        ranges: new Map(),
        perror: new Map(),
        held: new Map(),
      };
      this.#shards.set(shard, image);
    }
    return image;
  }
}

/** A start voids what was logged under older terms. */
function forget(image: ShardImage): void {
  for (const records of [image.marks, image.ranges, image.perror, image.held]) {
    for (const [key, record] of records) if (record.shardTerm < image.term) records.delete(key as never);
  }
}
