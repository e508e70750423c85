/** Frames of the dirty log: what is written comes back, and nothing that is torn or damaged is taken for a record. */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeFrame, encodeFrame, findFrame, type LogRecord } from "../../../actors/log_records.ts";
import { anyRecord, mark } from "./log_rows.ts";

const records = fc.array(anyRecord, { minLength: 1, maxLength: 6 });

function joined(...frames: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(frames.flatMap((frame) => [...frame]));
}

function decodeAll(bytes: Uint8Array): LogRecord[] {
  const all: LogRecord[] = [];
  for (let offset = 0; ; ) {
    const frame = decodeFrame(bytes, offset);
    if (frame.status !== "ok") {
      expect(frame.status).toBe("end");
      return all;
    }
    all.push(...frame.records);
    offset = frame.next;
  }
}

describe("a frame of the dirty log", () => {
  it("gives back every kind of record, frame after frame", () => {
    fc.assert(
      fc.property(fc.array(records, { maxLength: 4 }), (frames) => {
        expect(decodeAll(joined(...frames.map(encodeFrame)))).toEqual(frames.flat());
      }),
    );
  });

  it("that is cut anywhere is torn", () => {
    const frame = encodeFrame([mark("a", 1), mark("b", 2)]);
    for (let length = 1; length < frame.byteLength; length++) {
      expect(decodeFrame(frame.subarray(0, length), 0)).toEqual({ status: "torn" });
    }
  });

  it("is never taken for whole with any of its bits flipped", () => {
    const frame = encodeFrame([mark("a", 1)]);
    for (let bit = 0; bit < frame.byteLength * 8; bit++) {
      const flipped = frame.slice();
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(["torn", "damaged"]).toContain(decodeFrame(flipped, 0).status);
    }
  });

  it("is not seen in zeros, which a file system may leave behind the last synced byte", () => {
    for (const length of [1, 7, 8, 9, 4_096]) {
      expect(decodeFrame(new Uint8Array(length), 0)).toEqual({ status: "torn" });
      expect(findFrame(new Uint8Array(length), 0)).toBeUndefined();
    }
  });

  it("is found behind any rubbish, and only where it begins", () => {
    const frame = encodeFrame([mark("a", 1)]);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 50 }), fc.uint8Array({ maxLength: 50 }), (before, after) => {
        expect(findFrame(joined(before, frame, after), 0)).toBe(before.byteLength);
        const damaged = frame.map((byte, i) => (i === frame.byteLength - 1 ? byte ^ 1 : byte));
        expect(findFrame(joined(before, damaged, after), 0)).toBeUndefined();
      }),
    );
  });
});
