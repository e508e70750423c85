/**
 * What travels between threads and nodes: in columns (src/wire/columns.ts, column_reader.ts), as msgpack
 * (src/wire/codec.ts, reader.ts), and in envelopes (src/core/envelope_codec.ts).
 */

import { isDeepStrictEqual } from "node:util";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { hasCode } from "../../src/base/errors.ts";
import { codecLimits } from "../../src/base/limits.ts";
import type { Envelope } from "../../src/core/envelope.ts";
import { envelopeCodec, packBatch, unpackBatch } from "../../src/core/envelope_codec.ts";
import { MessagePacker } from "../../src/wire/codec.ts";
import { ColumnReader } from "../../src/wire/column_reader.ts";
import { type Columns, ColumnWriter, ownColumns } from "../../src/wire/columns.ts";
import { MessageReader } from "../../src/wire/reader.ts";

const columnWriter = new ColumnWriter();
const columnReader = new ColumnReader();
const packer = new MessagePacker();
const reader = new MessageReader();

function read(bytes: Uint8Array): unknown {
  reader.begin(bytes);
  const value = reader.value();
  reader.end();
  return value;
}

function columnsOf(value: unknown): Columns {
  columnWriter.begin();
  columnWriter.value(value);
  return columnWriter.end();
}

function readColumns(columns: Columns): unknown {
  columnReader.begin(columns);
  const value = columnReader.value();
  columnReader.end();
  return value;
}

/** Both ways, and how each is packed once and read often. */
const ways = [
  {
    way: "in columns",
    travel: (value: unknown) => readColumns(columnsOf(value)),
    packed: (value: unknown) => {
      const columns = columnsOf(value);
      return () => readColumns(columns);
    },
    isExact: true,
  },
  {
    way: "as msgpack",
    travel: (value: unknown) => read(packer.pack(value)),
    packed: (value: unknown) => {
      const bytes = packer.pack(value);
      return () => read(bytes);
    },
    isExact: false,
  },
];

function envelope(message: unknown, change: Partial<Envelope> = {}): Envelope {
  return {
    kind: "call",
    to: 7,
    method: "put",
    message,
    from: { pid: { node: "local", thread: 1, incarnation: 2, id: 3 }, ref: 4, deadlineMs: 1_700_000_000_123 },
    trace: "",
    incarnation: 1,
    ...change,
  };
}

const arrivesAsSent: readonly unknown[] = [
  null,
  undefined,
  true,
  false,
  0,
  63,
  64,
  127,
  128,
  255,
  256,
  65_535,
  65_536,
  2 ** 32 - 1,
  2 ** 32,
  2 ** 53,
  1.5e300,
  -1,
  -32,
  -33,
  -128,
  -129,
  -32_769,
  -(2 ** 31) - 1,
  0.1,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  0n,
  2n ** 63n - 1n,
  -(2n ** 63n),
  2n ** 64n - 1n,
  2n ** 64n,
  -(2n ** 63n) - 1n,
  2n ** 127n,
  -(2n ** 200n),
  3n ** 90_000n,
  "",
  "short",
  "é",
  "x".repeat(31),
  "x".repeat(32),
  "ü".repeat(300),
  "x".repeat(70_000),
  "\uFEFFmark",
  [],
  [undefined, [1, [2]]],
  new Array(20).fill("a"),
  new Array(70_000).fill(0),
  {},
  { a: undefined, b: { c: [{ d: 1 }] } },
  new Map<unknown, unknown>([
    [{ key: 1 }, "object"],
    [2, new Map()],
  ]),
  new Map(Array.from({ length: 20 }, (_, index) => [index, index])),
  new Set([1, "two", { three: 3 }]),
  new Date(0),
  new Date(1_700_000_000_123),
  new Date(-1),
  new Date(8.64e15),
  /a+/giu,
  new Uint8Array([1, 2, 3]),
  new Uint8Array(300).fill(7),
  new Uint8Array(70_000).fill(7),
  new Float64Array([1.5, -2]),
  new Int16Array([-3]),
  new ArrayBuffer(3),
  new DataView(new Uint8Array([9, 8]).buffer),
];

