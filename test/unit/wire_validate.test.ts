/** The decoder for bytes from outside the process: src/wire/validate.ts. */

import fc from "fast-check";
import { pack } from "msgpackr";
import { describe, expect, test } from "vitest";
import { hasCode, NanoError } from "../../src/base/errors.ts";
import { decodeStrict, encodeStrict, type StrictLimits } from "../../src/wire/validate.ts";

const small: StrictLimits = { bytesMax: 64, depthMax: 3, countMax: 8, stringBytesMax: 10 };

function hex(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text.replaceAll(" ", ""), "hex"));
}

function text(value: string): string {
  return Buffer.from(value).toString("hex");
}

/** The error of decoding, which must be the documented one. */
function refusal(bytes: Uint8Array, limits?: StrictLimits): NanoError {
  try {
    decodeStrict(bytes, limits);
  } catch (error) {
    if (hasCode(error, "wire")) return error;
    throw error;
  }
  throw new Error("the bytes were accepted");
}

const { value: strictValue } = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 5 },
    fc.string({ unit: "grapheme" }),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((number) => number + 0),
    fc.maxSafeInteger(),
    fc.boolean(),
    fc.constant(null),
    fc.uint8Array(),
    fc.array(tie("value"), { maxLength: 20 }),
    fc.dictionary(
      fc.string().filter((key) => !["__proto__", "constructor", "prototype"].includes(key)),
      tie("value"),
      { maxKeys: 20, noNullPrototype: true },
    ),
  ),
}));

describe("bytes from outside the process", () => {
  test("give back what encodeStrict was given", () => {
    fc.assert(
      fc.property(strictValue, (value) => {
        expect(decodeStrict(encodeStrict(value))).toStrictEqual(value);
      }),
      { numRuns: 500 },
    );
    expect(decodeStrict(encodeStrict({ a: undefined, b: 1 }))).toStrictEqual({ b: 1 });
    expect(decodeStrict(encodeStrict("\uFEFFmark \uFFFD"))).toBe("\uFEFFmark \uFFFD");
    expect(decodeStrict(hex(`81 a1 ${text("a")} cf 001fffffffffffff`))).toStrictEqual({ a: 2 ** 53 - 1 });
    expect(decodeStrict(hex("93 d3 ffe0000000000001 ca 3fc00000 ff"))).toStrictEqual([
      -(2 ** 53) + 1,
      1.5,
      -1,
    ]);
  });

  test("never do anything but give a value or a wire error", () => {
    const outcome = (bytes: Uint8Array): void => {
      let value: unknown;
      try {
        value = decodeStrict(bytes, { ...small, bytesMax: 4_096, countMax: 1_000 });
      } catch (error) {
        if (!(error instanceof NanoError)) throw error;
        expect(error.code).toBe("wire");
        expect(error.details.offset).toBeGreaterThanOrEqual(0);
        expect(error.details.offset).toBeLessThanOrEqual(bytes.length);
        return;
      }
      expect(decodeStrict(encodeStrict(value))).toStrictEqual(value);
    };
    fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), outcome), { numRuns: 3_000 });
    // Valid messages with a few bytes changed get further in than noise does.
    const change = fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 }));
    const mutated = fc.tuple(strictValue, fc.array(change, { maxLength: 3 })).map(([value, changes]) => {
      const bytes = encodeStrict(value);
      for (const [place, byte] of changes) bytes[place % bytes.length] = byte;
      return bytes;
    });
    fc.assert(fc.property(mutated, outcome), { numRuns: 2_000 });
  });

  test.each([
    ["nothing at all", "", 0],
    ["bytes after the value", "c0 c0", 1],
    ["the byte that is never used", "91 c1", 1],
    ["an extension: undefined", "91 d40000", 1],
    ["an extension: a date", "d6ff 00000000", 0],
    ["an extension of any length", "c7 01 05 00", 0],
    ["a record definition of msgpackr", `d4 72 40 91 a1 ${text("a")} 01`, 0],
    ["a map key that is a number", "81 01 02", 1],
    ["a map key that is bytes", `81 c4 01 ${text("a")} 02`, 1],
    ["a map key that is a map", "81 80 02", 1],
    ["a key twice", `82 a1 ${text("a")} 01 a1 ${text("a")} 02`, 4],
    ["a key twice, in two encodings", `82 a1 ${text("a")} 01 d901 ${text("a")} 02`, 4],
    ["__proto__ as a key", `81 a9 ${text("__proto__")} 80`, 1],
    ["__proto__ as a key, in a longer encoding", `81 da0009 ${text("__proto__")} 80`, 1],
    ["constructor as a key", `91 81 ab ${text("constructor")} 01`, 2],
    ["prototype as a key", `81 a9 ${text("prototype")} 01`, 1],
    ["UTF-8 that is cut off", "a2 c3 28", 1],
    ["UTF-8 of half a surrogate pair", "a3 eda080", 1],
    ["UTF-8 longer than need be", "a2 c080", 1],
    ["a key that is not UTF-8", "81 a1 ff 01", 2],
    ["NaN", "cb 7ff8000000000000", 0],
    ["infinity, in 32 bits", "ca 7f800000", 0],
    ["2^53", "cf 0020000000000000", 0],
    ["-2^53", "d3 ffe0000000000000", 0],
    ["an array cut off", "93 01 02", 0],
    ["a string cut off", "a3 61 62", 1],
    ["bytes cut off", "c4 05 00", 2],
    ["a number cut off", "ce 0000", 1],
    ["an array that promises 4 billion values", "dd ffffffff 00", 0],
    ["a map that promises 4 billion values", "df ffffffff 00", 0],
    ["a string that promises 4 GB", "db ffffffff 00", 5],
  ])("are refused if they hold %s", (_, bytes, offset) => {
    expect(refusal(hex(bytes)).details.offset).toBe(offset);
  });

  test("are refused over each limit and taken at it", () => {
    expect(decodeStrict(hex(`aa ${text("0123456789")}`), small)).toBe("0123456789");
    expect(refusal(hex(`ab ${text("0123456789a")}`), small).message).toMatch(/string/);
    expect(decodeStrict(hex("91 91 90"), small)).toStrictEqual([[[]]]);
    expect(refusal(hex("91 91 91 90"), small).message).toMatch(/nested/);
    expect(decodeStrict(hex("97 01020304050607"), small)).toHaveLength(7);
    expect(refusal(hex("98 0102030405060708"), small).message).toMatch(/more than 8/);
    expect(refusal(hex(`84 a161 01 a162 01 a163 01 a164 01`), small).message).toMatch(/more than 8/);
    expect(decodeStrict(new Uint8Array([0xc4, 62, ...new Array(62).fill(1)]), small)).toHaveLength(62);
    expect(refusal(new Uint8Array([0xc4, 63, ...new Array(63).fill(1)]), small).message).toMatch(/65 bytes/);
  });

  test("share no memory with what was read from them, and may lie anywhere in a buffer", () => {
    const message = encodeStrict({ key: "a string that is long", data: new Uint8Array([1, 2, 3]) });
    const buffer = new Uint8Array(message.length + 20).fill(0xc1);
    buffer.set(message, 10);
    const value = decodeStrict(buffer.subarray(10, 10 + message.length));
    buffer.fill(0);
    expect(value).toStrictEqual({ key: "a string that is long", data: new Uint8Array([1, 2, 3]) });
  });

  test("of another encoder are taken when they are plain", () => {
    const value = { list: [1, -1, 2.5, "é", null, true], nested: { empty: {} } };
    expect(decodeStrict(pack(value))).toStrictEqual(value);
  });
});

