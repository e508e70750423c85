/**
 * The bytes that an operation writes into a row, derived from (seed, row, operation): the model keeps a
 * number instead of bytes, and two operations never write the same bytes. A value begins with its row and
 * operation (u32 each), so that what a store holds names its origin.
 */

import { protocolLimits } from "../protocol.ts";
import { mix, unit } from "./chance.ts";
import type { Backend, RowNumber } from "./population.ts";

const headBytes = 8;
const deviceBytes = 40;
const smallBytes = 32;

/**
 * A bounded Pareto distribution of pictures: its mean is 1,031 bytes, its maximum what the protocol allows.
 */
const picture = { min: 256, max: protocolLimits.valueBytesMax, exponent: 1.2 } as const;
const pictureTail = 1 - (picture.min / picture.max) ** picture.exponent;

/** Which operation wrote which row, as a value's first bytes say. */
export interface Origin {
  readonly row: RowNumber;
  readonly operation: number;
}

export class Values {
  readonly #seed: number;
  /** Scratch for comparisons: no allocation for each row of an audit. */
  readonly #expected = Buffer.alloc(picture.max);

  constructor(seed: number) {
    this.#seed = seed;
  }

  /** Length in bytes of what `operation` writes into a row of `backend`. */
  length(backend: Backend, row: RowNumber, operation: number): number {
    switch (backend) {
      case "device_platform":
        return deviceBytes;
      case "profile_picture": {
        const u = unit(mix(this.#seed, row, operation ^ 0x5bd1e995));
        return Math.floor(picture.min * (1 - u * pictureTail) ** (-1 / picture.exponent));
      }
      case "blocklist":
      case "groups":
      case "public_keys":
        return smallBytes;
    }
  }

  /** The value, in a buffer of its own. */
  make(backend: Backend, row: RowNumber, operation: number): Buffer {
    const value = Buffer.allocUnsafe(this.length(backend, row, operation));
    this.#fill(value, row, operation);
    return value;
  }

  /** Whether `value` is, byte for byte, what `operation` wrote into the row. */
  matches(value: Uint8Array, backend: Backend, row: RowNumber, operation: number): boolean {
    if (value.length !== this.length(backend, row, operation)) return false;
    const expected = this.#expected.subarray(0, value.length);
    this.#fill(expected, row, operation);
    return expected.equals(value);
  }

  /** What a value says of its origin; undefined if it is too short to say anything. */
  origin(value: Uint8Array): Origin | undefined {
    if (value.length < headBytes) return undefined;
    const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
    return { row: view.getUint32(0), operation: view.getUint32(4) };
  }

  /** The head, then a xorshift32 stream of the three numbers' hash. */
  #fill(value: Buffer, row: RowNumber, operation: number): void {
    value.writeUInt32BE(row, 0);
    value.writeUInt32BE(operation, 4);
    let state = mix(this.#seed, row, operation) | 1;
    let at = headBytes;
    for (; at + 4 <= value.length; at += 4) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      value[at] = state;
      value[at + 1] = state >>> 8;
      value[at + 2] = state >>> 16;
      value[at + 3] = state >>> 24;
    }
    for (; at < value.length; at++) value[at] = state >>> (8 * (at & 3));
  }
}
