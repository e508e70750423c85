/**
 * Packs plain data for another thread of this process: msgpackr writes, reader.ts reads.
 *
 * Each pack is complete in itself: the keys of a record are written where its shape first occurs, and
 * forgotten at the end, so no stream of packs can lose step. What arrives:
 * - as it was sent: null, undefined, booleans, strings, numbers, bigints, plain objects, arrays, Map, Set,
 *   Date, RegExp, ArrayBuffer and its views; each owns its memory;
 * - changed: -0 is 0, a hole is undefined, a lone surrogate is U+FFFD, a Buffer is a Uint8Array, an Error
 *   keeps its name, message and cause, any other class instance is what its toJSON says or its own fields;
 * - never: functions, symbols, cycles: NanoError `bad_argument`.
 */

import { Packr, RESERVE_START_SPACE, RESET_BUFFER_MODE } from "msgpackr";
import { NanoError } from "../base/errors.ts";
import { codecLimits } from "../base/limits.ts";

/** msgpackr's first scratch buffer has this size too. */
const scratchBytes = 8_192;

export class MessagePacker {
  #packr = newPackr();

  /**
   * Packs `value` behind `reserve` bytes (0 to 255) left for the caller. The result owns its memory.
   * Errors: `bad_argument` if something in it can't be packed.
   */
  pack(value: unknown, reserve = 0): Uint8Array<ArrayBuffer> {
    const packed = this.#pack(value, RESET_BUFFER_MODE | RESERVE_START_SPACE | reserve);
    const { buffer, byteOffset, byteLength } = packed;
    // The scratch buffer is written over by the next pack, so this copy is what is handed out.
    const bytes = new Uint8Array(buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer);
    if (byteLength > codecLimits.scratchBytesMax) this.#packr.useBuffer(Buffer.allocUnsafeSlow(scratchBytes));
    return bytes;
  }

  #pack(value: unknown, mode: number): Buffer {
    try {
      return this.#packr.pack(value, mode);
    } catch (error) {
      // What it remembers of shapes may be half written: a record without its keys would be read as
      // something else.
      this.#packr = newPackr();
      if (error instanceof NanoError) throw error;
      const reason = error instanceof Error ? error.message : String(error);
      throw new NanoError("bad_argument", `a message can't be sent to another thread: ${reason}`, { reason });
    }
  }
}

function newPackr(): Packr {
  return new Packr({
    structures: [],
    maxSharedStructures: 0,
    maxOwnStructures: 64,
    moreTypes: true,
    writeFunction: () => {
      throw new NanoError("bad_argument", "a function can't be sent to another thread");
    },
  });
}
