/**
 * Shared memory with a ring (ring.ts) whose records are batches of columns. Head, tail and the flags have a cache line
 * each, so that the two threads do not take each other's away. A record: its size and kind, how many bytes its columns
 * and its text have, the columns, the text. What is taken lies in memory that all rings of a thread share: whoever
 * takes it reads it before the next is taken.
 */

import { assert } from "../base/assert.ts";
import type { Columns } from "../wire/columns.ts";
import { type Cell, cells, type RingMemory } from "./ring.ts";

/** Stands in the ring for a batch that is too large for it and comes through the port. */
export const atPort: Columns = { bytes: new Uint8Array(0), length: 0, text: "" };

const wordBytes = 8;
/** Two cache lines: processors fetch them in pairs. */
const cellBytes = 128;
const controlBytes = Object.keys(cells).length * cellBytes;
/** Before the columns: size, kind, bytes of the columns, bytes of the text. */
const headerWords = 2;

const kinds = { latin1: 0, utf16: 1, atPort: 2 } as const;

/** The columns that this thread read last. */
let scratch = new Uint8Array(0);

/** Memory for a ring of so many bytes, a power of two. */
export function ringBuffer(ringBytes: number): SharedArrayBuffer {
  assert(ringBytes >= 64 && Number.isInteger(Math.log2(ringBytes)), "a ring's bytes are a power of two");
  return new SharedArrayBuffer(controlBytes + ringBytes);
}

export class SharedRing implements RingMemory<Columns, Columns> {
  readonly words: number;
  readonly #integers: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #buffer: Buffer;
  /** Of the columns that were measured last. */
  #textBytes = 0;

  constructor(shared: SharedArrayBuffer) {
    this.words = (shared.byteLength - controlBytes) / wordBytes;
    this.#integers = new Int32Array(shared);
    this.#bytes = new Uint8Array(shared);
    this.#buffer = Buffer.from(shared);
  }

  load(cell: Cell): number {
    return Atomics.load(this.#integers, (cell * cellBytes) >> 2);
  }

  store(cell: Cell, value: number): void {
    Atomics.store(this.#integers, (cell * cellBytes) >> 2, value);
  }

  exchange(cell: Cell, value: number): number {
    return Atomics.exchange(this.#integers, (cell * cellBytes) >> 2, value);
  }

  /** How many words a record with these columns has; to be asked just before it is written. */
  measure({ length, text }: Columns): number {
    // Text of ASCII alone is as long in UTF-8; all other text is written as the engine has it, lone surrogates too.
    const isAscii = text.length === 0 || Buffer.byteLength(text) === text.length;
    this.#textBytes = isAscii ? text.length : 2 * text.length;
    return headerWords + wordsOf(length) + wordsOf(this.#textBytes);
  }

  fill(place: number, words: number, columns: Columns): void {
    const integers = this.#integers;
    const at = controlBytes + place * wordBytes;
    const header = at >> 2;
    const { bytes, length, text } = columns;
    const textBytes = this.#textBytes;
    const isLatin1 = textBytes === text.length;
    integers[header] = words;
    integers[header + 1] = columns === atPort ? kinds.atPort : isLatin1 ? kinds.latin1 : kinds.utf16;
    integers[header + 2] = length;
    integers[header + 3] = textBytes;
    const start = at + headerWords * wordBytes;
    if (length > 0) this.#bytes.set(bytes.subarray(0, length), start);
    if (textBytes === 0) return;
    this.#buffer.write(text, start + wordsOf(length) * wordBytes, isLatin1 ? "latin1" : "utf16le");
  }

  skip(place: number): void {
    this.#integers[(controlBytes + place * wordBytes) >> 2] = 0;
  }

  size(place: number): number {
    return this.#integers[(controlBytes + place * wordBytes) >> 2] ?? 0;
  }

  take(place: number): Columns {
    const integers = this.#integers;
    const at = controlBytes + place * wordBytes;
    const header = at >> 2;
    const kind = integers[header + 1];
    if (kind === kinds.atPort) return atPort;
    const length = integers[header + 2] ?? 0;
    const textBytes = integers[header + 3] ?? 0;
    const start = at + headerWords * wordBytes;
    if (scratch.length < length) scratch = new Uint8Array(this.words * wordBytes);
    scratch.set(this.#bytes.subarray(start, start + length));
    const textStart = start + wordsOf(length) * wordBytes;
    const encoding = kind === kinds.latin1 ? "latin1" : "utf16le";
    const text = textBytes === 0 ? "" : this.#buffer.toString(encoding, textStart, textStart + textBytes);
    return { bytes: scratch, length, text };
  }
}

function wordsOf(bytes: number): number {
  return (bytes + wordBytes - 1) >> 3;
}
