import { deepStrictEqual } from "node:assert";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { NanoError } from "../../src/base/errors.ts";
import { capsuleLimits } from "../../src/base/limits.ts";
import { type Capsule, decodeCapsule, encodeCapsule } from "../../src/wire/capsule_format.ts";
import {
  type Image,
  type ImageOptions,
  imageDifference,
  imageOf,
  valueOfImage,
} from "../../src/wire/value_image.ts";

const plain: ImageOptions = { bytesMax: 1_000_000, redact: undefined, foreign: () => undefined };

function unknown(): never {
  throw new Error("nothing foreign is here");
}

function capsuleWith(image: Image): Capsule {
  return {
    writtenAtMs: 1,
    module: "file:///a.js",
    definition: "a",
    process: "",
    pid: { node: "n", thread: 0, incarnation: 1, id: 2 },
    reason: "killed",
    stack: "",
    earlier: 0,
    operations: 0,
    base: { type: "state", atMs: 1, image },
    entries: [],
  };
}

/** By image, by the file's bytes, and back. */
function there(value: unknown): unknown {
  const { base } = decodeCapsule(encodeCapsule(capsuleWith(imageOf(value, "state", plain).image)));
  return valueOfImage(base.type === "none" ? null : base.image, unknown);
}

describe("the image of a value", () => {
  it("gives back whatever plain data it was made of, by way of a file", () => {
    const anything = fc.anything({
      values: [
        fc.constantFrom(null, undefined, true, false),
        fc.double(),
        fc.string({ unit: "binary" }),
        fc.bigInt(),
        // Node takes two maps with an invalid date in a key for different ones.
        fc.date({ noInvalidDate: true }),
      ],
      withMap: true,
      withSet: true,
      withTypedArray: true,
      withNullPrototype: true,
      withSparseArray: true,
      key: fc.oneof(
        fc.string({ unit: "binary" }),
        fc.constantFrom("__proto__", "constructor", "toString", ""),
      ),
    });
    fc.assert(
      fc.property(anything, (value) => deepStrictEqual(there(value), value)),
      { numRuns: 1_000 },
    );
  });

  it.each([
    ["-0", -0],
    ["NaN", Number.NaN],
    ["an infinity", Number.NEGATIVE_INFINITY],
    ["undefined in an object", { a: undefined }],
    ["half a surrogate pair", { "\ud800": "a\udc00" }],
    ["a Buffer", Buffer.from("abc")],
    ["a view with an offset", new Uint16Array(new ArrayBuffer(8), 2, 2)],
    ["a regular expression", /a+/giu],
    ["an invalid date", new Date(Number.NaN)],
    ["an error with a cause", new TypeError("why", { cause: new Map([[1, "deep"]]) })],
    ["an operating error", new NanoError("timeout", "late", { at: 1n })],
  ])("keeps %s", (_, value) => {
    const back = there(value);
    expect(back).toStrictEqual(
      value instanceof TypeError
        ? Object.assign(new Error("why", { cause: value.cause }), { name: "TypeError" })
        : value,
    );
    if (value instanceof NanoError) expect(back).toMatchObject({ code: "timeout", details: { at: 1n } });
  });

  it("keeps what is one object one object, and cycles closed", () => {
    const shared = { n: 1 };
    const cycle: Record<string, unknown> = { list: [shared, shared], map: new Map([[shared, shared]]) };
    cycle.self = cycle;
    const back = there(cycle) as { list: object[]; map: Map<object, object>; self: object };
    expect(back.self).toBe(back);
    expect(back.list[0]).toBe(back.list[1]);
    expect(back.map.get(back.list[0] as object)).toBe(back.list[0]);
  });

  it("does not change with its value", () => {
    const value = { list: [1], bytes: new Uint8Array([1]), map: new Map([["a", { n: 1 }]]) };
    const { image } = imageOf(value, "", plain);
    const before = JSON.stringify(image);
    value.list.push(2);
    value.bytes[0] = 9;
    (value.map.get("a") as { n: number }).n = 2;
    expect(JSON.stringify(image)).toBe(before);
    const read = valueOfImage(image, unknown) as typeof value;
    read.bytes[0] = 7;
    expect(JSON.stringify(image)).toBe(before);
  });

  it.each([
    ["a function", { a: { b: () => 1 } }, "a.b"],
    ["a symbol", [Symbol("s")], "0"],
    ["a promise", { p: Promise.resolve() }, "p"],
    ["an instance of a class", { o: new (class Order {})() }, "o"],
    ["a weak collection", { w: new WeakMap() }, "w"],
  ])("names the path of %s, of which there is none", (_, value, path) => {
    expect(() => imageOf(value, "", plain)).toThrow(expect.objectContaining({ details: { path } }));
  });

  it("is given up above its size, and below a depth", () => {
    expect(() => imageOf("x".repeat(1_000), "", { ...plain, bytesMax: 500 })).toThrow("more than 500 bytes");
    let deep: unknown = 1;
    for (let level = 0; level <= capsuleLimits.depthMax; level++) deep = [deep];
    expect(() => imageOf(deep, "", plain)).toThrow("nested deeper");
    expect(there((deep as unknown[])[0])).toStrictEqual((deep as unknown[])[0]);
  });

  it("differs from another at a path that leads into the value", () => {
    const of = (value: unknown) => imageOf(value, "", plain).image;
    const value = { a: [1, { b: new Map([["k", "v"]]) }] };
    expect(imageDifference(of(value), of(structuredClone(value)))).toBeUndefined();
    expect(imageDifference(of(value), of({ a: [1, { b: new Map([["k", "w"]]) }] }))).toBe("a.1.b.k");
    expect(imageDifference(of(value), of({ a: [1] }))).toBe("a.1");
    expect(imageDifference(of(value), of({ a: [1, { c: 1 }] }))).toBe("a.1");
    const shared = { n: 1 };
    expect(
      imageDifference(of([new Date(1), shared, shared]), of([new Date(1), { n: 1 }, { n: 1 }])),
    ).toBeUndefined();
    expect(imageDifference(of([shared, shared]), of([{ n: 1 }, { n: 2 }]))).toBe("1.n");
    const cycle = (n: number) => {
      const list: unknown[] = [n];
      list.push(list);
      return list;
    };
    expect(imageDifference(of(cycle(1)), of(cycle(1)))).toBeUndefined();
    expect(imageDifference(of(cycle(1)), of(cycle(2)))).toBe("0");
    expect(imageDifference(of([new Uint8Array([1])]), of([new Uint8Array([2])]))).toBe("0");
  });
});

