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

/** The log that records come from. */
export interface LogSource {
  /** It is the one that this image is compacted into. */
  readonly own: boolean;
  /** Places, so far, at which something was written that can't be read any more. */
  gaps: number;
}

interface ShardImage {
  term: number;
  /** Where that term's start was read: this log holds the shard's account. */
  source: LogSource;
  /** Gaps of the source before that account: what they took is void. Those behind may have taken marks. */
  gapsBefore: number;
  /** The account that was begun last. */
  begun: { readonly term: number; readonly source: LogSource; readonly gaps: number } | undefined;
  readonly marks: Map<RowKey, RecordOf<"mark">>;
  readonly ranges: Map<string, RecordOf<"range">>;
  readonly perror: Map<RowKey, RecordOf<"perror">>;
  readonly held: Map<RowKey, RecordOf<"held">>;
}

export class LogImage {
  /** The log that this image is compacted into. */
  readonly own: LogSource = { own: true, gaps: 0 };
  readonly #shards = new Map<number, ShardImage>();

  apply(record: LogRecord, source: LogSource = this.own): void {
    const image = this.#imageOf(record.shard);
    const { shardTerm } = record;
    if (shardTerm < image.term) return;
    switch (record.type) {
      case "account":
        if (image.begun?.term !== shardTerm || image.begun.source !== source)
          image.begun = { term: shardTerm, source, gaps: source.gaps };
        return;
      case "start":
        applyStart(image, shardTerm, source);
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

  /** Shards whose marks may be missing in part: something behind their accounts can't be read. */
  suspects(): number[] {
    return [...this.#shards]
      .filter(([, image]) => image.term > 0 && isSuspect(image))
      .map(([shard]) => shard);
  }

  /** What is known. A shard that is suspect has no term: as if its log was lost. */
  recover(shard: number): RecoveredShard {
    const image = this.#imageOf(shard);
    return {
      shardTerm: isSuspect(image) ? 0 : image.term,
      marks: [...image.marks.values()].map(({ key, version, owner }) => ({ key, version, owner })),
      ranges: [...image.ranges.values()].map(({ range }) => range),
      perror: [...image.perror.values()],
      held: [...image.held.values()].map(({ key, decision }) => ({ key, decision })),
    };
  }

  /** A copy of a shard's whole account, from its mirror: it takes the place of what is known. */
  replace(shard: number, { shardTerm, marks, ranges, perror, held }: RecoveredShard): void {
    this.#shards.delete(shard);
    const of = { shard, shardTerm };
    this.apply({ type: "account", ...of });
    for (const mark of marks) this.apply({ type: "mark", ...of, ...mark });
    for (const range of ranges) this.apply({ type: "range", ...of, range });
    for (const entry of perror) this.apply({ ...entry, ...of });
    for (const hold of held) this.apply({ type: "held", ...of, ...hold });
    this.apply({ type: "start", ...of });
  }

  /** Adds what a mirror has of the same account and this log has lost. Returns how much it was. */
  complete(shard: number, { shardTerm, marks, ranges, perror, held }: RecoveredShard): number {
    const image = this.#imageOf(shard);
    const of = { shard, shardTerm };
    const missing: LogRecord[] = [
      ...marks
        .filter(({ key }) => !image.marks.has(key))
        .map((mark) => ({ type: "mark", ...of, ...mark }) as const),
      ...ranges
        .filter(({ id }) => !image.ranges.has(id))
        .map((range) => ({ type: "range", ...of, range }) as const),
      ...perror.filter(({ key }) => !image.perror.has(key)).map((entry) => ({ ...entry, ...of })),
      ...held
        .filter(({ key }) => !image.held.has(key))
        .map((hold) => ({ type: "held", ...of, ...hold }) as const),
    ];
    for (const record of missing) this.apply(record);
    return missing.length;
  }

  /**
   * Everything that is live and this log's, as records: what a compacted log begins with. A shard's start comes last,
   * and not at all for a suspect one: then the compacted log does not know its term either.
   * A copy of another log's shard would grow old beside the original, and hide that the original was lost; but what is
   * newer than that account was written here.
   */
  *records(): IterableIterator<LogRecord> {
    for (const [shard, image] of this.#shards) {
      if (!image.source.own) {
        for (const record of live(image)) if (record.shardTerm > image.term) yield record;
        continue;
      }
      const started = image.term > 0 && !isSuspect(image);
      const of = { shard, shardTerm: image.term };
      if (started) yield { type: "account", ...of };
      yield* live(image);
      if (started) yield { type: "start", ...of };
    }
  }

  #imageOf(shard: number): ShardImage {
    let image = this.#shards.get(shard);
    if (image === undefined) {
      image = {
        term: 0,
        source: this.own,
        gapsBefore: 0,
        begun: undefined,
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

function* live({ marks, ranges, perror, held }: ShardImage): IterableIterator<LogRecord> {
  yield* marks.values();
  yield* ranges.values();
  yield* perror.values();
  yield* held.values();
}

function applyStart(image: ShardImage, shardTerm: number, source: LogSource): void {
  // The same start in two logs: the own one's account is compacted.
  const moved = shardTerm > image.term || source.own;
  if (moved) {
    const { begun } = image;
    const known = begun?.term === shardTerm && begun.source === source;
    image.source = source;
    image.gapsBefore = known ? begun.gaps : 0;
  }
  image.begun = undefined;
  image.term = shardTerm;
  forget(image);
}

function isSuspect({ source, gapsBefore }: ShardImage): boolean {
  return source.gaps > gapsBefore;
}

/** A start voids what was logged under older terms. */
function forget(image: ShardImage): void {
  for (const records of [image.marks, image.ranges, image.perror, image.held]) {
    for (const [key, record] of records) if (record.shardTerm < image.term) records.delete(key as never);
  }
}