describe.each(ways)("a value on its way, $way,", ({ travel, packed, isExact }) => {
  test("arrives as it was sent, alone and among others", () => {
    for (const [index, value] of arrivesAsSent.entries()) {
      const place = `value ${index} of the list, ${String(value).slice(0, 40)}`;
      expect(isDeepStrictEqual(travel(value), value), place).toBe(true);
      expect(isDeepStrictEqual(travel([value, { value }]), [value, { value }]), place).toBe(true);
    }
  });

  test("is changed only as documented", () => {
    expect(Object.is(travel(-0), isExact ? -0 : 0)).toBe(true);
    expect(travel(Object.assign([1], { 2: 2 }))).toStrictEqual([1, undefined, 2]);
    expect(travel("\uD800a")).toBe(isExact ? "\uD800a" : "\uFFFDa");
    expect(travel(Buffer.from("ab"))).toStrictEqual(new Uint8Array([97, 98]));
    expect(
      travel(
        new (class Point {
          x = 1;
        })(),
      ),
    ).toStrictEqual({ x: 1 });
    expect(travel(new URL("https://example.org/"))).toBe("https://example.org/");
    expect((travel(new Date(Number.NaN)) as Date).getTime()).toBeNaN();
    const error = travel(new TypeError("why", { cause: 5 })) as Error;
    expect([error.name, error.message, error.cause]).toStrictEqual(["TypeError", "why", 5]);
  });

  test("is refused if it can't be packed, and the next one is not affected", () => {
    const cycle: { self?: unknown; other: { a: number } } = { other: { a: 1 } };
    cycle.self = cycle;
    for (const bad of [() => 1, Symbol("s"), cycle]) {
      let thrown: unknown;
      try {
        travel([
          { first: 1, second: 2 },
          { first: bad, third: 3 },
        ]);
      } catch (error) {
        thrown = error;
      }
      expect(hasCode(thrown, "bad_argument")).toBe(true);
      const next = [{ first: 1, second: 2 }, { first: 3, third: 4 }, { other: { a: 1 } }];
      expect(travel(next)).toStrictEqual(next);
    }
  });

  test("keeps a property called __proto__ without changing what anything inherits", () => {
    const value: unknown = JSON.parse('{"a":1,"__proto__":{"polluted":true},"constructor":2}');
    const arrived = travel({ value }) as { value: Record<string, unknown> };
    expect(Object.entries(arrived.value)).toStrictEqual([
      ["a", 1],
      ["__proto__", { polluted: true }],
      ["constructor", 2],
    ]);
    expect(Object.getPrototypeOf(arrived.value)).toBe(Object.prototype);
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });

  test("owns its memory", () => {
    const sent = { data: new Uint8Array([1, 2]), text: "a long enough string", view: new Int8Array([3]) };
    const value = travel(sent) as { data: Uint8Array };
    travel("x".repeat(5_000));
    travel(new Uint8Array(5_000));
    expect(value).toStrictEqual(sent);
    expect(value.data.buffer.byteLength).toBe(2);
  });

  test("does not keep its whole batch alive through one kept string", () => {
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    const kept: string[] = [];
    const rows = Array.from({ length: 64 }, (_, row) => ({
      key: `+55119876543${row}`,
      value: "x".repeat(64),
    }));
    const arrived = packed(rows);
    collect();
    const before = process.memoryUsage().heapUsed;
    for (let batch = 0; batch < 2_000; batch++) kept.push((arrived() as typeof rows)[3]?.key ?? "");
    collect();
    expect((process.memoryUsage().heapUsed - before) / kept.length).toBeLessThan(1_000);
    expect(new Set(kept)).toStrictEqual(new Set(["+551198765433"]));
  });

  test("of any shape arrives as it was sent", () => {
    const leaf = fc.oneof(
      fc.string({ unit: "grapheme" }),
      fc.double().map((number) => number + 0),
      fc.integer(),
      fc.bigInt({ min: -(2n ** 200n), max: 2n ** 200n }),
      fc.boolean(),
      fc.constantFrom(null, undefined),
      fc.uint8Array(),
      fc.date({ noInvalidDate: true }),
    );
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof(
        { maxDepth: 4 },
        leaf,
        fc.array(tie("tree"), { maxLength: 6 }),
        fc.dictionary(
          fc.oneof(fc.string(), fc.constantFrom("__proto__", "constructor", "a", "b")),
          tie("tree"),
          {
            maxKeys: 6,
            noNullPrototype: true,
          },
        ),
        fc.array(fc.tuple(leaf, tie("tree")), { maxLength: 4 }).map((entries) => new Map(entries)),
      ),
    }));
    fc.assert(
      fc.property(tree, (value) => isDeepStrictEqual(travel(value), value)),
      { numRuns: 500 },
    );
  });

  test("with more shapes than there are record numbers arrives as it was sent", () => {
    const value = Array.from({ length: 1_000 }, (_, row) => ({ [`field${row % 150}`]: row, same: row }));
    expect(travel(value)).toStrictEqual(value);
    const dictionary = Object.fromEntries(Array.from({ length: 70_000 }, (_, row) => [`key${row}`, row]));
    expect(isDeepStrictEqual(travel(dictionary), dictionary)).toBe(true);
  });

  test("nested too deep is an error and no wrong value", () => {
    let deep: unknown = 1;
    for (let level = 0; level < codecLimits.depthMax; level++) deep = [deep];
    expect(travel(deep)).toStrictEqual(deep);
    expect(() => travel([deep])).toThrow(/nested/);
  });
});

