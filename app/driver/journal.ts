/**
 * The journal: the driver's events in one append-only file. A flush writes what was appended since the last
 * one as a block (length, CRC-32, events) with one write to the operating system, which is what a SIGKILL
 * of either process can't take back; the driver flushes before it sends, and before it counts. The first
 * block is a header that names the population. Reading stops at the first block that is not whole, and cuts
 * the file there.
 */

import { closeSync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from "node:fs";
import { crc32 } from "node:zlib";
import { assert } from "../../src/index.ts";
import { type DriverEvent, eventBytesMax, readEvents, writeEvent } from "./events.ts";
import { driverLimits } from "./limits.ts";

const headBytes = 8;

export class Journal {
  /** Events that were read when it was opened. */
  readonly recovered: number;
  readonly #file: number;
  #end: number;
  #pending = Buffer.alloc(64 * 1024);
  #used = headBytes;

  private constructor(file: number, end: number, recovered: number) {
    this.#file = file;
    this.#end = end;
    this.recovered = recovered;
  }

  /** Starts a journal whose header is `header`, in place of what the file held. */
  static create(path: string, header: Uint8Array): Journal {
    const journal = new Journal(openSync(path, "w"), 0, 0);
    journal.#pending.set(header, headBytes);
    journal.#used += header.length;
    journal.flush();
    return journal;
  }

  /**
   * Opens a journal, hands every event to `replay`, in order, and goes on behind the last whole block.
   * @throws Error if the header is another one: the journal belongs to another population.
   */
  static recover(path: string, header: Uint8Array, replay: (event: DriverEvent) => void): Journal {
    const file = openSync(path, "r+");
    let first = true;
    let events = 0;
    const end = readBlocks(file, (block) => {
      if (first && !block.equals(header)) throw new Error(`${path} was written by a job with other settings`);
      if (!first) {
        for (const event of readEvents(block)) {
          replay(event);
          events++;
        }
      }
      first = false;
    });
    if (first) throw new Error(`${path} has no whole header`);
    ftruncateSync(file, end);
    return new Journal(file, end, events);
  }

  /** Bytes on disk. */
  get bytes(): number {
    return this.#end;
  }

  append(event: DriverEvent): void {
    if (this.#pending.length - this.#used < eventBytesMax) {
      this.#pending = Buffer.concat([this.#pending], this.#pending.length * 2);
    }
    this.#used = writeEvent(event, this.#pending, this.#used);
  }

  /** Everything appended before is in the operating system's hands when this returns. */
  flush(): void {
    if (this.#used === headBytes) return;
    const block = this.#pending.subarray(0, this.#used);
    block.writeUInt32LE(this.#used - headBytes, 0);
    block.writeUInt32LE(crc32(block.subarray(headBytes)), 4);
    let written = 0;
    while (written < block.length) {
      written += writeSync(this.#file, block, written, block.length - written, this.#end + written);
    }
    this.#end += written;
    this.#used = headBytes;
  }

  close(): void {
    this.flush();
    closeSync(this.#file);
  }
}

/** Calls `visit` with each whole block's content and returns where the last one ends. */
function readBlocks(file: number, visit: (block: Buffer) => void): number {
  const size = fstatSync(file).size;
  let window = Buffer.alloc(0);
  let end = 0;
  for (;;) {
    const block = blockAt(window);
    if (block !== undefined) {
      if (!block.whole) return end;
      visit(block.content);
      const taken = headBytes + block.content.length;
      window = window.subarray(taken);
      end += taken;
      continue;
    }
    const readTo = end + window.length;
    if (readTo >= size) return end;
    const more = Buffer.allocUnsafe(Math.min(driverLimits.recoveryChunkBytes, size - readTo));
    const read = readSync(file, more, 0, more.length, readTo);
    assert(read > 0, "the journal does not shrink while it is read");
    window = Buffer.concat([window, more.subarray(0, read)]);
  }
}

/** The block at the window's start; undefined if the window ends before it does. */
function blockAt(window: Buffer): { readonly content: Buffer; readonly whole: boolean } | undefined {
  if (window.length < headBytes) return undefined;
  const length = window.readUInt32LE(0);
  if (window.length < headBytes + length) return undefined;
  const content = window.subarray(headBytes, headBytes + length);
  return { content, whole: length > 0 && window.readUInt32LE(4) === crc32(content) };
}
