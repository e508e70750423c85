import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type AnswerFrame,
  decodeAnswer,
  encodeFrame,
  FrameReader,
  isRefusal,
  protocolLimits,
} from "../../../app/protocol.ts";

const wire = expect.objectContaining({ code: "wire" });

describe("frames", () => {
  it("come out whole and in order, however the stream is cut", () => {
    const answer = fc.oneof(
      fc.tuple(fc.nat(), fc.constant(0 as const), fc.oneof(fc.string(), fc.integer(), fc.constant(null))),
      fc.tuple(fc.nat(), fc.constant(1 as const), fc.string(), fc.string()),
    );
    fc.assert(
      fc.property(fc.array(answer), fc.array(fc.integer({ min: 1, max: 40 })), (answers, cuts) => {
        const bytes = Buffer.concat(answers.map((item) => encodeFrame(item)));
        const reader = new FrameReader();
        const read: AnswerFrame[] = [];
        let at = 0;
        for (let i = 0; at < bytes.length; i++) {
          const end = at + (cuts[i % Math.max(1, cuts.length)] ?? bytes.length);
          for (const body of reader.push(bytes.subarray(at, end))) read.push(decodeAnswer(body));
          at = end;
        }
        expect(read).toEqual(answers);
      }),
    );
  });

  it("carry bytes as bytes and large numbers exactly", () => {
    const value = Uint8Array.of(0, 255, 1);
    const time = 1_795_519_381_459;
    const [body] = new FrameReader().push(encodeFrame([1, 0, { value, time }]));
    const [, , result] = decodeAnswer(body ?? Buffer.alloc(0));
    expect(result).toEqual({ value, time });
  });

  it("are refused before they are read when they claim to be too long", () => {
    const head = Buffer.alloc(4);
    head.writeUInt32BE(protocolLimits.frameBytesMax + 1);
    expect(() => new FrameReader().push(head)).toThrow(wire);
  });

  it("are not made longer than what is read", () => {
    const value = Buffer.alloc(protocolLimits.frameBytesMax);
    expect(() => encodeFrame([1, "profile_picture", "put", { key: "+1", value }])).toThrow(
      expect.objectContaining({ code: "bad_argument" }),
    );
  });
});

describe("answers", () => {
  it.each([
    ["empty", Buffer.alloc(0)],
    ["no msgpack", Buffer.from([0xc1])],
    ["a number", encodeFrame([1, 0, 1]).subarray(5, 6)],
    ["an answer without its result", Buffer.from([0x92, 1, 0])],
    ["an answer with an unknown status", Buffer.from([0x93, 1, 2, 0])],
    ["an error without its text", Buffer.from([0x93, 1, 1, 0xa1, 0x61])],
  ])("are refused when the body is %s", (_, body) => {
    expect(() => decodeAnswer(body)).toThrow(wire);
  });
});

describe("codes", () => {
  it.each(["blocked", "moved", "held", "overloaded", "discarded", "conflict", "rejected"])(
    "%s promises that nothing was done",
    (code) => expect(isRefusal(code)).toBe(true),
  );

  it.each(["timeout", "crashed", "unavailable", "noproc", "anything else"])("%s leaves it unknown", (code) =>
    expect(isRefusal(code)).toBe(false),
  );
});
