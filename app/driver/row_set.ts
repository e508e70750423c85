/** A set of row numbers, one bit a row. */

import type { RowNumber } from "./population.ts";

export class RowSet {
  #bits: Uint8Array;
  #size = 0;

  /** `rows` is where room begins; a larger row makes more. */
  constructor(rows: number) {
    this.#bits = new Uint8Array(Math.ceil(rows / 8));
  }

  get size(): number {
    return this.#size;
  }

  has(row: RowNumber): boolean {
    return ((this.#bits[row >>> 3] ?? 0) & (1 << (row & 7))) !== 0;
  }

  add(row: RowNumber): void {
    if (this.has(row)) return;
    const byte = row >>> 3;
    if (byte >= this.#bits.length) {
      const more = new Uint8Array(Math.max(byte + 1, this.#bits.length * 2));
      more.set(this.#bits);
      this.#bits = more;
    }
    this.#bits[byte] = (this.#bits[byte] ?? 0) | (1 << (row & 7));
    this.#size++;
  }
}
