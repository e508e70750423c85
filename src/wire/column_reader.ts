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
  #numbers: Float64Array = noNumbers;
  #numberAt = 0;
  #tags: Uint8Array = noBytes;
  #tagAt = 0;
  #bytes: Uint8Array = noBytes;
  #byteAt = 0;
  #text = "";
  #textAt = 0;
  /** The keys of each shape of this batch. */
  #shapes: (readonly string[])[] = [];
  readonly #known = new Map<string, readonly string[]>();
  readonly #reader = new MessageReader();

  /** Starts on a new batch. */
  begin({ buffer, text }: Columns): void {
    const header = new Float64Array(buffer, 0, headerNumbers);
    const [, numbers = 0, tagCount = 0] = header;
    this.#numbers = new Float64Array(buffer, 0, numbers);
    this.#numberAt = headerNumbers;
    this.#tags = new Uint8Array(buffer, numbers * 8, tagCount);
    this.#tagAt = 0;
    this.#bytes = new Uint8Array(buffer, numbers * 8 + tagCount);
    this.#byteAt = 0;
    this.#text = text;
    this.#textAt = 0;
    this.#shapes = [];
  }

  get atEnd(): boolean {
    return this.#numberAt === this.#numbers.length;
  }

  /** Throws unless everything was read. Lets go of the batch. */
  end(): void {
    const isWhole =
      this.#numberAt === this.#numbers.length &&
      this.#tagAt === this.#tags.length &&
      this.#byteAt === this.#bytes.length &&
      this.#textAt === this.#text.length;
    this.#numbers = noNumbers;
    this.#tags = noBytes;
    this.#bytes = noBytes;
    this.#text = "";
    if (!isWhole) throw new RangeError("a batch was not read to its end");
  }

  number(): number {
    if (this.#numberAt >= this.#numbers.length) throw new RangeError("a batch ends inside a value");
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
    const tag = this.#tags[this.#tagAt++] ?? -1;
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
    return this.#bytes.subarray(start, this.#byteAt);
  }
}
