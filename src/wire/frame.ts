/**
 * Frames on a byte stream: four bytes of length, most significant first, then the payload. Pure: chunks in,
 * payloads out. State: the bytes of the one frame that is not complete yet. Its memory grows with what has
 * arrived, not with what the header promises, and does not depend on how finely the stream was chopped.
 */

import { assert } from "../base/assert.ts";
import { NanoError } from "../base/errors.ts";
import { strictLimits } from "../base/limits.ts";

const headerBytes = 4;
const firstBytes = 256;
const noBytes = new Uint8Array(0);

/** Puts a length before `payload`. Error: `bad_argument` if it is longer than the receiver accepts. */
export function encodeFrame(payload: Uint8Array, bytesMax: number = strictLimits.bytesMax): Uint8Array {
  if (payload.length > bytesMax) {
    const details = { bytes: payload.length, bytesMax };
    throw new NanoError("bad_argument", `a frame of ${payload.length} bytes is over ${bytesMax}`, details);
  }
  const frame = new Uint8Array(headerBytes + payload.length);
  writeLength(frame, payload.length);
  frame.set(payload, headerBytes);
  return frame;
}

/** Cuts a stream into payloads. After an error the stream is lost: close the connection. */
export class FrameSplitter {
  readonly #bytesMax: number;
  #held: Uint8Array = noBytes;
  #heldBytes = 0;
  #failed = false;

  constructor(bytesMax: number = strictLimits.bytesMax) {
    assert(
      Number.isSafeInteger(bytesMax) && bytesMax > 0 && bytesMax < 2 ** 31,
      "bytesMax is a frame's length",
    );
    this.#bytesMax = bytesMax;
  }

  /** Bytes held of the frame that is not complete; 0 between frames. */
  get pendingBytes(): number {
    return this.#heldBytes;
  }

  /**
   * Takes the next bytes of the stream; returns the payloads that they complete, each owning its memory.
   * Error: `wire` if a frame is longer than the limit, and at every later call.
   */
  push(chunk: Uint8Array): Uint8Array[] {
    if (this.#failed) throw new NanoError("wire", "the stream failed before");
    const payloads: Uint8Array[] = [];
    let offset = 0;
    while (offset < chunk.length) {
      if (this.#heldBytes === 0 && chunk.length - offset >= headerBytes) {
        const end = offset + headerBytes + this.#checked(readLength(chunk, offset));
        if (end <= chunk.length) {
          payloads.push(new Uint8Array(chunk.subarray(offset + headerBytes, end)));
          offset = end;
          continue;
        }
      }
      offset += this.#hold(chunk, offset);
      const payload = this.#complete();
      if (payload !== undefined) payloads.push(payload);
    }
    return payloads;
  }

  /**
   * Keeps what the frame in progress lacks, first its header, then the rest; returns how many bytes it
   * took.
   */
  #hold(chunk: Uint8Array, offset: number): number {
    const wanted = this.#frameBytes();
    const part = chunk.subarray(offset, offset + wanted - this.#heldBytes);
    const bytes = this.#heldBytes + part.length;
    if (bytes > this.#held.length) {
      const grown = new Uint8Array(
        Math.max(bytes, Math.min(wanted, Math.max(firstBytes, 2 * this.#held.length))),
      );
      grown.set(this.#held.subarray(0, this.#heldBytes));
      this.#held = grown;
    }
    this.#held.set(part, this.#heldBytes);
    this.#heldBytes = bytes;
    return part.length;
  }

  #complete(): Uint8Array | undefined {
    if (this.#heldBytes < headerBytes || this.#heldBytes < this.#frameBytes()) return undefined;
    const payload = this.#held.slice(headerBytes, this.#heldBytes);
    this.#held = noBytes;
    this.#heldBytes = 0;
    return payload;
  }

  /** How long the frame in progress is, as far as its header tells. */
  #frameBytes(): number {
    if (this.#heldBytes < headerBytes) return headerBytes;
    return headerBytes + this.#checked(readLength(this.#held, 0));
  }

  #checked(length: number): number {
    if (length <= this.#bytesMax) return length;
    this.#failed = true;
    this.#held = noBytes;
    const details = { bytes: length, bytesMax: this.#bytesMax };
    throw new NanoError("wire", `a frame of ${length} bytes is over ${this.#bytesMax}`, details);
  }
}

function readLength(bytes: Uint8Array, offset: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset + offset, headerBytes).getUint32(0);
}

function writeLength(bytes: Uint8Array, length: number): void {
  new DataView(bytes.buffer, bytes.byteOffset, headerBytes).setUint32(0, length);
}
