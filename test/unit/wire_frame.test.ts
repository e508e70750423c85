/** Frames on a byte stream: src/wire/frame.ts. */

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeFrame, FrameSplitter } from "../../src/wire/frame.ts";

function concat(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

describe("a stream of frames", () => {
  test("gives back the payloads however it is chopped", () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 700 }), { maxLength: 8 }),
        fc.array(fc.integer({ min: 0, max: 300 }), { minLength: 1, maxLength: 20 }),
        (payloads, cuts) => {
          const stream = concat(payloads.map((payload) => encodeFrame(payload)));
          const splitter = new FrameSplitter();
          const received: Uint8Array[] = [];
          for (let offset = 0, turn = 0; offset < stream.length; turn++) {
            const end = offset + Math.max(1, cuts[turn % cuts.length] ?? 1);
            received.push(...splitter.push(stream.subarray(offset, end)));
            offset = end;
          }
          expect(received).toStrictEqual(payloads);
          expect(splitter.pendingBytes).toBe(0);
        },
      ),
      { numRuns: 300 },
    );
  });

  test("hands out payloads that do not share memory with the chunks", () => {
    const splitter = new FrameSplitter();
    const whole = encodeFrame(new Uint8Array([1, 2, 3]));
    const half = encodeFrame(new Uint8Array([4, 5, 6]));
    const chunk = concat([whole, half.subarray(0, 5)]);
    const rest = half.slice(5);
    const first = splitter.push(chunk);
    chunk.fill(0);
    const second = splitter.push(rest);
    rest.fill(0);
    expect([...first, ...second]).toStrictEqual([new Uint8Array([1, 2, 3]), new Uint8Array([4, 5, 6])]);
  });

  test("holds no more than what has arrived of a frame", () => {
    const splitter = new FrameSplitter(1_000_000);
    expect(splitter.push(encodeFrame(new Uint8Array(900_000)).subarray(0, 10))).toStrictEqual([]);
    expect(splitter.pendingBytes).toBe(10);
  });

  test("fails at a frame over the limit, at its header, and stays failed", () => {
    for (const chop of [1, 4, 100]) {
      const splitter = new FrameSplitter(16);
      const stream = concat([encodeFrame(new Uint8Array(16)), encodeFrame(new Uint8Array(17))]);
      const received: Uint8Array[] = [];
      const run = (): void => {
        for (let offset = 0; offset < stream.length; offset += chop) {
          received.push(...splitter.push(stream.subarray(offset, offset + chop)));
        }
      };
      expect(run).toThrow(expect.objectContaining({ code: "wire", details: { bytes: 17, bytesMax: 16 } }));
      expect(received.length).toBe(chop === 100 ? 0 : 1);
      expect(() => splitter.push(new Uint8Array(1))).toThrow(expect.objectContaining({ code: "wire" }));
    }
  });

  test("refuses to send what the other side would refuse", () => {
    expect(() => encodeFrame(new Uint8Array(17), 16)).toThrow(
      expect.objectContaining({ code: "bad_argument" }),
    );
  });
});
