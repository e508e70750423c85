/**
 * Reads what ColumnWriter wrote on another thread of this process. Every string and every byte array that it hands
 * out owns its memory: one kept key does not keep its batch alive. State: the batch being read, its shapes, and a
 * bounded memory of shapes. Not for bytes from outside the process: see validate.ts.
 */

import { codecLimits } from "../base/limits.ts";
import { type Columns, headerNumbers, tags } from "./columns.ts";
import { define, MessageReader } from "./reader.ts";

type Plain = Record<string, unknown>;

const noNumbers = new Float64Array(0);
const noBytes = new Uint8Array(0);

/** V8 copies shorter pieces of a string anyway. */
const sliceLengthMin = 13;

export class ColumnReader {
  /** The memory of the batch, as numbers and as bytes: made anew when another memory comes. */
  #numbers: Float64Array = noNumbers;
  #bytes: Uint8Array = noBytes;
  #numberAt = 0;
  #numberEnd = 0;
  #tagAt = 0;
  #tagEnd = 0;
  #byteAt = 0;
  #byteEnd = 0;
  #text = "";
  #textAt = 0;
  /** The keys of each shape of this batch. */
  readonly #shapes: (readonly string[])[] = [];
  readonly #known = new Map<string, readonly string[]>();
  readonly #reader = new MessageReader();

  /** Starts on a new batch. */
  begin({ bytes, length, text }: Columns): void {
    if (bytes !== this.#bytes) {
      this.#bytes = bytes;
      this.#numbers = new Float64Array(bytes.buffer, 0, bytes.length >> 3);
    }
    const [numbers = 0, tags = 0, byteCount = 0] = this.#numbers;
    this.#numberAt = headerNumbers;
    this.#numberEnd = numbers;
    this.#tagAt = numbers * 8;
    this.#tagEnd = this.#tagAt + tags;
    this.#byteAt = this.#tagEnd;
    this.#byteEnd = this.#tagEnd + byteCount;
    this.#text = text;
    this.#textAt = 0;
    this.#shapes.length = 0;
    if (this.#byteEnd !== length) throw new RangeError("a batch is not as long as it says");
  }

  get atEnd(): boolean {
    return this.#numberAt === this.#numberEnd;
  }

  /** Throws unless everything was read. Lets go of the batch, but for memory that may be used again. */
  end(): void {
    const isWhole =
      this.#numberAt === this.#numberEnd &&
      this.#tagAt === this.#tagEnd &&
      this.#byteAt === this.#byteEnd &&
      this.#textAt === this.#text.length;
    if (this.#bytes.length > codecLimits.scratchBytesMax) {
      this.#numbers = noNumbers;
      this.#bytes = noBytes;
    }
    this.#text = "";
    if (!isWhole) throw new RangeError("a batch was not read to its end");
  }

  number(): number {
    if (this.#numberAt >= this.#numberEnd) throw new RangeError("a batch ends inside a value");
    return this.#numbers[this.#numberAt++] as number;
  }

  string(): string {
    const length = this.number();
    const piece = this.#piece(length);
    if (length < sliceLengthMin || length * 2 >= this.#text.length) return piece;
    // A piece of another string than the batch's: one byte longer than itself.
    return ` ${piece}`.slice(1);
  }

  value(): unknown {
    const tag = this.#tagAt < this.#tagEnd ? (this.#bytes[this.#tagAt++] ?? -1) : -1;
    switch (tag) {
      case tags.string:
        return this.string();
      case tags.number:
        return this.number();
      case tags.object:
        return this.#object(this.#shapes[this.number()]);
      case tags.newShape: {
        const keys = this.#shape();
        this.#shapes.push(keys);
        return this.#object(keys);
      }
      case tags.array:
        return this.#array(this.number());
      case tags.undefined:
        return undefined;
      case tags.null:
        return null;
      case tags.false:
        return false;
      case tags.true:
        return true;
      case tags.dictionary:
        return this.#dictionary(this.number());
      case tags.bytes:
        return this.#raw(this.number()).slice();
      case tags.packed:
        return this.#packed(this.#raw(this.number()));
      default:
        throw new RangeError(`a batch ends inside a value, or tag ${tag} is unknown`);
    }
  }

  #object(keys: readonly string[] | undefined): Plain {
    if (keys === undefined) throw new RangeError("the shape of an object was never defined");
    const object: Plain = {};
    for (let i = 0; i < keys.length; i++) object[keys[i] as string] = this.value();
    return object;
  }

  #dictionary(count: number): Plain {
    const object: Plain = {};
    for (let left = count; left > 0; left--) {
      const key = this.string();
      const value = this.value();
      if (key !== "__proto__") object[key] = value;
      else define(object, key, value);
    }
    return object;
  }

  #array(length: number): unknown[] {
    const array: unknown[] = [];
    for (let left = length; left > 0; left--) array.push(this.value());
    return array;
  }

  #packed(bytes: Uint8Array): unknown {
    this.#reader.begin(bytes);
    const value = this.#reader.value();
    this.#reader.end();
    return value;
  }

  #shape(): readonly string[] {
    const definition = this.#piece(this.number());
    const known = this.#known.get(definition);
    if (known !== undefined) return known;
    const keys: readonly string[] = JSON.parse(definition);
    if (this.#known.size === codecLimits.shapesKnownMax) this.#known.clear();
    // Not by the definition itself: that is a part of the batch's text.
    this.#known.set(JSON.stringify(keys), keys);
    return keys;
  }

  /** May be a part of the batch's text. */
  #piece(length: number): string {
    const start = this.#textAt;
    const end = start + length;
    if (end > this.#text.length) throw new RangeError("a batch ends inside a string");
    this.#textAt = end;
    return this.#text.slice(start, end);
  }

  #raw(length: number): Uint8Array {
    const start = this.#byteAt;
    this.#byteAt = start + length;
    if (this.#byteAt > this.#byteEnd) throw new RangeError("a batch ends inside bytes");
    return this.#bytes.subarray(start, this.#byteAt);
  }
}
