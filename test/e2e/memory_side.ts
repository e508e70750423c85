/**
 * One shard's rows of one site, in memory: what the fake system writes, and the driver loads into and
 * reads.
 */

import { compareKeys, type Row, type RowKey } from "../../actors/records.ts";
import type { ScanRange } from "../../actors/store_messages.ts";
import type { StoreReader } from "../../actors/stores/lmdb.ts";

export class MemorySide implements StoreReader {
  readonly #rows = new Map<RowKey, Row>();
  #order: RowKey[] | undefined;

  put(row: Row): void {
    if (!this.#rows.has(row.key)) this.#order = undefined;
    this.#rows.set(row.key, row);
  }

  get(key: RowKey): Row | undefined {
    return this.#rows.get(key);
  }

  getSync(keys: readonly RowKey[]): (Row | undefined)[] {
    return keys.map((key) => this.#rows.get(key));
  }

  scanSync(range: ScanRange, limit: number): Row[] {
    this.#order ??= [...this.#rows.keys()].sort(compareKeys);
    let low = 0;
    let high = this.#order.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compareKeys(this.#order[middle] ?? "", range.from) < 0) low = middle + 1;
      else high = middle;
    }
    const rows: Row[] = [];
    for (let at = low; at < this.#order.length && rows.length < limit; at++) {
      const row = this.#rows.get(this.#order[at] ?? "");
      if (row === undefined || (range.to !== "" && compareKeys(row.key, range.to) >= 0)) break;
      rows.push(row);
    }
    return rows;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
