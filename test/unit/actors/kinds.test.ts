/** The kinds: what an operation becomes, and what it refuses, naming the field and the cure. */

import { describe, expect, it } from "vitest";
import { defineBackend } from "../../../actors/backends/backend.ts";
import { keyValue } from "../../../actors/kinds/key_value.ts";
import type { Kind, Plan } from "../../../actors/kinds/kind.ts";
import { checkWritten } from "../../../actors/kinds/kind.ts";
import { oneTimeKeys } from "../../../actors/kinds/one_time_keys.ts";
import { relationship } from "../../../actors/kinds/relationship.ts";
import { rowKey } from "../../../actors/records.ts";

const numbers = { name: "things", valueBytesMax: 4, keys: "e164" } as const;
const opaque = { ...numbers, keys: "opaque" } as const;
const key = "+4915112345678";
const value = Uint8Array.of(1, 2);

function plan(
  kind: Kind,
  operation: string,
  message: unknown,
  backend: typeof numbers | typeof opaque = opaque,
): Plan {
  const plans = kind.operations[operation];
  if (plans === undefined) throw new Error(`${kind.name} has no ${operation}`);
  return plans.plan(backend, message);
}

const wrongMessages: readonly [Kind, operation: string, message: unknown, field: string][] = [
  [keyValue, "get", undefined, "message"],
  [keyValue, "get", ["k"], "message"],
  [keyValue, "get", "k", "message"],
  [keyValue, "get", {}, "key"],
  [keyValue, "get", { key: "" }, "key"],
  [keyValue, "get", { key: 5 }, "key"],
  [keyValue, "get", { key: "a\u0000b" }, "key"],
  [keyValue, "get", { key: "half \ud83d" }, "key"],
  [keyValue, "get", { key: "k".repeat(201) }, "key"],
  [keyValue, "put", { key: "k" }, "value"],
  [keyValue, "put", { key: "k", value: "text" }, "value"],
  [keyValue, "put", { key: "k", value: new Uint8Array(5) }, "value"],
  [keyValue, "put", { key: "k", value, expiresAtMs: -1 }, "expiresAtMs"],
  [keyValue, "put", { key: "k", value, expiresAtMs: 1.5 }, "expiresAtMs"],
  [keyValue, "put", { key: "k", value, expiresAtMs: "5" }, "expiresAtMs"],
  [keyValue, "delete", {}, "key"],
  [relationship, "add", { key: "k", value }, "member"],
  [relationship, "add", { key: "k", member: "m" }, "value"],
  [relationship, "add", { key: "k", member: "\ude00", value }, "member"],
  [relationship, "remove", { key: "k", member: "a\u0000" }, "member"],
  [relationship, "has", { member: "m" }, "key"],
  [relationship, "list", {}, "key"],
  [relationship, "of", { member: "" }, "member"],
  [oneTimeKeys, "take", { key: "k" }, "requestId"],
  [oneTimeKeys, "upload", { key: "k" }, "keys"],
  [oneTimeKeys, "upload", { key: "k", keys: new Array(10_001).fill(undefined) }, "keys"],
  [oneTimeKeys, "upload", { key: "k", keys: [5] }, "message"],
  [oneTimeKeys, "upload", { key: "k", keys: [{ id: "", value }] }, "id"],
  [oneTimeKeys, "upload", { key: "k", keys: [{ id: "i", value: new Uint8Array(5) }] }, "value"],
  [oneTimeKeys, "count", {}, "key"],
];

function refusal(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  return undefined;
}

describe("an operation's message", () => {
  it.each(wrongMessages)(
    "$name %s of %j is refused by the name of its field",
    (kind, operation, message, field) => {
      expect(refusal(() => plan(kind, operation, message))).toMatchObject({
        code: "bad_argument",
        message: expect.stringMatching(`^things: ${field} must be `),
        details: { field, cure: expect.stringMatching(/^give .+/) },
      });
    },
  );

  it("must have an E.164 number as its key where the backend's keys are numbers", () => {
    for (const wrong of [
      "4915112345678",
      "+0915112345678",
      "+4",
      "+4915112345678901",
      "+49 151",
      "+49151a",
      "*",
    ]) {
      expect(refusal(() => plan(keyValue, "get", { key: wrong }, numbers))).toMatchObject({
        details: { field: "key" },
      });
    }
    for (const right of [key, "+12", "+123456789012345"]) {
      expect(plan(keyValue, "get", { key: right }, numbers)).toMatchObject({ key: right });
    }
  });
});

