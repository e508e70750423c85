/**
 * The decoder for bytes from outside the process: MessagePack's plain subset, and nothing else.
 *
 * Refused, as NanoError `wire` with the offset: extension types (and with them msgpackr's records), keys
 * that are no strings, keys twice in one map, `__proto__`, `constructor` and `prototype` as keys, invalid
 * UTF-8, NaN and the infinities, integers that a number can't hold exactly, bytes after the value, and
 * whatever passes a limit. Work and memory are bounded by the input's length and `countMax`: a length is
 * believed only if so many bytes are there.
 */

import { type Options, Packr, RESET_BUFFER_MODE } from "msgpackr";
import { NanoError } from "../base/errors.ts";
import { strictLimits } from "../base/limits.ts";
import { KeyCache } from "./key_cache.ts";
import { assertStrict, refusedKeys, type StrictLimits } from "./strict_value.ts";

export type { StrictLimits } from "./strict_value.ts";

// A leading U+FEFF is part of the string: without ignoreBOM it would vanish.
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const options: Options & { skipValues: unknown[] } = { useRecords: false, skipValues: [undefined] };
const packr = new Packr(options);
const keys = new KeyCache();

/**
 * Packs a value that `decodeStrict` takes back as it was: null, booleans, finite numbers, strings,
 * Uint8Array, arrays and plain objects of such (-0 becomes 0, properties that are undefined are left out).
 * Error: `bad_argument` with `details.path` for anything else, or what the other side would refuse by
 * `limits`.
 */
export function encodeStrict(value: unknown, limits: StrictLimits = strictLimits): Uint8Array<ArrayBuffer> {
  assertStrict(value, limits);
  const bytes = new Uint8Array(packr.pack(value, RESET_BUFFER_MODE));
  if (bytes.length > limits.bytesMax) {
    throw new NanoError("bad_argument", `a message of ${bytes.length} bytes is over ${limits.bytesMax}`);
  }
  return bytes;
}

/** Reads the one value that `bytes` hold; it shares no memory with them. Error: `wire`, `details.offset`. */
export function decodeStrict(bytes: Uint8Array, limits: StrictLimits = strictLimits): unknown {
  if (bytes.length > limits.bytesMax) refuse(0, `${bytes.length} bytes are over ${limits.bytesMax}`);
  const decoder = new StrictDecoder(bytes, limits);
  const value = decoder.value(0);
  if (decoder.offset !== bytes.length) refuse(decoder.offset, "bytes follow the value");
  return value;
}

class StrictDecoder {
  readonly #bytes: Buffer;
  readonly #view: DataView;
  readonly #limits: StrictLimits;
  #count = 0;
  offset = 0;