describe("what is cut off is an error and no wrong value", () => {
  const value = [
    { a: 1, b: "text", c: new Uint8Array(3) },
    { a: 2, b: "", c: [1.5] },
  ];

  test("as msgpack", () => {
    const bytes = packer.pack(value);
    for (let length = 0; length < bytes.length; length++) {
      expect(() => read(bytes.subarray(0, length))).toThrow(RangeError);
    }
    // A record number that was never defined: msgpackr itself would read it as 65.
    expect(() => read(new Uint8Array([0x41]))).toThrow(/never defined/);
  });

  test("in columns", () => {
    const { bytes, length: whole, text } = ownColumns(columnsOf(value));
    const header = 24;
    for (let length = header; length < whole; length++) {
      expect(() => readColumns({ bytes: bytes.slice(0, length), length, text })).toThrow(RangeError);
    }
    for (let length = 0; length < text.length; length++) {
      expect(() => readColumns({ bytes, length: whole, text: text.slice(0, length) })).toThrow(RangeError);
    }
    expect(() => readColumns({ bytes, length: whole, text: `${text}x` })).toThrow(RangeError);
  });
});

describe("a batch of envelopes", () => {
  test("arrives in order, with every field", () => {
    const batch = [
      envelope({ key: "a" }),
      envelope(undefined, { kind: "cast", method: "drop", from: undefined }),
      envelope(new Uint8Array([1]), { trace: "00-abc-def-01", incarnation: 3, to: 70_000 }),
      envelope(
        { ok: true, value: { pid: { node: "other", thread: 0, incarnation: 1, id: 2 } } },
        { kind: "reply" },
      ),
    ];
    expect(unpackBatch(packBatch(batch))).toStrictEqual(batch);
    expect(unpackBatch(packBatch([]))).toStrictEqual([]);
  });

  test("packed in place is good until the next one is packed, and a copy of it for ever", () => {
    const batches = ["first", "second"].map((message) => [envelope(message)]);
    const [own, inPlace] = [packBatch(batches[0] ?? []), envelopeCodec.pack(batches[1] ?? [])];
    expect(unpackBatch(inPlace)).toStrictEqual(batches[1]);
    expect(unpackBatch(own)).toStrictEqual(batches[0]);
  });

  test("names a caller once, and its readers share it", () => {
    const { from } = envelope(0);
    const [first, second] = unpackBatch(packBatch([envelope(1, { from }), envelope(2, { from })]));
    expect(second).toStrictEqual(envelope(2));
    expect(second?.from?.pid).toBe(first?.from?.pid);
  });

  test("can be read alone, and in any order: no batch depends on one before it", () => {
    const batches = Array.from({ length: 20 }, (_, index) => [
      envelope({ [`shape${index % 3}`]: index, rest: { [`inner${index}`]: 1 } }),
      envelope({ rest: index }),
    ]);
    const packed = batches.map((batch) => packBatch(batch));
    for (let index = packed.length - 1; index >= 0; index--) {
      expect(unpackBatch(packed[index] as Columns)).toStrictEqual(batches[index]);
    }
  });

  test("is refused whole if one message can't be packed", () => {
    expect(() => packBatch([envelope(1), envelope(() => 1), envelope(2)])).toThrow(/function/);
    expect(unpackBatch(packBatch([envelope({ a: 1 })]))).toStrictEqual([envelope({ a: 1 })]);
  });
});