describe("a value for another process", () => {
  test.each<[string, unknown, string]>([
    ["undefined", undefined, ""],
    ["undefined in an array", { a: [1, undefined] }, "a.1"],
    ["a function", { a: () => 1 }, "a"],
    ["a bigint", { a: { b: 1n } }, "a.b"],
    ["a date", [new Date(0)], "0"],
    ["a map", { a: new Map() }, "a"],
    ["NaN", { a: Number.NaN }, "a"],
    ["half a surrogate pair", { a: "\uD800" }, "a"],
    ["half a surrogate pair in a key", { "\uDC00": 1 }, "\uDC00"],
    ["a __proto__ key", JSON.parse('{"a":{"__proto__":1}}'), "a.__proto__"],
    ["a typed array that is not bytes", { a: new Int16Array(1) }, "a"],
  ])("is refused with its path if it holds %s", (_, value, path) => {
    expect(() => encodeStrict(value)).toThrow(
      expect.objectContaining({ code: "bad_argument", details: { path } }),
    );
  });

  test("is refused over each limit of the receiver", () => {
    const over: readonly unknown[] = ["01234567890", [[[[]]]], [1, 2, 3, 4, 5, 6, 7, 8], new Uint8Array(63)];
    for (const value of over) {
      expect(() => encodeStrict(value, small)).toThrow(expect.objectContaining({ code: "bad_argument" }));
    }
    expect(() => encodeStrict({ a: 1, b: 1, c: 1, d: 1 }, small)).toThrow(/more than 8/);
    expect(decodeStrict(encodeStrict({ a: 1, b: 1, c: 1 }, small), small)).toStrictEqual({
      a: 1,
      b: 1,
      c: 1,
    });
  });
});