  constructor(bytes: Uint8Array, limits: StrictLimits) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#limits = limits;
  }

  value(depth: number): unknown {
    const start = this.offset;
    if (++this.#count > this.#limits.countMax) refuse(start, `more than ${this.#limits.countMax} values`);
    const token = this.#bytes[this.#take(1)] as number;
    if (token < 0x80) return token;
    if (token < 0x90) return this.#map(token - 0x80, depth, start);
    if (token < 0xa0) return this.#array(token - 0x90, depth, start);
    if (token < 0xc0) return this.#string(token - 0xa0);
    if (token >= 0xe0) return token - 0x100;
    switch (token) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc4:
      case 0xc5:
      case 0xc6:
        return this.#binary(this.#length(token - 0xc4));
      case 0xd9:
      case 0xda:
      case 0xdb:
        return this.#string(this.#length(token - 0xd9));
      case 0xdc:
      case 0xdd:
        return this.#array(this.#length(token - 0xdb), depth, start);
      case 0xde:
      case 0xdf:
        return this.#map(this.#length(token - 0xdd), depth, start);
      default:
        return this.#number(token, start);
    }
  }

  #number(token: number, start: number): number {
    const view = this.#view;
    switch (token) {
      case 0xca:
        return finite(view.getFloat32(this.#take(4)), start);
      case 0xcb:
        return finite(view.getFloat64(this.#take(8)), start);
      case 0xcc:
      case 0xcd:
      case 0xce:
        return this.#length(token - 0xcc);
      case 0xcf:
        return exact(view.getBigUint64(this.#take(8)), start);
      case 0xd0:
        return view.getInt8(this.#take(1));
      case 0xd1:
        return view.getInt16(this.#take(2));
      case 0xd2:
        return view.getInt32(this.#take(4));
      case 0xd3:
        return exact(view.getBigInt64(this.#take(8)), start);
      default:
        return refuse(start, `type ${token} is not allowed`);
    }
  }

  /** An unsigned number of 1, 2 or 4 bytes: `power` is 0, 1 or 2. */
  #length(power: number): number {
    if (power === 0) return this.#view.getUint8(this.#take(1));
    return power === 1 ? this.#view.getUint16(this.#take(2)) : this.#view.getUint32(this.#take(4));
  }

  #string(length: number): string {
    const start = this.#take(length);
    const { stringBytesMax } = this.#limits;
    if (length > stringBytesMax) refuse(start, `a string of ${length} bytes is over ${stringBytesMax}`);
    const text = this.#bytes.toString("utf8", start, this.offset);
    // Node puts U+FFFD for what is not UTF-8. Only then it matters whether U+FFFD is what was sent.
    if (!text.includes("\uFFFD")) return text;
    try {
      return utf8.decode(this.#bytes.subarray(start, this.offset));
    } catch {
      return refuse(start, "a string is not valid UTF-8");
    }
  }

  #binary(length: number): Uint8Array {
    const start = this.#take(length);
    return new Uint8Array(this.#bytes.subarray(start, start + length));
  }

  #array(length: number, depth: number, start: number): unknown[] {
    this.#enter(length, depth, start);
    const array: unknown[] = [];
    for (let left = length; left > 0; left--) array.push(this.value(depth + 1));
    return array;
  }

  #map(size: number, depth: number, start: number): Record<string, unknown> {
    this.#enter(2 * size, depth, start);
    const record: Record<string, unknown> = {};
    for (let left = size; left > 0; left--) {
      const keyStart = this.offset;
      const key = this.#key();
      if (refusedKeys.has(key)) refuse(keyStart, `the key ${key} is not allowed`);
      if (Object.hasOwn(record, key)) refuse(keyStart, "a key occurs twice");
      record[key] = this.value(depth + 1);
    }
    return record;
  }

  #key(): string {
    const start = this.offset;
    if (++this.#count > this.#limits.countMax) refuse(start, `more than ${this.#limits.countMax} values`);
    const token = this.#bytes[this.#take(1)] as number;
    if (token >= 0xd9 && token <= 0xdb) return this.#string(this.#length(token - 0xd9));
    if (token < 0xa0 || token >= 0xc0) return refuse(start, "a key is not a string");
    const known = keys.read(
      this.#bytes,
      this.offset,
      Math.min(this.#bytes.length, this.offset + token - 0xa0),
    );
    if (known === undefined || known.length !== token - 0xa0) return this.#string(token - 0xa0);
    this.#take(known.length);
    return known;
  }

  /** Each value takes a byte at least: a header can't promise more values than there are bytes. */
  #enter(values: number, depth: number, start: number): void {
    if (depth >= this.#limits.depthMax) refuse(start, `nested deeper than ${this.#limits.depthMax}`);
    if (values > this.#bytes.length - this.offset) refuse(start, "the message ends inside a value");
  }

  #take(length: number): number {
    const start = this.offset;
    if (length > this.#bytes.length - start) refuse(start, "the message ends inside a value");
    this.offset = start + length;
    return start;
  }
}

function finite(value: number, offset: number): number {
  return Number.isFinite(value) ? value : refuse(offset, "a number is not finite");
}

function exact(value: bigint, offset: number): number {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : refuse(offset, "an integer is over 2^53 - 1");
}

function refuse(offset: number, why: string): never {
  throw new NanoError("wire", `offset ${offset}: ${why}`, { offset });
}
