/**
 * Plain data in columns, for another thread of this process: all numbers of a batch in one array, all strings in one
 * string, a byte for each value that says what it is. The engine copies each column at once; byte by byte the same
 * data takes three times as long (bench/thread_calls). What is no plain data is packed by msgpackr (codec.ts).
 *
 * Each batch is complete in itself: the keys of a shape are written where it first occurs. What arrives:
 * - as it was sent: null, undefined, booleans, strings, numbers, plain objects, arrays, Uint8Array, with memory of
 *   their own;
 * - as msgpackr has it: bigint, Map, Set, Date, RegExp, other buffers and views, errors, class instances;
 * - changed: a hole is undefined, a Buffer is a Uint8Array;
 * - never: functions, symbols, cycles: NanoError `bad_argument`.
 */

import { NanoError } from "../base/errors.ts";
import { codecLimits } from "../base/limits.ts";
import { MessagePacker } from "./codec.ts";
import { MessageReader } from "./reader.ts";
import { Shapes } from "./shapes.ts";

/** What crosses. */
export interface Columns {
  /** From the start of its buffer: the numbers, the tags, the bytes. What is behind `length` is nobody's. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly length: number;
  readonly text: string;
}

/** Columns with memory of their own. */
export function ownColumns({ bytes, length, text }: Columns): Columns {
  return { bytes: bytes.slice(0, length), length, text };
}

/** What a value is, in one byte. */
export const tags = {
  undefined: 0,
  null: 1,
  false: 2,
  true: 3,
  /** One number. */
  number: 4,
  /** A number: its length. */
  string: 5,
  /** A number: its length. Its values follow. */
  array: 6,
  /** A number: the place of its shape among those of the batch. Its values follow. */
  object: 7,
  /** A string: the definition of its shape. Its values follow. */
  newShape: 8,
  /** A number: how many pairs of a string and a value follow. */
  dictionary: 9,
  /** A number: how many bytes. */
  bytes: 10,
  /** A number: how many bytes of msgpack. */
  packed: 11,
} as const;

/** How many numbers, how many tags, how many bytes. */
export const headerNumbers = 3;

const firstNumbers = 1_024;
const firstBytes = 1_024;

export class ColumnWriter {
  #numbers = new Float64Array(firstNumbers);
  /** The memory of the numbers, which becomes the batch's. */
  #batch = new Uint8Array(this.#numbers.buffer);
  #numberCount = headerNumbers;
  #tags = new Uint8Array(firstNumbers);
  #tagCount = 0;
  #bytes = new Uint8Array(firstBytes);
  #byteCount = 0;
  #text = "";
  #depth = 0;
  readonly #shapes = new Shapes();
  readonly #packer = new MessagePacker();

  /** Starts on a new batch. */
  begin(): void {
    this.#shrink();
    this.#numberCount = headerNumbers;
    this.#tagCount = 0;
    this.#byteCount = 0;
    this.#text = "";
    this.#depth = 0;
    this.#shapes.begin();
  }

