/**
 * Reads what msgpackr packed on another thread of this process (codec.ts says what that may be).
 *
 * Why not msgpackr's own reader: its native part decodes up to 6,000 bytes of strings at once and hands out
 * slices, so that one kept key kept 5.8 KB alive (measured); its JavaScript part is half as fast as this
 * one; a record id that it does not know, it reads as a number. Here every string and every byte array owns
 * its memory, an unknown id is an error, and `__proto__` is a key like any other. State: the bytes being
 * read, the record shapes of this message, and a bounded memory of keys. Not for bytes from outside the
 * process: see validate.ts.
 */

import { codecLimits } from "../base/limits.ts";
import { readBigint, readError, readTypedArray } from "./extensions.ts";
import { KeyCache } from "./key_cache.ts";

/** The keys of a record, in the order of its values. */
interface Shape {
  readonly keys: readonly string[];
  /** False if a key needs care: it would set a prototype. */
  readonly plain: boolean;
}

const emptyBytes = Buffer.alloc(0);

export class MessageReader {
  #bytes: Buffer = emptyBytes;
  #view: DataView<ArrayBufferLike> = new DataView(emptyBytes.buffer);
  #offset = 0;
  #depth = 0;
  readonly #shapes: (Shape | undefined)[] = new Array(64).fill(undefined);
  readonly #keys = new KeyCache();

  /** Starts on a new message: record shapes of the one before are forgotten. */
  begin(bytes: Uint8Array, offset = 0): void {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#offset = offset;
    this.#depth = 0;
    this.#shapes.fill(undefined);
  }

  /** Throws unless everything was read. Lets go of the bytes. */
  end(): void {
    const { length } = this.#bytes;
    const offset = this.#offset;
    this.#bytes = emptyBytes;
    if (offset !== length) throw new RangeError(`read ${offset} of ${length} bytes`);
  }

  /** Reads an array's header: its values follow. */
  arrayLength(): number {
    const token = this.#byte();
    if (token >= 0x90 && token < 0xa0) return token - 0x90;
    if (token === 0xdc) return this.#uint16();
    if (token === 0xdd) return this.#uint32();
    throw new TypeError(`token ${token} at ${this.#offset - 1} begins no array`);
  }

  number(): number {
    const value = this.value();
    if (typeof value !== "number") throw new TypeError(`no number at ${this.#offset}`);
    return value;
  }

  string(): string {
    const value = this.value();
    if (typeof value !== "string") throw new TypeError(`no string at ${this.#offset}`);
    return value;
  }

  value(): unknown {
    const token = this.#byte();
    if (token < 0x40) return token;
    if (token < 0x80) return this.#record(token);
    if (token < 0x90) return this.#map(token - 0x80);
    if (token < 0xa0) return this.#array(token - 0x90);
    if (token < 0xc0) return this.#string(token - 0xa0);
    if (token >= 0xe0) return token - 0x100;
    return token < 0xca || (token >= 0xd4 && token < 0xd9) ? this.#special(token) : this.#sized(token);
  }

