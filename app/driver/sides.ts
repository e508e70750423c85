/**
 * Both sides' stores as the driver reads them: through read transactions of its own, past the system under
 * test. All reads are synchronous, so that what the two sides show can be held against the model within one
 * turn.
 */

import { compareKeys, type Row, type RowKey, type Site, shardOf, splitRowKey } from "../../actors/records.ts";
import type { ScanRange } from "../../actors/store_messages.ts";
import type { StoreReader } from "../../actors/stores/lmdb.ts";
import { assert } from "../../src/index.ts";
import { sites } from "../layout.ts";

/** Opens the reader of a site's shard: every call of it sees what was committed before. */
export type OpenReader = (site: Site, shard: number) => StoreReader;

/** A key and what lies under it, by the order of `sites`. */
export interface Pair {
  readonly key: RowKey;
  readonly rows: readonly [Row | undefined, Row | undefined];
}

export interface Page {
  readonly pairs: readonly Pair[];
  /** Where the next page begins; undefined at the shard's end. */
  readonly next: RowKey | undefined;
}

export class Sides {
  readonly shards: number;
  readonly #readers: readonly [readonly StoreReader[], readonly StoreReader[]];

  constructor(shards: number, open: OpenReader) {
    this.shards = shards;
    const all = Array.from({ length: shards }, (_, shard) => shard);
    const [local, remote] = sites;
    this.#readers = [all.map((shard) => open(local, shard)), all.map((shard) => open(remote, shard))];
  }

  /** What both sides hold under these keys, in the keys' order. */
  get(keys: readonly RowKey[]): Pair[] {
    const byShard = new Map<number, number[]>();
    for (const [index, key] of keys.entries()) {
      const parts = splitRowKey(key);
      const shard = shardOf(parts.backend, parts.key, this.shards);
      const indexes = byShard.get(shard);
      if (indexes === undefined) byShard.set(shard, [index]);
      else indexes.push(index);
    }
    const pairs: Pair[] = [];
    for (const [shard, indexes] of byShard) {
      const wanted = indexes.map((index) => keys[index] ?? "");
      const [local, remote] = [
        this.#reader(0, shard).getSync(wanted),
        this.#reader(1, shard).getSync(wanted),
      ];
      for (const [at, index] of indexes.entries()) {
        pairs[index] = { key: wanted[at] ?? "", rows: [local[at], remote[at]] };
      }
    }
    return pairs;
  }

  /** The rows of a shard from a key on, both sides merged in key order; `limit` rows of each at most. */
  page(shard: number, from: RowKey, limit: number): Page {
    const range: ScanRange = { from, to: "" };
    const local = this.#reader(0, shard).scanSync(range, limit);
    const remote = this.#reader(1, shard).scanSync(range, limit);
    const end = lastCommonKey(local, remote, limit);
    return { pairs: merge(local, remote, end), next: end === undefined ? undefined : `${end}\u0000` };
  }

  async close(): Promise<void> {
    await Promise.all(this.#readers.flat().map((reader) => reader.close()));
  }

  #reader(side: 0 | 1, shard: number): StoreReader {
    const reader = this.#readers[side][shard];
    assert(reader !== undefined, "the shard exists");
    return reader;
  }
}

/** The last key up to which both scans are complete; undefined if both reached the end. */
function lastCommonKey(local: readonly Row[], remote: readonly Row[], limit: number): RowKey | undefined {
  const ends = [local, remote].filter((rows) => rows.length === limit).map((rows) => rows.at(-1)?.key ?? "");
  return ends.sort(compareKeys)[0];
}

function merge(local: readonly Row[], remote: readonly Row[], end: RowKey | undefined): Pair[] {
  const pairs: Pair[] = [];
  let [i, j] = [0, 0];
  for (;;) {
    const a = local[i];
    const b = remote[j];
    const order = a === undefined ? 1 : b === undefined ? -1 : compareKeys(a.key, b.key);
    const key = order <= 0 ? a?.key : b?.key;
    if (key === undefined || (end !== undefined && compareKeys(key, end) > 0)) return pairs;
    pairs.push({ key, rows: [order <= 0 ? a : undefined, order >= 0 ? b : undefined] });
    if (order <= 0) i++;
    if (order >= 0) j++;
  }
}

/** Whether a client sees the same on both sides: a tombstone is nothing; an expired row is still a row. */
export function sidesAgree(pair: Pair): boolean {
  const [a, b] = pair.rows;
  const [left, right] = [a?.value ?? null, b?.value ?? null];
  if (left === null || right === null) return left === right;
  return a?.expiresAtMs === b?.expiresAtMs && Buffer.compare(left, right) === 0;
}

/** Whether neither side's row was written between two looks at a key. */
export function stoodStill(before: Pair, after: Pair): boolean {
  return sameVersion(before.rows[0], after.rows[0]) && sameVersion(before.rows[1], after.rows[1]);
}

function sameVersion(a: Row | undefined, b: Row | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.version.every((part, index) => part === b.version[index]);
}