  /** The batch. Its bytes are the writer's, until the next `begin`. */
  end(): Columns {
    const [numbers, tagCount, byteCount] = [this.#numberCount, this.#tagCount, this.#byteCount];
    const start = numbers * 8;
    const length = start + tagCount + byteCount;
    while (this.#numbers.byteLength < length) this.#numbers = grown(this.#numbers, Float64Array);
    const columns = this.#numbers;
    columns[0] = numbers;
    columns[1] = tagCount;
    columns[2] = byteCount;
    if (this.#batch.buffer !== columns.buffer) this.#batch = new Uint8Array(columns.buffer);
    const bytes = this.#batch;
    copy(this.#tags, tagCount, bytes, start);
    copy(this.#bytes, byteCount, bytes, start + tagCount);
    return { bytes, length, text: this.#text };
  }

  /** One large batch does not keep its columns for ever. */
  #shrink(): void {
    const { scratchBytesMax } = codecLimits;
    if (this.#numbers.byteLength > scratchBytesMax) {
      this.#numbers = new Float64Array(firstNumbers);
      this.#batch = new Uint8Array(this.#numbers.buffer);
    }
    if (this.#tags.byteLength > scratchBytesMax) this.#tags = new Uint8Array(firstNumbers);
    if (this.#bytes.byteLength > scratchBytesMax) this.#bytes = new Uint8Array(firstBytes);
  }

  /** A number that the reader expects. */
  number(value: number): void {
    if (this.#numberCount === this.#numbers.length) this.#numbers = grown(this.#numbers, Float64Array);
    this.#numbers[this.#numberCount++] = value;
  }

  /** A string that the reader expects. */
  string(value: string): void {
    this.number(value.length);
    this.#text += value;
  }

  /** Errors: `bad_argument` if something in it can't be sent; the batch is spoilt then. */
  value(value: unknown): void {
    switch (typeof value) {
      case "string":
        this.#tag(tags.string);
        this.string(value);
        return;
      case "number":
        this.#tag(tags.number);
        this.number(value);
        return;
      case "boolean":
        this.#tag(value ? tags.true : tags.false);
        return;
      case "undefined":
        this.#tag(tags.undefined);
        return;
      case "object":
        if (value === null) this.#tag(tags.null);
        else this.#object(value);
        return;
      case "bigint":
        this.#packed(value);
        return;
      case "function":
      case "symbol":
        throw new NanoError("bad_argument", `a ${typeof value} can't be sent to another thread`);
    }
  }

  #object(value: object): void {
    if (++this.#depth > codecLimits.depthMax) {
      const text = `nested deeper than ${codecLimits.depthMax}, or in itself: it can't be sent to another thread`;
      throw new NanoError("bad_argument", text);
    }
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype === Object.prototype || prototype === null) this.#record(value as Record<string, unknown>);
    else if (Array.isArray(value)) this.#array(value);
    else if (prototype === Uint8Array.prototype || Buffer.isBuffer(value)) {
      this.#tag(tags.bytes);
      this.#raw(value as Uint8Array);
    } else this.#packed(value);
    this.#depth--;
  }

  #record(value: Record<string, unknown>): void {
    const shape = this.#shapes.of(value);
    if (shape === undefined) {
      this.#dictionary(value);
      return;
    }
    const place = this.#shapes.place(shape);
    if (place === undefined) {
      this.#tag(tags.newShape);
      this.string(shape.definition);
    } else {
      this.#tag(tags.object);
      this.number(place);
    }
    const { keys } = shape;
    for (let i = 0; i < keys.length; i++) this.value(value[keys[i] as string]);
  }

  #dictionary(value: Record<string, unknown>): void {
    const keys = Object.keys(value);
    this.#tag(tags.dictionary);
    this.number(keys.length);
    for (const key of keys) {
      this.string(key);
      this.value(value[key]);
    }
  }

  #array(value: readonly unknown[]): void {
    this.#tag(tags.array);
    this.number(value.length);
    for (let i = 0; i < value.length; i++) this.value(value[i]);
  }

  #packed(value: unknown): void {
    const bytes = this.#packer.pack(value);
    // Maps in maps can be packed deeper than they can be read: a batch with one would be lost with all others in it.
    if (bytes.length > codecLimits.depthMax) checkReadable(bytes);
    this.#tag(tags.packed);
    this.#raw(bytes);
  }

  #raw(bytes: Uint8Array): void {
    this.number(bytes.length);
    while (this.#byteCount + bytes.length > this.#bytes.length) this.#bytes = grown(this.#bytes, Uint8Array);
    this.#bytes.set(bytes, this.#byteCount);
    this.#byteCount += bytes.length;
  }

  #tag(tag: number): void {
    if (this.#tagCount === this.#tags.length) this.#tags = grown(this.#tags, Uint8Array);
    this.#tags[this.#tagCount++] = tag;
  }
}

const reader = new MessageReader();

/** Errors: `bad_argument`. */
function checkReadable(bytes: Uint8Array): void {
  try {
    reader.begin(bytes);
    reader.value();
    reader.end();
  } catch (error) {
    throw new NanoError("bad_argument", `it can't be sent to another thread: ${String(error)}`);
  }
}

/** A call of `set` costs as much as this loop over about a hundred bytes (Node 20). */
const loopBytesMax = 96;

function copy(from: Uint8Array, length: number, to: Uint8Array, at: number): void {
  if (length > loopBytesMax) to.set(from.subarray(0, length), at);
  else for (let i = 0; i < length; i++) to[at + i] = from[i] as number;
}

function grown<T extends Float64Array<ArrayBuffer> | Uint8Array<ArrayBuffer>>(
  column: T,
  Column: new (length: number) => T,
): T {
  const larger = new Column(column.length * 2);
  larger.set(column);
  return larger;
}