describe("key_value", () => {
  it("reads, writes and deletes one row", () => {
    const row = rowKey("things", key);
    expect(plan(keyValue, "put", { key, value, expiresAtMs: 7 })).toEqual({
      type: "write",
      key,
      rows: [{ key: row, value, expiresAtMs: 7 }],
    });
    expect(plan(keyValue, "delete", { key })).toMatchObject({
      rows: [{ key: row, value: null, expiresAtMs: 0 }],
    });
    const get = plan(keyValue, "get", { key });
    if (get.type !== "get") throw new Error("get is a get");
    expect(get.rows).toEqual([row]);
    expect(get.answer([{ key: row, value, expiresAtMs: 0 }])).toEqual(value);
    expect(get.answer([undefined])).toBeNull();
  });
});

describe("relationship", () => {
  it("an edge is a row of its first key, and a list is all rows of that key and no other's", () => {
    const row = rowKey("things", "g", "m");
    expect(plan(relationship, "add", { key: "g", member: "m", value })).toMatchObject({
      rows: [{ key: row, value }],
    });
    expect(plan(relationship, "remove", { key: "g", member: "m" })).toMatchObject({
      rows: [{ key: row, value: null }],
    });
    const list = plan(relationship, "list", { key: "g" });
    if (list.type !== "scan") throw new Error("a list is a scan");
    const { from, to } = list.range;
    const inside = [row, rowKey("things", "g", "\u{10ffff}")];
    const outside = [
      rowKey("things", "f", "m"),
      rowKey("things", "g\u0001", "m"),
      rowKey("things", "g2", "m"),
    ];
    expect(inside.filter((each) => each >= from && each < to)).toEqual(inside);
    expect(outside.filter((each) => each >= from && each < to)).toEqual([]);
    expect(list.answer([{ key: row, value, expiresAtMs: 0 }])).toEqual([{ member: "m", value }]);
    expect(plan(relationship, "of", { member: "m" })).toMatchObject({ type: "lookup", sub: "m" });
  });
});

describe("what is declared", () => {
  it("every kind's reads are among its operations, and none of them writes or amends", () => {
    const message = { key, member: "m", value, requestId: "r", keys: [] };
    for (const kind of [keyValue, relationship, oneTimeKeys]) {
      for (const [operation, { plan: make }] of Object.entries(kind.operations)) {
        const changes = ["write", "amend"].includes(make(opaque, message).type);
        const reads: readonly string[] = kind.reads;
        expect([kind.name, operation, reads.includes(operation)]).toEqual([kind.name, operation, !changes]);
      }
    }
  });

  it("a backend's name and value limit are checked, with the field and the cure", () => {
    const backend = { name: "things", kind: keyValue, keys: "opaque", valueBytesMax: 10 } as const;
    for (const name of ["", "Things", "1things", "a/b", "a\u0000", "x".repeat(65)]) {
      expect(refusal(() => defineBackend({ ...backend, name }))).toMatchObject({
        code: "config",
        details: { field: "name", cure: expect.stringContaining("lower-case") },
      });
    }
    for (const valueBytesMax of [0, -1, Number.NaN, 512 * 1024 + 1]) {
      expect(refusal(() => defineBackend({ ...backend, valueBytesMax }))).toMatchObject({
        details: { field: "valueBytesMax" },
      });
    }
    expect(defineBackend(backend)).toEqual(backend);
  });

  it("the first refused row of a write is the operation's error", () => {
    const ok = { ok: true, version: [1, 1, 1] } as const;
    expect(refusal(() => checkWritten([ok, ok]))).toBeUndefined();
    const refused = [
      ok,
      { ok: false, code: "held", message: "one" },
      { ok: false, code: "fenced", message: "two" },
    ] as const;
    expect(refusal(() => checkWritten(refused))).toMatchObject({ code: "held", message: "one" });
  });
});
