/**
 * Reads one stretch of a key range from both sides at once: what db_crawler and db_compare walk over.
 *
 * Always true: of a source that others write, nothing is answered before its feed has passed a watermark written after
 * the read. Whatever was changed before or between has its mark by then, so a crawl leaves it to that mark, a cursor
 * passes no change that is still in the feed, and a gap is noticed before a range is done.
 */

import type { Ref, Self } from "../src/index.ts";
import { mergeRows, type Pair } from "./compare.ts";
import { db_feed } from "./db_feed.ts";
import { db_store } from "./db_store.ts";
import { compareKeys, type Row, type RowKey } from "./records.ts";
import { type ShardOptions, shardProcess } from "./shard_options.ts";
import type { EncodedRow, ScanRange } from "./store_messages.ts";
import { decodeRow } from "./stores/row_codec.ts";

/** Both sides' rows up to the same key, as their stores have them. */
export interface Rows {
  readonly local: readonly EncodedRow[];
  readonly peer: readonly EncodedRow[];
  readonly next: RowKey | undefined;
}

export interface Stretch {
  readonly pairs: readonly Pair[];
  /** Where the next stretch begins; undefined: this was the last. */
  readonly next: RowKey | undefined;
}

export class RangeReader {
  readonly #local: Ref<typeof db_store>;
  readonly #peer: Ref<typeof db_store>;
  readonly #timeoutMs: number;
  readonly #feed: Ref<typeof db_feed> | undefined;

  constructor(self: Self, options: ShardOptions) {
    this.#local = self.ref(db_store, shardProcess(options.site, options.shard, "db_store"));
    this.#peer = self.ref(db_store, options.peer);
    this.#timeoutMs = options.tuning.peerTimeoutMs;
    const feed = shardProcess(options.site, options.shard, "db_feed");
    this.#feed = options.followed === true ? self.ref(db_feed, feed) : undefined;
  }

  /** At most `limit` rows of each side. Errors: those of the peer's store, and of the feed. */
  async read(range: ScanRange, limit: number): Promise<Stretch> {
    const { local, peer, next } = await this.rows(range, limit);
    const rowOf = ({ key, value }: EncodedRow): Row => decodeRow(key, value);
    return { pairs: mergeRows(local.map(rowOf), peer.map(rowOf)), next };
  }

  /** The same, neither read nor merged. */
  async rows(range: ScanRange, limit: number): Promise<Rows> {
    const [local, peer] = await Promise.all([
      this.#local.call.peekEncoded({ range, limit }),
      this.#peer.call.peekEncoded({ range, limit }, { timeoutMs: this.#timeoutMs }),
    ]);
    if (this.#feed !== undefined) await this.#feed.call.passed();
    const bound = lower(lastIfCut(local, limit), lastIfCut(peer, limit));
    if (bound === undefined) return { local, peer, next: undefined };
    return { local: upTo(local, bound), peer: upTo(peer, bound), next: `${bound}\u0000` };
  }

  /** Both sides' rows of these keys, now. */
  async get(keys: readonly RowKey[]): Promise<Pair[]> {
    const [local, peer] = await Promise.all([
      this.#local.call.get(keys),
      this.#peer.call.get(keys, { timeoutMs: this.#timeoutMs }),
    ]);
    if (this.#feed !== undefined) await this.#feed.call.passed();
    return keys.map((key, i) => ({ key, local: local[i], peer: peer[i] }));
  }
}

/** The last key of a side that may have more rows: beyond it that side is not known yet. */
function lastIfCut(rows: readonly EncodedRow[], limit: number): RowKey | undefined {
  return rows.length < limit ? undefined : rows.at(-1)?.key;
}

function upTo(rows: readonly EncodedRow[], bound: RowKey): readonly EncodedRow[] {
  const last = rows.at(-1);
  if (last === undefined || last.key === bound) return rows;
  return rows.filter(({ key }) => compareKeys(key, bound) <= 0);
}

function lower(a: RowKey | undefined, b: RowKey | undefined): RowKey | undefined {
  if (a === undefined) return b;
  if (b === undefined) return a;
  return compareKeys(a, b) <= 0 ? a : b;
}