describe("a capsule's file", () => {
  const bytes = encodeCapsule(capsuleWith(imageOf({ list: [1, "two"] }, "", plain).image));

  it("with any byte changed, cut off or added is refused as unreadable, or as newer", () => {
    const codes = new Set<string>();
    const refused = (changed: Uint8Array): void => {
      try {
        decodeCapsule(changed);
        codes.add("read");
      } catch (error) {
        codes.add(error instanceof NanoError ? error.code : String(error));
      }
    };
    for (let at = 0; at < bytes.length; at++) {
      const changed = bytes.slice();
      changed[at] = (changed[at] ?? 0) ^ 0x10;
      refused(changed);
      refused(bytes.subarray(0, at));
    }
    refused(new Uint8Array([...bytes, 0]));
    expect([...codes].sort()).toEqual(["newer_format", "unreadable"]);
  });

  it("of a newer format names both formats", () => {
    const newer = bytes.slice();
    newer[7] = 2;
    expect(() => decodeCapsule(newer)).toThrow(
      expect.objectContaining({ code: "newer_format", details: { found: 2, known: 1 } }),
    );
  });

  it.each([
    ["module", (capsule: Capsule) => ({ ...capsule, module: 1 }), "module is no text"],
    [
      "base",
      (capsule: Capsule) => ({ ...capsule, base: { type: "other", atMs: 1 } }),
      "base.type is unknown",
    ],
    ["an entry", (capsule: Capsule) => ({ ...capsule, entries: [{ type: "message" }] }), "entries.0.kind"],
    ["an image", (capsule: Capsule) => ({ ...capsule, reason: { a: 1 } }), "reason is no image"],
  ])("with a whole checksum and a wrong %s names the field", (_, change, why) => {
    const changed = change(decodeCapsule(bytes)) as Capsule;
    expect(() => decodeCapsule(encodeCapsule(changed))).toThrow(why);
  });

  it.each([
    ["a code that is unknown", [99]],
    ["what repeats something that is not there", [13, 5]],
    ["a key without a value", [1, "a"]],
    ["a view of another class", [8, "Function", new Uint8Array(1)]],
    ["a view of half an element", [8, "Uint16Array", new Uint8Array(3)]],
    ["a regular expression that is none", [9, "(", ""]],
    ["a bigint of letters", [4, "0x10"]],
  ])("with %s in a value is unreadable", (_, image) => {
    expect(() => valueOfImage(image as Image, unknown)).toThrow(
      expect.objectContaining({ code: "unreadable" }),
    );
  });
});