  /** Numbers, and lengths of one, two or four bytes. */
  #sized(token: number): unknown {
    switch (token) {
      case 0xca:
        return this.#view.getFloat32(this.#advance(4));
      case 0xcb:
        return this.#view.getFloat64(this.#advance(8));
      case 0xcc:
        return this.#byte();
      case 0xcd:
        return this.#uint16();
      case 0xce:
        return this.#uint32();
      case 0xcf:
        return this.#view.getBigUint64(this.#advance(8));
      case 0xd0:
        return this.#view.getInt8(this.#advance(1));
      case 0xd1:
        return this.#view.getInt16(this.#advance(2));
      case 0xd2:
        return this.#view.getInt32(this.#advance(4));
      case 0xd3:
        return this.#view.getBigInt64(this.#advance(8));
      case 0xd9:
        return this.#string(this.#byte());
      case 0xda:
        return this.#string(this.#uint16());
      case 0xdb:
        return this.#string(this.#uint32());
      case 0xdc:
        return this.#array(this.#uint16());
      case 0xdd:
        return this.#array(this.#uint32());
      case 0xde:
        return this.#map(this.#uint16());
      default:
        return this.#map(this.#uint32());
    }
  }

  /** nil, booleans, bytes and extensions. */
  #special(token: number): unknown {
    switch (token) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc4:
        return this.#take(this.#byte());
      case 0xc5:
        return this.#take(this.#uint16());
      case 0xc6:
        return this.#take(this.#uint32());
      case 0xc7:
        return this.#extension(this.#byte());
      case 0xc8:
        return this.#extension(this.#uint16());
      case 0xc9:
        return this.#extension(this.#uint32());
      case 0xd4:
        return this.#tagged();
      case 0xd5:
        return this.#extension(2);
      case 0xd6:
        return this.#extension(4);
      case 0xd7:
        return this.#extension(8);
      case 0xd8:
        return this.#extension(16);
      default:
        throw new TypeError(`unknown token ${token} at ${this.#offset - 1}`);
    }
  }

  /** One byte that says what follows: msgpackr's mark for records, undefined, sets, errors, expressions. */
  #tagged(): unknown {
    const type = this.#byte();
    const data = this.#byte();
    switch (type) {
      case 0x72: // "r": a record's keys, and its first values
        this.#shapes[data & 0x3f] = this.#shape();
        return this.#record(data);
      case 0x00:
        return undefined;
      case 0x73: // "s"
        return new Set(this.value() as unknown[]);
      case 0x65: // "e"
        return readError(this.value());
      case 0x78: {
        // "x"
        const [source, flags] = this.value() as [string, string];
        return new RegExp(source, flags);
      }
      case 0xff:
        return new Date(Number.NaN);
      default:
        throw new TypeError(`unknown extension ${type} at ${this.#offset - 2}`);
    }
  }

  #extension(length: number): unknown {
    const type = this.#byte();
    const start = this.#advance(length);
    switch (type) {
      case 0x74: // "t"
        return readTypedArray(this.#bytes[start] ?? 0, this.#copy(start + 1, start + length));
      case 0x42: // "B"
        return readBigint(this.#bytes.subarray(start, start + length));
      case 0xff:
        return this.#date(start, length);
      default:
        throw new TypeError(`unknown extension ${type} at ${start - 1}`);
    }
  }

  /** The timestamp extension of the MessagePack specification; to the millisecond, as a Date is. */
  #date(start: number, length: number): Date {
    const view = this.#view;
    if (length === 4) return new Date(view.getUint32(start) * 1_000);
    if (length === 8) {
      const high = view.getUint32(start);
      const seconds = (high & 0x3) * 0x1_0000_0000 + view.getUint32(start + 4);
      return new Date(seconds * 1_000 + Math.round((high >>> 2) / 1_000_000));
    }
    const nanoseconds = view.getUint32(start);
    return new Date(Number(view.getBigInt64(start + 4)) * 1_000 + Math.round(nanoseconds / 1_000_000));
  }

  #shape(): Shape {
    const keys: string[] = [];
    for (let left = this.arrayLength(); left > 0; left--) keys.push(this.#key());
    return { keys, plain: !keys.includes("__proto__") };
  }

  #key(): string {
    const token = this.#bytes[this.#offset] ?? 0;
    if (token < 0xa0 || token >= 0xc0) return this.string();
    const start = this.#offset + 1;
    const end = start + token - 0xa0;
    const key = end > this.#bytes.length ? undefined : this.#keys.read(this.#bytes, start, end);
    if (key === undefined) return this.string();
    this.#offset = end;
    return key;
  }

  #record(token: number): Record<string, unknown> {
    const shape = this.#shapes[token & 0x3f];
    if (shape === undefined) throw new TypeError(`record ${token} at ${this.#offset - 1} was never defined`);
    this.#enter();
    const record: Record<string, unknown> = {};
    const { keys } = shape;
    if (shape.plain) {
      for (let index = 0; index < keys.length; index++) record[keys[index] as string] = this.value();
    } else {
      for (const key of keys) define(record, key, this.value());
    }
    this.#depth--;
    return record;
  }

  #array(length: number): unknown[] {
    this.#enter();
    const array: unknown[] = [];
    for (let index = 0; index < length; index++) array.push(this.value());
    this.#depth--;
    return array;
  }

  #map(size: number): Map<unknown, unknown> {
    this.#enter();
    const map = new Map<unknown, unknown>();
    for (let left = size; left > 0; left--) map.set(this.value(), this.value());
    this.#depth--;
    return map;
  }

  #enter(): void {
    if (++this.#depth > codecLimits.depthMax)
      throw new RangeError(`nested deeper than ${codecLimits.depthMax}`);
  }

  #string(length: number): string {
    const start = this.#advance(length);
    if (length > 8) return this.#bytes.toString("utf8", start, start + length);
    const bytes = this.#bytes;
    let text = "";
    for (let index = start; index < start + length; index++) {
      const byte = bytes[index] as number;
      if (byte >= 0x80) return bytes.toString("utf8", start, start + length);
      text += String.fromCharCode(byte);
    }
    return text;
  }

  #take(length: number): Uint8Array {
    const start = this.#advance(length);
    return new Uint8Array(this.#copy(start, start + length));
  }

  #copy(start: number, end: number): ArrayBuffer {
    const { buffer, byteOffset } = this.#bytes;
    return buffer.slice(byteOffset + start, byteOffset + end) as ArrayBuffer;
  }

  #byte(): number {
    return this.#bytes[this.#advance(1)] as number;
  }

  #uint16(): number {
    return this.#view.getUint16(this.#advance(2));
  }

  #uint32(): number {
    return this.#view.getUint32(this.#advance(4));
  }

  /** Steps over `length` bytes; returns where they start. */
  #advance(length: number): number {
    const start = this.#offset;
    const end = start + length;
    if (end > this.#bytes.length)
      throw new RangeError(`message ends at ${this.#bytes.length}, inside a value`);
    this.#offset = end;
    return start;
  }
}

/** Sets an own property whatever its name: assigning to `__proto__` would change what the object inherits. */
export function define(record: Record<string, unknown>, key: string, value: unknown): void {
  Object.defineProperty(record, key, { value, writable: true, enumerable: true, configurable: true });
}
